/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the lazy trees of a store have counted, together. A tree that is closed
 * leaves its counts behind, so that none of the sums ever becomes less. Under
 * lazy.lock.
 */
#include "lazy_internal.h"

#include "base/cleanup.h"

static void add(struct lazy_stats *sum, const struct lazy_stats *st)
{
	sum->fetched_bytes += st->fetched_bytes;
	for (unsigned p = 0; p < LAZY_PRIORITIES; p++)
		sum->requests[p] += st->requests[p];
	sum->failures += st->failures;
	sum->reads += st->reads;
	sum->reads_waited += st->reads_waited;
	sum->reads_kept += st->reads_kept;
	for (unsigned n = 0; n < LAZY_BUCKETS; n++)
		sum->waits[n] += st->waits[n];
	sum->waits_sum_us += st->waits_sum_us;
}

void lazy_totals_keep(struct lazy_tree *lt)
{
	add(&lt->lazy->closed, &lt->stats);
}

void lazy_totals(struct store *s, struct lazy_stats *ret_stats)
{
	struct lazy_tree *lt;
	struct lazy *l;

	*ret_stats = (struct lazy_stats){ 0 };
	pthread_mutex_lock(&s->lock);
	l = s->lazy;
	pthread_mutex_unlock(&s->lock);
	if (!l) /* no tree was lazy yet */
		return;
	LOCK_SCOPE(&l->lock);
	*ret_stats = l->closed;
	TAILQ_FOREACH(lt, &l->trees, all)
	add(ret_stats, &lt->stats);
}
