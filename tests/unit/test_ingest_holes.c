/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Zeros that need not be read: a source that tells its holes, whatever part of
 * them, gives the same tree as one that tells none, and is hardly read there.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>

#include "store/hole.h"
#include "store/ingest_internal.h"
#include "tree_fixture.h"

#define MIB (UINT64_C(1) << 20)

static const struct catalog_meta plain_dir = { .mode = S_IFDIR | 0755 };
static const struct catalog_meta plain_file = { .mode = S_IFREG | 0644 };

/* --- one file from memory --- */

struct sparse {
	uint8_t *data;
	uint64_t len;
	unsigned tell;	    /* of a hole, one part in so many; 0: nothing */
	uint64_t read;	    /* bytes given out */
	uint64_t expected;  /* what the ingest is told */
	uint64_t hole_asks; /* questions answered with a length */
};

static int sparse_open(void *ctx, uint64_t cookie, void **ret_handle)
{
	(void)cookie;
	*ret_handle = ctx;
	return 0;
}

static ssize_t sparse_read(void *handle, void *buf, size_t len, uint64_t off)
{
	struct sparse *s = handle;
	uint64_t n = off < s->len ? s->len - off : 0;

	n = n < len ? n : len;
	if (n > 0)
		memcpy(buf, s->data + off, n);
	s->read += n;
	return (ssize_t)n;
}

static uint64_t sparse_hole(void *handle, uint64_t off)
{
	struct sparse *s = handle;
	uint64_t n = 0;

	if (s->tell == 0)
		return 0;
	while (off + n < s->len && s->data[off + n] == 0)
		n++;
	n /= s->tell;
	s->hole_asks += n > 0;
	return n;
}

static int sparse_close(void *ctx, uint64_t cookie, void *handle, uint64_t got)
{
	struct sparse *s = handle;

	(void)ctx;
	(void)cookie;
	return got == s->len || got == s->expected + 1 ? 0 : -ESTALE;
}

static const struct ingest_loader sparse_loader = {
	.open = sparse_open,
	.read = sparse_read,
	.hole = sparse_hole,
	.close = sparse_close,
};

static struct digest ingest_sparse(struct fixture *f, struct sparse *s)
{
	struct ingest_result res;
	const uint32_t *files;
	struct ingest *in;
	uint32_t node;
	size_t count;

	s->read = 0;
	assert_int_equal(ingest_new(f->store, &plain_dir, NULL, &in), 0);
	assert_int_equal(
		catalog_build_node(ingest_build(in), &plain_file, &node), 0);
	assert_int_equal(catalog_build_link(ingest_build(in),
					    CATALOG_BUILD_ROOT, "f", 1, node),
			 0);
	assert_int_equal(catalog_build_order(ingest_build(in), &files, &count),
			 0);
	assert_int_equal(
		ingest_load(in, node, &sparse_loader, s, 0, s->expected), 0);
	assert_int_equal(ingest_commit(in, NULL, &res), 0);
	ingest_free(in);
	return res.catalog;
}

/* All ways of telling give what telling nothing gives. */
static void assert_same_however(struct fixture *f, struct sparse *s)
{
	struct digest plain, told;

	s->tell = 0;
	plain = ingest_sparse(f, s);
	for (s->tell = 1; s->tell <= 3; s->tell++) {
		told = ingest_sparse(f, s);
		assert_true(digest_equal(&plain, &told));
	}
}

/* Runs of noise and of zeros, of all lengths that a chunk may have and more.
 */
static void random_layouts(void **state)
{
	struct fixture *f = *state;
	struct sparse s = { .data = malloc(24 * MIB) };
	unsigned turn;

	assert_non_null(s.data);
	for (turn = 0; turn < 12; turn++) {
		uint64_t at = 0;
		unsigned k = 0;

		s.len = 3 * MIB + (uint64_t)(turn * 7919 * 293) % (20 * MIB);
		s.expected = s.len;
		memset(s.data, 0, s.len);
		while (at < s.len) {
			uint64_t n = (turn * 131 + k * 977) * UINT64_C(7001) %
				     (k % 2 ? 9 * MIB : MIB);

			n = n < s.len - at ? n : s.len - at;
			if ((k + turn) % 2)
				fill_noise(s.data + at, n, turn * 100 + k);
			at += n + 1;
			k++;
		}
		assert_same_however(f, &s);
	}
	free(s.data);
}

