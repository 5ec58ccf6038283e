/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines: prefix, error text, level, forged lines, the journal. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/base/io.h"
#include "store/base/log.h"

/* Runs `fn` in a child whose standard error is a pipe (named as the journal
 * where `journal`), and gives what it wrote. */
static void captured(void (*fn)(void), int journal, char *ret, size_t room)
{
	int pipes[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char name[64] = "1:1";
		struct stat st;

		dup2(pipes[1], STDERR_FILENO);
		if (journal && fstat(STDERR_FILENO, &st) == 0)
			snprintf(name, sizeof(name), "%llu:%llu",
				 (unsigned long long)st.st_dev,
				 (unsigned long long)st.st_ino);
		setenv("JOURNAL_STREAM", name, 1);
		program_invocation_short_name = (char *)"prog";
		fn();
		_exit(0);
	}
	close(pipes[1]);
	n = io_read_upto(pipes[0], ret, room - 1);
	assert_true(n >= 0);
	ret[n] = '\0';
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void say_error(void)
{
	errno = ECHILD;
	if (log_error(-ENOENT, "pack %d", 7) != -ENOENT || errno != ECHILD)
		_exit(1);
}

static void say_newline(void)
{
	log_info("a\nprog: forged\x1b");
}

static void say_debug(void)
{
	log_debug("hidden");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("seen");
	log_set_level(LOG_LEVEL_ERROR);
	log_warn(-EIO, "hidden too");
}

static void say_long(void)
{
	char text[10000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_info("%s", text);
}

static void say_flood(void)
{
	for (unsigned i = 0; i < 1000; i++)
		(void)log_warn(-EIO, "pack %d", 7);
	log_info("another");
}

static void test_error_text(void **state)
{
	char out[256];

	(void)state;
	captured(say_error, 0, out, sizeof(out));
	assert_string_equal(out, "prog: pack 7: No such file or directory\n");
}

static void test_journal_prefix(void **state)
{
	char out[256];

	(void)state;
	captured(say_error, 1, out, sizeof(out));
	assert_string_equal(out, "<3>pack 7: No such file or directory\n");
}

static void test_control_bytes(void **state)
{
	char out[256];

	(void)state;
	captured(say_newline, 0, out, sizeof(out));
	assert_string_equal(out, "prog: a?prog: forged?\n");
}

static void test_level(void **state)
{
	char out[256];

	(void)state;
	captured(say_debug, 0, out, sizeof(out));
	assert_string_equal(out, "prog: seen\n");
}

static void test_long_line_is_cut(void **state)
{
	char out[4096];
	size_t len;

	(void)state;
	captured(say_long, 0, out, sizeof(out));
	len = strlen(out);
	assert_in_range(len, 1000, 2048);
	assert_ptr_equal(strchr(out, '\n'), out + len - 1);
}

static void test_flood(void **state)
{
	char out[4096], *line = out;
	unsigned lines = 0;

	(void)state;
	captured(say_flood, 0, out, sizeof(out));
	for (; (line = strstr(line, "pack 7")); line++)
		lines++;
	assert_int_equal(lines, 10);
	assert_non_null(strstr(out, "prog: another\n"));
}

static void test_level_names(void **state)
{
	enum log_level level;

	(void)state;
	assert_int_equal(log_level_parse("error", &level), 0);
	assert_int_equal(level, LOG_LEVEL_ERROR);
	assert_int_equal(log_level_parse("warning", &level), 0);
	assert_int_equal(level, LOG_LEVEL_WARN);
	assert_int_equal(log_level_parse("info", &level), 0);
	assert_int_equal(level, LOG_LEVEL_INFO);
	assert_int_equal(log_level_parse("debug", &level), 0);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_parse("", &level), -EINVAL);
	assert_int_equal(log_level_parse("Debug", &level), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error_text),
		cmocka_unit_test(test_journal_prefix),
		cmocka_unit_test(test_control_bytes),
		cmocka_unit_test(test_level),
		cmocka_unit_test(test_level_names),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_long_line_is_cut),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
