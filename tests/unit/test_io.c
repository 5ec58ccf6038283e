/* SPDX-License-Identifier: Apache-2.0 */
/* Whole transfers, small files, mkdir -p, and removal of trees. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"

static char dir[PATH_MAX];

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(dir, sizeof(dir), "%s/larder-io-XXXXXX", tmp ? tmp : "/tmp");
	return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	if (chdir("/") < 0)
		return -1;
	return io_remove_tree(AT_FDCWD, dir);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(io_write(fd, text, strlen(text)), 0);
	close(fd);
}

static void test_pread_pwrite(void **state)
{
	int fd = open("f", O_RDWR | O_CREAT, 0600);
	char got[8] = "";

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(io_pwrite(fd, "hello", 5, 3), 0);
	assert_int_equal(io_pread(fd, got, 5, 3), 0);
	assert_memory_equal(got, "hello", 5);
	assert_int_equal(io_pread(fd, got, 6, 3), -ENODATA);
	assert_int_equal(io_pread(fd, got, 0, 1000), 0);
	assert_int_equal(io_pread(-1, got, 1, 0), -EBADF);
	assert_int_equal(io_pwrite(-1, got, 1, 0), -EBADF);
	close(fd);
}

/* More parts than one system call takes, some of them empty. */
static void test_pwritev_many_parts(void **state)
{
	enum { PARTS = 3 * IOV_MAX + 7 };
	struct iovec *iov = calloc(PARTS, sizeof(*iov));
	int fd = open("v", O_RDWR | O_CREAT, 0600);
	char *bytes = malloc(PARTS);
	char *got = calloc(1, PARTS);
	size_t len = 0;
	int i;

	(void)state;
	assert_true(iov && bytes && got && fd >= 0);
	for (i = 0; i < PARTS; i++) {
		bytes[i] = i % 251;
		if (i % 5 == 0)
			continue;
		iov[i].iov_base = &bytes[i];
		iov[i].iov_len = 1;
	}
	assert_int_equal(io_pwritev(fd, iov, PARTS, 10), 0);
	for (i = 0; i < PARTS; i++)
		if (i % 5)
			got[len++] = bytes[i];
	memcpy(bytes, got, len);
	assert_int_equal(io_pread(fd, got, len, 10), 0);
	assert_memory_equal(got, bytes, len);
	assert_int_equal(lseek(fd, 0, SEEK_END), 10 + len);
	close(fd);
	free(iov);
	free(bytes);
	free(got);
}

static void *slow_writer(void *arg)
{
	int fd = *(int *)arg;
	int i;

	for (i = 0; i < 100; i++)
		if (write(fd, "0123456789", 10) != 10)
			break;
	close(fd);
	return NULL;
}

/* A pipe gives what is there: short reads, joined to whole ones. */
static void test_read_upto(void **state)
{
	char got[2000];
	pthread_t thread;
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(pthread_create(&thread, NULL, slow_writer, &pipes[1]),
			 0);
	assert_int_equal(io_read_upto(pipes[0], got, 995), 995);
	assert_memory_equal(got + 990, "01234", 5);
	assert_int_equal(io_read_upto(pipes[0], got, sizeof(got)), 5);
	assert_int_equal(io_read_upto(pipes[0], got, sizeof(got)), 0);
	pthread_join(thread, NULL);
	close(pipes[0]);
}

static void test_read_file(void **state)
{
	uint8_t *data;
	size_t len;

	(void)state;
	write_file("small", "12345");
	assert_int_equal(io_read_file(AT_FDCWD, "small", 5, &data, &len), 0);
	assert_int_equal(len, 5);
	assert_string_equal((char *)data, "12345");
	free(data);
	assert_int_equal(io_read_file(AT_FDCWD, "small", 4, &data, &len),
			 -EFBIG);
	assert_int_equal(io_read_file(AT_FDCWD, "none", 4, &data, &len),
			 -ENOENT);
	write_file("empty", "");
	assert_int_equal(io_read_file(AT_FDCWD, "empty", 0, &data, &len), 0);
	assert_int_equal(len, 0);
	assert_string_equal((char *)data, "");
	free(data);
}

