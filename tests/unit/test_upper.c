/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log items: what is encoded is decoded, what is no item is refused, and bytes
 * that are nearly a record do no harm when they are replayed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/upper.h"
#include "fs/view.h"
#include "store/base/log.h"

/* A macro, since clang takes no object for a constant. */
/* clang-format off */
#define FILE_META { \
	.ino = VIEW_INO_FIRST + 5, \
	.size = 12345, \
	.atime_sec = -1, \
	.mtime_sec = 1, \
	.ctime_sec = INT64_MAX, \
	.atime_nsec = 999999999, \
	.mtime_nsec = 2, \
	.ctime_nsec = 3, \
	.mode = S_IFREG | 06644, \
	.uid = 1, \
	.gid = 2, \
	.nlink = 3, \
	.rdev = 4, \
	.epoch = 5, \
}
/* clang-format on */

static const struct meta file = FILE_META;

/* One of each type, all of them valid. */
static const struct item samples[] = {
	{ .type = ITEM_INODE, .inode = FILE_META },
	{ .type = ITEM_NAME,
	  .name = { 1, VIEW_INO_FIRST + 5, 7, 8, 5, "hello" } },
	{ .type = ITEM_NAME, .name = { 9, 0, 0, 8, 1, "x" } },
	{ .type = ITEM_NO_NAME,
	  .name = { .parent = 1, .len = 3, .text = "..." } },
	{ .type = ITEM_DATA, .range = { 5, 100, 200, 0xdeadbeef, 0 } },
	{ .type = ITEM_OWN, .range = { 5, 100, 1u << 18, 7, 1u << 20 } },
	{ .type = ITEM_HOLE, .range = { 5, 100, UINT64_MAX, 0, 0 } },
	{ .type = ITEM_EXTENT,
	  .extent = { 5,
		      { .off = 1,
			.len = 2,
			.src_off = 3,
			.src = 4,
			.src_len = 7,
			.slice = 5,
			.crc = 6 } } },
	{ .type = ITEM_TARGET, .blob = { 5, 6, "target" } },
	{ .type = ITEM_XATTRS, .blob = { 5, 0, "" } },
	{ .type = ITEM_XATTRS, .blob = { 5, 9, "\1\0\2\0\0\0avv" } },
	{ .type = ITEM_CONTENT, .content = { 5, 6, 7 } },
	{ .type = ITEM_TREE, .tree = { 3, { { 1, 2, 3 } } } },
	{ .type = ITEM_EPOCH, .epoch = 77 },
	{ .type = ITEM_COMMITTED, .committed = { 1, 2 } },
	{ .type = ITEM_STATE, .state = { VIEW_INO_FIRST, 4, 5, 6 } },
};
#define N_SAMPLES (sizeof(samples) / sizeof(samples[0]))

static void encode(const struct item *item, struct buf *b)
{
	buf_reset(b);
	item_put(b, item);
	assert_int_equal(buf_error(b), 0);
}

static int decode(const void *data, size_t len, struct item *ret_item)
{
	struct cursor c;

	cursor_init(&c, data, len);
	return item_take(&c, ret_item);
}

/* Decoded and encoded again: the same bytes. */
static void test_round_trip(void **state)
{
	_cleanup_buf_ struct buf a = BUF_INIT, b = BUF_INIT;
	struct item item;
	size_t k;

	(void)state;
	for (k = 0; k < N_SAMPLES; k++) {
		encode(&samples[k], &a);
		assert_int_equal(decode(a.data, a.len, &item), 1);
		assert_int_equal(item.type, samples[k].type);
		encode(&item, &b);
		assert_int_equal(a.len, b.len);
		assert_memory_equal(a.data, b.data, a.len);
	}
	assert_int_equal(decode("", 0, &item), 0);
}

static void test_metadata(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct item item;

	(void)state;
	encode(&samples[0], &b);
	assert_int_equal(decode(b.data, b.len, &item), 1);
	assert_int_equal(item.inode.ino, file.ino);
	assert_int_equal(item.inode.size, file.size);
	assert_true(item.inode.atime_sec == -1);
	assert_true(item.inode.ctime_sec == INT64_MAX);
	assert_int_equal(item.inode.mode, file.mode);
	assert_int_equal(item.inode.nlink, 3);
	assert_int_equal(item.inode.epoch, 5);
}

static void test_cut_short(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct item item;
	size_t k, len;

	(void)state;
	for (k = 0; k < N_SAMPLES; k++) {
		encode(&samples[k], &b);
		for (len = 1; len < b.len; len++)
			assert_int_equal(decode(b.data, len, &item), -EBADMSG);
	}
}

static void assert_refused(const struct item *item)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct item got;

	encode(item, &b);
	assert_int_equal(decode(b.data, b.len, &got), -EBADMSG);
}

