/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nobody read of the base: what counts as read, what outlives the worker,
 * and leaving the rest out.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"

#include "view_fixture.h"

#define ALL "a b big dir/hard dir/one dir/sub/deep dir/two other/o sparse suid "

static struct fixture fx;
static const struct tree_ops *const ops = &fixture_ops;

/* A view that has just been mounted. */
static int setup_fresh(void **state)
{
	int r = fixture_setup_base(state);

	fixture_view_close(&fx);
	fx.notes_reads = true;
	fixture_view_open(&fx);
	return r;
}

static int add_path(void *arg, const char *path, uint64_t size)
{
	struct buf *out = arg;

	assert_true(size > 0);
	buf_put(out, path, strlen(path));
	buf_put(out, " ", 1);
	return 0;
}

static void assert_unused(const char *want)
{
	_cleanup_buf_ struct buf out = BUF_INIT;

	assert_int_equal(view_unused(fx.view, add_path, &out), 0);
	buf_put(&out, "", 1);
	assert_int_equal(buf_error(&out), 0);
	assert_string_equal((char *)out.data, want);
}

static void assert_unknown(void)
{
	struct view_left_out left_out;

	assert_int_equal(view_unused(fx.view, add_path, NULL), -ENODATA);
	assert_int_equal(view_leave_out(fx.view, NULL, NULL, &left_out),
			 -ENODATA);
	assert_int_not_equal(fixture_ino(&fx, "big"), 0);
}

static void read_byte(const char *path)
{
	uint64_t ino = fixture_ino(&fx, path);
	char c;

	assert_int_equal(view_read(fx.view, ino, &c, 1, 0), 1);
}

/* --- what counts --- */

static void test_all(void **state)
{
	(void)state;
	assert_unused(ALL);
}

static void test_reads(void **state)
{
	struct view_attr attr;

	(void)state;
	fixture_attr(&fx, "b", &attr); /* looking is not reading */
	read_byte("dir/hard");
	assert_unused(
		"b big dir/one dir/sub/deep dir/two other/o sparse suid ");
	read_byte("b");
	read_byte("other/o");
	assert_unused("big dir/one dir/sub/deep dir/two sparse suid ");
}

static void test_copying_reads(void **state)
{
	uint64_t to;

	(void)state;
	assert_int_equal(fixture_write(&fx, "new", "x"), 0);
	to = fixture_ino(&fx, "new");
	assert_int_equal(view_copy_range(fx.view, fixture_ino(&fx, "b"), 0, to,
					 0, 5),
			 5);
	assert_unused("a big dir/hard dir/one dir/sub/deep dir/two other/o "
		      "sparse suid ");
}

static void test_changes(void **state)
{
	(void)state;
	assert_int_equal(fixture_write(&fx, "a", "new"), 0);
	assert_int_equal(ops->chmod(&fx, "b", 0640), 0);
	assert_int_equal(ops->rename(&fx, "suid", "other/moved", 0), 0);
	assert_int_equal(ops->unlink(&fx, "dir/one"), 0);
	assert_int_equal(ops->rename(&fx, "dir/sub", "sub", 0), 0);
	assert_unused("big dir/two other/o sparse sub/deep ");
}

static void test_a_commit_reads_nothing(void **state)
{
	struct ingest_result result;

	(void)state;
	assert_int_equal(fixture_write(&fx, "a", "new"), 0);
	assert_int_equal(fixture_commit(&fx, "k2", &result), 0);
	assert_unused(
		"b big dir/one dir/sub/deep dir/two other/o sparse suid ");
}

static void note_inode(void *arg, uint64_t ino, const char *name, size_t len)
{
	struct buf *out = arg;

	assert_null(name);
	assert_int_equal(len, 0);
	buf_put(out, &ino, sizeof(ino));
}

static void test_counting_anew(void **state)
{
	_cleanup_buf_ struct buf told = BUF_INIT;
	uint64_t want[2];

	(void)state;
	read_byte("big");
	read_byte("b");
	read_byte("dir/one");
	assert_int_equal(fixture_write(&fx, "b", "changed"), 0);
	want[0] = fixture_ino(&fx, "big");
	want[1] = fixture_ino(&fx, "dir/one");
	view_used_restart(fx.view, note_inode, &told);
	/* What was changed may be dirty, and is no candidate. */
	assert_int_equal(told.len, sizeof(want));
	assert_memory_equal(told.data, want, sizeof(want));
	assert_unused("a big dir/hard dir/one dir/sub/deep dir/two other/o "
		      "sparse suid ");
	read_byte("big");
	told.len = 0;
	view_used_restart(fx.view, note_inode, &told);
	assert_int_equal(told.len, sizeof(want[0]));
	assert_memory_equal(told.data, want, sizeof(want[0]));
	view_used_restart(fx.view, NULL, NULL);
}

/* --- what outlives what --- */

static void test_reopen(void **state)
{
	(void)state;
	read_byte("big");
	fixture_reopen(&fx);
	read_byte("b");
	assert_unused("a dir/hard dir/one dir/sub/deep dir/two other/o sparse "
		      "suid ");
}

static void test_a_reset_forgets_no_read(void **state)
{
	(void)state;
	read_byte("big");
	assert_int_equal(fixture_write(&fx, "b", "new"), 0);
	assert_int_equal(view_reset(fx.view, NULL, NULL), 0);
	assert_unused("a b dir/hard dir/one dir/sub/deep dir/two other/o "
		      "sparse suid ");
}

