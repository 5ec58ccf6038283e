/* SPDX-License-Identifier: Apache-2.0 */
/* Extents: cutting, putting, what becomes dead, against a model by byte. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "fs/extents.h"

#define SIZE 400
#define SOURCES 64

/* What is dead, by source (0: bytes of the own file). */
struct dead {
	uint64_t own;
	unsigned source[SOURCES];
};

static void drop(void *arg, struct log_pos pos, uint64_t len)
{
	struct dead *d = arg;

	if (pos.segment == 0)
		d->own += len;
	else
		d->source[pos.off]++;
}

static void put(struct extents *e, const struct extent *x,
		const struct extents_sink *sink)
{
	assert_int_equal(extents_reserve(e, x->off), 0);
	extents_put(e, x, sink);
}

static void cut(struct extents *e, uint64_t off, uint64_t len,
		const struct extents_sink *sink)
{
	assert_int_equal(extents_reserve(e, off), 0);
	extents_cut(e, off, len, sink);
}

static struct extent log_extent(uint64_t off, uint32_t len, uint64_t source)
{
	return (struct extent){ .off = off,
				.len = len,
				.src = 1,
				.src_off = source,
				.src_len = len };
}

static void test_cut_in_the_middle(void **state)
{
	struct dead dead = { 0 };
	const struct extents_sink sink = { drop, &dead };
	struct extents e = { 0 };
	const struct extent x = log_extent(100, 50, 7);

	(void)state;
	put(&e, &x, &sink);
	cut(&e, 110, 10, &sink);
	assert_int_equal(e.count, 2);
	assert_int_equal(e.list[0].len, 10);
	assert_int_equal(e.list[1].off, 120);
	assert_int_equal(e.list[1].slice, 20);
	assert_int_equal(e.list[1].src_len, 50);
	/* The source lives as long as one slice of it does. */
	cut(&e, 0, 115, &sink);
	assert_int_equal(dead.source[7], 0);
	assert_true(extents_have_source(&e, &x));
	cut(&e, 0, UINT64_MAX, &sink);
	assert_int_equal(dead.source[7], 1);
	assert_int_equal(e.count, 0);
	extents_release(&e);
}

static void test_one_source_dies_once(void **state)
{
	struct dead dead = { 0 };
	const struct extents_sink sink = { drop, &dead };
	struct extents e = { 0 };
	const struct extent x = log_extent(0, 90, 3);

	(void)state;
	put(&e, &x, &sink);
	cut(&e, 20, 10, &sink);
	cut(&e, 50, 10, &sink);
	assert_int_equal(e.count, 3);
	cut(&e, 0, 100, &sink);
	assert_int_equal(dead.source[3], 1);
	extents_release(&e);
}

static void test_base_extents_merge(void **state)
{
	struct dead dead = { 0 };
	const struct extents_sink sink = { drop, &dead };
	struct extent x = { .len = 10, .src = EXTENT_TREE, .src_off = 9 };
	struct extents e = { 0 };

	(void)state;
	for (x.off = 0; x.off < 1000; x.off += 20)
		put(&e, &x, &sink);
	assert_int_equal(e.count, 50);
	for (x.off = 10; x.off < 1000; x.off += 20)
		put(&e, &x, &sink);
	assert_int_equal(e.count, 1);
	assert_int_equal(e.list[0].len, 1000);
	cut(&e, 500, UINT64_MAX, &sink);
	assert_int_equal(extents_bytes(&e), 500);
	assert_int_equal(dead.own, 0);
	extents_release(&e);
}

/* A source of the own file is a source as one of the log is. */
static void test_own_sources(void **state)
{
	struct dead dead = { 0 };
	const struct extents_sink sink = { drop, &dead };
	struct extent x = log_extent(0, 100, 4096);
	struct extents e = { 0 };

	(void)state;
	x.src = 0;
	put(&e, &x, &sink);
	cut(&e, 40, 20, &sink);
	assert_int_equal(e.count, 2);
	assert_int_equal(e.list[1].slice, 60);
	assert_true(extents_have_source(&e, &x));
	cut(&e, 0, 50, &sink);
	assert_int_equal(dead.own, 0);
	cut(&e, 60, 40, &sink);
	assert_int_equal(dead.own, 100);
	assert_false(extents_have_source(&e, &x));
	extents_release(&e);
}

