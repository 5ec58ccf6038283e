/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The extents of one file: which bytes come from where. A sorted array without
 * overlaps; what no extent covers is zeros. Three sources:
 *
 *	log	a slice of the data of one log record
 *	own	a slice of what was written to the file's own file at once
 *	base	bytes of a catalog's file at the same offset
 *
 * Of the first two the whole source range and its CRC32C are kept, since only
 * the whole can be checked. A source is never written to again, but one
 * of the own file may grow at its end; extents_put() then gets the longer one,
 * of the same place, in place of the shorter.
 *
 * An array is its owner's (the inode record's, guarded by the view's lock). It
 * never reads or writes data; what becomes unused is told to a sink.
 */
#ifndef LARDER_FS_EXTENTS_H
#define LARDER_FS_EXTENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "log.h"

/* Data of one record at most: what a read of one byte has to check. */
#define EXTENT_SOURCE_MAX (256u << 10)

/* Of the own file: there, reads of a few bytes are not rare. */
#define EXTENT_OWN_MAX (64u << 10)

/* `src` of an extent: 0 own file, this bit and a tree's number, else the
 * number of a log segment. */
#define EXTENT_TREE (UINT32_C(1) << 31)

enum extent_kind { EXTENT_LOG, EXTENT_OWN, EXTENT_BASE };

struct extent {
	uint64_t off, len; /* in the file */
	uint64_t src_off;  /* where the source begins; base: its inode */
	uint32_t src;
	uint32_t src_len; /* of the whole source, as the next two; not of base */
	uint32_t slice;	  /* where in the source the extent begins */
	uint32_t crc;
};

struct extents {
	struct extent *list;
	uint32_t count, cap;
};

/* Told of what is no longer used: all of a source, once its last slice is
 * gone (pos.segment 0: of the own file). */
struct extents_sink {
	void (*drop)(void *arg, struct log_pos pos, uint64_t len);
	void *arg;
};

static inline enum extent_kind extent_kind(const struct extent *x)
{
	if (x->src == 0)
		return EXTENT_OWN;
	return x->src & EXTENT_TREE ? EXTENT_BASE : EXTENT_LOG;
}

static inline uint64_t extent_end(const struct extent *x)
{
	return x->off + x->len;
}

static inline uint32_t extent_tree(const struct extent *x)
{
	return x->src & ~EXTENT_TREE;
}

static inline struct log_pos extent_pos(const struct extent *x)
{
	return (struct log_pos){ .segment = x->src, .off = x->src_off };
}

void extents_release(struct extents *e); /* memory only; tells no sink */

/* Room for one extents_put() at `off` or one extents_cut(). -ENOMEM. */
int extents_reserve(struct extents *e, uint64_t off);

/* Room for `n` of them, anywhere. */
int extents_reserve_many(struct extents *e, uint32_t n);

/* Both need the room that extents_reserve() makes and cannot fail. `len` may
 * reach beyond the end of the number space. */
void extents_cut(struct extents *e, uint64_t off, uint64_t len,
		 const struct extents_sink *sink);
void extents_put(struct extents *e, const struct extent *x,
		 const struct extents_sink *sink);

/* The index of the first extent that ends behind `off`; `count` if none. */
uint32_t extents_first(const struct extents *e, uint64_t off);

/* Whether any extent that is not base touches the range. */
bool extents_upper_in(const struct extents *e, uint64_t off, uint64_t len);

/* Whether any extent is of this kind. */
bool extents_have(const struct extents *e, enum extent_kind kind);

/* Whether any extent is a slice of the same source as `x`. */
bool extents_have_source(const struct extents *e, const struct extent *x);

/* Bytes covered. */
uint64_t extents_bytes(const struct extents *e);

#endif
