/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which packs are compressed anew, with what, and whether it is worth it. Packs
 * that have one dictionary are of one import and go together, in the order in
 * which they were made; one without a dictionary goes by itself. How chunks move
 * is gc_reshape.c's. The thread of the caller.
 */
#include "repack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "chunker.h"
#include "gc_internal.h"
#include "pack_copy.h"

/* Few large packs, since each has the dictionary. A half-dead one is cut into
 * smaller ones when it is written anew. */
#define TARGET_BYTES (UINT64_C(128) << 20)

/* A dictionary takes one part in so many of what is to profit by it. */
#define DICT_PART 64

/* What a dictionary is trained of. */
#define SAMPLES_BYTES (UINT64_C(20) << 20)
#define SAMPLE_BYTES_MAX (16u << 10)

/* What tells whether it is worth it: about so much is compressed first, and has
 * to become smaller by one part in so many. */
#define PROBE_BYTES (UINT64_C(4) << 20)
#define WORTH_PART 20

struct candidate {
	struct gc_pack *pack;
	struct digest group; /* of its dictionary; its name without one */
	bool in_use;
};

struct repack {
	struct gc gc;
	int level;
	struct repack_result result;
	struct candidate *candidates;
	size_t n, cap;
	struct pack_copy *copy;
	struct codec_ctx *codec; /* its, since it takes tens of MiB */
	uint8_t *chunk;		 /* CHUNK_MAX: decoded */
	struct buf frame;
};

/* Packs that go together. */
struct group {
	struct repack *rp;
	const struct candidate *candidates;
	size_t n;

	uint64_t bytes, small_bytes; /* of chunks, and of small ones */
	uint64_t sample_bytes;	     /* of what samples take of these */
	uint64_t frame_bytes;	     /* as they are now */
	uint32_t chunks, small;	     /* seen so far */

	uint8_t *samples; /* of the dictionary, until there is one */
	size_t samples_len, samples_room;
	size_t *sizes;
	unsigned n_samples, samples_max;
	uint8_t *dict_bytes;
	size_t dict_len;
	struct codec_dict *dict; /* for the probe; NULL: none pays */

	uint64_t old_bytes, new_bytes; /* of the probe's frames */
};

static void repack_release(struct repack *rp)
{
	pack_copy_free(rp->copy);
	buf_release(&rp->frame);
	free(rp->chunk);
	free(rp->candidates);
	gc_plan_release(&rp->gc);
	gc_files_release(&rp->gc);
}

static void group_release(struct group *gr)
{
	codec_dict_free(gr->dict);
	free(gr->dict_bytes);
	free(gr->samples);
	free(gr->sizes);
}

/* What is said, and left, by whoever needs it. */
static bool is_damage(int err)
{
	return err == -EBADMSG || err == -ENOENT || err == -EIO;
}

/* ---- choosing */

static int group_of(struct repack *rp, const struct gc_pack *p,
		    struct digest *ret_group)
{
	_cleanup_buf_ struct buf dict = BUF_INIT;
	struct pack *pack;
	int r = pack_open(rp->gc.store->packs_fd, &p->node.digest, &pack);

	if (r < 0)
		return r;
	r = pack_read_dict(pack, &dict);
	pack_unref(pack);
	if (r == 0 && dict.len > 0)
		return digest_of(dict.data, dict.len, ret_group);
	*ret_group = p->node.digest;
	return r;
}

static int add_candidate(struct repack *rp, struct gc_pack *p)
{
	struct candidate c = { .pack = p };
	int r = group_of(rp, p, &c.group);

	if (r < 0)
		return is_damage(r) ? 0 : r;
	if (rp->n == rp->cap) {
		size_t cap = rp->cap ? 2 * rp->cap : 64;
		struct candidate *grown =
			reallocarray(rp->candidates, cap, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		rp->candidates = grown;
		rp->cap = cap;
	}
	c.in_use = store_pack_is_needed(rp->gc.store, &p->node.digest);
	rp->candidates[rp->n++] = c;
	return 0;
}

static int look_at_pack(void *arg, struct dmap_node *n)
{
	struct gc_pack *p = (struct gc_pack *)n;
	struct repack *rp = arg;
	struct index *ix = rp->gc.store->index;
	int r;

	if (!p->on_disk)
		return 0;
	r = index_pack_has(ix, INDEX_PACK_DENSE, &n->digest);
	if (r < 0)
		return r;
	p->dense = r > 0;
	if (p->dense || p->count == 0 || p->live_bytes < REPACK_MIN_BYTES)
		return 0;
	r = index_pack_has(ix, INDEX_PACK_SENT, &n->digest);
	rp->result.sent += r > 0;
	return r != 0 ? (r < 0 ? r : 0) : add_candidate(rp, p);
}

/* Packs of one import were made one after another. */
static int by_group(const void *pa, const void *pb)
{
	const struct candidate *a = pa, *b = pb;
	int cmp = memcmp(&a->group, &b->group, sizeof(a->group));

	if (cmp)
		return cmp;
	return a->pack->mtime_ns < b->pack->mtime_ns ?
		       -1 :
		       a->pack->mtime_ns > b->pack->mtime_ns;
}

static int choose(struct repack *rp)
{
	int r = dmap_each(&rp->gc.packs, look_at_pack, rp);

	if (r == 0 && rp->n > 0)
		qsort(rp->candidates, rp->n, sizeof(*rp->candidates), by_group);
	return r;
}

/* ---- looking at the chunks of a group */

typedef int (*chunk_fn)(struct group *gr, struct pack *pack,
			const struct pack_chunk *chunk);

static int each_of_pack(struct group *gr, const struct gc_pack *p,
			struct pack *pack, chunk_fn each)
{
	struct gc *g = &gr->rp->gc;
	struct pack_chunk chunk;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < pack_chunks(pack); i++) {
		r = pack_chunk_at(pack, i, &chunk);
		if (r == 0 && gc_frame_is_live(p, chunk.off))
			r = each(gr, pack, &chunk);
		if (r == 0)
			r = progress_tick(g->progress, "train", 0, gr->n, 0, 0);
	}
	return r;
}

