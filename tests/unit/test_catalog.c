/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading catalogs: every accessor on the sample tree, what the full check
 * refuses, and that damage of any byte never leads an accessor astray (under
 * AddressSanitizer: never reads outside).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/base/io.h"
#include "store/base/log.h"
#include "store/catalog_format.h"
#include "tests/unit/catalog_model.h"
#include "tests/unit/catalog_walk.h"

struct fixture {
	struct model m;
	struct catalog_build *b;
	struct buf blob;
	struct catalog *c;
	uint8_t *copy; /* to be damaged */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct digest digest;

	log_set_level((enum log_level)0);
	model_sample(&f->m);
	f->b = model_build(&f->m, 0, &f->blob, &digest);
	if (catalog_open_mem(f->blob.data, f->blob.len, CATALOG_CHECK_FULL,
			     &f->c))
		return -1;
	f->copy = malloc(f->blob.len + 8);
	memcpy(f->copy, f->blob.data, f->blob.len);
	memset(f->copy + f->blob.len, 0, 8);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	catalog_unref(f->c);
	catalog_build_free(f->b);
	buf_release(&f->blob);
	model_free(&f->m);
	free(f->copy);
	free(f);
	return 0;
}

static void test_sample_reads_back(void **state)
{
	struct fixture *f = *state;
	struct catalog_info info;
	const void *bytes;
	size_t len;

	model_check(&f->m, f->b, f->c);
	assert_int_equal(catalog_walk(f->c), 0);
	catalog_info(f->c, &info);
	assert_int_equal(info.files, 11);
	assert_int_equal(info.dirs, 24);
	assert_int_equal(info.symlinks, 2);
	assert_int_equal(info.others, 4);
	assert_int_equal(info.chunks, 3);
	assert_int_equal(info.bytes, (UINT64_C(1) << 40) + (5 << 20) +
					     2 * model_chunk_len(3) +
					     2 * model_chunk_len(4) +
					     model_chunk_len(9));
	assert_int_equal(info.blob_bytes, f->blob.len);
	bytes = catalog_bytes(f->c, &len);
	assert_int_equal(len, f->blob.len);
	assert_memory_equal(bytes, f->blob.data, len);
}

static void test_open_maps_a_file(void **state)
{
	struct fixture *f = *state;
	int fd = memfd_create("test_catalog", MFD_CLOEXEC);
	struct catalog *c;

	assert_true(fd >= 0);
	assert_int_equal(catalog_open_fd(fd, CATALOG_CHECK_FULL, &c), -EBADMSG);
	assert_int_equal(io_write(fd, f->blob.data, f->blob.len), 0);
	assert_int_equal(catalog_open_fd(fd, CATALOG_CHECK_FULL, &c), 0);
	model_check(&f->m, f->b, c);
	assert_ptr_equal(catalog_ref(c), c);
	catalog_unref(c);
	close(fd);
	assert_int_equal(catalog_walk(c), 0);
	catalog_unref(c);
	catalog_unref(NULL);
}

static void test_names_are_in_byte_order(void **state)
{
	static const char *const want[] = { "\x01\n\xff", "...",   "a",
					    "a b",	  "a\x7f", "a\x80",
					    "linked",	  "tool" };
	struct fixture *f = *state;
	struct catalog_dirent d;
	uint32_t bin, i;

	assert_int_equal(catalog_resolve(f->c, "bin", &bin), 0);
	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		assert_int_equal(catalog_dirent(f->c, bin, i, &d), 0);
		assert_int_equal(d.name_len, strlen(want[i]));
		assert_memory_equal(d.name, want[i], d.name_len);
	}
	assert_int_equal(catalog_dirent(f->c, bin, i, &d), 0);
	assert_int_equal(d.name_len, CATALOG_NAME_MAX);
	assert_int_equal(catalog_dirent(f->c, bin, i + 1, &d), -ENOENT);
}

