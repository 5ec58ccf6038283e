/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the control server's methods share: the call, its parameters and its
 * answer. Private to control*.c.
 */
#ifndef LARDER_FS_CONTROL_INTERNAL_H
#define LARDER_FS_CONTROL_INTERNAL_H

#include <jansson.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "store/ingest.h"
#include "store/progress.h"
#include "store/roots.h"

#include "control.h"
#include "json_scope.h"
#include "rpc.h"

struct connection; /* control.c */

struct control_call {
	const struct control_config *config;
	struct rpc *rpc;
	struct connection *conn;
	json_t *params; /* an object; borrowed */
	int fds[RPC_FDS_MAX];
	unsigned nfds;
	uid_t uid; /* the peer */
	gid_t gid;
	struct mounts_error err; /* filled where a method fails */
	struct progress progress;
	bool wants_progress;
};

/* A method: 0 and *ret_result (a new reference), or a negative errno with
 * call->err filled. */
typedef int (*control_fn)(struct control_call *call, json_t **ret_result);

struct control_method {
	const char *name;
	control_fn fn;
	bool grows; /* the store, where it succeeds */
};

extern const struct control_method control_store_methods[];
extern const struct control_method control_gc_methods[];
extern const struct control_method control_gc_remote_methods[];
extern const struct control_method control_verify_methods[];
extern const struct control_method control_lookup_methods[];
extern const struct control_method control_mount_methods[];
extern const struct control_method control_roots_methods[];
extern const struct control_method control_remote_methods[];
extern const struct control_method control_lazy_methods[];
extern const struct control_method control_run_methods[];
extern const struct control_method control_plain_methods[];
extern const struct control_method control_change_methods[];
extern const struct control_method control_unused_methods[];
extern const struct control_method control_trace_methods[];
extern const struct control_method control_daemon_methods[];

/* Answers a request; its descriptors stay the caller's. A negative errno when
 * the connection is of no use any more. */
int control_serve(const struct control_config *config, struct rpc *rpc,
		  struct connection *conn, const struct ucred *peer,
		  json_t *request, const int *fds, unsigned nfds);

/* A request that only watches, until somebody ends it, is ended by control_stop()
 * as if its client had gone (rpc_peer_gone()), and not waited for. True where
 * the server stops; then it may have been before this call. */
bool control_set_watching(struct connection *conn, bool watching);

/* Answers what is no request; `err` is rpc_receive()'s. */
void control_refuse(struct rpc *rpc, int err);

/* Parameters. _string: -EINVAL (exit 2) where it is missing or no string;
 * borrowed. _bytes: the same for names and paths; the caller frees. */
int control_string(struct control_call *call, const char *name,
		   const char **ret_value);
int control_bytes(struct control_call *call, const char *name,
		  char **ret_value);
bool control_flag(const struct control_call *call, const char *name);

/* tenant, namespace, name of an object, checked against their alphabet. */
int control_scope(struct control_call *call, const char **ret_tenant,
		  const char **ret_namespace);
int control_name(struct control_call *call, const json_t *object,
		 const char *field, const char **ret_value);

/* A new entry from name, key, branch and parts of the parameters. */
int control_new_entry(struct control_call *call, struct entry *ret_entry);

/* A root {"dir","root"} of the parameters: its path, which the caller
 * frees, and its name in the entry (borrowed; NULL: it is all of the entry). */
int control_root(struct control_call *call, const json_t *root, char **ret_dir,
		 const char **ret_name);

/* The mount at `dir`, acquired for `what`. */
int control_acquire(struct control_call *call, const char *dir,
		    const char *what, struct mount **ret_mount);

/* control_roots.c. Several trees that are in the store as one entry: each is
 * added with its root's name (borrowed), its kind and what its own ingest did
 * (NULL: it is absent); then they
 * are joined and the entry, as control_new_entry() gives it, is published. */
