/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Half-dead packs: what is still needed of them is copied to new packs
 * (pack_copy.h), and the placements of the trees that need it are made anew;
 * the old packs are then garbage like any other. Packs of one import, which
 * have one dictionary, follow one another. A damaged pack is left to itself.
 * Where the index knows a chunk in a pack that stays, that copy serves.
 *
 * The new packs are durable and in the index before a placement names them.
 * A pack that an open tree needs stays as it is, since that tree goes on
 * looking there. The collection's thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/log.h"
#include "gc_internal.h"
#include "pack_copy.h"
#include "pack_format.h"

/* Packs of which less is dead stay even where the store is too large. */
#define WORTH_PART 8

struct rewrite {
	struct gc *gc;
	struct pack_copy *copy;
};

/* ---- choosing */

struct candidates {
	struct gc_pack **packs;
	size_t n, cap;
};

static uint64_t dead_bytes(const struct gc_pack *p)
{
	return p->bytes > p->live_bytes ? p->bytes - p->live_bytes : 0;
}

/* What its dictionary takes is of use to what is left. */
static int subtract_dict(struct gc *g, const struct gc_pack *p,
			 uint64_t *ret_dead)
{
	uint64_t dead = dead_bytes(p), own;
	struct pack *pack;
	int r = pack_open(g->store->packs_fd, &p->node.digest, &pack);

	if (r < 0)
		return r;
	own = sizeof(struct pack_header) + sizeof(struct pack_footer) +
	      pack_dict_bytes(pack);
	pack_unref(pack);
	*ret_dead = dead > own ? dead - own : 0;
	return 0;
}

static bool is_worth_a_look(struct gc *g, const struct gc_pack *p)
{
	return p->on_disk && p->count > 0 &&
	       dead_bytes(p) > p->bytes / WORTH_PART &&
	       !store_pack_is_needed(g->store, &p->node.digest);
}

static int add_candidate(struct candidates *c, struct gc_pack *p)
{
	if (c->n == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 64;
		struct gc_pack **grown =
			reallocarray(c->packs, cap, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		c->packs = grown;
		c->cap = cap;
	}
	c->packs[c->n++] = p;
	return 0;
}

static int most_dead_first(const void *a, const void *b)
{
	const struct gc_pack *x = *(struct gc_pack *const *)a;
	const struct gc_pack *y = *(struct gc_pack *const *)b;
	double px = (double)dead_bytes(x) / (double)x->bytes;
	double py = (double)dead_bytes(y) / (double)y->bytes;

	return px > py ? -1 : px < py;
}

/* Packs of one import were made one after another. */
static int oldest_first(const void *a, const void *b)
{
	const struct gc_pack *x = *(struct gc_pack *const *)a;
	const struct gc_pack *y = *(struct gc_pack *const *)b;

	return x->mtime_ns < y->mtime_ns ? -1 : x->mtime_ns > y->mtime_ns;
}

static int find_candidates(struct gc *g, struct candidates *c)
{
	struct dmap_node *n;
	size_t pos = 0;
	int r = 0;

	while (r == 0 && (n = map_next(&g->packs.heads, &pos, NULL)))
		for (; r == 0 && n; n = n->next)
			if (is_worth_a_look(g, (struct gc_pack *)n))
				r = add_candidate(c, (struct gc_pack *)n);
	if (c->n > 0)
		qsort(c->packs, c->n, sizeof(*c->packs), most_dead_first);
	return r;
}

/* What the store will take once the dead packs have gone. */
static uint64_t bytes_then(struct gc *g)
{
	uint64_t sum = g->other_bytes;
	struct dmap_node *n;
	size_t pos = 0;

	while ((n = map_next(&g->packs.heads, &pos, NULL)))
		for (; n; n = n->next)
			if (((struct gc_pack *)n)->count > 0)
				sum += ((struct gc_pack *)n)->disk_bytes;
	pos = 0;
	while ((n = map_next(&g->blobs.heads, &pos, NULL)))
		for (; n; n = n->next)
			if (((struct gc_blob *)n)->live)
				sum += ((struct gc_blob *)n)->disk_bytes;
	return sum;
}

/* Those that are more than half dead, and others as long as the store is over
 * its limit. *ret_gain: bytes. */
static int choose(struct gc *g, struct candidates *c, uint64_t *ret_gain)
{
	uint64_t then = bytes_then(g), gain = 0, dead;
	size_t i, n = 0;
	int r = find_candidates(g, c);

	for (i = 0; r == 0 && i < c->n; i++) {
		struct gc_pack *p = c->packs[i];

		if (subtract_dict(g, p, &dead) < 0)
			continue; /* said */
		if (dead <= p->bytes / 2 &&
		    (then - gain <= g->result.before.limit_bytes ||
		     dead <= p->bytes / WORTH_PART))
			continue;
		p->rewrite = true;
		c->packs[n++] = p;
		gain += dead;
	}
	c->n = n;
	*ret_gain = gain;
	return r;
}

uint64_t gc_rewrite_gain(struct gc *g)
{
	struct candidates c = { NULL, 0, 0 };
	uint64_t gain = 0;
	int r = g->blocked ? 0 : choose(g, &c, &gain);

	g->result.rewritten_packs = r == 0 ? c.n : 0;
	free(c.packs);
	return r == 0 ? gain : 0;
}

/* ---- one pack */

/* Whether a pack stays, or was made here. */
static bool stays(const struct rewrite *rw, const struct digest *name)
{
	const struct gc_pack *p =
		(struct gc_pack *)dmap_find(&rw->gc->packs, name);

	if (pack_copy_made(rw->copy, name))
		return true;
	return p && p->on_disk && p->count > 0 && !p->rewrite;
}

/* Where the index has the chunk, if that is in a pack that stays. */
static bool find_elsewhere(struct rewrite *rw, const struct digest *chunk,
			   struct pack_loc *ret_loc)
{
	bool found;

	return index_get_chunks(rw->gc->store->index, chunk, 1, ret_loc,
				&found) == 0 &&
	       found && stays(rw, &ret_loc->pack);
}

/* Whether there is another copy that stays, and is good. */
static bool is_elsewhere(struct rewrite *rw, const struct pack_chunk *chunk)
{
	struct pack_loc loc;
	struct pack *pack;
	int r;

	if (!find_elsewhere(rw, &chunk->digest, &loc) ||
	    pack_open(rw->gc->store->packs_fd, &loc.pack, &pack) < 0)
		return false;
	r = pack_copy_check(rw->copy, pack, &loc, chunk->size, &chunk->digest);
	pack_unref(pack);
	return r == 0;
}

static int check_chunk(struct rewrite *rw, struct pack *pack,
		       const struct pack_chunk *chunk)
{
	const struct pack_loc loc = { .off = chunk->off,
				      .len = chunk->len,
				      .has_dict = chunk->has_dict };

	return pack_copy_check(rw->copy, pack, &loc, chunk->size,
			       &chunk->digest);
}

static int copy_chunk(struct rewrite *rw, struct pack *pack,
		      const struct pack_chunk *chunk)
{
	return pack_copy_add(rw->copy, pack, chunk);
}

/* Calls `each` for the chunks of the pack that are needed. */
static int each_live(struct rewrite *rw, const struct gc_pack *p,
		     struct pack *pack,
		     int (*each)(struct rewrite *rw, struct pack *pack,
				 const struct pack_chunk *chunk))
{
	struct pack_chunk chunk;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < pack_chunks(pack); i++) {
		r = pack_chunk_at(pack, i, &chunk);
		if (r == 0 && gc_frame_is_live(p, chunk.off) &&
		    !is_elsewhere(rw, &chunk))
			r = each(rw, pack, &chunk);
	}
	return r;
}