/* Files of /proc say that they have no size. */
static void test_read_file_without_size(void **state)
{
	uint8_t *data;
	size_t len;

	(void)state;
	assert_int_equal(io_read_file(AT_FDCWD, "/proc/self/mountinfo",
				      16 << 20, &data, &len),
			 0);
	assert_true(len > 0);
	assert_int_equal(data[len], 0);
	free(data);
	assert_int_equal(io_read_file(AT_FDCWD, "/proc/self/status", 10, &data,
				      &len),
			 -EFBIG);
	assert_int_equal(io_read_file(AT_FDCWD, "/proc/self/status", 0, &data,
				      &len),
			 -EFBIG);
}

static void test_mkdir_p(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(io_mkdir_p("a/b//c/", 0700), 0);
	assert_int_equal(stat("a/b/c", &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
	assert_int_equal(io_mkdir_p("a/b/c", 0700), 0);
	assert_int_equal(io_mkdir_p(dir, 0700), 0);
	assert_int_equal(io_mkdir_p("/", 0700), 0);
	write_file("a/file", "x");
	assert_int_equal(io_mkdir_p("a/file", 0700), -ENOTDIR);
	assert_int_equal(io_mkdir_p("a/file/d", 0700), -ENOTDIR);
	assert_int_equal(io_mkdir_p("", 0700), -ENOENT);
}

static void test_remove_tree(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(io_remove_tree(AT_FDCWD, "absent"), 0);
	assert_int_equal(io_mkdir_p("t/a/b/c", 0700), 0);
	assert_int_equal(io_mkdir_p("t/d", 0700), 0);
	write_file("t/a/f", "x");
	write_file("t/a/b/c/f", "x");
	assert_int_equal(mkfifo("t/fifo", 0600), 0);
	assert_int_equal(io_remove_tree(AT_FDCWD, "t"), 0);
	assert_int_equal(lstat("t", &st), -1);
	write_file("plain", "x");
	assert_int_equal(io_remove_tree(AT_FDCWD, "plain"), 0);
	assert_int_equal(lstat("plain", &st), -1);
}

static void test_remove_tree_keeps_link_targets(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(io_mkdir_p("kept", 0700), 0);
	write_file("kept/f", "x");
	assert_int_equal(io_mkdir_p("l", 0700), 0);
	assert_int_equal(symlink("../kept", "l/inside"), 0);
	assert_int_equal(symlink("kept", "top"), 0);
	assert_int_equal(io_remove_tree(AT_FDCWD, "l"), 0);
	assert_int_equal(io_remove_tree(AT_FDCWD, "top"), 0);
	assert_int_equal(lstat("l", &st), -1);
	assert_int_equal(lstat("top", &st), -1);
	assert_int_equal(stat("kept/f", &st), 0);
}

/* Deeper than the number of descriptors that the removal may hold; some are
 * held elsewhere in a daemon. */
static void test_remove_deep_tree(void **state)
{
	struct rlimit few, saved;
	struct stat st;
	int i, r;

	(void)state;
	assert_int_equal(mkdir("deep", 0700), 0);
	assert_int_equal(chdir("deep"), 0);
	for (i = 0; i < 1000; i++) {
		assert_int_equal(mkdir("d", 0700), 0);
		assert_int_equal(mkdir("e", 0700), 0);
		write_file("e/f", "x");
		assert_int_equal(chdir("d"), 0);
	}
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &saved), 0);
	few = saved;
	few.rlim_cur = 128;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	r = io_remove_tree(AT_FDCWD, "deep");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &saved), 0);
	assert_int_equal(r, 0);
	assert_int_equal(lstat("deep", &st), -1);
}

