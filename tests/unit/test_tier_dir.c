/* SPDX-License-Identifier: Apache-2.0 */
/* The tier in a directory, and what tier.c checks for every tier. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/io.h"
#include "store/tier.h"

#define HOUR_NS INT64_C(3600000000000)

static char root[PATH_MAX];
static struct tier *tier;

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(root, sizeof(root), "%s/larder-tier-XXXXXX",
		 tmp ? tmp : "/tmp");
	return mkdtemp(root) ? tier_dir_new(root, &tier) : -1;
}

static int teardown(void **state)
{
	(void)state;
	tier_unref(tier);
	return io_remove_tree(AT_FDCWD, root);
}

static char *below_root(const char *path)
{
	char *full = io_path("%s/%s", root, path);

	assert_non_null(full);
	return full;
}

static void put(const char *path, const char *text)
{
	assert_int_equal(tier_put_data(tier, NULL, path, text, strlen(text)),
			 0);
}

static void assert_object(const char *path, const char *want)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	assert_int_equal(tier_read(tier, NULL, path, 1000, &b), 0);
	assert_int_equal(b.len, strlen(want));
	if (b.len > 0)
		assert_memory_equal(b.data, want, b.len);
}

static int take(void *arg, const void *data, size_t len)
{
	buf_put(arg, data, len);
	return buf_error(arg);
}

static void test_objects(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	uint64_t size = 7;

	(void)state;
	assert_int_equal(tier_head(tier, NULL, "v1/a/b", &size), -ENOENT);
	assert_int_equal(size, 7);
	put("v1/a/b", "0123456789");
	assert_int_equal(tier_head(tier, NULL, "v1/a/b", &size), 0);
	assert_int_equal(size, 10);
	assert_object("v1/a/b", "0123456789");
	assert_int_equal(tier_get(tier, NULL, "v1/a/b", 3, 4, take, &b), 0);
	assert_memory_equal(b.data, "3456", 4);
	assert_int_equal(b.len, 4);
	put("v1/a/b", "other");
	assert_object("v1/a/b", "other");
	put("v1/a/empty", "");
	assert_object("v1/a/empty", "");
	assert_int_equal(tier_delete(tier, NULL, "v1/a/b"), 0);
	assert_int_equal(tier_delete(tier, NULL, "v1/a/b"), -ENOENT);
	assert_int_equal(tier_read(tier, NULL, "v1/a/b", 9, &b), -ENOENT);
}

static void test_lengths(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	(void)state;
	put("v1/a", "0123456789");
	assert_int_equal(tier_get(tier, NULL, "v1/a", 8, 3, take, &b), -EIO);
	assert_int_equal(tier_get(tier, NULL, "v1/a", 11, 0, take, &b), -EIO);
	assert_int_equal(b.len, 0);
	assert_int_equal(tier_read(tier, NULL, "v1/a", 9, &b), -EFBIG);
	assert_int_equal(b.len, 0);
	assert_int_equal(tier_read(tier, NULL, "v1/a", 10, &b), 0);
}

static void test_paths(void **state)
{
	static const char *const bad[] = {
		"",	"/etc/passwd", "a//b", "a/",   "..",   "a/../b", ".a",
		"a/.b", "a/./b",       "a b",  "a\nb", "a\\b", "a/b\xff"
	};
	char longest[TIER_PATH_MAX + 2];
	uint64_t size;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(tier_path_is_valid(bad[i]));
		assert_int_equal(tier_head(tier, NULL, bad[i], &size), -EINVAL);
		assert_int_equal(tier_put_data(tier, NULL, bad[i], "x", 1),
				 -EINVAL);
		assert_int_equal(tier_delete(tier, NULL, bad[i]), -EINVAL);
	}
	memset(longest, 'a', sizeof(longest));
	longest[TIER_PATH_MAX + 1] = '\0';
	assert_false(tier_path_is_valid(longest));
	longest[TIER_PATH_MAX] = '\0';
	assert_true(tier_path_is_valid(longest));
	assert_true(tier_path_is_valid("v1/local/default/latest/a.b_c-d/00"));
}

static void test_symlinks(void **state)
{
	_cleanup_free_ char *link = below_root("v1/link");
	_cleanup_free_ char *leaf = below_root("v1/leaf");
	_cleanup_free_ char *fifo = below_root("v1/fifo");
	_cleanup_free_ char *there = below_root("there");
	_cleanup_buf_ struct buf b = BUF_INIT;

	(void)state;
	put("v1/a", "inside");
	put("there/secret", "outside");
	assert_int_equal(symlink(there, link), 0);
	assert_int_equal(symlink("../there/secret", leaf), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(tier_read(tier, NULL, "v1/link/secret", 99, &b),
			 -EACCES);
	assert_int_equal(tier_read(tier, NULL, "v1/leaf", 99, &b), -EACCES);
	assert_int_equal(tier_read(tier, NULL, "v1/fifo", 99, &b), -EACCES);
	assert_int_equal(tier_read(tier, NULL, "v1/a/b", 99, &b), -EACCES);
	assert_int_equal(tier_put_data(tier, NULL, "v1/link/new", "x", 1),
			 -EACCES);
	/* A link in an object's place is replaced and not written through. */
	put("v1/leaf", "new");
	assert_object("there/secret", "outside");
	assert_object("v1/leaf", "new");
}

