/* SPDX-License-Identifier: Apache-2.0 */
/* Collections: what goes, what stays, and what is left of packs. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "gc_fixture.h"
#include "store/base/log.h"
#include "store/roots.h"

#define MIB (1u << 20)

/* An entry of its own content. */
static void import_noise(struct fixture *f, const char *key, size_t bytes,
			 uint64_t seed)
{
	int dir = make_dir(f, key);

	write_noise(dir, "file", bytes, seed);
	import_dir(f, dir, key);
	close(dir);
}

/* Entries "a", "b" and "c" of 1 MiB, used in the order of the alphabet. */
static void import_three(struct fixture *f)
{
	static const char *const keys[] = { "a", "b", "c" };
	int64_t now = clock_wall_ns();

	for (unsigned i = 0; i < 3; i++) {
		import_noise(f, keys[i], MIB, i + 1);
		use_at(f, keys[i], now + i);
	}
}

static void nothing_goes_within_the_limits(void **state)
{
	struct fixture *f = *state;
	struct gc_result res;

	import_three(f);
	res = collect(f, 0);
	assert_int_equal(res.entries, 3);
	assert_int_equal(res.removed_entries, 0);
	assert_int_equal(res.removed_packs, 0);
	assert_int_equal(res.rewritten_packs, 0);
	assert_int_equal(res.removed_catalogs, 0);
	assert_int_equal(res.before.objects, 9);
	assert_int_equal(res.after.objects, 9);
	assert_int_equal(read_entry(f, "a"), 0);
	assert_int_equal(read_entry(f, "b"), 0);
	assert_int_equal(read_entry(f, "c"), 0);
}

/* What the tests below leave room for: two of the three, and a half. */
static uint64_t room_for_two(struct fixture *f)
{
	return bytes_now(f) - MIB / 2;
}

static void the_least_recently_used_goes(void **state)
{
	struct fixture *f = *state;
	struct gc_result res;

	import_three(f);
	use_at(f, "a", clock_wall_ns() + 10);
	res = collect(f, room_for_two(f));
	assert_int_equal(res.removed_entries, 1);
	assert_int_equal(res.removed_packs, 1);
	assert_int_equal(res.removed_catalogs, 1);
	assert_true(res.before.over);
	assert_false(res.after.over);
	assert_true(res.after.bytes + MIB <= res.before.bytes);
	assert_false(has_entry(f, "b"));
	assert_int_equal(read_entry(f, "a"), 0);
	assert_int_equal(read_entry(f, "c"), 0);
	reopen_store(f);
	assert_int_equal(read_entry(f, "a"), 0);
	assert_int_equal(read_entry(f, "c"), 0);
	assert_int_equal(count_objects(f, "packs", NULL, 0), 2);
}

static void a_use_is_noted(void **state)
{
	struct fixture *f = *state;
	_cleanup_entry_ struct entry e = ENTRY_INIT;

	import_noise(f, "a", MIB, 1);
	import_noise(f, "b", MIB, 2);
	import_noise(f, "c", MIB, 3);
	e = get_entry(f, "a");
	gc_entry_used(f->store, &e);
	collect(f, room_for_two(f));
	assert_true(has_entry(f, "a"));
	assert_false(has_entry(f, "b"));
	assert_true(has_entry(f, "c"));
}

static void objects_are_limited(void **state)
{
	struct fixture *f = *state;
	const struct gc_options o = { .limits = { .max_objects = 8 } };
	struct gc_result res;

	import_three(f);
	assert_int_equal(gc_run(f->store, &o, NULL, &res), 0);
	assert_int_equal(res.removed_entries, 1);
	assert_int_equal(res.after.objects, 6);
	assert_false(has_entry(f, "a"));
}

/* A file system that is nearly full is a limit, too. */
static void free_space_is_a_limit(void **state)
{
	struct fixture *f = *state;
	struct gc_options o = { .dry_run = true };
	const struct gc_limits none = { 0 };
	struct gc_result res;
	struct gc_usage u;

	import_three(f);
	assert_int_equal(gc_usage(f->store, &none, &u), 0);
	o.limits.min_free_bytes = u.disk_bytes;
	assert_int_equal(gc_run(f->store, &o, NULL, &res), 0);
	assert_int_equal(res.removed_entries, 3);
	o.limits.min_free_bytes = 1;
	assert_int_equal(gc_run(f->store, &o, NULL, &res), 0);
	assert_int_equal(res.removed_entries, 0);
}

