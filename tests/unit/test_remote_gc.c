/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collections of a remote tier: which entries go by which rule, what goes with
 * them, what stays because it is young, held, pinned or not to be told; and a
 * tier that fails at each call. Races are in test_remote_gc_races.c, and what a
 * collection does not trust in test_remote_gc_care.c.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "remote_gc_fixture.h"

#define OTHER "0123456789abcdef0123456789abcdef"

static int keep_digest(void *arg, const struct digest *digest)
{
	*(struct digest *)arg = *digest;
	return 0;
}

static void note_removed(void *arg, const struct entry *e, int64_t put_ns,
			 enum remote_gc_reason reason)
{
	assert_true(put_ns > 0);
	buf_printf(arg, "%s%s ", e->key,
		   reason == REMOTE_GC_UNREADABLE ? "!" : "");
}

static void assert_text(struct buf *b, const char *want)
{
	buf_put_u8(b, 0);
	assert_string_equal((const char *)b->data, want);
	buf_release(b);
}

/* Nothing that an entry needs goes, and nothing else stays. */
static void test_no_rule(void **state)
{
	const struct remote_gc_options o = { .grace_ns = DAY_NS };
	struct remotes *rs = *state;
	struct remote r = here(rs);
	struct remote_gc_result res;

	make_four(rs);
	assert_int_equal(count_there(rs, "packs"), 4);
	assert_int_equal(collect(rs, &o, &res), 0);
	assert_int_equal(res.entries, 4);
	assert_int_equal(res.removed_entries, 0);
	assert_int_equal(res.removed_bytes, 0);
	assert_int_equal(res.objects, 8);
	assert_left(rs, "1234");
	assert_int_equal(remote_remove(&r, 0, "test", "k3"), 0);
	assert_int_equal(remote_remove(&r, 0, "test", "k2"), 0);
	assert_int_equal(collect(rs, &o, &res), 0);
	/* What k4 shares with k2 is still needed. */
	assert_int_equal(res.removed[REMOTE_PACK], 1);
	assert_int_equal(res.removed[REMOTE_TREE], 2);
	assert_int_equal(count_there(rs, "packs"), 3);
	assert_left(rs, "14");
}

static void test_grace(void **state)
{
	const struct remote_gc_options o = { .grace_ns = DAY_NS,
					     .keep_last = 1 };
	struct remotes *rs = *state;
	struct remote r = here(rs);
	struct remote_gc_result res;

	add_entry(rs, "k1", 1);
	add_entry(rs, "k2", 3);
	push(rs, 0, "k1");
	assert_int_equal(remote_remove(&r, 0, "test", "k1"), 0);
	fault_tier_age(rs->first, DAY_NS / 2);
	push(rs, 0, "k2");
	push(rs, 0, "k1");
	assert_int_equal(remote_remove(&r, 0, "test", "k1"), 0);
	assert_int_equal(collect(rs, &o, &res), 0);
	assert_int_equal(res.removed_bytes, 0);
	assert_int_equal(res.waiting, 2); /* a pack and a tree */
	assert_true(res.waiting_bytes > 20000);
	/* Then the pack is old enough, and the tree was put again later. */
	fault_tier_age(rs->first, DAY_NS * 3 / 4);
	assert_int_equal(collect(rs, &o, &res), 0);
	assert_int_equal(res.removed[REMOTE_PACK], 1);
	assert_int_equal(res.removed[REMOTE_TREE], 0);
	assert_int_equal(res.waiting, 1);
	fault_tier_age(rs->first, DAY_NS);
	assert_int_equal(collect(rs, &o, &res), 0);
	assert_int_equal(res.waiting, 0);
	assert_left(rs, "2");
}

static void test_keep_last(void **state)
{
	struct buf removed = BUF_INIT;
	const struct remote_gc_options o = { .grace_ns = DAY_NS,
					     .keep_last = 2,
					     .removed = note_removed,
					     .arg = &removed };
	struct remotes *rs = *state;
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct remote r = here(rs);
	struct remote_result pushed;
	struct remote_gc_result res;
	char key[KEY_MAX + 1];

	make_four(rs);
	/* The newest two of another branch are others. */
	e = entry_of(rs, "k1");
	free(e.branch);
	e.branch = strdup("side");
	assert_int_equal(remote_push(&r, 0, &e, false, &pushed), 0);
	fault_tier_age(rs->first, 2 * DAY_NS);
	assert_int_equal(collect(rs, &o, &res), 0);
	assert_text(&removed, "k2 ");
	assert_int_equal(res.removed_entries, 1);
	assert_int_equal(res.kept_entries, 3);
	assert_left(rs, "134");
	latest(rs, "side", key);
	assert_string_equal(key, "k1");
}

