/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making catalogs: the same tree gives the same bytes whatever the order in
 * which its parts come, the bytes are those of the golden file, random trees
 * read back as they were, and what does not make a tree is refused.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>

#include "store/base/io.h"
#include "store/base/log.h"
#include "store/chunker.h"
#include "tests/unit/catalog_model.h"
#include "tests/unit/catalog_walk.h"

#define GOLDEN "tests/golden/catalog-1.bin"
#define GOLDEN_DIGEST \
	"7ad7c359020add95badfabccc362093aedf5628b77a354088308d9cbe6d81366"

static const struct catalog_meta dir_meta = { .mode = S_IFDIR | 0755 };
static const struct catalog_meta file_meta = { .mode = S_IFREG | 0644 };

static struct catalog_build *empty_build(void)
{
	struct catalog_build *b;

	assert_int_equal(catalog_build_new(&dir_meta, &b), 0);
	return b;
}

static uint32_t add(struct catalog_build *b, const struct catalog_meta *meta)
{
	uint32_t node;

	assert_int_equal(catalog_build_node(b, meta, &node), 0);
	return node;
}

static int name(struct catalog_build *b, uint32_t parent, const char *text,
		uint32_t node)
{
	return catalog_build_link(b, parent, text, strlen(text), node);
}

static int order(struct catalog_build *b)
{
	const uint32_t *files;
	size_t count;

	return catalog_build_order(b, &files, &count);
}

static void test_golden(void **state)
{
	const char *top = getenv("LARDER_SRCDIR");
	char *path = io_path("%s/%s", top ? top : ".", GOLDEN);
	char hex[DIGEST_HEX_LEN + 1];
	struct buf blob = BUF_INIT;
	struct catalog_build *b;
	struct digest digest;
	struct catalog *c;
	struct model m;
	uint8_t *golden;
	size_t len;

	(void)state;
	assert_int_equal(io_read_file(AT_FDCWD, path, 1 << 20, &golden, &len),
			 0);
	model_sample(&m);
	b = model_build(&m, 0, &blob, &digest);
	assert_int_equal(blob.len, len);
	assert_memory_equal(blob.data, golden, len);
	digest_hex(&digest, hex);
	assert_string_equal(hex, GOLDEN_DIGEST);

	assert_int_equal(catalog_open_mem(golden, len, CATALOG_CHECK_FULL, &c),
			 0);
	model_check(&m, b, c);
	catalog_unref(c);
	catalog_build_free(b);
	buf_release(&blob);
	model_free(&m);
	free(golden);
	free(path);
}

/* Builds in another order and compares with `want`. */
static void check_same_bytes(struct model *m, uint64_t seed,
			     const struct buf *want,
			     const struct digest *want_digest)
{
	struct buf blob = BUF_INIT;
	struct digest digest;
	struct catalog_build *b = model_build(m, seed, &blob, &digest);

	assert_int_equal(blob.len, want->len);
	assert_memory_equal(blob.data, want->data, want->len);
	assert_true(digest_equal(&digest, want_digest));
	catalog_build_free(b);
	buf_release(&blob);
}

static void check_model(struct model *m, uint64_t seed)
{
	struct buf blob = BUF_INIT;
	struct digest digest, again;
	struct catalog_build *b = model_build(m, 0, &blob, &digest);
	struct catalog *c;

	assert_int_equal(catalog_open_mem(blob.data, blob.len,
					  CATALOG_CHECK_FULL, &c),
			 0);
	model_check(m, b, c);
	assert_int_equal(catalog_walk(c), 0);
	assert_int_equal(digest_of(blob.data, blob.len, &again), 0);
	assert_true(digest_equal(&digest, &again));
	catalog_unref(c);
	catalog_build_free(b);
	check_same_bytes(m, seed + 1, &blob, &digest);
	check_same_bytes(m, seed + 2, &blob, &digest);
	buf_release(&blob);
}

static void test_sample_in_any_order_is_the_same_bytes(void **state)
{
	struct model m;
	uint64_t seed;

	(void)state;
	model_sample(&m);
	for (seed = 1; seed <= 20; seed++)
		check_model(&m, seed * 1000);
	model_free(&m);
}