static void pinned_and_young_ones_stay(void **state)
{
	struct fixture *f = *state;
	struct gc_options o = { .limits = { .max_bytes = 1 },
				.grace_ns = GC_GRACE_NS };
	struct gc_result res;

	import_three(f);
	assert_int_equal(gc_run(f->store, &o, NULL, &res), 0);
	assert_int_equal(res.removed_entries, 0);
	assert_int_equal(res.kept_entries, 3);
	assert_true(res.after.over);
	pin(f, "a", true);
	res = collect(f, 1);
	assert_int_equal(res.removed_entries, 2);
	assert_int_equal(read_entry(f, "a"), 0);
	pin(f, "a", false);
	res = collect(f, 1);
	assert_int_equal(res.removed_entries, 1);
	assert_nothing_stored(f);
}

static int hold_one(void *arg, int (*each)(void *, const struct digest *),
		    void *each_arg)
{
	return each(each_arg, arg);
}

static void what_is_in_use_stays(void **state)
{
	struct fixture *f = *state;
	_cleanup_entry_ struct entry a = ENTRY_INIT, b = ENTRY_INIT;
	struct gc_options o = { .limits = { .max_bytes = 1 },
				.holds = hold_one };
	struct gc_result res;
	struct store_tree *t;

	import_three(f);
	a = get_entry(f, "a");
	b = get_entry(f, "b");
	t = open_tree(f, &a.catalog);
	o.arg = &b.catalog;
	assert_int_equal(gc_run(f->store, &o, NULL, &res), 0);
	assert_int_equal(res.removed_entries, 1);
	assert_int_equal(res.kept_entries, 2);
	assert_false(has_entry(f, "c"));
	assert_int_equal(read_entry(f, "a"), 0);
	assert_int_equal(read_entry(f, "b"), 0);
	store_tree_unref(t);
}

/* Their entries are gone, and they stay all the same. */
static void trees_without_an_entry_stay_while_needed(void **state)
{
	struct fixture *f = *state;
	_cleanup_entry_ struct entry a = ENTRY_INIT, b = ENTRY_INIT;
	struct gc_options o = { .holds = hold_one };
	struct gc_result res;
	struct store_tree *t;

	import_three(f);
	a = get_entry(f, "a");
	b = get_entry(f, "b");
	t = open_tree(f, &a.catalog);
	remove_entry(f, "a");
	remove_entry(f, "b");
	remove_entry(f, "c");
	o.arg = &b.catalog;
	assert_int_equal(gc_run(f->store, &o, NULL, &res), 0);
	assert_int_equal(res.removed_packs, 1);
	assert_int_equal(res.removed_catalogs, 1);
	assert_int_equal(read_tree(f->store, &a.catalog), 0);
	assert_int_equal(read_tree(f->store, &b.catalog), 0);
	store_tree_unref(t);
	collect(f, 0);
	assert_int_equal(read_tree(f->store, &a.catalog), -ENOENT);
	assert_nothing_stored(f);
}

static void roots_stay_with_their_entry(void **state)
{
	struct fixture *f = *state;
	_cleanup_entry_ struct entry e = make_entry("joined");
	struct root roots[2] = { { .name = "x" }, { .name = "y" } };
	struct ingest_result added = { 0 }, res;
	struct gc_options o = { .limits = { .max_bytes = 1 } };
	struct gc_result gc;
	struct store_tree *t;

	for (unsigned i = 0; i < 2; i++) {
		int dir = make_dir(f, roots[i].name);

		write_noise(dir, "file", MIB, i + 1);
		assert_int_equal(ingest_dir(f->store, dir, "x", &f->self, true,
					    NULL, NULL, &res),
				 0);
		roots[i].catalog = res.catalog;
		close(dir);
	}
	assert_int_equal(roots_join(f->store, roots, 2, &added, &e, &res), 0);
	gc = collect(f, 0);
	assert_int_equal(gc.removed_catalogs, 0);
	assert_int_equal(read_tree(f->store, &roots[0].catalog), 0);
	assert_int_equal(read_tree(f->store, &roots[1].catalog), 0);

	/* A mount of one root keeps the entry. */
	t = open_tree(f, &roots[1].catalog);
	assert_int_equal(gc_run(f->store, &o, NULL, &gc), 0);
	assert_int_equal(gc.removed_entries, 0);
	store_tree_unref(t);
	assert_int_equal(gc_run(f->store, &o, NULL, &gc), 0);
	assert_int_equal(gc.removed_entries, 1);
	assert_nothing_stored(f);
}