static void test_numbers_are_breadth_first(void **state)
{
	struct fixture *f = *state;
	struct catalog_inode inode;
	uint32_t ino, linked, next = 2, i;
	struct catalog_dirent d;

	for (i = 0; catalog_dirent(f->c, CATALOG_ROOT, i, &d) == 0; i++)
		assert_int_equal(d.ino, next++);
	assert_int_equal(catalog_resolve(f->c, "index.js", &ino), 0);
	assert_int_equal(catalog_resolve(f->c, "bin/linked", &linked), 0);
	assert_int_equal(ino, linked);
	assert_int_equal(catalog_inode(f->c, ino, &inode), 0);
	assert_int_equal(inode.nlink, 3);
}

static void test_lookup_says_what_is_wrong(void **state)
{
	struct fixture *f = *state;
	char longer[300];
	uint32_t ino;

	memset(longer, 'z', sizeof(longer));
	assert_int_equal(catalog_resolve(f->c, "empty", &ino), 0);
	assert_int_equal(catalog_lookup(f->c, ino, "a", 1, NULL, NULL),
			 -ENOTDIR);
	assert_int_equal(catalog_lookup(f->c, 1, "bi", 2, NULL, NULL), -ENOENT);
	assert_int_equal(catalog_lookup(f->c, 1, "bin", 3, NULL, NULL), 0);
	assert_int_equal(catalog_lookup(f->c, 1, "binx", 4, NULL, NULL),
			 -ENOENT);
	assert_int_equal(catalog_lookup(f->c, 1, NULL, 0, NULL, NULL), -ENOENT);
	assert_int_equal(catalog_lookup(f->c, 1, longer, 300, NULL, NULL),
			 -ENOENT);
	assert_int_equal(catalog_lookup(f->c, 0, "bin", 3, NULL, NULL),
			 -ENOENT);
	assert_int_equal(catalog_lookup(f->c, 9999, "bin", 3, NULL, NULL),
			 -ENOENT);
}

static void test_resolve_walks_paths(void **state)
{
	struct fixture *f = *state;
	uint32_t lib, ino = 77;

	assert_int_equal(catalog_resolve(f->c, "lib", &lib), 0);
	assert_int_equal(catalog_resolve(f->c, "", &ino), 0);
	assert_int_equal(ino, CATALOG_ROOT);
	assert_int_equal(catalog_resolve(f->c, ".", &ino), 0);
	assert_int_equal(ino, CATALOG_ROOT);
	assert_int_equal(catalog_resolve(f->c, "//./lib/.//", &ino), 0);
	assert_int_equal(ino, lib);
	ino = 77;
	assert_int_equal(catalog_resolve(f->c, "lib/..", &ino), -ENOENT);
	assert_int_equal(catalog_resolve(f->c, "lib/no", &ino), -ENOENT);
	assert_int_equal(catalog_resolve(f->c, "empty/", &ino), -ENOTDIR);
	assert_int_equal(catalog_resolve(f->c, "empty/.", &ino), -ENOTDIR);
	assert_int_equal(catalog_resolve(f->c, "lib/to-tool/x", &ino),
			 -ENOTDIR);
	assert_int_equal(ino, 77);
}

