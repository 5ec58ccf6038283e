/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Committing a view: the entry holds the same tree, the store gets only what
 * is new, the upper remembers and shrinks, and a commit beside a writer gives
 * each file as it was at one moment.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/map.h"

#include "view_fixture.h"

static struct fixture fx;
static const struct tree_ops *const ops = &fixture_ops;

static void put(const char *path, const char *text)
{
	assert_int_equal(fixture_write(&fx, path, text), 0);
}

static void commit(const char *key, struct ingest_result *ret_result)
{
	assert_int_equal(fixture_commit(&fx, key, ret_result), 0);
}

static bool dirty(void)
{
	struct view_stats stats;

	view_stats(fx.view, &stats);
	return stats.dirty;
}

/* What a view over the entry alone shows. */
static void dump_entry(const struct digest *catalog, struct buf *out)
{
	struct store_tree *tree = fixture_tree(&fx, catalog);
	const struct view_options opt = { .read_only = true, .dirfd = -1 };
	struct view *v;
	bool damaged;

	assert_int_equal(view_open(tree, fx.fetch, &opt, &v, &damaged), 0);
	fixture_dump_plain(v, out);
	view_close(v);
	store_tree_unref(tree);
}

static void assert_entry_is_view(const struct digest *catalog)
{
	_cleanup_buf_ struct buf view = BUF_INIT, entry = BUF_INIT;

	fixture_dump_plain(fx.view, &view);
	dump_entry(catalog, &entry);
	fixture_assert_same(&view, &entry);
}

/* Some of everything. */
static void change_much(void)
{
	_cleanup_free_ char *large = malloc(3000000);
	unsigned i;

	assert_non_null(large);
	for (i = 0; i < 3000000; i++)
		large[i] = (char)(i * i >> 8);
	put("a", "changed at both names");
	put("new", "new");
	assert_int_equal(fixture_mkdir(&fx, "d"), 0);
	put("d/x", "x");
	assert_int_equal(ops->link(&fx, "d/x", "d/y"), 0);
	assert_int_equal(ops->symlink(&fx, "new", "d/s"), 0);
	assert_int_equal(ops->create(&fx, "large", 0600), 0);
	assert_int_equal(ops->write(&fx, "large", large, 3000000, 0), 3000000);
	assert_int_equal(ops->create(&fx, "holes", 0600), 0);
	assert_int_equal(ops->write(&fx, "holes", "h", 1, 6000000), 1);
	assert_int_equal(ops->truncate(&fx, "holes", 9000000), 0);
	assert_int_equal(ops->create(&fx, "hole", 0600), 0);
	assert_int_equal(ops->truncate(&fx, "hole", 5000), 0);
	assert_int_equal(ops->setxattr(&fx, "new", "user.x", "y", 1, 0), 0);
	if (!fx.base)
		return;
	assert_int_equal(ops->rename(&fx, "dir", "other/dir", 0), 0);
	assert_int_equal(ops->unlink(&fx, "b"), 0);
	assert_int_equal(ops->write(&fx, "big", "patch", 5, 3000000), 5);
	assert_int_equal(ops->chmod(&fx, "suid", 0700), 0);
}

static void run_round_trip(void)
{
	_cleanup_buf_ struct buf before = BUF_INIT, after = BUF_INIT;
	struct ingest_result first, second;
	struct digest d;

	change_much();
	fixture_dump_plain(fx.view, &before);
	assert_true(dirty());
	commit("one", &first);
	assert_true(first.new_chunks > 0);
	assert_false(dirty());
	assert_true(view_catalog(fx.view, &d));
	assert_true(digest_equal(&d, &first.catalog));
	fixture_assert_diff(fx.view, "");
	fixture_dump_plain(fx.view, &after);
	fixture_assert_same(&before, &after);
	assert_entry_is_view(&first.catalog);

	fixture_reopen(&fx);
	assert_false(dirty());
	fixture_assert_diff(fx.view, "");
	buf_reset(&after);
	fixture_dump_plain(fx.view, &after);
	fixture_assert_same(&before, &after);

	commit("two", &second);
	assert_true(digest_equal(&second.catalog, &first.catalog));
	assert_int_equal(second.new_chunks, 0);
	assert_int_equal(second.read_bytes, 0);
	assert_entry_is_view(&second.catalog);
}

