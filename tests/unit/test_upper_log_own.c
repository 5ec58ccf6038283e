/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Own files of large inodes (log_own_* of fs/log.h): bytes, holes, more files
 * than are kept open, removal beside readers, sweeping, and many threads.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "upper_log_fixture.h"

#define INO (UINT64_C(1) << 40)

static unsigned own_files(void)
{
	_cleanup_closedir_ DIR *d = NULL;
	char path[PATH_MAX + 16];
	unsigned n = 0;

	snprintf(path, sizeof(path), "%s/data", fx.path);
	d = opendir(path);
	assert_non_null(d);
	while (readdir(d))
		n++;
	return n - 2;
}

static void assert_own(struct log *l, uint64_t ino, uint64_t off,
		       const char *want, size_t len)
{
	char got[64];

	assert_int_equal(log_own_read(l, ino, got, len, off), 0);
	assert_memory_equal(got, want, len);
}

static void test_read_write(void **state)
{
	struct log *l = fixture_open_good();
	struct rlimit limit = { 0 };
	uint64_t end, disk;
	uint64_t far = UINT64_C(5) << 32;
	char c;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	if (limit.rlim_cur < far + 4096)
		far = 3u << 20;
	assert_int_equal(log_own_read(l, INO, &c, 1, 0), -ENOENT);
	assert_int_equal(log_own_size(l, INO, false, &end, &disk), -ENOENT);
	assert_int_equal(log_own_write(l, INO, "hello", 5, 3), 0);
	assert_int_equal(log_own_write(l, INO, "far", 3, far), 0);
	assert_own(l, INO, 0, "\0\0\0hello\0\0", 10);
	assert_own(l, INO, far - 1, "\0far\0\0", 6);
	assert_own(l, INO, UINT64_C(1) << 60, "\0\0", 2);
	assert_int_equal(log_own_punch(l, INO, 4, 2), 0);
	assert_own(l, INO, 3, "h\0\0lo", 5);
	assert_int_equal(log_own_punch(l, INO, far, UINT64_MAX), 0);
	assert_own(l, INO, far, "\0\0\0", 3);
	assert_int_equal(log_own_punch(l, INO, 0, 0), 0);
	assert_int_equal(log_own_size(l, INO, false, &end, &disk), 0);
	assert_int_equal(end, far + 3);
	assert_true(disk < 1u << 20);
	log_close(l);
	l = fixture_open_good();
	assert_own(l, INO, 3, "h\0\0lo", 5);
	assert_int_equal(log_own_remove(l, INO), 0);
	assert_int_equal(log_own_remove(l, INO), 0);
	assert_int_equal(log_own_read(l, INO, &c, 1, 0), -ENOENT);
	assert_int_equal(own_files(), 0);
	log_close(l);
}

static void test_bad_numbers(void **state)
{
	struct log *l = fixture_open_good();
	char c = 0;

	(void)state;
	assert_int_equal(log_own_write(l, 0, &c, 1, 0), -EINVAL);
	assert_int_equal(log_own_read(l, 0, &c, 1, 0), -EINVAL);
	assert_int_equal(log_own_remove(l, 0), -EINVAL);
	assert_int_equal(log_own_write(l, 1, &c, 1, UINT64_MAX), -EFBIG);
	assert_int_equal(log_own_write(l, 1, &c, 1, INT64_MAX), -EFBIG);
	assert_int_equal(log_own_read(l, 1, &c, 1, UINT64_MAX), -EINVAL);
	assert_int_equal(log_own_punch(l, 1, UINT64_MAX, 1), -EINVAL);
	assert_int_equal(own_files(), 0);
	log_close(l);
}

static void test_more_than_are_open(void **state)
{
	enum { FILES = 3 * LOG_OWN_OPEN };
	struct log *l = fixture_open_good();
	uint64_t got;

	(void)state;
	for (uint64_t n = 1; n <= FILES; n++)
		assert_int_equal(log_own_write(l, n, &n, 8, n), 0);
	for (uint64_t n = FILES; n > 0; n--) {
		assert_int_equal(log_own_read(l, n, &got, 8, n), 0);
		assert_int_equal(got, n);
	}
	assert_int_equal(log_own_sync(l, 3), 0);
	assert_int_equal(log_own_sync(l, 0), 0);
	assert_int_equal(log_own_sync(l, FILES + 1), 0);
	assert_int_equal(l->own_dirty.count, 0);
	assert_int_equal(own_files(), FILES);
	log_close(l);

	/* What the process before this one wrote may not be durable. */
	l = fixture_open_good();
	assert_int_equal(l->own_dirty.count, FILES);
	assert_int_equal(log_own_sync(l, 0), 0);
	assert_int_equal(l->own_dirty.count, 0);
	assert_int_equal(log_own_write(l, 9, "x", 1, 0), 0);
	assert_int_equal(l->own_dirty.count, 1);
	assert_int_equal(log_own_sync(l, 9), 0);
	assert_int_equal(l->own_dirty.count, 0);
	log_close(l);
}

