/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The merged view of one mount: base (a catalog's tree, may be empty) below
 * upper (what users changed). It is the only module that knows both; the FUSE
 * operations translate between it and libfuse, and tests use it with no mount.
 *
 * Inode numbers are persistent: a base inode's number is its index in the
 * catalog (root 1); new ones count up from VIEW_INO_FIRST. They survive copy-up,
 * rename, commit and restart.
 *
 * Every mutating call appends one record to the upper log before it returns
 * success and changes nothing when it fails. Errors are those of the system
 * call it serves. Names are checked by the kernel or the caller's validation
 * (no '/', no NUL, 1..255 bytes); view_* return -ENAMETOOLONG above 255 and
 * -EINVAL for "", "." and "..".
 *
 * Any thread; one read-write lock inside (see fs/README.md, lock order 2).
 * No call holds it while it reads chunks of the base or syncs.
 */
#ifndef LARDER_FS_VIEW_H
#define LARDER_FS_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <time.h>

#include "store/progress.h"
#include "store/store.h"

#include "fetch.h"

#define VIEW_ROOT 1u
#define VIEW_INO_FIRST (UINT64_C(1) << 40)

struct used;
struct view;

struct view_attr {
	uint64_t ino;
	uint32_t mode, nlink, uid, gid, rdev;
	uint64_t size;
	uint64_t blocks; /* of 512 bytes */
	struct timespec atime, mtime, ctime;
};

struct view_options {
	bool read_only;
	uint32_t uid, gid; /* CATALOG_OWNER_SELF shows as these */
	int dirfd;	   /* the mount's state directory; -1 where read_only */
	const char *key;   /* of the entry that is shown; NULL: none */
	/* Where the trees of earlier commits are; NULL: the base's store. Needed
	 * with an empty base. */
	struct store *store;
	/* What was read of the base; taken over by the view that is opened.
	 * NULL: nothing is known of it. */
	struct used *used;
	/* The kernel still holds inodes from an earlier worker: those without a
	 * name, or that lose it, stay until it forgets them. Else those without
	 * one are dropped. */
	bool adopt;
};

/* `tree` may be NULL (empty base); a reference is taken. `fetch` is borrowed.
 * Replays the upper log in opt->dirfd. *ret_damaged: part of the log was lost, the
 * view is read-only. -EBADMSG, -ENOMEM, -EIO. */
int view_open(struct store_tree *tree, struct fetch *fetch,
	      const struct view_options *opt, struct view **ret_view,
	      bool *ret_damaged);
void view_close(struct view *v); /* writes a checkpoint where it pays */

/*
 * The calling thread works for the kernel's request `unique` from _begin to
 * _end, which follows the answer: what it changes is in the log with that
 * number. `resent`: an earlier worker may have done it. The call that finds it
 * done answers as if it had done it now, and changes nothing.
 */
void view_request_begin(uint64_t unique, bool resent);
void view_request_end(struct view *v);

/* Who asks, for ownership and permissions of what is made. */
struct view_cred {
	uint32_t uid, gid;
	uint32_t umask; /* not applied yet: a default ACL takes its place */
};

/* Space of what was removed is given back in batches; a full disk does not wait
 * for the next one. Whether a call that returned `r` found no room, and is
 * to be made again because there is some now. */
bool view_make_room(struct view *v, ssize_t r);

/* --- reading. lookup, create, mknod, mkdir, symlink, link count one more
 * kernel reference to the inode; view_forget() takes them back. --- */
/* "." is the inode itself, whatever its type, and ".." its directory: so the kernel
 * finds what a file handle names. */
int view_lookup(struct view *v, uint64_t parent, const char *name, size_t len,
		struct view_attr *ret_attr);
void view_forget(struct view *v, uint64_t ino, uint64_t count);
int view_getattr(struct view *v, uint64_t ino, struct view_attr *ret_attr);

/* Of the attributes, what costs nothing to find. */
int view_get_mode(struct view *v, uint64_t ino, uint32_t *ret_mode,
		  uint32_t *ret_gid);

/* Copies at most `size` bytes; returns the target's length. */
ssize_t view_readlink(struct view *v, uint64_t ino, char *buf, size_t size);

/*
 * Lists a directory from cookie `off` (0: the start). `add` gets each name
 * with the cookie behind it and returns non-zero to stop before that name.
 * "." and ".." come first (attr->ino only is set for them besides mode).
 * With `plus`, attr is whole and `add`'s taking the name counts a kernel reference (not
 * for "." and ".."). A name that stays is given exactly once, whatever
 * changes meanwhile. `add` runs under the view's read lock: it copies and calls
 * nothing of the view.
 */
typedef int (*view_dir_fn)(void *arg, const char *name, size_t len,
			   const struct view_attr *attr, uint64_t next);
int view_readdir(struct view *v, uint64_t dir, uint64_t off, bool plus,
		 view_dir_fn add, void *arg);

/* Up to `len` bytes; fewer only at the end. May block in fetch: see
 * fetch.h for how the service loop is told. */
/* Whether a read may have to wait for a remote tier. */
bool view_is_lazy(const struct view *v);
ssize_t view_read(struct view *v, uint64_t ino, void *buf, size_t len,
		  uint64_t off);

/* SEEK_DATA / SEEK_HOLE; -ENXIO. */
int view_lseek(struct view *v, uint64_t ino, uint64_t off, int whence,
	       uint64_t *ret_off);
int view_statfs(struct view *v, struct statvfs *ret_st);

/* --- changing --- */
enum view_set {
	VIEW_SET_MODE = 1 << 0,
	VIEW_SET_UID = 1 << 1,
	VIEW_SET_GID = 1 << 2,
	VIEW_SET_SIZE = 1 << 3,
	VIEW_SET_ATIME = 1 << 4,
	VIEW_SET_MTIME = 1 << 5,
	VIEW_SET_CTIME = 1 << 6,
	VIEW_SET_ATIME_NOW = 1 << 7,
	VIEW_SET_MTIME_NOW = 1 << 8,
	VIEW_SET_KILL_PRIV = 1 << 9,  /* as VIEW_KILL_PRIV */
	VIEW_SET_KILL_SGID = 1 << 10, /* also where the owner changes */
};

/* What an operation takes of suid and sgid: nothing, since the caller may keep them
 * (CAP_FSETID); suid, and sgid where the group may execute; sgid in any case,
 * since the caller is not in the file's group. */
enum view_kill { VIEW_KILL_NONE, VIEW_KILL_PRIV, VIEW_KILL_SGID };

int view_setattr(struct view *v, uint64_t ino, unsigned set,
		 const struct view_attr *attr, struct view_attr *ret_attr);

/* Any type but directories; `mode` has type and permissions. */
int view_mknod(struct view *v, uint64_t parent, const char *name, size_t len,
	       uint32_t mode, uint32_t rdev, const struct view_cred *cred,
	       struct view_attr *ret_attr);
int view_mkdir(struct view *v, uint64_t parent, const char *name, size_t len,
	       uint32_t mode, const struct view_cred *cred,
	       struct view_attr *ret_attr);
int view_symlink(struct view *v, uint64_t parent, const char *name, size_t len,
		 const char *target, const struct view_cred *cred,
		 struct view_attr *ret_attr);

/* A regular file without a name, for which `dir` counts as the directory it is
 * made in. It lives until it is forgotten; view_link() may name it. */
int view_tmpfile(struct view *v, uint64_t dir, uint32_t mode,
		 const struct view_cred *cred, struct view_attr *ret_attr);
int view_link(struct view *v, uint64_t ino, uint64_t parent, const char *name,
	      size_t len, struct view_attr *ret_attr);
int view_unlink(struct view *v, uint64_t parent, const char *name, size_t len);
int view_rmdir(struct view *v, uint64_t parent, const char *name, size_t len);

/* `flags`: RENAME_NOREPLACE, RENAME_EXCHANGE. */
int view_rename(struct view *v, uint64_t parent, const char *name, size_t len,
		uint64_t new_parent, const char *new_name, size_t new_len,
		unsigned flags);

ssize_t view_write(struct view *v, uint64_t ino, const void *buf, size_t len,
		   uint64_t off, enum view_kill kill);

/* FALLOC_FL_KEEP_SIZE, _PUNCH_HOLE, _ZERO_RANGE; -EOPNOTSUPP for others. */
int view_fallocate(struct view *v, uint64_t ino, int mode, uint64_t off,
		   uint64_t len);
ssize_t view_copy_range(struct view *v, uint64_t ino_in, uint64_t off_in,
			uint64_t ino_out, uint64_t off_out, uint64_t len);

/*
 * Extended attributes; `size` 0 asks for the length. -ENODATA, -ERANGE,
 * -EEXIST, -ENOSPC over CATALOG_XATTR_MAX, -EOPNOTSUPP for a namespace that there is
 * not. A list has "trusted." only where `trusted`. `flags`: XATTR_CREATE, _REPLACE, and
 * for an access ACL VIEW_XATTR_KILL_SGID where the caller may not keep sgid.
 * What view_origin.h says comes first: those names are in no list, and -EPERM.
 */
#define VIEW_XATTR_KILL_SGID (1 << 16)
ssize_t view_getxattr(struct view *v, uint64_t ino, const char *name, void *buf,
		      size_t size);
ssize_t view_listxattr(struct view *v, uint64_t ino, bool trusted, char *buf,
		       size_t size);
int view_setxattr(struct view *v, uint64_t ino, const char *name,
		  const void *value, size_t size, int flags);
int view_removexattr(struct view *v, uint64_t ino, const char *name);

/* What is shown stands for an entry of this key from now on. -ENOMEM */
int view_set_key(struct view *v, const char *key);

/* Makes the inode (0: everything) survive power loss. Blocks. */
int view_fsync(struct view *v, uint64_t ino);

/* --- the upper as a whole --- */

/* What the upper changed against the base, from its tables alone. */
enum view_change {
	VIEW_ADDED = 'A',
	VIEW_MODIFIED = 'M', /* content, or another type at the same path */
	VIEW_META = 'P',     /* mode, owner, times or xattrs only */
	VIEW_REMOVED = 'D',  /* all below a removed directory is implied */
	VIEW_RENAMED = 'R',  /* `from` is the old path */
};
struct view_diff_item {
	enum view_change change;
	const char *path; /* relative, borrowed during the call */
	const char *from; /* VIEW_RENAMED only */
	uint64_t size;
	uint32_t mode;
};

/* Sorted by path. Directories whose times alone differ are left out. All below
 * an added directory is given. A non-zero return of `each` ends it. Since the last
 * commit, if there was one. */
int view_diff(struct view *v,
	      int (*each)(void *arg, const struct view_diff_item *item),
	      void *arg);

struct view_stats {
	uint64_t upper_bytes; /* on disk: log and own files */
	uint64_t upper_inodes, upper_names;
	bool dirty; /* changed since opened empty, or since the last commit */
	bool damaged, read_only;
};
void view_stats(struct view *v, struct view_stats *ret_stats);

/* What damage of its log took from the view; NULL: nothing. Borrowed, and
 * constant as long as the view is open. */
struct upper_loss; /* upper_loss.h */
const struct upper_loss *view_loss(const struct view *v);

/*
 * Commits the view: ingests a snapshot (names, metadata and content of one
 * moment, whatever is written meanwhile) and publishes `e`. Files whose
 * content the store has are not read. On success the upper remembers that its
 * files' content is now in the store, so that committing again costs what
 * changed since, and its log shrinks. A tree equal to the base or the last commit
 * makes no new catalog; the entry is published all the same.
 * -ECANCELED, errors of ingest.
 */
struct ingest_result;
int view_commit(struct view *v, struct store *s, struct progress *progress,
		struct entry *e, struct ingest_result *ret_result);

/*
 * The same in two steps, for an entry that is made of several views: _begin
 * puts catalog and content into the store and keeps other commits out; the
 * view learns of it in _end, where the entry was published. The same thread
 * calls both.
 */
struct view_commit;
int view_commit_begin(struct view *v, struct store *s,
		      struct progress *progress,
		      struct view_commit **ret_commit,
		      struct ingest_result *ret_result);
void view_commit_end(struct view_commit *vc, bool published);

/* The catalog that the view equals while it is not dirty; false where there
 * is none (an empty base, never committed). */
bool view_catalog(struct view *v, struct digest *ret_catalog);

/* The catalog of the last commit that the view remembers, which view_diff()
 * compares with; false where there is none. */
bool view_committed(struct view *v, struct digest *ret_catalog);

/* Called without a lock for each name and inode that the kernel may have
 * cached otherwise (name NULL: the inode's data and attributes). */
typedef void (*view_invalidate_fn)(void *arg, uint64_t ino, const char *name,
				   size_t len);

/* Drops the upper: the view is the base again. -EROFS. */
int view_reset(struct view *v, view_invalidate_fn invalidate, void *arg);

/*
 * The files of the base, sorted by path, that have content, were not changed,
 * and that nobody has read since the view was made or view_used_restart()
 * called (used.h), by whatever name.
 * A non-zero return of `each` ends it. -ENODATA: what was read is not known.
 */
int view_unused(struct view *v,
		int (*each)(void *arg, const char *path, uint64_t size),
		void *arg);

/* Nobody has read anything yet. The kernel drops what it has of the files that
 * somebody had, so that it asks again. */
void view_used_restart(struct view *v, view_invalidate_fn invalidate,
		       void *arg);

/*
 * Removes them, and the directories that hold nothing else, so that a commit
 * leaves them out. What is read or changed meanwhile stays. A failure may have
 * removed a part. -ENODATA as above, with nothing done; -EROFS.
 */
struct view_left_out {
	uint64_t files; /* names */
	uint64_t bytes;
};
int view_leave_out(struct view *v, view_invalidate_fn invalidate, void *arg,
		   struct view_left_out *ret_out);

#endif
