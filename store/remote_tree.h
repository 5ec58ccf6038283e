/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree as one object: catalog and placement together, so that a mount is one
 * request for the entry and one for the tree. Little-endian:
 *
 *	magic		8 bytes, "LARDTREE"
 *	version, ends	u32 each
 *	lengths		u64 each: catalog, its frame, placement, its frame
 *	frames		one zstd frame each, in this order
 *	ends		of each pack that the putter had: its name, u64 length
 *			and last PACK_TAIL_BYTES, so that who fetches a part
 *			of it need not ask for them (store_hint_pack())
 *
 * Pure functions over memory.
 */
#ifndef LARDER_REMOTE_TREE_H
#define LARDER_REMOTE_TREE_H

#include "catalog.h"
#include "placement.h"
#include "store.h"

/* Of the catalog and of the placement, decoded; and of the whole object. */
#define REMOTE_TREE_PART_MAX (UINT64_C(1) << 30)
#define REMOTE_TREE_MAX (UINT64_C(1) << 30)

struct remote_pack_end {
	struct digest name;
	uint64_t bytes;
	uint8_t tail[PACK_TAIL_BYTES];
};

struct remote_tree {
	struct buf catalog_blob, placement_blob;
	struct catalog *catalog;      /* over a copy of the blob */
	struct placement *placement;  /* a hint, though a sound one */
	struct remote_pack_end *ends; /* hints, of which nothing was checked */
	uint32_t n_ends;
};

/* -EFBIG. */
int remote_tree_encode(const void *catalog, size_t catalog_len,
		       const void *placement, size_t placement_len,
		       const struct remote_pack_end *ends, uint32_t n_ends,
		       struct buf *ret_data);

/* The catalog has the digest `digest` and passes all checks, and the placement
 * is one of it. -EBADMSG; -ESTALE: it, or one of the two, is of a newer
 * version. */
int remote_tree_decode(const void *data, size_t len,
		       const struct digest *digest,
		       struct remote_tree *ret_tree);
void remote_tree_release(struct remote_tree *t);

#endif
