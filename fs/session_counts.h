/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many requests sessions have got, by opcode, and how many bytes were read
 * and written by them: each for itself, and all of the process together. A session that ends leaves its counts behind, so that
 * the sums never become less. Counting is one atomic addition to the session's
 * own counter; the list is under a lock of its own, a leaf. Any thread.
 */
#ifndef LARDER_FS_SESSION_COUNTS_H
#define LARDER_FS_SESSION_COUNTS_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "opcode.h"

struct session_counts {
	TAILQ_ENTRY(session_counts) all; /* the lock */
	_Atomic uint64_t n[OPCODE_COUNT];
	_Atomic uint64_t read_bytes, written_bytes;
};

/* Bytes of READ and WRITE requests that were answered. */
struct session_bytes {
	uint64_t read, written;
};

void session_counts_begin(struct session_counts *c);
void session_counts_end(struct session_counts *c);

static inline void session_counts_add(struct session_counts *c, uint32_t opcode)
{
	if (opcode < OPCODE_COUNT)
		atomic_fetch_add_explicit(&c->n[opcode], 1,
					  memory_order_relaxed);
}

/* Takes what a READ or WRITE is answered with, also an error. */
static inline void session_counts_read(struct session_counts *c, ssize_t n)
{
	if (n > 0)
		atomic_fetch_add_explicit(&c->read_bytes, (uint64_t)n,
					  memory_order_relaxed);
}

static inline void session_counts_written(struct session_counts *c, ssize_t n)
{
	if (n > 0)
		atomic_fetch_add_explicit(&c->written_bytes, (uint64_t)n,
					  memory_order_relaxed);
}

typedef void (*session_counts_fn)(void *arg, const char *opcode,
				  uint64_t count);

/* Those above 0. */
void session_counts_each(const struct session_counts *c, session_counts_fn each,
			 void *arg);
void session_counts_each_total(session_counts_fn each, void *arg);
void session_counts_bytes(const struct session_counts *c,
			  struct session_bytes *ret_bytes);
void session_counts_bytes_total(struct session_bytes *ret_bytes);

#endif
