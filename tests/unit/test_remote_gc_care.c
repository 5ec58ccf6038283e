/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a collection of a remote tier leaves alone, though it is or seems to be
 * in its way: what it does not know, what is another one's, and what a tier
 * only says.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "remote_gc_fixture.h"

/* ---- newer versions */

/* Puts it anew as of a later format, and as old as before. */
static void make_newer_tree(struct remotes *rs, const char *key)
{
	_cleanup_entry_ struct entry e = entry_of(rs, key);
	_cleanup_buf_ struct buf b = BUF_INIT;
	char path[TIER_PATH_MAX + 1];

	remote_path("local", "default", REMOTE_TREE, &e.catalog, path);
	assert_int_equal(chain_read_from(rs->chain, 0, NULL, path,
					 REMOTE_TREE_MAX, &b),
			 0);
	b.data[8] = 99; /* the version */
	assert_int_equal(
		chain_put_data_to(rs->chain, 0, NULL, path, b.data, b.len), 0);
	fault_tier_age(rs->first, DAY_NS);
}

static void test_newer_tree(void **state)
{
	const struct remote_gc_options o = { .grace_ns = DAY_NS };
	struct remotes *rs = *state;
	struct remote r = here(rs);
	struct remote_gc_result res;

	make_four(rs);
	assert_int_equal(remote_remove(&r, 0, "test", "k1"), 0);
	make_newer_tree(rs, "k3");
	assert_int_equal(collect(rs, &o, &res), -ESTALE);
	assert_int_equal(count_there(rs, "entries"), 3);
	assert_int_equal(count_there(rs, "trees"), 4);
	assert_int_equal(count_there(rs, "packs"), 4);
	assert_int_equal(count_there(rs, "gc"), 0);
}

static void test_newer(void **state)
{
	const struct remote_gc_options o = { .grace_ns = 0, .keep_last = 1 };
	struct remotes *rs = *state;
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct remote_gc_result res;

	make_four(rs);
	e = entry_of(rs, "k1");
	assert_int_equal(entry_encode(&e, &b), 0);
	b.data[8] = 99; /* the version */
	assert_int_equal(chain_put_data_to(rs->chain, 0, NULL,
					   PREFIX "entries/test/k9", b.data,
					   b.len),
			 0);
	assert_int_equal(collect(rs, &o, &res), -ESTALE);
	assert_int_equal(count_there(rs, "entries"), 5);
	assert_int_equal(count_there(rs, "packs"), 4);
	assert_int_equal(count_there(rs, "gc"), 0);
}

/* ---- what cannot be read */

/* The newest has lost its tree: the one before is what is left. */
static void test_last_unreadable(void **state)
{
	const struct remote_gc_options o = { .grace_ns = DAY_NS,
					     .keep_last = 1 };
	struct remotes *rs = *state;
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct remote_gc_result res;
	char path[TIER_PATH_MAX + 1];

	make_four(rs);
	e = entry_of(rs, "k4");
	remote_path("local", "default", REMOTE_TREE, &e.catalog, path);
	assert_int_equal(chain_delete_at(rs->chain, 0, NULL, path), 0);
	assert_int_equal(collect(rs, &o, &res), 0);
	assert_int_equal(res.removed_entries, 3);
	assert_int_equal(res.kept_entries, 1);
	assert_left(rs, "3");
	assert_int_equal(count_there(rs, "packs"), 1);
}

/* ---- what others have */

/* What is noted as another collection's is removed when it is old. */
static void test_no_collector(void **state)
{
	static const char *const paths[] = {
		PREFIX "gc/collectors/other",
		PREFIX "gc/collectors/0123456789abcdef0123456789ABCDEF",
		PREFIX "gc/collectors/0123456789abcdef0123456789abcdef/x",
	};
	const size_t n = sizeof(paths) / sizeof(paths[0]);
	const struct remote_gc_options o = { .grace_ns = DAY_NS };
	struct remotes *rs = *state;
	struct remote_gc_result res;

	for (size_t i = 0; i < n; i++)
		assert_int_equal(chain_put_data_to(rs->chain, 0, NULL, paths[i],
						   "", 0),
				 0);
	assert_int_equal(collect(rs, &o, &res), 0);
	fault_tier_age(rs->first, 2 * DAY_NS);
	assert_int_equal(collect(rs, &o, &res), 0);
	assert_int_equal(count_there(rs, "gc"), n);
}

/* ---- what does not count any more */

static void test_hold_lapsed(void **state)
{
	struct remotes *rs = *state;
	struct remote r = here(rs);
	struct hold h = { .remote = &r };
	const struct digest digest = { { 1 } };

	assert_int_equal(hold_add(&h, &digest), 0);
	assert_int_equal(hold_take(&h), 0);
	assert_int_equal(hold_extend(&h), 0);
	h.put_ns -= remote_pace(&r)->hold_ns;
	assert_int_equal(hold_keep(&h), -ESTALE);
	assert_int_equal(hold_extend(&h), -ESTALE);
	assert_int_equal(hold_keep(&h), -ESTALE);
	assert_int_equal(hold_take(&h), 0);
	assert_int_equal(hold_extend(&h), 0);
	assert_int_equal(hold_keep(&h), 0);
	hold_drop(&h);
}

