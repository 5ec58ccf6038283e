/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing single nodes of a tree into a directory, for export_dir.c. Any
 * thread; a struct export_thread belongs to one.
 */
#ifndef LARDER_EXPORT_NODE_H
#define LARDER_EXPORT_NODE_H

#include <stdatomic.h>

#include "export.h"

/* Constant during an export. */
struct export_target {
	struct store_tree *tree;
	const struct catalog *catalog;
	const struct ingest_owner *self;
	bool privileged;   /* may give files away */
	bool always_chown; /* new files get another group than the process's */
	uint32_t uid, gid; /* what new files get */
	uint32_t umask;
	atomic_uint refused; /* xattrs that could not be set */
};

struct export_thread {
	struct codec_ctx *codec;
	uint8_t *chunk; /* CHUNK_MAX bytes */
};

/* For nodes below `dirfd`; all that is given is borrowed. */
int export_target_init(struct export_target *x, struct store_tree *t, int dirfd,
		       const struct ingest_owner *self);

struct export_thread *export_thread_new(void);	  /* NULL: no memory */
void export_thread_free(struct export_thread *t); /* NULL is fine */

/* The owner a node gets. */
void export_owner(const struct ingest_owner *self,
		  const struct catalog_inode *i, uint32_t *ret_uid,
		  uint32_t *ret_gid);

/* Makes `name` in `dirfd` with all that belongs to it. Not for directories. */
int export_node(struct export_target *x, struct export_thread *t, int dirfd,
		const char *name, const struct catalog_inode *i);

/* Gives an open directory its owner, xattrs, mode and times. */
int export_dir_meta(struct export_target *x, int fd,
		    const struct catalog_inode *i);

#endif