/* Bytes that a crash left in place of an object. */
static void leave(struct fixture *f, const char *kind, uint8_t seed)
{
	struct digest name;
	char path[200], hex[DIGEST_HEX_LEN + 1];

	memset(name.bytes, seed, sizeof(name.bytes));
	digest_hex(&name, hex);
	snprintf(path, sizeof(path), "%s/store/v1/%s/%.2s", f->dir, kind, hex);
	mkdir(path, 0700);
	strcat(path, "/");
	strcat(path, hex);
	write_file(AT_FDCWD, path, "half", 4);
}

static void garbage_goes(void **state)
{
	struct fixture *f = *state;
	struct gc_result res;

	import_three(f);
	leave(f, "packs", 1);
	leave(f, "catalogs", 2);
	leave(f, "placements", 2);
	leave(f, "placements", 3);
	assert_int_equal(count_objects(f, "packs", NULL, 0), 4);
	res = collect(f, 0);
	assert_int_equal(res.removed_packs, 1);
	assert_int_equal(res.removed_entries, 0);
	assert_int_equal(count_objects(f, "packs", NULL, 0), 3);
	assert_int_equal(count_objects(f, "catalogs", NULL, 0), 3);
	assert_int_equal(count_objects(f, "placements", NULL, 0), 3);
	assert_int_equal(read_entry(f, "b"), 0);
}

/* "large" has 20 files in one pack, "small" has three of them. */
static void import_half_dead(struct fixture *f)
{
	int dir = make_dir(f, "from");
	char name[8];

	for (unsigned i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		write_noise(dir, name, 100000, i + 1);
	}
	import_dir(f, dir, "large");
	for (unsigned i = 3; i < 20; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(unlinkat(dir, name, 0), 0);
	}
	import_dir(f, dir, "small");
	close(dir);
}

static void half_dead_packs_are_rewritten(void **state)
{
	struct fixture *f = *state;
	struct gc_result res;

	import_half_dead(f);
	assert_int_equal(collect(f, 0).rewritten_packs, 0);
	remove_entry(f, "large");
	res = collect(f, 0);
	assert_int_equal(res.rewritten_packs, 1);
	assert_int_equal(res.removed_packs, 1);
	assert_true(res.after.bytes + 1600000 < res.before.bytes);
	assert_int_equal(count_objects(f, "packs", NULL, 0), 1);
	assert_int_equal(read_entry(f, "small"), 0);
	assert_int_equal(collect(f, 0).rewritten_packs, 0);
	reopen_store(f);
	assert_int_equal(read_entry(f, "small"), 0);
}

/* As an import does with text; and the index says where things are. */
static void rewritten_packs_keep_their_dictionary(void **state)
{
	struct fixture *f = *state;
	int dir = make_dir(f, "from");
	struct gc_result gc;
	char name[32];
	struct ingest_result res;
	unsigned i;

	make_text_files(dir, 1000);
	import_dir(f, dir, "large");
	for (i = 100; i < 1000; i++) {
		snprintf(name, sizeof(name), "m%04u.js", i);
		assert_int_equal(unlinkat(dir, name, 0), 0);
	}
	import_dir(f, dir, "small");
	remove_entry(f, "large");
	gc = collect(f, 0);
	assert_int_equal(gc.rewritten_packs, 1);
	assert_int_equal(read_entry(f, "small"), 0);
	/* The dictionary is most of what is left, and not dead. */
	assert_int_equal(collect(f, 0).rewritten_packs, 0);
	assert_int_equal(try_import(f, dir, "again", NULL, &res), 0);
	assert_int_equal(res.new_chunks, 0);
	close(dir);
}

static void packs_of_open_trees_stay(void **state)
{
	struct fixture *f = *state;
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct store_tree *t;
	struct gc_result res;

	import_half_dead(f);
	e = get_entry(f, "small");
	t = open_tree(f, &e.catalog);
	remove_entry(f, "large");
	res = collect(f, 0);
	assert_int_equal(res.rewritten_packs, 0);
	assert_int_equal(read_entry(f, "small"), 0);
	store_tree_unref(t);
	assert_int_equal(collect(f, 0).rewritten_packs, 1);
	assert_int_equal(read_entry(f, "small"), 0);
}

/* What is gone is stored anew. */
static void chunks_of_removed_packs_are_new(void **state)
{
	struct fixture *f = *state;
	struct ingest_result res;
	int dir;

	import_three(f);
	remove_entry(f, "b");
	collect(f, 0);
	dir = make_dir(f, "again");
	write_noise(dir, "file", MIB, 2);
	assert_int_equal(try_import(f, dir, "b", NULL, &res), 0);
	assert_int_equal(res.new_chunks, 1);
	assert_int_equal(read_entry(f, "b"), 0);
	close(dir);
}