static void test_round_trip_base(void **state)
{
	(void)state;
	run_round_trip();
}

static void test_round_trip_empty(void **state)
{
	(void)state;
	run_round_trip();
}

static void test_unchanged(void **state)
{
	struct ingest_result r;
	struct digest d;

	(void)state;
	assert_true(view_catalog(fx.view, &d));
	assert_true(digest_equal(&d, store_tree_digest(fx.base)));
	commit("one", &r);
	assert_true(digest_equal(&r.catalog, &d));
	assert_int_equal(r.new_chunks, 0);
	assert_int_equal(r.read_bytes, 0);
	assert_false(dirty());
	/* Changed and changed back: the same tree. */
	put("extra", "x");
	assert_true(dirty());
	assert_false(view_catalog(fx.view, &d));
	fixture_assert_diff(fx.view, "A extra\n");
}

static void test_read_only_view(void **state)
{
	const struct view_options opt = { .read_only = true, .dirfd = -1 };
	struct view *keep = fx.view;
	struct ingest_result r;

	(void)state;
	assert_int_equal(
		view_open(fx.base, fx.fetch, &opt, &fx.view, &fx.damaged), 0);
	commit("one", &r);
	assert_true(digest_equal(&r.catalog, store_tree_digest(fx.base)));
	view_close(fx.view);
	fx.view = keep;
}

/* After a commit only what changes then counts. */
static void test_second_commit(void **state)
{
	struct ingest_result r;

	(void)state;
	change_much();
	commit("one", &r);
	put("d/x", "other text");
	put("later", "later");
	assert_int_equal(ops->unlink(&fx, "new"), 0);
	assert_int_equal(ops->chmod(&fx, "large", 0640), 0);
	assert_int_equal(ops->rename(&fx, "d/s", "moved", 0), 0);
	fixture_assert_diff(fx.view, "D d/s\nM d/x\nM d/y\nP large\nA later\n"
				     "A moved\nD new\n");
	commit("two", &r);
	assert_int_equal(r.new_files, 2);
	assert_int_equal(r.read_bytes, strlen("other text") + strlen("later"));
	assert_entry_is_view(&r.catalog);
	fixture_assert_diff(fx.view, "");
	fixture_reopen(&fx);
	assert_false(dirty());
	assert_entry_is_view(&r.catalog);
}

/* A directory of the base that moves after a commit. */
static void test_rename_after_commit(void **state)
{
	struct ingest_result r;

	(void)state;
	put("n", "n");
	commit("one", &r);
	assert_int_equal(ops->rename(&fx, "dir/sub", "sub", 0), 0);
	fixture_assert_diff(fx.view, "D dir/sub\nA sub\nA sub/deep\n");
	assert_int_equal(ops->rename(&fx, "sub", "dir/sub", 0), 0);
	fixture_assert_diff(fx.view, "");
	commit("two", &r);
	assert_entry_is_view(&r.catalog);
}

static void test_upper_shrinks(void **state)
{
	_cleanup_free_ char *buf = malloc(200000);
	struct view_stats before, after;
	struct ingest_result r;
	char name[16];
	unsigned i;

	(void)state;
	assert_non_null(buf);
	for (i = 0; i < 100; i++) {
		memset(buf, 'a' + (int)i % 26, 200000);
		snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(ops->create(&fx, name, 0600), 0);
		assert_int_equal(ops->write(&fx, name, buf, 200000, 0), 200000);
	}
	assert_int_equal(ops->create(&fx, "own", 0600), 0);
	for (i = 0; i < 20; i++)
		assert_int_equal(ops->write(&fx, "own", buf, 200000,
					    i * UINT64_C(200000)),
				 200000);
	view_stats(fx.view, &before);
	assert_true(before.upper_bytes >= 24000000);
	commit("one", &r);
	view_stats(fx.view, &after);
	assert_true(after.upper_bytes < 1000000);
	fixture_reopen(&fx);
	assert_entry_is_view(&r.catalog);
}

