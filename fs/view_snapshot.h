/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot of a view for a commit: all names and metadata of one moment,
 * put into a catalog builder under the read lock, and for each file what its content
 * is made of. Content is read afterwards, without a lock: neither the upper's
 * bytes nor the base's are ever written over, so a file's extents are a snapshot
 * of its bytes. While it exists nothing of the upper is given back (upper.pins).
 *
 * One thread drives it; snapshot_loader runs on any.
 */
#ifndef LARDER_FS_VIEW_SNAPSHOT_H
#define LARDER_FS_VIEW_SNAPSHOT_H

#include "store/ingest.h"

#include "view_internal.h"

/* One regular file. */
struct snapshot_file {
	uint64_t ino, size;
	uint32_t tree, number;	/* its content there, where `in_tree` */
	uint32_t count;		/* extents, where not `in_tree` */
	struct extent *extents; /* owned */
	bool in_tree;
};

struct snapshot {
	struct view *view;
	struct catalog_build *build; /* borrowed */
	struct snapshot_file *files;
	size_t n, cap;
	uint32_t *file_of; /* by node: index of the file and 1; 0: no file */
	size_t nodes;
	struct map links;	   /* inode with several names -> node + 1 */
	struct snapshot_dir *dirs; /* to be listed */
	size_t n_dirs, cap_dirs;
	uint64_t load_files, load_bytes; /* not in a tree */
	unsigned sockets;
};

void snapshot_release(struct snapshot *s);

/* The root, for ingest_new(). Read lock. */
int snapshot_root(const struct view *v, struct catalog_meta *ret_meta);

/* Everything below the root. Read lock. */
int snapshot_take(struct snapshot *s, struct view *v,
		  struct catalog_build *build);

/* Reads files by node, with the snapshot as its context. */
extern const struct ingest_loader snapshot_loader;

static inline const struct snapshot_file *
snapshot_file_of(const struct snapshot *s, uint32_t node)
{
	return node < s->nodes && s->file_of[node] ?
		       &s->files[s->file_of[node] - 1] :
		       NULL;
}

#endif
