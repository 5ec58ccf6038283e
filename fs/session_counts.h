/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many requests sessions have got, by opcode: each for itself, and all of
 * the process together. A session that ends leaves its counts behind, so that
 * the sums never become less. Counting is one atomic addition to the session's
 * own counter; the list is under a lock of its own, a leaf. Any thread.
 */
#ifndef LARDER_FS_SESSION_COUNTS_H
#define LARDER_FS_SESSION_COUNTS_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/queue.h>

#include "opcode.h"

struct session_counts {
	TAILQ_ENTRY(session_counts) all; /* the lock */
	_Atomic uint64_t n[OPCODE_COUNT];
};

void session_counts_begin(struct session_counts *c);
void session_counts_end(struct session_counts *c);

static inline void session_counts_add(struct session_counts *c, uint32_t opcode)
{
	if (opcode < OPCODE_COUNT)
		atomic_fetch_add_explicit(&c->n[opcode], 1,
					  memory_order_relaxed);
}

typedef void (*session_counts_fn)(void *arg, const char *opcode,
				  uint64_t count);

/* Those above 0. */
void session_counts_each(const struct session_counts *c, session_counts_fn each,
			 void *arg);
void session_counts_each_total(session_counts_fn each, void *arg);

#endif
