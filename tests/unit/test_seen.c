/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries that were signed rightly and are put back in the place of newer ones,
 * to a machine that has had those.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "remote_fixture.h"
#include "store/base/clock.h"
#include "store/seen.h"

#define SECOND INT64_C(1000000000)
#define T0 (INT64_C(1700000000) * SECOND)

struct ground {
	struct remotes *rs;
	struct sign_key *key, *next_key;
	struct trust *trust;
	int from;
};

static int ground_setup(void **state)
{
	struct ground *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	remotes_setup((void **)&g->rs);
	assert_int_equal(sign_key_new("ci", &g->key), 0);
	assert_int_equal(sign_key_new("next", &g->next_key), 0);
	g->trust = trusting(g->key);
	g->from = make_dir(g->rs->f, "from");
	make_text_files(g->from, 5);
	import_dir(g->rs->f, g->from, "k1");
	push(g->rs, 0, "k1");
	*state = g;
	return 0;
}

static int ground_teardown(void **state)
{
	struct ground *g = *state;

	close(g->from);
	trust_free(g->trust);
	sign_key_free(g->key);
	sign_key_free(g->next_key);
	remotes_teardown((void **)&g->rs);
	free(g);
	return 0;
}

static struct remote asking(struct ground *g)
{
	struct remote r = there(g->rs);

	r.trust = g->trust;
	return r;
}

/* An entry of tier `i`, made `seconds` after T0. */
static void put_signed(struct ground *g, unsigned i, const char *key,
		       int64_t seconds, const struct sign_key *signer)
{
	_cleanup_entry_ struct entry e = entry_of(g->rs, "k1");
	char path[TIER_PATH_MAX + 1];

	free(e.key);
	e.key = strdup(key);
	e.created_ns = T0 + seconds * SECOND;
	assert_int_equal(entry_sign(&e, signer), 0);
	remote_entry_path(e.tenant, e.namespace, e.name, key, path);
	put_entry(g->rs, i, path, &e);
}

static void point_to(struct ground *g, unsigned i, const char *key,
		     const char *branch)
{
	char path[TIER_PATH_MAX + 1];

	assert_int_equal(remote_latest_path(ENTRY_TENANT_LOCAL,
					    ENTRY_NAMESPACE_DEFAULT, "test",
					    branch, path),
			 0);
	assert_int_equal(chain_put_data_to(g->rs->chain, i, NULL, path, key,
					   strlen(key)),
			 0);
}

static int bring(struct ground *g, const char *key)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct remote r = asking(g);
	int err = remote_find(&r, "test", key, &e);

	return err < 0 ? err : lazy_remote_bring(&r, &e);
}

static int find(struct ground *g, const char *key)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct remote r = asking(g);

	return remote_find(&r, "test", key, &e);
}

/* The key of the newest of a branch, or an errno. */
static int find_latest(struct ground *g, const char *branch, char ret_key[16])
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct remote r = asking(g);
	int err = remote_find_latest(&r, "test", branch, &e);

	snprintf(ret_key, 16, "%s", err == 0 ? e.key : "");
	return err;
}

static void remove_here(struct ground *g, const char *key)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct index *ix = store_index(g->rs->other);
	struct index_batch *b;

	assert_int_equal(index_get_entry(ix, ENTRY_TENANT_LOCAL,
					 ENTRY_NAMESPACE_DEFAULT, "test", key,
					 &e),
			 0);
	assert_int_equal(index_batch_begin(ix, &b), 0);
	assert_int_equal(index_remove_entry(b, &e), 0);
	assert_int_equal(index_batch_commit(b, false), 0);
}

static uint64_t untrusted(struct ground *g, unsigned i)
{
	struct chain_stats st;

	chain_stats(g->rs->chain, i, &st);
	assert_int_equal(st.damaged, 0);
	return st.untrusted;
}

