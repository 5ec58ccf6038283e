/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pipeline of an ingest. Items are collected into a batch, which is one
 * job of the pool: waking a thread for each small file would cost as much as
 * the file. The work is in ingest_work.c; here, in the driving thread, its
 * results become pieces and new chunks, in the order of submission.
 *
 * Two jobs in flight may compress the same chunk; the later one's frame is
 * dropped. So what is written depends on the order of submission only.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ingest_job.h"

#define BATCH_BYTES (512u << 10)
#define KNOWN_TICK 1024 /* pieces between two looks at who waits */
#define WINDOW_JOBS 24	/* of at most BATCH_BYTES + CHUNK_MAX */

static void job_free(struct ingest_job *job)
{
	unsigned i;

	if (!job)
		return;
	for (i = 0; i < job->n; i++)
		free(job->items[i].owned);
	buf_release(&job->frames);
	free(job);
}

static struct ingest_chunk *chunk_new(struct ingest *in)
{
	struct ingest_chunks *m = in->memory;

	if (!m || m->used == INGEST_CHUNKS_AT_ONCE) {
		m = malloc(sizeof(*m));
		if (!m)
			return NULL;
		m->next = in->memory;
		m->used = 0;
		in->memory = m;
	}
	return &m->chunks[m->used++];
}

static int chunk_add(struct ingest *in, const struct digest *digest,
		     const struct pack_loc *loc, uint64_t len, bool fresh,
		     struct ingest_chunk **ret_chunk)
{
	struct ingest_chunk *c = chunk_new(in);
	LOCK_SCOPE(&in->lock);

	if (!c)
		return -ENOMEM;
	*c = (struct ingest_chunk){ .node.digest = *digest,
				    .loc = *loc,
				    .size = len,
				    .fresh = fresh };
	if (dmap_add(&in->chunks, &c->node) < 0)
		return -ENOMEM;
	*ret_chunk = c;
	return 0;
}

static void count_new(struct ingest *in, const struct ingest_item *it)
{
	in->result.new_chunks++;
	in->result.new_bytes += it->len;
	if (in->has_new_node && in->last_new_node == it->node)
		return;
	in->has_new_node = true;
	in->last_new_node = it->node;
	in->result.new_files++;
}

static int write_raw(struct ingest *in, struct ingest_chunk *c,
		     const struct ingest_item *it)
{
	_cleanup_buf_ struct buf frame = BUF_INIT;
	int r;

	if (!atomic_load(&in->dict_decided))
		return ingest_hold(in, c, it->data, it->len, false);
	r = ingest_compress(in, in->self->codec, it->data, it->len, &frame);
	if (r < 0)
		return r;
	return ingest_pack_add(in, c, frame.data, frame.len);
}

static int item_done_new(struct ingest *in, const struct ingest_job *job,
			 const struct ingest_item *it)
{
	/* Nothing was compressed where all of the job is raw. */
	const uint8_t *frame =
		job->frames.data ? job->frames.data + it->frame_off : NULL;
	struct ingest_chunk *c;
	int r;

	count_new(in, it);
	r = chunk_add(in, &it->digest, &it->loc, it->len, true, &c);
	if (r < 0)
		return r;
	if (it->state == ITEM_RAW)
		r = write_raw(in, c, it);
	else if (!atomic_load(&in->dict_decided))
		r = ingest_hold(in, c, frame, it->frame_len, true);
	else
		r = ingest_pack_add(in, c, frame, it->frame_len);
	if (r < 0)
		return r;
	return ingest_decide(in, false);
}

static int item_done_chunk(struct ingest *in, const struct ingest_job *job,
			   const struct ingest_item *it)
{
	struct ingest_chunk *c =
		(struct ingest_chunk *)dmap_find(&in->chunks, &it->digest);
	int r = 0;

	if (!c && it->state == ITEM_STORED)
		r = chunk_add(in, &it->digest, &it->loc, it->len, false, &c);
	else if (!c)
		r = item_done_new(in, job, it);
	if (r < 0)
		return r;
	return in->piece(in->piece_ctx, it->node, &it->digest, it->len);
}

static int done_inline(struct ingest *in, uint32_t node, const void *data,
		       uint64_t len);

static int item_done(struct ingest *in, const struct ingest_job *job,
		     const struct ingest_item *it)
{
	if (it->loader)
		in->result.files++;
	if (it->state == ITEM_CUT)
		return ingest_cut_file(in, it->node, it->loader, it->loader_ctx,
				       it->cookie, done_inline);
	if (it->data)
		in->result.read_bytes += it->len;
	if (it->state == ITEM_EMPTY)
		return 0;
	if (it->state == ITEM_HOLE)
		return in->piece(in->piece_ctx, it->node, NULL, it->len);
	return item_done_chunk(in, job, it);
}

static int tick(struct ingest *in)
{
	return progress_tick(in->progress, "content", in->result.files,
			     in->want_files,
			     in->result.read_bytes + in->skipped_bytes,
			     in->want_bytes);
}

static int job_done(void *ctx, void *arg, int err)
{
	struct ingest_job *job = arg;
	struct ingest *in = ctx;
	unsigned i;
	int r = err;

	for (i = 0; r == 0 && i < job->n; i++)
		r = item_done(in, job, &job->items[i]);
	job_free(job);
	return r < 0 ? r : tick(in);
}

