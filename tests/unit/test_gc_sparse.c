/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lazy trees have fetched, and collections: it counts, it is the first to
 * give way, and what is pinned or open stays. The collected store is that of
 * the other machine, which has the entry k1 in part, and one of its own.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gc_fixture.h"
#include "remote_fixture.h"

#define FETCHED_BYTES (6u << 20)
#define OWN_BYTES 1000000u

struct ground {
	struct remotes *rs;
	struct fixture at; /* the other machine's */
	struct store_tree *t;
	struct codec_ctx *ctx;
	uint8_t *got;
	atomic_uint grown;
};

/* Made on the first machine and pushed, or made on the other one. */
static void make_noise(struct ground *g, struct fixture *f, const char *key,
		       size_t bytes)
{
	int dir = make_dir(g->rs->f, key);

	write_noise(dir, "noise", bytes, (uint8_t)key[1]);
	import_dir(f, dir, key);
	close(dir);
}

static void tree_open(struct ground *g)
{
	assert_int_equal(bring_lazily(g->rs, "k1", &g->t), 0);
}

static void tree_close(struct ground *g)
{
	store_tree_unref(g->t);
	g->t = NULL;
}

static int read_chunk(struct ground *g, uint32_t chunk)
{
	return store_chunk_read(g->t, g->ctx, chunk, 0, g->got);
}

/* Files of sparse packs; a request may be about to keep what it brought. */
static unsigned sparse_files(struct ground *g)
{
	return count_objects(&g->at, "sparse", NULL, 0);
}

static int setup(void **state)
{
	struct ground *g = calloc(1, sizeof(*g));
	void *inner;

	assert_non_null(g);
	remotes_setup(&inner);
	g->rs = inner;
	assert_int_equal(codec_ctx_new(&g->ctx), 0);
	g->got = malloc(CHUNK_MAX);
	/* Where its store is, for count_objects(). */
	snprintf(g->at.dir, sizeof(g->at.dir), "%.50s/o", g->rs->f->dir);
	close(make_dir(g->rs->f, "o"));
	store_close(g->rs->other);
	g->rs->other = NULL;
	g->at.self = g->rs->f->self;
	reopen_store(&g->at);
	g->rs->other = g->at.store;
	make_noise(g, g->rs->f, "k1", FETCHED_BYTES);
	push(g->rs, 0, "k1");
	make_noise(g, &g->at, "k2", OWN_BYTES);
	tree_open(g);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct ground *g = *state;
	void *inner = g->rs;

	tree_close(g);
	codec_ctx_free(g->ctx);
	free(g->got);
	remotes_teardown(&inner);
	free(g);
	return 0;
}

/* The own entry was used before the fetched one, and stays all the same. */
static void what_was_fetched_gives_way_first(void **state)
{
	struct ground *g = *state;
	uint64_t before = bytes_now(&g->at);
	struct gc_result res;

	assert_int_equal(read_chunk(g, 0), 0);
	tree_close(g);
	assert_true(sparse_files(g) > 0);
	assert_true(bytes_now(&g->at) > before + 100000);
	use_at(&g->at, "k1", clock_wall_ns() + 1000000000);
	/* Within the limits nothing of it goes. */
	collect(&g->at, bytes_now(&g->at) + 1000000);
	assert_true(sparse_files(g) > 0);
	res = collect(&g->at, bytes_now(&g->at) - 200000);
	assert_int_equal(res.removed_entries, 0);
	assert_int_equal(sparse_files(g), 0);
	assert_int_equal(read_entry(&g->at, "k2"), 0);
	/* It is fetched again. */
	tree_open(g);
	assert_int_equal(read_chunk(g, 0), 0);
}

static void entries_go_where_that_is_not_enough(void **state)
{
	struct ground *g = *state;

	assert_int_equal(read_chunk(g, 0), 0);
	tree_close(g);
	use_at(&g->at, "k1", clock_wall_ns() + 1000000000);
	assert_int_equal(collect(&g->at, OWN_BYTES / 2).removed_entries, 1);
	assert_int_equal(sparse_files(g), 0);
	assert_false(has_entry(&g->at, "k2"));
}

static void what_is_pinned_keeps_what_came(void **state)
{
	struct ground *g = *state;

	assert_int_equal(read_chunk(g, 0), 0);
	tree_close(g);
	pin(&g->at, "k1", true);
	use_at(&g->at, "k1", clock_wall_ns() + 1000000000);
	collect(&g->at, 300000);
	assert_false(has_entry(&g->at, "k2"));
	assert_true(sparse_files(g) > 0);
	/* Nobody is asked for it. */
	tree_open(g);
	fault_tier_set(g->rs->first, FAULT_ERROR, 1, true);
	assert_int_equal(read_chunk(g, 0), 0);
}

static void what_is_open_keeps_what_came(void **state)
{
	struct ground *g = *state;

	assert_int_equal(read_chunk(g, 0), 0);
	collect(&g->at, 1);
	fault_tier_set(g->rs->first, FAULT_ERROR, 1, true);
	assert_int_equal(read_chunk(g, 0), 0);
	fault_tier_set(g->rs->first, FAULT_NONE, 0, false);
}

static void note_growth(void *arg)
{
	atomic_fetch_add((atomic_uint *)arg, 1);
}

static void growth_is_told(void **state)
{
	struct ground *g = *state;
	struct store_growth growth = { note_growth, &g->grown };
	struct catalog_info info;

	store_set_growth(g->at.store, &growth);
	assert_int_equal(read_chunk(g, 0), 0);
	assert_int_equal(g->grown, 0);
	catalog_info(store_tree_catalog(g->t), &info);
	for (uint32_t c = 1; c < info.chunks; c++)
		assert_int_equal(read_chunk(g, c), 0);
	/* What is read ahead and written may come a moment later. */
	tree_close(g);
	assert_true(g->grown >= 1);
	assert_true(g->grown <= FETCHED_BYTES / LAZY_GROWTH_BYTES + 1);
	store_set_growth(g->at.store, NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_was_fetched_gives_way_first),
		TEST(entries_go_where_that_is_not_enough),
		TEST(what_is_pinned_keeps_what_came),
		TEST(what_is_open_keeps_what_came),
		TEST(growth_is_told),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
