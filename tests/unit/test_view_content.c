/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The content of files in the view: writes, truncates and holes over a file of
 * the base and over none, and the space that they give back.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"

#include "view_fixture.h"

static struct fixture fx;
static const struct tree_ops *const ops = &fixture_ops;

static void test_write_base_file(void **state)
{
	char buf[16];
	struct view_attr a;
	uint64_t ino = fixture_ino(&fx, "big");
	uint8_t *old = malloc(5000000), *now = malloc(5000000);

	(void)state;
	assert_true(old && now);
	assert_int_equal(ops->read(&fx, "big", old, 5000000, 0), 5000000);
	assert_int_equal(ops->write(&fx, "big", "xyz", 3, 100000), 3);
	memcpy(old + 100000, "xyz", 3);
	assert_int_equal(ops->write(&fx, "big", "end", 3, 4999998), 3);
	memcpy(old + 4999998, "en", 2);
	assert_int_equal(ops->read(&fx, "big", now, 5000000, 0), 5000000);
	assert_memory_equal(old, now, 5000000);
	assert_int_equal(fixture_ino(&fx, "big"), ino);
	fixture_attr(&fx, "big", &a);
	assert_int_equal(a.size, 5000001);
	assert_int_equal(ops->read(&fx, "big", buf, 16, 4999998), 3);
	assert_memory_equal(buf, "end", 3);
	fixture_assert_diff(fx.view, "M big\n");
	fixture_assert_replays_all(&fx);
	free(old);
	free(now);
}

static void test_truncate(void **state)
{
	const struct view_attr none = { .size = 0 };
	struct view_attr a;
	char buf[16];

	(void)state;
	assert_int_equal(ops->truncate(&fx, "a", 2), 0);
	assert_int_equal(ops->truncate(&fx, "a", 6), 0);
	assert_int_equal(ops->read(&fx, "a", buf, 16, 0), 6);
	assert_memory_equal(buf, "he\0\0\0\0", 6);
	assert_int_equal(ops->truncate(&fx, "dir", 0), -EISDIR);
	assert_int_equal(view_setattr(fx.view, fixture_ino(&fx, "link"),
				      VIEW_SET_SIZE, &none, &a),
			 -EINVAL);
	fixture_assert_replays(&fx);
	assert_int_equal(ops->truncate(&fx, "zero", INT64_MAX), 0);
	assert_int_equal(ops->truncate(&fx, "zero", UINT64_MAX), -EFBIG);
	assert_int_equal(ops->write(&fx, "zero", "xy", 2, INT64_MAX - 1),
			 -EFBIG);
	assert_int_equal(ops->truncate(&fx, "zero", 0), 0);
	fixture_assert_replays_all(&fx);
}

static void test_holes(void **state)
{
	struct view_attr a;
	uint64_t off, ino;
	char buf[8];

	(void)state;
	assert_int_equal(ops->create(&fx, "h", 0600), 0);
	assert_int_equal(ops->write(&fx, "h", "data", 4, 5000000000), 4);
	ino = fixture_ino(&fx, "h");
	fixture_attr(&fx, "h", &a);
	assert_int_equal(a.size, 5000000004);
	assert_true(a.blocks <= 8);
	assert_int_equal(view_lseek(fx.view, ino, 0, SEEK_DATA, &off), 0);
	assert_int_equal(off, 5000000000);
	assert_int_equal(view_lseek(fx.view, ino, 0, SEEK_HOLE, &off), 0);
	assert_int_equal(off, 0);
	assert_int_equal(
		view_lseek(fx.view, ino, off + 5000000001, SEEK_HOLE, &off), 0);
	assert_int_equal(off, 5000000004);
	assert_int_equal(view_lseek(fx.view, ino, off, SEEK_DATA, &off),
			 -ENXIO);
	assert_int_equal(fixture_punch(&fx, "h", 5000000001, 2), 0);
	assert_int_equal(ops->read(&fx, "h", buf, 8, 5000000000), 4);
	assert_memory_equal(buf, "d\0\0a", 4);
	assert_int_equal(ops->truncate(&fx, "h", 10), 0);
	assert_int_equal(view_lseek(fx.view, ino, 0, SEEK_DATA, &off), -ENXIO);

	/* The base's holes are holes. */
	ino = fixture_ino(&fx, "sparse");
	assert_int_equal(view_lseek(fx.view, ino, 0, SEEK_DATA, &off), 0);
	assert_int_equal(off, 0);
	assert_int_equal(ops->write(&fx, "sparse", "mid", 3, 5000000), 3);
	assert_int_equal(fixture_punch(&fx, "sparse", 0, 4), 0);
	assert_int_equal(ops->read(&fx, "sparse", buf, 4, 0), 4);
	assert_memory_equal(buf, "\0\0\0\0", 4);
	fixture_assert_replays_all(&fx);
}

