/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holes of files: which zeros of a file's content are stored as nothing at
 * all. What the content is decides, never whether the file system that it came
 * from had blocks there, so that the same tree gives the same catalog from
 * wherever it comes.
 *
 * A hole begins at a multiple of HOLE_BLOCK of the file and is a run of at
 * least HOLE_MIN zeros. It ends at such a multiple as well, or with the file.
 * Shorter runs compress to nearly nothing, and a piece more costs what they
 * would save.
 *
 * Pure functions; no state, no allocation.
 */
#ifndef LARDER_HOLE_H
#define LARDER_HOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLE_BLOCK 4096u
#define HOLE_MIN (16u << 10)

/* Whether all of it is zeros; nothing is. */
bool hole_is_zero(const void *data, size_t len);

/*
 * Where the first hole begins in `data`, which lies at `off` of its file; `len`
 * where there is none. One of which less than HOLE_MIN is in `data` is not
 * seen.
 */
size_t hole_find(const void *data, size_t len, uint64_t off);

/* How much of a hole that begins with `data`, or goes on there, is in it: whole
 * blocks, and with `at_end` (the file ends with `data`) what is behind them. */
size_t hole_length(const void *data, size_t len, bool at_end);

#endif
