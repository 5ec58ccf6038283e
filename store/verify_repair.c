/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mending. The index comes first, since new placements are made of what it
 * knows; damaged packs go last, when no placement that could be made without
 * them names them any more.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/log.h"
#include "gc.h"
#include "pack_cache.h"
#include "pack_copy.h"
#include "verify_internal.h"

#define BATCH 1024u /* changes of the index in one write */

/* ---- what the index says */

struct records {
	struct verify *v;
	bool forget;
	struct digest wrong[BATCH];
	uint32_t n;
	bool more;
};

static int look_at_record(void *arg, const struct digest *chunk,
			  const struct pack_loc *loc)
{
	struct records *rec = arg;
	bool good = false;
	int r = loc ? verify_is_good(rec->v, &loc->pack, loc->off, chunk,
				     &good) :
		      0;

	if (r < 0 || good)
		return r;
	rec->v->result.bad_records++;
	if (!rec->forget)
		return 0;
	rec->wrong[rec->n++] = *chunk;
	rec->more = rec->n == BATCH;
	return rec->more ? 1 : 0; /* the walk may not write */
}

static int forget(struct records *rec)
{
	struct index_batch *b;
	int r = fault_check("verify.forget");

	if (r == 0 && rec->n > 0)
		r = index_batch_begin(rec->v->store->index, &b);
	if (r < 0 || rec->n == 0)
		return r;
	for (uint32_t i = 0; r == 0 && i < rec->n; i++)
		r = index_remove_chunk(b, &rec->wrong[i]);
	if (r < 0) {
		index_batch_abort(b);
		return r;
	}
	return index_batch_commit(b, true);
}

int verify_records(struct verify *v, bool forget_them)
{
	_cleanup_free_ struct records *rec = calloc(1, sizeof(*rec));
	int r = rec ? 0 : -ENOMEM;

	for (unsigned first = 0; r == 0 && first < 256; first++)
		do {
			rec->v = v;
			rec->forget = forget_them;
			rec->n = 0;
			rec->more = false;
			r = index_each_chunk(v->store->index, (uint8_t)first,
					     look_at_record, rec);
			if (r >= 0)
				r = forget(rec);
		} while (r == 0 && rec->more);
	return r;
}

/* ---- what is good of packs */

/* Where a pack was, a good frame of it may be unknown to the index. */
static int learn(struct verify *v, struct pack *pack)
{
	struct index_batch *b = NULL;
	struct pack_chunk chunk;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < pack_chunks(pack); i++) {
		struct pack_loc loc;
		bool found, good;

		r = pack_chunk_at(pack, i, &chunk);
		if (r == 0)
			r = verify_is_good(v, pack_name(pack), chunk.off,
					   &chunk.digest, &good);
		if (r == 0)
			r = index_get_chunks(v->store->index, &chunk.digest, 1,
					     &loc, &found);
		if (r < 0 || found || !good)
			continue;
		loc = (struct pack_loc){ .pack = *pack_name(pack),
					 .off = chunk.off,
					 .len = chunk.len,
					 .has_dict = chunk.has_dict };
		if (!b)
			r = index_batch_begin(v->store->index, &b);
		if (r == 0)
			r = index_put_chunk(b, &chunk.digest, &loc);
	}
	if (!b)
		return r;
	if (r == 0)
		r = index_put_pack(b, pack_name(pack), pack_bytes(pack),
				   pack_chunks(pack));
	if (r == 0)
		return index_batch_commit(b, true);
	index_batch_abort(b);
	return r;
}

/* What cannot be read after all is left out. */
static int salvage_chunk(struct verify *v, struct pack_copy *pc,
			 struct pack *pack, const struct pack_chunk *chunk)
{
	const struct pack_loc loc = { .off = chunk->off,
				      .len = chunk->len,
				      .has_dict = chunk->has_dict };
	bool good;
	int r = verify_is_good(v, pack_name(pack), chunk->off, &chunk->digest,
			       &good);

	if (r < 0 || !good)
		return r;
	r = pack_copy_check(pc, pack, &loc, chunk->size, &chunk->digest);
	if (r == 0)
		r = pack_copy_add(pc, pack, chunk);
	return r == -EBADMSG || r == -EIO ? 0 : r;
}