/* The edges: a hole as long as the largest chunk and one byte less and more,
 * at the beginning, in the middle and at the end. */
static void edges(void **state)
{
	static const uint64_t lengths[] = { CHUNK_MAX - 1, CHUNK_MAX,
					    CHUNK_MAX + 1, 2 * CHUNK_MAX,
					    4 * CHUNK_MAX + 1 };
	struct fixture *f = *state;
	struct sparse s = { .data = malloc(24 * MIB) };
	unsigned i, place;

	assert_non_null(s.data);
	for (i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		for (place = 0; place < 4; place++) {
			uint64_t before = place == 1 || place == 2 ? 700001 : 0;
			uint64_t after = place == 0 || place == 2 ? 2500000 : 0;

			s.len = before + lengths[i] + after;
			s.expected = s.len;
			memset(s.data, 0, s.len);
			fill_noise(s.data, before, i);
			fill_noise(s.data + before + lengths[i], after, i + 9);
			assert_same_however(f, &s);
		}
	}
	free(s.data);
}

/* One that was taken for small is cut where results come back. */
static void one_that_grew(void **state)
{
	struct fixture *f = *state;
	struct sparse s = { .data = calloc(1, 20 * MIB), .len = 20 * MIB };
	uint64_t all;

	assert_non_null(s.data);
	s.expected = 1000;
	fill_noise(s.data + 19 * MIB, MIB, 3);
	assert_same_however(f, &s);
	s.tell = 0;
	ingest_sparse(f, &s);
	all = s.read;
	s.tell = 1;
	ingest_sparse(f, &s);
	assert_true(s.hole_asks > 0 && s.read < all / 2);
	free(s.data);
}

/* --- directories and tars --- */

/* `len` bytes of which few are data; `dense`: without a hole. */
static void make_sparse_file(int dir, const char *name, uint64_t len,
			     bool dense)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL, 0644);
	uint8_t noise[5000];

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	if (dense)
		for (uint64_t at = 0; at < len; at += 4096)
			assert_int_equal(pwrite(fd, "", 1, (off_t)at), 1);
	fill_noise(noise, sizeof(noise), 4);
	assert_int_equal(pwrite(fd, noise, 5000, (off_t)(len / 3)), 5000);
	assert_int_equal(pwrite(fd, noise, 5000, (off_t)(len - 5000)), 5000);
	close(fd);
}

static void set_times(int dir, const char *name)
{
	const struct timespec times[] = { { 1, 2 }, { 1, 2 } };

	assert_int_equal(utimensat(dir, name, times, 0), 0);
}

/* Whether the file system has a hole where the file begins with one. */
static bool knows_holes(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY);
	off_t data = lseek(fd, 0, SEEK_DATA);

	close(fd);
	return data > 0;
}

static void directory_with_and_without_holes(void **state)
{
	struct fixture *f = *state;
	struct ingest_result a, b;
	int from = make_dir(f, "from");

	make_sparse_file(from, "f", 30 * MIB, true);
	set_times(from, "f");
	set_times(from, ".");
	a = import_dir(f, from, "dense");
	assert_int_equal(unlinkat(from, "f", 0), 0);
	make_sparse_file(from, "f", 30 * MIB, false);
	set_times(from, "f");
	set_times(from, ".");
	b = import_dir(f, from, "sparse");
	assert_true(digest_equal(&a.catalog, &b.catalog));
	assert_int_equal(a.bytes, 30 * MIB);
	assert_int_equal(b.bytes, 30 * MIB);
	assert_int_equal(a.read_bytes, 30 * MIB);
	if (knows_holes(from, "f"))
		assert_true(b.read_bytes < 20 * MIB);
	close(from);
}

