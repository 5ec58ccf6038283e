/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees that hold one file: how a file outside of any mount is kept. Their
 * root is nobody's directory, without times of its own, so that the same file,
 * under the same name and with the same metadata, is the same tree.
 *
 * Of a file that was written or read here, a manifest (manifest.h) is kept
 * under its own inode number: it says later which tree it was, and whether it
 * is still, without a look at the content. Any thread; the file is `name` in
 * the directory `dirfd`, and a symbolic link is never followed.
 */
#ifndef LARDER_LONE_FILE_H
#define LARDER_LONE_FILE_H

#include "ingest.h"
#include "store.h"

/* The tree's only inode besides its root, which is regular and, unless it is
 * NULL, called `name`. -EBADMSG for any other tree. */
int lone_file_find(const struct catalog *c, const char *name,
		   uint32_t *ret_ino);

enum lone_file_state {
	LONE_FILE_ABSENT,
	LONE_FILE_OTHER,   /* it is no regular file */
	LONE_FILE_KNOWN,   /* unchanged since it was the tree *ret_catalog */
	LONE_FILE_UNKNOWN, /* a regular file, of which nothing is known */
};

/* A negative errno where the file cannot be looked at. */
int lone_file_look(struct store *s, int dirfd, const char *name,
		   enum lone_file_state *ret_state, struct digest *ret_catalog);

/* Whether the file has the content of the tree's: 1 or 0. */
int lone_file_equals(struct store_tree *t, int dirfd, const char *name);

/* Stores the file as a tree without an entry. A known one is not read. -ESTALE
 * where it changes meanwhile; -ENOENT; -EINVAL where it is no regular file. */
int lone_file_ingest(struct store *s, int dirfd, const char *name,
		     const char *label, const struct ingest_owner *self,
		     struct progress *progress,
		     struct ingest_result *ret_result);

/* Writes the tree's file under a name aside, with owner, mode, times and
 * extended attributes, and renames it into place, over a file that is there. */
int lone_file_write(struct store_tree *t, int dirfd, const char *name,
		    const struct ingest_owner *self);

#endif
