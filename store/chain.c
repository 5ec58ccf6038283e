/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of tiers, and calls to one of them. Around each call: is the tier
 * in use, how long did it take, what came of it. Any thread.
 */
#include "chain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "chain_internal.h"

#define FIRST_PAUSE_MS 5000u
#define MOST_PAUSE_MS 300000u
#define LATENCY_FIRST_US 128u

int chain_new(struct chain **ret_chain)
{
	struct chain *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;

	if (!c)
		return -ENOMEM;
	atomic_init(&c->refs, 1);
	chain_set_pause(c, FIRST_PAUSE_MS, MOST_PAUSE_MS);
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->wake, &attr);
	pthread_condattr_destroy(&attr);
	*ret_chain = c;
	return 0;
}

int chain_add(struct chain *c, const char *name, struct tier *t,
	      unsigned access)
{
	struct chain_tier *ct = &c->tiers[c->count];

	if (c->count == CHAIN_TIERS_MAX) {
		tier_unref(t);
		return -EFBIG;
	}
	ct->tier = t;
	ct->access = access;
	snprintf(ct->name, sizeof(ct->name), "%s", name);
	c->count++;
	return 0;
}

struct chain *chain_ref(struct chain *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

void chain_unref(struct chain *c)
{
	if (!c || atomic_fetch_sub(&c->refs, 1) > 1)
		return;
	chain_stop_probing(c);
	for (unsigned i = 0; i < c->count; i++)
		tier_unref(c->tiers[i].tier);
	pthread_cond_destroy(&c->wake);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

unsigned chain_count(const struct chain *c)
{
	return c->count;
}

const char *chain_name(const struct chain *c, unsigned i)
{
	return c->tiers[i].name;
}

unsigned chain_access(const struct chain *c, unsigned i)
{
	return c->tiers[i].access;
}

bool chain_is_up(const struct chain *c, unsigned i)
{
	return !atomic_load(&c->tiers[i].down);
}

void chain_set_pause(struct chain *c, unsigned first_ms, unsigned most_ms)
{
	atomic_store(&c->first_pause_ms, first_ms);
	atomic_store(&c->most_pause_ms, most_ms);
}

/* --- counters --- */

uint64_t chain_latency_us(unsigned bucket)
{
	return (uint64_t)LATENCY_FIRST_US << bucket;
}

static void count_latency(struct chain_tier *t, int64_t ns)
{
	uint64_t us = ns / 1000;
	unsigned n = 0;

	while (n < CHAIN_LATENCY_BUCKETS - 1 && us >= chain_latency_us(n))
		n++;
	atomic_fetch_add(&t->latency[n], 1);
	atomic_fetch_add(&t->latency_sum_us, us);
}

void chain_stats(const struct chain *c, unsigned i,
		 struct chain_stats *ret_stats)
{
	const struct chain_tier *t = &c->tiers[i];

	*ret_stats = (struct chain_stats){
		.requests = atomic_load(&t->requests),
		.hits = atomic_load(&t->hits),
		.misses = atomic_load(&t->misses),
		.failures = atomic_load(&t->failed),
		.damaged = atomic_load(&t->damaged),
		.untrusted = atomic_load(&t->untrusted),
		.bytes_in = atomic_load(&t->bytes_in),
		.bytes_out = atomic_load(&t->bytes_out),
		.latency_sum_us = atomic_load(&t->latency_sum_us),
	};
	for (unsigned n = 0; n < CHAIN_LATENCY_BUCKETS; n++)
		ret_stats->latency[n] = atomic_load(&t->latency[n]);
}

void chain_stats_add(struct chain_stats *sum, const struct chain_stats *st)
{
	sum->requests += st->requests;
	sum->hits += st->hits;
	sum->misses += st->misses;
	sum->failures += st->failures;
	sum->damaged += st->damaged;
	sum->untrusted += st->untrusted;
	sum->bytes_in += st->bytes_in;
	sum->bytes_out += st->bytes_out;
	sum->latency_sum_us += st->latency_sum_us;
	for (unsigned n = 0; n < CHAIN_LATENCY_BUCKETS; n++)
		sum->latency[n] += st->latency[n];
}

/* --- one call --- */

struct attempt {
	struct chain *chain;
	struct chain_tier *tier;
	struct tier_call call;
	char why[TIER_WHY_MAX];
	int64_t start_ns;
	int own; /* what the caller's sink or source failed with */
	uint64_t bytes;
	tier_sink sink;
	tier_source source;
	tier_each each;
	void *arg;
};

static int attempt_begin(struct attempt *a, struct chain *c, unsigned i,
			 const struct tier_call *call)
{
	a->chain = c;
	a->tier = &c->tiers[i];
	a->call = call ? *call : (struct tier_call){ 0 };
	if (!a->call.why)
		a->call.why = a->why;
	a->call.why[0] = '\0';
	if (!chain_is_up(c, i))
		return tier_why(&a->call, -EIO,
				"the tier failed and is left alone for now");
	atomic_fetch_add(&a->tier->requests, 1);
	a->start_ns = clock_mono_ns();
	return 0;
}

static int attempt_end(struct attempt *a, const char *what, const char *path,
		       int r)
{
	count_latency(a->tier, clock_mono_ns() - a->start_ns);
	if (a->own)
		return a->own;
	chain_note(a->chain, a->tier, what, path, r, a->call.why);
	return r;
}

static int take(void *arg, const void *data, size_t len)
{
	struct attempt *a = arg;
	int r = a->sink(a->arg, data, len);

	a->bytes += len;
	if (r < 0)
		a->own = r;
	return r;
}

int chain_get_from(struct chain *c, unsigned i, const struct tier_call *call,
		   const char *path, uint64_t off, uint64_t len, tier_sink sink,
		   void *arg)
{
	struct attempt a = { .sink = sink, .arg = arg };
	int r = attempt_begin(&a, c, i, call);

	if (r < 0)
		return r;
	r = tier_get(a.tier->tier, &a.call, path, off, len, take, &a);
	atomic_fetch_add(&a.tier->bytes_in, a.bytes);
	if (r == 0)
		atomic_fetch_add(&a.tier->hits, 1);
	if (r == -ENOENT && !a.own)
		atomic_fetch_add(&a.tier->misses, 1);
	return attempt_end(&a, "reading", path, r);
}

int chain_read_from(struct chain *c, unsigned i, const struct tier_call *call,
		    const char *path, size_t max, struct buf *ret_data)
{
	struct attempt a = { 0 };
	size_t before = ret_data->len;
	int r = attempt_begin(&a, c, i, call);

	if (r < 0)
		return r;
	r = tier_read(a.tier->tier, &a.call, path, max, ret_data);
	atomic_fetch_add(&a.tier->bytes_in, ret_data->len - before);
	if (r == 0)
		atomic_fetch_add(&a.tier->hits, 1);
	if (r == -ENOENT)
		atomic_fetch_add(&a.tier->misses, 1);
	return attempt_end(&a, "reading", path, r);
}

static ssize_t give(void *arg, void *buf, size_t cap, uint64_t off)
{
	struct attempt *a = arg;
	ssize_t n = a->source(a->arg, buf, cap, off);

	if (n < 0)
		a->own = n;
	else
		a->bytes += n;
	return n;
}

int chain_put_to(struct chain *c, unsigned i, const struct tier_call *call,
		 const char *path, uint64_t size, tier_source source, void *arg)
{
	struct attempt a = { .source = source, .arg = arg };
	int r = attempt_begin(&a, c, i, call);

	if (r < 0)
		return r;
	r = tier_put(a.tier->tier, &a.call, path, size, give, &a);
	atomic_fetch_add(&a.tier->bytes_out, a.bytes);
	return attempt_end(&a, "writing", path, r);
}

int chain_put_data_to(struct chain *c, unsigned i, const struct tier_call *call,
		      const char *path, const void *data, size_t len)
{
	struct attempt a = { 0 };
	int r = attempt_begin(&a, c, i, call);

	if (r < 0)
		return r;
	r = tier_put_data(a.tier->tier, &a.call, path, data, len);
	atomic_fetch_add(&a.tier->bytes_out, r == 0 ? len : 0);
	return attempt_end(&a, "writing", path, r);
}

int chain_head_at(struct chain *c, unsigned i, const struct tier_call *call,
		  const char *path, uint64_t *ret_size)
{
	struct attempt a = { 0 };
	int r = attempt_begin(&a, c, i, call);

	if (r < 0)
		return r;
	r = tier_head(a.tier->tier, &a.call, path, ret_size);
	return attempt_end(&a, "looking for", path, r);
}

static int pass_on(void *arg, const struct tier_object *o)
{
	struct attempt *a = arg;

	a->own = a->each(a->arg, o);
	return a->own;
}

int chain_list_at(struct chain *c, unsigned i, const struct tier_call *call,
		  const char *prefix, tier_each each, void *arg)
{
	struct attempt a = { .each = each, .arg = arg };
	int r = attempt_begin(&a, c, i, call);

	if (r < 0)
		return r;
	r = tier_list(a.tier->tier, &a.call, prefix, pass_on, &a);
	return attempt_end(&a, "listing", prefix, r);
}

int chain_delete_at(struct chain *c, unsigned i, const struct tier_call *call,
		    const char *path)
{
	struct attempt a = { 0 };
	int r = attempt_begin(&a, c, i, call);

	if (r < 0)
		return r;
	r = tier_delete(a.tier->tier, &a.call, path);
	return attempt_end(&a, "removing", path, r);
}
