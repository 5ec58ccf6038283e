/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pool's thread does with a batch: files are read into the thread's
 * own room, all is hashed, looked up (in what came back before, then in the
 * index, both for the whole batch at once) and compressed where it is new. A
 * chunk for which there may yet be a dictionary stays as it is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "hole.h"
#include "ingest_job.h"

void ingest_thread_free(void *state)
{
	struct ingest_thread *t = state;

	if (!t)
		return;
	codec_ctx_free(t->codec);
	free(t->room);
	free(t);
}

void *ingest_thread_init(void *ctx)
{
	struct ingest_thread *t = calloc(1, sizeof(*t));

	(void)ctx;
	if (t && codec_ctx_new(&t->codec) < 0) {
		ingest_thread_free(t);
		return NULL;
	}
	return t;
}

static int thread_room(struct ingest_thread *t, size_t bytes)
{
	uint8_t *room;

	if (bytes <= t->room_bytes)
		return 0;
	room = malloc(bytes);
	if (!room)
		return -ENOMEM;
	free(t->room);
	t->room = room;
	t->room_bytes = bytes;
	return 0;
}

/* The bytes read, up to `cap`, or an errno. */
static ssize_t read_all(const struct ingest_loader *loader, void *handle,
			uint8_t *buf, size_t cap)
{
	size_t got = 0;

	while (got < cap) {
		ssize_t n = loader->read(handle, buf + got, cap - got, got);

		if (n < 0)
			return n;
		if (n == 0)
			break;
		got += n;
	}
	return got;
}

static enum item_state state_of(const struct ingest_item *it)
{
	size_t data;

	if (it->len == 0)
		return ITEM_EMPTY;
	if (it->len > it->size)
		return ITEM_CUT;
	data = hole_find(it->data, it->len, 0);
	if (data == 0 && hole_is_zero(it->data, it->len))
		return ITEM_HOLE;
	return data < it->len ? ITEM_CUT : ITEM_LOADED;
}

/* `room` has a byte more than is expected, which tells a file that grew. */
static int item_load(struct ingest_item *it, uint8_t *room)
{
	void *handle;
	ssize_t n;
	int r;

	r = it->loader->open(it->loader_ctx, it->cookie, &handle);
	if (r < 0)
		return r;
	n = read_all(it->loader, handle, room, it->size + 1);
	r = it->loader->close(it->loader_ctx, it->cookie, handle,
			      n < 0 ? 0 : n);
	if (n < 0)
		return n;
	if (r < 0)
		return r;
	it->data = room;
	it->len = n;
	it->state = state_of(it);
	return 0;
}

static int job_load(struct ingest_job *job, struct ingest_thread *t)
{
	uint8_t *room;
	unsigned i;
	int r;

	r = thread_room(t, job->file_bytes);
	if (r < 0)
		return r;
	room = t->room;
	for (i = 0; i < job->n; i++) {
		struct ingest_item *it = &job->items[i];

		if (!it->loader)
			continue;
		r = item_load(it, room);
		if (r < 0)
			return r;
		room += it->size + 1;
	}
	return 0;
}

static int job_hash(struct ingest_job *job)
{
	unsigned i;
	int r;

	for (i = 0; i < job->n; i++) {
		struct ingest_item *it = &job->items[i];

		if (it->state != ITEM_LOADED)
			continue;
		if (hole_is_zero(it->data, it->len)) {
			it->state = ITEM_HOLE;
			continue;
		}
		r = digest_of(it->data, it->len, &it->digest);
		if (r < 0)
			return r;
	}
	return 0;
}

static void job_find_seen(struct ingest *in, struct ingest_job *job)
{
	unsigned i;
	LOCK_SCOPE(&in->lock);

	for (i = 0; i < job->n; i++) {
		struct ingest_item *it = &job->items[i];

		if (it->state == ITEM_LOADED &&
		    dmap_find(&in->chunks, &it->digest))
			it->state = ITEM_SEEN;
	}
}

/* Whether the pack is there to be read. A chunk whose pack was lost is as
 * good as new. */
static bool pack_usable(struct ingest *in, const struct digest *name)
{
	struct pack *p;

	if (ingest_use_pack(in, name) < 0)
		return false;
	if (pack_cache_get(in->store->packs, name, &p) < 0)
		return false;
	pack_cache_put(in->store->packs, p);
	return true;
}

static int job_find_stored(struct ingest *in, struct ingest_job *job)
{
	struct digest digests[BATCH_ITEMS];
	struct pack_loc locs[BATCH_ITEMS];
	bool found[BATCH_ITEMS];
	struct ingest_item *items[BATCH_ITEMS];
	unsigned i, n = 0;
	int r;

	if (!in->store_has_chunks)
		return 0;
	for (i = 0; i < job->n; i++)
		if (job->items[i].state == ITEM_LOADED) {
			items[n] = &job->items[i];
			digests[n++] = job->items[i].digest;
		}
	if (n == 0)
		return 0;
	r = index_get_chunks(in->store->index, digests, n, locs, found);
	if (r < 0)
		return r;
	for (i = 0; i < n; i++)
		if (found[i] && pack_usable(in, &locs[i].pack)) {
			items[i]->loc = locs[i];
			items[i]->state = ITEM_STORED;
		}
	return 0;
}

/* What outlives the work may not stay in the thread's room. */
static int item_keep_raw(struct ingest_item *it)
{
	it->state = ITEM_RAW;
	if (it->owned)
		return 0;
	it->owned = malloc(it->len);
	if (!it->owned)
		return -ENOMEM;
	memcpy(it->owned, it->data, it->len);
	it->data = it->owned;
	return 0;
}

static int item_compress(struct ingest *in, struct ingest_job *job,
			 struct ingest_item *it, struct codec_ctx *codec)
{
	size_t before = job->frames.len;
	int r;

	if (it->len <= CODEC_DICT_CHUNK_MAX && !atomic_load(&in->dict_decided))
		return item_keep_raw(it);
	r = ingest_compress(in, codec, it->data, it->len, &job->frames);
	if (r < 0)
		return r;
	it->state = ITEM_FRAME;
	it->frame_off = before;
	it->frame_len = job->frames.len - before;
	return 0;
}

int ingest_work(void *ctx, void *thread_state, void *arg)
{
	struct ingest_thread *t = thread_state;
	struct ingest_job *job = arg;
	struct ingest *in = ctx;
	unsigned i;
	int r;

	r = job_load(job, t);
	if (r < 0)
		return r;
	r = job_hash(job);
	if (r < 0)
		return r;
	job_find_seen(in, job);
	r = job_find_stored(in, job);
	for (i = 0; r == 0 && i < job->n; i++)
		if (job->items[i].state == ITEM_LOADED)
			r = item_compress(in, job, &job->items[i], t->codec);
	return r;
}
