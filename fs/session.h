/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A FUSE session: one mount's kernel connection, the only module besides ops*
 * that knows libfuse. Negotiates the kernel contract of fs/README.md and
 * serves a view through the loop.
 *
 * The descriptor comes from the supervisor (supervisor.h) and may be a
 * connection that an earlier worker served: then `init` holds the INIT request
 * that worker saw, which is replayed to libfuse with its reply swallowed, and
 * the kernel is asked to send again what was in flight (FUSE_NOTIFY_RESEND).
 */
#ifndef LARDER_FS_SESSION_H
#define LARDER_FS_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "view.h"

struct blame;
struct messenger;
struct session;
struct session_bytes; /* session_counts.h */
struct trace;
struct view_all_kernel;

#define SESSION_INIT_MAX 256 /* bytes of an INIT request */

struct session_options {
	bool read_only;
	bool stateful_open; /* -o stateful-open: no zero-message open */
	bool writeback;	    /* -o writeback: the kernel gathers writes */
	const void *init;   /* a saved INIT to adopt with; NULL: fresh mount */
	size_t init_len;
	/* Called once, on the service thread, with the INIT request of a
	 * fresh mount, before it is answered. */
	void (*save_init)(void *arg, const void *init, size_t len);
	void *arg;
	struct blame *blame;	     /* borrowed; NULL: none (blame.h) */
	struct messenger *messenger; /* borrowed; for session_ask() */
	/* Borrowed; is shown in place of `view`, which is an empty one then. */
	struct view_all *all;
	uint64_t id; /* of the mount, in it */
};

/* `fd` is taken over. `view` is borrowed until session_free(). Starts to
 * serve. */
int session_start(int fd, struct view *view, const struct session_options *opt,
		  struct session **ret_session);

/* Waits until the file system is unmounted or session_stop() was called. */
void session_join(struct session *s);
void session_stop(struct session *s);
void session_free(struct session *s);

/* True once the kernel has closed the connection. */
bool session_ended(const struct session *s);

/* Tells the kernel that a name, or an inode's data and attributes (name NULL), changed behind
 * its back. Never from a service thread. */
void session_invalidate(struct session *s, uint64_t ino, const char *name,
			size_t len);

/* How the kernel is asked what it holds (view_all.h), by way of the messenger.
 * Where it cannot be asked (to prune, before 6.18), each question says so. */
void session_ask(struct session *s, struct view_all_kernel *ret_kernel);

/* Requests answered so far by opcode: calls `each` for those above 0. */
void session_requests(const struct session *s,
		      void (*each)(void *arg, const char *opcode,
				   uint64_t count),
		      void *arg);
void session_bytes(const struct session *s, struct session_bytes *ret_bytes);

/* The trace of its reads, which ends with session_join(); borrowed. */
struct trace *session_trace(struct session *s);

#endif
