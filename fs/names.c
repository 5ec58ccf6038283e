/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The name table: open addressing over pointers to names, and one array of
 * names per directory, ascending by sequence number. A name that goes leaves its
 * number in its place in the array (tagged by the lowest bit), so that binary search
 * goes on working; when half of an array is such places it is packed.
 * Emptying a large directory from either end is linear therefore.
 */
#include "names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_CAP_MIN 64

_Static_assert(sizeof(uintptr_t) == 8, "places hold 63-bit numbers");

struct name_dir {
	uintptr_t *places; /* struct name *, or number << 1 | 1 */
	uint32_t used, cap, dead;
	uint32_t overrides;
};

static uint64_t place_seq(uintptr_t place)
{
	if (place & 1)
		return place >> 1;
	return ((const struct name *)place)->seq;
}

/* The first place whose number is at least `seq`. */
static uint32_t place_find(const struct name_dir *d, uint64_t seq)
{
	uint32_t lo = 0, hi = d->used;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (place_seq(d->places[mid]) < seq)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void dir_pack(struct name_dir *d)
{
	uint32_t i, n = 0;

	for (i = 0; i < d->used; i++)
		if (!(d->places[i] & 1))
			d->places[n++] = d->places[i];
	d->used = n;
	d->dead = 0;
}

static int dir_reserve(struct name_dir *d, uint32_t more)
{
	uint32_t cap = d->cap ? d->cap : 4;
	void *places;

	if (d->cap - d->used >= more)
		return 0;
	while (cap - d->used < more) {
		if (cap > UINT32_MAX / 2)
			return -EFBIG;
		cap += cap < 64 ? cap : cap / 2;
	}
	places = reallocarray(d->places, cap, sizeof(*d->places));
	if (!places)
		return -ENOMEM;
	d->places = places;
	d->cap = cap;
	return 0;
}

/* New names come last, but for a replay's, whose order is any. */
static void dir_insert(struct name_dir *d, struct name *n)
{
	uint32_t at = place_find(d, n->seq);

	memmove(d->places + at + 1, d->places + at,
		(d->used - at) * sizeof(*d->places));
	d->places[at] = (uintptr_t)n;
	d->used++;
}

static void dir_erase(struct name_dir *d, const struct name *n)
{
	uint32_t at = place_find(d, n->seq);

	d->places[at] = (uintptr_t)n->seq << 1 | 1;
	d->dead++;
	if (d->dead > 16 && d->dead > d->used / 2)
		dir_pack(d);
}

static struct name_dir *dir_make(struct names *t, uint64_t ino)
{
	struct name_dir *d = map_get(&t->dirs, ino);

	if (d)
		return d;
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	if (map_put(&t->dirs, ino, d) < 0) {
		free(d);
		return NULL;
	}
	return d;
}

static void dir_free(struct name_dir *d)
{
	free(d->places);
	free(d);
}

void names_release(struct names *t)
{
	struct name_dir *d;
	size_t i, pos = 0;

	names_drop_spares(t);
	for (i = 0; i < t->cap; i++)
		free(t->slots[i]);
	free(t->slots);
	while ((d = map_next(&t->dirs, &pos, NULL)))
		dir_free(d);
	map_release(&t->dirs);
	*t = (struct names){ 0 };
}

static uint32_t name_hash(uint64_t parent, const char *text, size_t len)
{
	return (uint32_t)map_hash_bytes(text, len, map_hash_u64(parent));
}

static bool name_is(const struct name *n, uint64_t parent, const char *text,
		    size_t len)
{
	return n->parent == parent && n->len == len &&
	       memcmp(n->text, text, len) == 0;
}

static size_t slot_of(const struct names *t, uint32_t hash, uint64_t parent,
		      const char *text, size_t len)
{
	size_t mask = t->cap - 1;
	size_t i = hash & mask;

	while (t->slots[i] && (t->slots[i]->hash != hash ||
			       !name_is(t->slots[i], parent, text, len)))
		i = (i + 1) & mask;
	return i;
}

struct name *names_find(const struct names *t, uint64_t parent,
			const char *text, size_t len)
{
	uint32_t hash;

	if (t->count == 0)
		return NULL;
	hash = name_hash(parent, text, len);
	return t->slots[slot_of(t, hash, parent, text, len)];
}

static int slots_reserve(struct names *t, size_t more)
{
	size_t cap = t->cap ? t->cap : NAMES_CAP_MIN;
	struct name **slots;
	size_t i, at;

	while (t->count + more > cap - cap / 4)
		cap *= 2;
	if (cap == t->cap)
		return 0;
	slots = calloc(cap, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (i = 0; i < t->cap; i++) {
		if (!t->slots[i])
			continue;
		at = t->slots[i]->hash & (cap - 1);
		while (slots[at])
			at = (at + 1) & (cap - 1);
		slots[at] = t->slots[i];
	}
	free(t->slots);
	t->slots = slots;
	t->cap = cap;
	return 0;
}

static struct name *name_new(uint64_t parent, const char *text, size_t len)
{
	struct name *n = malloc(offsetof(struct name, text) + len);

	if (!n)
		return NULL;
	n->parent = parent;
	n->hash = name_hash(parent, text, len);
	n->len = (uint8_t)len;
	memcpy(n->text, text, len);
	return n;
}

static struct name **spare_find(struct names *t, uint64_t parent,
				const char *text, size_t len)
{
	unsigned i;

	for (i = 0; i < t->nspares; i++)
		if (name_is(t->spares[i], parent, text, len))
			return &t->spares[i];
	return NULL;
}

void names_drop_spares(struct names *t)
{
	while (t->nspares > 0)
		free(t->spares[--t->nspares]);
}

int names_reserve(struct names *t, uint64_t parent, const char *text,
		  size_t len, uint64_t seq)
{
	struct name_dir *d;
	struct name *n;
	int r;

	if (names_find(t, parent, text, len) ||
	    spare_find(t, parent, text, len))
		return 0;
	if (t->nspares == NAMES_SPARES)
		return -E2BIG;
	r = slots_reserve(t, t->nspares + 1);
	if (r < 0)
		return r;
	d = dir_make(t, parent);
	if (!d)
		return -ENOMEM;
	r = seq ? dir_reserve(d, t->nspares + 1) : 0;
	if (r < 0)
		return r;
	n = name_new(parent, text, len);
	if (!n)
		return -ENOMEM;
	t->spares[t->nspares++] = n;
	return 0;
}

static struct name *spare_take(struct names *t, uint64_t parent,
			       const char *text, size_t len)
{
	struct name **at = spare_find(t, parent, text, len);
	struct name *n = *at;

	*at = t->spares[--t->nspares];
	return n;
}

int names_set(struct names *t, uint64_t parent, const char *text, size_t len,
	      const struct name_value *value)
{
	struct name *n = names_find(t, parent, text, len);
	struct name_dir *d;
	int r;

	if (n) {
		n->ino = value->ino;
		n->epoch = value->epoch;
		return 0;
	}
	r = names_reserve(t, parent, text, len, value->seq);
	if (r < 0)
		return r;
	n = spare_take(t, parent, text, len);
	n->ino = value->ino;
	n->seq = value->seq;
	n->epoch = value->epoch;
	t->slots[slot_of(t, n->hash, parent, text, len)] = n;
	t->count++;
	d = map_get(&t->dirs, parent);
	if (n->seq)
		dir_insert(d, n);
	else
		d->overrides++;
	return 0;
}

static void slot_erase(struct names *t, size_t gap)
{
	size_t mask = t->cap - 1;
	size_t i;

	t->slots[gap] = NULL;
	t->count--;
	for (i = (gap + 1) & mask; t->slots[i]; i = (i + 1) & mask) {
		size_t home = t->slots[i]->hash & mask;

		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		t->slots[gap] = t->slots[i];
		t->slots[i] = NULL;
		gap = i;
	}
}

void names_remove(struct names *t, uint64_t parent, const char *text,
		  size_t len)
{
	struct name *n = names_find(t, parent, text, len);
	struct name_dir *d;

	if (!n)
		return;
	d = map_get(&t->dirs, parent);
	if (n->seq)
		dir_erase(d, n);
	else
		d->overrides--;
	slot_erase(t, slot_of(t, n->hash, parent, text, len));
	free(n);
}

void names_drop_dir(struct names *t, uint64_t dir)
{
	struct name_dir *d = map_get(&t->dirs, dir);

	if (!d || d->overrides > 0 || d->used > d->dead)
		return;
	map_remove(&t->dirs, dir);
	dir_free(d);
}

struct name *names_after(const struct names *t, uint64_t dir, uint64_t seq)
{
	const struct name_dir *d = map_get(&t->dirs, dir);
	uint32_t i;

	if (!d)
		return NULL;
	for (i = place_find(d, seq + 1); i < d->used; i++)
		if (!(d->places[i] & 1))
			return (struct name *)d->places[i];
	return NULL;
}

uint32_t names_overrides(const struct names *t, uint64_t dir)
{
	const struct name_dir *d = map_get(&t->dirs, dir);

	return d ? d->overrides : 0;
}

struct name *names_next(const struct names *t, size_t *pos)
{
	while (*pos < t->cap) {
		struct name *n = t->slots[(*pos)++];

		if (n)
			return n;
	}
	return NULL;
}