static void test_pieces_by_offset(void **state)
{
	struct fixture *f = *state;
	uint64_t first = model_chunk_len(3), hole = 5 << 20;
	struct catalog_inode inode;
	struct catalog_piece p;
	uint32_t ino;

	assert_int_equal(catalog_resolve(f->c, "bin/tool", &ino), 0);
	assert_int_equal(catalog_inode(f->c, ino, &inode), 0);
	assert_int_equal(catalog_piece_at(f->c, ino, first - 1, &p), 0);
	assert_int_equal(p.off, 0);
	assert_int_equal(p.len, first);
	assert_int_equal(catalog_piece_at(f->c, ino, first, &p), 0);
	assert_int_equal(p.chunk, CATALOG_HOLE);
	assert_int_equal(p.off, first);
	assert_int_equal(p.len, hole);
	assert_int_equal(catalog_piece_at(f->c, ino, inode.size - 1, &p), 0);
	assert_int_equal(p.off, inode.size - first);
	assert_int_equal(catalog_piece_at(f->c, ino, inode.size, &p), -ENOENT);
	assert_int_equal(catalog_piece_at(f->c, ino, UINT64_MAX, &p), -ENOENT);
	assert_int_equal(catalog_piece(f->c, ino, 4, &p), -ENOENT);
	assert_int_equal(catalog_piece(f->c, CATALOG_ROOT, 0, &p), -EINVAL);
	assert_int_equal(catalog_resolve(f->c, "empty", &ino), 0);
	assert_int_equal(catalog_piece(f->c, ino, 0, &p), -ENOENT);
	assert_int_equal(catalog_piece_at(f->c, ino, 0, &p), -ENOENT);
}

static int open_copy(const struct fixture *f, size_t len,
		     enum catalog_check check, struct catalog **ret)
{
	return catalog_open_mem(f->copy, len, check, ret);
}

static void test_any_other_length_is_refused(void **state)
{
	struct fixture *f = *state;
	struct catalog *c;
	size_t len;

	for (len = 0; len < f->blob.len; len++)
		assert_int_equal(open_copy(f, len, CATALOG_CHECK_HEADER, &c),
				 -EBADMSG);
	assert_int_equal(open_copy(f, len + 8, CATALOG_CHECK_HEADER, &c),
			 -EBADMSG);
	assert_int_equal(open_copy(f, len, CATALOG_CHECK_HEADER, &c), 0);
	catalog_unref(c);
}

static void test_newer_format_is_stale(void **state)
{
	struct fixture *f = *state;
	struct catalog_header_rec *h = (void *)f->copy;
	struct catalog *c;

	le32_put(h->version, CATALOG_VERSION + 1);
	assert_int_equal(open_copy(f, f->blob.len, CATALOG_CHECK_FULL, &c),
			 -ESTALE);
	assert_int_equal(open_copy(f, CATALOG_HEADER_BYTES, CATALOG_CHECK_FULL,
				   &c),
			 -ESTALE);
	le32_put(h->version, 0);
	assert_int_equal(open_copy(f, f->blob.len, CATALOG_CHECK_FULL, &c),
			 -EBADMSG);
}

/* One damaged byte: refused, or whole. Fields that may have any value (times,
 * owners, permissions, digests, letters of names) pass the check. */
static bool damaged_passes(const struct fixture *f)
{
	struct catalog *c;
	bool passes;
	int err;

	err = open_copy(f, f->blob.len, CATALOG_CHECK_FULL, &c);
	passes = err == 0;
	assert_true(passes || err == -EBADMSG || err == -ESTALE);
	if (passes) {
		assert_int_equal(catalog_walk(c), 0);
		catalog_unref(c);
	}
	if (open_copy(f, f->blob.len, CATALOG_CHECK_HEADER, &c) == 0) {
		catalog_walk(c);
		catalog_unref(c);
	}
	return passes;
}

static void test_damage_of_each_byte_is_survived(void **state)
{
	static const uint8_t damage[] = { 0x01, 0x80, 0xff, 0x20 };
	struct fixture *f = *state;
	size_t i, k;

	for (i = 0; i < f->blob.len; i++)
		for (k = 0; k < sizeof(damage); k++) {
			f->copy[i] ^= damage[k];
			damaged_passes(f);
			f->copy[i] ^= damage[k];
		}
	assert_memory_equal(f->copy, f->blob.data, f->blob.len);
}