struct control_join {
	struct root roots[ROOTS_MAX];
	size_t count;
	struct ingest_result added, result;
};
void control_join_add(struct control_join *j, const char *root,
		      enum root_kind kind, const struct ingest_result *part);
int control_join(struct control_call *call, struct control_join *j,
		 struct entry *e);

/* The answer, as of `commit`. `start_ns`: monotonic. */
json_t *control_join_json(const struct control_join *j, const struct entry *e,
			  bool unchanged, int64_t start_ns);

/* control_adopt.c. Stores the files that `dir` holds, for a mount over them
 * (mounts_options.over_files, .base). 1; 0 where it holds none. */
int control_adopt(struct control_call *call, const char *dir,
		  struct digest *ret_catalog);

/* The same for a mount in their place. They are renamed to *ret_aside, which
 * the caller frees; when it has tried to mount, _end removes them, or puts
 * them back. */
int control_move_in(struct control_call *call, const char *dir,
		    struct digest *ret_catalog, char **ret_aside);
void control_move_end(const char *dir, const char *aside, bool mounted);

/* control_unused.c. What is read of the mount counts from here on. */
void control_count_anew(struct mount *mnt);

/* control_unused.c. Where the parameters say `only_used`: removes what nobody
 * read from the mount, which is acquired, before it is committed; and puts
 * what that was, of all mounts of the call, into the result. */
struct control_left_out {
	struct view_left_out sum;
	bool unknown; /* what was read of a mount, so that all of it stays */
};
int control_leave_out(struct control_call *call, struct mount *mnt,
		      struct control_left_out *out);
void control_put_left_out(const struct control_call *call,
			  const struct control_left_out *out, json_t *result);

/* The entry that `entry` (a reference) names; a miss is exit 3. _here looks
 * in the store alone; what it does not have, _find_entry brings from the tiers
 * of the call. */
int control_entry_ref(struct control_call *call, struct entry_ref *ret_ref,
		      const char **ret_text);
int control_find_here(struct control_call *call, struct entry *ret_entry);
int control_find_entry(struct control_call *call, struct entry *ret_entry);
int control_open_tree(struct control_call *call, const struct entry *e,
		      struct store_tree **ret_tree);

/* The work's progress; cancels when the client has gone. */
struct progress *control_progress(struct control_call *call);

/* The error of a failed library call, by the meanings of store/README.md. */
int control_fail(struct control_call *call, int err, const char *what);

/* Sends what is in `list`, the array that will be `name` in the result, ahead
 * of the answer and empties it, where it is long and the client puts answers
 * together. Called behind each item, with no lock held. */
int control_send_part(struct control_call *call, const char *name,
		      json_t *list);

/* True where the call wants a new key only (`only_new`) and the entry's has one;
 * *ret_result says so. */
bool control_is_taken(struct control_call *call, const struct entry *e,
		      json_t **ret_result);

json_t *control_entry_json(const struct entry *e, bool with_parts);
json_t *control_result_json(const struct ingest_result *r);
json_t *control_time(int64_t ns); /* RFC 3339, UTC */

/* control_gc.c: adds `used` and `pinned` to an entry object; and what a limit
 * in bytes is, or null. */
void control_add_times(struct control_call *call, const struct entry *e,
		       json_t *object);
json_t *control_limit_json(const struct gc_usage *u);

/* The error of work on all of the store, which stops at -ESTALE. */
int control_fail_newer(struct control_call *call, int err, const char *what);

/* control_mount.c: a mount object; NULL when memory is short. And mounts_each
 * and _resume's callback that appends one to a JSON array. */
json_t *control_mount_json(struct mount *mnt);
int control_add_mount(void *arg, struct mount *mnt);

/* From mode, allow_other, suid_dev, stateful_open and writeback of the parameters. */
int control_mount_options(struct control_call *call,
			  struct mounts_options *ret_options);

static inline void control_mount_unref(struct mount **mnt)
{
	mount_unref(*mnt);
}

#define _cleanup_mount_ __attribute__((cleanup(control_mount_unref)))

#endif