/* The machine sleeps in the middle of a call. */
struct sleeper {
	struct remotes *rs;
	unsigned at, calls;
	long ns;
	const struct buf *notice; /* that another one has put then, or NULL */
	unsigned before, after;	  /* objects, when the next two calls began */
};

static unsigned count_needed(struct remotes *rs)
{
	return count_there(rs, "entries") + count_there(rs, "trees") +
	       count_there(rs, "packs");
}

static void sleep_at(void *arg)
{
	struct sleeper *s = arg;
	const struct timespec ts = { 0, s->ns };

	s->calls++;
	fault_tier_set_hook(s->rs->first, NULL, NULL);
	if (s->calls == s->at) {
		nanosleep(&ts, NULL);
		if (s->notice)
			assert_int_equal(chain_put_data_to(s->rs->chain, 0,
							   NULL,
							   PREFIX "gc/notice",
							   s->notice->data,
							   s->notice->len),
					 0);
	}
	if (s->calls == s->at + 1)
		s->before = count_needed(s->rs);
	if (s->calls == s->at + 2)
		s->after = count_needed(s->rs);
	fault_tier_set_hook(s->rs->first, sleep_at, s);
}

/* k1 goes, and k3 stays. */
static int collect_asleep(struct remotes *rs, const struct remote_pace *pace,
			  struct sleeper *s)
{
	const struct remote_gc_options o = { .grace_ns = DAY_NS,
					     .keep_last = 1 };
	struct remote_gc_result res;
	struct remote r = here(rs);
	int err;

	new_chain(rs);
	push(rs, 0, "k1");
	fault_tier_age(rs->first, DAY_NS);
	push(rs, 0, "k3");
	fault_tier_age(rs->first, 2 * DAY_NS);
	r.chain = rs->chain;
	r.pace = pace;
	s->rs = rs;
	s->calls = s->before = s->after = 0;
	fault_tier_set_hook(rs->first, sleep_at, s);
	err = remote_gc(&r, 0, &o, &res);
	fault_tier_set_hook(rs->first, NULL, NULL);
	assert_int_equal(look_for(rs, "k3"), 0);
	return err;
}

/* Nothing is removed once the notice has counted for so long. */
static void test_late_removal(void **state)
{
	const struct remote_pace pace = { .hold_ns = DAY_NS,
					  .notice_ns = DAY_NS,
					  .sweep_ns = 100000000,
					  .collector_ns = DAY_NS,
					  .poll_ns = 1 };
	struct sleeper s = { .ns = 110000000 };
	struct remotes *rs = *state;

	add_entry(rs, "k1", 1);
	add_entry(rs, "k3", 3);
	for (s.at = 1;; s.at++) {
		int r = collect_asleep(rs, &pace, &s);

		if (s.calls < s.at)
			break;
		assert_true(r == 0 || r == -ETIMEDOUT);
		if (s.calls > s.at + 1)
			assert_int_equal(s.after, s.before);
	}
	assert_true(s.at > 10);
}

/* Another collection has begun meanwhile: its notice stays, but where the call
 * that sleeps is the one that puts or removes this one's. */
static void test_lapsed(void **state)
{
	const struct remote_pace pace = { .hold_ns = DAY_NS,
					  .notice_ns = DAY_NS,
					  .sweep_ns = DAY_NS,
					  .collector_ns = 200000000,
					  .poll_ns = 1 };
	struct remote_notice n = { .tier_ns = clock_wall_ns(), .number = 1 };
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct sleeper s = { .ns = 110000000, .notice = &b };
	struct remotes *rs = *state;
	unsigned lost = 0;

	memset(n.id, 'b', sizeof(n.id));
	assert_int_equal(remote_notice_encode(&n, &b), 0);
	add_entry(rs, "k1", 1);
	add_entry(rs, "k3", 3);
	for (s.at = 1;; s.at++) {
		_cleanup_buf_ struct buf left = BUF_INIT;

		collect_asleep(rs, &pace, &s);
		if (s.calls < s.at)
			break;
		lost += chain_read_from(rs->chain, 0, NULL, PREFIX "gc/notice",
					REMOTE_NOTICE_MAX, &left) < 0 ||
			left.len != b.len ||
			memcmp(left.data, b.data, b.len) != 0;
	}
	assert_true(s.at > 10);
	assert_true(lost <= 2);
}

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, remotes_setup, remotes_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_newer),	    TEST(test_newer_tree),
		TEST(test_last_unreadable), TEST(test_no_collector),
		TEST(test_hold_lapsed),	    TEST(test_late_removal),
		TEST(test_lapsed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
