/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carrying out a request. A range of a pack is fetched in one piece; each frame
 * of the tree in it is decoded and compared with its chunk's digest. A reader
 * that waits gets the decoded bytes at once, before they are written: a disk
 * that is full keeps nobody from reading. For one that comes a moment later
 * they are kept in memory (lazy_kept.c). Then the frames go into the sparse
 * pack, and only then are their chunks READY.
 *
 * A range of which one frame is bad is refused as a whole, so that the next
 * tier is asked; the frames that were good stay.
 */
#include "lazy_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "store_internal.h"

#define NS_PER_MS INT64_C(1000000)
#define REST_NS (1000 * NS_PER_MS) /* of background work after a failure */

struct range {
	struct lazy_job *job;
	struct lazy_tree *lt;
	struct lazy_room *room;
	const struct tier_call *call;
	const char *tier;      /* whose bytes come */
	struct sparse *sparse; /* a reference, or NULL */
	uint32_t first, end;   /* what is to be had of the job */
	uint32_t off, len;     /* of it, in the pack */
	uint8_t *data;	       /* `len` bytes, of which `got` have come */
	uint32_t got;
	uint32_t next;	/* position that is looked at next */
	bool bad;	/* one was not what it should be */
	uint32_t *good; /* positions that are to be written */
	uint32_t n_good;
};

static void range_release(struct range *rg)
{
	sparse_unref(rg->sparse);
	free(rg->data);
	free(rg->good);
}

/* --- what came --- */

/* With the lock held. Whether somebody waited. */
static bool answer_wants(struct range *rg, uint32_t chunk, const void *data,
			 uint32_t size)
{
	struct lazy_want **w = &rg->job->wants;
	bool waited = false;

	while (*w) {
		struct lazy_want *want = *w;

		if (want->chunk != chunk || want->size != size) {
			w = &want->next;
			continue;
		}
		*w = want->next;
		memcpy(want->out, data, size);
		want->tier = rg->tier;
		want->done = waited = true;
		pthread_cond_signal(&want->changed);
	}
	return waited;
}

/* The chunk is what it should be: for who waits, or for who comes. */
static void hand_over(struct range *rg, uint32_t chunk, const void *data,
		      uint32_t size, struct lazy_kept **kept)
{
	struct lazy *l = rg->lt->lazy;
	LOCK_SCOPE(&l->lock);

	if (!answer_wants(rg, chunk, data, size) && *kept)
		lazy_kept_put(l, steal_ptr(kept));
}

/* Of a fill, nobody is about to read what came. */
static struct lazy_kept *room_to_keep(const struct range *rg, uint32_t chunk,
				      uint32_t size)
{
	return rg->job->prio < LAZY_FILL ? lazy_kept_new(rg->lt, chunk, size) :
					   NULL;
}

static int frame_check(struct range *rg, uint32_t chunk,
		       const struct placement_loc *loc, const uint8_t *frame)
{
	_cleanup_free_ struct lazy_kept *kept = NULL;
	struct pack *p = sparse_pack(rg->sparse);
	const struct digest *digest;
	uint8_t *out;
	uint32_t size;
	int r = catalog_chunk(rg->lt->tree->catalog, chunk, &digest, &size);

	if (r == 0 &&
	    (!pack_has_room(p, loc->off, loc->len) || size > CHUNK_MAX))
		r = -EBADMSG;
	if (r < 0)
		return r;
	kept = room_to_keep(rg, chunk, size);
	out = kept ? kept->data : rg->room->chunk;
	r = pack_decode(p, rg->room->ctx, frame, loc->len, loc->has_dict, 0,
			out, size);
	if (r == 0)
		r = lazy_check_chunk(rg->lt, chunk, out, size);
	if (r == 0)
		hand_over(rg, chunk, out, size, &kept);
	return r;
}

/* Looks at the frames that have come whole. */
static int frames_check(struct range *rg)
{
	struct placement_loc loc;
	int r;

	for (; rg->next < rg->end; rg->next++) {
		uint32_t chunk = rg->lt->order[rg->next];

		if (atomic_load(&rg->lt->state[chunk]) >= LAZY_READY)
			continue;
		r = lazy_loc(rg->lt, rg->next, &loc);
		if (r < 0)
			return r;
		if (loc.off - rg->off + loc.len > rg->got)
			return 0;
		r = frame_check(rg, chunk, &loc,
				rg->data + (loc.off - rg->off));
		if (r == 0)
			rg->good[rg->n_good++] = rg->next;
		else if (r != -EBADMSG)
			return r;
		rg->bad |= r < 0;
	}
	return 0;
}

/* --- keeping it --- */