/* For the rare small file that has to be cut: `done` cannot submit. */
static int done_inline(struct ingest *in, uint32_t node, const void *data,
		       uint64_t len)
{
	struct ingest_job *job;
	int r;

	if (!data)
		return in->piece(in->piece_ctx, node, NULL, len);
	job = calloc(1, sizeof(*job));
	if (!job)
		return -ENOMEM;
	job->n = 1;
	job->items[0].node = node;
	job->items[0].data = data;
	job->items[0].len = len;
	r = ingest_work(in, in->self, job);
	if (r == 0)
		r = item_done(in, job, &job->items[0]);
	job_free(job);
	return r;
}

static int batch_submit(struct ingest *in)
{
	int r;

	if (!in->batch || in->err)
		return in->err;
	r = pool_submit(in->pool, steal_ptr(&in->batch));
	if (r < 0 && !in->err)
		in->err = r;
	return in->err;
}

/* A fresh item of the batch; `bytes` is what it will hold in memory. The
 * batch is full when the next one does not fit. */
static int batch_item(struct ingest *in, uint32_t node, size_t bytes,
		      struct ingest_item **ret_item)
{
	struct ingest_job *job;
	int r;

	if (in->batch && (in->batch->n == BATCH_ITEMS ||
			  in->batch->bytes + bytes > BATCH_BYTES)) {
		r = batch_submit(in);
		if (r < 0)
			return r;
	}
	if (in->err)
		return in->err;
	if (!in->batch)
		in->batch = calloc(1, sizeof(*in->batch));
	job = in->batch;
	if (!job)
		return -ENOMEM;
	job->bytes += bytes;
	*ret_item = &job->items[job->n++];
	(*ret_item)->node = node;
	return 0;
}

int ingest_add_data(struct ingest *in, uint32_t node, const void *data,
		    uint64_t len)
{
	_cleanup_free_ uint8_t *copy = NULL;
	struct ingest_item *it;
	int r;

	if (!data)
		return ingest_add_known(in, node, NULL, len, NULL);
	copy = malloc(len);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, len);
	r = batch_item(in, node, len, &it);
	if (r < 0)
		return r;
	it->data = it->owned = steal_ptr(&copy);
	it->len = len;
	return 0;
}

int ingest_add_file(struct ingest *in, uint32_t node,
		    const struct ingest_loader *loader, void *ctx,
		    uint64_t cookie, uint64_t size)
{
	struct ingest_item *it;
	int r = batch_item(in, node, size, &it);

	if (r < 0)
		return r;
	it->loader = loader;
	it->loader_ctx = ctx;
	it->cookie = cookie;
	it->size = size;
	in->batch->file_bytes += size + 1;
	return 0;
}

/* Goes with the others so that a file's pieces stay in order. */
int ingest_add_known(struct ingest *in, uint32_t node,
		     const struct digest *chunk, uint64_t len,
		     const struct pack_loc *loc)
{
	int r = chunk ? ingest_use_pack(in, &loc->pack) : 0;
	struct ingest_item *it;

	if (r < 0)
		return r;
	r = batch_item(in, node, 0, &it);
	if (r < 0)
		return r;
	it->len = len;
	it->state = chunk ? ITEM_STORED : ITEM_HOLE;
	if (chunk) {
		it->digest = *chunk;
		it->loc = *loc;
	}
	return 0;
}

/* Chunks of a tree follow its packs, so the last one is known most times. */
static int known_use_pack(struct ingest *in, const struct digest *pack)
{
	int r;

	if (digest_equal(&in->known_pack, pack))
		return 0;
	r = ingest_use_pack(in, pack);
	if (r == 0)
		in->known_pack = *pack;
	return r;
}

int ingest_put_known(struct ingest *in, uint32_t node,
		     const struct digest *chunk, uint64_t len,
		     const struct pack_loc *loc)
{
	struct ingest_chunk *c;
	int r = in->err;

	if (r == 0 && ++in->known_pieces % KNOWN_TICK == 0)
		r = tick(in);
	if (r == 0 && chunk)
		r = known_use_pack(in, &loc->pack);
	if (r == 0 && chunk && !dmap_find(&in->chunks, chunk))
		r = chunk_add(in, chunk, loc, len, false, &c);
	return r < 0 ? r : in->piece(in->piece_ctx, node, chunk, len);
}

int ingest_pipeline_finish(struct ingest *in)
{
	int r = batch_submit(in);

	if (r < 0)
		return r;
	r = pool_finish(in->pool);
	if (r < 0)
		return in->err = r;
	r = ingest_decide(in, true);
	if (r < 0)
		return r;
	return ingest_packs_finish(in);
}

static const struct pool_ops pipeline_ops = {
	.thread_init = ingest_thread_init,
	.thread_free = ingest_thread_free,
	.work = ingest_work,
	.done = job_done,
};

int ingest_pipeline_start(struct ingest *in)
{
	unsigned nthreads = ingest_threads < 0 ? pool_cpus() :
						 (unsigned)ingest_threads;
	int r;

	in->self = ingest_thread_init(in);
	if (!in->self)
		return -ENOMEM;
	r = ingest_packs_start(in, nthreads);
	if (r < 0)
		return r;
	return pool_new(&pipeline_ops, in, nthreads, WINDOW_JOBS, &in->pool);
}

static void chunks_free(struct ingest *in)
{
	struct ingest_chunks *m, *next;

	map_release(&in->chunks.heads);
	for (m = in->memory; m; m = next) {
		next = m->next;
		free(m);
	}
}

void ingest_pipeline_free(struct ingest *in)
{
	pool_free(in->pool);
	job_free(in->batch);
	ingest_packs_free(in);
	chunks_free(in);
	ingest_thread_free(in->self);
}
