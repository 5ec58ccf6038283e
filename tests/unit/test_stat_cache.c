/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stat cache: what it may believe, what it must not, and that damage is
 * as good as nothing.
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
#include "store/base/clock.h"
#include "store/base/io.h"
#include "store/key_content.h"
#include "store/stat_cache.h"

#define LATER_NS (clock_wall_ns() + 2 * STAT_CACHE_RACY_NS)

struct fixture {
	char dir[4096];
	char cache[4200];
	int fd;
};

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "%s/test_stat_cache.XXXXXX",
		 tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->cache, sizeof(f->cache), "%s/cache/stat", f->dir);
	f->fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(f->fd >= 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close(f->fd);
	assert_int_equal(io_remove_tree(AT_FDCWD, f->dir), 0);
	free(f);
	return 0;
}

static void write_file(struct fixture *f, const char *name, const char *text)
{
	_cleanup_close_ int fd = openat(
		f->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(io_write(fd, text, strlen(text)), 0);
}

static struct stat stat_of(struct fixture *f, const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(f->fd, name, &st, 0), 0);
	return st;
}

static struct stat_cache *open_cache(struct fixture *f, const char *root)
{
	struct stat_cache *c = NULL;

	assert_int_equal(stat_cache_open(f->cache, root, f->fd, &c), 0);
	return c;
}

static struct digest digest_text(const char *text)
{
	struct digest d;

	assert_int_equal(digest_of(text, strlen(text), &d), 0);
	return d;
}

/* Whether a cache that is read anew knows `name` by these stat data. */
static bool knows(struct fixture *f, const char *name, const struct stat *st)
{
	struct stat_cache *c = open_cache(f, f->dir);
	struct digest d, want = digest_text(name);
	bool found = stat_cache_find(c, name, st, &d);

	if (found)
		assert_memory_equal(&d, &want, sizeof(d));
	stat_cache_free(c);
	return found;
}

/* Remembers `name`, as if it had been left alone for long. */
static struct stat remember(struct fixture *f, const char *name)
{
	struct stat_cache *c = open_cache(f, f->dir);
	struct digest d = digest_text(name);
	struct stat st;

	write_file(f, name, name);
	st = stat_of(f, name);
	stat_cache_put(c, name, &st, LATER_NS, &d);
	assert_int_equal(stat_cache_save(c), 0);
	stat_cache_free(c);
	return st;
}

static void test_any_difference_counts(void **state)
{
	struct fixture *f = *state;
	struct stat st = remember(f, "a"), other;

	assert_true(knows(f, "a", &st));
	assert_false(knows(f, "b", &st));
	other = st;
	other.st_size++;
	assert_false(knows(f, "a", &other));
	other = st;
	other.st_ino++;
	assert_false(knows(f, "a", &other));
	other = st;
	other.st_mtim.tv_nsec ^= 1;
	assert_false(knows(f, "a", &other));
	other = st;
	other.st_ctim.tv_nsec ^= 1;
	assert_false(knows(f, "a", &other));
	assert_true(knows(f, "a", &st));
}

static void test_young_files_are_not_remembered(void **state)
{
	struct fixture *f = *state;
	struct digest d = digest_text("a");
	struct stat_cache *c;
	int64_t ctime_ns;
	struct stat st = remember(f, "a");

	ctime_ns = st.st_ctim.tv_sec * INT64_C(1000000000) + st.st_ctim.tv_nsec;
	c = open_cache(f, f->dir);
	stat_cache_put(c, "a", &st, ctime_ns + STAT_CACHE_RACY_NS - 1, &d);
	assert_false(stat_cache_find(c, "a", &st, &d));
	assert_int_equal(stat_cache_save(c), 0);
	assert_false(knows(f, "a", &st));
	/* A clock that was put back. */
	stat_cache_put(c, "a", &st, ctime_ns - INT64_C(3600000000000), &d);
	assert_false(stat_cache_find(c, "a", &st, &d));
	stat_cache_put(c, "a", &st, ctime_ns + STAT_CACHE_RACY_NS, &d);
	assert_true(stat_cache_find(c, "a", &st, &d));
	stat_cache_free(c);
}

static void test_roots_are_apart(void **state)
{
	struct fixture *f = *state;
	struct stat st = remember(f, "a");
	struct stat_cache *c = open_cache(f, "/elsewhere");
	struct digest d;

	assert_false(stat_cache_find(c, "a", &st, &d));
	stat_cache_free(c);
}

static void test_many(void **state)
{
	struct fixture *f = *state;
	struct stat_cache *c = open_cache(f, f->dir);
	struct stat st = stat_of(f, ".");
	struct digest d;
	char name[16];

	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		d = digest_text(name);
		stat_cache_put(c, name, &st, LATER_NS, &d);
	}
	assert_int_equal(stat_cache_save(c), 0);
	stat_cache_free(c);
	c = open_cache(f, f->dir);
	for (int i = 0; i < 20000; i++) {
		struct digest want;

		snprintf(name, sizeof(name), "%d", i);
		want = digest_text(name);
		assert_true(stat_cache_find(c, name, &st, &d));
		assert_memory_equal(&d, &want, sizeof(d));
	}
	stat_cache_free(c);
}