static void test_keep_days(void **state)
{
	struct remote_gc_options o = { .grace_ns = DAY_NS,
				       .keep_ns = 7 * DAY_NS / 2 };
	struct remotes *rs = *state;
	struct remote_gc_result res;

	make_four(rs);
	o.dry_run = true;
	assert_int_equal(collect(rs, &o, &res), 0);
	assert_int_equal(res.removed_entries, 2);
	assert_int_equal(res.removed[REMOTE_PACK], 1);
	assert_left(rs, "1234");
	o.dry_run = false;
	assert_int_equal(collect(rs, &o, &res), 0);
	assert_int_equal(res.removed_entries, 2);
	assert_int_equal(res.removed[REMOTE_PACK], 1);
	assert_left(rs, "34");
	assert_int_equal(count_there(rs, "packs"), 3);
}

/* The newest stay as long as they fit, and count with what they share once. */
static void test_max_size(void **state)
{
	struct remote_gc_options o = { .grace_ns = DAY_NS,
				       .max_bytes = 120000 };
	struct remotes *rs = *state;
	struct remote_gc_result res;

	make_four(rs);
	assert_int_equal(collect(rs, &o, &res), 0);
	assert_left(rs, "234");
	assert_false(res.over);
	/* What is too young stays, and it is said that it is too much. */
	fault_tier_age(rs->first, -5 * DAY_NS / 2);
	o.max_bytes = 1000;
	assert_int_equal(collect(rs, &o, &res), 0);
	assert_true(res.over);
	assert_left(rs, "34");
}

static void test_pins(void **state)
{
	const struct remote_gc_options o = { .grace_ns = DAY_NS,
					     .keep_last = 1 };
	struct remotes *rs = *state;
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct index *ix = store_index(rs->f->store);
	struct remote_gc_result res;
	struct index_batch *b;

	make_four(rs);
	e = entry_of(rs, "k1");
	assert_int_equal(index_batch_begin(ix, &b), 0);
	assert_int_equal(index_put_pin(b, &e, clock_wall_ns()), 0);
	assert_int_equal(index_batch_commit(b, false), 0);
	assert_int_equal(collect(rs, &o, &res), 0);
	assert_left(rs, "14");
}

/* Pointers lead to the newest that stays, or go. */
static void test_pointers(void **state)
{
	const struct remote_gc_options o = { .grace_ns = DAY_NS,
					     .max_bytes = 100000 };
	struct remotes *rs = *state;
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct remote r = here(rs);
	struct remote_result pushed;
	struct remote_gc_result res;
	char key[KEY_MAX + 1];

	add_entry(rs, "k1", 1);
	add_entry(rs, "k2", 3);
	e = entry_of(rs, "k2");
	free(e.branch);
	e.branch = strdup("side");
	assert_int_equal(remote_push(&r, 0, &e, false, &pushed), 0);
	fault_tier_age(rs->first, 2 * DAY_NS);
	add_entry(rs, "k3", 4);
	push(rs, 0, "k3");
	push(rs, 0, "k1"); /* the last one, though the oldest */
	fault_tier_age(rs->first, 2 * DAY_NS);
	/* k3 was made later than k2, which the pointer to any names no more. */
	assert_int_equal(collect(rs, &o, &res), 0);
	assert_int_equal(res.removed_entries, 1);
	assert_int_equal(look_for(rs, "k2"), -ENOENT);
	latest(rs, "", key);
	assert_string_equal(key, "k1");
	latest(rs, "side", key);
	assert_string_equal(key, "");
	assert_int_equal(chain_put_data_to(rs->chain, 0, NULL,
					   PREFIX "entries/test/k1", "x", 1),
			 0);
	fault_tier_age(rs->first, 2 * DAY_NS);
	assert_int_equal(collect(rs, &o, &res), 0);
	latest(rs, "", key);
	assert_string_equal(key, "k3");
}

