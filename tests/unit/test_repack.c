/* SPDX-License-Identifier: Apache-2.0 */
/* Repacking: what becomes smaller, what stays as it is, and that no byte of a
 * tree changes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gc_fixture.h"
#include "store/repack.h"

#define FILES 200
#define LEVEL 9 /* what is made in idle time takes too long here */

static struct repack_result repack(struct fixture *f)
{
	const struct repack_options o = { .level = LEVEL };
	struct repack_result res;

	assert_int_equal(repack_run(f->store, &o, NULL, &res), 0);
	return res;
}

/* Two versions of source code, and what does not compress. */
static void import_text(struct fixture *f)
{
	int dir = make_dir(f, "text");

	make_text_files(dir, FILES);
	import_dir(f, dir, "one");
	write_noise(dir, "m0000.js", 30000, 7);
	import_dir(f, dir, "two");
	close(dir);
}

static void import_noise(struct fixture *f)
{
	int dir = make_dir(f, "noise");

	write_noise(dir, "file", 200000, 1);
	import_dir(f, dir, "noise");
	close(dir);
}

static uint64_t packs_bytes(struct fixture *f)
{
	struct index_stats stats;

	assert_int_equal(index_stats(f->store->index, &stats), 0);
	return stats.pack_bytes;
}

static struct store_tree *open_entry(struct fixture *f, const char *key)
{
	_cleanup_entry_ struct entry e = get_entry(f, key);

	return open_tree(f, &e.catalog);
}

static void packs_become_smaller(void **state)
{
	struct fixture *f = *state;
	struct repack_result res;
	uint64_t before, after;

	import_text(f);
	import_noise(f);
	before = packs_bytes(f);
	res = repack(f);
	assert_int_equal(res.packs, 1);
	assert_int_equal(res.no_gain, 1); /* the noise */
	assert_int_equal(res.in_use, 0);
	assert_true(res.after_bytes < res.before_bytes - res.before_bytes / 20);
	assert_int_equal(read_entry(f, "one"), 0);
	assert_int_equal(read_entry(f, "two"), 0);
	assert_int_equal(collect(f, 0).removed_packs, 1);
	after = packs_bytes(f);
	assert_int_equal(before - after, res.before_bytes - res.after_bytes);
	reopen_store(f);
	assert_int_equal(read_entry(f, "one"), 0);
	assert_int_equal(read_entry(f, "two"), 0);
	assert_int_equal(read_entry(f, "noise"), 0);
}

static void it_is_done_once(void **state)
{
	struct fixture *f = *state;
	struct repack_result res;

	import_text(f);
	import_noise(f);
	repack(f);
	for (unsigned i = 0; i < 2; i++) {
		res = repack(f);
		assert_int_equal(res.packs, 0);
		assert_int_equal(res.no_gain, 0);
		/* Also where it has become half of what it was. */
		collect(f, 0);
		reopen_store(f);
	}
}

/* A new import finds the chunks where they are now. */
static void chunks_are_found_again(void **state)
{
	struct ingest_result res;
	struct fixture *f = *state;
	int dir;

	import_text(f);
	repack(f);
	collect(f, 0);
	dir = make_dir(f, "again");
	make_text_files(dir, FILES);
	res = import_dir(f, dir, "again");
	close(dir);
	assert_int_equal(res.stored_bytes, 0);
	assert_int_equal(read_entry(f, "again"), 0);
}

static void open_trees_keep_their_packs(void **state)
{
	struct fixture *f = *state;
	struct repack_result res;
	struct store_tree *t;

	import_text(f);
	t = open_entry(f, "two");
	res = repack(f);
	assert_int_equal(res.packs, 0);
	assert_int_equal(res.in_use, 1);
	store_tree_unref(t);
	assert_int_equal(repack(f).packs, 1);
	assert_int_equal(read_entry(f, "two"), 0);
}

struct opening {
	struct fixture *fixture;
	struct progress progress;
	struct store_tree *tree;
};

/* Opened while it runs, a tree goes on reading where it did. */
static int open_one(void *arg, const char *phase, uint64_t done_files,
		    uint64_t all_files, uint64_t done_bytes, uint64_t all_bytes)
{
	struct opening *o = arg;

	(void)done_files;
	(void)all_files;
	(void)all_bytes;
	o->progress.last_ns = 0; /* due at the next tick, too */
	if (strcmp(phase, "repack") == 0 && done_bytes > 0 && !o->tree)
		o->tree = open_entry(o->fixture, "one");
	return 0;
}

