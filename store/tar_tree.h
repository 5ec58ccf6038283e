/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree that a tar stream describes, while it is being read: later entries
 * replace earlier ones of the same path, directories may come after what is
 * in them or not at all, and hard links name earlier paths. Only at the end
 * does it become a catalog. One thread.
 */
#ifndef LARDER_TAR_TREE_H
#define LARDER_TAR_TREE_H

#include "base/buf.h"
#include "base/map.h"
#include "catalog_build.h"
#include "digest.h"

#define TAR_TREE_ROOT 0u

struct tar_tree;

int tar_tree_new(struct tar_tree **ret_tree);
void tar_tree_free(struct tar_tree *t); /* NULL is fine */

/*
 * Checks a member's path and brings it into one form: no leading "./", no
 * empty or "." part, no '/' at the end; "" is the root. -EINVAL for an
 * absolute path or a ".." part, -ENAMETOOLONG for a part.
 */
int tar_path_normalize(const char *path, struct buf *ret_path);

/*
 * Puts a node (whose strings are copied) at a normalized path; missing
 * parents are made. *ret_inode is what content is given to. -ENOTDIR when a
 * parent is something else, -EISDIR when the path is a directory with content
 * and the node is none.
 */
int tar_tree_put(struct tar_tree *t, const char *path,
		 const struct catalog_meta *meta, uint32_t *ret_inode);

/* Makes `path` another name for what is at `target`. -ENOENT, -EISDIR, and
 * as above. */
int tar_tree_link(struct tar_tree *t, const char *path, const char *target);

/* Appends content to a regular file; in the form of ingest_piece_fn. */
int tar_tree_piece(void *tree, uint32_t inode, const struct digest *chunk,
		   uint64_t len);

/* The root's own record; borrowed. */
void tar_tree_root(const struct tar_tree *t, struct catalog_meta *ret_meta);

/* Puts everything below the root into `b`, which is ordered then. */
int tar_tree_build(struct tar_tree *t, struct catalog_build *b);

#endif
