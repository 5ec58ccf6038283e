/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of a plain directory from before: its manifest, and the tree
 * that it was then. For the sources that walk one (ingest_dir.c, plain.c).
 */
#ifndef LARDER_INGEST_BEFORE_H
#define LARDER_INGEST_BEFORE_H

#include "ingest_walk.h"
#include "manifest.h"

/* Both NULL where nothing is known. */
struct before {
	struct manifest *manifest;
	struct store_tree *tree;
};

/* -ENOENT where nothing is known, or not enough to read the tree. */
int before_open(struct before *b, struct store *s,
		const struct manifest_root *root);
void before_release(struct before *b);

/* Sets `known` of the walk's files that have not changed; returns how many. */
uint32_t before_mark(const struct before *b, struct walk *w);

/* The pieces of a known file, in order. `chunk` is NULL for a hole. */
typedef int (*before_piece_fn)(void *arg, uint32_t node,
			       const struct digest *chunk, uint64_t len);
int before_pieces(const struct before *b, const struct walk_file *f,
		  before_piece_fn fn, void *arg);

#endif