static void test_root_is_gone(void **state)
{
	char why[TIER_WHY_MAX];
	struct tier_call call = { .why = why };
	_cleanup_buf_ struct buf b = BUF_INIT;

	(void)state;
	assert_int_equal(rmdir(root), 0);
	assert_int_equal(tier_read(tier, &call, "v1/a", 99, &b), -EIO);
	assert_string_equal(why, "the directory is not there");
	assert_int_equal(tier_put_data(tier, &call, "v1/a", "x", 1), -EIO);
	assert_int_equal(mkdir(root, 0700), 0);
	assert_int_equal(tier_read(tier, &call, "v1/a", 99, &b), -ENOENT);
}

static void test_modes(void **state)
{
	_cleanup_free_ char *dir = below_root("v1"), *file = below_root("v1/a");
	struct stat st;

	(void)state;
	assert_int_equal(chmod(root, 02775), 0);
	put("v1/a", "x");
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 02775);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0664);
}

static int list_one(void *arg, const struct tier_object *o)
{
	int64_t age_ns = clock_wall_ns() - o->mtime_ns;

	assert_in_range(age_ns + HOUR_NS, 0, 2 * HOUR_NS);
	buf_printf(arg, "%s %llu\n", o->path, (unsigned long long)o->size);
	return buf_error(arg);
}

static int list_end(void *arg, const struct tier_object *o)
{
	(void)arg, (void)o;
	return 42;
}

static void test_list(void **state)
{
	_cleanup_free_ char *tmp = below_root("v1/b/.tmp-1-2");
	_cleanup_buf_ struct buf b = BUF_INIT;

	(void)state;
	assert_int_equal(tier_list(tier, NULL, "", list_one, &b), 0);
	assert_int_equal(tier_list(tier, NULL, "v1/b", list_one, &b), 0);
	assert_int_equal(b.len, 0);
	put("v1/b/c/d", "four");
	put("v1/bb", "x");
	assert_int_equal(close(open(tmp, O_WRONLY | O_CREAT, 0600)), 0);
	assert_int_equal(tier_list(tier, NULL, "v1/b", list_one, &b), 0);
	assert_int_equal(b.len, strlen("v1/b/c/d 4\n"));
	assert_memory_equal(b.data, "v1/b/c/d 4\n", b.len);
	assert_int_equal(tier_list(tier, NULL, "", list_end, NULL), 42);
	assert_int_equal(tier_list(tier, NULL, "../b", list_end, NULL),
			 -EINVAL);
}

