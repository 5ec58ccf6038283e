/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a catalog. Nodes are added in any order and get handles; names link
 * them; pieces give files their content; catalog_build_finish() sorts, numbers
 * breadth first and writes the canonical bytes. One thread.
 */
#ifndef LARDER_CATALOG_BUILD_H
#define LARDER_CATALOG_BUILD_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "digest.h"

#define CATALOG_BUILD_ROOT 0u /* handle of the root, made by _new */

struct catalog_build;

struct catalog_meta {
	uint32_t mode;
	uint32_t uid, gid; /* may be CATALOG_OWNER_SELF */
	uint32_t rdev;
	int64_t mtime_sec;
	uint32_t mtime_nsec;
	const char *target; /* symlinks; borrowed during the call */
	size_t target_len;
	const void *xattrs; /* encoded as catalog_xattrs() gives them */
	size_t xattrs_len;
};

/* `root` describes the root directory. */
int catalog_build_new(const struct catalog_meta *root,
		      struct catalog_build **ret_build);
void catalog_build_free(struct catalog_build *b);

/* A node. -EINVAL for a type or a field outside its limits, -ENAMETOOLONG
 * for a symlink target, -EFBIG over a limit. */
int catalog_build_node(struct catalog_build *b, const struct catalog_meta *meta,
		       uint32_t *ret_node);

/* Gives `node` a name in directory `parent`; a directory gets exactly one, other
 * nodes at least one (more: hard links). The same name twice shows in _order
 * as -EEXIST. -EINVAL for "", ".", "..", '/', NUL; -ENAMETOOLONG. */
int catalog_build_link(struct catalog_build *b, uint32_t parent,
		       const char *name, size_t len, uint32_t node);

/* Sorts the names of every directory and checks the shape (-EEXIST for a name
 * given twice, -EINVAL for a node without a name or a directory outside the
 * tree). No node or link may be added afterwards. Gives all regular
 * files in tree order: depth first, names in byte order, each node once,
 * at its first name. The array is the builder's. */
int catalog_build_order(struct catalog_build *b, const uint32_t **ret_files,
			size_t *ret_count);

/* The path of a node's first name from the root, for messages; NULL when
 * memory is short. The caller frees it. After _order. */
char *catalog_build_path(const struct catalog_build *b, uint32_t node);

/* Appends a piece of content to a file: a chunk, or zeros where `chunk` is
 * NULL. The file's size is the sum of its pieces. Adjacent holes become one.
 * `len` is 1..CHUNK_MAX for a chunk. */
int catalog_build_piece(struct catalog_build *b, uint32_t node,
			const struct digest *chunk, uint64_t len);

/* Writes the catalog (after _order). */
int catalog_build_finish(struct catalog_build *b, struct buf *ret_blob,
			 struct digest *ret_digest);

/* The inode number that _finish gave a node (0: unknown node). */
uint32_t catalog_build_ino(const struct catalog_build *b, uint32_t node);

#endif
