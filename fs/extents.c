/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The extents of one file: binary search, cutting and putting. Most files have
 * few extents; one that is rewritten all over has one for each 4 KiB at most
 * (view_own.c), so the array is kept dense and moved by memmove().
 */
#include "extents.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void extents_release(struct extents *e)
{
	free(e->list);
	*e = (struct extents){ 0 };
}

/* Exact for small files, of which there are many; by half again for others. */
static uint32_t grown(uint32_t cap, uint32_t need)
{
	uint32_t more = cap < 8 ? need : cap + cap / 2;

	return more > need ? more : need;
}

static int reserve(struct extents *e, uint32_t more)
{
	uint32_t cap;
	void *list;

	if (e->cap - e->count >= more)
		return 0;
	if (e->count >= UINT32_MAX / 2 - more)
		return -EFBIG;
	cap = grown(e->cap, e->count + more);
	list = reallocarray(e->list, cap, sizeof(*e->list));
	if (!list)
		return -ENOMEM;
	e->list = list;
	e->cap = cap;
	return 0;
}

int extents_reserve(struct extents *e, uint64_t off)
{
	if (e->count == 0 || off >= extent_end(&e->list[e->count - 1]))
		return reserve(e, 1);
	return reserve(e, 2);
}

int extents_reserve_many(struct extents *e, uint32_t n)
{
	return n > UINT32_MAX / 8 ? -EFBIG : reserve(e, 2 * n);
}

uint32_t extents_first(const struct extents *e, uint64_t off)
{
	uint32_t lo = 0, hi = e->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (extent_end(&e->list[mid]) <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool same_source(const struct extent *a, const struct extent *b)
{
	return a->src == b->src && a->src_off == b->src_off;
}

/* Takes `by` bytes off the front. */
static void trim_front(struct extent *x, uint64_t by)
{
	x->off += by;
	x->len -= by;
	if (extent_kind(x) != EXTENT_BASE)
		x->slice += by;
}

/* Where in the file the source of an extent was put. */
static uint64_t source_start(const struct extent *x)
{
	return x->off > x->slice ? x->off - x->slice : 0;
}

/* Whether a slice of the source of `x` is in the array, outside [from, to).
 * All slices lie where the source was put. */
static bool is_used(const struct extents *e, const struct extent *x,
		    uint32_t from, uint32_t to)
{
	uint64_t end = source_start(x) + x->src_len;
	uint32_t k = extents_first(e, source_start(x));

	for (; k < e->count && e->list[k].off < end; k++)
		if ((k < from || k >= to) && same_source(x, &e->list[k]))
			return true;
	return false;
}

/* [from, to) of the array go; each source among them is told once, and only
 * when none of its slices stay. */
static void tell_dead(const struct extents *e, uint32_t from, uint32_t to,
		      const struct extents_sink *sink)
{
	uint32_t i;

	for (i = from; i < to; i++) {
		const struct extent *x = &e->list[i];

		if (extent_kind(x) != EXTENT_BASE &&
		    !is_used(e, x, from, i + 1))
			sink->drop(sink->arg, extent_pos(x), x->src_len);
	}
}

static void remove_range(struct extents *e, uint32_t from, uint32_t to)
{
	if (from == to)
		return;
	memmove(e->list + from, e->list + to,
		(e->count - to) * sizeof(*e->list));
	e->count -= to - from;
}

static void insert_at(struct extents *e, uint32_t at, const struct extent *x)
{
	struct extent copy = *x; /* may lie in the array */

	memmove(e->list + at + 1, e->list + at,
		(e->count - at) * sizeof(*e->list));
	e->list[at] = copy;
	e->count++;
}

/* [off, end) lies inside extent `i`, which becomes two. */
static void cut_inside(struct extents *e, uint32_t i, uint64_t off,
		       uint64_t end)
{
	struct extent tail = e->list[i];

	trim_front(&tail, end - tail.off);
	e->list[i].len = off - e->list[i].off;
	insert_at(e, i + 1, &tail);
}

void extents_cut(struct extents *e, uint64_t off, uint64_t len,
		 const struct extents_sink *sink)
{
	uint64_t end = len > UINT64_MAX - off ? UINT64_MAX : off + len;
	uint32_t i = extents_first(e, off);
	uint32_t k;

	if (i < e->count && e->list[i].off < off) {
		struct extent *x = &e->list[i];

		if (extent_end(x) > end) {
			cut_inside(e, i, off, end);
			return;
		}
		x->len = off - x->off;
		i++;
	}
	for (k = i; k < e->count && extent_end(&e->list[k]) <= end; k++)
		;
	if (k < e->count && e->list[k].off < end)
		trim_front(&e->list[k], end - e->list[k].off);
	tell_dead(e, i, k, sink);
	remove_range(e, i, k);
}

/* Offsets in a catalog's file are the file's, so neighbours are one. */
static bool mergeable(const struct extent *a, const struct extent *b)
{
	return extent_kind(a) == EXTENT_BASE && same_source(a, b) &&
	       extent_end(a) == b->off;
}

void extents_put(struct extents *e, const struct extent *x,
		 const struct extents_sink *sink)
{
	struct extent copy = *x;
	uint32_t i;

	extents_cut(e, copy.off, copy.len, sink);
	i = extents_first(e, copy.off);
	if (i > 0 && mergeable(&e->list[i - 1], &copy)) {
		e->list[--i].len += copy.len;
	} else {
		insert_at(e, i, &copy);
	}
	if (i + 1 < e->count && mergeable(&e->list[i], &e->list[i + 1])) {
		e->list[i].len += e->list[i + 1].len;
		remove_range(e, i + 1, i + 2);
	}
}

bool extents_upper_in(const struct extents *e, uint64_t off, uint64_t len)
{
	uint64_t end = len > UINT64_MAX - off ? UINT64_MAX : off + len;
	uint32_t i;

	for (i = extents_first(e, off); i < e->count; i++) {
		if (e->list[i].off >= end)
			return false;
		if (extent_kind(&e->list[i]) != EXTENT_BASE)
			return true;
	}
	return false;
}

bool extents_have(const struct extents *e, enum extent_kind kind)
{
	uint32_t i;

	for (i = 0; i < e->count; i++)
		if (extent_kind(&e->list[i]) == kind)
			return true;
	return false;
}

bool extents_have_source(const struct extents *e, const struct extent *x)
{
	return is_used(e, x, 0, 0);
}

uint64_t extents_bytes(const struct extents *e)
{
	uint64_t bytes = 0;
	uint32_t i;

	for (i = 0; i < e->count; i++)
		bytes += e->list[i].len;
	return bytes;
}
