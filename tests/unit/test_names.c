/* SPDX-License-Identifier: Apache-2.0 */
/* The name table, and the order of a directory's names. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "fs/names.h"

static void set(struct names *t, uint64_t dir, const char *text, uint64_t ino,
		uint64_t seq)
{
	const struct name_value value = { .ino = ino, .seq = seq, .epoch = 1 };

	assert_int_equal(names_set(t, dir, text, strlen(text), &value), 0);
}

static struct name *get(struct names *t, uint64_t dir, const char *text)
{
	return names_find(t, dir, text, strlen(text));
}

static void test_set_and_find(void **state)
{
	struct names t = { 0 };

	(void)state;
	assert_null(get(&t, 1, "a"));
	set(&t, 1, "a", 10, 1);
	set(&t, 2, "a", 20, 2);
	set(&t, 1, "ab", 30, 3);
	assert_int_equal(get(&t, 1, "a")->ino, 10);
	assert_int_equal(get(&t, 2, "a")->ino, 20);
	assert_int_equal(get(&t, 1, "ab")->ino, 30);
	assert_null(get(&t, 2, "ab"));
	/* Changing keeps the place. */
	set(&t, 1, "a", 11, 99);
	assert_int_equal(get(&t, 1, "a")->ino, 11);
	assert_int_equal(get(&t, 1, "a")->seq, 1);
	names_remove(&t, 1, "a", 1);
	assert_null(get(&t, 1, "a"));
	assert_non_null(get(&t, 2, "a"));
	names_remove(&t, 1, "a", 1);
	assert_int_equal(t.count, 2);
	names_release(&t);
}

static void test_overrides(void **state)
{
	struct names t = { 0 };

	(void)state;
	assert_int_equal(names_overrides(&t, 1), 0);
	set(&t, 1, "base", 0, 0);
	set(&t, 1, "new", 5, 1);
	assert_int_equal(names_overrides(&t, 1), 1);
	assert_int_equal(get(&t, 1, "base")->ino, 0);
	assert_int_equal(names_after(&t, 1, 0)->ino, 5);
	assert_null(names_after(&t, 1, 1));
	names_drop_dir(&t, 1); /* has names: nothing happens */
	assert_int_equal(names_overrides(&t, 1), 1);
	names_remove(&t, 1, "base", 4);
	assert_int_equal(names_overrides(&t, 1), 0);
	names_remove(&t, 1, "new", 3);
	names_drop_dir(&t, 1);
	assert_int_equal(t.dirs.count, 0);
	names_release(&t);
}

static unsigned count_order(struct names *t, uint64_t dir)
{
	const struct name *n;
	uint64_t seq = 0;
	unsigned count = 0;

	while ((n = names_after(t, dir, seq))) {
		assert_true(n->seq > seq);
		seq = n->seq;
		count++;
	}
	return count;
}

/* Order holds while names go from either end and from between. */
static void test_order(void **state)
{
	struct names t = { 0 };
	char text[16];
	unsigned i;

	(void)state;
	for (i = 1; i <= 5000; i++) {
		snprintf(text, sizeof(text), "n%u", i);
		set(&t, 7, text, i, i);
	}
	assert_int_equal(count_order(&t, 7), 5000);
	for (i = 1; i <= 5000; i++) {
		snprintf(text, sizeof(text), "n%u", i);
		if (i < 1000 || i > 4000 || i % 3 == 0)
			names_remove(&t, 7, text, strlen(text));
	}
	assert_int_equal(count_order(&t, 7), t.count);
	assert_int_equal(names_after(&t, 7, 0)->seq, 1000);
	assert_int_equal(names_after(&t, 7, 1000)->seq, 1001);
	assert_int_equal(names_after(&t, 7, 1001)->seq, 1003);
	assert_null(names_after(&t, 7, 4000));
	set(&t, 7, "late", 1, 9000);
	assert_int_equal(names_after(&t, 7, 4000)->seq, 9000);
	names_release(&t);
}

/* A checkpoint gives names in no order. */
static void test_any_order_of_making(void **state)
{
	static const uint64_t seqs[] = { 5, 1, 9, 3, 7, 2, 8, 4, 6 };
	struct names t = { 0 };
	char text[16];
	size_t i;

	(void)state;
	for (i = 0; i < 9; i++) {
		snprintf(text, sizeof(text), "n%u", (unsigned)seqs[i]);
		set(&t, 7, text, seqs[i], seqs[i]);
	}
	assert_int_equal(count_order(&t, 7), 9);
	names_release(&t);
}

static void test_reserve(void **state)
{
	const struct name_value value = { .ino = 1, .seq = 1 };
	struct names t = { 0 };

	(void)state;
	assert_int_equal(names_reserve(&t, 3, "x", 1, 1), 0);
	assert_int_equal(names_reserve(&t, 3, "x", 1, 1), 0);
	assert_int_equal(t.nspares, 1);
	assert_null(get(&t, 3, "x"));
	assert_int_equal(names_set(&t, 3, "x", 1, &value), 0);
	assert_int_equal(t.nspares, 0);
	assert_int_equal(names_reserve(&t, 3, "y", 1, 2), 0);
	names_drop_spares(&t);
	assert_int_equal(t.nspares, 0);
	assert_null(get(&t, 3, "y"));
	assert_int_equal(t.count, 1);
	names_release(&t);
}

static void test_longest_name(void **state)
{
	struct names t = { 0 };
	char text[255];
	const struct name_value value = { .ino = 1, .seq = 1 };

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(names_set(&t, 3, text, 255, &value), 0);
	assert_non_null(names_find(&t, 3, text, 255));
	assert_null(names_find(&t, 3, text, 254));
	names_release(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_and_find),
		cmocka_unit_test(test_overrides),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_any_order_of_making),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_longest_name),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
