/* SPDX-License-Identifier: Apache-2.0 */
/* Publishing: what is seen before, after and instead of a commit. */
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
#include <sys/stat.h>
#include <sys/wait.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/publish.h"

static char dir[PATH_MAX];
static int dirfd_of_test = -1;

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(dir, sizeof(dir), "%s/larder-publish-XXXXXX",
		 tmp ? tmp : "/tmp");
	if (!mkdtemp(dir))
		return -1;
	dirfd_of_test = open(dir, O_RDONLY | O_DIRECTORY);
	return dirfd_of_test < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	close(dirfd_of_test);
	return io_remove_tree(AT_FDCWD, dir);
}

static unsigned count_names(void)
{
	_cleanup_closedir_ DIR *d = opendir(dir);
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	return n - 2;
}

static void assert_content(const char *name, const char *want)
{
	_cleanup_free_ uint8_t *data = NULL;
	size_t len;

	assert_int_equal(io_read_file(dirfd_of_test, name, 1000, &data, &len),
			 0);
	assert_string_equal((char *)data, want);
}

static void test_commit(void **state)
{
	struct publish p;
	struct stat st;

	(void)state;
	assert_int_equal(publish_open(&p, dirfd_of_test, 0600), 0);
	assert_int_equal(strncmp(p.name, PUBLISH_TMP_PREFIX,
				 strlen(PUBLISH_TMP_PREFIX)),
			 0);
	assert_int_equal(io_write(p.fd, "new", 3), 0);
	assert_int_equal(fstatat(dirfd_of_test, "f", &st, 0), -1);
	assert_int_equal(publish_commit(&p, "f"), 0);
	assert_string_equal(p.name, "");
	publish_release(&p);
	assert_content("f", "new");
	assert_int_equal(count_names(), 1);
	assert_int_equal(fstatat(dirfd_of_test, "f", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
}

static void test_replace(void **state)
{
	(void)state;
	assert_int_equal(publish_file(dirfd_of_test, "f", "one", 3, 0600), 0);
	assert_int_equal(publish_file(dirfd_of_test, "f", "two", 3, 0600), 0);
	assert_content("f", "two");
	assert_int_equal(count_names(), 1);
}

static void test_release_without_commit(void **state)
{
	struct publish p;

	(void)state;
	assert_int_equal(publish_open(&p, dirfd_of_test, 0600), 0);
	assert_int_equal(count_names(), 1);
	publish_release(&p);
	assert_int_equal(count_names(), 0);
	assert_int_equal(p.fd, -1);
	publish_release(&p);
}

static void test_commit_into_other_directory(void **state)
{
	struct publish p;
	int sub;

	(void)state;
	assert_int_equal(mkdirat(dirfd_of_test, "sub", 0700), 0);
	sub = openat(dirfd_of_test, "sub", O_PATH | O_DIRECTORY);
	assert_true(sub >= 0);
	assert_int_equal(publish_open(&p, dirfd_of_test, 0600), 0);
	assert_int_equal(io_write(p.fd, "x", 1), 0);
	assert_int_equal(publish_commit_at(&p, sub, "f"), 0);
	publish_release(&p);
	close(sub);
	assert_content("sub/f", "x");
	assert_int_equal(count_names(), 1);
}

static void test_two_at_once(void **state)
{
	struct publish a, b;

	(void)state;
	assert_int_equal(publish_open(&a, dirfd_of_test, 0600), 0);
	assert_int_equal(publish_open(&b, dirfd_of_test, 0600), 0);
	assert_string_not_equal(a.name, b.name);
	assert_int_equal(io_write(a.fd, "a", 1), 0);
	assert_int_equal(io_write(b.fd, "b", 1), 0);
	assert_int_equal(publish_commit(&b, "f"), 0);
	assert_int_equal(publish_commit(&a, "f"), 0);
	publish_release(&a);
	publish_release(&b);
	assert_content("f", "a");
}

static void test_sweep(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(publish_file(dirfd_of_test, "kept", "x", 1, 0600), 0);
	fd = openat(dirfd_of_test, PUBLISH_TMP_PREFIX "1-2", O_CREAT, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(mkdirat(dirfd_of_test, PUBLISH_TMP_PREFIX "d", 0700),
			 0);
	assert_int_equal(publish_sweep(dirfd_of_test), 0);
	assert_content("kept", "x");
	assert_int_equal(count_names(), 2);
	assert_int_equal(publish_sweep(-1), -EBADF);
}

static void test_missing_directory(void **state)
{
	struct publish p;

	(void)state;
	assert_int_equal(publish_open(&p, -1, 0600), -EBADF);
	assert_int_equal(p.fd, -1);
	assert_string_equal(p.name, "");
	publish_release(&p);
}

/* One publication in a child under LARDER_FAULT; its exit status. */
static int publish_under(const char *fault)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		setenv("LARDER_FAULT", fault, 1);
		_exit(-publish_file(dirfd_of_test, "f", "new", 3, 0600));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* Not through publish: LARDER_FAULT is read at the first fault point that a
 * process passes, and the children inherit what their parent has read. */
static void write_old(void)
{
	int fd = openat(dirfd_of_test, "f", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(io_write(fd, "old", 3), 0);
	close(fd);
}

/* At every step: an error or a kill leaves the old file or the whole new
 * one, and an error leaves nothing else. */
static void test_faults(void **state)
{
	static const struct {
		const char *point;
		const char *left;
	} steps[] = {
		{ "publish.open", "old" },
		{ "publish.sync", "old" },
		{ "publish.rename", "old" },
		{ "publish.dirsync", "new" },
	};
	char fault[64];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		int status;

		write_old();
		snprintf(fault, sizeof(fault), "%s:1:ENOSPC", steps[i].point);
		status = publish_under(fault);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), ENOSPC);
		assert_content("f", steps[i].left);
		assert_int_equal(count_names(), 1);

		write_old();
		snprintf(fault, sizeof(fault), "%s:1:kill", steps[i].point);
		status = publish_under(fault);
		assert_true(WIFSIGNALED(status));
		assert_content("f", steps[i].left);
		assert_int_equal(publish_sweep(dirfd_of_test), 0);
		assert_int_equal(count_names(), 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		/* First, before this process has read LARDER_FAULT. */
		IN_DIR(test_faults),
		IN_DIR(test_commit),
		IN_DIR(test_replace),
		IN_DIR(test_release_without_commit),
		IN_DIR(test_commit_into_other_directory),
		IN_DIR(test_two_at_once),
		IN_DIR(test_sweep),
		IN_DIR(test_missing_directory),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
