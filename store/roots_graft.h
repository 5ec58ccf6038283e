/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Putting parts of trees in the store into a new tree, by their metadata: no
 * content is read. Private to roots*.c. One thread.
 */
#ifndef LARDER_ROOTS_GRAFT_H
#define LARDER_ROOTS_GRAFT_H

#include "base/buf.h"
#include "ingest.h"

#define ROOTS_XATTR "user.larder.roots"

struct graft {
	struct ingest *ingest;
	struct buf sources; /* struct graft_source, by node */
};

void graft_release(struct graft *g);

/* The metadata of an inode; its strings are borrowed from the catalog. */
int graft_meta(const struct catalog *c, uint32_t ino,
	       struct catalog_meta *ret_meta);

/* A directory that is nobody's and has no time of its own, so that the same
 * content gives the same tree. */
struct catalog_meta graft_plain_dir(void);

/* Puts what is in directory `ino` of `t`, which must stay open until
 * graft_feed() has returned, into the directory `node`. */
int graft_add(struct graft *g, struct store_tree *t, uint32_t ino,
	      uint32_t node);

/* Puts the file `ino` of `t` alone there, as `name`. */
int graft_add_file(struct graft *g, struct store_tree *t, uint32_t ino,
		   uint32_t node, const char *name);

/* When all is added: gives the files their content, which the store has. */
int graft_feed(struct graft *g);

#endif
