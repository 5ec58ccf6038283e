/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's sandbox. Each test enters it in a child process of its own, of
 * which the exit status says at which line it found something else; what the
 * kernel does not have is not asked for.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/sandbox.h"

/* In the child: leaves with the line. */
#define CHECK(x)                                   \
	do {                                       \
		if (!(x))                          \
			_exit(__LINE__ % 200 + 1); \
	} while (0)

/* The worker's words go nowhere. */
static void run_child(void (*fn)(const struct sandbox *s), const char *setting)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct sandbox s;

		if (setting)
			setenv("LARDER_SANDBOX", setting, 1);
		else
			unsetenv("LARDER_SANDBOX");
		sandbox_enter(&s);
		fn(&s);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- what is denied --- */

static void denied_by_filter(const struct sandbox *s)
{
	char byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };

	CHECK(s->wanted == SANDBOX_ALL && s->no_new_privs);
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	if (!s->seccomp)
		_exit(0);
	CHECK(prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2);
	CHECK(mount("none", "/nowhere", "tmpfs", 0, NULL) < 0 &&
	      errno == EPERM);
	CHECK(unshare(CLONE_NEWUSER) < 0 && errno == EPERM);
	CHECK(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) < 0 &&
	      errno == EPERM);
	CHECK(syscall(SYS_bpf, 0, NULL, 0) < 0 && errno == EPERM);
	CHECK(process_vm_readv(getpid(), &iov, 1, &iov, 1, 0) < 0 &&
	      errno == EPERM);
	CHECK(syscall(SYS_io_uring_setup, 1, NULL) < 0 && errno == ENOSYS);
	if (s->no_dumps) /* no build for a leak checker */
		CHECK(ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 &&
		      errno == EPERM);
}

static void test_filter(void **state)
{
	(void)state;
	run_child(denied_by_filter, NULL);
}

static void denied_by_landlock(const struct sandbox *s)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (!s->landlock)
		_exit(0);
	CHECK(fd >= 0);
	CHECK(bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 &&
	      errno == EACCES);
	/* Itself may be signalled; a kernel that lets it signal its parent
	 * knows no scopes. */
	CHECK(kill(getpid(), 0) == 0);
	CHECK(kill(getppid(), 0) == 0 || errno == EPERM);
}

static void test_landlock(void **state)
{
	(void)state;
	run_child(denied_by_landlock, NULL);
}

static void not_dumpable(const struct sandbox *s)
{
	CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == !s->no_dumps);
}

static void test_dumps(void **state)
{
	(void)state;
	run_child(not_dumpable, "on");
}

/* --- what goes on working --- */

static void *thread_main(void *arg)
{
	*(int *)arg = 1;
	return NULL;
}

/* The process's own descriptors are found below /proc, too, by a process that
 * cannot be dumped; names move between directories. */
static void works(const struct sandbox *s)
{
	char dir[] = "/tmp/larder-sandbox.XXXXXX";
	int ran = 0, dirfd, fd, status;
	pthread_t thread;
	char path[64];
	pid_t pid;

	(void)s;
	CHECK(mkdtemp(dir));
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(dirfd >= 0 && mkdirat(dirfd, "a", 0700) == 0);
	fd = openat(dirfd, "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && write(fd, "x", 1) == 1);
	CHECK(renameat(dirfd, "file", dirfd, "a/file") == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d/a/file", dirfd);
	CHECK(access(path, R_OK) == 0);
	CHECK(unlinkat(dirfd, "a/file", 0) == 0);
	CHECK(unlinkat(dirfd, "a", AT_REMOVEDIR) == 0 && rmdir(dir) == 0);
	CHECK(pthread_create(&thread, NULL, thread_main, &ran) == 0);
	CHECK(pthread_join(thread, NULL) == 0 && ran == 1);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", "exit 7", (char *)NULL);
		_exit(1);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void test_works(void **state)
{
	(void)state;
	run_child(works, NULL);
}

/* --- the switch --- */

static void is_off(const struct sandbox *s)
{
	CHECK(!s->wanted && !s->no_new_privs && !s->no_dumps && !s->seccomp &&
	      !s->landlock);
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
	CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1);
}

static void test_off(void **state)
{
	(void)state;
	run_child(is_off, "Off");
}

static void is_partly_off(const struct sandbox *s)
{
	CHECK(s->wanted == (SANDBOX_PRIVILEGES | SANDBOX_LANDLOCK));
	CHECK(s->no_new_privs && !s->seccomp && !s->no_dumps);
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	CHECK(prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 0);
	CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1);
}

static void test_partly_off(void **state)
{
	(void)state;
	run_child(is_partly_off, "off:seccomp,dumps");
}

static void is_on(const struct sandbox *s)
{
	CHECK(s->wanted == SANDBOX_ALL && s->no_new_privs);
}

static void test_wrong_setting(void **state)
{
	(void)state;
	run_child(is_on, "off:secomp");
}

static void test_parse(void **state)
{
	static const char *const wrong[] = {
		"",    "0",	  "off ",    "off:", "off:,",	   "off:dumps,",
		"on:", "off:sec", "seccomp", "of",   "off:dumps ", "off,dumps"
	};
	unsigned parts = 77;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(sandbox_parse(wrong[i], &parts), -EINVAL);
	assert_int_equal(parts, 77);
	assert_int_equal(sandbox_parse("ON", &parts), 0);
	assert_int_equal(parts, SANDBOX_ALL);
	assert_int_equal(sandbox_parse("off", &parts), 0);
	assert_int_equal(parts, 0);
	assert_int_equal(sandbox_parse("Off:Landlock,seccomp", &parts), 0);
	assert_int_equal(parts, SANDBOX_PRIVILEGES | SANDBOX_DUMPS);
	assert_int_equal(sandbox_parse("off:privileges", &parts), 0);
	assert_int_equal(parts, SANDBOX_DUMPS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_landlock),
		cmocka_unit_test(test_dumps),
		cmocka_unit_test(test_works),
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_partly_off),
		cmocka_unit_test(test_wrong_setting),
		cmocka_unit_test(test_parse),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