/* Larger than what anybody would wait for. */
static void huge_directory_file(void **state)
{
	struct fixture *f = *state;
	struct ingest_result res;
	struct store_tree *t;
	uint64_t len = UINT64_C(3) << 40;
	int from = make_dir(f, "from");
	int fd = openat(from, "huge", O_RDWR | O_CREAT, 0644);
	bool fits = ftruncate(fd, (off_t)len) == 0 &&
		    pwrite(fd, "end", 3, (off_t)(len - 3)) == 3 &&
		    knows_holes(from, "huge");
	struct catalog_piece p;
	uint32_t ino;

	close(fd);
	if (!fits) {
		close(from);
		skip();
	}
	res = import_dir(f, from, "huge");
	assert_int_equal(res.bytes, len);
	assert_true(res.read_bytes < 20 * MIB);
	t = open_tree(f, &res.catalog);
	assert_int_equal(catalog_resolve(store_tree_catalog(t), "huge", &ino),
			 0);
	assert_int_equal(catalog_piece_at(store_tree_catalog(t), ino, 0, &p),
			 0);
	assert_int_equal(p.chunk, CATALOG_HOLE);
	assert_true(p.len > len - 20 * MIB && p.len < len);
	assert_int_equal(
		catalog_piece_at(store_tree_catalog(t), ino, len - 1, &p), 0);
	assert_true(p.chunk != CATALOG_HOLE);
	assert_int_equal(p.off + p.len, len);
	store_tree_unref(t);
	close(from);
}

/* A tar with one file of `len` bytes, data in its middle and at `at_end`. */
static void write_tar(int fd, uint64_t len, bool sparse, bool at_end)
{
	struct archive *a = archive_write_new();
	struct archive_entry *e = archive_entry_new();
	_cleanup_free_ uint8_t *data = calloc(1, len);
	uint64_t middle = len / 2;

	assert_non_null(data);
	fill_noise(data + middle, 5000, 6);
	if (at_end)
		fill_noise(data + len - 5000, 5000, 7);
	archive_write_set_format_pax(a);
	assert_int_equal(archive_write_open_fd(a, fd), ARCHIVE_OK);
	archive_entry_set_pathname(e, "f");
	archive_entry_set_mode(e, S_IFREG | 0644);
	archive_entry_set_size(e, (la_int64_t)len);
	if (sparse) {
		archive_entry_sparse_add_entry(e, (la_int64_t)middle, 5000);
		if (at_end)
			archive_entry_sparse_add_entry(
				e, (la_int64_t)(len - 5000), 5000);
	}
	assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
	assert_int_equal(archive_write_data(a, data, len), len);
	archive_entry_free(e);
	assert_int_equal(archive_write_free(a), ARCHIVE_OK);
}

static struct ingest_result import_sparse_tar(struct fixture *f, bool sparse,
					      bool at_end)
{
	_cleanup_entry_ struct entry e =
		make_entry(sparse ? "sparse" : "dense");
	struct ingest_result res;
	FILE *tar = tmpfile();

	assert_non_null(tar);
	write_tar(fileno(tar), 30 * MIB, sparse, at_end);
	assert_int_equal(lseek(fileno(tar), 0, SEEK_SET), 0);
	assert_int_equal(ingest_tar(f->store, fileno(tar), "tar", &f->self,
				    NULL, &e, &res),
			 0);
	fclose(tar);
	return res;
}

static void tar_with_and_without_holes(void **state)
{
	struct fixture *f = *state;
	int at_end;

	for (at_end = 0; at_end < 2; at_end++) {
		struct ingest_result a = import_sparse_tar(f, false, at_end);
		struct ingest_result b = import_sparse_tar(f, true, at_end);

		assert_true(digest_equal(&a.catalog, &b.catalog));
		assert_int_equal(a.read_bytes, 30 * MIB);
		assert_true(b.read_bytes < 20 * MIB);
	}
}

/* --- what is a hole --- */

struct stretch {
	uint64_t off, len;
};

/* `file` of `tree` is data at these places, and holes around them. */
static void assert_data_at(struct fixture *f, const struct digest *tree,
			   const char *file, const struct stretch *want,
			   unsigned n)
{
	struct store_tree *t = open_tree(f, tree);
	const struct catalog *c = store_tree_catalog(t);
	struct catalog_piece p;
	unsigned seen = 0;
	uint32_t ino, k;

	assert_int_equal(catalog_resolve(c, file, &ino), 0);
	for (k = 0; catalog_piece(c, ino, k, &p) == 0; k++) {
		if (p.chunk == CATALOG_HOLE)
			continue;
		assert_true(seen < n);
		assert_int_equal(p.off, want[seen].off);
		assert_int_equal(p.len, want[seen].len);
		seen++;
	}
	assert_int_equal(seen, n);
	store_tree_unref(t);
}