static void test_outside_limits(void **state)
{
	struct item i = samples[0];
	struct item got;

	(void)state;
	assert_int_equal(decode("\0", 1, &got), -EBADMSG);
	assert_int_equal(decode("\377xxxxxxxxxxxx", 13, &got), -EBADMSG);
	i.inode.mode = S_IFREG | 0200000;
	assert_refused(&i);
	i.inode.mode = 0;
	assert_refused(&i);
	i = samples[0];
	i.inode.mtime_nsec = 1000000000;
	assert_refused(&i);
	i = samples[0];
	i.inode.size = UINT64_MAX;
	assert_refused(&i);
	i = samples[0];
	i.inode.ino = 0;
	assert_refused(&i);

	i = samples[1];
	i.name.text = "a/b";
	i.name.len = 3;
	assert_refused(&i);
	i.name.text = "..";
	i.name.len = 2;
	assert_refused(&i);
	i.name.len = 0;
	assert_refused(&i);
	i = samples[1];
	i.name.ino = 0; /* only an override can be gone */
	assert_refused(&i);

	i = samples[4];
	i.range.len = EXTENT_SOURCE_MAX + 1;
	assert_refused(&i);
	i.range.len = 0;
	assert_refused(&i);
	i = samples[5];
	i.range.off = INT64_MAX;
	assert_refused(&i);
	i = samples[7];
	i.extent.extent.slice = 6; /* reaches beyond its source */
	assert_refused(&i);
	i = samples[8];
	i.blob.len = 0;
	assert_refused(&i);
	i = samples[10];
	i.blob.len = 8;
	assert_refused(&i);
	i = samples[12];
	i.tree.number = UINT32_MAX;
	assert_refused(&i);
}

static void upper_init(struct upper *u)
{
	const struct upper_options opt = { .dirfd = -1 };
	bool damaged;

	assert_int_equal(upper_open(u, &opt, &damaged), 0);
	assert_false(damaged);
}

static int apply(struct upper *u, const struct item *items, size_t n)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	const struct log_pos pos = { 1, 4096 };
	size_t k;

	for (k = 0; k < n; k++)
		item_put(&b, &items[k]);
	return upper_apply(u, b.data, b.len, pos, 200);
}

static const struct item root = {
	.type = ITEM_INODE,
	.inode = { .ino = 1, .parent = 1, .mode = S_IFDIR | 0755, .nlink = 2 },
};

/* Items that do not fit the tables are damage and change nothing else. */
static void test_what_does_not_fit(void **state)
{
	static const struct item bad[] = {
		/* Names in no directory, or for no inode. */
		{ .type = ITEM_NAME, .name = { 2, 1, 1, 1, 1, "x" } },
		{ .type = ITEM_NAME, .name = { 1, 2, 1, 1, 1, "x" } },
		/* Gone, where there is no base to hide. */
		{ .type = ITEM_NAME, .name = { 1, 0, 0, 1, 1, "x" } },
		/* A base inode without a base, another type. */
		{ .type = ITEM_INODE,
		  .inode = { .ino = 2, .mode = S_IFREG | 0644 } },
		{ .type = ITEM_INODE,
		  .inode = { .ino = 1, .mode = S_IFREG | 0644 } },
		/* Content of what is no file. */
		{ .type = ITEM_DATA, .range = { 1, 0, 200, 0, 0 } },
		{ .type = ITEM_OWN, .range = { 9, 0, 200, 0, 0 } },
		{ .type = ITEM_HOLE, .range = { 9, 0, 200, 0, 0 } },
		{ .type = ITEM_CONTENT, .content = { 1, 0, 1 } },
		{ .type = ITEM_TARGET, .blob = { 1, 1, "t" } },
		{ .type = ITEM_XATTRS, .blob = { 9, 0, "" } },
		/* Trees that are not there. */
		{ .type = ITEM_COMMITTED, .committed = { 1, 1 } },
		{ .type = ITEM_TREE, .tree = { 0, { { 9 } } } },
	};
	struct upper u;
	size_t k;

	(void)state;
	log_set_level((enum log_level)0);
	upper_init(&u);
	assert_int_equal(apply(&u, &root, 1), 0);
	for (k = 0; k < sizeof(bad) / sizeof(bad[0]); k++)
		assert_int_equal(apply(&u, &bad[k], 1), -EBADMSG);
	assert_int_equal(u.inodes.count, 1);
	assert_int_equal(u.names.count, 0);
	upper_close(&u);
	log_set_level(LOG_LEVEL_INFO);
}

static void test_data_must_be_the_records(void **state)
{
	const struct item make[] = { root, samples[0] };
	struct item data = samples[4];
	struct upper u;

	(void)state;
	log_set_level((enum log_level)0);
	upper_init(&u);
	assert_int_equal(apply(&u, make, 2), 0);
	data.range.ino = file.ino;
	assert_int_equal(apply(&u, &data, 1), 0);
	data.range.len = 199;
	assert_int_equal(apply(&u, &data, 1), -EBADMSG);
	upper_close(&u);
	log_set_level(LOG_LEVEL_INFO);
}

/* Valid records with some bytes changed: applied or refused, never worse
 * (run under the sanitizers). */
static void test_mutations(void **state)
{
	_cleanup_buf_ struct buf good = BUF_INIT, bad = BUF_INIT;
	const struct log_pos pos = { 1, 4096 };
	struct upper u;
	unsigned round, k;

	(void)state;
	log_set_level((enum log_level)0);
	srand(99);
	item_put(&good, &root);
	for (k = 0; k < N_SAMPLES; k++)
		item_put(&good, &samples[k]);
	upper_init(&u);
	for (round = 0; round < 20000; round++) {
		buf_reset(&bad);
		buf_put(&bad, good.data, good.len);
		for (k = rand() % 4; k < 5; k++)
			bad.data[(size_t)rand() % bad.len] = (uint8_t)rand();
		upper_apply(&u, bad.data, bad.len, pos, 200);
		if (round % 500 == 499) {
			upper_close(&u);
			upper_init(&u);
		}
	}
	upper_close(&u);
	log_set_level(LOG_LEVEL_INFO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_metadata),
		cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_outside_limits),
		cmocka_unit_test(test_what_does_not_fit),
		cmocka_unit_test(test_data_must_be_the_records),
		cmocka_unit_test(test_mutations),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