static void test_full_check_knows_every_structural_byte(void **state)
{
	struct fixture *f = *state;
	struct catalog_layout l;
	struct catalog_blob b;
	size_t i;

	assert_int_equal(catalog_blob_init(f->copy, f->blob.len, &b), 0);
	catalog_layout_of(&b.h, &l);
	for (i = 0; i < f->blob.len; i++) {
		bool free_value = false;

		if (i >= l.inodes && i < l.dirents) {
			size_t at = (i - l.inodes) % sizeof(*b.inodes);
			const struct catalog_inode_rec *r =
				&b.inodes[(i - l.inodes) / sizeof(*r)];
			uint32_t type = le32_get(r->mode) & S_IFMT;

			/* mode, owner, time, rdev */
			free_value = at < 4 || (at >= 8 && at < 16) ||
				     (at >= 24 && at < 36) ||
				     (at >= 40 && at < 44 &&
				      (type == S_IFCHR || type == S_IFBLK));
		}
		/* A name may become another that is in the heap. */
		if (i >= l.dirents && i < l.pieces)
			free_value = (i - l.dirents) % sizeof(*b.dirents) < 5;
		if (i >= l.chunks && i < l.xattrs)
			free_value = (i - l.chunks) % sizeof(*b.chunks) <
				     DIGEST_LEN;
		if (i >= l.names)
			free_value = true;
		f->copy[i] ^= 0x40;
		assert_true(!damaged_passes(f) || free_value);
		f->copy[i] ^= 0x40;
	}
}

/* Damage that single bytes do not make. */
static struct catalog_inode_rec *copy_inode(const struct fixture *f,
					    const char *path)
{
	uint32_t ino;

	assert_int_equal(catalog_resolve(f->c, path, &ino), 0);
	return (struct catalog_inode_rec *)(void *)(f->copy +
						    CATALOG_HEADER_BYTES) +
	       ino - 1;
}

static struct catalog_dirent_rec *copy_dirent(const struct fixture *f,
					      const char *dir, uint32_t index)
{
	struct catalog_blob b;

	assert_int_equal(catalog_blob_init(f->copy, f->blob.len, &b), 0);
	return (struct catalog_dirent_rec *)b.dirents +
	       le32_get(copy_inode(f, dir)->b) + index;
}

static void assert_refused(const struct fixture *f)
{
	assert_false(damaged_passes(f));
	memcpy(f->copy, f->blob.data, f->blob.len);
}

static void swap_bytes(void *a, void *b, size_t len)
{
	uint8_t *pa = a, *pb = b;

	while (len-- > 0) {
		uint8_t kept = *pa;

		*pa++ = *pb;
		*pb++ = kept;
	}
}

static void test_swapped_dirents_are_refused(void **state)
{
	struct fixture *f = *state;
	struct catalog_dirent_rec *d = copy_dirent(f, "bin", 2);

	swap_bytes(&d[0], &d[1], sizeof(*d));
	assert_refused(f);
	/* Names in order and numbers not. */
	swap_bytes(d[0].ino, d[1].ino, 4);
	assert_refused(f);
	/* The same name twice. */
	memcpy(d[1].name, d[0].name, 5);
	assert_refused(f);
}

static void test_circles_are_refused(void **state)
{
	struct fixture *f = *state;
	struct catalog_dirent_rec *d = copy_dirent(f, "lib/deep/deep", 0);
	struct catalog *c;
	uint32_t ino;

	le32_put(d->ino, 1);
	assert_refused(f);
	le32_put(d->ino, catalog_resolve(f->c, "lib", &ino) ? 0 : ino);
	assert_int_equal(open_copy(f, f->blob.len, CATALOG_CHECK_HEADER, &c),
			 0);
	assert_int_equal(catalog_resolve(c, "lib/deep/deep/deep/deep/deep/deep",
					 &ino),
			 0);
	catalog_unref(c);
	assert_refused(f);
}

