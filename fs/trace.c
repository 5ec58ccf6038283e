/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring and the spans. Reads are numbered from the mount's beginning on;
 * number n is at n modulo TRACE_READS, so that who is late can tell how many
 * were overwritten.
 */
#include "trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"

#define NS_PER_MS INT64_C(1000000)

_Thread_local struct trace_span *trace_span_now;

int trace_new(struct trace **ret_trace)
{
	struct trace *t = calloc(1, sizeof(*t));
	pthread_condattr_t attr;

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->changed, &attr);
	pthread_condattr_destroy(&attr);
	*ret_trace = t;
	return 0;
}

static void drop_ring(struct trace *t)
{
	for (unsigned i = 0; i < t->n_tiers; i++)
		free(t->tiers[i]);
	free(steal_ptr(&t->tiers));
	free(steal_ptr(&t->ring));
	t->n_tiers = 0;
}

void trace_free(struct trace *t)
{
	if (!t)
		return;
	drop_ring(t);
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

void trace_end(struct trace *t)
{
	LOCK_SCOPE(&t->lock);
	t->ended = true;
	pthread_cond_broadcast(&t->changed);
}

/* --- who reads --- */

int trace_attach(struct trace *t, uint64_t *ret_pos)
{
	LOCK_SCOPE(&t->lock);
	if (!t->ring) {
		t->ring = calloc(TRACE_READS, sizeof(*t->ring));
		t->tiers = calloc(TRACE_TIERS_MAX, sizeof(*t->tiers));
	}
	if (!t->ring || !t->tiers) {
		drop_ring(t);
		return -ENOMEM;
	}
	*ret_pos = t->next;
	atomic_fetch_add(&t->readers, 1);
	return 0;
}

void trace_detach(struct trace *t)
{
	LOCK_SCOPE(&t->lock);
	if (atomic_fetch_sub(&t->readers, 1) == 1)
		drop_ring(t);
}

size_t trace_take(struct trace *t, uint64_t *pos, struct trace_read *ret_reads,
		  size_t max, uint64_t *ret_lost)
{
	uint64_t oldest;
	size_t n;

	LOCK_SCOPE(&t->lock);
	oldest = t->next > TRACE_READS ? t->next - TRACE_READS : 0;
	*ret_lost = *pos < oldest ? oldest - *pos : 0;
	*pos += *ret_lost;
	for (n = 0; n < max && *pos < t->next; n++, ++*pos)
		ret_reads[n] = t->ring[*pos % TRACE_READS];
	return n;
}

uint64_t trace_left(struct trace *t, uint64_t pos)
{
	LOCK_SCOPE(&t->lock);
	return t->next - pos;
}

bool trace_wait(struct trace *t, unsigned ms)
{
	int64_t until = clock_mono_ns() + ms * NS_PER_MS;
	struct timespec ts = { until / 1000000000, until % 1000000000 };

	LOCK_SCOPE(&t->lock);
	while (!t->ended)
		if (pthread_cond_timedwait(&t->changed, &t->lock, &ts) ==
		    ETIMEDOUT)
			break;
	return !t->ended;
}

/* --- who is read --- */

/* With the lock. The ring's own copy of a name, or NULL. */
static const char *keep_name(struct trace *t, const char *name)
{
	unsigned i;

	for (i = 0; i < t->n_tiers; i++)
		if (strcmp(t->tiers[i], name) == 0)
			return t->tiers[i];
	if (i == TRACE_TIERS_MAX)
		return NULL;
	t->tiers[i] = strdup(name);
	t->n_tiers += t->tiers[i] != NULL;
	return t->tiers[i];
}

static uint32_t micros(int64_t ns)
{
	return ns / 1000 < UINT32_MAX ? (uint32_t)(ns / 1000) : UINT32_MAX;
}

void trace_span_begin(struct trace *t, struct trace_span *span, uint64_t node,
		      uint64_t off)
{
	span->trace = t;
	span->read = (struct trace_read){ .node = node,
					  .off = off,
					  .begun_ns = clock_wall_ns() };
	span->served.waited_ns = 0;
	span->served.remote = false;
	span->served.tier[0] = '\0';
	span->begun_mono_ns = clock_mono_ns();
	trace_span_now = span;
	lazy_set_served(&span->served);
}

void trace_span_end(struct trace_span *span, ssize_t result)
{
	struct trace_read *rd = &span->read;
	struct trace *t = span->trace;

	trace_span_now = NULL;
	lazy_set_served(NULL);
	rd->took_us = micros(clock_mono_ns() - span->begun_mono_ns);
	rd->waited_us = micros((int64_t)span->served.waited_ns);
	rd->result = (int32_t)result;
	LOCK_SCOPE(&t->lock);
	if (!t->ring)
		return;
	if (span->served.tier[0])
		rd->tier = keep_name(t, span->served.tier);
	t->ring[t->next++ % TRACE_READS] = *rd;
}

void trace_note_chunk(size_t len)
{
	struct trace_span *span = trace_span_now;

	if (!span)
		return;
	trace_note(span->served.remote ? TRACE_REMOTE : TRACE_LOCAL, len);
	span->served.remote = false;
}

int64_t trace_wait_begin(void)
{
	return trace_span_now ? clock_mono_ns() : 0;
}

void trace_wait_end(int64_t begun_ns)
{
	if (begun_ns && trace_span_now)
		trace_span_now->served.waited_ns +=
			(uint64_t)(clock_mono_ns() - begun_ns);
}