static void test_random_trees_read_back(void **state)
{
	const char *given = getenv("LARDER_TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) :
				(uint64_t)time(NULL) << 16;
	uint32_t i;

	(void)state;
	printf("# LARDER_TEST_SEED=%llu\n", (unsigned long long)seed);
	for (i = 0; i < 200; i++) {
		struct model m;

		model_init_random(&m, seed + i, 1 + (seed + i * 7) % 300);
		check_model(&m, seed + i);
		model_free(&m);
	}
}

static void test_root_alone_is_a_tree(void **state)
{
	struct catalog_build *b = empty_build();
	struct buf blob = BUF_INIT;
	struct catalog_inode root;
	struct digest digest;
	struct catalog *c;
	char *path;

	(void)state;
	assert_int_equal(order(b), 0);
	path = catalog_build_path(b, CATALOG_BUILD_ROOT);
	assert_string_equal(path, "");
	free(path);
	assert_int_equal(catalog_build_ino(b, CATALOG_BUILD_ROOT), 0);
	assert_int_equal(catalog_build_finish(b, &blob, &digest), 0);
	assert_int_equal(catalog_build_ino(b, CATALOG_BUILD_ROOT), 1);
	assert_int_equal(catalog_build_ino(b, 1), 0);
	assert_int_equal(blob.len, 128 + 64);
	assert_int_equal(catalog_open_mem(blob.data, blob.len,
					  CATALOG_CHECK_FULL, &c),
			 0);
	assert_int_equal(catalog_inode(c, CATALOG_ROOT, &root), 0);
	assert_int_equal(root.parent, CATALOG_ROOT);
	assert_int_equal(root.nlink, 2);
	catalog_unref(c);
	buf_release(&blob);
	catalog_build_free(b);
}

static void test_order_is_depth_first_by_name(void **state)
{
	static const char *const want[] = { "a", "b/a", "b/c/x", "b/d", "e" };
	struct catalog_build *b = empty_build();
	uint32_t dir_b = add(b, &dir_meta), dir_c = add(b, &dir_meta);
	uint32_t e = add(b, &file_meta), twice = add(b, &file_meta);
	const uint32_t *files;
	size_t count, i;

	(void)state;
	assert_int_equal(name(b, 0, "f", twice), 0);
	assert_int_equal(name(b, 0, "e", e), 0);
	assert_int_equal(name(b, dir_c, "x", add(b, &file_meta)), 0);
	assert_int_equal(name(b, dir_b, "d", twice), 0);
	assert_int_equal(name(b, dir_b, "c", dir_c), 0);
	assert_int_equal(name(b, 0, "b", dir_b), 0);
	assert_int_equal(name(b, dir_b, "a", add(b, &file_meta)), 0);
	assert_int_equal(name(b, 0, "a", add(b, &file_meta)), 0);
	assert_int_equal(catalog_build_order(b, &files, &count), 0);
	assert_int_equal(count, 5);
	for (i = 0; i < count; i++) {
		char *path = catalog_build_path(b, files[i]);

		assert_string_equal(path, want[i]);
		free(path);
	}
	catalog_build_free(b);
}

/* Deep enough to break a walk that recurses or a path that is limited. */
static void test_deep_tree(void **state)
{
	enum { DEPTH = 200000 };
	struct catalog_build *b = empty_build();
	uint32_t dir = CATALOG_BUILD_ROOT, i;
	struct buf blob = BUF_INIT;
	struct catalog_inode inode;
	struct digest digest;
	struct catalog *c;
	char *path;

	(void)state;
	for (i = 0; i < DEPTH; i++) {
		uint32_t below = add(b, &dir_meta);

		assert_int_equal(name(b, dir, "d", below), 0);
		dir = below;
	}
	assert_int_equal(order(b), 0);
	path = catalog_build_path(b, dir);
	assert_int_equal(strlen(path), 2 * DEPTH - 1);
	assert_int_equal(catalog_build_finish(b, &blob, &digest), 0);
	assert_int_equal(catalog_open_mem(blob.data, blob.len,
					  CATALOG_CHECK_FULL, &c),
			 0);
	assert_int_equal(catalog_resolve(c, path, &i), 0);
	assert_int_equal(i, DEPTH + 1);
	assert_int_equal(catalog_inode(c, i, &inode), 0);
	assert_int_equal(inode.parent, DEPTH);
	free(path);
	catalog_unref(c);
	buf_release(&blob);
	catalog_build_free(b);
}

static void test_name_twice_is_found_in_order(void **state)
{
	struct catalog_build *b = empty_build();
	uint32_t dir = add(b, &dir_meta);

	(void)state;
	assert_int_equal(name(b, 0, "dir", dir), 0);
	assert_int_equal(name(b, dir, "x", add(b, &file_meta)), 0);
	assert_int_equal(name(b, 0, "x", add(b, &file_meta)), 0);
	assert_int_equal(name(b, dir, "x", add(b, &dir_meta)), 0);
	assert_int_equal(order(b), -EEXIST);
	assert_int_equal(order(b), -EINVAL);
	catalog_build_free(b);
}

static void test_nodes_outside_the_tree_are_refused(void **state)
{
	struct catalog_build *b = empty_build();
	struct buf blob = BUF_INIT;
	struct digest digest;
	uint32_t x, y;

	(void)state;
	add(b, &file_meta);
	assert_int_equal(order(b), -EINVAL);
	assert_int_equal(catalog_build_finish(b, &blob, &digest), -EINVAL);
	catalog_build_free(b);

	b = empty_build();
	x = add(b, &dir_meta);
	y = add(b, &dir_meta);
	assert_int_equal(name(b, x, "y", y), 0);
	assert_int_equal(name(b, y, "x", x), 0);
	assert_int_equal(name(b, y, "twice", add(b, &file_meta)), 0);
	assert_int_equal(order(b), -EINVAL);
	assert_null(catalog_build_path(b, x));
	catalog_build_free(b);

	b = empty_build();
	x = add(b, &dir_meta);
	assert_int_equal(name(b, x, "self", x), 0);
	assert_int_equal(order(b), -EINVAL);
	catalog_build_free(b);
}

static void test_bad_names_are_refused(void **state)
{
	static const char *const bad[] = { "", ".", "..", "a/b", "/" };
	struct catalog_build *b = empty_build();
	uint32_t file = add(b, &file_meta), dir = add(b, &dir_meta);
	char longer[CATALOG_NAME_MAX + 2];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(name(b, 0, bad[i], file), -EINVAL);
	assert_int_equal(catalog_build_link(b, 0, "a\0b", 3, file), -EINVAL);
	memset(longer, 'x', sizeof(longer));
	longer[CATALOG_NAME_MAX + 1] = '\0';
	assert_int_equal(name(b, 0, longer, file), -ENAMETOOLONG);
	assert_int_equal(name(b, 0, longer + 1, file), 0);

	assert_int_equal(name(b, file, "x", dir), -EINVAL);
	assert_int_equal(name(b, 0, "root", CATALOG_BUILD_ROOT), -EINVAL);
	assert_int_equal(name(b, 0, "none", 99), -EINVAL);
	assert_int_equal(name(b, 99, "none", file), -EINVAL);
	assert_int_equal(name(b, 0, "dir", dir), 0);
	assert_int_equal(name(b, 0, "dir2", dir), -EINVAL);
	assert_int_equal(order(b), 0);
	assert_int_equal(name(b, 0, "late", file), -EINVAL);
	catalog_build_free(b);
}

static void test_bad_nodes_are_refused(void **state)
{
	struct catalog_build *b = empty_build();
	static char big[CATALOG_XATTR_MAX + 1];
	char target[CATALOG_SYMLINK_MAX + 1];
	struct catalog_meta meta = file_meta;
	uint32_t node = 77;

	(void)state;
	memset(target, 't', sizeof(target));
	assert_int_equal(catalog_build_new(&file_meta, &b), -EINVAL);
	meta.mode = 0644;
	assert_int_equal(catalog_build_node(b, &meta, &node), -EINVAL);
	meta.mode = S_IFREG | 0x10000;
	assert_int_equal(catalog_build_node(b, &meta, &node), -EINVAL);
	meta = file_meta;
	meta.mtime_nsec = 1000000000;
	assert_int_equal(catalog_build_node(b, &meta, &node), -EINVAL);
	meta = file_meta;
	meta.target = target;
	meta.target_len = 1;
	assert_int_equal(catalog_build_node(b, &meta, &node), -EINVAL);
	meta.mode = S_IFLNK | 0777;
	meta.target_len = 0;
	assert_int_equal(catalog_build_node(b, &meta, &node), -EINVAL);
	meta.target_len = CATALOG_SYMLINK_MAX + 1;
	assert_int_equal(catalog_build_node(b, &meta, &node), -ENAMETOOLONG);
	target[7] = '\0';
	meta.target_len = CATALOG_SYMLINK_MAX;
	assert_int_equal(catalog_build_node(b, &meta, &node), -EINVAL);
	meta = file_meta;
	meta.xattrs = big;
	meta.xattrs_len = sizeof(big);
	assert_int_equal(catalog_build_node(b, &meta, &node), -EFBIG);
	assert_int_equal(node, 77);
	catalog_build_free(b);
}

static void refuse_xattrs(const void *data, size_t len)
{
	struct catalog_build *b = empty_build();
	struct catalog_meta meta = file_meta;
	uint32_t node;

	meta.xattrs = data;
	meta.xattrs_len = len;
	assert_int_equal(catalog_build_node(b, &meta, &node), -EINVAL);
	catalog_build_free(b);
}

static void test_bad_xattrs_are_refused(void **state)
{
	(void)state;
	refuse_xattrs("\1\0\0\0\0", 5);			 /* torn */
	refuse_xattrs("\1\0\0\0\0\0", 6);		 /* no name */
	refuse_xattrs("\0\0\0\0\0\0", 6);		 /* empty name */
	refuse_xattrs("\1\0\2\0\0\0av", 8);		 /* short */
	refuse_xattrs("\1\0\0\0\0\0\0", 7);		 /* a NUL */
	refuse_xattrs("\1\0\0\0\0\0b\1\0\0\0\0\0a", 14); /* order */
	refuse_xattrs("\1\0\0\0\0\0a\1\0\0\0\0\0a", 14); /* twice */
	refuse_xattrs("\1\0\377\377\377\377a", 7);	 /* overflow */
}

static void test_bad_pieces_are_refused(void **state)
{
	struct catalog_build *b = empty_build();
	uint32_t file = add(b, &file_meta);
	struct digest d = model_digest(1);
	struct buf blob = BUF_INIT;

	(void)state;
	assert_int_equal(name(b, 0, "f", file), 0);
	assert_int_equal(catalog_build_piece(b, file, &d, 0), -EINVAL);
	assert_int_equal(catalog_build_piece(b, file, NULL, 0), -EINVAL);
	assert_int_equal(catalog_build_piece(b, file, &d, CHUNK_MAX + 1),
			 -EINVAL);
	assert_int_equal(catalog_build_piece(b, 0, &d, 1), -EINVAL);
	assert_int_equal(catalog_build_piece(b, 99, &d, 1), -EINVAL);
	assert_int_equal(catalog_build_piece(b, file, &d, CHUNK_MAX), 0);
	assert_int_equal(catalog_build_piece(b, file, &d, 1), -EINVAL);
	assert_int_equal(catalog_build_piece(b, file, NULL, INT64_MAX), -EFBIG);
	assert_int_equal(
		catalog_build_piece(b, file, NULL, INT64_MAX - CHUNK_MAX), 0);
	assert_int_equal(catalog_build_piece(b, file, NULL, 1), -EFBIG);
	assert_int_equal(order(b), 0);
	assert_int_equal(catalog_build_finish(b, &blob, &d), 0);
	assert_int_equal(catalog_build_piece(b, file, &d, 1), -EINVAL);
	assert_int_equal(catalog_build_finish(b, &blob, &d), -EINVAL);
	buf_release(&blob);
	catalog_build_free(b);
	catalog_build_free(NULL);
}

static void test_equal_things_are_there_once(void **state)
{
	struct catalog_build *b = empty_build();
	uint32_t dir = add(b, &dir_meta), i;
	struct digest d = model_digest(1);
	struct catalog_meta meta = file_meta;
	struct buf blob = BUF_INIT;

	(void)state;
	assert_int_equal(name(b, 0, "name8888", dir), 0);
	meta.xattrs = "\1\0\1\0\0\0av";
	meta.xattrs_len = 8;
	for (i = 0; i < 2; i++) {
		uint32_t file = add(b, &meta);

		assert_int_equal(name(b, dir, i ? "name8888" : "x", file), 0);
		assert_int_equal(catalog_build_piece(b, file, &d, 5), 0);
	}
	assert_int_equal(order(b), 0);
	assert_int_equal(catalog_build_finish(b, &blob, &d), 0);
	/* header, inodes, dirents, chunk, xattr set, names, set's bytes */
	assert_int_equal(blob.len, 128 + 4 * 64 + 40 + 40 + 8 + 16 + 8);
	buf_release(&blob);
	catalog_build_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_sample_in_any_order_is_the_same_bytes),
		cmocka_unit_test(test_random_trees_read_back),
		cmocka_unit_test(test_root_alone_is_a_tree),
		cmocka_unit_test(test_order_is_depth_first_by_name),
		cmocka_unit_test(test_deep_tree),
		cmocka_unit_test(test_name_twice_is_found_in_order),
		cmocka_unit_test(test_nodes_outside_the_tree_are_refused),
		cmocka_unit_test(test_bad_names_are_refused),
		cmocka_unit_test(test_bad_nodes_are_refused),
		cmocka_unit_test(test_bad_xattrs_are_refused),
		cmocka_unit_test(test_bad_pieces_are_refused),
		cmocka_unit_test(test_equal_things_are_there_once),
	};

	log_set_level((enum log_level)0);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
