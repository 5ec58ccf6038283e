/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of requests, and what those of ended sessions have left. */
#include "session_counts.h"

#include <pthread.h>

#include "store/base/cleanup.h"

TAILQ_HEAD(counts_list, session_counts);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all below */
static struct counts_list list = TAILQ_HEAD_INITIALIZER(list);
static uint64_t ended[OPCODE_COUNT];
static struct session_bytes ended_bytes;

static void add(uint64_t *sum, const struct session_counts *c)
{
	for (unsigned i = 0; i < OPCODE_COUNT; i++)
		sum[i] += atomic_load_explicit(&c->n[i], memory_order_relaxed);
}

static void add_bytes(struct session_bytes *sum, const struct session_counts *c)
{
	sum->read += atomic_load_explicit(&c->read_bytes, memory_order_relaxed);
	sum->written +=
		atomic_load_explicit(&c->written_bytes, memory_order_relaxed);
}

void session_counts_begin(struct session_counts *c)
{
	LOCK_SCOPE(&lock);
	TAILQ_INSERT_TAIL(&list, c, all);
}

void session_counts_end(struct session_counts *c)
{
	LOCK_SCOPE(&lock);
	TAILQ_REMOVE(&list, c, all);
	add(ended, c);
	add_bytes(&ended_bytes, c);
}

static void tell(const uint64_t *counts, session_counts_fn each, void *arg)
{
	for (unsigned i = 0; i < OPCODE_COUNT; i++)
		if (counts[i] > 0)
			each(arg, opcode_name(i), counts[i]);
}

void session_counts_each(const struct session_counts *c, session_counts_fn each,
			 void *arg)
{
	uint64_t counts[OPCODE_COUNT] = { 0 };

	add(counts, c);
	tell(counts, each, arg);
}

void session_counts_each_total(session_counts_fn each, void *arg)
{
	uint64_t counts[OPCODE_COUNT];
	const struct session_counts *c;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < OPCODE_COUNT; i++)
		counts[i] = ended[i];
	TAILQ_FOREACH(c, &list, all)
	add(counts, c);
	pthread_mutex_unlock(&lock);
	tell(counts, each, arg);
}

void session_counts_bytes(const struct session_counts *c,
			  struct session_bytes *ret_bytes)
{
	*ret_bytes = (struct session_bytes){ 0 };
	add_bytes(ret_bytes, c);
}

void session_counts_bytes_total(struct session_bytes *ret_bytes)
{
	const struct session_counts *c;
	LOCK_SCOPE(&lock);

	*ret_bytes = ended_bytes;
	TAILQ_FOREACH(c, &list, all)
	add_bytes(ret_bytes, c);
}
