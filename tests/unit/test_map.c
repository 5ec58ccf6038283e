/* SPDX-License-Identifier: Apache-2.0 */
/* The hash map against a plain array, and the hashes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "store/base/map.h"

static int marks[1000];

static void test_empty(void **state)
{
	struct map m = MAP_INIT;
	size_t pos = 0;

	(void)state;
	assert_null(map_get(&m, 1));
	assert_null(map_get(&m, 0));
	assert_null(map_remove(&m, 1));
	assert_null(map_next(&m, &pos, NULL));
	map_release(&m);
}

static void test_replace(void **state)
{
	struct map m = MAP_INIT;

	(void)state;
	assert_int_equal(map_put(&m, 7, &marks[0]), 0);
	assert_int_equal(map_put(&m, 7, &marks[1]), 0);
	assert_int_equal(m.count, 1);
	assert_ptr_equal(map_get(&m, 7), &marks[1]);
	assert_null(map_get(&m, 0));
	assert_ptr_equal(map_remove(&m, 7), &marks[1]);
	assert_null(map_get(&m, 7));
	assert_int_equal(m.count, 0);
	map_release(&m);
}

/* Random insertions and removals over few keys, so that runs are long and
 * wrap round; after each step one key, and at times all, are compared. */
static void test_against_array(void **state)
{
	struct map m = MAP_INIT;
	void *want[48] = { NULL };
	uint64_t r = 1;
	size_t count = 0;
	int step, i;

	(void)state;
	for (step = 0; step < 200000; step++) {
		size_t k;

		r = r * UINT64_C(6364136223846793005) + 1442695040888963407;
		k = (r >> 40) % 48;
		if (r >> 63) {
			count += !want[k];
			want[k] = &marks[(r >> 20) % 1000];
			assert_int_equal(map_put(&m, k + 1, want[k]), 0);
		} else {
			assert_ptr_equal(map_remove(&m, k + 1), want[k]);
			count -= !!want[k];
			want[k] = NULL;
		}
		assert_int_equal(m.count, count);
		for (i = 0; i < 48 && step % 16 == 0; i++)
			assert_ptr_equal(map_get(&m, i + 1), want[i]);
	}
	assert_int_equal(m.cap, 64);
	map_release(&m);
}

static void test_many_and_iteration(void **state)
{
	enum { N = 100000 };
	struct map m = MAP_INIT;
	char *seen = calloc(N, 1);
	uint64_t key = 0;
	size_t pos = 0, i;

	(void)state;
	assert_non_null(seen);
	for (i = 0; i < N; i++)
		assert_int_equal(map_put(&m, (uint64_t)(i + 1) << 32,
					 &marks[i % 1000]),
				 0);
	assert_true(m.count <= m.cap - m.cap / 4);
	for (i = 0; i < N; i++) {
		void *value = map_next(&m, &pos, &key);

		assert_ptr_equal(value, &marks[((key >> 32) - 1) % 1000]);
		assert_int_equal(seen[(key >> 32) - 1]++, 0);
	}
	assert_null(map_next(&m, &pos, &key));
	for (i = 0; i < N; i++)
		assert_ptr_equal(map_get(&m, (uint64_t)(i + 1) << 32),
				 &marks[i % 1000]);
	free(seen);
	map_release(&m);
}

/* Every length to 100, every single byte changed: another hash. */
static void test_hash_depends_on_each_byte(void **state)
{
	uint8_t data[100];
	size_t len, i;

	(void)state;
	for (i = 0; i < sizeof(data); i++)
		data[i] = i;
	for (len = 0; len <= sizeof(data); len++) {
		uint64_t h = map_hash_bytes(data, len, 5);

		assert_true(h != 0);
		assert_true(h == map_hash_bytes(data, len, 5));
		assert_true(h != map_hash_bytes(data, len, 6));
		for (i = 0; i < len; i++) {
			data[i] ^= 1;
			assert_true(h != map_hash_bytes(data, len, 5));
			data[i] ^= 1;
		}
	}
	assert_true(map_hash_bytes(NULL, 0, 1) != 0);
}

/* Zero bytes at the end count, though the last step is padded with zeros. */
static void test_hash_depends_on_length(void **state)
{
	static const uint8_t zeros[64];
	size_t a, b;

	(void)state;
	for (a = 0; a < sizeof(zeros); a++)
		for (b = 0; b < a; b++)
			assert_true(map_hash_bytes(zeros, a, 0) !=
				    map_hash_bytes(zeros, b, 0));
}

/* Keys that differ in one bit spread over the low bits of the hash. */
static void test_hash_u64_spreads(void **state)
{
	unsigned hits[64] = { 0 };
	unsigned i;

	(void)state;
	for (i = 0; i < 64 * 100; i++)
		hits[map_hash_u64((uint64_t)i << 40) & 63]++;
	for (i = 0; i < 64; i++)
		assert_in_range(hits[i], 50, 150);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_replace),
		cmocka_unit_test(test_against_array),
		cmocka_unit_test(test_many_and_iteration),
		cmocka_unit_test(test_hash_depends_on_each_byte),
		cmocka_unit_test(test_hash_depends_on_length),
		cmocka_unit_test(test_hash_u64_spreads),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
