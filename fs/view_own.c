/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing to own files. As in the log, nothing that a record refers to is ever
 * written over: new bytes go to the end of the own file, then the record says
 * where they are and gives their checksum, and what they replace dies. So a
 * write happens whole or not at all, a snapshot of the extents is one of the
 * bytes, and damage is seen.
 *
 * A source lies in one window of EXTENT_OWN_MAX of the file and shares no
 * block of the own file with another, so blocks are given back as their sources
 * die. Small writes would make small sources, each with a block of its own, so
 * they are joined: one behind the last source of the own file makes it longer,
 * and one into a block that has sources takes that block's other bytes with
 * it. Views without this would differ in nothing but space.
 *
 * The view's lock is held for writing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/crc32c.h"

#include "view_internal.h"

#define BLOCK LOG_OWN_BLOCK

/* What is written: [off, end) of the file, to `place` of the own file. */
struct own_write {
	uint64_t ino;
	uint64_t off, end;
	const uint8_t *bytes;
	uint64_t place;
	const struct extent *grows; /* the source that becomes longer, or NULL */
};

static uint64_t window_end(uint64_t off)
{
	return (off / EXTENT_OWN_MAX + 1) * EXTENT_OWN_MAX;
}

/* The extent that a write at `off` can make longer: it ends there, and where
 * the own file does. */
static const struct extent *growing(const struct extents *e, uint64_t off,
				    uint64_t own_end)
{
	const struct extent *x;
	uint32_t k;

	if (off == 0)
		return NULL;
	k = extents_first(e, off - 1);
	x = k < e->count ? &e->list[k] : NULL;
	if (!x || extent_kind(x) != EXTENT_OWN || extent_end(x) != off ||
	    x->slice != 0 || x->len != x->src_len ||
	    x->src_off + x->src_len != own_end || off == window_end(x->off))
		return NULL;
	return x;
}

/* Whether [off, end) is worth being taken along: some of it is in the own file
 * already, and none has to be fetched. */
static bool is_joined(const struct extents *e, uint64_t off, uint64_t end)
{
	bool own = false;
	uint32_t k;

	for (k = extents_first(e, off);
	     k < e->count && e->list[k].off < end && off < end; k++) {
		if (extent_kind(&e->list[k]) == EXTENT_BASE)
			return false;
		own |= extent_kind(&e->list[k]) == EXTENT_OWN;
	}
	return own;
}

/* Widens the write to whole blocks where that joins it with what is there. */
static void widen(const struct extents *e, uint64_t size, struct own_write *w)
{
	uint64_t start = w->off / BLOCK * BLOCK;
	uint64_t end = (w->end + BLOCK - 1) / BLOCK * BLOCK;

	if (end > size)
		end = size;
	if (!w->grows && is_joined(e, start, w->off))
		w->off = start;
	if (is_joined(e, w->end, end))
		w->end = end;
}

/* The bytes of the widened write; the caller frees. */
static int gather(const struct view *v, const struct extents *e,
		  const struct own_write *w, const void *buf, size_t len,
		  uint64_t off, uint8_t **ret_bytes)
{
	_cleanup_(view_plan_release) struct view_plan plan = { 0 };
	_cleanup_free_ uint8_t *bytes = malloc(w->end - w->off);
	int r;

	plan.parts = plan.few;
	if (!bytes)
		return -ENOMEM;
	/* Only upper bytes and holes: nothing is left for the plan. */
	r = view_plan_read(v, w->ino, e, bytes, off - w->off, w->off, &plan);
	if (r == 0)
		r = view_plan_read(v, w->ino, e, bytes + (off - w->off) + len,
				   w->end - off - len, off + len, &plan);
	if (r < 0)
		return r;
	memcpy(bytes + (off - w->off), buf, len);
	*ret_bytes = steal_ptr(&bytes);
	return 0;
}

/* The items: a source for each window that the write touches. */
static void put_items(struct view *v, const struct own_write *w)
{
	struct item item = { .type = ITEM_OWN };
	const uint8_t *at = w->bytes;
	uint64_t off, end;

	for (off = w->off; off < w->end; off = end, at += item.range.len) {
		end = window_end(off) < w->end ? window_end(off) : w->end;
		item.range = (struct item_range){
			.ino = w->ino,
			.off = off,
			.len = end - off,
			.crc = crc32c(0, at, end - off),
			.place = w->place + (off - w->off),
		};
		if (off == w->off && w->grows) {
			item.range.crc = crc32c(w->grows->crc, at, end - off);
			item.range.off = w->grows->off;
			item.range.len += w->grows->len;
			item.range.place = w->grows->src_off;
			item_put(&v->upper.items, &item);
			item.range.len -= w->grows->len;
			continue;
		}
		item_put(&v->upper.items, &item);
	}
}

static int write_out(struct view *v, const struct own_write *w)
{
	size_t len = w->end - w->off;
	int r;

	r = log_own_write(v->upper.log, w->ino, w->bytes, len, w->place);
	if (r == 0) {
		put_items(v, w);
		r = upper_append(&v->upper, NULL, 0);
	} else {
		buf_reset(&v->upper.items);
	}
	if (r == -ENOSPC || r == -EDQUOT)
		v->upper.full = true;
	/* No record refers to it, so it can go at once; what cannot stays
	 * unused. */
	if (r < 0)
		(void)log_own_punch(v->upper.log, w->ino, w->place, len);
	return r;
}

int view_put_own(struct view *v, uint64_t ino, const void *buf, size_t len,
		 uint64_t off)
{
	static const struct extents none;
	const struct inode *i = inodes_get(&v->upper.inodes, ino);
	const struct extents *e = i ? &i->extents : &none;
	struct own_write w = { .ino = ino, .off = off, .end = off + len };
	_cleanup_free_ uint8_t *joined = NULL;
	uint64_t end, disk;
	int r;

	r = log_own_size(v->upper.log, ino, true, &end, &disk);
	if (r == 0) {
		w.grows = growing(e, off, end);
		widen(e, i ? i->m.size : 0, &w);
		w.bytes = buf;
		if (w.off < off || w.end > off + len) {
			r = gather(v, e, &w, buf, len, off, &joined);
			w.bytes = joined;
		}
	}
	if (r < 0) {
		buf_reset(&v->upper.items);
		return r;
	}
	/* In its block of the own file where it is in its block of the file. */
	w.place = w.grows ? end :
			    (end + BLOCK - 1) / BLOCK * BLOCK + w.off % BLOCK;
	return write_out(v, &w);
}