/* In order; what is damaged is left out. */
static int each_chunk(struct group *gr, chunk_fn each)
{
	int r = 0;

	gr->chunks = gr->small = 0;
	for (size_t i = 0; r == 0 && i < gr->n; i++) {
		const struct gc_pack *p = gr->candidates[i].pack;
		struct pack *pack;

		r = pack_open(gr->rp->gc.store->packs_fd, &p->node.digest,
			      &pack);
		if (r == 0) {
			r = each_of_pack(gr, p, pack, each);
			pack_unref(pack);
		}
		if (is_damage(r))
			r = 0;
	}
	return r;
}

static int read_chunk(struct group *gr, struct pack *pack,
		      const struct pack_chunk *c)
{
	return pack_read(pack, gr->rp->codec, c->off, c->len, c->has_dict, 0,
			 gr->rp->chunk, c->size);
}

static uint32_t sample_bytes(const struct pack_chunk *chunk)
{
	return chunk->size < SAMPLE_BYTES_MAX ? chunk->size : SAMPLE_BYTES_MAX;
}

static int count_chunk(struct group *gr, struct pack *pack,
		       const struct pack_chunk *chunk)
{
	(void)pack;
	gr->bytes += chunk->size;
	gr->frame_bytes += chunk->len;
	gr->chunks++;
	if (chunk->size > CODEC_DICT_CHUNK_MAX)
		return 0;
	gr->small_bytes += chunk->size;
	gr->sample_bytes += sample_bytes(chunk);
	gr->small++;
	return 0;
}

/* Every how manyth gives about so much of all. */
static uint32_t stride(uint64_t all, uint64_t want)
{
	return (uint32_t)(all / want) + 1;
}

/* ---- the dictionary */

static int take_sample(struct group *gr, struct pack *pack,
		       const struct pack_chunk *chunk)
{
	uint32_t len = sample_bytes(chunk);
	int r;

	if (chunk->size > CODEC_DICT_CHUNK_MAX ||
	    gr->small++ % stride(gr->sample_bytes, SAMPLES_BYTES) != 0 ||
	    gr->samples_len + len > gr->samples_room ||
	    gr->n_samples == gr->samples_max)
		return 0;
	r = read_chunk(gr, pack, chunk);
	if (r < 0)
		return is_damage(r) ? 0 : r;
	memcpy(gr->samples + gr->samples_len, gr->rp->chunk, len);
	gr->samples_len += len;
	gr->sizes[gr->n_samples++] = len;
	return 0;
}

static int train(struct group *gr)
{
	uint64_t room = gr->sample_bytes < SAMPLES_BYTES ? gr->sample_bytes :
							   SAMPLES_BYTES;
	uint64_t max = gr->small_bytes / DICT_PART;
	int r;

	/* A pack that could not be read before may be now. */
	gr->samples_room = room;
	gr->samples_max = gr->small;
	gr->samples = malloc(room + 1);
	gr->sizes = calloc(gr->small + 1, sizeof(*gr->sizes));
	if (!gr->samples || !gr->sizes)
		return -ENOMEM;
	r = each_chunk(gr, take_sample);
	if (r == 0)
		r = codec_dict_train_well(
			gr->samples, gr->sizes, gr->n_samples, gr->rp->level,
			max < CODEC_DICT_MAX ? (size_t)max : CODEC_DICT_MAX,
			&gr->dict_bytes, &gr->dict_len);
	free(steal_ptr(&gr->samples));
	free(steal_ptr(&gr->sizes));
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return codec_dict_new(gr->dict_bytes, gr->dict_len, gr->rp->level,
			      &gr->dict);
}

/* ---- whether it is worth it */