/* The one file in the cache's directory. */
static void cache_file(struct fixture *f, char ret_path[8192])
{
	_cleanup_closedir_ DIR *dir = opendir(f->cache);
	struct dirent *de;
	int count = 0;

	assert_non_null(dir);
	while ((de = readdir(dir))) {
		if (de->d_name[0] == '.')
			continue;
		snprintf(ret_path, 8192, "%s/%s", f->cache, de->d_name);
		count++;
	}
	assert_int_equal(count, 1);
}

/* Each byte changed, and each length: nothing is believed, nothing breaks,
 * and the next save mends it. */
static void test_damage(void **state)
{
	struct fixture *f = *state;
	struct stat st = remember(f, "a");
	_cleanup_free_ uint8_t *good = NULL;
	char path[8192];
	size_t len;

	cache_file(f, path);
	assert_int_equal(io_read_file(AT_FDCWD, path, 4096, &good, &len), 0);
	for (size_t i = 0; i < 2 * len; i++) {
		_cleanup_close_ int fd = open(path, O_WRONLY | O_TRUNC);

		assert_true(fd >= 0);
		good[i % len] ^= i < len ? 0x41 : 0;
		assert_int_equal(
			io_pwrite(fd, good, i < len ? len : i - len, 0), 0);
		good[i % len] ^= i < len ? 0x41 : 0;
		assert_false(knows(f, "a", &st));
	}
	st = remember(f, "a");
	assert_true(knows(f, "a", &st));
}

static void test_no_room_is_no_matter(void **state)
{
	struct fixture *f = *state;
	struct stat_cache *c;
	struct digest d = digest_text("a");
	struct stat st;

	write_file(f, "a", "a");
	write_file(f, "cache", "no directory");
	st = stat_of(f, "a");
	c = open_cache(f, f->dir);
	stat_cache_put(c, "a", &st, LATER_NS, &d);
	assert_true(stat_cache_find(c, "a", &st, &d));
	assert_true(stat_cache_save(c) < 0);
	stat_cache_free(c);
}

/* Old roots go, and what a crash has left. */
static void test_files_are_bounded(void **state)
{
	struct fixture *f = *state;
	const struct timespec old[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	char path[8192], name[64];
	struct stat st = remember(f, "a");
	struct stat_cache *c;
	struct digest d = digest_text("a");

	snprintf(path, sizeof(path), "%s/.tmp-old", f->cache);
	assert_int_equal(close(open(path, O_WRONLY | O_CREAT, 0600)), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	for (int i = 0; i < STAT_CACHE_FILES + 40; i++) {
		snprintf(name, sizeof(name), "/root/%d", i);
		c = open_cache(f, name);
		stat_cache_put(c, "a", &st, LATER_NS, &d);
		assert_int_equal(stat_cache_save(c), 0);
		stat_cache_free(c);
	}
	assert_int_equal(access(path, F_OK), -1);
	snprintf(path, sizeof(path), "%s/cache/stat", f->dir);
	{
		_cleanup_closedir_ DIR *dir = opendir(path);
		struct dirent *de;
		int count = 0;

		while ((de = readdir(dir)))
			count += de->d_name[0] != '.';
		assert_int_equal(count, STAT_CACHE_FILES);
	}
}

/* The rule at work: the same size, the same mtime, and yet other content. */
static void test_content(void **state)
{
	struct fixture *f = *state;
	struct stat_cache *c = open_cache(f, f->dir);
	struct key_content *content = NULL;
	struct stat st, before;
	struct digest d, want;

	assert_int_equal(key_content_new(c, &content), 0);
	for (int i = 0; i < 50; i++) {
		char text[16];

		snprintf(text, sizeof(text), "%04d", i);
		write_file(f, "a", text);
		if (i > 0)
			assert_int_equal(
				utimensat(f->fd, "a",
					  (struct timespec[]){ before.st_atim,
							       before.st_mtim },
					  0),
				0);
		want = digest_text(text);
		assert_int_equal(key_content_digest(content, f->fd, "a", "a",
						    &st, &d),
				 1);
		assert_memory_equal(&d, &want, sizeof(d));
		before = st;
	}
	assert_int_equal(key_content_digest(content, f->fd, ".", ".", &st, &d),
			 0);
	assert_int_equal(key_content_digest(content, f->fd, "none", "none", &st,
					    &d),
			 -ENOENT);
	key_content_free(content);
	stat_cache_free(c);
}

/* What is remembered is used: the digest comes without reading. */
static void test_content_is_not_read_again(void **state)
{
	struct fixture *f = *state;
	struct stat_cache *c = open_cache(f, f->dir);
	struct digest d, mark = digest_text("not what is in it");
	struct key_content *content = NULL;
	struct stat st;

	write_file(f, "a", "text");
	st = stat_of(f, "a");
	stat_cache_put(c, "a", &st, LATER_NS, &mark);
	assert_int_equal(key_content_new(c, &content), 0);
	assert_int_equal(key_content_digest(content, f->fd, "a", "a", &st, &d),
			 1);
	assert_memory_equal(&d, &mark, sizeof(d));
	key_content_free(content);
	stat_cache_free(c);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_any_difference_counts),
		T(test_young_files_are_not_remembered),
		T(test_roots_are_apart),
		T(test_many),
		T(test_damage),
		T(test_no_room_is_no_matter),
		T(test_files_are_bounded),
		T(test_content),
		T(test_content_is_not_read_again),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
