/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messenger, which writes to a pipe here: what arrives, and what is said
 * of one that is gone.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fs/messenger.h"
#include "store/base/io.h"

struct note {
	struct fuse_out_header head;
	char text[8];
};

static const struct note notes[2] = {
	{ { .len = sizeof(struct note) }, "first" },
	{ { .len = sizeof(struct note) }, "second" },
};

static int tell(struct messenger *m, int fd, int ret_results[2])
{
	return messenger_tell(m, fd, notes, sizeof(notes), ret_results, 2);
}

static void test_all_arrives(void **state)
{
	int results[2] = { 1, 1 }, fds[2];
	struct note got[2];
	struct messenger *m;

	(void)state;
	assert_int_equal(messenger_start(&m), 0);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(tell(m, fds[1], results), 0);
	assert_int_equal(results[0], 0);
	assert_int_equal(results[1], 0);
	assert_int_equal(io_read_upto(fds[0], got, sizeof(got)), sizeof(got));
	assert_memory_equal(got, notes, sizeof(got));
	/* The other end is nobody's any more. */
	close(fds[1]);
	assert_int_equal(read(fds[0], got, 1), 0);
	assert_int_equal(messenger_tell(m, fds[0], notes, sizeof(notes) - 1,
					results, 2),
			 -EINVAL);
	close(fds[0]);
	messenger_free(m);
}

/* Of a file that is short. */
static unsigned count_lines(int fd)
{
	char text[4096];
	ssize_t n = pread(fd, text, sizeof(text), 0);
	unsigned lines = 0;

	assert_true(n >= 0);
	while (n-- > 0)
		lines += text[n] == '\n';
	return lines;
}

/* It dies of a pipe that nobody reads. */
static void test_one_that_is_gone(void **state)
{
	int log = memfd_create("log", MFD_CLOEXEC), saved, results[2], fds[2];
	int r[3];
	struct messenger *m;

	(void)state;
	signal(SIGPIPE, SIG_DFL);
	assert_int_equal(messenger_start(&m), 0);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	saved = dup(STDERR_FILENO);
	dup2(log, STDERR_FILENO);
	for (unsigned n = 0; n < 3; n++)
		r[n] = tell(m, fds[1], results);
	dup2(saved, STDERR_FILENO);
	for (unsigned n = 0; n < 3; n++)
		assert_int_equal(r[n], -EPIPE);
	assert_int_equal(count_lines(log), 1);
	close(saved);
	close(log);
	close(fds[1]);
	messenger_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_arrives),
		cmocka_unit_test(test_one_that_is_gone),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
