/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a lazy tree is on this machine, as far as that is known without
 * reading it. A chunk that is here may still turn out to be damaged when it is
 * read. No state; any thread.
 */
#include "lazy_internal.h"

static bool has_frame(struct lazy_tree *lt, const struct placement_loc *loc)
{
	struct sparse *sp = NULL;
	bool has = lazy_pack_open(lt, loc->pack, NULL, &sp) == 0 &&
		   (!sp || sparse_has(sp, loc->off));

	sparse_unref(sp);
	return has;
}

/* 1, 0 or a negative errno. */
static int has_chunk(struct lazy_tree *lt, uint32_t chunk)
{
	const struct digest *digest;
	struct placement_loc loc;
	struct pack_loc other;
	uint32_t size;
	bool found;
	int r;

	if (atomic_load(&lt->state[chunk]) >= LAZY_READY)
		return 1;
	r = placement_find(lt->tree->placement, chunk, &loc);
	if (r == 0 && has_frame(lt, &loc))
		return 1;
	if (r == 0)
		r = catalog_chunk(lt->tree->catalog, chunk, &digest, &size);
	/* Another tree may have brought it. */
	if (r == 0)
		r = index_get_chunks(lt->tree->store->index, digest, 1, &other,
				     &found);
	return r < 0 ? r : found;
}

int lazy_has_file(struct store_tree *t, uint32_t ino)
{
	struct lazy_tree *lt = atomic_load(&t->lazy);
	struct catalog_piece p;
	struct catalog_inode ci;
	int r;

	if (!lt)
		return 1;
	r = lazy_tree_prepare(lt);
	if (r == 0)
		r = catalog_inode(t->catalog, ino, &ci);
	if (r < 0)
		return r;
	for (uint32_t n = 0; n < ci.pieces; n++) {
		r = catalog_piece(t->catalog, ino, n, &p);
		if (r == 0)
			r = p.chunk == CATALOG_HOLE || has_chunk(lt, p.chunk);
		if (r <= 0)
			return r;
	}
	return 1;
}
