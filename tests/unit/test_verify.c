/* SPDX-License-Identifier: Apache-2.0 */
/* Verifications: what damage is found, and what is left of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gc_fixture.h"
#include "store/verify.h"

#define MIB (1u << 20)
#define PATH_ROOM 700

/* What a verification said. */
struct heard {
	unsigned packs, trees, entries;
	unsigned outcomes[4];
	char entry[128]; /* the last one */
	struct fixture *f;
	const char *backup; /* a pack's file, for refetch() */
	const char *pack;
};

static void hear(void *arg, const struct verify_damage *d)
{
	struct heard *h = arg;

	h->packs += d->kind == VERIFY_PACK;
	h->trees += d->kind == VERIFY_TREE;
	h->entries += d->kind == VERIFY_ENTRY;
	h->outcomes[d->outcome]++;
	if (d->kind == VERIFY_ENTRY)
		snprintf(h->entry, sizeof(h->entry), "%s", d->name);
	assert_true(strlen(d->name) > 0 && strlen(d->what) > 0);
}

static struct verify_result look(struct fixture *f, bool repair,
				 struct heard *h)
{
	const struct verify_options o = { .repair = repair,
					  .damaged = hear,
					  .arg = h };
	struct verify_result res;

	*h = (struct heard){ .f = f };
	assert_int_equal(verify_run(f->store, &o, NULL, &res), 0);
	return res;
}

static void assert_clean(struct fixture *f)
{
	struct verify_result res;
	struct heard h;

	res = look(f, false, &h);
	assert_int_equal(h.packs + h.trees + h.entries, 0);
	assert_int_equal(res.bad_packs, 0);
	assert_int_equal(res.bad_chunks, 0);
	assert_int_equal(res.bad_records, 0);
	assert_int_equal(res.left, 0);
}

/* The file of the only pack. */
static void only_pack(struct fixture *f, char path[PATH_ROOM])
{
	assert_int_equal(count_objects(f, "packs", path, PATH_ROOM), 1);
}

/* Two entries of one pack: "both" has two files, "first" one of them. */
static void import_two(struct fixture *f)
{
	int both = make_dir(f, "both"), first = make_dir(f, "first");

	write_noise(both, "1", MIB, 1);
	write_noise(both, "2", MIB, 2);
	import_dir(f, both, "both");
	write_noise(first, "1", MIB, 1);
	import_dir(f, first, "first");
	close(both);
	close(first);
}

static void a_whole_store_is_whole(void **state)
{
	struct fixture *f = *state;
	int dir = make_dir(f, "all");
	struct verify_result res;
	struct heard h;

	import_two(f);
	make_all_types(dir);
	make_text_files(dir, 50);
	import_dir(f, dir, "all");
	close(dir);
	res = look(f, false, &h);
	assert_int_equal(res.entries, 3);
	assert_int_equal(res.trees, 3);
	assert_true(res.packs >= 2);
	assert_true(res.chunks > 50);
	assert_true(res.bytes > 10 * MIB);
	assert_clean(f);
	look(f, true, &h);
	assert_int_equal(h.packs + h.trees + h.entries, 0);
	assert_int_equal(read_entry(f, "all"), 0);
}

/* The second file's chunk lies behind the first one's, in order. */
static void damage_second(struct fixture *f)
{
	char path[PATH_ROOM];

	only_pack(f, path);
	flip_byte(path, MIB + MIB / 2);
}

static void damage_is_named(void **state)
{
	struct fixture *f = *state;
	struct verify_result res;
	struct heard h;

	import_two(f);
	damage_second(f);
	res = look(f, false, &h);
	assert_int_equal(h.packs, 1);
	assert_int_equal(h.entries, 1);
	assert_string_equal(h.entry, "default/test@both");
	assert_int_equal(h.outcomes[VERIFY_LEFT], 2);
	assert_int_equal(res.bad_chunks, 1);
	assert_int_equal(res.bad_packs, 1);
	assert_int_equal(res.bad_entries, 1);
	assert_int_equal(res.bad_records, 1);
	assert_int_equal(res.left, 3);
	/* Nothing was changed. */
	assert_true(has_entry(f, "both"));
	res = look(f, false, &h);
	assert_int_equal(res.left, 3);
}

