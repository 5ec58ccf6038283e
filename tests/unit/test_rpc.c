/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control protocol's framing over a socket pair, descriptors included,
 * names that are not UTF-8, and the making of sockets in a directory too deep
 * for sun_path.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs/rpc.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"

struct pair {
	struct rpc *rpc;
	int peer;
};

static struct pair pair_new(void)
{
	struct pair p;
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv),
			 0);
	assert_int_equal(rpc_new(sv[0], &p.rpc), 0);
	p.peer = sv[1];
	return p;
}

static void pair_free(struct pair *p)
{
	rpc_free(p->rpc);
	if (p->peer >= 0)
		close(p->peer);
}

#define _cleanup_pair_ _cleanup_(pair_free)

static void say(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static int receive(struct rpc *r, json_t **ret_object, unsigned *ret_nfds,
		   int *ret_fds)
{
	*ret_object = NULL;
	*ret_nfds = 99;
	return rpc_receive(r, ret_object, ret_fds, ret_nfds);
}

static void expect_number(struct rpc *r, int number)
{
	int fds[RPC_FDS_MAX];
	unsigned nfds;
	json_t *o;

	assert_int_equal(receive(r, &o, &nfds, fds), 1);
	assert_int_equal(nfds, 0);
	assert_int_equal(json_integer_value(json_object_get(o, "n")), number);
	json_decref(o);
}

static void test_lines_in_pieces(void **state)
{
	_cleanup_pair_ struct pair p = pair_new();
	int fds[RPC_FDS_MAX];
	unsigned nfds;
	json_t *o;

	(void)state;
	say(p.peer, "{\"n\":1}\n{\"n\":2}\n{\"n\"");
	expect_number(p.rpc, 1);
	expect_number(p.rpc, 2);
	say(p.peer, ":3}\n");
	expect_number(p.rpc, 3);
	close(p.peer);
	p.peer = -1;
	assert_int_equal(receive(p.rpc, &o, &nfds, fds), 0);
	assert_true(rpc_peer_gone(p.rpc));
}

static void test_cut_off_line(void **state)
{
	_cleanup_pair_ struct pair p = pair_new();
	int fds[RPC_FDS_MAX];
	unsigned nfds;
	json_t *o;

	(void)state;
	assert_false(rpc_peer_gone(p.rpc));
	say(p.peer, "{\"n\":1}");
	close(p.peer);
	p.peer = -1;
	assert_int_equal(receive(p.rpc, &o, &nfds, fds), -EBADMSG);
}

static void test_no_object(void **state)
{
	static const char *const bad[] = { "\n",
					   "[]\n",
					   "1\n",
					   "{\"a\":\n",
					   "{\"a\":1,\"a\":2}\n",
					   "{\"a\":\"\\u0000\"}\n",
					   "{\"a\":\"\xff\"}\n" };
	_cleanup_pair_ struct pair p = pair_new();
	int fds[RPC_FDS_MAX];
	unsigned nfds;
	json_t *o;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		say(p.peer, bad[i]);
		assert_int_equal(receive(p.rpc, &o, &nfds, fds), -EBADMSG);
		say(p.peer, "{\"n\":7}\n");
		expect_number(p.rpc, 7); /* the next line is read */
	}
}

/* Whether `fd` is the file that ino names, and closed on exec. */
static void expect_file(int fd, ino_t ino)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_ino == ino);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
}

static int file_new(ino_t *ret_ino)
{
	char path[] = "/tmp/test-rpc-XXXXXX";
	struct stat st;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(fstat(fd, &st), 0);
	*ret_ino = st.st_ino;
	return fd;
}

static void send_number(struct rpc *r, int number, const int *fds,
			unsigned nfds)
{
	json_t *o = json_pack("{s:i}", "n", number);

	assert_int_equal(rpc_send(r, o, fds, nfds), 0);
	json_decref(o);
}

/* Descriptors come with the line they were sent with, also where that line
 * is behind others in the socket. */
