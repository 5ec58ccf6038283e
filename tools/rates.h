/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened between two samples (sample.h), a second: of each mount, of
 * each tier, and of all. Counters that begin anew, with another worker or
 * another mount, count from zero. Borrows from the newer sample. One thread.
 */
#ifndef LARDER_TOOLS_RATES_H
#define LARDER_TOOLS_RATES_H

#include <stdbool.h>
#include <stddef.h>

#include "sample.h"

/* Of a mount, or of all. */
struct rates_mount {
	const json_t *mount; /* borrowed; NULL of all */
	double requests, read_bytes, written_bytes;
	double fetched_bytes;
	double waits;	  /* reads of a chunk that waited for a tier */
	double waited_us; /* for how long, together */
};

struct rates_tier {
	const json_t *tier; /* borrowed */
	double requests, hits, misses, failures, read_bytes, written_bytes;
	double latency_us; /* the mean of the time between; 0: no requests */
};

struct rates {
	double seconds; /* between the two; 0: there is no earlier one */
	struct rates_mount all;
	struct rates_mount *mounts; /* owned, as the next */
	size_t n_mounts;
	struct rates_tier *tiers;
	size_t n_tiers;
};

/* `before` NULL, or of no daemon: all rates are 0. -ENOMEM */
int rates_make(const struct sample *before, const struct sample *now,
	       struct rates *ret_rates);
void rates_release(struct rates *r);

/* By what mounts can be sorted, up to NULL; the first is the default. */
extern const char *const rates_orders[];

/* The largest first, and names in their order. `order`: its place in
 * rates_orders. */
void rates_sort(struct rates *r, unsigned order);

#define _cleanup_rates_ __attribute__((cleanup(rates_release)))

#endif