static void an_older_one_of_a_key_is_refused(void **state)
{
	struct ground *g = *state;
	struct remote unsigned_ones = there(g->rs);
	_cleanup_entry_ struct entry e = ENTRY_INIT;

	put_signed(g, 0, "k1", 10, g->key);
	assert_int_equal(bring(g, "k1"), 0);
	put_signed(g, 0, "k1", 20, g->key);
	assert_int_equal(bring(g, "k1"), 0);
	put_signed(g, 0, "k1", 20, g->key);
	assert_int_equal(find(g, "k1"), 0);
	put_signed(g, 0, "k1", 10, g->key);
	put_signed(g, 1, "k1", 19, g->key);
	assert_int_equal(find(g, "k1"), -EKEYEXPIRED);
	assert_int_equal(untrusted(g, 0), 1);
	assert_int_equal(untrusted(g, 1), 1);
	/* That the entry is not here any more changes nothing. */
	remove_here(g, "k1");
	assert_int_equal(bring(g, "k1"), -EKEYEXPIRED);
	/* The next tier may have the right one. */
	put_signed(g, 1, "k1", 20, g->key);
	assert_int_equal(bring(g, "k1"), 0);
	put_signed(g, 0, "k1", 30, g->key);
	assert_int_equal(bring(g, "k1"), 0);
	/* Another key is another matter, and so is who believes everybody. */
	put_signed(g, 0, "k2", 10, g->key);
	assert_int_equal(bring(g, "k2"), 0);
	put_signed(g, 0, "k1", 10, g->key);
	assert_int_equal(remote_find(&unsigned_ones, "test", "k1", &e), 0);
}

static void it_is_remembered_for_long(void **state)
{
	struct ground *g = *state;
	char path[96];

	put_signed(g, 0, "k1", 20, g->key);
	assert_int_equal(bring(g, "k1"), 0);
	put_signed(g, 0, "k1", 10, g->key);
	store_close(g->rs->other);
	snprintf(path, sizeof(path), "%s/other-%u", g->rs->f->dir,
		 g->rs->others - 1);
	assert_int_equal(store_open(path, &g->rs->other), 0);
	assert_int_equal(seen_prune(store_index(g->rs->other)), 0);
	assert_int_equal(find(g, "k1"), -EKEYEXPIRED);
	/* A year later. */
	assert_int_equal(index_prune_seen(store_index(g->rs->other),
					  clock_wall_ns() + SECOND),
			 0);
	assert_int_equal(find(g, "k1"), 0);
}

static void who_signs_has_seen_it(void **state)
{
	struct ground *g = *state;
	_cleanup_entry_ struct entry e = entry_of(g->rs, "k1");
	_cleanup_entry_ struct entry signed_one = ENTRY_INIT;

	assert_int_equal(
		store_sign_entry(g->rs->f->store, &e, g->key, &signed_one), 0);
	assert_int_equal(seen_check(store_index(g->rs->f->store), g->trust,
				    &signed_one),
			 0);
	signed_one.created_ns--;
	assert_int_equal(seen_check(store_index(g->rs->f->store), g->trust,
				    &signed_one),
			 -EKEYEXPIRED);
}

/* What a key has signed that got into wrong hands does not outlive the trust
 * in it. */
static void a_key_that_is_trusted_no_more_counts_for_nothing(void **state)
{
	struct ground *g = *state;
	char text[SIGN_TEXT_MAX];

	sign_public_text(sign_key_public(g->next_key), text);
	assert_int_equal(trust_add(g->trust, text), 0);
	put_signed(g, 0, "k1", 20, g->key);
	assert_int_equal(bring(g, "k1"), 0);
	put_signed(g, 0, "k1", 10, g->next_key);
	assert_int_equal(find(g, "k1"), -EKEYEXPIRED);
	trust_free(g->trust);
	g->trust = trusting(g->next_key);
	assert_int_equal(bring(g, "k1"), 0);
	/* Each counts by itself. */
	put_signed(g, 0, "k1", 5, g->next_key);
	assert_int_equal(find(g, "k1"), -EKEYEXPIRED);
}