/* Where the dictionary is damaged, so are all chunks that want it. */
static int salvage(struct verify *v, struct pack_copy *pc, struct pack *pack)
{
	struct pack_chunk chunk;
	int r = pack_copy_begin(pc, pack);

	for (uint32_t i = 0; r == 0 && i < pack_chunks(pack); i++) {
		r = pack_chunk_at(pack, i, &chunk);
		if (r == 0)
			r = salvage_chunk(v, pc, pack, &chunk);
	}
	return r == -EBADMSG || r == -EIO ? 0 : r;
}

struct salvage {
	struct verify *v;
	struct pack_copy *copy;
};

static int use_pack(void *arg, struct dmap_node *n)
{
	const struct verify_pack *p = (struct verify_pack *)n;
	const struct salvage *s = arg;
	struct verify *v = s->v;
	struct pack *pack;
	int r;

	if (!p->present || p->unreadable)
		return 0;
	r = pack_open(v->store->packs_fd, &p->node.digest, &pack);
	if (r < 0)
		return r;
	r = verify_pack_is_bad(p) ? salvage(v, s->copy, pack) : learn(v, pack);
	pack_unref(pack);
	return r;
}

static int use_packs(struct verify *v, struct pack_copy *pc)
{
	struct salvage s = { v, pc };
	int r = dmap_each(&v->packs, use_pack, &s);

	return r == 0 ? pack_copy_finish(pc) : r;
}

/* ---- trees */

static int place(void *arg, struct dmap_node *n)
{
	const struct verify_tree *vt = (struct verify_tree *)n;
	struct verify *v = arg;
	int r = fault_check("verify.place");

	if (r < 0 || vt->err == -EBADMSG ||
	    (vt->bad == 0 && !vt->touches && vt->err == 0))
		return r;
	r = store_tree_place_again(v->store, &vt->node.digest);
	return r == -ENOENT || r == -EBADMSG ? 0 : r;
}

/* ---- packs that go */

static int set_aside(void *arg, struct dmap_node *n)
{
	struct verify_pack *p = (struct verify_pack *)n;
	struct verify *v = arg;
	int r = fault_check("verify.aside");

	if (r < 0 || !verify_pack_is_bad(p))
		return r;
	store_quarantine(v->store, v->store->packs_fd, "pack", &p->node.digest);
	pack_cache_forget(v->store->packs, &p->node.digest);
	p->aside = true;
	return 0;
}

int verify_repair(struct verify *v)
{
	_cleanup_pack_copy_ struct pack_copy *pc = NULL;
	int r = pack_copy_new(v->store, &pc);

	if (r == 0)
		r = verify_records(v, true);
	if (r == 0)
		r = use_packs(v, pc);
	if (r == 0)
		r = dmap_each(&v->trees, place, v);
	return r < 0 ? r : dmap_each(&v->packs, set_aside, v);
}

/* ---- entries */

static int fetch_again(struct verify *v, const struct entry *e, bool *ret_whole)
{
	const struct verify_options *o = v->options;
	int r = o->refetch ? o->refetch(o->arg, e) : -ENOENT;

	*ret_whole = false;
	if (r < 0)
		return r == -ECANCELED ? r : 0;
	r = verify_look_again(v);
	return r < 0 ? r :
		       verify_tree_is_whole(v, &e->catalog, true, ret_whole);
}

int verify_fetch_entry(struct verify *v, const struct entry *e, bool *ret_whole)
{
	int r = verify_tree_is_whole(v, &e->catalog, true, ret_whole);

	return r < 0 || *ret_whole ? r : fetch_again(v, e, ret_whole);
}

int verify_repair_entry(struct verify *v, const struct entry *e,
			enum verify_outcome *ret_outcome)
{
	bool whole;
	int r = verify_tree_is_whole(v, &e->catalog, true, &whole);

	*ret_outcome = VERIFY_MENDED;
	if (r < 0 || whole)
		return r;
	r = gc_remove_entry(v->store, e);
	*ret_outcome = r == 0 || r == -ENOENT ? VERIFY_REMOVED : VERIFY_LEFT;
	return r == -EPERM || r == -ENOENT || r == -ESTALE ? 0 : r;
}
