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

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, remotes_setup, remotes_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_newer),	    TEST(test_newer_tree),
		TEST(test_last_unreadable), TEST(test_no_collector),
		TEST(test_hold_lapsed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