/* Others than those that the dictionary was trained of, where it can be. */
static int probe_chunk(struct group *gr, struct pack *pack,
		       const struct pack_chunk *chunk)
{
	uint32_t every = stride(gr->bytes, PROBE_BYTES);
	struct repack *rp = gr->rp;
	int r;

	if (gr->chunks++ % every != every / 2)
		return 0;
	r = read_chunk(gr, pack, chunk);
	buf_reset(&rp->frame);
	if (r == 0)
		r = codec_compress(
			rp->codec,
			chunk->size <= CODEC_DICT_CHUNK_MAX ? gr->dict : NULL,
			rp->level, rp->chunk, chunk->size, &rp->frame);
	if (r < 0)
		return is_damage(r) ? 0 : r;
	gr->old_bytes += chunk->len;
	gr->new_bytes += rp->frame.len;
	return 0;
}

/* With the new dictionary, which the probe did not count. */
static int probe(struct group *gr, bool *ret_worth)
{
	int r = each_chunk(gr, probe_chunk);
	uint64_t then = gr->dict_len;

	if (gr->old_bytes > 0)
		then += (uint64_t)((double)gr->frame_bytes *
				   (double)gr->new_bytes /
				   (double)gr->old_bytes);
	*ret_worth = gr->old_bytes > 0 &&
		     then < gr->frame_bytes - gr->frame_bytes / WORTH_PART;
	return r;
}

/* ---- a group */

/* Those that stay are not looked at again: not worth it, or not to be read. */
static int note_dense(struct group *gr)
{
	struct index_batch *b;
	int r = fault_check("repack.note");

	if (r == 0)
		r = index_batch_begin(gr->rp->gc.store->index, &b);
	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < gr->n; i++) {
		const struct gc_pack *p = gr->candidates[i].pack;

		if (p->rewrite)
			continue;
		r = index_note_pack(b, INDEX_PACK_DENSE, &p->node.digest);
		gr->rp->result.no_gain += r == 0;
	}
	if (r < 0) {
		index_batch_abort(b);
		return r;
	}
	return index_batch_commit(b, false);
}

static int move(struct group *gr)
{
	_cleanup_free_ struct gc_pack **packs = calloc(gr->n, sizeof(*packs));
	struct repack *rp = gr->rp;
	uint64_t made = pack_copy_bytes(rp->copy);
	int r = packs ? pack_copy_anew(rp->copy, rp->level, gr->dict_bytes,
				       gr->dict_len, TARGET_BYTES) :
			-ENOMEM;

	for (size_t i = 0; packs && i < gr->n; i++) {
		packs[i] = gr->candidates[i].pack;
		packs[i]->rewrite = true;
	}
	if (r == 0)
		r = gc_reshape(&rp->gc, rp->copy, "repack", packs, gr->n);
	for (size_t i = 0; r == 0 && i < gr->n; i++) {
		rp->result.packs += packs[i]->rewrite;
		rp->result.before_bytes += packs[i]->rewrite ? packs[i]->bytes :
							       0;
	}
	rp->result.after_bytes += pack_copy_bytes(rp->copy) - made;
	return r < 0 ? r : note_dense(gr);
}

static int repack_group(struct repack *rp, const struct candidate *candidates,
			size_t n)
{
	_cleanup_(group_release) struct group gr = { .rp = rp,
						     .candidates = candidates,
						     .n = n };
	bool worth = false;
	int r;

	for (size_t i = 0; i < n; i++)
		if (candidates[i].in_use) {
			rp->result.in_use += n;
			return 0;
		}
	r = each_chunk(&gr, count_chunk);
	if (r == 0)
		r = train(&gr);
	if (r == 0)
		r = probe(&gr, &worth);
	codec_dict_free(steal_ptr(&gr.dict));
	if (r < 0)
		return r;
	return worth ? move(&gr) : note_dense(&gr);
}

/* ---- all */

static int repack_all(struct repack *rp)
{
	size_t i, end;
	int r = 0;

	for (i = 0; r == 0 && i < rp->n; i = end) {
		for (end = i + 1; end < rp->n; end++)
			if (!digest_equal(&rp->candidates[i].group,
					  &rp->candidates[end].group))
				break;
		r = repack_group(rp, rp->candidates + i, end - i);
	}
	return r;
}

static int run(struct repack *rp)
{
	int r = gc_look(&rp->gc);

	rp->result.unreadable = rp->gc.result.unreadable;
	if (r < 0 || rp->gc.blocked)
		return r;
	rp->chunk = malloc(CHUNK_MAX);
	r = rp->chunk ? pack_copy_new(rp->gc.store, &rp->copy) : -ENOMEM;
	if (r < 0)
		return r;
	rp->codec = pack_copy_codec(rp->copy);
	r = choose(rp);
	return r < 0 ? r : repack_all(rp);
}

int repack_run(struct store *s, const struct repack_options *options,
	       struct progress *progress, struct repack_result *ret_result)
{
	const struct gc_options o = { .holds = options->holds,
				      .arg = options->arg };
	struct repack rp = {
		.gc = { .store = s,
			.options = &o,
			.progress = progress,
			.now_ns = clock_wall_ns() },
		.level = options->level ? options->level : CODEC_LEVEL_HIGH,
		.frame = BUF_INIT,
	};
	int r = store_collect_begin(s);

	if (r < 0)
		return r;
	r = run(&rp);
	*ret_result = rp.result;
	repack_release(&rp);
	store_collect_end(s);
	return r;
}
