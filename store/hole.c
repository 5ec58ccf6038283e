/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding holes. A hole has a whole block at some multiple of HOLE_MIN, so the
 * search looks at no other block until one of those is zeros; and a block that
 * is data shows it in its first bytes mostly.
 */
#include "hole.h"

#include <string.h>

#define HEAD 16 /* bytes that are looked at one by one */

_Static_assert(HOLE_MIN % HOLE_BLOCK == 0, "holes are whole blocks");

bool hole_is_zero(const void *data, size_t len)
{
	const uint8_t *bytes = data;
	size_t head = len < HEAD ? len : HEAD;
	size_t i;

	for (i = 0; i < head; i++)
		if (bytes[i])
			return false;
	return len <= HEAD || memcmp(bytes, bytes + HEAD, len - HEAD) == 0;
}

/* Where the blocks of zeros begin that end with the one at `pos`; none is
 * before `first`. */
static size_t run_begin(const uint8_t *data, size_t first, size_t pos)
{
	while (pos >= first + HOLE_BLOCK &&
	       hole_is_zero(data + pos - HOLE_BLOCK, HOLE_BLOCK))
		pos -= HOLE_BLOCK;
	return pos;
}

size_t hole_find(const void *data, size_t len, uint64_t off)
{
	const uint8_t *bytes = data;
	size_t first = -off % HOLE_BLOCK, pos = -off % HOLE_MIN;

	while (pos + HOLE_BLOCK <= len) {
		size_t begin;

		if (hole_is_zero(bytes + pos, HOLE_BLOCK)) {
			begin = run_begin(bytes, first, pos);
			if (len - begin >= HOLE_MIN &&
			    hole_is_zero(bytes + begin, HOLE_MIN))
				return begin;
		}
		pos += HOLE_MIN;
	}
	return len;
}

size_t hole_length(const void *data, size_t len, bool at_end)
{
	const uint8_t *bytes = data;
	size_t n = 0;

	while (n + HOLE_BLOCK <= len && hole_is_zero(bytes + n, HOLE_BLOCK))
		n += HOLE_BLOCK;
	if (at_end && len - n < HOLE_BLOCK && hole_is_zero(bytes + n, len - n))
		return len;
	return n;
}