/* What cannot be looked at may be an object, so the list is not one. */
static void test_list_fails(void **state)
{
	_cleanup_free_ char *dir = below_root("a");
	_cleanup_buf_ struct buf b = BUF_INIT;
	int before;

	(void)state;
	put("a/b", "x");
	assert_int_equal(chmod(root, 0755), 0);
	assert_int_equal(chmod(dir, 0444), 0);
	before = setfsuid(65534); /* root may look at everything */
	assert_int_equal(tier_list(tier, NULL, "", list_one, &b), -EACCES);
	setfsuid(before);
	assert_int_equal(b.len, 0);
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(tier_list(tier, NULL, "", list_one, &b), 0);
	assert_true(b.len > 0);
}

static ssize_t fail_second(void *arg, void *buf, size_t cap, uint64_t off)
{
	if (off > 0)
		return *(int *)arg;
	memset(buf, 'x', cap);
	return cap;
}

static unsigned count_files(const char *path)
{
	_cleanup_free_ char *full = below_root(path);
	_cleanup_closedir_ DIR *d = opendir(full);
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	return n - 2;
}

/* What was there stays, and nothing is left behind. */
static void test_put_fails(void **state)
{
	int with[] = { -EIO, 0, -ECANCELED };

	(void)state;
	put("v1/a", "before");
	for (unsigned i = 0; i < 3; i++)
		assert_true(tier_put(tier, NULL, "v1/a", 1 << 20, fail_second,
				     &with[i]) < 0);
	assert_object("v1/a", "before");
	assert_int_equal(count_files("v1"), 1);
}

static void test_cancel_and_deadline(void **state)
{
	atomic_bool cancelled = true;
	struct tier_call gone = { .cancelled = &cancelled };
	struct tier_call late = { .deadline_ns = clock_mono_ns() };
	_cleanup_buf_ struct buf b = BUF_INIT;
	uint64_t size;

	(void)state;
	put("v1/a", "x");
	assert_int_equal(tier_read(tier, &gone, "v1/a", 9, &b), -ECANCELED);
	assert_int_equal(tier_put_data(tier, &gone, "v1/a", "y", 1),
			 -ECANCELED);
	assert_int_equal(tier_head(tier, &late, "v1/a", &size), -ETIMEDOUT);
	assert_int_equal(tier_put_data(tier, &late, "v1/a", "y", 1),
			 -ETIMEDOUT);
	cancelled = false;
	late.deadline_ns = clock_mono_ns() + INT64_C(3600000000000);
	assert_int_equal(tier_head(tier, &gone, "v1/a", &size), 0);
	assert_int_equal(tier_head(tier, &late, "v1/a", &size), 0);
	assert_object("v1/a", "x");
}

/* Two writers of one object: a reader sees one of both, whole. */
static void write_often(char c)
{
	char text[3000];

	memset(text, c, sizeof(text));
	for (int i = 0; i < 60; i++)
		if (tier_put_data(tier, NULL, "v1/x/y", text, sizeof(text)) < 0)
			_exit(1);
	_exit(0);
}

static void assert_of_one(const struct buf *b)
{
	assert_int_equal(b->len, 3000);
	for (size_t i = 1; i < b->len; i++)
		assert_int_equal(b->data[i], b->data[0]);
}

static void test_two_processes(void **state)
{
	unsigned ended = 0, seen = 0;
	int status;

	(void)state;
	for (char c = 'a'; c <= 'b'; c++)
		if (fork() == 0)
			write_often(c);
	while (ended < 2) {
		_cleanup_buf_ struct buf b = BUF_INIT;
		int r = tier_read(tier, NULL, "v1/x/y", 10000, &b);

		if (r == 0) {
			assert_of_one(&b);
			seen++;
		} else {
			assert_int_equal(r, -ENOENT);
		}
		if (waitpid(-1, &status, WNOHANG) > 0) {
			assert_int_equal(status, 0);
			ended++;
		}
	}
	assert_true(seen > 0);
	assert_int_equal(count_files("v1/x"), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_objects),	  TEST(test_lengths),
		TEST(test_paths),	  TEST(test_symlinks),
		TEST(test_root_is_gone),  TEST(test_modes),
		TEST(test_list),	  TEST(test_list_fails),
		TEST(test_put_fails),	  TEST(test_cancel_and_deadline),
		TEST(test_two_processes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
