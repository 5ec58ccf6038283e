/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trace: what a reader gets of the ring, that it is told what it missed,
 * that nothing is noted while nobody reads, and where a view's bytes are said
 * to come from.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "fs/trace.h"
#include "view_fixture.h"

#define MANY 64

/* A read of node `node` that gave `n` bytes; false where it is not traced. */
static bool add(struct trace *t, uint64_t node, ssize_t n)
{
	struct trace_span span;

	if (!trace_begin(t, &span, node, 7))
		return false;
	trace_note(TRACE_UPPER, n > 0 ? (size_t)n : 0);
	trace_span_end(&span, n);
	return true;
}

static int setup(void **state)
{
	struct trace *t;

	assert_int_equal(trace_new(&t), 0);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	trace_free(*state);
	return 0;
}

static void test_nobody(void **state)
{
	struct trace *t = *state;
	uint64_t pos;

	assert_false(add(t, 1, 1));
	assert_int_equal(trace_attach(t, &pos), 0);
	assert_true(add(t, 1, 1));
	trace_detach(t);
	assert_false(add(t, 1, 1));
	assert_null(t->ring);
}

static void test_reads_in_order(void **state)
{
	struct trace_read reads[MANY];
	struct trace *t = *state;
	uint64_t pos, lost = 1;

	assert_int_equal(trace_attach(t, &pos), 0);
	assert_int_equal(trace_take(t, &pos, reads, MANY, &lost), 0);
	assert_int_equal(lost, 0);
	assert_true(add(t, 5, 100));
	assert_true(add(t, 6, -EIO));
	assert_int_equal(trace_left(t, pos), 2);
	assert_int_equal(trace_take(t, &pos, reads, 1, &lost), 1);
	assert_int_equal(trace_left(t, pos), 1);
	assert_int_equal(reads[0].node, 5);
	assert_int_equal(reads[0].off, 7);
	assert_int_equal(reads[0].result, 100);
	assert_int_equal(reads[0].bytes[TRACE_UPPER], 100);
	assert_null(reads[0].tier);
	assert_true(reads[0].begun_ns > 0);
	assert_int_equal(trace_take(t, &pos, reads, MANY, &lost), 1);
	assert_int_equal(reads[0].node, 6);
	assert_int_equal(reads[0].result, -EIO);
	assert_int_equal(lost, 0);
	trace_detach(t);
}

/* One more than fits: the oldest is gone, for who did not take it. */
static void test_lost(void **state)
{
	struct trace_read reads[MANY];
	struct trace *t = *state;
	uint64_t early, late, lost, sum = 0;
	size_t n;

	assert_int_equal(trace_attach(t, &early), 0);
	assert_int_equal(trace_attach(t, &late), 0);
	assert_true(add(t, 1000, 1));
	assert_int_equal(trace_take(t, &early, reads, MANY, &lost), 1);
	for (uint64_t i = 0; i < TRACE_READS; i++)
		assert_true(add(t, 2000 + i, 1));
	n = trace_take(t, &late, reads, MANY, &lost);
	assert_int_equal(lost, 1);
	assert_int_equal(n, MANY);
	assert_int_equal(reads[0].node, 2000);
	for (n = 1; n > 0; sum += n) {
		n = trace_take(t, &early, reads, MANY, &lost);
		assert_int_equal(lost, 0);
	}
	assert_int_equal(sum, TRACE_READS);
	trace_detach(t);
	assert_true(add(t, 1, 1)); /* the other one still reads */
	trace_detach(t);
}

/* A ring that is made anew goes on behind the earlier one. */
static void test_again(void **state)
{
	struct trace_read reads[MANY];
	struct trace *t = *state;
	uint64_t pos, lost;

	assert_int_equal(trace_attach(t, &pos), 0);
	for (uint64_t i = 0; i < TRACE_READS + 3; i++)
		assert_true(add(t, i, 1));
	trace_detach(t);
	assert_int_equal(trace_attach(t, &pos), 0);
	assert_int_equal(trace_take(t, &pos, reads, MANY, &lost), 0);
	assert_int_equal(lost, 0);
	assert_true(add(t, 77, 1));
	assert_int_equal(trace_take(t, &pos, reads, MANY, &lost), 1);
	assert_int_equal(reads[0].node, 77);
	trace_detach(t);
}