static void what_is_lost_is_removed(void **state)
{
	struct fixture *f = *state;
	struct verify_result res;
	struct heard h;
	char path[PATH_ROOM];
	int dir;

	import_two(f);
	damage_second(f);
	res = look(f, true, &h);
	assert_int_equal(res.left, 0);
	assert_int_equal(h.outcomes[VERIFY_SET_ASIDE], 1);
	assert_int_equal(h.outcomes[VERIFY_REMOVED], 1);
	assert_false(has_entry(f, "both"));
	only_pack(f, path); /* what is good of it, anew */
	assert_int_equal(read_entry(f, "first"), 0);
	assert_clean(f);

	/* The chunk is stored again where it is needed. */
	dir = make_dir(f, "again");
	write_noise(dir, "1", MIB, 1);
	write_noise(dir, "2", MIB, 2);
	import_dir(f, dir, "both");
	close(dir);
	assert_int_equal(read_entry(f, "both"), 0);
	reopen_store(f);
	assert_int_equal(read_entry(f, "both"), 0);
	assert_int_equal(read_entry(f, "first"), 0);
}

static void pinned_entries_stay(void **state)
{
	struct fixture *f = *state;
	struct verify_result res;
	struct heard h;

	import_two(f);
	pin(f, "both", true);
	damage_second(f);
	res = look(f, true, &h);
	assert_int_equal(h.outcomes[VERIFY_LEFT], 1);
	assert_int_equal(res.left, 1);
	assert_true(has_entry(f, "both"));
	assert_int_not_equal(read_entry(f, "both"), 0);
}

/* Forgets a chunk of `len` bytes of noise, so that it is stored once more. */
static void forget_chunk(struct fixture *f, size_t len, uint64_t seed)
{
	_cleanup_free_ uint8_t *data = malloc(len);
	struct index_batch *b;
	struct digest chunk;

	assert_non_null(data);
	fill_noise(data, len, seed);
	assert_int_equal(digest_of(data, len, &chunk), 0);
	assert_int_equal(index_batch_begin(store_index(f->store), &b), 0);
	assert_int_equal(index_remove_chunk(b, &chunk), 0);
	assert_int_equal(index_batch_commit(b, true), 0);
}

static void another_copy_serves(void **state)
{
	struct fixture *f = *state;
	struct verify_result res;
	struct heard h;
	int dir;

	import_two(f);
	damage_second(f);
	forget_chunk(f, MIB, 2);
	dir = make_dir(f, "copy");
	write_noise(dir, "2", MIB, 2);
	import_dir(f, dir, "copy");
	close(dir);
	/* Nor does the index know the copy. */
	forget_chunk(f, MIB, 2);
	res = look(f, true, &h);
	assert_int_equal(res.left, 0);
	assert_int_equal(h.outcomes[VERIFY_MENDED], 1);
	assert_int_equal(h.outcomes[VERIFY_REMOVED], 0);
	assert_int_equal(read_entry(f, "both"), 0);
	assert_int_equal(read_entry(f, "first"), 0);
	assert_int_equal(read_entry(f, "copy"), 0);
	assert_clean(f);
}

static int put_back(void *arg, const struct entry *e)
{
	const struct heard *h = arg;

	assert_string_equal(e->key, "both");
	return rename(h->backup, h->pack) < 0 ? -ENOENT : 0;
}

static void copy_file(const char *from, const char *to)
{
	char command[2 * PATH_ROOM];

	snprintf(command, sizeof(command), "cp %s %s", from, to);
	assert_int_equal(system(command), 0);
}

static void what_is_fetched_again_serves(void **state)
{
	struct fixture *f = *state;
	struct heard h = { .f = f };
	const struct verify_options o = { .repair = true,
					  .damaged = hear,
					  .refetch = put_back,
					  .arg = &h };
	char path[PATH_ROOM], backup[160];
	struct verify_result res;

	import_two(f);
	only_pack(f, path);
	snprintf(backup, sizeof(backup), "%s/backup", f->dir);
	copy_file(path, backup);
	damage_second(f);
	h.backup = backup;
	h.pack = path;
	assert_int_equal(verify_run(f->store, &o, NULL, &res), 0);
	assert_int_equal(res.left, 0);
	assert_int_equal(h.outcomes[VERIFY_MENDED], 1);
	assert_int_equal(h.outcomes[VERIFY_SET_ASIDE], 1);
	assert_int_equal(read_entry(f, "both"), 0);
	assert_int_equal(read_entry(f, "first"), 0);
}

/* Wherever a byte of a pack is changed: it is found, and what does not need it
 * is readable behind a repair. */