/* Nobody can use them: they go, whatever the rules, once they are old. */
static void test_unreadable(void **state)
{
	struct buf removed = BUF_INIT;
	struct remote_gc_options o = { .grace_ns = DAY_NS,
				       .keep_last = 10,
				       .removed = note_removed,
				       .arg = &removed };
	struct remotes *rs = *state;
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct remote_gc_result res;
	char path[TIER_PATH_MAX + 1];

	make_four(rs);
	e = entry_of(rs, "k2");
	remote_path("local", "default", REMOTE_TREE, &e.catalog, path);
	assert_int_equal(chain_delete_at(rs->chain, 0, NULL, path), 0);
	entry_release(&e);
	e = entry_of(rs, "k3");
	remote_path("local", "default", REMOTE_TREE, &e.catalog, path);
	assert_int_equal(chain_put_data_to(rs->chain, 0, NULL, path, "no", 2),
			 0);
	assert_int_equal(chain_put_data_to(rs->chain, 0, NULL,
					   PREFIX "entries/test/k1", "x", 1),
			 0);
	/* While k1 is young, any pack may be its. */
	assert_int_equal(collect(rs, &o, &res), 0);
	assert_int_equal(res.unreadable, 1);
	assert_int_equal(res.removed_entries, 2);
	assert_int_equal(res.removed_bytes, 0);
	assert_int_equal(count_there(rs, "packs"), 4);
	fault_tier_age(rs->first, DAY_NS);
	assert_int_equal(collect(rs, &o, &res), 0);
	assert_int_equal(res.unreadable, 0);
	assert_int_equal(count_there(rs, "packs"), 2);
	assert_left(rs, "4");
	buf_put_u8(&removed, 0);
	assert_non_null(strstr((char *)removed.data, "k1!"));
	assert_non_null(strstr((char *)removed.data, "k2!"));
	assert_non_null(strstr((char *)removed.data, "k3!"));
	buf_release(&removed);
}

/* ---- holds and notices */

static void put_hold(struct remotes *rs, const char *id,
		     const struct digest *digests, size_t n)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	char path[TIER_PATH_MAX + 1];

	snprintf(path, sizeof(path), PREFIX "holds/%s", id);
	assert_int_equal(remote_hold_encode(digests, n, &b), 0);
	assert_int_equal(
		chain_put_data_to(rs->chain, 0, NULL, path, b.data, b.len), 0);
}

static int first_pack(void *arg, const struct tier_object *o)
{
	assert_int_equal(digest_parse(strrchr(o->path, '/') + 1, arg), 0);
	return 1;
}

static void test_held(void **state)
{
	const struct remote_gc_options o = { .grace_ns = DAY_NS };
	struct remotes *rs = *state;
	struct remote r = here(rs);
	struct remote_gc_result res;
	struct digest pack;

	add_entry(rs, "k1", 1);
	push(rs, 0, "k1");
	assert_int_equal(remote_remove(&r, 0, "test", "k1"), 0);
	fault_tier_age(rs->first, 2 * DAY_NS);
	assert_int_equal(chain_list_at(rs->chain, 0, NULL, PREFIX "packs",
				       first_pack, &pack),
			 1);
	put_hold(rs, "abc", &pack, 1);
	assert_int_equal(collect(rs, &o, &res), 0);
	assert_int_equal(res.removed[REMOTE_TREE], 1);
	assert_int_equal(count_there(rs, "packs"), 1);
	/* One that cannot be read may hold everything. */
	assert_int_equal(chain_put_data_to(rs->chain, 0, NULL,
					   PREFIX "holds/abc", "?", 1),
			 0);
	assert_int_equal(collect(rs, &o, &res), 0);
	assert_int_equal(count_there(rs, "packs"), 1);
	/* Whoever put it is long gone. */
	fault_tier_age(rs->first, 2 * DAY_NS);
	assert_int_equal(collect(rs, &o, &res), 0);
	assert_int_equal(count_there(rs, "packs"), 0);
	assert_int_equal(count_there(rs, "holds"), 0);
}

