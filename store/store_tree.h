/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What store_tree.c and store_read.c share of an open tree. Not for others.
 */
#ifndef LARDER_STORE_TREE_H
#define LARDER_STORE_TREE_H

#include <stdatomic.h>

#include "store_internal.h"

struct store_tree {
	struct dmap_node node; /* first; digest constant, rest store's lock */
	unsigned refs;	       /* the store's lock */

	struct store *store; /* constant, as all below */
	struct catalog *catalog;
	struct placement *placement;
	/* One for each pack of the placement, opened when first needed; each
	 * goes from NULL to a pack once. */
	_Atomic(struct pack *) *packs;
};

#endif
