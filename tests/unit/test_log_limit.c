/* SPDX-License-Identifier: Apache-2.0 */
/* Which lines of a log are written, and what is said of the others. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "store/base/log_limit.h"

#define MAX 4
#define TEXTS 100 /* more than are watched */

static struct log_dropped said[MAX];
static unsigned nsaid;
static int64_t now_ns; /* goes on over all tests, as the table does */

static bool pass(const char *text)
{
	return log_limit_pass(4, text, strlen(text), now_ns, said, MAX, &nsaid);
}

static void expect_all(const char *text, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		assert_true(pass(text));
		assert_int_equal(nsaid, 0);
	}
}

/* The table is empty afterwards. */
static int time_passes(void **state)
{
	(void)state;
	now_ns += 2 * LOG_LIMIT_NS;
	do
		(void)pass("time");
	while (nsaid > 0);
	now_ns += 2 * LOG_LIMIT_NS;
	return 0;
}

static void test_same(void **state)
{
	(void)state;
	expect_all("same", LOG_LIMIT_COUNT);
	for (unsigned i = 0; i < 1000; i++) {
		assert_false(pass("same"));
		assert_int_equal(nsaid, 0);
	}
	assert_true(pass("another"));
	assert_int_equal(nsaid, 0);
	now_ns += LOG_LIMIT_NS;
	assert_true(pass("a third"));
	assert_int_equal(nsaid, 1);
	assert_int_equal(said[0].count, 1000);
	assert_int_equal(said[0].level, 4);
	assert_string_equal(said[0].text, "same");
	expect_all("same", LOG_LIMIT_COUNT);
	assert_false(pass("same"));
}

static void test_in_time(void **state)
{
	(void)state;
	/* Ten a minute are no flood, for how long it may be. */
	for (unsigned i = 0; i < 20; i++) {
		expect_all("now and then", LOG_LIMIT_COUNT);
		now_ns += LOG_LIMIT_NS;
	}
}

static void test_level_counts(void **state)
{
	(void)state;
	expect_all("x", LOG_LIMIT_COUNT);
	assert_false(pass("x"));
	assert_true(log_limit_pass(3, "x", 1, now_ns, said, MAX, &nsaid));
}

/* What makes room is said. */
static void test_many_texts(void **state)
{
	char text[32];
	unsigned dropped = 0;

	(void)state;
	expect_all("flood", LOG_LIMIT_COUNT);
	assert_false(pass("flood"));
	assert_false(pass("flood"));
	for (unsigned i = 0; i < TEXTS; i++) {
		snprintf(text, sizeof(text), "text %u", i);
		now_ns++;
		assert_true(pass(text));
		for (unsigned k = 0; k < nsaid; k++) {
			assert_string_equal(said[k].text, "flood");
			dropped += said[k].count;
		}
	}
	assert_int_equal(dropped, 2);
}

/* More is to be said than there is room for: nothing is lost. */
static void test_little_room(void **state)
{
	char text[32];
	unsigned dropped = 0;

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		snprintf(text, sizeof(text), "flood %u", i);
		expect_all(text, LOG_LIMIT_COUNT);
		assert_false(pass(text));
	}
	now_ns += LOG_LIMIT_NS;
	for (unsigned i = 0; i < 20; i++) {
		snprintf(text, sizeof(text), "line %u", i);
		assert_true(pass(text));
		assert_in_range(nsaid, 0, MAX);
		dropped += nsaid;
	}
	assert_int_equal(dropped, 20);
}

static void test_long_text(void **state)
{
	char text[1000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	expect_all(text, LOG_LIMIT_COUNT);
	assert_false(pass(text));
	now_ns += LOG_LIMIT_NS;
	assert_true(pass("next"));
	assert_int_equal(nsaid, 1);
	assert_int_equal(strlen(said[0].text), LOG_LIMIT_TEXT_MAX);
}

#define TEST(f) cmocka_unit_test_setup(f, time_passes)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_same),	 TEST(test_in_time),
		TEST(test_level_counts), TEST(test_many_texts),
		TEST(test_little_room),	 TEST(test_long_text),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
