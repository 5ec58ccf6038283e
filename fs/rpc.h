/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON-RPC 2.0 over a Unix stream socket with descriptors, both ends: framing,
 * limits and the place of the socket (fs/PROTOCOL.md). Used by the control
 * server and by the command line. One thread per connection at a time, except
 * where said.
 */
#ifndef LARDER_FS_RPC_H
#define LARDER_FS_RPC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define RPC_LINE_MAX (16u << 20)
#define RPC_FDS_MAX 64 /* a run's directories */

/* Directories by the rules of PROTOCOL.md; allocated, absolute, not created. */
char *rpc_store_dir(void);
char *rpc_state_dir(void);
#define RPC_LOG_FILE "larderd.log" /* in it, where larder starts larderd */
char *rpc_runtime_dir(void);	   /* ends in /larder */
char *rpc_socket_name(const char *store_dir); /* "<16 hex>.sock" */

/* Makes the runtime directory (0700) and checks that the user owns it, nobody
 * else may enter, and nobody else may rename what is beside it; a descriptor,
 * or -EACCES, -ELOOP (said). */
int rpc_runtime_open(void);

/* Connects to / binds and listens at `name` in the runtime directory; works
 * for directories whose path is too long for sun_path. A descriptor, or
 * -ENOENT, -ECONNREFUSED (nobody listens), -EACCES (another user does, who
 * gets nothing; said), -EAGAIN: somebody listens, and did not accept anybody for
 * `timeout_s` (0: as long as that takes). */
int rpc_connect(int runtime_dirfd, const char *name, unsigned timeout_s);
int rpc_listen(int runtime_dirfd, const char *name);

/* A connection: a line reader and writer. */
struct rpc;

int rpc_new(int fd, struct rpc **ret_rpc); /* fd is taken over */
void rpc_free(struct rpc *r);
int rpc_fd(const struct rpc *r);

/* One object as a line; `fds` (borrowed) travel with it. Whole, or an error;
 * safe beside another thread's rpc_send(). -EPIPE. */
int rpc_send(struct rpc *r, json_t *object, const int *fds, unsigned nfds);

/* The next object and its descriptors (the caller's, at most RPC_FDS_MAX;
 * others are closed). 0 at end of file, 1 with an object, -EBADMSG for what
 * is no JSON object, -EMSGSIZE. */
int rpc_receive(struct rpc *r, json_t **ret_object, int ret_fds[RPC_FDS_MAX],
		unsigned *ret_nfds);

/* True when the peer has gone (does not block). */
bool rpc_peer_gone(const struct rpc *r);

/* For how long a peer that does not read makes rpc_send() wait before it fails
 * with -EAGAIN, after which the line is not whole; 0: for ever, as at first. */
void rpc_limit_send(const struct rpc *r, unsigned seconds);

/* Bytes that may not be UTF-8 <-> JSON text (PROTOCOL.md's escapes). NULL for
 * a NUL among them, for what is no string, and when memory is short.
 * `ret_len` may be NULL: the bytes are NUL-terminated. */
json_t *rpc_string(const char *bytes, size_t len);
char *rpc_bytes(const json_t *string, size_t *ret_len); /* caller frees */

#endif
