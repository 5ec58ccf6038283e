/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Framing of the control protocol: one JSON object a line, descriptors with
 * the line's first byte. A connection owns its socket, what was read beyond
 * the last line, and descriptors that came for a line not yet complete.
 *
 * The kernel gives descriptors with the bytes they were sent with, behind
 * bytes of earlier lines, and ends the read there. So they belong to the line
 * that holds the last byte of that read. Reading only when no whole line is
 * at hand keeps their number small.
 *
 * It does not look into the objects. Names in JSON text are rpc_text.c's, the
 * socket's place and making are rpc_socket.c's part of the header.
 */
#include "rpc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "store/base/cleanup.h"

#define READ_MIN 4096u
#define PENDING_MAX (2 * RPC_FDS_MAX)

struct pending_fd {
	int fd;
	size_t pos; /* in `in`: a byte of the line it belongs to */
};

struct rpc {
	int fd;			   /* constant after init */
	pthread_mutex_t send_lock; /* keeps lines whole */

	/* The receiving thread's: */
	char *in;
	size_t len;	/* bytes in `in` */
	size_t cap;	/* at most RPC_LINE_MAX + 1 */
	size_t scanned; /* bytes known to hold no newline */
	struct pending_fd pending[PENDING_MAX];
	unsigned npending;
};

int rpc_new(int fd, struct rpc **ret_rpc)
{
	_cleanup_close_ int owned = fd;
	struct rpc *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->fd = steal_fd(&owned);
	pthread_mutex_init(&r->send_lock, NULL);
	*ret_rpc = r;
	return 0;
}

void rpc_free(struct rpc *r)
{
	if (!r)
		return;
	for (unsigned i = 0; i < r->npending; i++)
		close(r->pending[i].fd);
	close(r->fd);
	pthread_mutex_destroy(&r->send_lock);
	free(r->in);
	free(r);
}

int rpc_fd(const struct rpc *r)
{
	return r->fd;
}

bool rpc_peer_gone(const struct rpc *r)
{
	struct pollfd p = { .fd = r->fd, .events = POLLRDHUP };

	return poll(&p, 1, 0) > 0 &&
	       (p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL));
}

void rpc_limit_send(const struct rpc *r, unsigned seconds)
{
	const struct timeval limit = { .tv_sec = seconds };

	(void)setsockopt(r->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

/* Waits until a descriptor that does not block is ready. One that blocks
 * gives EAGAIN only when the owner's timeout has passed. */
static int wait_for(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	if (!(flags & O_NONBLOCK))
		return -ETIMEDOUT;
	while (poll(&p, 1, -1) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* ---- sending */

union fds_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(RPC_FDS_MAX * sizeof(int))];
};

static void attach_fds(struct msghdr *msg, union fds_control *control,
		       const int *fds, unsigned nfds)
{
	struct cmsghdr *c;

	memset(control, 0, sizeof(*control));
	msg->msg_control = control->bytes;
	msg->msg_controllen = CMSG_SPACE(nfds * sizeof(int));
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
	memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
}

static int send_all(int fd, const char *data, size_t len, const int *fds,
		    unsigned nfds)
{
	union fds_control control;

	while (len > 0) {
		struct iovec iov = { (void *)data, len };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t n;
		int r;

		if (nfds > 0)
			attach_fds(&msg, &control, fds, nfds);
		n = sendmsg(fd, &msg, MSG_NOSIGNAL);
		if (n >= 0) {
			nfds = 0;
			data += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN) {
			r = wait_for(fd, POLLOUT);
			if (r < 0)
				return r;
		} else if (errno != EINTR) {
			return errno == ECONNRESET ? -EPIPE : -errno;
		}
	}
	return 0;
}

int rpc_send(struct rpc *r, json_t *object, const int *fds, unsigned nfds)
{
	_cleanup_free_ char *line = NULL;
	size_t len;

	if (nfds > RPC_FDS_MAX)
		return -EINVAL;
	len = json_dumpb(object, NULL, 0, JSON_COMPACT);
	if (len == 0)
		return -EINVAL;
	if (len > RPC_LINE_MAX)
		return -EMSGSIZE;
	line = malloc(len + 1);
	if (!line)
		return -ENOMEM;
	if (json_dumpb(object, line, len, JSON_COMPACT) != len)
		return -EINVAL;
	line[len] = '\n';

	LOCK_SCOPE(&r->send_lock);
	return send_all(r->fd, line, len + 1, fds, nfds);
}

/* ---- receiving */

static void keep_fds(struct rpc *r, struct msghdr *msg, size_t pos)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c;
	     c = CMSG_NXTHDR(msg, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int),
			       sizeof(int));
			if (r->npending < PENDING_MAX)
				r->pending[r->npending++] =
					(struct pending_fd){ fd, pos };
			else
				close(fd);
		}
	}
}

