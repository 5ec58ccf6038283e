/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views whose log fails to take a record, and views that open over logs and
 * checkpoints that are cut off or damaged: an operation that failed changed
 * nothing, and nothing shown is what was never written.
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
#include <sys/wait.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/log.h"

#include "child.h"
#include "view_fixture.h"

static struct fixture fx;
static const struct tree_ops *const ops = &fixture_ops;

/* --- failures --- */

#define FAILING "LARDER_TEST_APPEND"

/* Runs in a process of its own, in which the N-th append fails: the operation
 * that fails leaves the view as it was, and the next one works. */
static void test_failing_append(void **state)
{
	_cleanup_buf_ struct buf before = BUF_INIT, after = BUF_INIT;
	unsigned i, failed = 0;
	int r;

	(void)state;
	for (i = 0; i < 12; i++) {
		buf_reset(&before);
		buf_reset(&after);
		fixture_dump(fx.view, &before);
		switch (i) {
		case 0:
			r = ops->create(&fx, "f", 0600);
			break;
		case 1:
			r = (int)ops->write(&fx, "a", "xy", 2, 0);
			break;
		case 2:
			r = (int)ops->write(&fx, "big", "xy", 2, 3000000);
			break;
		case 3:
			r = (int)ops->write(&fx, "big", "yz", 2, 3000000);
			break;
		case 4:
			r = ops->mkdir(&fx, "m", 0700);
			break;
		case 5:
			r = ops->rename(&fx, "dir", "m/dir", 0);
			break;
		case 6:
			r = ops->unlink(&fx, "b");
			break;
		case 7:
			r = ops->truncate(&fx, "big", 10);
			break;
		case 8:
			r = ops->setxattr(&fx, "a", "user.q", "1", 1, 0);
			break;
		case 9:
			r = ops->link(&fx, "a", "l");
			break;
		case 10:
			r = ops->rmdir(&fx, "empty");
			break;
		default:
			r = ops->symlink(&fx, "t", "s");
			break;
		}
		if (r >= 0 || r == -ENOENT)
			continue;
		assert_int_equal(r, -ENOSPC);
		failed++;
		fixture_dump(fx.view, &after);
		fixture_assert_same(&before, &after);
		fixture_reopen(&fx);
		buf_reset(&after);
		fixture_dump(fx.view, &after);
		fixture_assert_same(&before, &after);
	}
	assert_int_equal(failed, 1);
}

static void run_failing(const char *point, unsigned n)
{
	char rule[64];

	snprintf(rule, sizeof(rule), "%s:%u:ENOSPC", point, n);
	setenv("LARDER_FAULT", rule, 1);
	setenv(FAILING, "1", 1);
	child_exec("test_view_damage");
}

static void assert_survives(const char *point, unsigned n)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		run_failing(point, n);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_append_failure(void **state)
{
	unsigned n;

	(void)state;
	for (n = 1; n <= 12; n++)
		assert_survives("log.append", n);
	assert_survives("log.own", 1);
}

/* --- damage --- */

static void corrupt(const char *name, off_t off, bool cut)
{
	_cleanup_close_ int fd = openat(fx.state, name, O_RDWR);
	uint8_t byte;

	assert_true(fd >= 0);
	if (cut) {
		assert_int_equal(ftruncate(fd, off), 0);
		return;
	}
	assert_int_equal(pread(fd, &byte, 1, off), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, off), 1);
}

static off_t size_of(const char *name);

enum { PIECES = 12000, PIECE_STEP = 8192 };

static void put_pieces(void)
{
	uint32_t piece[16];
	unsigned k, i;

	for (k = 0; k < PIECES; k++) {
		for (i = 0; i < 16; i++)
			piece[i] = k + 1;
		assert_int_equal(ops->write(&fx, "big", piece, sizeof(piece),
					    (uint64_t)k * PIECE_STEP),
				 sizeof(piece));
	}
}