static int copy_pack(struct rewrite *rw, const struct gc_pack *p,
		     struct pack *pack)
{
	int r = each_live(rw, p, pack, check_chunk);

	if (r == 0)
		r = pack_copy_begin(rw->copy, pack);
	return r < 0 ? r : each_live(rw, p, pack, copy_chunk);
}

/* What cannot be read stays where it is. */
static int rewrite_pack(struct rewrite *rw, struct gc_pack *p)
{
	struct gc *g = rw->gc;
	struct pack *pack;
	int r = pack_open(g->store->packs_fd, &p->node.digest, &pack);

	if (r == 0) {
		r = copy_pack(rw, p, pack);
		pack_unref(pack);
	}
	if (r == -EBADMSG || r == -ENOENT || r == -EIO) {
		log_warn(r, "a pack of which half is dead cannot be read, and "
			    "stays");
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
	struct rewrite *rw;
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
	p = (struct gc_pack *)dmap_find(&pl->rw->gc->packs, &ret_loc->pack);
	if (p && p->rewrite && find_elsewhere(pl->rw, digest, &loc))
		*ret_loc = loc;
	return 0;
}

static int place_again(struct rewrite *rw, const struct store_tree *t)
{
	_cleanup_buf_ struct buf blob = BUF_INIT;
	struct places pl = { rw, t };
	struct store *s = rw->gc->store;
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
	struct rewrite *rw = arg;
	struct store_tree *t;
	int r;

	if (!b->live || !b->catalog)
		return 0;
	if (store_tree_load(rw->gc->store, &b->node.digest, &t) < 0)
		return 0; /* as when it was marked */
	r = needs_rewritten(rw->gc, t) ? place_again(rw, t) : 0;
	store_tree_discard(t);
	return r;
}

/* ---- all */

static int rewrite_all(struct rewrite *rw, const struct candidates *c)
{
	struct gc *g = rw->gc;
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->n; i++) {
		r = rewrite_pack(rw, c->packs[i]);
		if (r == 0)
			r = progress_tick(g->progress, "rewrite", i, c->n, 0,
					  0);
	}
	if (r == 0)
		r = pack_copy_finish(rw->copy);
	if (r == 0)
		r = dmap_each(&rw->gc->blobs, place_blob, rw);
	if (r == 0)
		g->result.rewritten_packs = c->n;
	return r;
}

static int rewrite_run(struct gc *g, struct candidates *c)
{
	_cleanup_pack_copy_ struct pack_copy *copy = NULL;
	struct rewrite rw = { .gc = g };
	int r = pack_copy_new(g->store, &copy);

	if (r < 0)
		return r;
	rw.copy = copy;
	if (c->n > 0)
		qsort(c->packs, c->n, sizeof(*c->packs), oldest_first);
	r = rewrite_all(&rw, c);
	/* On a full disk, what was removed has to do. */
	if (r == -ENOSPC || r == -EDQUOT) {
		log_warn(r, "half-dead packs are left as they are");
		return 0;
	}
	return r;
}

int gc_rewrite(struct gc *g, bool *ret_any)
{
	struct candidates c = { NULL, 0, 0 };
	uint64_t gain;
	int r = g->blocked ? 0 : choose(g, &c, &gain);

	*ret_any = c.n > 0;
	if (r == 0 && c.n > 0)
		r = rewrite_run(g, &c);
	free(c.packs);
	return r;
}