static void test_fallocate(void **state)
{
	struct view_attr a;
	uint64_t ino = fixture_ino(&fx, "a");

	(void)state;
	assert_int_equal(view_fallocate(fx.view, ino, 0, 0, 100), 0);
	fixture_attr(&fx, "a", &a);
	assert_int_equal(a.size, 100);
	assert_int_equal(
		view_fallocate(fx.view, ino, FALLOC_FL_KEEP_SIZE, 0, 1000), 0);
	fixture_attr(&fx, "a", &a);
	assert_int_equal(a.size, 100);
	assert_int_equal(view_fallocate(fx.view, ino, FALLOC_FL_COLLAPSE_RANGE,
					0, 10),
			 -EOPNOTSUPP);
	assert_int_equal(view_fallocate(fx.view, ino, FALLOC_FL_PUNCH_HOLE, 0,
					10),
			 -EOPNOTSUPP);
	assert_int_equal(view_fallocate(fx.view, ino, 0, 0, 0), -EINVAL);
	assert_int_equal(view_fallocate(fx.view, ino, 0, 0, UINT64_C(1) << 60),
			 -ENOSPC);
	fixture_assert_replays(&fx);
}

/* Writing what the upper has already goes to the own file, in all mixtures. */
static void test_rewriting(void **state)
{
	uint8_t want[300000] = { 0 }, got[300000];
	char chunk[64];
	unsigned i;

	(void)state;
	assert_int_equal(ops->create(&fx, "f", 0600), 0);
	for (i = 0; i < 2000; i++) {
		size_t off = i * 7919u % (sizeof(want) - sizeof(chunk));

		memset(chunk, 'a' + (int)(i % 26), sizeof(chunk));
		assert_int_equal(ops->write(&fx, "f", chunk, sizeof(chunk),
					    off),
				 sizeof(chunk));
		memcpy(want + off, chunk, sizeof(chunk));
	}
	assert_int_equal(ops->truncate(&fx, "f", sizeof(want)), 0);
	assert_int_equal(ops->read(&fx, "f", got, sizeof(got), 0), sizeof(got));
	assert_memory_equal(got, want, sizeof(want));
	fixture_assert_replays_all(&fx);
	assert_int_equal(ops->read(&fx, "f", got, sizeof(got), 0), sizeof(got));
	assert_memory_equal(got, want, sizeof(want));
}

/* Space of what is removed comes back. */
static void test_space_comes_back(void **state)
{
	_cleanup_free_ char *buf = calloc(1, 100000);
	struct view_stats full, empty;
	char name[16];
	unsigned i;

	(void)state;
	assert_non_null(buf);
	memset(buf, 'x', 100000);
	for (i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(ops->create(&fx, name, 0600), 0);
		assert_int_equal(ops->write(&fx, name, buf, 100000, 0), 100000);
	}
	assert_int_equal(ops->create(&fx, "own", 0600), 0);
	for (i = 0; i < 100; i++)
		assert_int_equal(ops->write(&fx, "own", buf, 100000,
					    i * UINT64_C(100000)),
				 100000);
	view_stats(fx.view, &full);
	assert_true(full.upper_bytes >= 40000000);
	for (i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(ops->unlink(&fx, name), 0);
	}
	assert_int_equal(ops->truncate(&fx, "own", 0), 0);
	fixture_reopen(&fx);
	fixture_reopen(&fx);
	view_stats(fx.view, &empty);
	assert_true(empty.upper_bytes < full.upper_bytes / 10);
}

#define BASE(f) FIXTURE_TEST(f, fixture_setup_base, &fx)
#define EMPTY(f) FIXTURE_TEST(f, fixture_setup_empty, &fx)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BASE(test_write_base_file), BASE(test_truncate),
		BASE(test_holes),	    BASE(test_fallocate),
		BASE(test_rewriting),	    EMPTY(test_space_comes_back),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