static void test_descriptors(void **state)
{
	_cleanup_pair_ struct pair p = pair_new();
	int in[RPC_FDS_MAX], out[RPC_FDS_MAX];
	struct rpc *sender;
	ino_t ino[2];
	unsigned nfds;
	json_t *o;

	(void)state;
	assert_int_equal(rpc_new(dup(p.peer), &sender), 0);
	in[0] = file_new(&ino[0]);
	in[1] = file_new(&ino[1]);
	send_number(sender, 1, NULL, 0);
	send_number(sender, 2, in, 2);
	send_number(sender, 3, NULL, 0);
	send_number(sender, 4, in + 1, 1);

	expect_number(p.rpc, 1);
	assert_int_equal(receive(p.rpc, &o, &nfds, out), 1);
	assert_int_equal(json_integer_value(json_object_get(o, "n")), 2);
	json_decref(o);
	assert_int_equal(nfds, 2);
	expect_file(out[0], ino[0]);
	expect_file(out[1], ino[1]);
	expect_number(p.rpc, 3);
	assert_int_equal(receive(p.rpc, &o, &nfds, out), 1);
	json_decref(o);
	assert_int_equal(nfds, 1);
	expect_file(out[0], ino[1]);

	close(in[0]);
	close(in[1]);
	rpc_free(sender);
}

static unsigned open_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Descriptors of a bad line, or of one that never ends, are not leaked. */
static void test_descriptors_dropped(void **state)
{
	unsigned before = open_fds();
	struct pair p = pair_new();
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec iov = { (void *)"[]\n", 3 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int fds[RPC_FDS_MAX];
	unsigned nfds;
	json_t *o;

	(void)state;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &p.peer, sizeof(int));
	assert_int_equal(sendmsg(p.peer, &msg, 0), 3);
	assert_int_equal(receive(p.rpc, &o, &nfds, fds), -EBADMSG);
	for (int i = 0; i < 6; i++) { /* more than are kept */
		iov = (struct iovec){ (void *)"{", 1 };
		assert_int_equal(sendmsg(p.peer, &msg, 0), 1);
	}
	shutdown(p.peer, SHUT_WR);
	assert_int_equal(receive(p.rpc, &o, &nfds, fds), -EBADMSG);
	pair_free(&p);
	assert_int_equal(open_fds(), before);
}

static void *write_endless(void *arg)
{
	char block[4096];
	int fd = *(int *)arg;

	memset(block, ' ', sizeof(block));
	while (send(fd, block, sizeof(block), MSG_NOSIGNAL) > 0)
		;
	return NULL;
}

static void test_line_limit(void **state)
{
	struct pair p = pair_new();
	int fds[RPC_FDS_MAX];
	pthread_t thread;
	unsigned nfds;
	json_t *o;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, write_endless, &p.peer),
			 0);
	assert_int_equal(receive(p.rpc, &o, &nfds, fds), -EMSGSIZE);
	rpc_free(p.rpc);
	pthread_join(thread, NULL);
	close(p.peer);
}

struct sending {
	struct rpc *rpc;
	json_t *object;
	int result;
};

static void *send_object(void *arg)
{
	struct sending *s = arg;

	s->result = rpc_send(s->rpc, s->object, NULL, 0);
	return NULL;
}

/* A line far larger than the socket's buffer arrives whole. */
static void test_long_line(void **state)
{
	_cleanup_pair_ struct pair p = pair_new();
	struct sending s = { .object = json_object() };
	size_t len = 3u << 20;
	char *text = malloc(len);
	int fds[RPC_FDS_MAX];
	pthread_t thread;
	unsigned nfds;
	json_t *o;

	(void)state;
	memset(text, 'x', len);
	json_object_set_new(s.object, "text", json_stringn(text, len));
	assert_int_equal(rpc_new(dup(p.peer), &s.rpc), 0);
	assert_int_equal(pthread_create(&thread, NULL, send_object, &s), 0);
	assert_int_equal(receive(p.rpc, &o, &nfds, fds), 1);
	pthread_join(thread, NULL);
	assert_int_equal(s.result, 0);
	assert_true(json_equal(o, s.object));
	json_decref(o);
	json_decref(s.object);
	rpc_free(s.rpc);
	free(text);
}

