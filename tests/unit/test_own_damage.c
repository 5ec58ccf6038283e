/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damage of own files: every byte of one is changed in turn, and it is cut
 * short at every length. A read gives what was written or -EIO, never another
 * byte; other files are as they were; and with the bytes back, so is this one.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/log.h"

#include "view_fixture.h"

#define BYTES 24000u
#define PIECE 1700u

static struct fixture fx;
static const struct tree_ops *const ops = &fixture_ops;

static uint8_t want[BYTES];
static uint64_t ino, other_ino;

/* Both files are written twice, in pieces that share blocks and sources, so
 * that all of their bytes are in own files, beside some that died. */
static void write_files(void)
{
	unsigned at, n, turn;

	for (turn = 0; turn < 2; turn++) {
		for (at = 0; at < BYTES; at++)
			want[at] = (uint8_t)(at * 31 + (at >> 8) + turn * 7);
		for (at = 0; at < BYTES; at += n) {
			n = PIECE + at % 300;
			n = n < BYTES - at ? n : BYTES - at;
			assert_int_equal(ops->write(&fx, "f", want + at, n, at),
					 n);
			assert_int_equal(
				ops->write(&fx, "other", want + at, n, at), n);
		}
	}
}

static int open_own(uint64_t number)
{
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "data/%016" PRIx64, number);
	fd = openat(fx.state, name, O_RDWR);
	assert_true(fd >= 0);
	return fd;
}

/* What a read of all gives: whether it is right, or -EIO. */
static ssize_t read_all(uint64_t number)
{
	uint8_t got[BYTES];
	ssize_t n = view_read(fx.view, number, got, BYTES, 0);

	if (n < 0)
		return n;
	assert_int_equal(n, BYTES);
	assert_memory_equal(got, want, BYTES);
	return 0;
}

static int setup(void **state)
{
	int r = fixture_setup_empty(state);

	if (r != 0)
		return r;
	assert_int_equal(ops->create(&fx, "f", 0600), 0);
	assert_int_equal(ops->create(&fx, "other", 0600), 0);
	write_files();
	ino = fixture_ino(&fx, "f");
	other_ino = fixture_ino(&fx, "other");
	assert_int_equal(read_all(ino), 0);
	return 0;
}

static void test_every_byte(void **state)
{
	int fd = open_own(ino);
	off_t at, size = lseek(fd, 0, SEEK_END);
	unsigned failed = 0;
	uint8_t byte, bad;

	(void)state;
	assert_true(size >= (off_t)BYTES);
	for (at = 0; at < size; at++) {
		ssize_t r;

		assert_int_equal(pread(fd, &byte, 1, at), 1);
		bad = byte ^ (uint8_t)(1u << at % 8);
		assert_int_equal(pwrite(fd, &bad, 1, at), 1);
		r = read_all(ino);
		assert_true(r == 0 || r == -EIO);
		failed += r < 0;
		if (at % 512 == 0)
			assert_int_equal(read_all(other_ino), 0);
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	/* Each of its bytes is seen, whatever the dead ones do. */
	assert_true(failed >= BYTES);
	assert_int_equal(read_all(ino), 0);
	fixture_reopen(&fx);
	assert_int_equal(read_all(ino), 0);
	close(fd);
}

static void test_every_length(void **state)
{
	_cleanup_free_ uint8_t *whole = NULL;
	int fd = open_own(ino);
	off_t len, size = lseek(fd, 0, SEEK_END);

	(void)state;
	whole = malloc((size_t)size);
	assert_non_null(whole);
	assert_int_equal(pread(fd, whole, (size_t)size, 0), size);
	for (len = size - 1; len >= 0; len -= len > 4096 ? 13 : 1) {
		assert_int_equal(ftruncate(fd, len), 0);
		assert_int_equal(read_all(ino), -EIO);
	}
	assert_int_equal(read_all(other_ino), 0);
	/* In this boot, a file that is too short is no power cut. */
	fixture_reopen(&fx);
	assert_int_equal(read_all(ino), -EIO);
	assert_int_equal(read_all(other_ino), 0);
	assert_int_equal(pwrite(fd, whole, (size_t)size, 0), size);
	assert_int_equal(read_all(ino), 0);
	close(fd);
}

/* The commit of a damaged file fails, and makes no entry. */
static void test_commit(void **state)
{
	struct ingest_result res;
	int fd = open_own(ino);
	uint8_t byte, bad;
	off_t at;

	(void)state;
	for (at = lseek(fd, 0, SEEK_END) - 1; at >= 0; at--) {
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		bad = byte ^ 1;
		assert_int_equal(pwrite(fd, &bad, 1, at), 1);
		if (read_all(ino) < 0)
			break;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	assert_true(at >= 0);
	assert_int_equal(fixture_commit(&fx, "bad", &res), -EIO);
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	assert_int_equal(fixture_commit(&fx, "good", &res), 0);
	assert_int_equal(read_all(ino), 0);
	close(fd);
}

#define TEST(f)                                                              \
	cmocka_unit_test_prestate_setup_teardown(f, setup, fixture_teardown, \
						 &fx)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_every_byte),
		TEST(test_every_length),
		TEST(test_commit),
	};

	/* Each of thousands would be said. */
	log_set_level((enum log_level)0);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