static void an_older_one_is_not_the_newest_of_a_branch(void **state)
{
	struct ground *g = *state;
	struct remote r = asking(g);
	char key[16];

	put_signed(g, 0, "k1", 10, g->key);
	put_signed(g, 0, "k2", 20, g->key);
	point_to(g, 0, "k2", "");
	point_to(g, 0, "k2", "main");
	assert_int_equal(find_latest(g, "main", key), 0);
	assert_string_equal(key, "k2");
	assert_int_equal(bring(g, "k2"), 0);
	/* A pointer that lags behind leads to what was here all the same. */
	point_to(g, 0, "k1", "");
	point_to(g, 0, "k1", "main");
	assert_int_equal(find_latest(g, "main", key), 0);
	assert_string_equal(key, "k2");
	assert_int_equal(find_latest(g, "", key), 0);
	assert_string_equal(key, "k2");
	assert_int_equal(untrusted(g, 0), 2);
	/* Gone from the tier: what is left is older, whoever asks how. */
	assert_int_equal(remote_remove(&r, 0, "test", "k2"), 0);
	assert_int_equal(find_latest(g, "main", key), -EKEYEXPIRED);
	assert_int_equal(find_latest(g, "", key), -EKEYEXPIRED);
	point_to(g, 0, "k2", "main");
	assert_int_equal(find_latest(g, "main", key), -EKEYEXPIRED);
	/* By its key it may be had, and that changes nothing. */
	assert_int_equal(bring(g, "k1"), 0);
	assert_int_equal(find_latest(g, "main", key), -EKEYEXPIRED);
	put_signed(g, 0, "k3", 30, g->key);
	point_to(g, 0, "k3", "main");
	assert_int_equal(find_latest(g, "main", key), 0);
	assert_string_equal(key, "k3");
	assert_int_equal(find_latest(g, "topic", key), -ENOENT);
}

static void a_clock_that_is_ahead_shuts_nothing_out(void **state)
{
	struct ground *g = *state;
	int64_t now = (clock_wall_ns() - T0) / SECOND;

	put_signed(g, 0, "k1", now + 1000000, g->key);
	assert_int_equal(bring(g, "k1"), 0);
	put_signed(g, 0, "k1", now + 100, g->key);
	assert_int_equal(bring(g, "k1"), 0);
	put_signed(g, 0, "k1", now - 100, g->key);
	assert_int_equal(find(g, "k1"), -EKEYEXPIRED);
}

struct records {
	unsigned count;
	int64_t created_ns[4];
};

static int add_record(void *arg, const struct index_seen *seen)
{
	struct records *r = arg;

	assert_true(r->count < 4);
	r->created_ns[r->count++] = seen->created_ns;
	return 0;
}

/* Of one who signed there is one record of a key, the newest, and it comes
 * before older ones of others. */
static void records_do_not_pile_up(void **state)
{
	struct ground *g = *state;
	struct index *ix = store_index(g->rs->other);
	struct index_seen_of of = { INDEX_SEEN_KEY, "local", "default", "test",
				    "k1" };
	static const int64_t times[] = { 5, 9, 7, 9 };
	struct records r = { 0 };

	for (unsigned i = 0; i < 8; i++) {
		struct index_seen seen = { .created_ns = times[i / 2] - i % 2,
					   .seen_ns = i,
					   .key = "k1" };
		struct index_batch *b;

		memset(seen.signer, (int)(i % 2), sizeof(seen.signer));
		assert_int_equal(index_batch_begin(ix, &b), 0);
		assert_int_equal(index_put_seen(b, &of, &seen), 0);
		assert_int_equal(index_batch_commit(b, false), 0);
	}
	assert_int_equal(index_each_seen(ix, &of, add_record, &r), 0);
	assert_int_equal(r.count, 2);
	assert_int_equal(r.created_ns[0], 9);
	assert_int_equal(r.created_ns[1], 8);
	/* No key is the beginning of another. */
	of.what = "k";
	r.count = 0;
	assert_int_equal(index_each_seen(ix, &of, add_record, &r), 0);
	assert_int_equal(r.count, 0);
}

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, ground_setup, ground_teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_older_one_of_a_key_is_refused),
		TEST(it_is_remembered_for_long),
		TEST(who_signs_has_seen_it),
		TEST(a_key_that_is_trusted_no_more_counts_for_nothing),
		TEST(an_older_one_is_not_the_newest_of_a_branch),
		TEST(a_clock_that_is_ahead_shuts_nothing_out),
		TEST(records_do_not_pile_up),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
