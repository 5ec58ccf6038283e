/* SPDX-License-Identifier: Apache-2.0 */
/* Opening stores and trees, reading chunks, and what damage does. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tree_fixture.h"

#define PATH_ROOM 700

static void second_opener_is_refused(void **state)
{
	struct fixture *f = *state;
	struct store *other;
	char path[96];
	uint8_t *owner;
	size_t len;

	snprintf(path, sizeof(path), "%s/store", f->dir);
	assert_int_equal(store_open(path, &other), -EBUSY);
	strcat(path, "/v1/owner");
	assert_int_equal(io_read_file(AT_FDCWD, path, 100, &owner, &len), 0);
	assert_int_equal(atol((char *)owner), getpid());
	free(owner);
	reopen_store(f);
}

static void layout_is_made_and_swept(void **state)
{
	struct fixture *f = *state;
	char path[160];
	struct stat st;
	uint8_t *tag;
	size_t len;
	int fd;

	snprintf(path, sizeof(path), "%s/store/v1", f->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
	strcat(path, "/CACHEDIR.TAG");
	assert_int_equal(io_read_file(AT_FDCWD, path, 4096, &tag, &len), 0);
	assert_memory_equal(
		tag, "Signature: 8a477f597d28d172789f06886806bc55\n", 44);
	free(tag);
	snprintf(path, sizeof(path), "%s/store/v1/packs", f->dir);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	write_file(fd, ".tmp-1-1", "left over", 9);
	reopen_store(f);
	assert_int_equal(faccessat(fd, ".tmp-1-1", F_OK, 0), -1);
	close(fd);
}

static struct ingest_result import_small(struct fixture *f)
{
	int from = make_dir(f, "from");
	struct ingest_result res;

	write_file(from, "a", "content of a", 12);
	write_noise(from, "b", 300000, 1);
	write_noise(from, "c", 5u << 20, 2);
	res = import_dir(f, from, "k");
	close(from);
	return res;
}

/* Reads all of "a", "b" and "c"; the first error. */
static int read_all(struct fixture *f, const struct digest *catalog)
{
	static const char *const names[] = { "a", "b", "c" };
	size_t room = 6u << 20, i;
	uint8_t *got = malloc(room), *want = malloc(room);
	struct store_tree *t;
	struct codec_ctx *ctx;
	ssize_t n = 0;
	int r = store_tree_open(f->store, catalog, &t);

	if (r < 0) {
		free(got);
		free(want);
		return r;
	}
	assert_int_equal(codec_ctx_new(&ctx), 0);
	for (i = 0; i < 3 && n >= 0; i++) {
		uint32_t ino;

		assert_int_equal(catalog_resolve(store_tree_catalog(t),
						 names[i], &ino),
				 0);
		n = store_file_read(t, ctx, ino, got, room, 0);
		if (n < 0)
			break;
		if (i == 0) {
			assert_int_equal(n, 12);
			assert_memory_equal(got, "content of a", 12);
			continue;
		}
		assert_int_equal(n, i == 1 ? 300000 : 5 << 20);
		fill_noise(want, n, i);
		assert_int_equal(memcmp(got, want, n), 0);
	}
	codec_ctx_free(ctx);
	store_tree_unref(t);
	free(got);
	free(want);
	return n < 0 ? n : 0;
}

static void tree_is_read_after_a_restart(void **state)
{
	struct fixture *f = *state;
	struct ingest_result res = import_small(f);

	assert_int_equal(read_all(f, &res.catalog), 0);
	reopen_store(f);
	assert_int_equal(read_all(f, &res.catalog), 0);
}

static void open_trees_are_shared(void **state)
{
	struct fixture *f = *state;
	struct ingest_result res = import_small(f);
	struct store_tree *a = open_tree(f, &res.catalog);
	struct store_tree *b = open_tree(f, &res.catalog);
	struct digest none = { { 1 } };

	assert_ptr_equal(a, b);
	assert_ptr_equal(store_tree_ref(a), a);
	assert_ptr_equal(store_tree_store(a), f->store);
	assert_true(digest_equal(store_tree_digest(a), &res.catalog));
	store_tree_unref(a);
	store_tree_unref(a);
	assert_non_null(store_tree_catalog(b));
	store_tree_unref(b);
	assert_int_equal(store_tree_open(f->store, &none, &a), -ENOENT);
}

