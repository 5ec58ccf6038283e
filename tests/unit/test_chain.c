/* SPDX-License-Identifier: Apache-2.0 */
/* Chains: order, failures of each kind, the breaker, counters. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fault_tier.h"
#include "store/base/clock.h"
#include "store/chain.h"

#define RIGHT "the right bytes of this object"
#define PATH "v1/local/default/x"

struct fixture {
	struct chain *chain;
	struct fault_tier *first, *second;
};

static int setup(void **state)
{
	static struct fixture f;
	struct tier *a, *b;

	if (chain_new(&f.chain) < 0 || fault_tier_new(&f.first, &a) < 0 ||
	    fault_tier_new(&f.second, &b) < 0)
		return -1;
	*state = &f;
	/* Nothing is probed unless a test wants it. */
	chain_set_pause(f.chain, 3600000, 3600000);
	return chain_add(f.chain, "first", a, CHAIN_READ | CHAIN_WRITE) ||
	       chain_add(f.chain, "second", b, CHAIN_READ | CHAIN_WRITE);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	chain_unref(f->chain);
	return 0;
}

static void put(struct fixture *f, unsigned i, const char *text)
{
	assert_int_equal(chain_put_data_to(f->chain, i, NULL, PATH, text,
					   strlen(text)),
			 0);
}

static int check(void *arg, const void *data, size_t len)
{
	(void)arg;
	return len == strlen(RIGHT) && memcmp(data, RIGHT, len) == 0 ? 0 :
								       -EBADMSG;
}

static int read_object(struct fixture *f, unsigned *ret_from)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	int r = chain_read(f->chain, NULL, PATH, 1000, check, NULL, &b,
			   ret_from);

	/* Whatever happened: wrong bytes are never seen. */
	if (r == 0)
		assert_int_equal(check(NULL, b.data, b.len), 0);
	else
		assert_int_equal(b.len, 0);
	return r;
}

static struct chain_stats stats(struct fixture *f, unsigned i)
{
	struct chain_stats s;

	chain_stats(f->chain, i, &s);
	return s;
}

static void test_order(void **state)
{
	struct fixture *f = *state;
	unsigned from = 9;

	assert_int_equal(read_object(f, &from), -ENOENT);
	assert_int_equal(from, 9);
	put(f, 1, RIGHT);
	assert_int_equal(read_object(f, &from), 0);
	assert_int_equal(from, 1);
	put(f, 0, RIGHT);
	assert_int_equal(read_object(f, &from), 0);
	assert_int_equal(from, 0);
	assert_int_equal(stats(f, 0).hits, 1);
	assert_int_equal(stats(f, 0).misses, 2);
	assert_int_equal(stats(f, 1).hits, 1);
	assert_int_equal(stats(f, 1).bytes_in, strlen(RIGHT));
	assert_int_equal(stats(f, 1).bytes_out, strlen(RIGHT));
}

/* Whatever the first does wrong, the second serves. */
static void test_each_fault(void **state)
{
	struct fixture *f = *state;

	put(f, 0, RIGHT);
	put(f, 1, RIGHT);
	for (int kind = FAULT_ERROR; kind < FAULT_KINDS; kind++) {
		unsigned from = 9;

		fault_tier_set(f->first, kind, 1, false);
		assert_int_equal(read_object(f, &from), 0);
		assert_int_equal(from, 1);
		assert_int_equal(read_object(f, &from), 0);
		assert_int_equal(from, 0);
	}
	/* Wrong, truncated, endless, long: found by the check. */
	assert_int_equal(stats(f, 0).damaged, 4);
	assert_int_equal(stats(f, 0).failures, 4);
	assert_int_equal(stats(f, 0).misses, 1);
	assert_true(chain_is_up(f->chain, 0));
}

/* A range: too few and too many bytes are failures without any check. */
static int take(void *arg, const void *data, size_t len)
{
	buf_put(arg, data, len);
	return buf_error(arg);
}

static int begin(void *arg)
{
	buf_reset(arg);
	return 0;
}

static void test_range(void **state)
{
	struct fixture *f = *state;
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct chain_want want = { begin, take, NULL, &b };
	static const enum fault_kind kinds[] = { FAULT_TRUNCATED, FAULT_LONG,
						 FAULT_ENDLESS };

	put(f, 0, RIGHT);
	put(f, 1, RIGHT);
	for (unsigned i = 0; i < 3; i++) {
		unsigned from = 9;

		fault_tier_set(f->first, kinds[i], 1, false);
		assert_int_equal(
			chain_get(f->chain, NULL, PATH, 4, 5, &want, &from), 0);
		assert_int_equal(from, 1);
		assert_int_equal(b.len, 5);
		assert_memory_equal(b.data, &RIGHT[4], 5);
		fault_tier_set(f->first, FAULT_NONE, 0, false);
		assert_int_equal(read_object(f, &from), 0);
	}
	assert_int_equal(stats(f, 0).failures, 3);
}

