/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that nobody asked for. A record of earlier runs is fetched together
 * with the first chunk that a reader waits for, and from then on its chunks are
 * requested in its order, several at a time where they lie next to each other.
 * A fill goes through the tree from its first chunk to its last; after a pass
 * in which something failed it begins again.
 *
 * What is read here becomes the next record: first what this run read, in its
 * order, then what only earlier ones did. A run that read more than half of the
 * tree was no run that another one would be like, and is not recorded.
 */
#include "lazy_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "record.h"

#define LEARNT_BYTES (512u << 10) /* of one request */

/* --- requests --- */

static bool is_absent(const struct lazy_tree *lt, uint32_t pos,
		      struct placement_loc *ret_loc)
{
	uint32_t chunk = lt->order[pos];

	return atomic_load(&lt->state[chunk]) == LAZY_ABSENT &&
	       lazy_loc(lt, pos, ret_loc) == 0 &&
	       !lazy_pack_has(lt, ret_loc->pack, ret_loc->off);
}

static bool pos_learnt(const struct lazy_tree *lt, uint32_t pos)
{
	return lt->in_learnt[lt->order[pos]];
}

bool lazy_next_learnt(struct lazy_tree *lt)
{
	struct placement_loc loc;

	for (; lt->at_learnt < lt->n_learnt; lt->at_learnt++) {
		uint32_t pos = lt->rank[lt->learnt[lt->at_learnt]];

		if (!is_absent(lt, pos, &loc))
			continue;
		return lazy_submit(lt, LAZY_RANGE, LAZY_LEARNT, loc.pack, pos,
				   lazy_run(lt, pos, LEARNT_BYTES,
					    pos_learnt)) != NULL;
	}
	return false;
}

static bool fill_next_pass(struct lazy_tree *lt)
{
	if (!lt->fill_failed)
		return false;
	lt->fill_failed = false;
	lt->at_fill = 0;
	lt->fill_bytes = 0;
	return true;
}

/* Whether the fill has been through the tree, with all that it asked for. */
static bool fill_idle(const struct lazy_tree *lt)
{
	return lt->prepared && lt->at_fill == lt->n_chunks &&
	       TAILQ_EMPTY(&lt->jobs);
}

bool lazy_next_fill(struct lazy_tree *lt)
{
	struct placement_loc loc;

	if (!lt->fill || !lt->prepared)
		return false;
	if (fill_idle(lt) && !fill_next_pass(lt))
		return false;
	for (; lt->at_fill < lt->n_chunks; lt->at_fill++) {
		uint32_t pos = lt->at_fill;

		if (is_absent(lt, pos, &loc))
			return lazy_submit(lt, LAZY_RANGE, LAZY_FILL, loc.pack,
					   pos,
					   lazy_run(lt, pos, LAZY_REQUEST_MAX,
						    NULL)) != NULL;
		if (lazy_loc(lt, pos, &loc) == 0)
			lt->fill_bytes += loc.len;
	}
	pthread_cond_broadcast(&lt->lazy->changed);
	return false;
}

void lazy_fill(struct store_tree *t)
{
	struct lazy_tree *lt = atomic_load(&t->lazy);

	if (!lt || lazy_tree_prepare(lt) < 0)
		return;
	LOCK_SCOPE(&lt->lazy->lock);
	lt->fill = true;
	lazy_kick(lt->lazy);
}

/* With the lock held: 1: done; 0: not yet; -EIO: some could not be had. */
static int fill_state(const struct lazy_tree *lt)
{
	if (lt->fill_failed && lt->at_fill == lt->n_chunks)
		return -EIO;
	return fill_idle(lt);
}

int lazy_wait_filled(struct store_tree *t,
		     int (*each)(void *arg, uint64_t done_bytes,
				 uint64_t all_bytes),
		     void *arg)
{
	struct lazy_tree *lt = atomic_load(&t->lazy);
	int state = 0, r = 0;

	if (!lt)
		return 0;
	lazy_fill(t);
	while (r == 0 && state == 0) {
		uint64_t done, all;

		pthread_mutex_lock(&lt->lazy->lock);
		state = fill_state(lt);
		if (state == 0)
			lazy_wait(lt->lazy, &lt->lazy->changed, INT64_MAX);
		done = lt->fill_bytes;
		all = lt->stored_bytes;
		pthread_mutex_unlock(&lt->lazy->lock);
		r = each(arg, done, all);
	}
	if (r < 0)
		return r;
	return state < 0 ? state : 0;
}

/* --- records --- */