/* With one byte of its file's header changed. */
static void test_not_valid(void **state)
{
	static const unsigned bytes[] = { 0, 8, 16, 31 };
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(bytes) / sizeof(*bytes); i++) {
		_cleanup_close_ int fd =
			openat(fx.state, "used", O_RDWR | O_CLOEXEC);
		uint8_t old, changed;

		assert_int_equal(io_pread(fd, &old, 1, bytes[i]), 0);
		changed = old ^ 1;
		assert_int_equal(io_pwrite(fd, &changed, 1, bytes[i]), 0);
		fixture_reopen(&fx);
		assert_unknown();
		assert_int_equal(io_pwrite(fd, &old, 1, bytes[i]), 0);
		fixture_reopen(&fx);
		assert_unused(ALL);
	}
}

static void test_cut_short(void **state)
{
	_cleanup_close_ int fd = openat(fx.state, "used", O_RDWR | O_CLOEXEC);
	struct stat st;

	(void)state;
	assert_int_equal(fstat(fd, &st), 0);
	fixture_view_close(&fx);
	assert_int_equal(ftruncate(fd, st.st_size - 1), 0);
	fixture_view_open(&fx);
	assert_unknown();
}

static void test_no_note(void **state)
{
	(void)state;
	fx.notes_reads = false;
	fixture_reopen(&fx);
	assert_unknown();
}

static void test_no_base(void **state)
{
	struct view_left_out left_out;

	(void)state;
	assert_int_equal(fixture_write(&fx, "a", "new"), 0);
	assert_unused("");
	assert_int_equal(view_leave_out(fx.view, NULL, NULL, &left_out), 0);
	assert_int_equal(left_out.files, 0);
}

/* --- leaving out --- */

static void count_name(void *arg, uint64_t ino, const char *name, size_t len)
{
	unsigned *count = arg;

	assert_true(ino > 0);
	assert_true(name && strlen(name) == len);
	++*count;
}

static void leave_out(uint64_t files)
{
	struct view_left_out left_out;
	unsigned told = 0;

	assert_int_equal(view_leave_out(fx.view, count_name, &told, &left_out),
			 0);
	assert_int_equal(left_out.files, files);
	assert_true(told >= files);
}

static void test_leave_out(void **state)
{
	_cleanup_buf_ struct buf here = BUF_INIT, again = BUF_INIT;
	struct view_attr before, after;
	struct ingest_result result;

	(void)state;
	fixture_attr(&fx, "dir", &before);
	read_byte("dir/two");
	assert_int_equal(fixture_write(&fx, "suid", "y"), 0);
	leave_out(8);
	assert_unused("");

	fixture_assert_diff(fx.view, "D a\nD b\nD big\nD dir/hard\nD dir/one\n"
				     "D dir/sub\nD other\nD sparse\nM suid\n");
	fixture_attr(&fx, "dir", &after);
	assert_int_equal(after.mtime.tv_sec, before.mtime.tv_sec);
	assert_int_equal(after.mtime.tv_nsec, before.mtime.tv_nsec);
	assert_int_equal(after.nlink, before.nlink - 1);
	fixture_assert_content(&fx, "dir/two", "22");
	assert_int_not_equal(fixture_ino(&fx, "empty"), 0);
	assert_int_not_equal(fixture_ino(&fx, "zero"), 0);
	assert_int_not_equal(fixture_ino(&fx, "link"), 0);

	/* The entry is what the view shows, now and after a replay. */
	assert_int_equal(fixture_commit(&fx, "k2", &result), 0);
	assert_int_equal(result.files, 3);
	assert_int_equal(result.dirs, 3);
	fixture_dump(fx.view, &here);
	fixture_reopen(&fx);
	fixture_dump(fx.view, &again);
	fixture_assert_same(&here, &again);
	assert_unused("");
}

/* A directory in which somebody worked stays, as do those above it. */
static void test_changed_directories_stay(void **state)
{
	(void)state;
	assert_int_equal(ops->unlink(&fx, "dir/sub/deep"), 0);
	leave_out(9);
	assert_int_not_equal(fixture_ino(&fx, "dir/sub"), 0);
	assert_int_equal(fixture_ino(&fx, "other"), 0);
}

static void test_an_open_file_can_be_read(void **state)
{
	struct view_attr attr;
	char text[5];

	(void)state;
	assert_int_equal(view_lookup(fx.view, VIEW_ROOT, "b", 1, &attr), 0);
	leave_out(10);
	assert_int_equal(fixture_ino(&fx, "b"), 0);
	assert_int_equal(view_read(fx.view, attr.ino, text, 5, 0), 5);
	assert_memory_equal(text, "world", 5);
	view_forget(fx.view, attr.ino, 1);
}

static void test_reset_brings_them_back(void **state)
{
	(void)state;
	leave_out(10);
	assert_int_equal(view_reset(fx.view, NULL, NULL), 0);
	assert_unused(ALL);
}

#define FRESH(f) FIXTURE_TEST(f, setup_fresh, &fx)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FRESH(test_all),
		FRESH(test_reads),
		FRESH(test_copying_reads),
		FRESH(test_changes),
		FRESH(test_a_commit_reads_nothing),
		FRESH(test_reopen),
		FRESH(test_a_reset_forgets_no_read),
		FRESH(test_not_valid),
		FRESH(test_cut_short),
		FRESH(test_no_note),
		FRESH(test_counting_anew),
		FIXTURE_TEST(test_no_base, fixture_setup_empty, &fx),
		FRESH(test_leave_out),
		FRESH(test_changed_directories_stay),
		FRESH(test_an_open_file_can_be_read),
		FRESH(test_reset_brings_them_back),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
