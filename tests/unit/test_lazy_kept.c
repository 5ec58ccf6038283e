/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks that are kept for their reader: taken once, by the tree that they are
 * of, and no more of them than there may be.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "store/lazy_internal.h"

struct ground {
	struct lazy l;
	struct lazy_tree one, two;
};

static int setup(void **state)
{
	struct ground *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	TAILQ_INIT(&g->l.shelf.all);
	pthread_mutex_init(&g->l.lock, NULL);
	pthread_mutex_lock(&g->l.lock);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct ground *g = *state;

	lazy_kept_drop(&g->l, NULL);
	assert_int_equal(g->l.shelf.bytes, 0);
	pthread_mutex_unlock(&g->l.lock);
	pthread_mutex_destroy(&g->l.lock);
	free(g);
	return 0;
}

static void put(struct ground *g, const struct lazy_tree *lt, uint32_t chunk,
		uint32_t size, int byte)
{
	struct lazy_kept *k = lazy_kept_new(lt, chunk, size);

	assert_non_null(k);
	memset(k->data, byte, size);
	lazy_kept_put(&g->l, k);
}

/* The byte that it is full of, or -1 where it is not there. */
static int take(struct ground *g, const struct lazy_tree *lt, uint32_t chunk,
		uint32_t size)
{
	struct lazy_kept *k = lazy_kept_take(&g->l, lt, chunk);
	int byte = -1;

	if (k) {
		assert_int_equal(k->size, size);
		byte = k->data[0];
		assert_int_equal(k->data[size - 1], byte);
	}
	free(k);
	return byte;
}

static void each_is_taken_once(void **state)
{
	struct ground *g = *state;

	assert_int_equal(take(g, &g->one, 7, 10), -1);
	put(g, &g->one, 7, 10, 1);
	put(g, &g->two, 7, 20, 2);
	/* In the same bucket. */
	put(g, &g->one, 7 + LAZY_KEPT_BUCKETS, 30, 3);
	assert_int_equal(take(g, &g->one, 8, 10), -1);
	assert_int_equal(take(g, &g->two, 7 + LAZY_KEPT_BUCKETS, 30), -1);
	assert_int_equal(take(g, &g->one, 7, 10), 1);
	assert_int_equal(take(g, &g->one, 7, 10), -1);
	assert_int_equal(take(g, &g->one, 7 + LAZY_KEPT_BUCKETS, 30), 3);
	assert_int_equal(take(g, &g->two, 7, 20), 2);
	assert_int_equal(g->l.shelf.bytes, 0);
}

static void one_that_comes_again_takes_its_place(void **state)
{
	struct ground *g = *state;
	size_t bytes;

	put(g, &g->one, 1, 10, 1);
	bytes = g->l.shelf.bytes;
	put(g, &g->one, 1, 10, 2);
	assert_int_equal(g->l.shelf.bytes, bytes);
	assert_int_equal(take(g, &g->one, 1, 10), 2);
	assert_int_equal(take(g, &g->one, 1, 10), -1);
}

static void the_oldest_go_first(void **state)
{
	struct ground *g = *state;
	size_t most = 0;
	uint32_t c, first;

	for (c = 0; c < 3000; c++) {
		put(g, &g->one, c, 16000, c & 0x7f);
		most = g->l.shelf.bytes > most ? g->l.shelf.bytes : most;
	}
	assert_true(most > 16u << 20);
	assert_true(most <= 32u << 20);
	for (first = 0; take(g, &g->one, first, 16000) < 0; first++)
		assert_true(first < 3000);
	assert_true(first > 0);
	for (c = first + 1; c < 3000; c++)
		assert_int_equal(take(g, &g->one, c, 16000), c & 0x7f);
}

static void a_tree_takes_its_own_along(void **state)
{
	struct ground *g = *state;
	uint32_t c;

	for (c = 0; c < 10; c++) {
		put(g, &g->one, c, 10, 1);
		put(g, &g->two, c, 10, 2);
	}
	lazy_kept_drop(&g->l, &g->one);
	for (c = 0; c < 10; c++) {
		assert_int_equal(take(g, &g->one, c, 10), -1);
		assert_int_equal(take(g, &g->two, c, 10), 2);
	}
}

static void what_nobody_reads_goes(void **state)
{
	struct ground *g = *state;

	assert_int_equal(lazy_kept_until(&g->l), 0);
	put(g, &g->one, 1, 10, 1);
	assert_true(lazy_kept_until(&g->l) > g->l.shelf.touched_ns);
	lazy_kept_expire(&g->l);
	assert_int_equal(lazy_kept_until(&g->l), 0);
	assert_int_equal(take(g, &g->one, 1, 10), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_is_taken_once),
		TEST(one_that_comes_again_takes_its_place),
		TEST(the_oldest_go_first),
		TEST(a_tree_takes_its_own_along),
		TEST(what_nobody_reads_goes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
