/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lazy tree, and its chunks in the order in which they lie in their packs.
 */
#include "lazy_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

/* --- positions --- */

int lazy_loc(const struct lazy_tree *lt, uint32_t pos,
	     struct placement_loc *ret_loc)
{
	return placement_find(lt->tree->placement, lt->order[pos], ret_loc);
}

struct sort_item {
	uint64_t key; /* pack, offset */
	uint32_t chunk;
};

static int sort_compare(const void *a, const void *b)
{
	const struct sort_item *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

static int sort_fill(struct lazy_tree *lt, struct sort_item *items)
{
	struct placement_loc loc;
	uint32_t c;
	int r;

	for (c = 0; c < lt->n_chunks; c++) {
		r = placement_find(lt->tree->placement, c, &loc);
		if (r < 0)
			return r;
		items[c].key = (uint64_t)loc.pack << 32 | loc.off;
		items[c].chunk = c;
		lt->stored_bytes += loc.len;
	}
	return 0;
}

/* Which positions a pack has, and its cells, up to its last frame. */
static int packs_fill(struct lazy_tree *lt, const struct sort_item *items)
{
	struct lazy_pack *lp;
	uint32_t pos, n;

	for (pos = 0; pos < lt->n_chunks; pos++) {
		lp = &lt->packs[items[pos].key >> 32];
		if (lp->end == 0)
			lp->first = pos;
		lp->end = pos + 1;
		lp->n_cells = (uint32_t)items[pos].key / LAZY_CELL_BYTES + 1;
	}
	for (n = 0; n < lt->n_packs; n++) {
		lp = &lt->packs[n];
		lp->cells = calloc(lp->n_cells + 1, 1);
		if (!lp->cells)
			return -ENOMEM;
	}
	return 0;
}

/* A frame over a part of another one would be written over it; only a chunk of
 * the very same frame may be, though it cannot be right. */
static int check_apart(const struct lazy_tree *lt, uint32_t pos)
{
	struct placement_loc before, loc;
	int r;

	if (pos == 0)
		return 0;
	r = lazy_loc(lt, pos - 1, &before);
	if (r == 0)
		r = lazy_loc(lt, pos, &loc);
	if (r < 0)
		return r;
	if (before.pack != loc.pack || loc.off - before.off >= before.len ||
	    (loc.off == before.off && loc.len == before.len))
		return 0;
	return log_error(-EBADMSG, "placement: frames of pack %u overlap at %u",
			 loc.pack, loc.off);
}

static int prepare(struct lazy_tree *lt)
{
	_cleanup_free_ struct sort_item *items = NULL;
	uint32_t pos;
	int r;

	items = calloc(lt->n_chunks + 1, sizeof(*items));
	lt->order = calloc(lt->n_chunks + 1, sizeof(*lt->order));
	lt->rank = calloc(lt->n_chunks + 1, sizeof(*lt->rank));
	lt->read = calloc(lt->n_chunks + 1, sizeof(*lt->read));
	if (!items || !lt->order || !lt->rank || !lt->read)
		return -ENOMEM;
	r = sort_fill(lt, items);
	if (r < 0)
		return r;
	qsort(items, lt->n_chunks, sizeof(*items), sort_compare);
	for (pos = 0; pos < lt->n_chunks; pos++) {
		lt->order[pos] = items[pos].chunk;
		lt->rank[items[pos].chunk] = pos;
		r = check_apart(lt, pos);
		if (r < 0)
			return r;
	}
	return packs_fill(lt, items);
}

static void unprepare(struct lazy_tree *lt)
{
	uint32_t n;

	for (n = 0; n < lt->n_packs; n++)
		free(steal_ptr(&lt->packs[n].cells));
	free(steal_ptr(&lt->order));
	free(steal_ptr(&lt->rank));
	free(steal_ptr(&lt->read));
	lt->stored_bytes = 0;
}

/* Costs a moment in a large tree, and is not needed before the first read. */
int lazy_tree_prepare(struct lazy_tree *lt)
{
	LOCK_SCOPE(&lt->lazy->lock);
	int r;

	if (lt->prepared || lt->refused)
		return lt->refused ? -EBADMSG : 0;
	r = prepare(lt);
	if (r < 0) {
		lt->refused = r == -EBADMSG;
		unprepare(lt);
		return r;
	}
	lt->prepared = true;
	return 0;
}

/* --- the tree --- */

int lazy_tree_new(struct store_tree *t, struct lazy_source *src,
		  struct lazy_tree **ret_tree)
{
	struct lazy_tree *lt = calloc(1, sizeof(*lt));
	struct catalog_info info;
	int r;

	if (!lt)
		return -ENOMEM;
	catalog_info(t->catalog, &info);
	lt->tree = t;
	lt->source = lazy_source_ref(src);
	lt->n_chunks = info.chunks;
	lt->n_packs = placement_packs(t->placement);
	atomic_init(&lt->deadline_ms, lazy_default_deadline());
	TAILQ_INIT(&lt->jobs);
	lt->state = calloc(lt->n_chunks + 1, sizeof(*lt->state));
	lt->packs = calloc(lt->n_packs + 1, sizeof(*lt->packs));
	r = lt->state && lt->packs ? lazy_get(t->store, &lt->lazy) : -ENOMEM;
	if (r < 0) {
		lazy_source_unref(lt->source);
		free(lt->state);
		free(lt->packs);
		free(lt);
		return r;
	}
	LOCK_SCOPE(&lt->lazy->lock);
	TAILQ_INSERT_TAIL(&lt->lazy->trees, lt, all);
	*ret_tree = lt;
	return 0;
}

/* Those that run see `cancelled` within a moment. */
static void end_jobs(struct lazy_tree *lt)
{
	struct lazy_job *job, *next;
	LOCK_SCOPE(&lt->lazy->lock);

	atomic_store(&lt->cancelled, true);
	for (job = TAILQ_FIRST(&lt->jobs); job; job = next) {
		next = TAILQ_NEXT(job, of_tree);
		if (!job->running)
			lazy_job_drop(job);
	}
	while (lt->running > 0)
		pthread_cond_wait(&lt->lazy->changed, &lt->lazy->lock);
	TAILQ_REMOVE(&lt->lazy->trees, lt, all);
	lazy_kept_drop(lt->lazy, lt);
	lazy_totals_keep(lt);
}

void lazy_tree_free(struct lazy_tree *lt)
{
	uint32_t n;

	if (!lt)
		return;
	end_jobs(lt);
	if (lt->prepared)
		lazy_record_save(lt);
	for (n = 0; n < lt->n_packs; n++)
		lazy_pack_release(lt, n);
	unprepare(lt);
	free(lt->packs);
	free(lt->state);
	free(lt->learnt);
	free(lt->in_learnt);
	lazy_source_unref(lt->source);
	free(lt);
}
