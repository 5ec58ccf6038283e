/* SPDX-License-Identifier: Apache-2.0 */
/* What chain*.c share. Not for others. */
#ifndef LARDER_CHAIN_INTERNAL_H
#define LARDER_CHAIN_INTERNAL_H

#include <pthread.h>

#include "chain.h"

struct chain_tier {
	struct tier *tier; /* constant, as the next two */
	char name[CHAIN_NAME_MAX + 1];
	unsigned access;

	atomic_uint failures_in_row;
	atomic_bool down;
	atomic_uint said; /* kinds of failure, as chain_breaker.c has them */
	/* The chain's lock: when it is asked again, and how long it was left
	 * alone before. */
	int64_t probe_ns;
	unsigned pause_ms;

	atomic_ullong requests, hits, misses, failed, damaged, untrusted;
	atomic_ullong bytes_in, bytes_out;
	atomic_ullong latency[CHAIN_LATENCY_BUCKETS];
	_Atomic uint64_t latency_sum_us;
};

struct chain {
	atomic_uint refs;
	struct chain_tier tiers[CHAIN_TIERS_MAX];
	unsigned count; /* constant once the chain is in use */
	atomic_uint first_pause_ms, most_pause_ms;

	pthread_mutex_t lock; /* guards the next, and probe times */
	pthread_cond_t wake;
	bool probing; /* there is a thread, to be joined */
	pthread_t prober;
	atomic_bool ending;
};

/* What has come of a call: counts, says, and opens or closes the breaker. */
void chain_note(struct chain *c, struct chain_tier *t, const char *what,
		const char *path, int err, const char *why);

/* Ends the thread that probes. */
void chain_stop_probing(struct chain *c);

#endif
