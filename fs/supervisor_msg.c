/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The framing of messages between supervisor, worker and mount helper. No
 * state. A message that is cut off, carries more than one descriptor or is no
 * JSON object is -EBADMSG; descriptors that came with it are closed.
 */
#include "supervisor_msg.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "store/base/cleanup.h"
#include "store/base/hex.h"
#include "supervisor.h"

#define FDS_MAX 4 /* room for those that should not be there */

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

static void attach_fd(struct msghdr *mh, union control *control, int fd)
{
	struct cmsghdr *c;

	mh->msg_control = control->bytes;
	mh->msg_controllen = CMSG_SPACE(sizeof(fd));
	c = CMSG_FIRSTHDR(mh);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
}

int supervisor_msg_send(int sock, const json_t *msg, int fd)
{
	_cleanup_free_ char *text = json_dumps(msg, JSON_COMPACT);
	union control control = { .bytes = "" };
	struct iovec iov;
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (!text)
		return -ENOMEM;
	iov.iov_base = text;
	iov.iov_len = strlen(text);
	if (iov.iov_len > SUPERVISOR_MSG_MAX)
		return -EMSGSIZE;
	if (fd >= 0)
		attach_fd(&mh, &control, fd);
	do
		n = sendmsg(sock, &mh, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* The one descriptor of a message; false where there are more. */
static bool take_fd(struct msghdr *mh, int *ret_fd)
{
	struct cmsghdr *c;
	unsigned count = 0;

	*ret_fd = -1;
	for (c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		size_t i, n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			cleanup_close(ret_fd);
			*ret_fd = fd;
			count++;
		}
	}
	return count <= 1;
}

int supervisor_msg_receive(int sock, int flags, json_t **ret_msg, int *ret_fd)
{
	_cleanup_free_ char *text = malloc(SUPERVISOR_MSG_MAX);
	_cleanup_close_ int fd = -1;
	union control control;
	struct iovec iov = { .iov_base = text, .iov_len = SUPERVISOR_MSG_MAX };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	json_t *msg;
	ssize_t n;

	if (!text)
		return -ENOMEM;
	do
		n = recvmsg(sock, &mh, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == ECONNRESET)
		return 0;
	if (n < 0)
		return -errno;
	if (!take_fd(&mh, &fd) || (mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return -EBADMSG;
	if (n == 0)
		return 0;
	msg = json_loadb(text, n, 0, NULL);
	if (!json_is_object(msg)) {
		json_decref(msg);
		return -EBADMSG;
	}
	*ret_msg = msg;
	*ret_fd = steal_fd(&fd);
	return 1;
}

int supervisor_msg_set_bytes(json_t *msg, const char *key, const char *bytes)
{
	_cleanup_free_ char *text = malloc(strlen(bytes) * 3 + 1);
	char *p = text;

	if (!text)
		return -ENOMEM;
	for (; *bytes; bytes++) {
		uint8_t c = *bytes;

		if (c < 0x20 || c >= 0x7f || c == '%')
			p += sprintf(p, "%%%02x", c);
		else
			*p++ = c;
	}
	*p = '\0';
	return json_object_set_new(msg, key, json_string(text)) < 0 ? -ENOMEM :
								      0;
}

char *supervisor_msg_get_bytes(const json_t *msg, const char *key)
{
	const char *text = json_string_value(json_object_get(msg, key));
	_cleanup_free_ char *bytes = text ? strdup(text) : NULL;

	if (!bytes || hex_unescape(bytes, false) < 0)
		return NULL;
	return steal_ptr(&bytes);
}
