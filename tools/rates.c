/* SPDX-License-Identifier: Apache-2.0 */
/* Differences of counters, by the time between. */
#include "rates.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum order { REQUESTS, READ, WRITTEN, FETCHED, WAITS, UPPER, NAME };

const char *const rates_orders[] = { "requests", "read",  "written", "fetched",
				     "waits",	 "upper", "mount",   NULL };

/* Two states of one thing; `before` NULL: it was not there. */
struct pair {
	const json_t *before, *now;
	double seconds;
};

static double count(json_int_t before, json_int_t now, double seconds)
{
	if (now < before)
		before = 0;
	return seconds > 0 ? (double)(now - before) / seconds : 0;
}

static double rate(const struct pair *p, const char *field)
{
	return count(field_number(p->before, field),
		     field_number(p->now, field), p->seconds);
}

static struct pair below(const struct pair *p, const char *field)
{
	return (struct pair){ json_object_get(p->before, field),
			      json_object_get(p->now, field), p->seconds };
}

static void set_mount(const struct pair *p, struct rates_mount *m)
{
	struct pair remote = below(p, "remote");

	m->read_bytes = rate(p, "read_bytes");
	m->written_bytes = rate(p, "written_bytes");
	m->fetched_bytes = rate(&remote, "fetched_bytes");
	m->waits = rate(&remote, "reads_waited");
	m->waited_us = rate(&remote, "waits_sum_us");
}

static json_int_t sum_values(const json_t *object)
{
	const char *name;
	json_int_t n = 0;
	json_t *value;

	json_object_foreach((json_t *)object, name, value)
		n += json_integer_value(value);
	return n;
}

static void set_all(const struct pair *totals, struct rates_mount *all)
{
	struct pair requests = below(totals, "requests");

	set_mount(totals, all);
	all->requests = count(sum_values(requests.before),
			      sum_values(requests.now), totals->seconds);
}

/* The item of a list whose `field` is the text that `like` has. */
static const json_t *find(const json_t *list, const char *field,
			  const json_t *like)
{
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item) if (strcmp(field_text(item, field),
						     field_text(like, field)) ==
					      0) return item;
	return NULL;
}

static int set_mounts(const struct pair *stats, struct rates *r)
{
	struct pair lists = below(stats, "mounts");
	size_t n = json_array_size(lists.now), i;
	json_t *mount;

	r->mounts = calloc(n + 1, sizeof(*r->mounts));
	if (!r->mounts)
		return -ENOMEM;
	json_array_foreach(lists.now, i, mount)
	{
		struct pair p = { find(lists.before, "id", mount), mount,
				  stats->seconds };

		set_mount(&p, &r->mounts[i]);
		r->mounts[i].requests = rate(&p, "requests_total");
		r->mounts[i].mount = mount;
	}
	r->n_mounts = n;
	return 0;
}

static void set_tier(const struct pair *p, struct rates_tier *t)
{
	double busy_us = rate(p, "latency_sum_us");

	t->tier = p->now;
	t->requests = rate(p, "requests");
	t->hits = rate(p, "hits");
	t->misses = rate(p, "misses");
	t->failures = rate(p, "failures");
	t->read_bytes = rate(p, "bytes_in");
	t->written_bytes = rate(p, "bytes_out");
	t->latency_us = t->requests > 0 ? busy_us / t->requests : 0;
}

/* Tiers of one name are one here. */
static int set_tiers(const struct pair *totals, struct rates *r)
{
	struct pair lists = below(totals, "tiers");
	size_t n = json_array_size(lists.now), i;
	json_t *tier;

	r->tiers = calloc(n + 1, sizeof(*r->tiers));
	if (!r->tiers)
		return -ENOMEM;
	json_array_foreach(lists.now, i, tier)
	{
		struct pair p = { find(lists.before, "name", tier), tier,
				  totals->seconds };

		set_tier(&p, &r->tiers[i]);
	}
	r->n_tiers = n;
	return 0;
}

static bool is_same_worker(const struct sample *a, const struct sample *b)
{
	return field_number(a->status, "worker_pid") ==
	       field_number(b->status, "worker_pid");
}

int rates_make(const struct sample *before, const struct sample *now,
	       struct rates *ret_rates)
{
	struct rates r = { .seconds = 0 };
	struct pair stats = { NULL, now->stats, 0 }, totals;
	int err;

	if (before && sample_is_running(before)) {
		r.seconds = (double)(now->at_ns - before->at_ns) / 1e9;
		stats.seconds = r.seconds;
		if (is_same_worker(before, now))
			stats.before = before->stats;
	}
	totals = below(&stats, "totals");
	set_all(&totals, &r.all);
	err = set_mounts(&stats, &r);
	if (err == 0)
		err = set_tiers(&totals, &r);
	if (err < 0)
		rates_release(&r);
	else
		*ret_rates = r;
	return err;
}

void rates_release(struct rates *r)
{
	free(r->mounts);
	free(r->tiers);
	*r = (struct rates){ .seconds = 0 };
}

/* --- order --- */

static double rank(const struct rates_mount *m, enum order order)
{
	switch (order) {
	case REQUESTS:
		return m->requests;
	case READ:
		return m->read_bytes;
	case WRITTEN:
		return m->written_bytes;
	case FETCHED:
		return m->fetched_bytes;
	case WAITS:
		return m->waited_us;
	case UPPER:
		return (double)field_number(m->mount, "upper_bytes");
	case NAME:
		break;
	}
	return 0;
}

static int compare(const void *a, const void *b, void *arg)
{
	const struct rates_mount *x = a, *y = b;
	enum order order = *(const unsigned *)arg;
	double m = rank(x, order), n = rank(y, order);

	if (m > n)
		return -1;
	if (m < n)
		return 1;
	return strcmp(field_text(x->mount, "dir"), field_text(y->mount, "dir"));
}

void rates_sort(struct rates *r, unsigned order)
{
	if (r->n_mounts > 1)
		qsort_r(r->mounts, r->n_mounts, sizeof(*r->mounts), compare,
			&order);
}
