/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving what is needed of packs to new ones (pack_copy.h), and placing the
 * trees that need it again; the old packs are then garbage like any other. A
 * damaged pack is left to itself. Where the index knows a chunk in a pack that
 * stays, that copy serves. Which packs, and whether their chunks are
 * compressed anew, is decided in gc_rewrite.c and repack.c.
 *
 * The new packs are durable and in the index before a placement names them.
 * What has become a whole pack when this is broken off serves the next one. The
 * collection's thread.
 */
#include <errno.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/log.h"
#include "gc_internal.h"
#include "pack_copy.h"

struct reshape {
	struct gc *gc;
	struct pack_copy *copy;
	const char *phase;		/* for the progress, as the rest */
	uint64_t done, all;		/* packs */
	uint64_t done_bytes, all_bytes; /* of frames */
};

/* ---- one pack */

/* Whether a pack stays, or was made here. */
static bool stays(const struct reshape *rs, const struct digest *name)
{
	const struct gc_pack *p =
		(struct gc_pack *)dmap_find(&rs->gc->packs, name);

	if (pack_copy_made(rs->copy, name))
		return true;
	return p && p->on_disk && (p->count > 0 || p->dense) && !p->rewrite;
}

/* Where the index has the chunk, if that is in a pack that stays. */
static bool find_elsewhere(struct reshape *rs, const struct digest *chunk,
			   struct pack_loc *ret_loc)
{
	bool found;

	return index_get_chunks(rs->gc->store->index, chunk, 1, ret_loc,
				&found) == 0 &&
	       found && stays(rs, &ret_loc->pack);
}

/* Whether there is another copy that stays, and is good. */
static bool is_elsewhere(struct reshape *rs, const struct pack_chunk *chunk)
{
	struct pack_loc loc;
	struct pack *pack;
	int r;

	if (!find_elsewhere(rs, &chunk->digest, &loc) ||
	    pack_open(rs->gc->store->packs_fd, &loc.pack, &pack) < 0)
		return false;
	r = pack_copy_check(rs->copy, pack, &loc, chunk->size, &chunk->digest);
	pack_unref(pack);
	return r == 0;
}

static int tick(struct reshape *rs)
{
	return progress_tick(rs->gc->progress, rs->phase, rs->done, rs->all,
			     rs->done_bytes, rs->all_bytes);
}

static int check_chunk(struct reshape *rs, struct pack *pack,
		       const struct pack_chunk *chunk)
{
	const struct pack_loc loc = { .off = chunk->off,
				      .len = chunk->len,
				      .has_dict = chunk->has_dict };

	return pack_copy_check(rs->copy, pack, &loc, chunk->size,
			       &chunk->digest);
}

static int copy_chunk(struct reshape *rs, struct pack *pack,
		      const struct pack_chunk *chunk)
{
	int r = pack_copy_add(rs->copy, pack, chunk);

	if (r < 0)
		return r;
	rs->done_bytes += chunk->len;
	return tick(rs);
}

/* Calls `each` for the chunks of the pack that are needed. */
static int each_live(struct reshape *rs, const struct gc_pack *p,
		     struct pack *pack,
		     int (*each)(struct reshape *rs, struct pack *pack,
				 const struct pack_chunk *chunk))
{
	struct pack_chunk chunk;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < pack_chunks(pack); i++) {
		r = pack_chunk_at(pack, i, &chunk);
		if (r == 0 && gc_frame_is_live(p, chunk.off) &&
		    !is_elsewhere(rs, &chunk))
			r = each(rs, pack, &chunk);
	}
	return r;
}

static int copy_pack(struct reshape *rs, const struct gc_pack *p,
		     struct pack *pack)
{
	int r = each_live(rs, p, pack, check_chunk);

	if (r == 0)
		r = pack_copy_begin(rs->copy, pack);
	return r < 0 ? r : each_live(rs, p, pack, copy_chunk);
}

