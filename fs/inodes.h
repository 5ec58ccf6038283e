/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inode table of an upper: a whole record for each inode that is new or
 * of which something changed. Base inodes that nobody changed have none.
 *
 * Guarded by the view's lock; the lookup count alone is atomic, since lookups
 * count under the read lock. An upper may hold a million files, so records
 * are kept to 120 bytes and slots to 8.
 */
#ifndef LARDER_FS_INODES_H
#define LARDER_FS_INODES_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "extents.h"

/* An inode's metadata, as log items carry it. */
struct meta {
	uint64_t ino;
	uint64_t parent; /* directories; else 0 */
	uint64_t size;	 /* of files; of a symlink its target's length */
	int64_t atime_sec, mtime_sec, ctime_sec;
	uint32_t atime_nsec, mtime_nsec, ctime_nsec;
	uint32_t mode, uid, gid, nlink, rdev;
	uint32_t epoch; /* when it changed last (see upper.h) */
};

struct blob {
	uint32_t len;
	uint8_t data[];
};

struct inode {
	struct meta m;
	struct blob *xattrs; /* NULL: the base's, or none */
	union {
		struct extents extents; /* regular files */
		struct blob *target;	/* symlinks; NULL: the base's */
	};
	_Atomic uint64_t lookups; /* kernel references of new inodes */
};
_Static_assert(sizeof(struct inode) <= 120, "inode record");

struct inodes {
	struct inode **slots;
	size_t count, cap;
};

struct blob *blob_new(const void *data, uint32_t len); /* NULL: no memory */

/* A record in no table. NULL: no memory. _free frees all it owns. */
struct inode *inode_new(uint64_t ino, uint32_t mode);
void inode_free(struct inode *i); /* NULL is fine */

void inodes_release(struct inodes *t); /* frees the records too */
struct inode *inodes_get(const struct inodes *t, uint64_t ino);

/* Room for `more` inserts, which then cannot fail. -ENOMEM. */
int inodes_reserve(struct inodes *t, size_t more);
void inodes_insert(struct inodes *t, struct inode *i); /* takes it over */
void inodes_remove(struct inodes *t, uint64_t ino);    /* ... and back */

/* Iteration in no order; start with *pos = 0; NULL at the end. */
struct inode *inodes_next(const struct inodes *t, size_t *pos);

#endif