/* A file of so many pieces that it takes several records of a checkpoint. */
static void test_checkpoint_of_many_pieces(void **state)
{
	uint32_t got[16];
	unsigned k, turn;

	(void)state;
	put_pieces();
	for (turn = 0; turn < 2; turn++) {
		fixture_view_close(&fx);
		assert_true(size_of("checkpoint") > 2 * (256 << 10));
		fixture_view_open(&fx);
		assert_false(fx.damaged);
		for (k = 0; k < PIECES; k++) {
			assert_int_equal(ops->read(&fx, "big", got, sizeof(got),
						   (uint64_t)k * PIECE_STEP),
					 sizeof(got));
			assert_int_equal(got[0], k + 1);
			assert_int_equal(got[15], k + 1);
		}
		fixture_force_checkpoint(&fx);
	}
}

static void assert_no_zeros(void)
{
	uint32_t got[16];
	unsigned k;

	for (k = 0; k < PIECES; k++)
		if (ops->read(&fx, "big", got, sizeof(got),
			      (uint64_t)k * PIECE_STEP) > 0)
			assert_int_not_equal(got[0], 0);
}

/* The same, damaged in any of these records: none of it is shown as zeros.
 * The base has the name, so the file is found. */
static void test_flipped_checkpoint(void **state)
{
	unsigned parts = 12, k;
	off_t at;

	(void)state;
	log_set_level((enum log_level)0);
	put_pieces();
	for (k = 1; k < parts; k++) {
		fixture_view_close(&fx);
		at = size_of("checkpoint") / parts * k;
		corrupt("checkpoint", at, false);
		fixture_view_open(&fx);
		assert_true(fx.damaged);
		assert_no_zeros();
		fixture_view_close(&fx);
		corrupt("checkpoint", at, false); /* as it was */
		fixture_view_open(&fx);
		assert_false(fx.damaged);
	}
	log_set_level(LOG_LEVEL_INFO);
}

static off_t size_of(const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(fx.state, name, &st, 0), 0);
	return st.st_size;
}

/* What is readable is what was written, or an error: never another byte. */
static void assert_no_wrong_byte(void)
{
	char name[16], want[64], got[64];
	unsigned i;
	ssize_t n;

	for (i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		snprintf(want, sizeof(want), "content of file number %u", i);
		if (fixture_ino(&fx, name) == 0)
			continue;
		n = ops->read(&fx, name, got, sizeof(got), 0);
		if (n <= 0)
			continue; /* -EIO, or not yet written */
		assert_int_equal(n, strlen(want));
		assert_memory_equal(got, want, (size_t)n);
	}
}

static void write_twenty(void)
{
	char name[16], text[64];
	unsigned i;

	for (i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		snprintf(text, sizeof(text), "content of file number %u", i);
		fixture_put(&fx, name, text);
	}
}

static void run_damage(bool cut)
{
	off_t size, off;

	/* Each damage is said, which is right and not wanted here. */
	log_set_level((enum log_level)0);
	write_twenty();
	fixture_view_close(&fx);
	size = size_of("log-00000001");
	for (off = size - 1; off > 48; off -= cut ? 97 : 61) {
		corrupt("log-00000001", off, cut);
		fixture_view_open(&fx);
		assert_no_wrong_byte();
		fixture_view_close(&fx);
		if (!cut)
			corrupt("log-00000001", off, false);
	}
	log_set_level(LOG_LEVEL_INFO);
}

static void test_truncated_log(void **state)
{
	(void)state;
	run_damage(true);
}

static void test_flipped_log(void **state)
{
	(void)state;
	run_damage(false);
}

#define BASE(f) FIXTURE_TEST(f, fixture_setup_base, &fx)
#define EMPTY(f) FIXTURE_TEST(f, fixture_setup_empty, &fx)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append_failure),
		BASE(test_checkpoint_of_many_pieces),
		BASE(test_flipped_checkpoint),
		EMPTY(test_truncated_log),
		EMPTY(test_flipped_log),
	};

	const struct CMUnitTest failing[] = { BASE(test_failing_append) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (getenv(FAILING))
		return cmocka_run_group_tests(failing, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