static void test_others(void **state)
{
	const struct remote_gc_options o = { .grace_ns = DAY_NS };
	struct remotes *rs = *state;
	char why[TIER_WHY_MAX] = "";
	struct remote r = here(rs);
	struct remote_gc_result res;

	r.why = why;
	make_four(rs);
	assert_int_equal(remote_remove(&r, 0, "test", "k1"), 0);
	assert_int_equal(chain_put_data_to(rs->chain, 0, NULL,
					   PREFIX "gc/collectors/" OTHER, "",
					   0),
			 0);
	assert_int_equal(remote_gc(&r, 0, &o, &res), -EBUSY);
	assert_non_null(strstr(why, "another collection"));
	assert_int_equal(count_there(rs, "packs"), 4);
	assert_int_equal(count_there(rs, "gc"), 1);
	fault_tier_age(rs->first, DAY_NS);
	assert_int_equal(remote_gc(&r, 0, &o, &res), 0);
	assert_left(rs, "234");
}

/* A push waits for a notice that may be meant for it, and not for others. */
static void test_notices(void **state)
{
	const struct remote_pace pace = { .hold_ns = DAY_NS,
					  .notice_ns = 400000000,
					  .sweep_ns = 100000000,
					  .collector_ns = DAY_NS,
					  .poll_ns = 1000000 };
	struct remote_notice n = { .tier_ns = clock_wall_ns(), .number = 1 };
	struct remotes *rs = *state;
	struct remote r = here(rs);
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct remote_result res;
	unsigned fresh, old;

	r.pace = &pace;
	add_entry(rs, "k1", 1);
	e = entry_of(rs, "k1");
	memset(n.id, 'a', sizeof(n.id));
	assert_int_equal(remote_notice_encode(&n, &b), 0);
	assert_int_equal(chain_put_data_to(rs->chain, 0, NULL,
					   PREFIX "gc/notice", b.data, b.len),
			 0);
	fault_tier_set(rs->first, FAULT_NONE, 0, false);
	assert_int_equal(remote_push(&r, 0, &e, false, &res), 0);
	fresh = fault_tier_calls(rs->first);
	assert_int_equal(look_for(rs, "k1"), 0);
	/* By now it is old, by the tier's clock. */
	assert_true(clock_wall_ns() - n.tier_ns >= pace.notice_ns);
	fault_tier_set(rs->first, FAULT_NONE, 0, false);
	assert_int_equal(remote_push(&r, 0, &e, false, &res), 0);
	old = fault_tier_calls(rs->first);
	assert_true(fresh > old + 2);
	assert_int_equal(count_there(rs, "holds"), 0);
}

struct sleeper {
	struct remotes *rs;
	unsigned at, calls;
};

/* The machine sleeps for longer than a hold may be relied upon, and meanwhile
 * another one collects. */
static void sleep_once(void *arg)
{
	const struct remote_gc_options o = { .grace_ns = 0 };
	const struct timespec ts = { 1, 200000000 };
	struct sleeper *s = arg;
	struct remote_gc_result res;

	if (++s->calls != s->at)
		return;
	fault_tier_set_hook(s->rs->first, NULL, NULL);
	nanosleep(&ts, NULL);
	fault_tier_age(s->rs->first, DAY_NS);
	assert_int_equal(collect(s->rs, &o, &res), 0);
	assert_true(res.removed[REMOTE_PACK] > 0);
}

static void test_slept(void **state)
{
	const struct remote_pace pace = { .hold_ns = 2000000000,
					  .notice_ns = DAY_NS,
					  .sweep_ns = DAY_NS,
					  .collector_ns = DAY_NS,
					  .poll_ns = 1000000 };
	struct remotes *rs = *state;
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct remote r = here(rs);
	struct remote_result res;
	struct sleeper s = { .rs = rs };

	r.pace = &pace;
	add_entry(rs, "k1", 1);
	e = entry_of(rs, "k1");
	/* Before a pack is looked for, the tree is put, the entry is put. */
	for (s.at = 3; s.at <= 5; s.at++) {
		push(rs, 0, "k1");
		assert_int_equal(remote_remove(&r, 0, "test", "k1"), 0);
		fault_tier_age(rs->first, DAY_NS);
		s.calls = 0;
		fault_tier_set_hook(rs->first, sleep_once, &s);
		assert_int_equal(remote_push(&r, 0, &e, false, &res), 0);
		fault_tier_set_hook(rs->first, NULL, NULL);
		assert_true(s.calls >= s.at);
		assert_int_equal(look_for(rs, "k1"), 0);
	}
}