static void every_part_of_a_pack_is_looked_at(void **state)
{
	struct fixture *f = *state;
	char path[PATH_ROOM], backup[160];
	struct stat st;

	import_two(f);
	only_pack(f, path);
	assert_int_equal(stat(path, &st), 0);
	snprintf(backup, sizeof(backup), "%s/backup", f->dir);
	copy_file(path, backup);
	for (uint64_t off = 0; off < (uint64_t)st.st_size;
	     off += off < 200 || off + 200 > (uint64_t)st.st_size ? 1 : 97777) {
		struct verify_result res;
		struct heard h;

		flip_byte(path, off);
		res = look(f, false, &h);
		if (res.bad_packs != 1 || h.packs != 1)
			fail_msg("byte %llu is not looked at",
				 (unsigned long long)off);
		copy_file(backup, path);
	}
	assert_clean(f);
}

static void the_index_is_looked_at(void **state)
{
	struct pack_loc wrong = { .off = 12345, .len = 100 };
	struct fixture *f = *state;
	struct digest chunk = { { 1, 2, 3 } };
	struct verify_result res;
	struct index_batch *b;
	struct heard h;
	bool found;

	import_two(f);
	assert_int_equal(index_batch_begin(store_index(f->store), &b), 0);
	assert_int_equal(index_put_chunk(b, &chunk, &wrong), 0);
	assert_int_equal(index_batch_commit(b, true), 0);
	res = look(f, false, &h);
	assert_int_equal(res.bad_records, 1);
	assert_int_equal(res.left, 1);
	res = look(f, true, &h);
	assert_int_equal(res.bad_records, 1);
	assert_int_equal(res.left, 0);
	assert_int_equal(index_get_chunks(store_index(f->store), &chunk, 1,
					  &wrong, &found),
			 0);
	assert_false(found);
	assert_clean(f);
}

static void catalogs_are_looked_at(void **state)
{
	struct fixture *f = *state;
	struct verify_result res;
	struct heard h;
	char path[PATH_ROOM];

	import_two(f);
	remove_entry(f, "first");
	collect(f, 0);
	assert_int_equal(count_objects(f, "catalogs", path, sizeof(path)), 1);
	flip_byte(path, 100);
	res = look(f, false, &h);
	assert_int_equal(h.entries, 1);
	assert_int_equal(res.left, 1);
	res = look(f, true, &h);
	assert_int_equal(h.outcomes[VERIFY_REMOVED], 1);
	assert_int_equal(res.left, 0);
	assert_clean(f);
}

static void a_placement_is_made_again(void **state)
{
	struct fixture *f = *state;
	char path[PATH_ROOM];

	import_two(f);
	assert_int_equal(count_objects(f, "placements", path, sizeof(path)), 2);
	flip_byte(path, 60);
	assert_clean(f);
	assert_int_equal(read_entry(f, "both"), 0);
	assert_int_equal(read_entry(f, "first"), 0);
}

static struct digest held;

static int hold(void *arg,
		int (*each)(void *each_arg, const struct digest *catalog),
		void *each_arg)
{
	(void)arg;
	return each(each_arg, &held);
}

/* As kept changes have one whose entry is gone. */
static void held_trees_are_named(void **state)
{
	struct fixture *f = *state;
	struct heard h = { .f = f };
	const struct verify_options o = { .damaged = hear,
					  .holds = hold,
					  .arg = &h };
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct verify_result res;

	import_two(f);
	e = get_entry(f, "both");
	held = e.catalog;
	remove_entry(f, "both");
	damage_second(f);
	assert_int_equal(verify_run(f->store, &o, NULL, &res), 0);
	assert_int_equal(h.trees, 1);
	assert_int_equal(res.bad_trees, 1);
	assert_int_equal(h.entries, 0);
}

/* A tree that is open goes on with what there is of its old packs. */
static void open_trees_go_on(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ uint8_t *room = malloc(CHUNK_MAX);
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct codec_ctx *ctx;
	struct store_tree *t;
	struct heard h;

	assert_non_null(room);
	import_two(f);
	e = get_entry(f, "first");
	t = open_tree(f, &e.catalog);
	assert_int_equal(codec_ctx_new(&ctx), 0);
	damage_second(f);
	look(f, true, &h);
	assert_int_equal(h.outcomes[VERIFY_SET_ASIDE], 1);
	assert_int_equal(store_chunk_read(t, ctx, 0, 0, room), 0);
	codec_ctx_free(ctx);
	store_tree_unref(t);
}

#define TEST(fn) \
	cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_whole_store_is_whole),
		TEST(damage_is_named),
		TEST(what_is_lost_is_removed),
		TEST(pinned_entries_stay),
		TEST(another_copy_serves),
		TEST(what_is_fetched_again_serves),
		TEST(every_part_of_a_pack_is_looked_at),
		TEST(the_index_is_looked_at),
		TEST(catalogs_are_looked_at),
		TEST(a_placement_is_made_again),
		TEST(held_trees_are_named),
		TEST(open_trees_go_on),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
