/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a sparse pack becomes whole: when all frames of the tree are there and
 * they are most of the pack, its index and the rest are fetched, all of it is
 * verified, and it becomes a pack of the store with an index record for each
 * chunk. Where the pack has no other frames than the tree's, its index is what
 * placement and catalog say, and nothing is fetched. Runs on a thread of the
 * store's; its state is that call's.
 *
 * Verified is the file against the pack's name, and each frame against the
 * digest that the index gives it, but for those that this tree has compared
 * with the same digest since it was opened. Nobody can put anything there meanwhile.
 */
#include "lazy_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "remote_internal.h"

/* A pack of which more than this part is of no use to the tree stays sparse. */
#define USELESS_SHARE 4

struct completion {
	struct lazy_tree *lt;
	struct lazy_room *room;
	const struct tier_call *call;
	const struct digest *name;
	struct sparse *sparse;
	struct pack *pack;
	const struct lazy_pack *lp;
	/* The run of frames that is being fetched: index records. */
	uint32_t first, end;
	uint32_t off;
	uint32_t pos; /* that is_known() looks at next */
};

/* What the tree says of the frame at a position. */
static int frame_of(const struct lazy_tree *lt, uint32_t pos,
		    struct pack_chunk *ret_frame)
{
	const struct digest *digest;
	struct placement_loc loc;
	uint32_t size;
	int r = lazy_loc(lt, pos, &loc);

	if (r == 0)
		r = catalog_chunk(lt->tree->catalog, lt->order[pos], &digest,
				  &size);
	if (r < 0)
		return r;
	*ret_frame = (struct pack_chunk){ *digest, loc.off, loc.len, size,
					  loc.has_dict };
	return 0;
}

/* 1 where the tree's frames are all that there are in the pack, and here: then
 * the index is written. 0 where not. */
static int make_index(struct completion *c)
{
	_cleanup_buf_ struct buf index = BUF_INIT;
	const struct lazy_pack *lp = c->lp;
	struct pack_chunk frame;
	uint32_t pos;
	int r;

	if (lp->end - lp->first != pack_chunks(c->pack))
		return 0;
	for (pos = lp->first; pos < lp->end; pos++) {
		r = frame_of(c->lt, pos, &frame);
		if (r < 0)
			return r;
		if (!sparse_has(c->sparse, frame.off))
			return 0;
		pack_record_put(&index, &frame);
	}
	if (buf_error(&index))
		return buf_error(&index);
	if (!pack_index_is(c->pack, index.data, index.len))
		return 0;
	r = sparse_put(c->sparse, pack_index_off(c->pack), index.data,
		       (uint32_t)index.len);
	return r < 0 ? r : 1;
}

static int take_index(void *arg, const void *data, size_t len)
{
	struct completion *c = arg;
	int r = pack_check_index(c->pack, data, len);

	return r < 0 ? r :
		       sparse_put(c->sparse, pack_index_off(c->pack), data,
				  (uint32_t)len);
}

static int fetch_index(struct completion *c)
{
	uint32_t off = pack_index_off(c->pack);
	uint32_t len = (uint32_t)pack_bytes(c->pack) - PACK_TAIL_BYTES - off;

	if (len == 0)
		return 0;
	return lazy_load(c->lt, c->call, c->name, off, len, take_index, c);
}

static int take_frame(struct completion *c, const struct pack_chunk *chunk,
		      const uint8_t *data, size_t len)
{
	struct digest got;
	int r;

	if (chunk->off < c->off || chunk->off - c->off > len ||
	    chunk->len > len - (chunk->off - c->off))
		return -EBADMSG;
	data += chunk->off - c->off;
	r = pack_decode(c->pack, c->room->ctx, data, chunk->len,
			chunk->has_dict, 0, c->room->chunk, chunk->size);
	if (r == 0)
		r = digest_of(c->room->chunk, chunk->size, &got);
	if (r < 0)
		return r;
	if (!digest_equal(&got, &chunk->digest))
		return -EBADMSG;
	r = sparse_put(c->sparse, chunk->off, data, chunk->len);
	return r < 0 ? r : sparse_mark(c->sparse, &chunk->off, 1);
}

static int take_frames(void *arg, const void *data, size_t len)
{
	struct completion *c = arg;
	struct pack_chunk chunk;
	uint32_t n;
	int r = 0;

	for (n = c->first; r == 0 && n < c->end; n++) {
		r = pack_chunk_at(c->pack, n, &chunk);
		if (r == 0 && !sparse_has(c->sparse, chunk.off))
			r = take_frame(c, &chunk, data, len);
	}
	return r;
}