static void test_codec(void **state)
{
	struct remote_notice n = { .tier_ns = 77, .number = 3 }, got;
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct digest digests[3] = { { { 1 } }, { { 2 } }, { { 3 } } };
	struct digest seen;

	(void)state;
	memset(n.id, 'x', sizeof(n.id));
	assert_int_equal(remote_notice_encode(&n, &b), 0);
	assert_int_equal(remote_notice_decode(b.data, b.len, &got), 0);
	assert_int_equal(got.tier_ns, 77);
	assert_int_equal(got.number, 3);
	assert_memory_equal(got.id, n.id, sizeof(n.id));
	for (size_t i = 0; i < b.len * 8; i++) {
		b.data[i / 8] ^= 1 << i % 8;
		assert_int_equal(remote_notice_decode(b.data, b.len, &got),
				 -EBADMSG);
		b.data[i / 8] ^= 1 << i % 8;
	}
	for (size_t i = 0; i < b.len; i++)
		assert_int_equal(remote_notice_decode(b.data, i, &got),
				 -EBADMSG);
	buf_reset(&b);
	assert_int_equal(remote_hold_encode(digests, 3, &b), 0);
	for (size_t i = 0; i < b.len * 8; i++) {
		b.data[i / 8] ^= 1 << i % 8;
		assert_int_equal(remote_hold_decode(b.data, b.len, keep_digest,
						    &seen),
				 -EBADMSG);
		b.data[i / 8] ^= 1 << i % 8;
	}
	for (size_t i = 0; i < b.len; i++)
		assert_int_equal(remote_hold_decode(b.data, i, keep_digest,
						    &seen),
				 -EBADMSG);
	assert_int_equal(remote_hold_decode(b.data, b.len, keep_digest, &seen),
			 0);
	assert_true(digest_equal(&seen, &digests[2]));
}

/* ---- a tier that fails */

/* An entry that the tier only says to be gone may be left without its objects;
 * then it goes with the next one. */
static void check_after(struct remotes *rs, bool lies, const char *what)
{
	const struct remote_gc_options o = { .grace_ns = DAY_NS,
					     .keep_last = 2 };
	struct remote_gc_result res;

	for (unsigned i = 1; i <= 4; i++) {
		char key[8];
		int r;

		snprintf(key, sizeof(key), "k%u", i);
		r = look_for(rs, key);
		if (r != 0 && (i > 2 || (r != -ENOENT && !lies)))
			fail_msg("%s: %s: %d", what, key, r);
	}
	fault_tier_age(rs->first, 2 * DAY_NS);
	if (collect(rs, &o, &res) != 0)
		fail_msg("%s: not mended", what);
	assert_left(rs, "34");
	assert_int_equal(count_there(rs, "packs"), 3);
}

/* Nothing that stays is lost, whatever call fails and how; the next one ends
 * what was begun. */
static void test_faults(void **state)
{
	const struct remote_gc_options o = { .grace_ns = DAY_NS,
					     .keep_last = 2 };
	struct remotes *rs = *state;
	struct remote_gc_result res;
	unsigned failed = 0;
	char what[64];

	for (int kind = FAULT_ERROR; kind < FAULT_KINDS; kind++) {
		if (kind == FAULT_ENDLESS)
			continue; /* as FAULT_LONG, and takes its time */
		for (unsigned n = 1;; n++) {
			int r;

			new_chain(rs);
			make_four(rs);
			fault_tier_set(rs->first, kind, n, false);
			r = collect(rs, &o, &res);
			if (fault_tier_calls(rs->first) < n) {
				assert_int_equal(r, 0);
				break;
			}
			failed += r < 0;
			fault_tier_set(rs->first, FAULT_NONE, 0, false);
			snprintf(what, sizeof(what), "kind %d at call %u", kind,
				 n);
			check_after(rs, kind == FAULT_LOST, what);
		}
	}
	assert_true(failed > 40);
}

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, remotes_setup, remotes_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_no_rule),   TEST(test_grace),
		TEST(test_keep_last), TEST(test_keep_days),
		TEST(test_max_size),  TEST(test_pins),
		TEST(test_pointers),  TEST(test_unreadable),
		TEST(test_held),      TEST(test_others),
		TEST(test_notices),   TEST(test_slept),
		TEST(test_faults),    cmocka_unit_test(test_codec),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
