/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view's own parts, private to view*.c. Functions here want the view's
 * lock held for reading, those that put or append for writing, unless they
 * say otherwise.
 */
#ifndef LARDER_FS_VIEW_INTERNAL_H
#define LARDER_FS_VIEW_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"

#include "upper.h"
#include "used.h"
#include "view.h"

/* readdir: names of the base come first. */
#define VIEW_COOKIE_UPPER (UINT64_C(1) << 40)

struct view {
	pthread_rwlock_t lock;
	pthread_mutex_t commit_lock;  /* one commit or reset; before `lock` */
	pthread_mutex_t reclaim_lock; /* one reclaim; before `lock` */
	int64_t reclaimed_ns; /* when one gave room (reclaim_lock); 0: never */
	struct upper upper;   /* lock */
	struct fetch *fetch;  /* this and all below but `key`: constant */
	uint32_t uid, gid;
	char *key;	   /* lock; of the entry, or NULL */
	struct used *used; /* may be NULL */
	int dirfd;	   /* own duplicate or -1 */
	bool read_only, damaged;
	bool lazy;		   /* reads may wait for a remote tier */
	bool adopted;		   /* not all references are counted */
	_Atomic uint64_t *lookups; /* kernel references of base inodes */
};

/* Holds the lock until the scope ends. The end of a write scope also does
 * what is due: a checkpoint, giving space back. */
void view_read_unlock(struct view **v);
void view_write_unlock(struct view **v);

#define READ_SCOPE(v)                                               \
	_cleanup_(view_read_unlock) struct view *scope_view_ = (v); \
	pthread_rwlock_rdlock(&scope_view_->lock)
#define WRITE_SCOPE(v)                                               \
	_cleanup_(view_write_unlock) struct view *scope_view_ = (v); \
	pthread_rwlock_wrlock(&scope_view_->lock)

/* -EROFS, -EIO: nothing can be changed. */
int view_writable(const struct view *v);

/* Whether the request that the thread works for was done by an earlier
 * worker; *ret_ino: what it made or linked. The first thing that a call asks
 * that changes something. */
bool view_request_done(struct view *v, uint64_t *ret_ino);

/* Gives back dead space; false where there was none, or none was given back. No
 * lock held. */
bool view_reclaim(struct view *v);

/* An inode's metadata from its record or the base. -ESTALE: no such inode. */
int view_load(const struct view *v, uint64_t ino, struct meta *ret_meta);
void view_fill_attr(const struct view *v, const struct meta *m,
		    struct view_attr *ret_attr);

/* -EINVAL, -ENAMETOOLONG */
int view_check_name(const char *name, size_t len);

/* The visible inode behind a name. -ENOENT, -ENOTDIR, -ESTALE. */
int view_child(const struct view *v, uint64_t parent, const char *name,
	       size_t len, uint64_t *ret_ino);

/* A directory that names can be put into or taken from. -ENOTDIR, -ENOENT
 * for one that was removed, -ESTALE. */
int view_load_dir(const struct view *v, uint64_t ino, struct meta *ret_meta);

/* Kernel references. */
_Atomic uint64_t *view_refs(const struct view *v, uint64_t ino);
void view_ref(const struct view *v, uint64_t ino);

/* Drops an inode that has neither names nor references; the second, where a
 * name was taken off just now. Write lock. */
void view_drop_if_unused(struct view *v, uint64_t ino);
void view_drop_unlinked(struct view *v, uint64_t ino);

/* The names of a directory, in readdir's order; *cookie starts at 2. */
struct view_name {
	const char *text;
	size_t len;
	uint64_t ino;
};
bool view_dir_next(const struct view *v, uint64_t dir, uint64_t *cookie,
		   struct view_name *ret_name);
bool view_dir_empty(const struct view *v, uint64_t dir);

/* Making a record: metadata (its epoch is set here) and names (ino 0: gone). At
 * most one name of a record may be new. */
void view_put_inode(struct view *v, struct meta *m);
void view_put_name(struct view *v, uint64_t parent, const char *name,
		   size_t len, uint64_t ino);

struct timespec view_now(void);
void view_touch(struct meta *m, const struct timespec *now); /* mtime, ctime */
void view_touch_ctime(struct meta *m, const struct timespec *now);

/* view_own.c: writes the bytes of a file to its own file, and the record that
 * is being made, with them in it. Errors of upper_append(). */
int view_put_own(struct view *v, uint64_t ino, const void *buf, size_t len,
		 uint64_t off);

/* Clears what `kill` says of suid and sgid. */
void view_kill_priv(struct meta *m, enum view_kill kill);

/* Puts the attributes again where a change of content, owner or mode changes
 * them too: `drop_caps` takes security.capability out, `new_mode` gives the
 * ACL the permissions of `m`. -ENOMEM. */
int view_put_xattrs_of_change(struct view *v, const struct meta *m,
			      bool drop_caps, bool new_mode);

/* What a new inode in `dir` is to have: takes from `mode` what the umask or, in its
 * place, the directory's default ACL does not permit, and puts the ACLs into
 * `set`, which is empty. -ENOMEM, -ENOSPC. */
int view_inherit_acls(const struct view *v, uint64_t dir, uint32_t umask,
		      uint32_t *mode, struct buf *set);
void view_put_xattrs(struct view *v, uint64_t ino, const struct buf *set);

/* All extended attributes, encoded; borrowed. */
int view_xattrs(const struct view *v, uint64_t ino, const void **ret_data,
		size_t *ret_len);

/* A symlink's target; borrowed. */
int view_target(const struct view *v, uint64_t ino, const char **ret_target,
		size_t *ret_len);

/* A file's extents; for a base file that nobody changed they are made in
 * `tmp`, which must live as long. */
struct view_extents {
	struct extents extents;
	struct extent one;
};
const struct extents *view_extents(const struct view *v, uint64_t ino,
				   struct view_extents *tmp);

/* Reading in two steps: what is in the upper under the lock, then, without it,
 * the parts of the base that were noted. */
struct view_part {
	struct store_tree *tree; /* referenced */
	uint64_t off;
	uint32_t ino;
	uint8_t *to;
	size_t len;
};
#define VIEW_PARTS_FEW 8
struct view_plan {
	struct view_part *parts;
	unsigned n, cap;
	struct view_part few[VIEW_PARTS_FEW];
};
/* All of [off, off + len) gets bytes; `e` may be any array, not only `ino`'s
 * present one, and no lock is needed while the upper is pinned. */
int view_plan_read(const struct view *v, uint64_t ino, const struct extents *e,
		   void *buf, size_t len, uint64_t off,
		   struct view_plan *ret_plan);
int view_plan_finish(const struct view *v, struct view_plan *plan);
void view_plan_release(struct view_plan *plan);

/* The first byte at or behind `off` that is no hole, as SEEK_DATA gives it;
 * -ENXIO. Array and lock as of view_plan_read(). */
int view_seek_data(const struct view *v, const struct extents *e, uint64_t off,
		   uint64_t size, uint64_t *ret_off);

/* Whether the content is all of one file of a tree that can be read, and
 * nothing else. */
bool view_in_tree(const struct view *v, const struct meta *m,
		  const struct extents *e, uint32_t *ret_tree,
		  uint32_t *ret_number);

#endif