static unsigned pieces_of(struct fixture *f, const struct digest *tree,
			  const char *file)
{
	struct store_tree *t = open_tree(f, tree);
	const struct catalog *c = store_tree_catalog(t);
	struct catalog_piece p;
	unsigned n = 0;
	uint32_t ino, k;

	assert_int_equal(catalog_resolve(c, file, &ino), 0);
	for (k = 0; catalog_piece(c, ino, k, &p) == 0; k++)
		n += p.chunk != CATALOG_HOLE;
	store_tree_unref(t);
	return n;
}

static void write_at(int dir, const char *name, uint64_t off, size_t len)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT, 0644);
	uint8_t noise[HOLE_MIN + 2 * HOLE_BLOCK];

	assert_true(fd >= 0 && len <= sizeof(noise));
	fill_noise(noise, len, off + 1);
	assert_int_equal(pwrite(fd, noise, len, (off_t)off), len);
	close(fd);
}

static void set_length(int dir, const char *name, uint64_t len)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT, 0644);

	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	close(fd);
}

/* Whole blocks, in files that fit one chunk and in larger ones. */
static void data_between_holes(void **state)
{
	static const struct stretch large[] = {
		{ 0, HOLE_BLOCK },
		{ 7000 * (uint64_t)HOLE_BLOCK, 2 * HOLE_BLOCK },
		{ 16383 * (uint64_t)HOLE_BLOCK, HOLE_BLOCK },
	};
	static const struct stretch small[] = { { 100 * HOLE_BLOCK,
						  HOLE_BLOCK } };
	static const struct stretch dense[] = { { 0, HOLE_MIN + HOLE_BLOCK } };
	struct fixture *f = *state;
	struct ingest_result res;
	int from = make_dir(f, "from");

	set_length(from, "large", 64 * MIB);
	write_at(from, "large", 0, 10);
	write_at(from, "large", 7000 * (uint64_t)HOLE_BLOCK + 5, HOLE_BLOCK);
	write_at(from, "large", 16383 * (uint64_t)HOLE_BLOCK, HOLE_BLOCK);
	set_length(from, "small", MIB + 77);
	write_at(from, "small", 100 * HOLE_BLOCK, 1);
	/* One block too few between two bytes. */
	write_at(from, "dense", 0, 1);
	write_at(from, "dense", HOLE_MIN + HOLE_BLOCK - 1, 1);
	set_length(from, "zeros", 300);
	res = import_dir(f, from, "key");
	assert_data_at(f, &res.catalog, "large", large, 3);
	assert_data_at(f, &res.catalog, "small", small, 1);
	assert_data_at(f, &res.catalog, "dense", dense, 1);
	assert_data_at(f, &res.catalog, "zeros", NULL, 0);
	close(from);
}

/* One that is as long as can be a chunk, and one byte more, alone and behind a
 * hole: what is cut is a stretch of data, not a file. */
static void stretches_are_cut_as_files(void **state)
{
	struct fixture *f = *state;
	struct sparse s = { .data = malloc(8 * MIB) };
	uint64_t before;
	int more;

	assert_non_null(s.data);
	for (before = 0; before <= HOLE_MIN; before += HOLE_MIN) {
		for (more = 0; more < 2; more++) {
			struct stretch one = { before, CHUNK_MAX };
			struct digest tree;

			s.len = s.expected = before + CHUNK_MAX + more;
			memset(s.data, 0, before);
			fill_noise(s.data + before, CHUNK_MAX + more, 8);
			s.data[before] = 1;
			assert_same_however(f, &s);
			tree = ingest_sparse(f, &s);
			if (!more)
				assert_data_at(f, &tree, "f", &one, 1);
			else
				assert_true(pieces_of(f, &tree, "f") > 1);
		}
	}
	free(s.data);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(random_layouts),
		TEST(edges),
		TEST(one_that_grew),
		TEST(directory_with_and_without_holes),
		TEST(huge_directory_file),
		TEST(tar_with_and_without_holes),
		TEST(data_between_holes),
		TEST(stretches_are_cut_as_files),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
