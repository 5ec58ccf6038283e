/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks that have come for a lazy tree and that nobody has read yet, decoded:
 * a chunk is decoded to be compared with its digest, and who reads it a moment
 * later shall not have to decode it again. Only compared ones come here.
 *
 * A reader takes a chunk away, since the kernel or fs/fetch.c keep it from then
 * on. What nobody takes goes when there is too much of it, the oldest first,
 * or when none has come or been taken for a while; it is then read from its
 * pack.
 *
 * All with the lock held but for lazy_kept_new().
 */
#include "lazy_internal.h"

#include <malloc.h>
#include <stdlib.h>

#include "base/clock.h"

/* What readahead has under way (4 MiB of a pack) decodes to, also where files are
 * much alike. */
#define KEPT_BYTES (32u << 20)
#define KEPT_NS INT64_C(2000000000)

static size_t kept_bytes(const struct lazy_kept *k)
{
	return sizeof(*k) + k->size;
}

/* Of one tree, most chunks that are kept are neighbours. */
static struct lazy_kept **bucket_of(struct lazy_shelf *s, uint32_t chunk)
{
	return &s->buckets[chunk % LAZY_KEPT_BUCKETS];
}

static void shelf_remove(struct lazy_shelf *s, struct lazy_kept *k)
{
	struct lazy_kept **at = bucket_of(s, k->chunk);

	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	TAILQ_REMOVE(&s->all, k, by_age);
	s->bytes -= kept_bytes(k);
}

struct lazy_kept *lazy_kept_new(const struct lazy_tree *lt, uint32_t chunk,
				uint32_t size)
{
	struct lazy_kept *k = malloc(sizeof(*k) + size);

	if (!k)
		return NULL;
	k->tree = lt;
	k->chunk = chunk;
	k->size = size;
	return k;
}

struct lazy_kept *lazy_kept_take(struct lazy *l, const struct lazy_tree *lt,
				 uint32_t chunk)
{
	struct lazy_kept *k = *bucket_of(&l->shelf, chunk);

	while (k && (k->tree != lt || k->chunk != chunk))
		k = k->next;
	if (k) {
		shelf_remove(&l->shelf, k);
		l->shelf.touched_ns = clock_mono_ns();
	}
	return k;
}

void lazy_kept_put(struct lazy *l, struct lazy_kept *k)
{
	struct lazy_shelf *s = &l->shelf;
	struct lazy_kept **at = bucket_of(s, k->chunk), *old;

	/* One that could not be written comes again. */
	free(lazy_kept_take(l, k->tree, k->chunk));
	k->next = *at;
	*at = k;
	TAILQ_INSERT_TAIL(&s->all, k, by_age);
	s->bytes += kept_bytes(k);
	s->touched_ns = clock_mono_ns();
	while (s->bytes > KEPT_BYTES) {
		old = TAILQ_FIRST(&s->all);
		shelf_remove(s, old);
		free(old);
	}
}

void lazy_kept_drop(struct lazy *l, const struct lazy_tree *lt)
{
	struct lazy_kept *k, *next;

	for (k = TAILQ_FIRST(&l->shelf.all); k; k = next) {
		next = TAILQ_NEXT(k, by_age);
		if (lt && k->tree != lt)
			continue;
		shelf_remove(&l->shelf, k);
		free(k);
	}
}

int64_t lazy_kept_until(const struct lazy *l)
{
	return TAILQ_EMPTY(&l->shelf.all) ? 0 : l->shelf.touched_ns + KEPT_NS;
}

void lazy_kept_expire(struct lazy *l)
{
	lazy_kept_drop(l, NULL);
	pthread_mutex_unlock(&l->lock);
	malloc_trim(0);
	pthread_mutex_lock(&l->lock);
}
