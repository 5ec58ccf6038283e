/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories that are the user's alone, and paths that are walked without
 * links: also while somebody swaps a directory on the way for one.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/own_dir.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"

#define SWAPS 300

static char root[] = "/tmp/larder-own.XXXXXX";

static int setup(void **state)
{
	(void)state;
	strcpy(root + sizeof(root) - 7, "XXXXXX");
	if (!mkdtemp(root) || chdir(root) < 0)
		return -1;
	return mkdir("real", 0700) || mkdir("real/m", 0700) ||
	       mkdir("victim", 0700) || mkdir("victim/m", 0700);
}

static int teardown(void **state)
{
	(void)state;
	if (chdir("/") < 0)
		return -1;
	return io_remove_tree(AT_FDCWD, root);
}

/* --- whose --- */

static int try(const char *path, bool shared, const char *words)
{
	char why[OWN_DIR_WHY_MAX] = "";
	int fd = own_dir_open(path, shared, why);

	if (fd >= 0) {
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		close(fd);
		return 0;
	}
	assert_non_null(strstr(why, words));
	assert_non_null(strstr(why, path));
	return fd;
}

static void test_modes(void **state)
{
	(void)state;
	assert_int_equal(try("real", false, ""), 0);
	assert_int_equal(chmod("real", 0755), 0);
	assert_int_equal(try("real", false, ""), 0);
	assert_int_equal(chmod("real", 0770), 0);
	assert_int_equal(try("real", false, "others may write"), -EACCES);
	assert_int_equal(chmod("real", 0702), 0);
	assert_int_equal(try("real", true, "others may write"), -EACCES);
	assert_int_equal(chmod("real", 01777), 0);
	assert_int_equal(try("real", true, ""), 0);
	assert_int_equal(try("real", false, "others may write"), -EACCES);
}

static void test_no_directory(void **state)
{
	(void)state;
	assert_int_equal(symlink("real", "link"), 0);
	assert_int_equal(try("link", true, "symbolic link"), -ELOOP);
	assert_int_equal(try("absent", true, "No such file"), -ENOENT);
	close(open("file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(try("file", true, "Not a directory"), -ENOTDIR);
}

static void test_owners(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		assert_int_equal(try("/", false, "another user"), -EACCES);
		assert_int_equal(try("/", true, ""), 0);
		return;
	}
	assert_int_equal(chown("real", 12345, 0), 0);
	assert_int_equal(try("real", false, "uid 12345"), -EACCES);
	assert_int_equal(try("real", true, "uid 12345"), -EACCES);
}

/* --- walking --- */

static int walk(const char *relative, const char **ret_name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", root, relative);
	return own_dir_walk(path, ret_name);
}

static void test_walk(void **state)
{
	_cleanup_close_ int fd = -1;
	const char *name = NULL;
	struct stat a, b;

	(void)state;
	fd = walk("real//m", &name);
	assert_true(fd >= 0);
	assert_string_equal(name, "m");
	assert_int_equal(fstat(fd, &a), 0);
	assert_int_equal(stat("real", &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	close(steal_fd(&fd));
	/* The last one need not be there. */
	fd = walk("real/none", &name);
	assert_true(fd >= 0);
	close(steal_fd(&fd));
	fd = own_dir_walk("/tmp", &name);
	assert_true(fd >= 0);
	assert_string_equal(name, "tmp");
}

static void test_walk_refuses(void **state)
{
	static const struct {
		const char *path;
		int err;
	} cases[] = {
		{ "link/m", -ELOOP },	   { "real/../m", -EINVAL },
		{ "./real/m", -EINVAL },   { "real/m/..", -EINVAL },
		{ "real/m/../", -EINVAL }, { "real/.", -EINVAL },
		{ "absent/m", -ENOENT },   { "file/m", -ENOTDIR },
	};
	char longer[NAME_MAX + 4];
	const char *name;

	(void)state;
	assert_int_equal(symlink("real", "link"), 0);
	close(open("file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(walk(cases[i].path, &name), cases[i].err);
	assert_int_equal(own_dir_walk("", &name), -EINVAL);
	assert_int_equal(own_dir_walk("/", &name), -EINVAL);
	assert_int_equal(own_dir_walk("real/m", &name), -EINVAL);
	memset(longer, 'x', sizeof(longer));
	memcpy(longer + NAME_MAX + 1, "/m", 3);
	assert_int_equal(walk(longer, &name), -ENAMETOOLONG);
}

/* The directory p is there, or a link to the victim, or nothing. */
static void *swap(void *arg)
{
	atomic_bool *stop = arg;

	while (!atomic_load(stop)) {
		if (rename("p", "real") < 0 || symlink("victim", "p") < 0 ||
		    unlink("p") < 0 || rename("real", "p") < 0)
			return (void *)1;
	}
	return NULL;
}

static void test_walk_while_swapped(void **state)
{
	atomic_bool stop = false;
	unsigned reached = 0, tries = 0;
	pthread_t thread;
	struct stat want, got;
	void *failed;

	(void)state;
	assert_int_equal(stat("real", &want), 0);
	assert_int_equal(rename("real", "p"), 0);
	assert_int_equal(pthread_create(&thread, NULL, swap, &stop), 0);
	while (reached < SWAPS && tries++ < 1000 * SWAPS) {
		const char *name;
		_cleanup_close_ int fd = walk("p/m", &name);

		if (fd < 0) {
			assert_true(fd == -ELOOP || fd == -ENOENT ||
				    fd == -ENOTDIR);
			continue;
		}
		assert_int_equal(fstat(fd, &got), 0);
		assert_int_equal(got.st_ino, want.st_ino);
		reached++;
	}
	atomic_store(&stop, true);
	pthread_join(thread, &failed);
	assert_null(failed);
	assert_true(reached > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_modes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_directory, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_owners, setup, teardown),
		cmocka_unit_test_setup_teardown(test_walk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_walk_refuses, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_walk_while_swapped, setup,
						teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