static int grow(struct rpc *r)
{
	size_t cap = r->cap < READ_MIN ? READ_MIN : r->cap * 2;
	char *in;

	if (r->len < r->cap)
		return 0;
	if (r->len > RPC_LINE_MAX)
		return -EMSGSIZE;
	if (cap > RPC_LINE_MAX + 1)
		cap = RPC_LINE_MAX + 1;
	in = realloc(r->in, cap);
	if (!in)
		return -ENOMEM;
	r->in = in;
	r->cap = cap;
	return 0;
}

/* Reads what is there. 0 at end of file, 1 when something came. */
static int fill(struct rpc *r)
{
	union fds_control control;
	int e = grow(r);

	if (e < 0)
		return e;
	for (;;) {
		struct iovec iov = { r->in + r->len, r->cap - r->len };
		struct msghdr msg = { .msg_iov = &iov,
				      .msg_iovlen = 1,
				      .msg_control = control.bytes,
				      .msg_controllen = sizeof(control) };
		ssize_t n = recvmsg(r->fd, &msg, MSG_CMSG_CLOEXEC);

		if (n > 0) {
			r->len += (size_t)n;
			keep_fds(r, &msg, r->len - 1);
			return 1;
		}
		if (n == 0 || errno == ECONNRESET)
			return 0;
		if (errno == EAGAIN)
			e = wait_for(r->fd, POLLIN);
		else if (errno != EINTR)
			e = -errno;
		if (e < 0)
			return e;
	}
}

/* The length of the first line with its newline, or 0. */
static size_t whole_line(struct rpc *r)
{
	char *end = NULL;

	if (r->len > r->scanned)
		end = memchr(r->in + r->scanned, '\n', r->len - r->scanned);
	r->scanned = r->len;
	return end ? (size_t)(end - r->in) + 1 : 0;
}

static unsigned take_fds(struct rpc *r, size_t line, int *ret_fds)
{
	unsigned kept = 0, taken = 0;

	for (unsigned i = 0; i < r->npending; i++) {
		struct pending_fd p = r->pending[i];

		if (p.pos >= line)
			r->pending[kept++] =
				(struct pending_fd){ p.fd, p.pos - line };
		else if (taken < RPC_FDS_MAX)
			ret_fds[taken++] = p.fd;
		else
			close(p.fd);
	}
	r->npending = kept;
	return taken;
}

static void drop_line(struct rpc *r, size_t line)
{
	r->len -= line;
	memmove(r->in, r->in + line, r->len);
	r->scanned = 0;
	/* A long line's memory is not kept for the short ones behind it. */
	if (r->len == 0 && r->cap > 16 * READ_MIN) {
		free(r->in);
		r->in = NULL;
		r->cap = 0;
	}
}

int rpc_receive(struct rpc *r, json_t **ret_object, int ret_fds[RPC_FDS_MAX],
		unsigned *ret_nfds)
{
	int fds[RPC_FDS_MAX];
	unsigned nfds;
	json_t *object;
	size_t line;

	while ((line = whole_line(r)) == 0) {
		int n = fill(r);

		if (n < 0)
			return n;
		if (n == 0) /* a line cut off is no line */
			return r->len > 0 ? -EBADMSG : 0;
	}

	object = json_loadb(r->in, line, JSON_REJECT_DUPLICATES, NULL);
	nfds = take_fds(r, line, fds);
	drop_line(r, line);
	if (!json_is_object(object)) {
		json_decref(object);
		while (nfds > 0)
			close(fds[--nfds]);
		return -EBADMSG;
	}
	memcpy(ret_fds, fds, nfds * sizeof(*fds));
	*ret_nfds = nfds;
	*ret_object = object;
	return 1;
}