static void test_send_limits(void **state)
{
	_cleanup_pair_ struct pair p = pair_new();
	size_t len = RPC_LINE_MAX;
	char *text = malloc(len);
	json_t *o = json_object();
	int fds[RPC_FDS_MAX + 1] = { 0 };

	(void)state;
	memset(text, 'x', len);
	assert_int_equal(rpc_send(p.rpc, o, fds, RPC_FDS_MAX + 1), -EINVAL);
	json_object_set_new(o, "text", json_stringn(text, len));
	assert_int_equal(rpc_send(p.rpc, o, NULL, 0), -EMSGSIZE);
	json_object_clear(o);
	close(p.peer);
	p.peer = -1;
	assert_int_equal(rpc_send(p.rpc, o, NULL, 0), -EPIPE);
	json_decref(o);
	free(text);
}

/* ---- names as text */

static void expect_text(const char *bytes, size_t len, const char *json)
{
	json_t *s = rpc_string(bytes, len);
	char *dump, *back;
	size_t back_len;
	json_t *parsed;

	assert_non_null(s);
	dump = json_dumps(s, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
	assert_string_equal(dump, json);
	parsed = json_loads(dump, JSON_DECODE_ANY, NULL);
	back = rpc_bytes(parsed, &back_len);
	assert_non_null(back);
	assert_int_equal(back_len, len);
	assert_memory_equal(back, bytes, len);
	assert_int_equal(back[len], 0);
	free(back);
	free(dump);
	json_decref(parsed);
	json_decref(s);
}

static void test_text(void **state)
{
	(void)state;
	expect_text("", 0, "\"\"");
	expect_text("a/b\n\"", 5, "\"a/b\\n\\\"\"");
	expect_text("\xc3\xa9\xf0\x9f\x98\x80", 6, "\"\\u00E9\\uD83D\\uDE00\"");
	expect_text("a\xff\x80z", 4, "\"a\\uF7FF\\uF780z\"");
	/* Cut off, overlong, a surrogate, beyond Unicode. */
	expect_text("\xc3", 1, "\"\\uF7C3\"");
	expect_text("\xe2\x82", 2, "\"\\uF7E2\\uF782\"");
	expect_text("\xc0\xaf", 2, "\"\\uF7C0\\uF7AF\"");
	expect_text("\xed\xa0\x80", 3, "\"\\uF7ED\\uF7A0\\uF780\"");
	expect_text("\xf5\x80\x80\x80", 4, "\"\\uF7F5\\uF780\\uF780\\uF780\"");
	/* U+F780 itself, and its neighbours outside of the range. */
	expect_text("\xef\x9e\x80", 3, "\"\\uF7EF\\uF79E\\uF780\"");
	expect_text("\xef\x9d\xbf\xef\xa0\x80", 6, "\"\\uF77F\\uF800\"");
}

static void test_text_every_pair(void **state)
{
	(void)state;
	for (unsigned i = 1; i < 0x10000; i++) {
		char bytes[3] = { (char)(i >> 8), (char)i, 'x' };
		json_t *s;
		size_t len;
		char *back;

		if (bytes[0] == 0 || bytes[1] == 0)
			continue;
		s = rpc_string(bytes, 3);
		assert_non_null(s);
		back = rpc_bytes(s, &len);
		assert_int_equal(len, 3);
		assert_memory_equal(back, bytes, 3);
		free(back);
		json_decref(s);
	}
}

static void test_text_refused(void **state)
{
	json_t *nul = json_stringn("a\0b", 3);
	size_t len = 42;

	(void)state;
	assert_null(rpc_string("a\0b", 3));
	assert_null(rpc_bytes(nul, &len));
	assert_null(rpc_bytes(NULL, &len));
	assert_int_equal(len, 42);
	json_decref(nul);
}

/* ---- the socket */

struct deep {
	char root[64];
	char path[512]; /* longer than sun_path */
};

static int deep_setup(void **state)
{
	struct deep *d = calloc(1, sizeof(*d));
	const char *tmp = getenv("TMPDIR");
	int n;

	assert_non_null(d);
	n = snprintf(d->root, sizeof(d->root), "%s/test-rpc-XXXXXX",
		     tmp && strlen(tmp) < 40 ? tmp : "/tmp");
	assert_true(n > 0 && mkdtemp(d->root));
	snprintf(d->path, sizeof(d->path), "%s/%0100d/%0100d", d->root, 1, 2);
	assert_int_equal(io_mkdir_p(d->path, 0700), 0);
	setenv("XDG_RUNTIME_DIR", d->path, 1);
	*state = d;
	return 0;
}

static int deep_teardown(void **state)
{
	struct deep *d = *state;

	unsetenv("XDG_RUNTIME_DIR");
	assert_int_equal(io_remove_tree(AT_FDCWD, d->root), 0);
	free(d);
	return 0;
}

static void test_socket(void **state)
{
	_cleanup_close_ int dir = rpc_runtime_open();
	_cleanup_close_ int again = -1, client = -1, served = -1;
	int listener;
	struct stat st;

	(void)state;
	assert_true(dir >= 0);
	assert_int_equal(rpc_connect(dir, "s.sock", 0), -ENOENT);
	listener = rpc_listen(dir, "s.sock");
	assert_true(listener >= 0);
	assert_int_equal(fstatat(dir, "s.sock", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(rpc_listen(dir, "s.sock"), -EADDRINUSE);
	client = rpc_connect(dir, "s.sock", 0);
	assert_true(client >= 0);
	served = accept(listener, NULL, NULL); /* the refused one's probe */
	assert_true(served >= 0);

	/* A dead daemon's socket is replaced. */
	close(listener);
	assert_int_equal(rpc_connect(dir, "s.sock", 0), -ECONNREFUSED);
	again = rpc_listen(dir, "s.sock");
	assert_true(again >= 0);
}

/* Who listens and accepts nobody, whose line is full, is there all the same; it
 * is told within a while, and nobody waits longer with the directory's lock. */
static void test_full_line(void **state)
{
	_cleanup_close_ int dir = rpc_runtime_open();
	_cleanup_close_ int listener = -1;
	struct timeval none = { 0, 0 }, got = { 1, 1 };
	socklen_t len = sizeof(got);
	int waiting[256], n = 0;

	(void)state;
	assert_true(dir >= 0);
	listener = rpc_listen(dir, "s.sock");
	assert_true(listener >= 0);
	do
		waiting[n] = rpc_connect(dir, "s.sock", 1);
	while (waiting[n] >= 0 && ++n < 256);
	assert_in_range(n, 1, 255);
	assert_int_equal(waiting[n], -EAGAIN);
	assert_int_equal(rpc_listen(dir, "s.sock"), -EADDRINUSE);
	/* The limit is of connecting only. */
	assert_int_equal(
		getsockopt(waiting[0], SOL_SOCKET, SO_SNDTIMEO, &got, &len), 0);
	assert_memory_equal(&got, &none, sizeof(got));
	while (n > 0)
		close(waiting[--n]);
}

static void test_runtime_dir_of_others(void **state)
{
	struct deep *d = *state;
	_cleanup_free_ char *dir = rpc_runtime_dir();
	_cleanup_free_ char *expected = io_path("%s/larder", d->path);
	_cleanup_close_ int fd = -1;

	assert_string_equal(dir, expected);
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(chmod(dir, 0750), 0);
	assert_int_equal(rpc_runtime_open(), -EACCES);
	assert_int_equal(chmod(dir, 0700), 0);
	fd = rpc_runtime_open();
	assert_true(fd >= 0);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(symlink("/tmp", dir), 0);
	assert_true(rpc_runtime_open() < 0);
}

/* Listens as another user until its pipe is closed. */
static pid_t listen_as(uid_t uid, int dirfd, int wait_fd, int other_fd)
{
	pid_t pid = fork();
	char byte;

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	close(other_fd);
	if (setgid(uid) < 0 || setuid(uid) < 0)
		_exit(1);
	if (rpc_listen(dirfd, "s.sock") < 0)
		_exit(2);
	_exit(read(wait_fd, &byte, 1) == 0 ? 0 : 3);
}

static int connect_when_there(int dirfd)
{
	const struct timespec ms = { 0, 1000000 };
	int fd = -ENOENT;

	for (int i = 0; i < 10000 && fd == -ENOENT; i++) {
		fd = rpc_connect(dirfd, "s.sock", 0);
		if (fd == -ECONNREFUSED) /* bound, not listening yet */
			fd = -ENOENT;
		nanosleep(&ms, NULL);
	}
	return fd;
}

static void test_listener_of_others(void **state)
{
	char dir[] = "/tmp/larder-rpc-other.XXXXXX";
	int pipe_fds[2], status, dirfd;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chmod(dir, 0777), 0);
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(pipe(pipe_fds), 0);
	pid = listen_as(12345, dirfd, pipe_fds[0], pipe_fds[1]);
	assert_int_equal(connect_when_there(dirfd), -EACCES);
	/* Nor is it taken for a dead daemon's. */
	assert_int_equal(rpc_listen(dirfd, "s.sock"), -EADDRINUSE);
	close(pipe_fds[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(pipe_fds[0]);
	close(dirfd);
	assert_int_equal(io_remove_tree(AT_FDCWD, dir), 0);
}

static void expect_dir(char *dir, const char *expected)
{
	assert_non_null(dir);
	assert_string_equal(dir, expected);
	free(dir);
}

static void test_places(void **state)
{
	char *one = rpc_socket_name("/a"), *other = rpc_socket_name("/b");

	(void)state;
	setenv("HOME", "/h", 1);
	unsetenv("CACHE_DIRECTORY");
	unsetenv("STATE_DIRECTORY");
	unsetenv("XDG_CACHE_HOME");
	setenv("XDG_STATE_HOME", "relative/is/ignored", 1);
	expect_dir(rpc_store_dir(), "/h/.cache/larder");
	expect_dir(rpc_state_dir(), "/h/.local/state/larder");
	setenv("XDG_CACHE_HOME", "/c", 1);
	setenv("XDG_STATE_HOME", "/s", 1);
	expect_dir(rpc_store_dir(), "/c/larder");
	expect_dir(rpc_state_dir(), "/s/larder");
	setenv("CACHE_DIRECTORY", "/var/cache/larder:/second", 1);
	expect_dir(rpc_store_dir(), "/var/cache/larder");
	unsetenv("CACHE_DIRECTORY");

	assert_int_equal(strlen(one), 16 + strlen(".sock"));
	assert_string_equal(one + 16, ".sock");
	assert_string_not_equal(one, other);
	free(one);
	free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_in_pieces),
		cmocka_unit_test(test_cut_off_line),
		cmocka_unit_test(test_no_object),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_descriptors_dropped),
		cmocka_unit_test(test_line_limit),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_send_limits),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_text_every_pair),
		cmocka_unit_test(test_text_refused),
		cmocka_unit_test_setup_teardown(test_socket, deep_setup,
						deep_teardown),
		cmocka_unit_test_setup_teardown(test_full_line, deep_setup,
						deep_teardown),
		cmocka_unit_test(test_listener_of_others),
		cmocka_unit_test_setup_teardown(test_runtime_dir_of_others,
						deep_setup, deep_teardown),
		cmocka_unit_test(test_places),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
