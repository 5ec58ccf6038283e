/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of the messenger's socket (SOCK_SEQPACKET). A call is its number
 * (u32), how many notifications follow, and these, with the descriptor beside
 * it; an answer is the number and the results. Answers that come late are
 * thrown away by their number.
 */
#include "messenger.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/log.h"

#define SOCK_FD (STDERR_FILENO + 1) /* the process's only one */
#define WAIT_NS (INT64_C(10) * 1000000000)

struct call {
	uint32_t number, count;
};

struct answer {
	uint32_t number;
	int32_t results[MESSENGER_COUNT_MAX];
};

struct messenger {
	pid_t pid; /* constant */

	pthread_mutex_t lock; /* guards all below; held across a wait */
	int fd;
	uint32_t number;
	bool waits; /* the last call was not answered */
	bool gone;
};

/* --- the process --- */

union control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static int take_fd(struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	int fd;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(sizeof(fd)))
		return -1;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static int32_t write_one(int fd, const void *buf, size_t len)
{
	ssize_t n;

	do
		n = write(fd, buf, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* Lengths were looked at by who sent them: by this program. */
static void write_all(int fd, const uint8_t *buf, const struct call *call,
		      struct answer *answer)
{
	struct fuse_out_header head;

	answer->number = call->number;
	for (uint32_t n = 0; n < call->count; n++) {
		memcpy(&head, buf, sizeof(head));
		answer->results[n] = write_one(fd, buf, head.len);
		buf += head.len;
	}
}

static bool serve_one(int sock)
{
	static uint8_t buf[MESSENGER_BYTES_MAX];
	static struct answer answer;
	struct call call;
	union control control;
	struct iovec iov[] = { { &call, sizeof(call) }, { buf, sizeof(buf) } };
	struct msghdr msg = { .msg_iov = iov,
			      .msg_iovlen = 2,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	_cleanup_close_ int fd = -1;
	ssize_t n;

	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < (ssize_t)sizeof(call) || call.count > MESSENGER_COUNT_MAX)
		return false;
	fd = take_fd(&msg);
	if (fd < 0)
		return false;
	write_all(fd, buf, &call, &answer);
	close(steal_fd(&fd)); /* before anybody hears of it */
	return send(sock, &answer, sizeof(answer), MSG_NOSIGNAL) >= 0;
}

static _Noreturn void run(int sock)
{
	struct sandbox sandbox;

	prctl(PR_SET_NAME, "larder-messages");
	if ((sock != SOCK_FD && dup3(sock, SOCK_FD, O_CLOEXEC) < 0) ||
	    close_range(SOCK_FD + 1, ~0U, 0) < 0)
		_exit(1);
	sandbox_enter(&sandbox);
	while (serve_one(SOCK_FD))
		;
	_exit(0);
}

/* --- the worker's end --- */

int messenger_start(struct messenger **ret_messenger)
{
	struct messenger *m = calloc(1, sizeof(*m));
	int socks[2];

	if (!m)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) < 0) {
		free(m);
		return -errno;
	}
	m->pid = fork();
	if (m->pid == 0)
		run(socks[1]);
	close(socks[1]);
	m->fd = socks[0];
	pthread_mutex_init(&m->lock, NULL);
	if (m->pid < 0) {
		int r = -errno;

		messenger_free(m);
		return r;
	}
	*ret_messenger = m;
	return 0;
}

/* It ends by itself; one that waits, when it is done. */
void messenger_free(struct messenger *m)
{
	if (!m)
		return;
	cleanup_close(&m->fd);
	if (m->pid > 0)
		(void)waitpid(m->pid, NULL, m->waits ? WNOHANG : 0);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static int send_call(struct messenger *m, int fd, const void *buf, size_t len,
		     size_t count)
{
	struct call call = { ++m->number, (uint32_t)count };
	union control control = { .align = { .cmsg_len = CMSG_LEN(sizeof(fd)),
					     .cmsg_level = SOL_SOCKET,
					     .cmsg_type = SCM_RIGHTS } };
	struct iovec iov[] = { { &call, sizeof(call) }, { (void *)buf, len } };
	struct msghdr msg = { .msg_iov = iov,
			      .msg_iovlen = 2,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };

	memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	return sendmsg(m->fd, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The answer to the last call, by the deadline. */
static int receive(struct messenger *m, int64_t deadline_ns,
		   struct answer *ret_answer)
{
	do {
		int64_t left = deadline_ns - clock_mono_ns();
		struct pollfd p = { .fd = m->fd, .events = POLLIN };
		int n = poll(&p, 1, left > 0 ? (int)(left / 1000000) : 0);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -ETIMEDOUT;
		if (n < 0)
			continue;
		if (recv(m->fd, ret_answer, sizeof(*ret_answer), 0) !=
		    sizeof(*ret_answer))
			return -EPIPE;
	} while (ret_answer->number != m->number);
	m->waits = false;
	return 0;
}

static bool is_whole(const uint8_t *buf, size_t len, size_t count)
{
	struct fuse_out_header head;

	if (len > MESSENGER_BYTES_MAX || count > MESSENGER_COUNT_MAX)
		return false;
	for (; count > 0 && len >= sizeof(head); count--) {
		memcpy(&head, buf, sizeof(head));
		if (head.len < sizeof(head) || head.len > len)
			return false;
		buf += head.len;
		len -= head.len;
	}
	return count == 0 && len == 0;
}

/* Under the lock. */
static int tell(struct messenger *m, int fd, const void *buf, size_t len,
		int *ret_results, size_t count)
{
	struct answer answer;
	int r = m->waits ? receive(m, 0, &answer) : 0;

	if (r == 0)
		r = send_call(m, fd, buf, len, count);
	if (r < 0)
		return r;
	m->waits = true;
	r = receive(m, clock_mono_ns() + WAIT_NS, &answer);
	for (size_t n = 0; r == 0 && n < count; n++)
		ret_results[n] = answer.results[n];
	return r;
}

/* There is no other one: that would be a fork of a process with threads. */
static int note_gone(struct messenger *m)
{
	m->gone = true;
	return log_warn(-EPIPE,
			"the messenger is gone: what the kernel only has in "
			"its caches stays open until there is another worker");
}

int messenger_tell(struct messenger *m, int fd, const void *buf, size_t len,
		   int *ret_results, size_t count)
{
	int r;

	if (!is_whole(buf, len, count))
		return -EINVAL;
	LOCK_SCOPE(&m->lock);
	if (m->gone)
		return -EPIPE;
	r = tell(m, fd, buf, len, ret_results, count);
	return r == -EPIPE || r == -ECONNRESET ? note_gone(m) : r;
}