static void trees_that_are_opened_meanwhile_are_whole(void **state)
{
	const struct repack_options o = { .level = LEVEL };
	struct fixture *f = *state;
	struct opening open = { .fixture = f,
				.progress = { .report = open_one,
					      .arg = &open } };
	struct repack_result res;

	import_text(f);
	assert_int_equal(repack_run(f->store, &o, &open.progress, &res), 0);
	assert_int_equal(res.packs, 1);
	assert_non_null(open.tree);
	assert_int_equal(collect(f, 0).removed_packs, 0);
	assert_int_equal(read_entry(f, "one"), 0);
	store_tree_unref(open.tree);
	collect(f, 0);
	assert_int_equal(read_entry(f, "one"), 0);
	assert_int_equal(read_entry(f, "two"), 0);
}

static int note(void *arg, const struct digest *pack, uint64_t bytes)
{
	(void)bytes;
	return index_note_pack(arg, INDEX_PACK_SENT, pack);
}

static void packs_that_a_tier_has_stay(void **state)
{
	struct fixture *f = *state;
	struct repack_result res;
	struct index_batch *b;

	import_text(f);
	assert_int_equal(index_batch_begin(f->store->index, &b), 0);
	assert_int_equal(index_each_pack(f->store->index, note, b), 0);
	assert_int_equal(index_batch_commit(b, false), 0);
	res = repack(f);
	assert_int_equal(res.packs, 0);
	assert_int_equal(res.sent, 1);
}

/* What is noted of a pack goes with it. */
static void notes_go_with_their_pack(void **state)
{
	const struct digest pack = { .bytes = { 1 } };
	struct fixture *f = *state;
	struct index *ix = f->store->index;
	struct index_batch *b;

	assert_int_equal(index_pack_has(ix, INDEX_PACK_SENT, &pack), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(index_batch_begin(ix, &b), 0);
		index_note_pack(b, INDEX_PACK_SENT, &pack);
		index_note_pack(b, INDEX_PACK_DENSE, &pack);
		if (i > 0)
			index_remove_pack(b, &pack);
		assert_int_equal(index_batch_commit(b, false), 0);
		assert_int_equal(index_pack_has(ix, INDEX_PACK_SENT, &pack),
				 i == 0);
		assert_int_equal(index_pack_has(ix, INDEX_PACK_DENSE, &pack),
				 i == 0);
	}
}

/* Behind the first chunks that have moved. */
static int break_off(void *arg, const char *phase, uint64_t done_files,
		     uint64_t all_files, uint64_t done_bytes,
		     uint64_t all_bytes)
{
	struct progress *p = arg;

	(void)done_files;
	(void)all_files;
	(void)all_bytes;
	p->last_ns = 0; /* due at the next tick, too */
	return strcmp(phase, "repack") == 0 && done_bytes > 30000 ? -ECANCELED :
								    0;
}

static void what_was_done_is_not_lost(void **state)
{
	const struct repack_options o = { .level = LEVEL };
	struct progress p = { .report = break_off, .arg = &p };
	struct repack_result res, rest;
	struct fixture *f = *state;

	import_text(f);
	assert_int_equal(repack_run(f->store, &o, &p, &res), -ECANCELED);
	assert_int_equal(res.packs, 0);
	assert_true(res.after_bytes > 0);
	assert_int_equal(read_entry(f, "one"), 0);
	reopen_store(f);
	rest = repack(f);
	assert_int_equal(rest.packs, 1);
	assert_true(rest.after_bytes < rest.before_bytes);
	assert_int_equal(collect(f, 0).removed_packs, 1);
	assert_int_equal(read_entry(f, "one"), 0);
	assert_int_equal(read_entry(f, "two"), 0);
	/* Both, and what "two" has alone. */
	assert_true(packs_bytes(f) > res.after_bytes + rest.after_bytes);
}

/* What is bad is not taken along, and not tried again. */
static void damaged_packs_stay(void **state)
{
	struct fixture *f = *state;
	struct repack_result res;
	char path[700];
	int dir = make_dir(f, "text");

	make_text_files(dir, FILES);
	import_dir(f, dir, "one");
	close(dir);
	assert_int_equal(count_objects(f, "packs", path, sizeof(path)), 1);
	flip_byte(path, 50000);
	reopen_store(f);
	res = repack(f);
	assert_int_equal(res.packs, 0);
	assert_int_equal(res.after_bytes, 0);
	assert_int_equal(res.no_gain, 1);
	assert_int_equal(count_objects(f, "packs", NULL, 0), 1);
	assert_int_equal(repack(f).no_gain, 0);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(packs_become_smaller),
		TEST(it_is_done_once),
		TEST(chunks_are_found_again),
		TEST(open_trees_keep_their_packs),
		TEST(trees_that_are_opened_meanwhile_are_whole),
		TEST(packs_that_a_tier_has_stay),
		TEST(notes_go_with_their_pack),
		TEST(what_was_done_is_not_lost),
		TEST(damaged_packs_stay),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
