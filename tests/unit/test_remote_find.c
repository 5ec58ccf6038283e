/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of remote tiers that are found otherwise than by their keys, what is
 * copied from tier to tier, and tiers that refuse.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "remote_fixture.h"
#include "store/lazy_remote.h"

static void test_latest(void **state)
{
	struct remotes *rs = *state;
	_cleanup_entry_ struct entry e = ENTRY_INIT, b = ENTRY_INIT;
	struct remote r = there(rs);
	struct entry_ref ref;
	int from = make_dir(rs->f, "from");

	make_text_files(from, 5);
	import_dir(rs->f, from, "one-of-them");
	import_dir(rs->f, from, "one-of-these");
	assert_int_equal(remote_find_latest(&r, "test", "", &e), -ENOENT);
	push(rs, 0, "one-of-them");
	push(rs, 0, "one-of-these");
	assert_int_equal(remote_find_latest(&r, "test", "", &e), 0);
	assert_string_equal(e.key, "one-of-these");
	assert_int_equal(remote_find_latest(&r, "test", "main", &b), 0);
	assert_string_equal(b.key, "one-of-these");
	assert_int_equal(remote_find_latest(&r, "test", "topic", &b), -ENOENT);
	entry_release(&b);
	entry_release(&e);
	assert_int_equal(entry_ref_parse("test@one-of-th", &ref), 0);
	assert_int_equal(remote_find_ref(&r, &ref, &e), -ENOTUNIQ);
	assert_int_equal(entry_ref_parse("test@one-of-thi", &ref), 0);
	assert_int_equal(remote_find_ref(&r, &ref, &e), -ENOENT);
	assert_int_equal(entry_ref_parse("test@one-of-thes", &ref), 0);
	assert_int_equal(remote_find_ref(&r, &ref, &e), 0);
	assert_string_equal(e.key, "one-of-these");
	assert_int_equal(remote_remove(&r, 0, "test", "one-of-these"), 0);
	assert_int_equal(remote_remove(&r, 0, "test", "one-of-these"), -ENOENT);
	/* The pointer leads nowhere now, but the list knows another one. */
	assert_int_equal(remote_find_latest(&r, "test", "", &b), 0);
	assert_string_equal(b.key, "one-of-them");
	assert_int_equal(remote_remove(&r, 0, "test", "one-of-them"), 0);
	entry_release(&b);
	assert_int_equal(remote_find_latest(&r, "test", "", &b), -ENOENT);
	close(from);
}

/* One request for the pointer and one for the entry, where the newest serves;
 * else the list is gone through. */
static void test_prefix(void **state)
{
	struct remotes *rs = *state;
	_cleanup_entry_ struct entry e = ENTRY_INIT, f = ENTRY_INIT;
	struct remote r = there(rs);
	int from = make_dir(rs->f, "from");
	unsigned tier = 9;

	r.from = &tier;
	make_text_files(from, 5);
	import_dir(rs->f, from, "lock-2");
	import_dir(rs->f, from, "lock-1");
	import_dir(rs->f, from, "other-1");
	push(rs, 1, "lock-1");
	push(rs, 1, "lock-2");
	push(rs, 1, "other-1");
	fault_tier_set(rs->second, FAULT_NONE, 0, false);
	assert_int_equal(remote_find_prefix(&r, "test", "oth", &e), 0);
	assert_string_equal(e.key, "other-1");
	assert_int_equal(tier, 1);
	assert_int_equal(fault_tier_calls(rs->second), 2);
	/* By the time of its making, not by when it was put. */
	assert_int_equal(remote_find_prefix(&r, "test", "lock-", &f), 0);
	assert_string_equal(f.key, "lock-1");
	entry_release(&f);
	assert_int_equal(remote_find_prefix(&r, "test", "lock-2", &f), 0);
	assert_string_equal(f.key, "lock-2");
	entry_release(&f);
	assert_int_equal(remote_find_prefix(&r, "test", "loot", &f), -ENOENT);
	assert_int_equal(remote_find_prefix(&r, "tes", "lock-", &f), -ENOENT);
	/* A tier that fails is passed over. */
	push(rs, 0, "lock-2");
	fault_tier_set(rs->first, FAULT_ERROR, 1, true);
	assert_int_equal(remote_find_prefix(&r, "test", "lock-", &f), 0);
	assert_string_equal(f.key, "lock-1");
	close(from);
}

/* What is not here is copied from the tier that has it, as it is there. */
static void test_copy_between_tiers(void **state)
{
	struct remotes *rs = *state;
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct remote r = there(rs);
	struct remote_result res;
	int from = make_dir(rs->f, "from");

	make_text_files(from, 50);
	import_dir(rs->f, from, "k1");
	push(rs, 1, "k1");
	assert_int_equal(remote_find(&r, "test", "k1", &e), 0);
	assert_int_equal(lazy_remote_bring(&r, &e), 0);
	/* Wrong bytes are not passed on. */
	fault_tier_set(rs->second, FAULT_WRONG, 1, true);
	assert_int_equal(remote_push(&r, 0, &e, false, &res), -EBADMSG);
	fault_tier_set(rs->second, FAULT_NONE, 0, false);
	assert_int_equal(remote_push(&r, 0, &e, false, &res), 0);
	assert_int_equal(res.packs_moved, 1);
	fault_tier_set(rs->second, FAULT_ERROR, 1, true);
	new_other(rs);
	assert_int_equal(try_pull(rs, "k1", &res), 0);
	assert_there(rs, "k1", from);
	close(from);
}

/* A tier that refuses each look at what it has not is not left alone. */
static void test_refusals(void **state)
{
	struct remotes *rs = *state;
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct remote r = there(rs);
	int from = make_dir(rs->f, "from");

	make_text_files(from, 5);
	import_dir(rs->f, from, "k1");
	push(rs, 0, "k1");
	fault_tier_set(rs->first, FAULT_REFUSED, 1, true);
	for (unsigned i = 0; i < 3 * CHAIN_BREAK_AFTER; i++)
		assert_int_equal(remote_find(&r, "test", "none", &e), -EACCES);
	assert_true(chain_is_up(rs->chain, 0));
	fault_tier_set(rs->first, FAULT_NONE, 0, false);
	assert_int_equal(remote_find(&r, "test", "k1", &e), 0);
	close(from);
}

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, remotes_setup, remotes_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_latest),
		TEST(test_prefix),
		TEST(test_copy_between_tiers),
		TEST(test_refusals),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