/* Writes frames that lie next to each other in one go. */
static int frames_write(struct range *rg, uint32_t *offs)
{
	uint32_t begin = 0, reach = 0, i;
	struct placement_loc loc;
	int r;

	for (i = 0; i < rg->n_good; i++) {
		r = lazy_loc(rg->lt, rg->good[i], &loc);
		if (r < 0)
			return r;
		offs[i] = loc.off;
		if (i > 0 && loc.off != reach) {
			r = sparse_put(rg->sparse, begin,
				       rg->data + (begin - rg->off),
				       reach - begin);
			if (r < 0)
				return r;
		}
		if (i == 0 || loc.off != reach)
			begin = loc.off;
		reach = loc.off + loc.len;
	}
	return sparse_put(rg->sparse, begin, rg->data + (begin - rg->off),
			  reach - begin);
}

static void frames_ready(struct range *rg)
{
	LOCK_SCOPE(&rg->lt->lazy->lock);
	struct lazy_pack *lp = &rg->lt->packs[rg->job->pack];
	uint32_t i;

	for (i = 0; i < rg->n_good; i++) {
		_Atomic uint8_t *state =
			&rg->lt->state[rg->lt->order[rg->good[i]]];

		atomic_store(state, atomic_load(state) == LAZY_EARLY ?
					    LAZY_USED :
					    LAZY_READY);
	}
	lp->missing -= lp->missing < rg->n_good ? lp->missing : rg->n_good;
	if (lp->missing == 0)
		lazy_submit_finish(rg->lt, rg->job->pack);
}

void store_set_growth(struct store *s, const struct store_growth *growth)
{
	atomic_store(&s->growth, growth);
}

/* Of several threads that are over the step, one tells it. */
static void note_growth(struct store *s, uint32_t bytes)
{
	const struct store_growth *growth = atomic_load(&s->growth);

	if (atomic_fetch_add(&s->grown_bytes, bytes) + bytes <
	    LAZY_GROWTH_BYTES)
		return;
	if (atomic_exchange(&s->grown_bytes, 0) >= LAZY_GROWTH_BYTES && growth)
		growth->grown(growth->arg);
}

static int frames_keep(struct range *rg)
{
	_cleanup_free_ uint32_t *offs = NULL;
	int r;

	if (rg->n_good == 0)
		return 0;
	offs = calloc(rg->n_good, sizeof(*offs));
	r = offs ? frames_write(rg, offs) : -ENOMEM;
	if (r == 0)
		r = sparse_mark(rg->sparse, offs, rg->n_good);
	if (r == 0) {
		frames_ready(rg);
		note_growth(rg->lt->tree->store, rg->got);
	}
	rg->n_good = 0;
	return r;
}

static void range_keep(struct range *rg)
{
	int r = frames_keep(rg);

	if (r < 0 && r != -ENOMEM && r != -ESTALE) /* it is whole by now */
		log_warn(r, "chunks that were fetched cannot be kept");
}

/* What a tier has given so far is worth nothing, but for the frames that were
 * good: they are kept before the next tier's bytes take their place. */
static int range_begin(void *arg)
{
	struct range *rg = arg;

	range_keep(rg);
	rg->tier = *rg->call->asked;
	rg->got = 0;
	rg->next = rg->first;
	rg->bad = false;
	return 0;
}

/* Once the pack's dictionary is here, frames are looked at as they come. */
static int range_data(void *arg, const void *data, size_t len)
{
	struct range *rg = arg;

	if (len > rg->len - rg->got)
		return -EBADMSG;
	memcpy(rg->data + rg->got, data, len);
	rg->got += (uint32_t)len;
	return rg->sparse ? frames_check(rg) : 0;
}

/* The sparse pack may just be beginning, on another thread. */
static int range_check(void *arg)
{
	struct range *rg = arg;
	int r = 0;

	if (rg->got != rg->len)
		return -EBADMSG;
	if (!rg->sparse)
		r = lazy_pack_open(rg->lt, rg->job->pack, rg->call,
				   &rg->sparse);
	if (r < 0) /* of the pack's head, not of these bytes */
		return r == -EBADMSG ? -EIO : r;
	if (!rg->sparse) /* whole by now */
		return 0;
	r = frames_check(rg);
	range_keep(rg);
	if (r < 0)
		return r;
	return rg->bad ? -EBADMSG : 0;
}

/* --- the request --- */

static bool pos_here(const struct range *rg, uint32_t pos)
{
	struct placement_loc loc;

	return lazy_loc(rg->lt, pos, &loc) == 0 &&
	       sparse_has(rg->sparse, loc.off);
}

