/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tier in memory that does one thing wrong, at its N-th call (counted from 1)
 * or at every call from there on. For sweeps: fail call N, for N from 1 until
 * the run passes without.
 */
#ifndef LARDER_TESTS_FAULT_TIER_H
#define LARDER_TESTS_FAULT_TIER_H

#include "store/tier.h"

enum fault_kind {
	FAULT_NONE,
	FAULT_ERROR,	 /* 500, or no connection */
	FAULT_REFUSED,	 /* 403 */
	FAULT_FULL,	 /* 413, 507: of a put; a get fails */
	FAULT_TIMEOUT,	 /* no answer until the deadline */
	FAULT_WRONG,	 /* a byte differs */
	FAULT_TRUNCATED, /* ends early, and says nothing of it */
	FAULT_ENDLESS,	 /* does not end */
	FAULT_LONG,	 /* a byte too many */
	FAULT_LOST,	 /* has it no more */
	FAULT_KINDS,
};

struct fault_tier;

int fault_tier_new(struct fault_tier **ret_fault, struct tier **ret_tier);

/* What goes wrong from now on; the count of calls begins anew. The fault_tier
 * lives as long as its tier. */
void fault_tier_set(struct fault_tier *f, enum fault_kind kind, unsigned at,
		    bool always);
unsigned fault_tier_calls(const struct fault_tier *f);

/* What is there now was put so much longer ago. */
void fault_tier_age(struct fault_tier *f, int64_t ns);

/* Called at the beginning of every call, on its thread; NULL: none. */
void fault_tier_set_hook(struct fault_tier *f, void (*hook)(void *arg),
			 void *arg);

#endif