static void test_finding(void **state)
{
	struct dead dead = { 0 };
	const struct extents_sink sink = { drop, &dead };
	struct extents e = { 0 };
	const struct extent base = { .off = 0,
				     .len = 100,
				     .src = EXTENT_TREE | 5,
				     .src_off = 9 };

	(void)state;
	assert_int_equal(extents_first(&e, 0), 0);
	put(&e, &base, &sink);
	assert_int_equal(extent_kind(&e.list[0]), EXTENT_BASE);
	assert_int_equal(extent_tree(&e.list[0]), 5);
	assert_false(extents_upper_in(&e, 0, UINT64_MAX));
	put(&e, &(struct extent){ .off = 50, .len = 10 }, &sink);
	assert_int_equal(e.count, 3);
	assert_int_equal(extents_first(&e, 49), 0);
	assert_int_equal(extents_first(&e, 50), 1);
	assert_int_equal(extents_first(&e, 60), 2);
	assert_int_equal(extents_first(&e, 100), 3);
	assert_false(extents_upper_in(&e, 0, 50));
	assert_true(extents_upper_in(&e, 0, 51));
	assert_true(extents_upper_in(&e, 59, 1));
	assert_false(extents_upper_in(&e, 60, 1));
	assert_true(extents_have(&e, EXTENT_OWN));
	assert_false(extents_have(&e, EXTENT_LOG));
	assert_int_equal(extents_bytes(&e), 100);
	extents_release(&e);
}

/* By byte: which source, and where in it. */
struct byte {
	uint32_t src;
	uint64_t src_off;
	uint64_t at; /* slice for log sources */
};

static void check(const struct extents *e, const struct byte *model)
{
	uint64_t pos = 0, last = 0;
	uint32_t k;

	for (k = 0; k < e->count; k++) {
		const struct extent *x = &e->list[k];

		assert_true(x->len > 0);
		assert_true(x->off >= last);
		for (; pos < x->off; pos++)
			assert_int_equal(model[pos].src, UINT32_MAX);
		for (; pos < extent_end(x); pos++) {
			assert_int_equal(model[pos].src, x->src);
			assert_int_equal(model[pos].src_off, x->src_off);
			if (x->src == 1)
				assert_int_equal(model[pos].at,
						 x->slice + pos - x->off);
		}
		last = extent_end(x);
	}
	for (; pos < SIZE; pos++)
		assert_int_equal(model[pos].src, UINT32_MAX);
}

static bool source_in(const struct byte *model, uint64_t source)
{
	unsigned i;

	for (i = 0; i < SIZE; i++)
		if (model[i].src == 1 && model[i].src_off == source)
			return true;
	return false;
}

static void test_random(void **state)
{
	struct dead dead = { 0 };
	const struct extents_sink sink = { drop, &dead };
	static const uint32_t kinds[] = { 1, 1, 0, EXTENT_TREE | 2 };
	struct extents e = { 0 };
	struct byte model[SIZE];
	bool alive[SOURCES] = { 0 };
	unsigned step, i;

	(void)state;
	srand(4711);
	for (i = 0; i < SIZE; i++)
		model[i].src = UINT32_MAX;
	for (step = 0; step < 20000; step++) {
		uint32_t off = (uint32_t)rand() % SIZE;
		uint32_t len = 1 + (uint32_t)rand() % (SIZE - off);
		struct extent x =
			log_extent(off, len % 40 + 1, rand() % SOURCES);

		if (rand() % 3)
			x.len = x.src_len = len > 40 ? 40 : len;
		if (x.off + x.len > SIZE)
			x.len = x.src_len = SIZE - x.off;
		x.src = kinds[rand() % 4];
		if (x.src == 1 && alive[x.src_off])
			continue; /* a source is written once */
		if (x.src == 0)
			x.src_off = SOURCES + step;
		if (x.src > 1)
			x.src_off = 77;
		if (rand() % 4 == 0) {
			cut(&e, off, len, &sink);
			for (i = off; i < off + len; i++)
				model[i].src = UINT32_MAX;
		} else {
			put(&e, &x, &sink);
			for (i = 0; i < x.len; i++)
				model[off + i] =
					(struct byte){ x.src, x.src_off, i };
			if (x.src == 1)
				alive[x.src_off] = true;
		}
		check(&e, model);
		for (i = 0; i < SOURCES; i++) {
			bool in = source_in(model, i);

			assert_int_equal(dead.source[i], alive[i] && !in);
			if (alive[i] && !in) {
				alive[i] = false;
				dead.source[i] = 0;
			}
		}
	}
	extents_release(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_in_the_middle),
		cmocka_unit_test(test_one_source_dies_once),
		cmocka_unit_test(test_base_extents_merge),
		cmocka_unit_test(test_own_sources),
		cmocka_unit_test(test_finding),
		cmocka_unit_test(test_random),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
