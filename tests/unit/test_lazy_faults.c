/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a build does with an entry of remote tiers - find it, mount it, read
 * all of it, commit on top of it, push that - while a tier fails at call N in
 * each way, for every N. With another tier that has it all, nothing fails; with
 * none, a read is right or -EIO, and never wrong; and the faults are counted.
 *
 * Each N is swept with a third of the faults, and with LARDER_TEST_SWEEP_ALL=1
 * with all.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "remote_fixture.h"
#include "store/base/clock.h"
#include "store/chunker.h"

#define DEADLINE_MS 300
#define CALLS_MAX 60 /* of one build: the sweep ends somewhere */

/* The first N of a fault, and the step to the next. */
static unsigned first_call(int kind)
{
	return getenv("LARDER_TEST_SWEEP_ALL") ? 1 : 1 + (unsigned)kind % 3;
}

static unsigned next_call(unsigned n)
{
	return getenv("LARDER_TEST_SWEEP_ALL") ? n + 1 : n + 3;
}

struct build {
	struct remotes *rs;
	struct store_tree *there, *t; /* where it was made; where it is read */
	struct codec_ctx *ctx;
	uint8_t *got, *want; /* CHUNK_MAX bytes each */
	uint32_t chunks;
};

static void build_init(struct build *b, struct remotes *rs)
{
	int from = make_dir(rs->f, "from");
	struct catalog_info info;
	struct digest catalog;

	*b = (struct build){ .rs = rs };
	make_text_files(from, 60);
	/* What a read of the first chunk brings ends before the last one. */
	write_noise(from, "noise", 700000, 7);
	write_noise(from, "noise-2", 700000, 8);
	catalog = import_dir(rs->f, from, "k1").catalog;
	close(from);
	b->there = open_tree(rs->f, &catalog);
	catalog_info(store_tree_catalog(b->there), &info);
	b->chunks = info.chunks;
	assert_int_equal(codec_ctx_new(&b->ctx), 0);
	b->got = malloc(CHUNK_MAX);
	b->want = malloc(CHUNK_MAX);
}

static void build_release(struct build *b)
{
	store_tree_unref(b->t);
	store_tree_unref(b->there);
	codec_ctx_free(b->ctx);
	free(b->got);
	free(b->want);
}

/* Tiers that were well when the entry was pushed, and another machine. */
static void build_anew(struct build *b, bool both)
{
	store_tree_unref(b->t);
	b->t = NULL;
	new_chain(b->rs);
	new_other(b->rs);
	push(b->rs, 0, "k1");
	if (both)
		push(b->rs, 1, "k1");
}

static int bring(struct build *b)
{
	int err = bring_lazily(b->rs, "k1", &b->t);

	if (err == 0)
		lazy_set_deadline(b->t, DEADLINE_MS);
	return err;
}

/* 0 and right, or -EIO. */
static int read_chunk(struct build *b, uint32_t chunk)
{
	const struct digest *digest;
	uint32_t size;
	int r = store_chunk_read(b->t, b->ctx, chunk, 0, b->got);

	if (r < 0) {
		assert_int_equal(r, -EIO);
		return r;
	}
	assert_int_equal(catalog_chunk(store_tree_catalog(b->t), chunk, &digest,
				       &size),
			 0);
	assert_int_equal(store_chunk_read(b->there, b->ctx, chunk, 0, b->want),
			 0);
	assert_memory_equal(b->got, b->want, size);
	return 0;
}

/* How many of its chunks could not be had. */
static unsigned read_all(struct build *b)
{
	unsigned failed = 0;

	for (uint32_t c = 0; c < b->chunks; c++)
		failed += read_chunk(b, c) < 0;
	return failed;
}

/* What the build makes: a file beside those that it was given. */
static void commit(struct build *b)
{
	struct fixture f = { .store = b->rs->other, .self = b->rs->f->self };
	char name[32];
	int dir;

	snprintf(name, sizeof(name), "made-%u", b->rs->others++);
	dir = make_dir(b->rs->f, name);
	write_file(dir, "made", "made", 4);
	import_dir(&f, dir, "k2");
	close(dir);
}

static int push_made(struct build *b, unsigned tier)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct remote r = there(b->rs);
	struct remote_result res;

	assert_int_equal(
		index_get_entry(store_index(b->rs->other), ENTRY_TENANT_LOCAL,
				ENTRY_NAMESPACE_DEFAULT, "test", "k2", &e),
		0);
	return remote_push(&r, tier, &e, false, &res);
}

