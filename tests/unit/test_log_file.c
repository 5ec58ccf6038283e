/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log file of bounded length: one old file is kept, several processes share
 * both, and what somebody writes past the log goes to one of them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/log.h"
#include "store/base/log_file.h"

#define MAX_BYTES 65536u
#define ONCE_BYTES 204800u /* all lines of all writers: one rename */
#define LINES 4000u
#define WRITERS 3u

static uint64_t max_bytes; /* of the writers */
static char dir[PATH_MAX / 2], path[PATH_MAX], old[PATH_MAX];

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	max_bytes = MAX_BYTES;
	snprintf(dir, sizeof(dir), "%s/larder-log-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/log", dir);
	snprintf(old, sizeof(old), "%s/log.old", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return io_remove_tree(AT_FDCWD, dir);
}

/* In a child: standard error is the file, as larder opens it. */
static void begin(void)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);

	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0 || close(fd) < 0)
		_exit(1);
	program_invocation_short_name = (char *)"prog";
}

static void say_lines(unsigned writer)
{
	for (unsigned n = 0; n < LINES; n++)
		log_error(0, "writer %u line %u", writer, n);
}

static pid_t run(void (*fn)(unsigned arg), unsigned arg)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		fn(arg);
		_exit(0);
	}
	return pid;
}

static void join(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Both files, the older one first. */
static char *both(void)
{
	_cleanup_free_ uint8_t *a = NULL, *b = NULL;
	size_t a_len = 0, b_len = 0;
	char *all;

	if (access(old, F_OK) == 0)
		assert_int_equal(
			io_read_file(AT_FDCWD, old, 1u << 24, &a, &a_len), 0);
	assert_int_equal(io_read_file(AT_FDCWD, path, 1u << 24, &b, &b_len), 0);
	/* While one of several renames it, the others write on. */
	assert_true(b_len < 2 * max_bytes && a_len < 2 * max_bytes);
	all = calloc(1, a_len + b_len + 1);
	assert_non_null(all);
	if (a_len)
		memcpy(all, a, a_len);
	if (b_len)
		memcpy(all + a_len, b, b_len);
	return all;
}

/* Every line is whole, and of each writer there are the last ones, without a
 * gap. */
static void assert_lines(const char *all, unsigned writers)
{
	unsigned next[WRITERS] = { 0 }, writer, n;
	int len;

	while (*all) {
		assert_int_equal(sscanf(all, "prog: writer %u line %u\n%n",
					&writer, &n, &len),
				 2);
		assert_true(writer < writers);
		assert_true(next[writer] == 0 || next[writer] == n);
		next[writer] = n + 1;
		all += len;
	}
	for (writer = 0; writer < writers; writer++)
		assert_true(next[writer] == 0 || next[writer] == LINES);
}

static void bounded(unsigned writer)
{
	begin();
	if (log_file_bound(path, max_bytes) < 0)
		_exit(1);
	say_lines(writer);
}

static void test_one_writer(void **state)
{
	_cleanup_free_ char *all = NULL;
	struct stat st;

	(void)state;
	join(run(bounded, 0));
	assert_int_equal(stat(old, &st), 0);
	assert_true((uint64_t)st.st_size >= MAX_BYTES);
	all = both();
	assert_lines(all, 1);
	assert_non_null(strstr(all, "line 3999\n"));
	/* What was too long already is renamed before the first line. */
	join(run(bounded, 0));
	free(all);
	all = both();
	assert_lines(all, 1);
}

static void test_several_processes(void **state)
{
	_cleanup_free_ char *all = NULL;
	pid_t pids[WRITERS];

	(void)state;
	max_bytes = ONCE_BYTES;
	for (unsigned k = 0; k < WRITERS; k++)
		pids[k] = run(bounded, k);
	for (unsigned k = 0; k < WRITERS; k++)
		join(pids[k]);
	assert_int_equal(access(old, F_OK), 0);
	all = both();
	assert_lines(all, WRITERS);
}

/* As the worker is a child of the supervisor's, with its standard error. */
static void parent_and_child(unsigned arg)
{
	pid_t pid;
	int status;

	(void)arg;
	begin();
	if (log_file_bound(path, MAX_BYTES) < 0)
		_exit(1);
	log_error(0, "writer 0 line 0");
	pid = fork();
	if (pid == 0) {
		say_lines(1);
		/* What a crash would say. */
		if (dprintf(STDERR_FILENO, "past the log\n") < 0)
			_exit(1);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		_exit(1);
	/* The files were renamed several times meanwhile. */
	log_error(0, "writer 0 line 1");
}

static void test_parent_follows(void **state)
{
	_cleanup_free_ char *all = NULL;

	(void)state;
	join(run(parent_and_child, 0));
	all = both();
	assert_non_null(strstr(all, "writer 1 line 3999\npast the log\n"
				    "prog: writer 0 line 1\n"));
}

static void not_that_file(unsigned arg)
{
	char other[PATH_MAX + 8];
	int fd;

	(void)arg;
	snprintf(other, sizeof(other), "%s.other", path);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
		_exit(1);
	fd = open(other, O_WRONLY | O_CREAT, 0600);
	program_invocation_short_name = (char *)"prog";
	if (fd < 0 || log_file_bound(other, 10) < 0)
		_exit(1);
	say_lines(0);
}

/* A terminal, a journal, another file: they stay as they are. */
static void test_elsewhere(void **state)
{
	_cleanup_free_ uint8_t *all = NULL;
	size_t len;

	(void)state;
	join(run(not_that_file, 0));
	assert_int_equal(access(old, F_OK), -1);
	assert_int_equal(io_read_file(AT_FDCWD, path, 1u << 24, &all, &len), 0);
	assert_lines((char *)all, 1);
	assert_int_equal(memcmp(all, "prog: writer 0 line 0\n", 22), 0);
}

static void file_goes(unsigned arg)
{
	(void)arg;
	begin();
	if (log_file_bound(path, MAX_BYTES) < 0 || unlink(path) < 0)
		_exit(1);
	log_error(0, "writer 0 line 3999");
}

static void test_removed_file_is_made_anew(void **state)
{
	_cleanup_free_ char *all = NULL;

	(void)state;
	join(run(file_goes, 0));
	all = both();
	assert_string_equal(all, "prog: writer 0 line 3999\n");
}

/* No new file can be made: lines go where they went. */
static void full(unsigned arg)
{
	(void)arg;
	begin();
	if (log_file_bound(path, 100) < 0 || mkdir(old, 0700) < 0)
		_exit(1);
	say_lines(0);
}

static void test_rename_fails(void **state)
{
	_cleanup_free_ uint8_t *all = NULL;
	size_t len;

	(void)state;
	join(run(full, 0));
	assert_int_equal(io_read_file(AT_FDCWD, path, 1u << 24, &all, &len), 0);
	assert_lines((char *)all, 1);
	assert_int_equal(memcmp(all, "prog: writer 0 line 0\n", 22), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_writer),
		TEST(test_several_processes),
		TEST(test_parent_follows),
		TEST(test_elsewhere),
		TEST(test_removed_file_is_made_anew),
		TEST(test_rename_fails),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