/* As an ordinary user, through directories that deny even their owner. */
static void test_remove_closed_directories(void **state)
{
	struct stat st;
	int status, i;
	pid_t pid;

	(void)state;
	assert_int_equal(chmod(dir, 0777), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
			_exit(1);
		if (io_mkdir_p("c/no-write/d", 0700) ||
		    io_mkdir_p("c/nothing/d", 0700))
			_exit(2);
		if (chdir("c/no-write/d"))
			_exit(3);
		for (i = 0; i < 200; i++)
			if (mkdir("d", 0700) || chdir("d"))
				_exit(4);
		for (i = 0; i < 200; i++)
			if (chdir("..") || chmod("d", 0500))
				_exit(5);
		if (chdir(dir) || chmod("c/no-write", 0500) ||
		    chmod("c/nothing", 0) || chmod("c", 0100))
			_exit(6);
		_exit(io_remove_tree(AT_FDCWD, "c") == 0 ? 0 : 7);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(lstat("c", &st), -1);
}

/* Mounts of this process alone. */
static int own_mounts(void)
{
	if (unshare(CLONE_NEWNS) < 0)
		return -1;
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

static int may_mount(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(own_mounts() < 0);
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* Mounts inside the tree: another file system, and a bind mount of the same
 * one. Both keep what they hold. */
static int remove_with_mount(const char *source, const char *type,
			     unsigned long flags)
{
	struct stat st;
	int r;

	if (own_mounts() < 0 || mount(source, "m/at", type, flags, NULL) < 0)
		return 2;
	write_file("m/at/held", "x");
	r = io_remove_tree(AT_FDCWD, "m");
	return r == -EXDEV && stat("m/at/held", &st) == 0 ? 0 : 1;
}

static void check_mount(const char *source, const char *type,
			unsigned long flags)
{
	int status;
	pid_t pid;

	assert_int_equal(io_mkdir_p("m/at", 0700), 0);
	assert_int_equal(io_mkdir_p("source", 0700), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(remove_with_mount(source, type, flags));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_remove_stops_at_file_system(void **state)
{
	(void)state;
	check_mount("none", "tmpfs", 0);
}

static void test_remove_stops_at_bind_mount(void **state)
{
	(void)state;
	check_mount("source", NULL, MS_BIND);
}

static void test_path(void **state)
{
	char *path = io_path("%s/%02x", "packs", 10);

	(void)state;
	assert_string_equal(path, "packs/0a");
	free(path);
}

static void test_opendir(void **state)
{
	_cleanup_closedir_ DIR *d = NULL;
	DIR *none = NULL;

	(void)state;
	assert_int_equal(mkdir("sub", 0700), 0);
	assert_int_equal(symlink("sub", "link"), 0);
	assert_int_equal(io_opendir_at(AT_FDCWD, "absent", &none), -ENOENT);
	assert_int_equal(io_opendir_at(AT_FDCWD, "link", &none), -ENOTDIR);
	assert_null(none);
	assert_int_equal(io_opendir_at(AT_FDCWD, "sub", &d), 0);
	assert_int_equal(rmdir("sub"), 0);
	assert_null(readdir(d));
	assert_int_equal(unlink("link"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		IN_DIR(test_pread_pwrite),
		IN_DIR(test_pwritev_many_parts),
		cmocka_unit_test(test_read_upto),
		IN_DIR(test_read_file),
		cmocka_unit_test(test_read_file_without_size),
		IN_DIR(test_mkdir_p),
		IN_DIR(test_remove_tree),
		IN_DIR(test_remove_tree_keeps_link_targets),
		IN_DIR(test_remove_deep_tree),
		IN_DIR(test_remove_closed_directories),
		IN_DIR(test_opendir),
		cmocka_unit_test(test_path),
		IN_DIR(test_remove_stops_at_file_system),
		IN_DIR(test_remove_stops_at_bind_mount),
	};
	size_t n = sizeof(tests) / sizeof(tests[0]);

	/* Left out and not skipped: cmocka 1.1.5 writes a skipped test as
	 * "not ok # SKIP", which automake takes for a failure. */
	if (!may_mount()) {
		n -= 2;
		puts("# test_remove_stops_at_* left out: may not mount");
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return _cmocka_run_group_tests("io", tests, n, NULL, NULL);
}