static void test_sockets_are_left_out(void **state)
{
	const struct view_cred cred = { 0 };
	struct ingest_result r;
	struct view_attr a;
	_cleanup_buf_ struct buf entry = BUF_INIT;

	(void)state;
	put("f", "f");
	assert_int_equal(view_mknod(fx.view, VIEW_ROOT, "sock", 4,
				    S_IFSOCK | 0600, 0, &cred, &a),
			 0);
	assert_int_equal(view_mknod(fx.view, VIEW_ROOT, "pipe", 4,
				    S_IFIFO | 0600, 0, &cred, &a),
			 0);
	commit("one", &r);
	dump_entry(&r.catalog, &entry);
	buf_put_u8(&entry, 0);
	assert_null(strstr((char *)entry.data, "/sock"));
	assert_non_null(strstr((char *)entry.data, "/pipe"));
}

/* Owners: whoever mounts, and others. */
static void test_owners(void **state)
{
	struct view_attr a = { .uid = 77, .gid = 78 }, got;
	const struct view_options opt = { .read_only = true,
					  .dirfd = -1,
					  .uid = 500,
					  .gid = 501 };
	struct ingest_result r;
	struct store_tree *tree;
	struct view *v;
	bool damaged;

	(void)state;
	put("mine", "m");
	put("theirs", "t");
	assert_int_equal(view_setattr(fx.view, fixture_ino(&fx, "theirs"),
				      VIEW_SET_UID | VIEW_SET_GID, &a, &got),
			 0);
	commit("one", &r);
	tree = fixture_tree(&fx, &r.catalog);
	assert_int_equal(view_open(tree, fx.fetch, &opt, &v, &damaged), 0);
	assert_int_equal(view_lookup(v, VIEW_ROOT, "mine", 4, &got), 0);
	assert_int_equal(got.uid, 500);
	assert_int_equal(got.gid, 501);
	assert_int_equal(view_lookup(v, VIEW_ROOT, "theirs", 6, &got), 0);
	assert_int_equal(got.uid, 77);
	assert_int_equal(got.gid, 78);
	view_close(v);
	store_tree_unref(tree);
}

/* A reset after a commit is the base again and not the commit. */
static void test_reset_after_commit(void **state)
{
	_cleanup_buf_ struct buf before = BUF_INIT, after = BUF_INIT;
	struct ingest_result r;
	struct digest d;

	(void)state;
	fixture_dump_plain(fx.view, &before);
	change_much();
	commit("one", &r);
	assert_int_equal(view_reset(fx.view, NULL, NULL), 0);
	fixture_dump_plain(fx.view, &after);
	fixture_assert_same(&before, &after);
	assert_false(dirty());
	assert_true(view_catalog(fx.view, &d));
	assert_true(digest_equal(&d, store_tree_digest(fx.base)));
	fixture_reopen(&fx);
	assert_false(dirty());
}

/* Files of a commit live on in the upper under their old numbers. */
static void test_numbers_stay(void **state)
{
	struct ingest_result r;
	uint64_t ino;

	(void)state;
	put("f", "content");
	ino = fixture_ino(&fx, "f");
	commit("one", &r);
	assert_int_equal(fixture_ino(&fx, "f"), ino);
	fixture_assert_content(&fx, "f", "content");
	assert_int_equal(ops->write(&fx, "f", "C", 1, 0), 1);
	fixture_assert_content(&fx, "f", "Content");
	fixture_reopen(&fx);
	assert_int_equal(fixture_ino(&fx, "f"), ino);
	fixture_assert_content(&fx, "f", "Content");
	fixture_assert_diff(fx.view, "M f\n");
}

/* --- beside a writer --- */

#define FILES 40
#define LARGE 300000

struct writer {
	atomic_bool stop;
	bool large; /* also rewrite a file in place */
	unsigned rounds;
};