static void ranges_of_files(void **state)
{
	struct fixture *f = *state;
	struct ingest_result res = import_small(f);
	struct store_tree *t = open_tree(f, &res.catalog);
	size_t size = 5u << 20, off;
	uint8_t *want = malloc(size), *got = malloc(size);
	struct codec_ctx *ctx;
	uint32_t ino;

	fill_noise(want, size, 2);
	assert_int_equal(codec_ctx_new(&ctx), 0);
	assert_int_equal(catalog_resolve(store_tree_catalog(t), "c", &ino), 0);
	for (off = 0; off < size; off += 777777) {
		size_t n = size - off < 900001 ? size - off : 900001;

		assert_int_equal(store_file_read(t, ctx, ino, got, 900001, off),
				 n);
		assert_int_equal(memcmp(got, want + off, n), 0);
	}
	assert_int_equal(store_file_read(t, ctx, ino, got, 1, size), 0);
	assert_int_equal(store_file_read(t, ctx, ino, got, 1, size + 9), 0);
	codec_ctx_free(ctx);
	store_tree_unref(t);
	free(want);
	free(got);
}

/* Each way of damaging an object's file. */
static void damage(const char *path, unsigned way)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	if (way == 0)
		flip_byte(path, st.st_size / 2);
	else if (way == 1)
		flip_byte(path, 0);
	else if (way == 2)
		assert_int_equal(truncate(path, st.st_size / 2), 0);
	else
		assert_int_equal(truncate(path, 0), 0);
}

static void damaged_catalog_is_set_aside(void **state)
{
	struct fixture *f = *state;
	struct ingest_result res = import_small(f);
	char path[PATH_ROOM], kept[200], hex[DIGEST_HEX_LEN + 1];
	unsigned way;

	digest_hex(&res.catalog, hex);
	snprintf(kept, sizeof(kept), "%s/store/v1/quarantine/catalog-%s",
		 f->dir, hex);
	for (way = 0; way < 4; way++) {
		int from;

		assert_int_equal(
			count_objects(f, "catalogs", path, sizeof(path)), 1);
		damage(path, way);
		assert_int_equal(read_all(f, &res.catalog), -EBADMSG);
		assert_int_equal(access(kept, F_OK), 0);
		assert_int_equal(read_all(f, &res.catalog), -ENOENT);
		/* Importing the tree again brings it back. */
		snprintf(path, sizeof(path), "%s/from", f->dir);
		from = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		import_dir(f, from, "k");
		close(from);
		assert_int_equal(read_all(f, &res.catalog), 0);
	}
}

