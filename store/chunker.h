/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where files are cut into chunks.
 *
 * A stretch of data, between two holes (hole.h) or all of a file, of up to
 * CHUNK_MAX bytes is one chunk. A larger one is cut by
 * FastCDC in the form that the Remote Execution API calls FastCdc2020
 * (normalization 2, average 512 KiB, minimum average/4, maximum average*4,
 * seed 0; gear table: the high 64 bits of MD5 of each byte value repeated 64
 * times, as in the implementations that the specification names). The
 * published test vectors of that specification are in tests/unit.
 *
 * Pure functions; no state, no allocation.
 */
#ifndef LARDER_CHUNKER_H
#define LARDER_CHUNKER_H

#include <stddef.h>
#include <stdint.h>

#define CHUNK_MAX (2u << 20)
#define CHUNK_AVG (512u << 10)
#define CHUNK_MIN (128u << 10)

/* Parameters of one FastCDC instance, for tests with other sizes. */
struct chunker {
	uint32_t min, avg, max;
	uint64_t mask_s, mask_l; /* before and after the average */
	uint64_t mask_s_ls, mask_l_ls;
};

/* `avg` is a power of two from 1 KiB to 1 MiB. */
void chunker_init(struct chunker *c, uint32_t avg);

/* The length of the first chunk of `data`. `len` is all that is left of the
 * file, or at least c->max bytes. Returns 1..c->max (0 when len is 0). */
size_t chunker_cut(const struct chunker *c, const void *data, size_t len);

#endif
