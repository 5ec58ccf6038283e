/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Methods of the control server that concern trees whose chunks come from
 * remote tiers: prefetch, and stats, which tells what was fetched for each
 * mount and what each tier did.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/lazy_remote.h"

#include "control_remote.h"
#include "session_counts.h"

/* --- prefetch --- */

static int tell_fetched(void *arg, uint64_t done_bytes, uint64_t all_bytes)
{
	return progress_tick(control_progress(arg), "prefetch", 0, 0,
			     done_bytes, all_bytes);
}

static int prefetch(struct control_call *call, const struct entry *e,
		    struct lazy_stats *ret_stats)
{
	_cleanup_tree_ struct store_tree *t = NULL;
	struct lazy_stats before;
	int r = control_open_tree(call, e, &t);

	if (r < 0)
		return r;
	lazy_get_stats(t, &before);
	r = lazy_wait_filled(t, tell_fetched, call);
	lazy_get_stats(t, ret_stats);
	ret_stats->fetched_bytes -= before.fetched_bytes;
	if (r == -EIO)
		return mounts_fail(&call->err, r, 6,
				   "not all of %s@%s could be fetched; what "
				   "came is kept, so try again when the tiers "
				   "answer (larder stats tells which do not)",
				   e->name, e->key);
	return r < 0 ? control_fail(call, r, "the prefetch") : 0;
}

static int method_prefetch(struct control_call *call, json_t **ret_result)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	int64_t start = clock_mono_ns();
	struct lazy_stats stats = { 0 };
	int r = control_find_entry(call, &e);

	if (r == 0)
		r = prefetch(call, &e, &stats);
	if (r == 0)
		*ret_result = json_pack(
			"{s:o, s:I, s:I}", "entry",
			control_entry_json(&e, false), "fetched_bytes",
			(json_int_t)stats.fetched_bytes, "elapsed_ms",
			(json_int_t)((clock_mono_ns() - start) / 1000000));
	return r;
}

/* --- stats --- */

/* [upper bound in microseconds (null: none), count] of the buckets that are
 * not empty. */
static json_t *histogram(const uint64_t *counts, unsigned n,
			 uint64_t (*bound)(unsigned bucket))
{
	json_t *list = json_array();

	for (unsigned i = 0; i < n; i++)
		if (counts[i] > 0)
			json_array_append_new(
				list,
				json_pack("[o, I]",
					  i + 1 < n ?
						  json_integer((
							  json_int_t)bound(i)) :
						  json_null(),
					  (json_int_t)counts[i]));
	return list;
}

static uint64_t wait_bound(unsigned bucket)
{
	return UINT64_C(1) << bucket;
}

static json_t *requests_json(const struct lazy_stats *st)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "wanted",
			 (json_int_t)st->requests[LAZY_WANTED], "ahead",
			 (json_int_t)st->requests[LAZY_AHEAD], "learnt",
			 (json_int_t)st->requests[LAZY_LEARNT], "fill",
			 (json_int_t)st->requests[LAZY_FILL], "failed",
			 (json_int_t)st->failures);
}

static json_t *lazy_json(const struct lazy_stats *st)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:o, "
			 "s:b, s:b, s:I}",
			 "chunks", (json_int_t)st->chunks, "chunks_here",
			 (json_int_t)st->chunks_here, "stored_bytes",
			 (json_int_t)st->stored_bytes, "here_bytes",
			 (json_int_t)st->here_bytes, "fetched_bytes",
			 (json_int_t)st->fetched_bytes, "fetches",
			 requests_json(st), "reads", (json_int_t)st->reads,
			 "reads_waited", (json_int_t)st->reads_waited,
			 "reads_kept", (json_int_t)st->reads_kept, "waits_us",
			 histogram(st->waits, LAZY_BUCKETS, wait_bound),
			 "filling", st->filling, "filled", st->filled,
			 "waits_sum_us", (json_int_t)st->waits_sum_us);
}

struct adding {
	struct store *store;
	json_t *mounts;
};

/* A mount's catalog is open as long as it is; so this opens nothing anew. */
static int add_stats(void *arg, struct mount *mnt)
{
	struct adding *a = arg;
	struct lazy_stats st = { 0 };
	struct catalog_info info = { 0 };
	struct digest base;
	bool lazy = false;
	json_t *j;

	if (mount_base(mnt, &base)) {
		_cleanup_tree_ struct store_tree *t = NULL;

		if (store_tree_open(a->store, &base, &t) == 0) {
			lazy = lazy_get_stats(t, &st);
			catalog_info(store_tree_catalog(t), &info);
		}
	}
	j = control_mount_json(mnt);
	json_object_set_new(j, "bytes", json_integer((json_int_t)info.bytes));
	json_object_set_new(j, "remote", lazy ? lazy_json(&st) : json_null());
	return json_array_append_new(a->mounts, j) < 0 ? -ENOMEM : 0;
}