static void damaged_placement_is_made_again(void **state)
{
	struct fixture *f = *state;
	struct ingest_result res = import_small(f);
	char path[PATH_ROOM];
	unsigned way;

	for (way = 0; way < 4; way++) {
		assert_int_equal(
			count_objects(f, "placements", path, sizeof(path)), 1);
		damage(path, way);
		assert_int_equal(read_all(f, &res.catalog), 0);
	}
	assert_int_equal(count_objects(f, "placements", path, sizeof(path)), 1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(read_all(f, &res.catalog), 0);
	assert_int_equal(count_objects(f, "placements", path, sizeof(path)), 1);
}

static void damaged_pack_gives_eio_until_imported_again(void **state)
{
	struct fixture *f = *state;
	struct ingest_result res = import_small(f);
	char path[PATH_ROOM];
	unsigned way;
	int from;

	for (way = 0; way < 5; way++) {
		assert_int_equal(count_objects(f, "packs", path, sizeof(path)),
				 1);
		if (way < 4)
			damage(path, way);
		else
			assert_int_equal(unlink(path), 0);
		reopen_store(f);
		assert_int_equal(read_all(f, &res.catalog), -EIO);
		if (way == 0)
			/* Only a scrub finds this; it puts the pack away. */
			assert_int_equal(unlink(path), 0);
		reopen_store(f);
		snprintf(path, sizeof(path), "%s/from", f->dir);
		from = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		res = import_dir(f, from, "k");
		close(from);
		assert_true(res.new_chunks > 0);
		assert_int_equal(read_all(f, &res.catalog), 0);
	}
}

/* Puts the chunk of "a" into a pack of its own and tells the index. */
static void store_second_copy(struct fixture *f)
{
	_cleanup_buf_ struct buf frame = BUF_INIT;
	struct pack_loc loc = { .has_dict = false };
	struct pack_writer *w;
	struct index_batch *b;
	struct codec_ctx *ctx;
	struct digest digest, other;
	uint64_t bytes;

	assert_int_equal(digest_of("other", 5, &other), 0);
	assert_int_equal(digest_of("content of a", 12, &digest), 0);
	assert_int_equal(codec_ctx_new(&ctx), 0);
	assert_int_equal(
		codec_compress(ctx, NULL, 1, "content of a", 12, &frame), 0);
	codec_ctx_free(ctx);
	assert_int_equal(
		pack_writer_new(store_packs_dirfd(f->store), NULL, 0, &w), 0);
	/* Something before it, for another pack and another offset. */
	assert_int_equal(pack_writer_add(w, &other, 12, false, frame.data,
					 frame.len, &loc.off),
			 0);
	assert_int_equal(pack_writer_add(w, &digest, 12, false, frame.data,
					 frame.len, &loc.off),
			 0);
	assert_int_equal(pack_writer_commit(w, &loc.pack, &bytes), 0);
	pack_writer_free(w);
	loc.len = frame.len;
	assert_int_equal(index_batch_begin(store_index(f->store), &b), 0);
	assert_int_equal(index_put_chunk(b, &digest, &loc), 0);
	assert_int_equal(index_put_pack(b, &loc.pack, bytes, 1), 0);
	assert_int_equal(index_batch_commit(b, false), 0);
}

static void other_copy_is_used(void **state)
{
	struct fixture *f = *state;
	int from = make_dir(f, "from");
	struct ingest_result res;
	struct store_tree *t;
	struct codec_ctx *ctx;
	char path[PATH_ROOM], got[12];
	struct pack_loc loc;

	write_file(from, "a", "content of a", 12);
	res = import_dir(f, from, "k");
	assert_int_equal(count_objects(f, "packs", path, sizeof(path)), 1);
	store_second_copy(f);
	assert_int_equal(unlink(path), 0);
	t = open_tree(f, &res.catalog);
	assert_int_equal(codec_ctx_new(&ctx), 0);
	/* The placement still names the old one. */
	assert_int_equal(store_tree_locate(t, 0, &loc), 0);
	assert_int_equal(store_chunk_read(t, ctx, 0, PACK_READ_NOWAIT, got),
			 -EAGAIN);
	assert_int_equal(store_chunk_read(t, ctx, 0, 0, got), 0);
	assert_memory_equal(got, "content of a", 12);
	assert_int_equal(store_chunk_read(t, ctx, 1, 0, got), -EBADMSG);
	assert_int_equal(store_tree_locate(t, 1, &loc), -EBADMSG);
	codec_ctx_free(ctx);
	store_tree_unref(t);
	close(from);
}

static void entries_are_found_by_reference(void **state)
{
	static const char *const refs[] = {
		"test@first-key",
		"test@first-",
		"test@latest",
		"test@branch:main",
	};
	struct fixture *f = *state;
	int from = make_dir(f, "from");
	struct entry_ref ref;
	struct entry e;
	size_t i;

	import_dir(f, from, "first-key");
	import_dir(f, from, "second-key");
	for (i = 0; i < 4; i++) {
		assert_int_equal(entry_ref_parse(refs[i], &ref), 0);
		assert_int_equal(store_find_entry(f->store, "local", "default",
						  &ref, &e),
				 0);
		assert_string_equal(e.key, i < 2 ? "first-key" : "second-key");
		entry_release(&e);
	}
	assert_int_equal(entry_ref_parse("test@third-key", &ref), 0);
	assert_int_equal(store_find_entry(f->store, "local", "default", &ref,
					  &e),
			 -ENOENT);
	assert_int_equal(entry_ref_parse("test@branch:none", &ref), 0);
	assert_int_equal(store_find_entry(f->store, "local", "default", &ref,
					  &e),
			 -ENOENT);
	close(from);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(second_opener_is_refused),
		TEST(layout_is_made_and_swept),
		TEST(tree_is_read_after_a_restart),
		TEST(open_trees_are_shared),
		TEST(ranges_of_files),
		TEST(damaged_catalog_is_set_aside),
		TEST(damaged_placement_is_made_again),
		TEST(damaged_pack_gives_eio_until_imported_again),
		TEST(other_copy_is_used),
		TEST(entries_are_found_by_reference),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
