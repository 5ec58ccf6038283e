/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between supervisor, worker and mount helper: one JSON object a
 * SOCK_SEQPACKET message, with at most one descriptor beside it. Byte strings
 * (paths) are percent-encoded, since JSON text is UTF-8. Any thread.
 */
#ifndef LARDER_FS_SUPERVISOR_MSG_H
#define LARDER_FS_SUPERVISOR_MSG_H

#include <jansson.h>

/* Sends `msg` and, if it is not -1, `fd` (borrowed). -EMSGSIZE, -EPIPE. */
int supervisor_msg_send(int sock, const json_t *msg, int fd);

/* 1 with a message (the caller's) and its descriptor (the caller's; -1: none),
 * 0 at the end. `flags` of recvmsg(2): MSG_DONTWAIT. -EAGAIN, -EBADMSG. */
int supervisor_msg_receive(int sock, int flags, json_t **ret_msg, int *ret_fd);

/* Byte strings as members of an object. -ENOMEM; _get_: NULL where there is
 * none, or it is not valid; the caller frees. */
int supervisor_msg_set_bytes(json_t *msg, const char *key, const char *bytes);
char *supervisor_msg_get_bytes(const json_t *msg, const char *key);

static inline void supervisor_msg_free(json_t **msg)
{
	json_decref(*msg);
}

#define _cleanup_msg_ __attribute__((cleanup(supervisor_msg_free)))

#endif