static json_t *tier_json(const char *name, bool up,
			 const struct chain_stats *st)
{
	return json_pack(
		"{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I}",
		"name", name, "up", up, "requests", (json_int_t)st->requests,
		"hits", (json_int_t)st->hits, "misses", (json_int_t)st->misses,
		"failures", (json_int_t)st->failures, "damaged",
		(json_int_t)st->damaged, "untrusted", (json_int_t)st->untrusted,
		"bytes_in", (json_int_t)st->bytes_in, "bytes_out",
		(json_int_t)st->bytes_out, "latency_us",
		histogram(st->latency, CHAIN_LATENCY_BUCKETS, chain_latency_us),
		"latency_sum_us", (json_int_t)st->latency_sum_us);
}

static int add_tiers(void *arg, struct chain *c, const json_t *list)
{
	struct chain_stats st;

	(void)list;
	for (unsigned i = 0; i < chain_count(c); i++) {
		chain_stats(c, i, &st);
		json_array_append_new(arg, tier_json(chain_name(c, i),
						     chain_is_up(c, i), &st));
	}
	return 0;
}

/* --- totals --- */

/* Tiers of one name, of whatever lists. */
struct sum {
	char name[CHAIN_NAME_MAX + 1];
	bool up;
	struct chain_stats stats;
};

struct sums {
	struct sum *items;
	size_t count;
};

static struct sum *sum_of(struct sums *sums, const char *name)
{
	struct sum *items;

	for (size_t i = 0; i < sums->count; i++)
		if (strcmp(sums->items[i].name, name) == 0)
			return &sums->items[i];
	items = reallocarray(sums->items, sums->count + 1, sizeof(*items));
	if (!items)
		return NULL;
	sums->items = items;
	items += sums->count++;
	*items = (struct sum){ .up = true };
	snprintf(items->name, sizeof(items->name), "%s", name);
	return items;
}

static int add_sums(void *arg, struct chain *c, const json_t *list)
{
	struct chain_stats st;
	struct sum *sum;

	(void)list;
	for (unsigned i = 0; i < chain_count(c); i++) {
		sum = sum_of(arg, chain_name(c, i));
		if (!sum)
			return -ENOMEM;
		chain_stats(c, i, &st);
		chain_stats_add(&sum->stats, &st);
		sum->up = sum->up && chain_is_up(c, i);
	}
	return 0;
}

static void add_requests(void *arg, const char *opcode, uint64_t count)
{
	json_object_set_new(arg, opcode, json_integer((json_int_t)count));
}

/* Of the process, none of which becomes less when a mount ends. */
static int totals_json(const struct control_config *config, json_t **ret_totals)
{
	_cleanup_json_ json_t *requests = json_object(), *tiers = json_array();
	struct session_bytes bytes;
	struct sums sums = { 0 };
	struct lazy_stats st;
	int r = tiers_each(config->tiers, add_sums, &sums);

	for (size_t i = 0; i < sums.count; i++)
		json_array_append_new(tiers, tier_json(sums.items[i].name,
						       sums.items[i].up,
						       &sums.items[i].stats));
	free(sums.items);
	if (r < 0)
		return r;
	session_counts_each_total(add_requests, requests);
	session_counts_bytes_total(&bytes);
	lazy_totals(config->store, &st);
	*ret_totals = json_pack(
		"{s:O, s:I, s:I, s:O, s:o}", "requests", requests, "read_bytes",
		(json_int_t)bytes.read, "written_bytes",
		(json_int_t)bytes.written, "tiers", tiers, "remote",
		json_pack("{s:I, s:o, s:I, s:I, s:I, s:o, s:I}",
			  "fetched_bytes", (json_int_t)st.fetched_bytes,
			  "fetches", requests_json(&st), "reads",
			  (json_int_t)st.reads, "reads_waited",
			  (json_int_t)st.reads_waited, "reads_kept",
			  (json_int_t)st.reads_kept, "waits_us",
			  histogram(st.waits, LAZY_BUCKETS, wait_bound),
			  "waits_sum_us", (json_int_t)st.waits_sum_us));
	return *ret_totals ? 0 : -ENOMEM;
}

static int one_mount(struct control_call *call, struct adding *a)
{
	_cleanup_mount_ struct mount *mnt = NULL;
	_cleanup_free_ char *dir = NULL;
	int r = control_bytes(call, "dir", &dir);

	if (r == 0)
		r = mounts_find(call->config->mounts, dir, &mnt, &call->err);
	return r < 0 ? r : add_stats(a, mnt);
}

static int method_stats(struct control_call *call, json_t **ret_result)
{
	_cleanup_json_ json_t *mounts = json_array(), *tiers = json_array();
	_cleanup_json_ json_t *totals = NULL;
	struct adding a = { call->config->store, mounts };
	int r = json_object_get(call->params, "dir") ?
			one_mount(call, &a) :
			mounts_each(call->config->mounts, add_stats, &a);

	if (r == 0)
		r = tiers_each(call->config->tiers, add_tiers, tiers);
	if (r == 0)
		r = totals_json(call->config, &totals);
	if (r < 0)
		return call->err.message[0] ?
			       r :
			       control_fail(call, r, "the statistics");
	*ret_result = json_pack("{s:O, s:O, s:O}", "mounts", mounts, "tiers",
				tiers, "totals", totals);
	return 0;
}

const struct control_method control_lazy_methods[] = {
	{ "prefetch", method_prefetch, true },
	{ "stats", method_stats, false },
	{ NULL, NULL, false },
};
