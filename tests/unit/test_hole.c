/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding holes, against a search that looks at every block.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "store/hole.h"

#define ROOM (40 * (size_t)HOLE_BLOCK)

static void zeros_of_all_lengths(void **state)
{
	uint8_t data[100] = { 0 };
	size_t len, at;

	(void)state;
	for (len = 0; len <= sizeof(data); len++) {
		assert_true(hole_is_zero(data, len));
		for (at = 0; at < len; at++) {
			data[at] = 1;
			assert_false(hole_is_zero(data, len));
			data[at] = 0;
		}
	}
}

static size_t slow_find(const uint8_t *data, size_t len, uint64_t off)
{
	size_t pos, i;

	for (pos = 0; pos + HOLE_MIN <= len; pos++) {
		if ((off + pos) % HOLE_BLOCK != 0)
			continue;
		for (i = 0; i < HOLE_MIN && data[pos + i] == 0; i++)
			;
		if (i == HOLE_MIN)
			return pos;
	}
	return len;
}

/* Single bytes of data, so thinly that there are holes or so thickly that
 * there are few. */
static void thousands_of_layouts(void **state)
{
	uint8_t *data = malloc(ROOM);
	unsigned turn, found = 0;
	size_t k, want;

	(void)state;
	assert_non_null(data);
	srandom(1);
	for (turn = 0; turn < 3000; turn++) {
		size_t len = (size_t)random() % ROOM;
		uint64_t off = (uint64_t)random() << (turn % 20);

		memset(data, 0, ROOM);
		for (k = 0; k < turn % 16; k++)
			data[(size_t)random() % ROOM] = 1;
		want = slow_find(data, len, off);
		assert_int_equal(hole_find(data, len, off), want);
		found += want < len;
	}
	assert_in_range(found, 500, 2900);
	free(data);
}

static void lengths(void **state)
{
	uint8_t *data = calloc(1, ROOM);

	(void)state;
	assert_non_null(data);
	assert_int_equal(hole_length(data, ROOM, false), ROOM);
	/* Whether a block begins here that is not zeros is not known yet. */
	assert_int_equal(hole_length(data, ROOM - 1, false), ROOM - HOLE_BLOCK);
	assert_int_equal(hole_length(data, ROOM - 1, true), ROOM - 1);
	data[ROOM - 2] = 1;
	assert_int_equal(hole_length(data, ROOM - 1, true), ROOM - HOLE_BLOCK);
	data[HOLE_BLOCK - 1] = 1;
	assert_int_equal(hole_length(data, ROOM, false), 0);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zeros_of_all_lengths),
		cmocka_unit_test(thousands_of_layouts),
		cmocka_unit_test(lengths),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