static bool keep_even(void *arg, uint64_t ino)
{
	unsigned *calls = arg;

	(*calls)++;
	return ino % 2 == 0;
}

static void test_sweep(void **state)
{
	struct log *l = fixture_open_good();
	_cleanup_close_ int fd = -1;
	unsigned calls = 0;
	char c;

	(void)state;
	for (uint64_t n = 1; n <= 10; n++)
		assert_int_equal(log_own_write(l, n, "x", 1, 0), 0);
	/* Names that are none of ours stay; the number 0 is none. */
	fd = openat(fx.dirfd, "data/other", O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	fd = openat(fx.dirfd, "data/0000000000000000", O_CREAT | O_WRONLY,
		    0600);
	assert_true(fd >= 0);
	assert_int_equal(log_own_sweep(l, keep_even, &calls), 0);
	assert_int_equal(calls, 10);
	assert_int_equal(own_files(), 7);
	assert_int_equal(log_own_read(l, 3, &c, 1, 0), -ENOENT);
	assert_own(l, 4, 0, "x", 1);
	assert_int_equal(log_own_sweep(l, NULL, NULL), 0);
	assert_int_equal(own_files(), 2);
	log_close(l);
	log_close(fixture_open_good());
	assert_true(fcntl(0, F_GETFD) >= 0);
}

/* While someone still reads the old file, the new one is another. */
static void test_removed_while_read(void **state)
{
	struct log *l = fixture_open_good();
	struct log_own *old;
	char got[4];

	(void)state;
	assert_int_equal(log_own_write(l, 5, "old", 4, 0), 0);
	assert_int_equal(log_own_get(l, 5, false, &old), 0);
	assert_int_equal(log_own_remove(l, 5), 0);
	assert_int_equal(log_own_read(l, 5, got, 4, 0), -ENOENT);
	assert_int_equal(log_own_write(l, 5, "new", 4, 0), 0);
	assert_own(l, 5, 0, "new", 4);
	assert_int_equal(io_pread(old->fd, got, 4, 0), 0);
	assert_string_equal(got, "old");
	log_own_put(l, old, false);
	assert_own(l, 5, 0, "new", 4);
	assert_int_equal(log_own_sync(l, 5), 0);
	log_close(l);
	l = fixture_open_good();
	assert_own(l, 5, 0, "new", 4);
	log_close(l);
}

/* --- threads: each its own inodes, removed and made again --- */

struct worker {
	struct log *log;
	unsigned id;
	int bad;
};

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct log *l = w->log;

	for (uint64_t i = 1; i <= 150; i++) {
		uint64_t ino = w->id * 1000 + i % 70 + 1;
		uint64_t got = 1;

		if (log_own_write(l, ino, &i, 8, i * 8) ||
		    log_own_read(l, ino, &got, 8, i * 8) || got != i)
			w->bad++;
		if (i % 7 == 0 && log_own_remove(l, ino))
			w->bad++;
		if (i % 7 == 0 &&
		    log_own_read(l, ino, &got, 8, i * 8) != -ENOENT)
			w->bad++;
		if (i % 50 == 0 && log_own_sync(l, i % 100 ? ino : 0))
			w->bad++;
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct log *l = fixture_open_good();
	struct worker w[6];
	pthread_t threads[6];

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		w[i] = (struct worker){ l, i, 0 };
		assert_int_equal(pthread_create(&threads[i], NULL, worker_main,
						&w[i]),
				 0);
	}
	for (unsigned i = 0; i < 6; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(w[i].bad, 0);
	}
	log_close(l);
}

/* A file that is removed and made again while another thread reads the old
 * one: who reads sees old or new bytes or none, and never the old ones
 * again once the new are there. */
struct reader {
	struct log *log;
	atomic_uint generation; /* of what was removed last */
	atomic_bool done;
	atomic_uint bad;
};

static void *generation_reader(void *arg)
{
	struct reader *rd = arg;

	while (!atomic_load(&rd->done)) {
		unsigned low = atomic_load(&rd->generation);
		unsigned got = 0;
		int r = log_own_read(rd->log, 5, &got, sizeof(got), 0);

		if (r != -ENOENT && (r || (got && got <= low)))
			atomic_fetch_add(&rd->bad, 1);
	}
	return NULL;
}

static void test_number_used_again(void **state)
{
	struct reader rd = { .log = fixture_open_good() };
	pthread_t threads[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						generation_reader, &rd),
				 0);
	for (unsigned n = 1; n <= 1000; n++) {
		assert_int_equal(log_own_write(rd.log, 5, &n, sizeof(n), 0), 0);
		assert_int_equal(log_own_remove(rd.log, 5), 0);
		atomic_store(&rd.generation, n);
	}
	atomic_store(&rd.done, true);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&rd.bad), 0);
	log_close(rd.log);
}

#define LOG_TEST(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(test_read_write),	   LOG_TEST(test_bad_numbers),
		LOG_TEST(test_more_than_are_open), LOG_TEST(test_sweep),
		LOG_TEST(test_removed_while_read), LOG_TEST(test_threads),
		LOG_TEST(test_number_used_again),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
