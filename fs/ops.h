/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The FUSE operations: they translate between libfuse and the view, and hold
 * no logic. Private to fs/session.c and fs/ops*. Service threads only.
 *
 * What the kernel caches here it may keep for good: every change comes through
 * it, or is announced by session_invalidate().
 */
#ifndef LARDER_FS_OPS_H
#define LARDER_FS_OPS_H

#include <fuse_lowlevel.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "session_counts.h"
#include "trace.h"
#include "view.h"
#include "view_all.h"

/* Ten years, in seconds. */
#define OPS_TIMEOUT 315360000.0

/* Bytes of the largest READ, WRITE and READDIRPLUS. */
#define OPS_DATA_MAX (1u << 20)

/* What fuse_session_new() gets as its user data. Constant once INIT has been
 * answered. */
struct ops_env {
	struct view *view;	       /* borrowed, as the next */
	struct view_all *all;	       /* what is shown; NULL: it is `view` */
	struct session_counts *counts; /* borrowed, as the next */
	struct trace *trace;
	bool no_open;	 /* zero-message open, of files */
	bool no_opendir; /* and of directories */
	bool posix_acl;	 /* the kernel obeys ACLs */
	bool writeback;	 /* the kernel may know more of files than the view */
};

/* All operations but init; of a view of all entries. */
struct fuse_lowlevel_ops ops_table(void);
struct fuse_lowlevel_ops ops_table_all(void);

/* What libfuse 3.14 does not pass on of a request. */
struct ops_extra {
	bool kill_priv; /* the kernel asks that suid and sgid are cleared */
	bool tmpfile;	/* a CREATE without a name */
};

/* Said on the thread of the request, before it is processed. */
void ops_set_extra(const struct ops_extra *extra);

/* --- among ops* --- */

const struct ops_extra *ops_extra(void);
const struct ops_env *ops_env(fuse_req_t req);
struct view *ops_view(fuse_req_t req);
struct view_cred ops_cred(fuse_req_t req);

/* The calling thread's buffer of OPS_DATA_MAX bytes; NULL: no memory. */
void *ops_buffer(void);

/* Replies to a question with `size` bytes of room; `buf` holds the answer where
 * `size` is not 0. */
void ops_reply_value(fuse_req_t req, ssize_t n, const char *buf, size_t size);

/* A read that may have to wait for a remote tier ends when its caller is
 * interrupted, from _begin to _end; `flag` is false and lives as long. */
void ops_interrupt_begin(fuse_req_t req, atomic_bool *flag);
void ops_interrupt_end(fuse_req_t req);

void ops_stat(const struct view_attr *attr, struct stat *ret_st);
void ops_entry(const struct view_attr *attr, struct fuse_entry_param *ret_e);

/* What `call` returns, which is made a second time where a full disk has room
 * after the first. */
#define OPS_MAKE_ROOM(view, call)               \
	({                                      \
		__typeof__(call) r_ = (call);   \
		if (view_make_room((view), r_)) \
			r_ = (call);            \
		r_;                             \
	})

/* Replies: `r` is what the view returned. */
void ops_reply(fuse_req_t req, int r);
void ops_reply_attr(fuse_req_t req, int r, const struct view_attr *attr);
void ops_reply_written(fuse_req_t req, ssize_t r);
/* Gives the kernel reference back where the reply does not arrive. */
void ops_reply_entry(fuse_req_t req, int r, const struct view_attr *attr);

/* Whether the caller is in the group; the daemon's own reading of /proc. */
bool ops_in_group(fuse_req_t req, uint32_t gid);

/* What an operation that takes suid and sgid takes of this inode's, by the caller's
 * groups. */
enum view_kill ops_kill(fuse_req_t req, fuse_ino_t ino);

/* Clears suid and sgid on behalf of a request that carries no flag for it. */
void ops_drop_priv(fuse_req_t req, fuse_ino_t ino);

/* ops_node.c */
void ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void ops_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count);
void ops_forget_multi(fuse_req_t req, size_t count,
		      struct fuse_forget_data *forgets);
void ops_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
		 struct fuse_file_info *fi);
void ops_readlink(fuse_req_t req, fuse_ino_t ino);
void ops_statfs(fuse_req_t req, fuse_ino_t ino);

/* ops_dir.c */
void ops_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		 struct fuse_file_info *fi);
void ops_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		     struct fuse_file_info *fi);
void ops_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync,
		  struct fuse_file_info *fi);

/* ops_file.c */
void ops_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	      struct fuse_file_info *fi);
void ops_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
	       off_t off, struct fuse_file_info *fi);
void ops_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
	       struct fuse_file_info *fi);
void ops_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off,
		   off_t len, struct fuse_file_info *fi);
void ops_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
	       struct fuse_file_info *fi);
void ops_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
			 struct fuse_file_info *fi_in, fuse_ino_t ino_out,
			 off_t off_out, struct fuse_file_info *fi_out,
			 size_t len, int flags);

/* ops_name.c */
void ops_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		mode_t mode, struct fuse_file_info *fi);
void ops_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       dev_t rdev);
void ops_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
	       mode_t mode);
void ops_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		 const char *name);
void ops_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
	      const char *name);
void ops_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void ops_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void ops_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		fuse_ino_t new_parent, const char *new_name, unsigned flags);

/* ops_xattr.c */
void ops_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		  const char *value, size_t size, int flags);
void ops_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		  size_t size);
void ops_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void ops_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

#endif
