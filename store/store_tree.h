/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What store_tree.c and store_read.c share of an open tree. Not for others.
 */
#ifndef LARDER_STORE_TREE_H
#define LARDER_STORE_TREE_H

#include <stdatomic.h>

#include "store_internal.h"

struct lazy_source;
struct lazy_tree;

struct store_tree {
	struct dmap_node node; /* first; digest constant, rest store's lock */
	unsigned refs;	       /* the store's lock */

	struct store *store; /* constant, as all below */
	struct catalog *catalog;
	struct digest anchor; /* of its file, where it is folded; or zeros */
	struct placement *placement;
	bool foreign; /* the placement is believed only after a look */
	/* One for each pack of the placement, opened when first needed; each
	 * goes from NULL to a pack once. */
	_Atomic(struct pack *) *packs;

	struct lazy_source *source; /* where chunks may be had; NULL: nowhere */
	/* Goes from NULL to a lazy tree once: when the tree is opened, or when
	 * the first damaged chunk is met. */
	_Atomic(struct lazy_tree *) lazy;
};

/* Any open tree of the catalog that has a source, with a reference. -ENOENT. */
int store_tree_find(struct store *s, const struct digest *catalog,
		    struct store_tree **ret_tree);

/* The tree's lazy part, which is made where there is none yet. -EOPNOTSUPP
 * without a source. */
int store_tree_make_lazy(struct store_tree *t, struct lazy_tree **ret_lazy);

/* Opens pack `n` of the placement; the tree keeps it. Errors of pack_open(). */
int store_tree_open_pack(struct store_tree *t, uint32_t n,
			 struct pack **ret_pack);

/* The copy of a chunk that the index knows, compared with its digest. -ENOENT,
 * -EBADMSG. */
int store_read_indexed(struct store *s, struct codec_ctx *ctx,
		       const struct digest *digest, void *out, uint32_t size);

/* Logs that a file cannot be read, since a chunk of it is `what`. */
void store_say_damage(const struct store_tree *t, uint32_t chunk,
		      const struct digest *digest, int err, const char *what);
/* A tree of the caller's own: not shared, and not open as far as others can
 * tell. The placement's checksum is compared in any case. */
int store_tree_load(struct store *s, const struct digest *catalog,
		    struct store_tree **ret_tree);
void store_tree_discard(struct store_tree *t);

/* The same, and the catalog is compared with its digest in any case. */
int store_tree_load_checked(struct store *s, const struct digest *catalog,
			    struct store_tree **ret_tree);

/* Makes a tree's placement anew of what the index knows. -ENOENT where it does
 * not know all chunks; the old one stays then. */
int store_tree_place_again(struct store *s, const struct digest *catalog);

#endif