/* Every file always holds one letter, whole. */
static void write_round(const struct writer *w, unsigned round)
{
	_cleanup_free_ char *buf = malloc(LARGE);
	char name[16];
	unsigned i;

	memset(buf, 'a' + (int)round % 26, LARGE);
	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		ops->unlink(&fx, name);
		ops->create(&fx, name, 0600);
		ops->write(&fx, name, buf, 1000 + i, 0);
	}
	if (w->large)
		ops->write(&fx, "large", buf, LARGE, 0);
}

static void *writer_run(void *arg)
{
	struct writer *w = arg;

	while (!atomic_load(&w->stop))
		write_round(w, ++w->rounds);
	return NULL;
}

static void assert_one_letter(struct view *v, const char *name, size_t want)
{
	_cleanup_free_ char *buf = malloc(LARGE);
	struct view_attr a;
	size_t i;

	if (view_lookup(v, VIEW_ROOT, name, strlen(name), &a) < 0)
		return; /* the moment between its removal and making */
	assert_int_equal(view_read(v, a.ino, buf, LARGE, 0), a.size);
	assert_true(a.size == 0 || a.size == want);
	for (i = 1; i < a.size; i++)
		assert_int_equal(buf[i], buf[0]);
}

static void assert_consistent(const struct digest *catalog)
{
	struct store_tree *tree = fixture_tree(&fx, catalog);
	const struct view_options opt = { .read_only = true, .dirfd = -1 };
	struct view *v;
	char name[16];
	bool damaged;
	unsigned i;

	assert_int_equal(view_open(tree, fx.fetch, &opt, &v, &damaged), 0);
	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		assert_one_letter(v, name, 1000 + i);
	}
	assert_one_letter(v, "large", LARGE);
	view_close(v);
	store_tree_unref(tree);
}