static void test_lies_about_content_are_refused(void **state)
{
	struct fixture *f = *state;
	struct catalog_inode_rec *r = copy_inode(f, "hole");
	struct catalog_blob b;
	struct catalog_piece_rec *p;

	le64_put(r->size, UINT64_MAX);
	assert_refused(f);
	le64_put(r->size, 0);
	assert_refused(f);
	le32_put(r->a, 0);
	assert_refused(f);
	le32_put(r->a, UINT32_MAX);
	assert_refused(f);
	le32_put(copy_inode(f, "index.js")->b, 77);
	assert_refused(f);
	le32_put(copy_inode(f, "index.js")->b, CATALOG_HOLE);
	assert_refused(f);

	assert_int_equal(catalog_blob_init(f->copy, f->blob.len, &b), 0);
	p = (struct catalog_piece_rec *)b.pieces;
	le32_put(p[0].chunk, CATALOG_HOLE); /* a hole before a hole */
	assert_refused(f);
	swap_bytes(p[0].end, p[1].end, 8);
	assert_refused(f);
	le64_put(p[1].end, le64_get(p[2].end));
	assert_refused(f);
}

static void test_bad_modes_and_names_are_refused(void **state)
{
	struct fixture *f = *state;
	struct catalog_dirent_rec *d = copy_dirent(f, "bin", 1); /* "..." */
	struct catalog_blob b;
	char *name;

	le32_put(copy_inode(f, "empty")->mode, S_IFREG | 0200000);
	assert_refused(f);
	le32_put(copy_inode(f, "empty")->mode, 0644);
	assert_refused(f);
	le32_put(copy_inode(f, "empty")->mtime_nsec, 1000000000);
	assert_refused(f);

	assert_int_equal(catalog_blob_init(f->copy, f->blob.len, &b), 0);
	name = (char *)b.names + le32_get(d->name);
	name[1] = '/';
	assert_refused(f);
	name[1] = '\0';
	assert_refused(f);
	d->name_len[0] = 2;
	assert_refused(f);
	d->name_len[0] = 0;
	assert_refused(f);
	((char *)b.targets)[0] = '\0';
	assert_refused(f);
}

static void test_wrong_totals_are_refused(void **state)
{
	struct fixture *f = *state;
	struct catalog_header_rec *h = (void *)f->copy;

	swap_bytes(h->files, h->symlinks, 4);
	assert_refused(f);
	le64_put(h->bytes, 0);
	assert_refused(f);
	le32_put(h->dirs, 0);
	le32_put(h->files, le32_get(h->inodes) - 6);
	assert_refused(f);
}

/* Bytes that are no catalog stay their owner's. */
static void test_a_buffer_is_taken(void **state)
{
	_cleanup_buf_ struct buf blob = BUF_INIT;
	struct fixture *f = *state;
	const void *data = NULL;
	struct catalog *c;
	size_t len;

	buf_put(&blob, f->blob.data, f->blob.len);
	data = blob.data;
	blob.data[0] ^= 1;
	assert_int_equal(catalog_take_buf(&blob, CATALOG_CHECK_FULL, &c),
			 -EBADMSG);
	assert_ptr_equal(blob.data, data);
	blob.data[0] ^= 1;
	assert_int_equal(catalog_take_buf(&blob, CATALOG_CHECK_FULL, &c), 0);
	assert_null(blob.data);
	assert_ptr_equal(catalog_bytes(c, &len), data);
	assert_int_equal(len, f->blob.len);
	catalog_unref(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_sample_reads_back),
		TEST(test_open_maps_a_file),
		TEST(test_names_are_in_byte_order),
		TEST(test_numbers_are_breadth_first),
		TEST(test_lookup_says_what_is_wrong),
		TEST(test_resolve_walks_paths),
		TEST(test_pieces_by_offset),
		TEST(test_a_buffer_is_taken),
		TEST(test_any_other_length_is_refused),
		TEST(test_newer_format_is_stale),
		TEST(test_damage_of_each_byte_is_survived),
		TEST(test_full_check_knows_every_structural_byte),
		TEST(test_swapped_dirents_are_refused),
		TEST(test_circles_are_refused),
		TEST(test_lies_about_content_are_refused),
		TEST(test_bad_modes_and_names_are_refused),
		TEST(test_wrong_totals_are_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