static int take_record(void *arg, const void *data, size_t len)
{
	struct lazy_tree *lt = arg;
	_cleanup_free_ uint32_t *chunks = NULL;
	_cleanup_free_ uint8_t *in = calloc(lt->n_chunks + 1, 1);
	uint32_t n, i;
	int r;

	if (!in)
		return -ENOMEM;
	r = record_decode(data, len, store_tree_digest(lt->tree), lt->n_chunks,
			  &chunks, &n);
	if (r < 0)
		return r;
	for (i = 0; i < n; i++)
		in[chunks[i]] = 1;
	LOCK_SCOPE(&lt->lazy->lock);
	if (lt->learnt)
		return 0;
	lt->learnt = steal_ptr(&chunks);
	lt->in_learnt = steal_ptr(&in);
	lt->n_learnt = n;
	lazy_kick(lt->lazy);
	return 0;
}

int lazy_record_run(struct lazy_tree *lt, const struct tier_call *call)
{
	const struct digest *catalog = store_tree_digest(lt->tree);
	_cleanup_buf_ struct buf data = BUF_INIT;
	int r = store_record_get(lt->tree->store, catalog, &data);

	if (r == 0 && take_record(lt, data.data, data.len) == 0)
		return 0;
	return lt->source->ops->record(lt->source, call, catalog,
				       record_bytes_max(lt->n_chunks),
				       take_record, lt);
}

/* This run's chunks and then those of earlier ones, up to half of the tree's.
 * With the lock held. NULL: nothing is to be recorded. */
static uint32_t *record_merge(struct lazy_tree *lt, uint32_t *ret_n)
{
	uint32_t *chunks, i, n = lt->n_read, most = (lt->n_chunks + 1) / 2;

	if (n == lt->n_saved || n > most)
		return NULL;
	chunks = calloc((size_t)most + 1, sizeof(*chunks));
	if (!chunks)
		return NULL;
	memcpy(chunks, lt->read, n * sizeof(*chunks));
	for (i = 0; i < lt->n_learnt && n < most; i++)
		if (atomic_load(&lt->state[lt->learnt[i]]) != LAZY_USED)
			chunks[n++] = lt->learnt[i];
	lt->n_saved = lt->n_read;
	*ret_n = n;
	return chunks;
}

void lazy_record_save(struct lazy_tree *lt)
{
	const struct digest *catalog = store_tree_digest(lt->tree);
	_cleanup_buf_ struct buf data = BUF_INIT;
	_cleanup_free_ uint32_t *chunks = NULL;
	uint32_t n;
	int r;

	pthread_mutex_lock(&lt->lazy->lock);
	chunks = record_merge(lt, &n);
	pthread_mutex_unlock(&lt->lazy->lock);
	if (!chunks)
		return;
	r = record_encode(catalog, chunks, n, &data);
	if (r == 0)
		r = store_record_put(lt->tree->store, catalog, data.data,
				     data.len);
	if (r < 0)
		log_debug("a record cannot be kept: %d", r);
}

void store_record_flush(struct store *s, const struct digest *catalog)
{
	struct store_tree *t;
	struct lazy_tree *lt;

	if (store_tree_find(s, catalog, &t) < 0)
		return;
	lt = atomic_load(&t->lazy);
	if (lt && lazy_tree_prepare(lt) == 0)
		lazy_record_save(lt);
	store_tree_unref(t);
}

/* --- what is told of a tree --- */

void lazy_set_deadline(struct store_tree *t, unsigned ms)
{
	struct lazy_tree *lt = atomic_load(&t->lazy);

	if (lt)
		atomic_store(&lt->deadline_ms, ms);
}

static void count_here(const struct lazy_tree *lt, struct lazy_stats *st)
{
	struct placement_loc loc;
	uint32_t pos;

	for (pos = 0; pos < lt->n_chunks; pos++) {
		if (lazy_loc(lt, pos, &loc) < 0 ||
		    (atomic_load(&lt->state[lt->order[pos]]) < LAZY_READY &&
		     !lazy_pack_has(lt, loc.pack, loc.off)))
			continue;
		st->chunks_here++;
		st->here_bytes += loc.len;
	}
}

bool lazy_get_stats(struct store_tree *t, struct lazy_stats *ret_stats)
{
	struct lazy_tree *lt = atomic_load(&t->lazy);

	*ret_stats = (struct lazy_stats){ 0 };
	if (!lt || lazy_tree_prepare(lt) < 0)
		return false;
	LOCK_SCOPE(&lt->lazy->lock);
	*ret_stats = lt->stats;
	ret_stats->chunks = lt->n_chunks;
	ret_stats->stored_bytes = lt->stored_bytes;
	ret_stats->filling = lt->fill && !fill_idle(lt);
	ret_stats->filled = lt->fill && fill_idle(lt) && !lt->fill_failed;
	count_here(lt, ret_stats);
	return true;
}