static void run_beside_writer(bool large)
{
	struct writer w = { .large = large };
	struct ingest_result r;
	pthread_t thread;
	char key[16];
	unsigned i;

	assert_int_equal(ops->create(&fx, "large", 0600), 0);
	write_round(&w, 0);
	ops->write(&fx, "large", "x", 1, LARGE - 1);
	write_round(&(struct writer){ .large = true }, 0);
	assert_int_equal(pthread_create(&thread, NULL, writer_run, &w), 0);
	for (i = 0; i < 10; i++) {
		snprintf(key, sizeof(key), "k%u", i);
		commit(key, &r);
		assert_consistent(&r.catalog);
	}
	atomic_store(&w.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	commit("last", &r);
	assert_false(dirty());
	assert_entry_is_view(&r.catalog);
	fixture_reopen(&fx);
	assert_entry_is_view(&r.catalog);
}

static void test_beside_writer(void **state)
{
	(void)state;
	run_beside_writer(false);
}

static void test_beside_rewriting(void **state)
{
	(void)state;
	run_beside_writer(true);
}

/* --- in the middle of a commit --- */

#define OWN_BYTES (12u << 20)

struct meddler {
	struct progress progress;
	struct fixture_random random;
	uint8_t *bytes; /* OWN_BYTES */
	unsigned calls;
};

static void own_fill(struct meddler *m, const char *path, unsigned seed)
{
	unsigned i;

	for (i = 0; i < OWN_BYTES; i++)
		m->bytes[i] = (uint8_t)(map_hash_u64(i / 8 + seed) >> i % 8);
	for (i = 0; i < OWN_BYTES; i += 1u << 20)
		assert_int_equal(ops->write(&fx, path, m->bytes + i, 1u << 20,
					    i),
				 1u << 20);
}

/* Called from the commit while it reads content: changes everything. */
static int meddle(void *arg, const char *phase, uint64_t done_files,
		  uint64_t all_files, uint64_t done_bytes, uint64_t all_bytes)
{
	struct meddler *m = arg;
	unsigned i;

	(void)done_files;
	(void)all_files;
	(void)done_bytes;
	(void)all_bytes;
	m->progress.last_ns = 0; /* again as soon as may be */
	if (strcmp(phase, "content") != 0)
		return 0;
	m->calls++;
	for (i = 0; i < 20; i++)
		assert_true(fixture_random_change(&m->random));
	/* The last bytes first: they are read last. */
	for (i = 1; i <= OWN_BYTES / 100000; i += 7)
		assert_int_equal(ops->write(&fx, "own", "overwritten", 11,
					    OWN_BYTES - i * 100000),
				 11);
	if (m->calls == 1) {
		assert_int_equal(
			fixture_punch(&fx, "own", OWN_BYTES / 2, 900000), 0);
		assert_int_equal(ops->write(&fx, "own", "refilled", 8,
					    OWN_BYTES / 2 + 5000),
				 8);
		assert_int_equal(ops->truncate(&fx, "shorter", 100), 0);
		own_fill(m, "shorter", 3);
		assert_int_equal(ops->unlink(&fx, "gone"), 0);
	}
	return 0;
}

/* The entry is the tree of the moment when the commit began, and what was
 * changed meanwhile is what the next one finds. */
static void test_meddled_with(void **state)
{
	static const char *const names[] = { "own", "shorter", "gone" };
	struct meddler m = { .progress = { .report = meddle, .arg = &m } };
	struct ingest_result r;
	unsigned i, round;
	char key[16];

	(void)state;
	m.bytes = malloc(OWN_BYTES);
	assert_non_null(m.bytes);
	fixture_random_init(&m.random, &fx, 9, 700000);
	for (round = 0; round < 3; round++) {
		_cleanup_buf_ struct buf before = BUF_INIT, entry = BUF_INIT;

		for (i = 0; i < 3; i++) {
			(void)ops->create(&fx, names[i], 0600);
			own_fill(&m, names[i], i); /* twice: own bytes */
			own_fill(&m, names[i], 100 * round + i);
		}
		m.calls = 0;
		fixture_dump_plain(fx.view, &before);
		fx.progress = &m.progress;
		snprintf(key, sizeof(key), "m%u", round);
		commit(key, &r);
		fx.progress = NULL;
		assert_true(m.calls > 3);
		dump_entry(&r.catalog, &entry);
		fixture_assert_same(&before, &entry);
		assert_true(dirty());
		snprintf(key, sizeof(key), "n%u", round);
		commit(key, &r);
		assert_entry_is_view(&r.catalog);
	}
	play_close_all(&m.random.play);
	fixture_reopen(&fx);
	assert_entry_is_view(&r.catalog);
	fixture_random_release(&m.random);
	free(m.bytes);
}

/* Random operations with commits and replays in between. */
static void test_random_with_commits(void **state)
{
	struct fixture_random w;
	struct ingest_result r;
	char key[16];
	unsigned i;

	(void)state;
	fixture_random_init(&w, &fx, 77, 700000);
	for (i = 1; i <= 4000; i++) {
		if (!fixture_random_step(&w))
			fail_msg("step %u", i);
		if (i % 200 == 0) {
			snprintf(key, sizeof(key), "k%u", i);
			commit(key, &r);
			assert_entry_is_view(&r.catalog);
		}
		if (i % 300 == 0) {
			play_close_all(&w.play);
			fixture_reopen(&fx);
		}
		if (i % 100 == 0)
			fixture_random_assert_same(&w);
	}
	play_close_all(&w.play);
	fixture_random_release(&w);
}

#define BASE(f) FIXTURE_TEST(f, fixture_setup_base, &fx)
#define EMPTY(f) FIXTURE_TEST(f, fixture_setup_empty, &fx)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BASE(test_round_trip_base),
		EMPTY(test_round_trip_empty),
		BASE(test_unchanged),
		BASE(test_read_only_view),
		BASE(test_second_commit),
		BASE(test_rename_after_commit),
		EMPTY(test_upper_shrinks),
		EMPTY(test_sockets_are_left_out),
		EMPTY(test_owners),
		BASE(test_reset_after_commit),
		EMPTY(test_numbers_stay),
		EMPTY(test_beside_writer),
		EMPTY(test_beside_rewriting),
		EMPTY(test_meddled_with),
		EMPTY(test_random_with_commits),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