/* All that the chain counted of the first tier that was not as it should be. */
static uint64_t counted(struct build *b)
{
	struct chain_stats st;

	chain_stats(b->rs->chain, 0, &st);
	return st.failures + st.damaged + st.misses;
}

/* Whatever the first tier does wrong, and whenever: the build does not see
 * it. */
static void another_tier_has_it(void **state)
{
	struct build b;

	build_init(&b, *state);
	for (int kind = FAULT_ERROR; kind < FAULT_KINDS; kind++) {
		unsigned n;

		for (n = first_call(kind); n < CALLS_MAX; n = next_call(n)) {
			uint64_t before;

			build_anew(&b, true);
			before = counted(&b);
			fault_tier_set(b.rs->first, kind, n, false);
			assert_int_equal(bring(&b), 0);
			assert_int_equal(read_all(&b), 0);
			commit(&b);
			assert_int_equal(push_made(&b, 1), 0);
			if (fault_tier_calls(b.rs->first) < n)
				break;
			assert_true(counted(&b) > before);
		}
		/* Entry, tree, head and frames of a pack at least. */
		assert_true(n > 4 && n < CALLS_MAX);
	}
	build_release(&b);
}

/* The same when it does so from call N on, until it is left alone. */
static void another_tier_has_it_for_long(void **state)
{
	struct build b;

	build_init(&b, *state);
	for (int kind = FAULT_ERROR; kind < FAULT_KINDS; kind++)
		for (unsigned n = first_call(kind); n < 6; n = next_call(n)) {
			build_anew(&b, true);
			fault_tier_set(b.rs->first, kind, n, true);
			assert_int_equal(bring(&b), 0);
			assert_int_equal(read_all(&b), 0);
		}
	build_release(&b);
}

/* With no other tier: what is seen is right, and once the tier is well again,
 * all of it is. */
static void no_other_tier_has_it(void **state)
{
	struct build b;

	build_init(&b, *state);
	for (int kind = FAULT_ERROR; kind < FAULT_KINDS; kind++) {
		unsigned n;

		for (n = first_call(kind); n < CALLS_MAX; n = next_call(n)) {
			unsigned calls;

			build_anew(&b, false);
			fault_tier_set(b.rs->first, kind, n, false);
			if (bring(&b) == 0)
				read_all(&b);
			calls = fault_tier_calls(b.rs->first);
			fault_tier_set(b.rs->first, FAULT_NONE, 0, false);
			if (!b.t)
				assert_int_equal(bring(&b), 0);
			assert_int_equal(read_all(&b), 0);
			if (calls < n)
				break;
		}
		assert_true(n > 4 && n < CALLS_MAX);
	}
	build_release(&b);
}

/* A tier that is down for good: each read ends at its deadline, what was
 * fetched before stays, and a commit needs nobody. */
static void nobody_has_it_any_more(void **state)
{
	int64_t begun, took;
	struct build b;

	build_init(&b, *state);
	for (int kind = FAULT_ERROR; kind < FAULT_KINDS; kind++) {
		build_anew(&b, false);
		assert_int_equal(bring(&b), 0);
		assert_int_equal(read_chunk(&b, 0), 0);
		fault_tier_set(b.rs->first, kind, 1, true);
		begun = clock_mono_ns();
		/* What is too long begins with what is right. */
		if (read_chunk(&b, b.chunks - 1) == 0)
			assert_true(kind == FAULT_ENDLESS ||
				    kind == FAULT_LONG);
		took = clock_mono_ns() - begun;
		assert_true(took < INT64_C(20000000000));
		assert_int_equal(read_chunk(&b, 0), 0);
		commit(&b);
	}
	build_release(&b);
}

/* The length and the tail that a tree says of its packs are hints. */
static void a_wrong_hint_costs_requests_only(void **state)
{
	static const uint8_t tails[2][PACK_TAIL_BYTES] = { { 0 }, { 1, 2, 3 } };
	struct build b;

	build_init(&b, *state);
	for (int i = 0; i < 2; i++) {
		struct pack_loc where;

		build_anew(&b, false);
		assert_int_equal(bring(&b), 0);
		assert_int_equal(store_tree_locate(b.there, 0, &where), 0);
		store_hint_pack(b.rs->other, &where.pack, 100000 + i, tails[i]);
		assert_int_equal(read_all(&b), 0);
	}
	build_release(&b);
}

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, remotes_setup, remotes_teardown)
	const struct CMUnitTest tests[] = {
		TEST(another_tier_has_it),
		TEST(another_tier_has_it_for_long),
		TEST(no_other_tier_has_it),
		TEST(nobody_has_it_any_more),
		TEST(a_wrong_hint_costs_requests_only),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
