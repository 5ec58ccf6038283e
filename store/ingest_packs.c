/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packs of an ingest. One is open at a time; a full one goes to the
 * sealer, a pool of one thread that syncs and names it while the next one is
 * being filled. The sealer's results come back in the driving thread, so all
 * state here is that thread's.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "ingest_internal.h"

#define SEALER_WINDOW 2 /* full packs that wait for the disk */

struct seal_job {
	struct pack_writer *writer; /* owned */
	uint32_t pack;
	struct digest name;
	uint64_t bytes;
	bool held;
};

/* Held before it is there, so that it is never taken for garbage. */
static int seal_work(void *ctx, void *thread_state, void *arg)
{
	struct seal_job *job = arg;
	struct ingest *in = ctx;
	int r;

	(void)thread_state;
	r = pack_writer_seal(job->writer, &job->name);
	if (r == 0)
		r = store_hold(in->store, &job->name);
	if (r < 0)
		return r;
	job->held = true;
	return pack_writer_commit(job->writer, &job->name, &job->bytes);
}

static int seal_done(void *ctx, void *arg, int err)
{
	_cleanup_free_ struct seal_job *job = arg;
	struct ingest *in = ctx;
	struct ingest_pack *p = &in->packs[job->pack];

	pack_writer_free(job->writer);
	if (err < 0 && job->held)
		store_pack_settle(in->store, &job->name, &p->first, false);
	if (err < 0)
		return err;
	p->name = job->name;
	p->bytes = job->bytes;
	p->sealed = true;
	return 0;
}

static const struct pool_ops sealer_ops = {
	.work = seal_work,
	.done = seal_done,
};

int ingest_packs_start(struct ingest *in, unsigned nthreads)
{
	in->fresh_tail = &in->fresh_first;
	return pool_new(&sealer_ops, in, nthreads ? 1 : 0, SEALER_WINDOW,
			&in->sealer);
}

static int packs_seal(struct ingest *in)
{
	struct seal_job *job = calloc(1, sizeof(*job));

	if (!job)
		return -ENOMEM;
	job->writer = steal_ptr(&in->writer);
	job->pack = in->pack_count - 1;
	return pool_submit(in->sealer, job);
}

static int packs_grow(struct ingest *in)
{
	uint32_t cap = in->pack_cap ? in->pack_cap * 2 : 16;
	struct ingest_pack *packs;

	if (in->pack_count < in->pack_cap)
		return 0;
	packs = realloc(in->packs, cap * sizeof(*packs));
	if (!packs)
		return -ENOMEM;
	in->packs = packs;
	in->pack_cap = cap;
	return 0;
}

/* All packs carry the dictionary once there is one: that a pack will need
 * none is not known when it begins. */
static int packs_begin(struct ingest *in, const struct digest *first)
{
	int r = packs_grow(in);

	if (r < 0)
		return r;
	r = pack_writer_new(in->store->packs_fd, in->dict_bytes, in->dict_len,
			    &in->writer);
	if (r < 0)
		return r;
	in->packs[in->pack_count++] = (struct ingest_pack){ .first = *first };
	return 0;
}

int ingest_pack_add(struct ingest *in, struct ingest_chunk *c,
		    const void *frame, size_t frame_len)
{
	int r;

	if (!in->writer) {
		r = packs_begin(in, &c->node.digest);
		if (r < 0)
			return r;
	}
	c->loc.len = frame_len;
	c->loc.has_dict = ingest_wants_dict(in, c->size);
	c->pack = in->pack_count - 1;
	r = pack_writer_add(in->writer, &c->node.digest, c->size,
			    c->loc.has_dict, frame, frame_len, &c->loc.off);
	if (r < 0)
		return r;
	in->packs[c->pack].chunks++;
	in->result.stored_bytes += frame_len;
	*in->fresh_tail = c;
	in->fresh_tail = &c->next_fresh;
	if (pack_writer_bytes(in->writer) < PACK_TARGET_BYTES)
		return 0;
	return packs_seal(in);
}

int ingest_packs_finish(struct ingest *in)
{
	struct ingest_chunk *c;
	int r;

	if (in->writer) {
		r = packs_seal(in);
		if (r < 0)
			return r;
	}
	r = pool_finish(in->sealer);
	if (r < 0)
		return r;
	for (c = in->fresh_first; c; c = c->next_fresh)
		c->loc.pack = in->packs[c->pack].name;
	return 0;
}

int ingest_use_pack(struct ingest *in, const struct digest *pack)
{
	LOCK_SCOPE(&in->lock);

	return store_holds_use(&in->holds, pack);
}

void ingest_packs_settle(struct ingest *in, bool keep)
{
	uint32_t i;

	for (i = 0; i < in->pack_count; i++) {
		struct ingest_pack *p = &in->packs[i];

		if (p->sealed)
			store_pack_settle(in->store, &p->name, &p->first, keep);
		p->sealed = false;
	}
}

void ingest_packs_free(struct ingest *in)
{
	pool_free(in->sealer);
	pack_writer_free(in->writer);
	ingest_packs_settle(in, in->committed);
	free(in->packs);
}