static void count_removed(void *arg, const struct entry *e, int64_t used_ns,
			  enum gc_reason reason)
{
	(void)used_ns;
	assert_int_equal(reason, GC_UNUSED);
	strcat(arg, e->key);
}

static void a_dry_run_says_what_would_be_done(void **state)
{
	struct fixture *f = *state;
	char keys[16] = "";
	struct gc_options o = { .dry_run = true,
				.removed = count_removed,
				.arg = keys };
	struct gc_result dry, res;

	import_three(f);
	import_half_dead(f);
	remove_entry(f, "large");
	use_at(f, "small", clock_wall_ns() + 100);
	o.limits.max_bytes = bytes_now(f) - 9 * MIB / 4;
	assert_int_equal(gc_run(f->store, &o, NULL, &dry), 0);
	assert_string_equal(keys, "a");
	assert_true(has_entry(f, "a"));
	assert_int_equal(count_objects(f, "packs", NULL, 0), 4);
	o.dry_run = false;
	assert_int_equal(gc_run(f->store, &o, NULL, &res), 0);
	assert_string_equal(keys, "aa");
	assert_int_equal(dry.removed_entries, res.removed_entries);
	assert_int_equal(dry.rewritten_packs, res.rewritten_packs);
	assert_true(labs((long)dry.after.bytes - (long)res.after.bytes) <
		    100000);
	assert_false(dry.after.over);
	assert_false(res.after.over);
}

static void entries_are_removed_as_they_were_found(void **state)
{
	struct fixture *f = *state;
	_cleanup_entry_ struct entry old = ENTRY_INIT, now = ENTRY_INIT;
	int dir;

	import_noise(f, "a", MIB, 1);
	old = get_entry(f, "a");
	dir = make_dir(f, "other");
	import_dir(f, dir, "a");
	close(dir);
	assert_int_equal(gc_remove_entry(f->store, &old), -ESTALE);
	now = get_entry(f, "a");
	pin(f, "a", true);
	assert_int_equal(gc_remove_entry(f->store, &now), -EPERM);
	pin(f, "a", false);
	assert_int_equal(gc_remove_entry(f->store, &now), 0);
	assert_int_equal(gc_remove_entry(f->store, &now), -ENOENT);
}

/* Its content may be in a pack that the index does not know. */
static void a_tree_without_places_keeps_the_packs(void **state)
{
	struct fixture *f = *state;
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	char path[STORE_PATH_LEN + 1];
	const struct digest *chunk;
	struct index_batch *b;
	struct store_tree *t;
	struct gc_result res;
	uint32_t size;

	import_three(f);
	e = get_entry(f, "b");
	t = open_tree(f, &e.catalog);
	assert_int_equal(catalog_chunk(store_tree_catalog(t), 0, &chunk, &size),
			 0);
	assert_int_equal(index_batch_begin(store_index(f->store), &b), 0);
	assert_int_equal(index_remove_chunk(b, chunk), 0);
	assert_int_equal(index_batch_commit(b, false), 0);
	store_tree_unref(t);
	store_path(&e.catalog, path);
	assert_int_equal(unlinkat(f->store->placements_fd, path, 0), 0);
	res = collect(f, 0);
	assert_int_equal(res.unreadable, 1);
	assert_int_equal(res.removed_packs, 0);
	assert_int_equal(count_objects(f, "packs", NULL, 0), 3);
	assert_int_equal(read_entry(f, "a"), 0);
	/* Where room is needed, it is the first to go. */
	res = collect(f, room_for_two(f) + MIB);
	assert_int_equal(res.removed_entries, 0);
	assert_int_equal(res.unreadable, 1);
	res = collect(f, room_for_two(f));
	assert_int_equal(res.removed_entries, 1);
	assert_false(has_entry(f, "b"));
	assert_int_equal(count_objects(f, "packs", NULL, 0), 2);
}

static void one_collection_at_a_time(void **state)
{
	struct fixture *f = *state;
	const struct gc_options o = { .dry_run = true };
	struct gc_result res;

	assert_int_equal(store_collect_begin(f->store), 0);
	assert_int_equal(gc_run(f->store, &o, NULL, &res), -EBUSY);
	store_collect_end(f->store);
	assert_int_equal(gc_run(f->store, &o, NULL, &res), 0);
}

static int cancel(void *arg, const char *phase, uint64_t done_files,
		  uint64_t all_files, uint64_t done_bytes, uint64_t all_bytes)
{
	(void)arg;
	(void)phase;
	(void)done_files;
	(void)all_files;
	(void)done_bytes;
	(void)all_bytes;
	return -ECANCELED;
}