/* What is at both ends and here already is not asked for. */
static void range_trim(struct range *rg)
{
	if (!rg->sparse)
		return;
	while (rg->first < rg->end && pos_here(rg, rg->first))
		rg->first++;
	while (rg->first < rg->end && pos_here(rg, rg->end - 1))
		rg->end--;
}

static int range_span(struct range *rg)
{
	struct placement_loc loc;
	uint32_t pos, reach = 0;
	int r;

	for (pos = rg->first; pos < rg->end; pos++) {
		r = lazy_loc(rg->lt, pos, &loc);
		if (r < 0)
			return r;
		if (pos == rg->first)
			rg->off = loc.off;
		if (loc.off + loc.len > reach)
			reach = loc.off + loc.len;
	}
	rg->len = reach - rg->off;
	rg->data = malloc(rg->len);
	rg->good = calloc(rg->end - rg->first, sizeof(*rg->good));
	return rg->data && rg->good ? 0 : -ENOMEM;
}

/* The pack's head is fetched meanwhile, by another thread. */
static void ask_head(struct lazy_job *job)
{
	LOCK_SCOPE(&job->tree->lazy->lock);

	if (job->tree->packs[job->pack].state == LAZY_PACK_NONE)
		lazy_submit(job->tree, LAZY_HEAD, job->prio, job->pack, 0, 0);
}

static int range_get(struct range *rg)
{
	const struct digest *pack =
		placement_pack(rg->lt->tree->placement, rg->job->pack);
	struct chain_want want = { .begin = range_begin,
				   .data = range_data,
				   .check = range_check,
				   .arg = rg };
	int r = range_span(rg);

	if (r < 0)
		return r;
	r = lazy_stream(rg->lt, rg->call, pack, rg->off, rg->len, &want);
	range_keep(rg); /* what came before the last tier failed */
	return r;
}

static int range_run(struct lazy_job *job, struct lazy_room *room,
		     const struct tier_call *call)
{
	_cleanup_(range_release) struct range rg = { .job = job,
						     .lt = job->tree,
						     .room = room,
						     .call = call,
						     .first = job->first,
						     .end = job->end };
	int r = lazy_pack_open(job->tree, job->pack, NULL, &rg.sparse);

	if (r == 0 && !rg.sparse) /* whole */
		return 0;
	if (r < 0)
		ask_head(job);
	range_trim(&rg);
	return rg.first == rg.end ? 0 : range_get(&rg);
}

static int head_run(struct lazy_job *job, const struct tier_call *call)
{
	struct sparse *sp = NULL;
	int r = lazy_pack_open(job->tree, job->pack, call, &sp);

	sparse_unref(sp);
	return r;
}

static int kind_run(struct lazy_job *job, struct lazy_room *room,
		    const struct tier_call *call)
{
	switch (job->kind) {
	case LAZY_RANGE:
		return range_run(job, room, call);
	case LAZY_HEAD:
		return head_run(job, call);
	case LAZY_FINISH:
		return lazy_pack_finish(job->tree, job->pack, room, call);
	case LAZY_RECORD:
		return lazy_record_run(job->tree, call);
	}
	return -EINVAL;
}

/* Requests that nobody waits for are put off for a while after one of them
 * failed. */
static void note_failure(struct lazy_job *job, int r)
{
	struct lazy_tree *lt = job->tree;
	LOCK_SCOPE(&lt->lazy->lock);

	if (r == -ECANCELED)
		return;
	if (job->kind == LAZY_RANGE)
		lt->stats.failures++;
	lt->rest_until_ns = clock_mono_ns() + REST_NS;
	lt->fill_failed |= job->prio == LAZY_FILL && job->kind == LAZY_RANGE;
}

int lazy_job_run(struct lazy_job *job, struct lazy_room *room)
{
	char why[TIER_WHY_MAX] = "";
	const char *asked = NULL;
	struct tier_call call = {
		.deadline_ns = clock_mono_ns() +
			       atomic_load(&job->tree->deadline_ms) * NS_PER_MS,
		.cancelled = &job->tree->cancelled,
		.background = job->prio > LAZY_AHEAD,
		.why = why,
		.asked = &asked,
	};
	int r = kind_run(job, room, &call);

	if (r < 0 && job->kind != LAZY_RECORD)
		note_failure(job, r);
	return r;
}

void lazy_submit_finish(struct lazy_tree *lt, uint32_t n)
{
	struct lazy_pack *lp = &lt->packs[n];

	if (lp->finishing)
		return;
	lp->finishing = true;
	lazy_submit(lt, LAZY_FINISH, LAZY_FILL, n, 0, 0);
}