static void test_names_of_tiers(void **state)
{
	struct trace_read reads[2];
	struct trace *t = *state;
	struct trace_span span;
	uint64_t pos, lost;

	assert_int_equal(trace_attach(t, &pos), 0);
	for (unsigned i = 0; i < TRACE_TIERS_MAX + 2; i++) {
		assert_true(trace_begin(t, &span, i, 0));
		span.served.remote = true;
		span.served.waited_ns = 3000000;
		snprintf(span.served.tier, sizeof(span.served.tier), "tier-%u",
			 i);
		trace_note_chunk(9);
		trace_note_chunk(1); /* that one was here */
		trace_span_end(&span, 10);
		assert_int_equal(trace_take(t, &pos, reads, 2, &lost), 1);
		assert_int_equal(reads[0].bytes[TRACE_REMOTE], 9);
		assert_int_equal(reads[0].bytes[TRACE_LOCAL], 1);
		assert_int_equal(reads[0].waited_us, 3000);
		if (i < TRACE_TIERS_MAX)
			assert_string_equal(reads[0].tier, span.served.tier);
		else
			assert_null(reads[0].tier);
	}
	trace_detach(t);
}

static void *end_it(void *arg)
{
	trace_end(arg);
	return NULL;
}

static void test_end(void **state)
{
	struct trace *t = *state;
	pthread_t thread;

	assert_true(trace_wait(t, 1));
	assert_int_equal(pthread_create(&thread, NULL, end_it, t), 0);
	while (trace_wait(t, 1000))
		;
	assert_false(trace_wait(t, 600000));
	pthread_join(thread, NULL);
}

/* Threads add while one attaches, takes and detaches. */
static void *add_many(void *arg)
{
	for (unsigned i = 0; i < 20000; i++)
		(void)add(arg, i + 1, 1);
	return NULL;
}

static void test_threads(void **state)
{
	struct trace_read reads[MANY];
	struct trace *t = *state;
	pthread_t threads[2];
	uint64_t pos, lost;
	size_t n;

	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, t),
				 0);
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(trace_attach(t, &pos), 0);
		n = trace_take(t, &pos, reads, MANY, &lost);
		for (size_t k = 0; k < n; k++)
			assert_int_equal(reads[k].result, 1);
		trace_detach(t);
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

/* --- a view's bytes --- */

static struct trace_read read_traced(struct fixture *fx, struct trace *t,
				     uint64_t *pos, uint64_t ino, size_t len)
{
	static uint8_t buf[1 << 20];
	struct trace_read rd = { 0 };
	struct trace_span span;
	uint64_t lost;

	assert_true(trace_begin(t, &span, ino, 0));
	trace_span_end(&span, view_read(fx->view, ino, buf, len, 0));
	assert_int_equal(trace_take(t, pos, &rd, 1, &lost), 1);
	return rd;
}

static void write_big(int dirfd)
{
	static uint8_t data[1000000];
	FILE *f = fdopen(openat(dirfd, "big", O_WRONLY | O_CREAT, 0644), "w");

	assert_non_null(f);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * i >> 7);
	assert_int_equal(fwrite(data, 1, sizeof(data), f), sizeof(data));
	fclose(f);
}

static void test_sources(void **state)
{
	struct fixture fx = { 0 };
	struct trace_read rd;
	struct trace *t = *state;
	uint64_t pos, big, new;

	fixture_open(&fx, write_big);
	fixture_put(&fx, "new", "written");
	big = fixture_ino(&fx, "big");
	new = fixture_ino(&fx, "new");
	assert_int_equal(trace_attach(t, &pos), 0);
	rd = read_traced(&fx, t, &pos, big, 5000);
	assert_int_equal(rd.bytes[TRACE_LOCAL], 5000);
	assert_int_equal(rd.bytes[TRACE_MEMORY], 0);
	rd = read_traced(&fx, t, &pos, big, 6000);
	assert_int_equal(rd.bytes[TRACE_LOCAL], 0);
	assert_int_equal(rd.bytes[TRACE_MEMORY], 6000);
	rd = read_traced(&fx, t, &pos, new, 100);
	assert_int_equal(rd.result, 7);
	assert_int_equal(rd.bytes[TRACE_UPPER], 7);
	assert_int_equal(rd.bytes[TRACE_LOCAL], 0);
	trace_detach(t);
	fixture_close(&fx);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_nobody),  TEST(test_reads_in_order), TEST(test_lost),
		TEST(test_again),   TEST(test_names_of_tiers), TEST(test_end),
		TEST(test_threads), TEST(test_sources),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
