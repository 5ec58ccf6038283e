/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalog: all metadata of one tree in one flat, mappable blob. Canonical:
 * the same tree always gives the same bytes, so the digest of the bytes is the
 * tree's identity. This header reads catalogs; catalog_build.h makes them. The
 * format is described at the top of catalog_format.h.
 *
 * A catalog is immutable once open and may be used by any number of threads.
 * Everything that is returned by pointer is borrowed from the mapping and
 * lives as long as the reference.
 *
 * Inode numbers run from 1 (the root) to the count of inodes, breadth first; a
 * number outside gives -ENOENT.
 * Every accessor checks its indices again, so that bytes that went bad after
 * validation give -EBADMSG and never a stray read.
 */
#ifndef LARDER_CATALOG_H
#define LARDER_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "digest.h"

#define CATALOG_ROOT 1u
#define CATALOG_NAME_MAX 255u
#define CATALOG_SYMLINK_MAX 4095u
#define CATALOG_XATTR_MAX (64u << 10) /* all xattrs of one inode, encoded */
#define CATALOG_BYTES_MAX (UINT64_C(4) << 30)

/* An owner or group that stands for "whoever mounts": files that belonged to
 * the user who made the entry, so that another user gets them as her own. */
#define CATALOG_OWNER_SELF UINT32_MAX

/* A chunk id that stands for a run of zeros with no chunk behind it. */
#define CATALOG_HOLE UINT32_MAX

struct catalog;

struct catalog_info {
	uint32_t inodes;
	uint32_t dirents;
	uint32_t chunks; /* different ones */
	uint32_t files, dirs, symlinks, others;
	uint64_t bytes;	     /* sum of the sizes of regular files */
	uint64_t blob_bytes; /* of the catalog itself */
};

struct catalog_inode {
	uint32_t ino;
	uint32_t mode; /* type and permission bits */
	uint32_t nlink;
	uint32_t uid, gid; /* may be CATALOG_OWNER_SELF */
	uint32_t rdev;	   /* of device nodes, as makedev() gives it */
	uint64_t size;	   /* of a symlink: length of its target */
	int64_t mtime_sec;
	uint32_t mtime_nsec;
	uint32_t parent;   /* directories: the parent (root: itself); else 0 */
	uint32_t children; /* directories: number of names */
	uint32_t pieces;   /* regular files: number of pieces */
	bool has_xattrs;
};

struct catalog_dirent {
	const char *name; /* not NUL-terminated */
	uint32_t name_len;
	uint32_t ino;
};

/* One piece of a file: `len` bytes at `off` are chunk `chunk` as a whole
 * (or a hole of any length). */
struct catalog_piece {
	uint64_t off;
	uint64_t len;
	uint32_t chunk; /* or CATALOG_HOLE */
};

/* What catalog_open_* check. */
enum catalog_check {
	CATALOG_CHECK_FULL,   /* all offsets, names, orders and counts */
	CATALOG_CHECK_HEADER, /* for bytes that were fully checked before */
};

/*
 * Maps the catalog in `fd` (which stays the caller's). -EBADMSG when it is
 * not valid, -ESTALE when it is of a newer format.
 */
int catalog_open_fd(int fd, enum catalog_check check,
		    struct catalog **ret_catalog);

/* The same over memory; the bytes are copied. */
int catalog_open_mem(const void *data, size_t len, enum catalog_check check,
		     struct catalog **ret_catalog);

/* The same, and the bytes are the catalog's from then on: `blob` is empty where
 * this succeeds. */
int catalog_take_buf(struct buf *blob, enum catalog_check check,
		     struct catalog **ret_catalog);
struct catalog *catalog_ref(struct catalog *c);
void catalog_unref(struct catalog *c); /* NULL is fine */

/* The whole blob. */
const void *catalog_bytes(const struct catalog *c, size_t *ret_len);
void catalog_info(const struct catalog *c, struct catalog_info *ret_info);

int catalog_inode(const struct catalog *c, uint32_t ino,
		  struct catalog_inode *ret_inode);

/* Binary search of `dir`; *ret_index is the name's position in it (either
 * pointer may be NULL). -ENOENT, -ENOTDIR, -EBADMSG. */
int catalog_lookup(const struct catalog *c, uint32_t dir, const char *name,
		   size_t len, uint32_t *ret_ino, uint32_t *ret_index);

/* The name at position `index` of `dir`, in byte order; -ENOENT behind the
 * last. */
int catalog_dirent(const struct catalog *c, uint32_t dir, uint32_t index,
		   struct catalog_dirent *ret_dirent);

/* Walks a path of '/'-separated names from the root, following no symlink;
 * "" and "." are the root. -ENOENT, -ENOTDIR. */
int catalog_resolve(const struct catalog *c, const char *path,
		    uint32_t *ret_ino);

/* A symlink's target, not NUL-terminated. -EINVAL for other types. */
int catalog_readlink(const struct catalog *c, uint32_t ino,
		     const char **ret_target, size_t *ret_len);

/*
 * Extended attributes, encoded: for each, sorted by name bytes, u16 length of
 * name, u32 length of value, name (with its namespace prefix), value. An
 * inode without any gives length 0.
 */
int catalog_xattrs(const struct catalog *c, uint32_t ino, const void **ret_data,
		   size_t *ret_len);

/* Piece `n` of a regular file; -ENOENT behind the last. */
int catalog_piece(const struct catalog *c, uint32_t ino, uint32_t n,
		  struct catalog_piece *ret_piece);

/* The piece that covers byte `off`; -ENOENT at or behind the end. */
int catalog_piece_at(const struct catalog *c, uint32_t ino, uint64_t off,
		     struct catalog_piece *ret_piece);

/* Digest and uncompressed size of a chunk, 0 .. info.chunks-1. */
int catalog_chunk(const struct catalog *c, uint32_t chunk,
		  const struct digest **ret_digest, uint32_t *ret_size);

#endif
