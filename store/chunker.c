/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FastCDC, after W. Xia et al., "The Design of Fast Content-Defined Chunking
 * for Data Deduplication Based Storage Systems" (2020). A gear hash rolls
 * over the bytes from the minimum on; a cut lies where the masked bits of
 * the hash are all zero. Before the average a mask with two bits more than
 * the average asks for makes a cut rarer, behind it one with two bits less
 * makes it likelier ("normalization level 2"), so sizes gather round the
 * average.
 *
 * Two bytes are rolled in each step: the hash moves by two bits, the first
 * byte's value is taken shifted by one, and its test uses masks shifted by
 * one as well. The hash restarts at zero at every chunk, so the bytes of a
 * chunk alone decide where it ends.
 */
#include "chunker.h"

#include "chunker_gear.h"

#define NORMALIZATION 2
#define MASK_BITS_MIN 8 /* 1 KiB is 10 bits, less the normalization */

/* Masks with about so many bits, spread as the paper's authors chose them:
 * constants of the algorithm, on which all implementations agree. */
static const uint64_t masks[] = {
	0x0000001800035300,			/* 2^8 */
	0x0000019000353000, 0x0000590003530000, /* 2^10 */
	0x0000d90003530000, 0x0000d90103530000, /* 2^12 */
	0x0000d90303530000, 0x0000d90313530000, /* 2^14 */
	0x0000d90f03530000, 0x0000d90303537000, /* 2^16 */
	0x0000d90703537000, 0x0000d90707537000, /* 2^18 */
	0x0000d91707537000, 0x0000d91747537000, /* 2^20 */
	0x0000d91767537000, 0x0000d93767537000, /* 2^22 */
};

void chunker_init(struct chunker *c, uint32_t avg)
{
	unsigned bits = __builtin_ctz(avg);

	c->min = avg / 4;
	c->avg = avg;
	c->max = avg * 4;
	c->mask_s = masks[bits + NORMALIZATION - MASK_BITS_MIN];
	c->mask_l = masks[bits - NORMALIZATION - MASK_BITS_MIN];
	c->mask_s_ls = c->mask_s << 1;
	c->mask_l_ls = c->mask_l << 1;
}

/* Looks for a cut in [from, to), both rounded down to even, with one pair of
 * masks. The position, or 0 where there is none. */
static size_t scan(const uint8_t *data, size_t from, size_t to, uint64_t mask,
		   uint64_t mask_ls, uint64_t *hash)
{
	uint64_t h = *hash;
	size_t i;

	to &= ~(size_t)1;
	for (i = from & ~(size_t)1; i < to; i += 2) {
		h = (h << 2) + (chunker_gear[data[i]] << 1);
		if ((h & mask_ls) == 0)
			return i;
		h += chunker_gear[data[i + 1]];
		if ((h & mask) == 0)
			return i + 1;
	}
	*hash = h;
	return 0;
}

size_t chunker_cut(const struct chunker *c, const void *data, size_t len)
{
	size_t end = len < c->max ? len : c->max;
	size_t normal = end < c->avg ? end : c->avg;
	uint64_t hash = 0;
	size_t cut;

	if (len <= c->min)
		return len;
	cut = scan(data, c->min, normal, c->mask_s, c->mask_s_ls, &hash);
	if (cut == 0)
		cut = scan(data, normal, end, c->mask_l, c->mask_l_ls, &hash);
	return cut ? cut : end;
}