/* One run of absent frames from record `n` on. */
static int fetch_run(struct completion *c, uint32_t n)
{
	struct pack_chunk chunk;
	uint32_t reach = 0;
	int r = 0;

	c->first = n;
	for (; n < pack_chunks(c->pack); n++) {
		r = pack_chunk_at(c->pack, n, &chunk);
		if (r < 0)
			return r;
		if (n == c->first)
			c->off = reach = chunk.off;
		if (chunk.off != reach || sparse_has(c->sparse, chunk.off) ||
		    (n > c->first &&
		     reach + chunk.len - c->off > LAZY_REQUEST_MAX))
			break;
		reach = chunk.off + chunk.len;
	}
	c->end = n;
	return lazy_load(c->lt, c->call, c->name, c->off, reach - c->off,
			 take_frames, c);
}

/* Bytes of the frames that are not here. */
static int missing_bytes(struct completion *c, uint64_t *ret_bytes)
{
	struct pack_chunk chunk;
	uint32_t n;
	int r;

	*ret_bytes = 0;
	for (n = 0; n < pack_chunks(c->pack); n++) {
		r = pack_chunk_at(c->pack, n, &chunk);
		if (r < 0)
			return r;
		if (!sparse_has(c->sparse, chunk.off))
			*ret_bytes += chunk.len;
	}
	return 0;
}

static int fetch_rest(struct completion *c)
{
	struct pack_chunk chunk;
	uint32_t n;
	int r = 0;

	for (n = 0; r == 0 && n < pack_chunks(c->pack); n++) {
		r = pack_chunk_at(c->pack, n, &chunk);
		if (r == 0 && !sparse_has(c->sparse, chunk.off))
			r = fetch_run(c, n);
	}
	return r;
}

/* A frame that was damaged since it was compared makes the file another one than
 * the pack's name says. Who served all of it may have chosen that name, though: what
 * another tree may have written over is compared again. */
static bool is_known(void *arg, const struct pack_chunk *chunk)
{
	struct completion *c = arg;
	struct pack_chunk mine;

	for (; c->pos < c->lp->end; c->pos++) {
		if (frame_of(c->lt, c->pos, &mine) < 0)
			return false;
		if (mine.off >= chunk->off)
			break;
	}
	return !atomic_load(&c->lp->file->shared) && c->pos < c->lp->end &&
	       mine.off == chunk->off && mine.len == chunk->len &&
	       mine.size == chunk->size && mine.has_dict == chunk->has_dict &&
	       digest_equal(&mine.digest, &chunk->digest) &&
	       atomic_load(&c->lt->state[c->lt->order[c->pos]]) >= LAZY_READY;
}

static int publish(struct completion *c)
{
	struct store *s = c->lt->tree->store;
	int r;

	c->pos = c->lp->first;
	sparse_freeze(c->sparse);
	r = pack_verify_rest(c->pack, c->room->ctx, is_known, c);
	if (r == 0)
		r = sparse_finish(c->sparse, s->packs_fd);
	if (r < 0) {
		sparse_thaw(c->sparse);
		return r;
	}
	return remote_index_pack(s, c->pack);
}

static int fetch_all(struct completion *c)
{
	uint64_t missing = 0;
	int r = fetch_index(c);

	if (r == 0)
		r = missing_bytes(c, &missing);
	if (r < 0)
		return r;
	if (missing > pack_bytes(c->pack) / USELESS_SHARE)
		return -EOPNOTSUPP;
	return fetch_rest(c);
}

static int complete(struct completion *c)
{
	int r = make_index(c);

	if (r == 0)
		r = fetch_all(c);
	return r < 0 ? r : publish(c);
}

static void set_whole(struct lazy_tree *lt, uint32_t n)
{
	LOCK_SCOPE(&lt->lazy->lock);

	lt->packs[n].state = LAZY_PACK_WHOLE;
}

int lazy_pack_finish(struct lazy_tree *lt, uint32_t n, struct lazy_room *room,
		     const struct tier_call *call)
{
	struct completion c = {
		.lt = lt,
		.room = room,
		.call = call,
		.name = placement_pack(lt->tree->placement, n),
		.lp = &lt->packs[n],
	};
	int r = lazy_pack_open(lt, n, NULL, &c.sparse);

	if (r < 0 || !c.sparse)
		return r;
	c.pack = sparse_pack(c.sparse);
	r = complete(&c);
	sparse_unref(c.sparse);
	if (r == -EOPNOTSUPP || r == -ESTALE) /* not worth it; another does */
		return 0;
	if (r == -ECANCELED) /* the tree is being closed; later, then */
		return r;
	if (r < 0)
		return log_error(r, "a pack of which all has arrived stays "
				    "sparse");
	set_whole(lt, n);
	return 0;
}
