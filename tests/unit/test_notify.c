/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams to a service manager, which is the test. */
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
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fs/notify.h"
#include "store/base/io.h"

static char dir[] = "/tmp/larder-notify.XXXXXX";

static int setup(void **state)
{
	(void)state;
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	return io_remove_tree(AT_FDCWD, dir);
}

/* A socket at `path`, or where it begins with a NUL, in the abstract name
 * space. */
static int listen_at(const char *path, size_t len)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	memcpy(addr.sun_path, path, len);
	assert_int_equal(
		bind(fd, (struct sockaddr *)&addr,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
		0);
	return fd;
}

static void assert_arrives(int fd)
{
	char text[64];
	ssize_t n;

	assert_int_equal(notify_send("READY=1"), 0);
	n = recv(fd, text, sizeof(text), MSG_DONTWAIT);
	assert_int_equal(n, 7);
	assert_memory_equal(text, "READY=1", 7);
	close(fd);
}

static void test_path(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/socket", dir);
	setenv("NOTIFY_SOCKET", path, 1);
	assert_arrives(listen_at(path, strlen(path)));
}

static void test_abstract(void **state)
{
	char name[64];

	(void)state;
	snprintf(name, sizeof(name), "@larder-test-%d", (int)getpid());
	setenv("NOTIFY_SOCKET", name, 1);
	name[0] = '\0';
	assert_arrives(listen_at(name, 1 + strlen(name + 1)));
}

static void test_nobody(void **state)
{
	char text[200];

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_send("READY=1"), 0);
	setenv("NOTIFY_SOCKET", "", 1);
	assert_int_equal(notify_send("READY=1"), 0);
	snprintf(text, sizeof(text), "%s/none", dir);
	setenv("NOTIFY_SOCKET", text, 1);
	assert_int_equal(notify_send("READY=1"), -ENOENT);
	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_int_equal(notify_send("READY=1"), -EINVAL);
	setenv("NOTIFY_SOCKET", "@", 1);
	assert_int_equal(notify_send("READY=1"), -EINVAL);
	memset(text, 'x', sizeof(text) - 1);
	text[0] = '/';
	text[sizeof(text) - 1] = '\0';
	setenv("NOTIFY_SOCKET", text, 1);
	assert_int_equal(notify_send("READY=1"), -ENAMETOOLONG);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = { TEST(test_path),
					    TEST(test_abstract),
					    TEST(test_nobody) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
