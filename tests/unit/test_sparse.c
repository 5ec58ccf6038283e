/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sparse packs: what is present, what survives a process killed at each of its
 * points, what a power cut does to it, and how one becomes whole.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/wait.h>

#include "store/pack_format.h"
#include "store/sparse.h"
#include "tree_fixture.h"

/* A store with one pack, and a directory for the sparse copy of it. */
struct ground {
	struct fixture *f;
	struct digest name;
	struct pack *pack;
	uint8_t *bytes;
	uint32_t head_len;
	int sparse_fd;
};

static int take_name(void *arg, const struct entry *e)
{
	*(struct digest *)arg = e->catalog;
	return 0;
}

/* Reads the pack `name` below the fixture's store. */
static void ground_load(struct ground *g)
{
	char root[160], path[PACK_PATH_LEN + 1];
	uint64_t bytes;
	int packs, fd;

	snprintf(root, sizeof(root), "%s/store/v1/packs", g->f->dir);
	packs = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(pack_open(packs, &g->name, &g->pack), 0);
	bytes = pack_bytes(g->pack);
	g->bytes = malloc(bytes);
	pack_path(&g->name, path);
	fd = openat(packs, path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(io_pread(fd, g->bytes, bytes, 0), 0);
	close(fd);
	close(packs);
	assert_int_equal(pack_head_bytes(&g->name, bytes,
					 g->bytes + bytes - PACK_TAIL_BYTES,
					 &g->head_len),
			 0);
	snprintf(root, sizeof(root), "%s/sparse", g->f->dir);
	g->sparse_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(g->sparse_fd >= 0);
}

static int setup(void **state)
{
	struct ground *g = calloc(1, sizeof(*g));
	struct digest catalog;
	struct store_tree *t;
	struct pack_loc loc;
	void *inner;
	int from;

	assert_non_null(g);
	fixture_setup(&inner);
	g->f = inner;
	from = make_dir(g->f, "from");
	make_text_files(from, 300);
	write_noise(from, "noise", 300000, 7);
	import_dir(g->f, from, "key");
	close(from);
	index_each_entry(store_index(g->f->store), "local", "default", NULL,
			 take_name, &catalog);
	t = open_tree(g->f, &catalog);
	assert_int_equal(store_tree_locate(t, 0, &loc), 0);
	store_tree_unref(t);
	g->name = loc.pack;
	close(make_dir(g->f, "sparse"));
	ground_load(g);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct ground *g = *state;
	void *inner = g->f;

	pack_unref(g->pack);
	free(g->bytes);
	close(g->sparse_fd);
	fixture_teardown(&inner);
	free(g);
	return 0;
}

static const uint8_t *tail_of(const struct ground *g)
{
	return g->bytes + pack_bytes(g->pack) - PACK_TAIL_BYTES;
}

static struct sparse *create(struct ground *g)
{
	struct sparse *sp;

	assert_int_equal(sparse_create(g->sparse_fd, &g->name,
				       pack_bytes(g->pack), g->bytes,
				       g->head_len, tail_of(g), &sp),
			 0);
	return sp;
}

static int put_frame(struct ground *g, struct sparse *sp, uint32_t n)
{
	struct pack_chunk c;
	int r;

	assert_int_equal(pack_chunk_at(g->pack, n, &c), 0);
	r = sparse_put(sp, c.off, g->bytes + c.off, c.len);
	return r < 0 ? r : sparse_mark(sp, &c.off, 1);
}

/* Whether chunk `n` is said to be there, and is. */
static bool frame_is_good(struct ground *g, struct sparse *sp, uint32_t n)
{
	struct codec_ctx *ctx;
	struct pack_chunk c;
	struct digest got;
	uint8_t *out;
	int r;

	assert_int_equal(pack_chunk_at(g->pack, n, &c), 0);
	if (!sparse_has(sp, c.off))
		return false;
	out = malloc(c.size);
	assert_int_equal(codec_ctx_new(&ctx), 0);
	r = pack_read(sparse_pack(sp), ctx, c.off, c.len, c.has_dict, 0, out,
		      c.size);
	codec_ctx_free(ctx);
	if (r == 0)
		assert_int_equal(digest_of(out, c.size, &got), 0);
	free(out);
	return r == 0 && digest_equal(&got, &c.digest);
}

static void put_index(struct ground *g, struct sparse *sp)
{
	uint32_t off = pack_index_off(g->pack);

	assert_int_equal(
		sparse_put(sp, off, g->bytes + off,
			   pack_bytes(g->pack) - PACK_TAIL_BYTES - off),
		0);
}

static void frames_are_there_one_by_one(void **state)
{
	struct ground *g = *state;
	struct sparse *sp = create(g), *again;
	uint32_t n;

	assert_true(pack_chunks(g->pack) > 100);
	for (n = 0; n < 100; n += 3)
		assert_int_equal(put_frame(g, sp, n), 0);
	for (n = 0; n < 100; n++)
		assert_int_equal(frame_is_good(g, sp, n), n % 3 == 0);
	/* The same for who opens it anew. */
	assert_int_equal(sparse_open(g->sparse_fd, &g->name, &again), 0);
	for (n = 0; n < 100; n++)
		assert_int_equal(frame_is_good(g, again, n), n % 3 == 0);
	sparse_unref(again);
	sparse_unref(sp);
}

static void a_dropped_frame_is_gone_for_good(void **state)
{
	struct ground *g = *state;
	struct sparse *sp = create(g);
	struct pack_chunk c;

	assert_int_equal(put_frame(g, sp, 5), 0);
	assert_int_equal(put_frame(g, sp, 6), 0);
	assert_int_equal(pack_chunk_at(g->pack, 5, &c), 0);
	sparse_drop(sp, c.off);
	sparse_unref(sp);
	assert_int_equal(sparse_open(g->sparse_fd, &g->name, &sp), 0);
	assert_false(frame_is_good(g, sp, 5));
	assert_true(frame_is_good(g, sp, 6));
	sparse_unref(sp);
}

static void no_store_takes_it_for_a_pack(void **state)
{
	struct ground *g = *state;
	struct sparse *sp = create(g);
	struct codec_ctx *ctx;
	struct pack *p;

	put_index(g, sp);
	assert_int_equal(put_frame(g, sp, 0), 0);
	assert_int_equal(codec_ctx_new(&ctx), 0);
	assert_int_equal(pack_verify(sparse_pack(sp), ctx, NULL, NULL),
			 -EBADMSG);
	codec_ctx_free(ctx);
	sparse_unref(sp);
	assert_int_equal(count_objects(g->f, "packs", NULL, 0), 1);
	assert_int_equal(pack_open(g->sparse_fd, &g->name, &p), 0);
	pack_unref(p);
}

static void it_becomes_whole(void **state)
{
	struct ground *g = *state;
	int to = make_dir(g->f, "to");
	struct sparse *sp = create(g), *none;
	struct codec_ctx *ctx;
	struct pack *p;
	uint32_t n;

	for (n = 0; n < pack_chunks(g->pack); n++)
		assert_int_equal(put_frame(g, sp, n), 0);
	put_index(g, sp);
	assert_int_equal(codec_ctx_new(&ctx), 0);
	assert_int_equal(pack_verify(sparse_pack(sp), ctx, NULL, NULL), 0);
	assert_int_equal(sparse_finish(sp, to), 0);
	/* It goes on reading, and is under its name. */
	assert_true(frame_is_good(g, sp, 1));
	assert_int_equal(sparse_open(g->sparse_fd, &g->name, &none), -ENOENT);
	assert_int_equal(pack_open(to, &g->name, &p), 0);
	assert_int_equal(pack_verify(p, ctx, NULL, NULL), 0);
	pack_unref(p);
	codec_ctx_free(ctx);
	sparse_unref(sp);
	close(to);
}

/* What was verified cannot be written over, before and behind its publishing. */
static void nothing_is_put_while_frozen(void **state)
{
	struct ground *g = *state;
	int to = make_dir(g->f, "to");
	struct sparse *sp = create(g);
	uint32_t n;

	for (n = 1; n < pack_chunks(g->pack); n++)
		assert_int_equal(put_frame(g, sp, n), 0);
	put_index(g, sp);
	sparse_freeze(sp);
	sparse_freeze(sp);
	assert_int_equal(put_frame(g, sp, 0), -ESTALE);
	sparse_thaw(sp);
	assert_int_equal(put_frame(g, sp, 0), -ESTALE);
	assert_false(frame_is_good(g, sp, 0));
	sparse_thaw(sp);
	assert_int_equal(put_frame(g, sp, 0), 0);
	sparse_freeze(sp);
	assert_int_equal(sparse_finish(sp, to), 0);
	assert_int_equal(put_frame(g, sp, 0), -ESTALE);
	assert_true(frame_is_good(g, sp, 0));
	sparse_unref(sp);
	close(to);
}

/* A file that was put in its place is not published as what was verified. */
static void another_file_is_not_published(void **state)
{
	struct ground *g = *state;
	int to = make_dir(g->f, "to");
	struct sparse *sp = create(g), *other = create(g);
	char path[PACK_PATH_LEN + 1];

	pack_path(&g->name, path);
	assert_int_equal(sparse_finish(sp, to), -ESTALE);
	assert_int_equal(faccessat(to, path, F_OK, 0), -1);
	sparse_unref(sp);
	sparse_unref(other);
	close(to);
}

static void a_damaged_head_is_removed(void **state)
{
	struct ground *g = *state;
	char path[PACK_PATH_LEN + 1];
	struct sparse *sp = create(g);
	uint8_t b = 0x55;
	int fd;

	assert_int_equal(put_frame(g, sp, 0), 0);
	sparse_unref(sp);
	pack_path(&g->name, path);
	fd = openat(g->sparse_fd, path, O_RDWR | O_CLOEXEC);
	assert_int_equal(io_pwrite(fd, &b, 1, 0), 0);
	close(fd);
	assert_int_equal(sparse_open(g->sparse_fd, &g->name, &sp), -ENOENT);
	assert_int_equal(faccessat(g->sparse_fd, path, F_OK, 0), -1);
	/* What is made then has nothing of the old map. */
	sp = create(g);
	assert_false(frame_is_good(g, sp, 0));
	sparse_unref(sp);
}

/* As a power cut may leave it: a map with more than there are bytes. */
static void bits_without_bytes_do_no_harm(void **state)
{
	struct ground *g = *state;
	struct sparse *sp = create(g);
	uint32_t offs[50], n;
	struct pack_chunk c;

	for (n = 0; n < 50; n++) {
		assert_int_equal(pack_chunk_at(g->pack, n, &c), 0);
		offs[n] = c.off;
	}
	assert_int_equal(sparse_mark(sp, offs, 50), 0);
	for (n = 0; n < 50; n++)
		assert_false(frame_is_good(g, sp, n));
	sparse_unref(sp);
}

static void nothing_is_put_outside(void **state)
{
	struct ground *g = *state;
	struct sparse *sp = create(g);
	uint32_t far = UINT32_MAX - 3;

	assert_int_equal(sparse_put(sp, pack_bytes(g->pack) - 1, "ab", 2),
			 -EBADMSG);
	assert_int_equal(sparse_put(sp, far, "ab", 2), -EBADMSG);
	assert_int_equal(sparse_mark(sp, &far, 1), -EBADMSG);
	assert_false(sparse_has(sp, far));
	sparse_drop(sp, far);
	sparse_unref(sp);
}

static void a_head_of_another_is_refused(void **state)
{
	struct ground *g = *state;
	uint64_t bytes = pack_bytes(g->pack);
	uint8_t tail[PACK_TAIL_BYTES];
	uint8_t *head = malloc(g->head_len);
	uint32_t len, i;

	memcpy(head, g->bytes, g->head_len);
	assert_int_equal(pack_check_head(&g->name, bytes, tail_of(g), head), 0);
	head[g->head_len - 1] ^= 1;
	assert_int_equal(pack_check_head(&g->name, bytes, tail_of(g), head),
			 -EBADMSG);
	free(head);
	for (i = 0; i < PACK_TAIL_BYTES - 12; i++) {
		memcpy(tail, tail_of(g), sizeof(tail));
		tail[i] ^= 0x10;
		assert_int_equal(pack_head_bytes(&g->name, bytes, tail, &len),
				 -EBADMSG);
	}
	assert_int_equal(pack_head_bytes(&g->name, bytes + 1, tail_of(g), &len),
			 -EBADMSG);
	assert_int_equal(pack_head_bytes(&g->name, 3, tail_of(g), &len),
			 -EBADMSG);
	assert_int_equal(pack_head_bytes(&g->name, UINT64_MAX, tail_of(g),
					 &len),
			 -EBADMSG);
}

/* --- killed at each point --- */

/* All that is done to a sparse pack, up to its being whole. */
static void live(struct ground *g)
{
	int to = open(g->f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct sparse *sp = create(g);
	uint32_t n;

	for (n = 0; n < pack_chunks(g->pack); n++)
		(void)put_frame(g, sp, n);
	put_index(g, sp);
	(void)sparse_finish(sp, to);
	sparse_unref(sp);
	close(to);
}

/* In a new program, since a process reads LARDER_FAULT once. */
static int live_main(const char *dir, const char *name)
{
	struct fixture f = { 0 };
	struct ground g = { .f = &f };

	snprintf(f.dir, sizeof(f.dir), "%s", dir);
	assert_int_equal(digest_parse(name, &g.name), 0);
	ground_load(&g);
	live(&g);
	pack_unref(g.pack);
	free(g.bytes);
	return 0;
}

/* True where the child was killed at the point. */
static bool live_and_die(struct ground *g, const char *fault)
{
	char hex[DIGEST_HEX_LEN + 1];
	int status;
	pid_t pid;

	digest_hex(&g->name, hex);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		setenv("LARDER_FAULT", fault, 1);
		execl("/proc/self/exe", "test_sparse", g->f->dir, hex, NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	return WIFSIGNALED(status);
}

/* Every frame that is said to be there is good. */
static void check_remains(struct ground *g)
{
	char path[PACK_PATH_LEN + 1];
	struct pack_chunk c;
	struct sparse *sp;
	struct pack *p;
	uint32_t n;
	int at = open(g->f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	r = sparse_open(g->sparse_fd, &g->name, &sp);
	if (r == 0) {
		for (n = 0; n < pack_chunks(g->pack); n++) {
			assert_int_equal(pack_chunk_at(g->pack, n, &c), 0);
			assert_int_equal(frame_is_good(g, sp, n),
					 sparse_has(sp, c.off));
		}
		sparse_unref(sp);
	} else {
		assert_int_equal(r, -ENOENT);
	}
	pack_path(&g->name, path);
	if (pack_open(at, &g->name, &p) == 0) {
		struct codec_ctx *ctx;

		assert_int_equal(codec_ctx_new(&ctx), 0);
		assert_int_equal(pack_verify(p, ctx, NULL, NULL), 0);
		codec_ctx_free(ctx);
		pack_unref(p);
		unlinkat(at, path, 0);
	}
	close(at);
	assert_int_equal(sparse_remove(g->sparse_fd, &g->name), 0);
}

static void killed_anywhere_it_tells_no_lies(void **state)
{
	static const char *const points[] = { "publish.open", "publish.rename",
					      "sparse.made",  "sparse.write",
					      "sparse.map",   "sparse.whole" };
	struct ground *g = *state;
	unsigned killed = 0;

	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
		for (unsigned n = 1; n < 400; n += n < 5 ? 1 : 67) {
			char fault[64];
			bool died;

			snprintf(fault, sizeof(fault), "%s:%u:kill", points[i],
				 n);
			died = live_and_die(g, fault);
			check_remains(g);
			if (!died)
				break;
			killed++;
		}
	assert_true(killed >= 12);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(frames_are_there_one_by_one,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_dropped_frame_is_gone_for_good, setup, teardown),
		cmocka_unit_test_setup_teardown(no_store_takes_it_for_a_pack,
						setup, teardown),
		cmocka_unit_test_setup_teardown(it_becomes_whole, setup,
						teardown),
		cmocka_unit_test_setup_teardown(nothing_is_put_while_frozen,
						setup, teardown),
		cmocka_unit_test_setup_teardown(another_file_is_not_published,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_damaged_head_is_removed,
						setup, teardown),
		cmocka_unit_test_setup_teardown(bits_without_bytes_do_no_harm,
						setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_put_outside, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_head_of_another_is_refused,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			killed_anywhere_it_tells_no_lies, setup, teardown),
	};

	if (argc == 3)
		return live_main(argv[1], argv[2]);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