/* No absence while a tier that failed may have it. */
static void test_failure_is_no_absence(void **state)
{
	struct fixture *f = *state;

	fault_tier_set(f->first, FAULT_ERROR, 1, false);
	assert_int_equal(read_object(f, NULL), -EIO);
	fault_tier_set(f->second, FAULT_TIMEOUT, 1, false);
	assert_int_equal(read_object(f, NULL), -ETIMEDOUT);
	put(f, 0, "wrong bytes");
	assert_int_equal(read_object(f, NULL), -EBADMSG);
	fault_tier_set(f->second, FAULT_REFUSED, 1, false);
	assert_int_equal(read_object(f, NULL), -EACCES);
	assert_int_equal(chain_delete_at(f->chain, 0, NULL, PATH), 0);
	assert_int_equal(read_object(f, NULL), -ENOENT);
}

static void test_breaker(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	put(f, 1, RIGHT);
	fault_tier_set(f->first, FAULT_TIMEOUT, 1, true);
	for (i = 0; i < CHAIN_BREAK_AFTER; i++) {
		assert_true(chain_is_up(f->chain, 0));
		assert_int_equal(read_object(f, NULL), 0);
	}
	assert_false(chain_is_up(f->chain, 0));
	for (i = 0; i < 10; i++)
		assert_int_equal(read_object(f, NULL), 0);
	assert_int_equal(fault_tier_calls(f->first), CHAIN_BREAK_AFTER);
	assert_int_equal(stats(f, 0).failures, CHAIN_BREAK_AFTER);
	assert_int_equal(chain_put_data_to(f->chain, 0, NULL, PATH, "x", 1),
			 -EIO);
	/* What answers is not left alone, though it refuses. */
	fault_tier_set(f->second, FAULT_REFUSED, 1, true);
	for (i = 0; i < 10; i++)
		assert_int_equal(read_object(f, NULL), -EIO);
	assert_true(chain_is_up(f->chain, 1));
	/* An answer in between begins the count anew. */
	for (i = 0; i < 3 * CHAIN_BREAK_AFTER; i++) {
		fault_tier_set(f->second, FAULT_ERROR, 1, false);
		assert_int_equal(read_object(f, NULL), -EIO);
		if (i % 2 == 1)
			assert_int_equal(read_object(f, NULL), 0);
	}
	assert_true(chain_is_up(f->chain, 1));
}

static void test_probe(void **state)
{
	struct fixture *f = *state;

	put(f, 0, RIGHT);
	chain_set_pause(f->chain, 1, 4);
	fault_tier_set(f->first, FAULT_ERROR, 1, true);
	for (unsigned i = 0; i < CHAIN_BREAK_AFTER; i++)
		assert_int_equal(read_object(f, NULL), -EIO);
	/* Asked again and again, and not by the reader. */
	while (fault_tier_calls(f->first) < CHAIN_BREAK_AFTER + 5)
		usleep(1000);
	assert_false(chain_is_up(f->chain, 0));
	fault_tier_set(f->first, FAULT_NONE, 0, false);
	while (!chain_is_up(f->chain, 0))
		usleep(1000);
	assert_int_equal(read_object(f, NULL), 0);
}

/* The caller's own failures are not the tier's. */
static int full_disk(void *arg, const void *data, size_t len)
{
	(void)arg, (void)data, (void)len;
	return -ENOSPC;
}

static ssize_t lost_file(void *arg, void *buf, size_t cap, uint64_t off)
{
	(void)arg, (void)buf, (void)cap, (void)off;
	return -EIO;
}

static void test_own_failures(void **state)
{
	struct fixture *f = *state;
	struct chain_want want = { .data = full_disk };

	put(f, 0, RIGHT);
	put(f, 1, RIGHT);
	for (unsigned i = 0; i < 2 * CHAIN_BREAK_AFTER; i++) {
		assert_int_equal(chain_get(f->chain, NULL, PATH, 0, 0, &want,
					   NULL),
				 -ENOSPC);
		assert_int_equal(chain_put_to(f->chain, 0, NULL, PATH, 10,
					      lost_file, NULL),
				 -EIO);
	}
	assert_true(chain_is_up(f->chain, 0));
	assert_int_equal(stats(f, 0).failures, 0);
	assert_int_equal(stats(f, 1).requests, 1);
	assert_int_equal(read_object(f, NULL), 0);
}

static void test_access(void **state)
{
	struct fixture *f = *state;
	struct fault_tier *write_only;
	struct tier *t;

	assert_int_equal(fault_tier_new(&write_only, &t), 0);
	assert_int_equal(chain_add(f->chain, "third", t, CHAIN_WRITE), 0);
	put(f, 2, RIGHT);
	assert_int_equal(read_object(f, NULL), -ENOENT);
	assert_int_equal(stats(f, 2).requests, 1);
}

static void test_latency(void **state)
{
	struct fixture *f = *state;
	uint64_t sum = 0;
	struct chain_stats s;

	for (unsigned i = 0; i < 20; i++)
		read_object(f, NULL);
	s = stats(f, 0);
	for (unsigned n = 0; n < CHAIN_LATENCY_BUCKETS; n++)
		sum += s.latency[n];
	assert_int_equal(sum, 20);
	assert_int_equal(s.requests, 20);
	assert_true(chain_latency_us(CHAIN_LATENCY_BUCKETS - 1) > 60000000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_order),	 TEST(test_each_fault),
		TEST(test_range),	 TEST(test_failure_is_no_absence),
		TEST(test_breaker),	 TEST(test_probe),
		TEST(test_own_failures), TEST(test_access),
		TEST(test_latency),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