/* What cannot be read stays where it is. */
static int move_pack(struct reshape *rs, struct gc_pack *p)
{
	struct gc *g = rs->gc;
	struct pack *pack;
	int r = pack_open(g->store->packs_fd, &p->node.digest, &pack);

	if (r == 0) {
		r = copy_pack(rs, p, pack);
		pack_unref(pack);
	}
	if (r == -EBADMSG || r == -ENOENT || r == -EIO) {
		log_warn(r, "a pack that was to be written anew cannot be "
			    "read, and stays");
		p->rewrite = false;
		return 0;
	}
	return r;
}

/* ---- the trees */

static bool needs_rewritten(struct gc *g, const struct store_tree *t)
{
	for (uint32_t i = 0; i < placement_packs(t->placement); i++) {
		const struct gc_pack *p = (struct gc_pack *)dmap_find(
			&g->packs, placement_pack(t->placement, i));

		if (p && p->rewrite)
			return true;
	}
	return false;
}

struct places {
	struct reshape *rs;
	const struct store_tree *tree;
};

/* Where a chunk was, unless that pack was written anew. What cannot be found
 * elsewhere stays there, and so does the pack. */
static int find_place(void *arg, uint32_t chunk, const struct digest *digest,
		      struct pack_loc *ret_loc)
{
	const struct places *pl = arg;
	struct pack_loc loc;
	const struct gc_pack *p;
	int r = store_tree_locate(pl->tree, chunk, ret_loc);

	if (r < 0)
		return r;
	p = (struct gc_pack *)dmap_find(&pl->rs->gc->packs, &ret_loc->pack);
	if (p && p->rewrite && find_elsewhere(pl->rs, digest, &loc))
		*ret_loc = loc;
	return 0;
}

static int place_again(struct reshape *rs, const struct store_tree *t)
{
	_cleanup_buf_ struct buf blob = BUF_INIT;
	struct places pl = { rs, t };
	struct store *s = rs->gc->store;
	struct index_stamp stamp;
	int r = fault_check("gc.place");

	if (r == 0)
		r = placement_encode(t->catalog, &t->node.digest, find_place,
				     &pl, &blob);
	if (r == 0)
		r = store_put_placement(s, &t->node.digest, blob.data, blob.len,
					&stamp);
	if (r == 0)
		store_put_stamp(s, INDEX_BLOB_PLACEMENT, &t->node.digest,
				&stamp);
	return r;
}

static int place_blob(void *arg, struct dmap_node *n)
{
	const struct gc_blob *b = (struct gc_blob *)n;
	struct reshape *rs = arg;
	struct store_tree *t;
	int r;

	if (!b->live || !b->catalog)
		return 0;
	if (store_tree_load(rs->gc->store, &b->node.digest, &t) < 0)
		return 0; /* as when it was marked */
	r = needs_rewritten(rs->gc, t) ? place_again(rs, t) : 0;
	store_tree_discard(t);
	return r;
}

/* ---- all */

static int move_packs(struct reshape *rs, struct gc_pack *const *packs)
{
	int r = tick(rs), done;

	for (; r == 0 && rs->done < rs->all; rs->done++)
		r = move_pack(rs, packs[rs->done]);
	/* Also of what is broken off: it was worth the work. */
	done = r == 0 || r == -ECANCELED ? pack_copy_finish(rs->copy) : 0;
	return r < 0 ? r : done;
}

int gc_reshape(struct gc *g, struct pack_copy *copy, const char *phase,
	       struct gc_pack *const *packs, size_t n)
{
	struct reshape rs = { .gc = g, .copy = copy, .phase = phase, .all = n };
	int r;

	for (size_t i = 0; i < n; i++)
		rs.all_bytes += packs[i]->live_bytes -
				(uint64_t)packs[i]->count * GC_RECORD_BYTES;
	r = move_packs(&rs, packs);
	return r < 0 ? r : dmap_each(&g->blobs, place_blob, &rs);
}