static void it_can_be_cancelled(void **state)
{
	struct fixture *f = *state;
	const struct gc_options o = { .limits = { .max_bytes = 1 } };
	struct progress p = { .report = cancel };
	struct gc_result res;

	import_three(f);
	assert_int_equal(gc_run(f->store, &o, &p, &res), -ECANCELED);
	assert_true(has_entry(f, "a"));
	collect(f, 1);
	assert_nothing_stored(f);
}

/* ---- beside others */

#define ROUNDS 25
#define KEYS 4

struct importer {
	struct fixture *f;
	unsigned number;
	atomic_bool *stop;
};

/* Trees that share files with those of the other importer, so that chunks die
 * and are wanted again all the time. */
static void *import_again_and_again(void *arg)
{
	struct importer *im = arg;
	struct fixture *f = im->f;

	for (unsigned round = 0; round < ROUNDS; round++) {
		char name[32], key[16];
		struct ingest_result res;
		struct store_tree *t;
		int dir;

		snprintf(name, sizeof(name), "i%u-%u", im->number, round);
		snprintf(key, sizeof(key), "k%u-%u", im->number, round % KEYS);
		dir = make_dir(f, name);
		for (unsigned i = 0; i < 6; i++) {
			snprintf(name, sizeof(name), "f%u", i);
			write_noise(dir, name, 30000,
				    (round * 7 + i * i * (1 + im->number)) %
					    40);
		}
		assert_int_equal(try_import(f, dir, key, NULL, &res), 0);
		close(dir);
		/* A collection may have taken the entry, but not by half. */
		if (store_tree_open(f->store, &res.catalog, &t) == 0) {
			assert_int_equal(read_tree(f->store, &res.catalog), 0);
			store_tree_unref(t);
		}
	}
	return NULL;
}

static void *collect_again_and_again(void *arg)
{
	struct importer *im = arg;
	struct gc_options o = { .limits = { .max_bytes = 0 } };
	struct gc_result res;
	unsigned n = 0;

	while (!atomic_load(im->stop)) {
		o.limits.max_bytes = n++ % 2 ? bytes_now(im->f) - 100000 : 0;
		assert_int_equal(gc_run(im->f->store, &o, NULL, &res), 0);
	}
	return NULL;
}

static int check_each(void *arg, const struct index_name *name,
		      const struct entry *e, int err)
{
	struct fixture *f = arg;

	(void)name;
	assert_int_equal(err, 0);
	assert_int_equal(read_tree(f->store, &e->catalog), 0);
	return 0;
}

static void imports_go_on_beside_it(void **state)
{
	struct fixture *f = *state;
	atomic_bool stop = false;
	struct importer im[3] = { { f, 0, &stop },
				  { f, 1, &stop },
				  { f, 2, &stop } };
	pthread_t threads[3];
	struct gc_result res;

	assert_int_equal(pthread_create(&threads[0], NULL,
					import_again_and_again, &im[0]),
			 0);
	assert_int_equal(pthread_create(&threads[1], NULL,
					import_again_and_again, &im[1]),
			 0);
	assert_int_equal(pthread_create(&threads[2], NULL,
					collect_again_and_again, &im[2]),
			 0);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	atomic_store(&stop, true);
	pthread_join(threads[2], NULL);
	assert_int_equal(
		index_each_record(store_index(f->store), check_each, f), 0);
	res = collect(f, 0);
	assert_int_equal(res.unreadable, 0);
	assert_int_equal(
		index_each_record(store_index(f->store), check_each, f), 0);
	/* Nothing was left behind. */
	assert_int_equal(count_objects(f, "catalogs", NULL, 0),
			 count_objects(f, "placements", NULL, 0));
	collect(f, 1);
	assert_nothing_stored(f);
}

#define T(fn) \
	cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(nothing_goes_within_the_limits),
		T(the_least_recently_used_goes),
		T(a_use_is_noted),
		T(objects_are_limited),
		T(free_space_is_a_limit),
		T(pinned_and_young_ones_stay),
		T(what_is_in_use_stays),
		T(trees_without_an_entry_stay_while_needed),
		T(roots_stay_with_their_entry),
		T(garbage_goes),
		T(half_dead_packs_are_rewritten),
		T(rewritten_packs_keep_their_dictionary),
		T(packs_of_open_trees_stay),
		T(chunks_of_removed_packs_are_new),
		T(a_dry_run_says_what_would_be_done),
		T(entries_are_removed_as_they_were_found),
		T(a_tree_without_places_keeps_the_packs),
		T(one_collection_at_a_time),
		T(it_can_be_cancelled),
		T(imports_go_on_beside_it),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
