/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries in remote tiers: there and back, with tiers that fail at each call in
 * each way, and what one namespace may know of another. A fixture's store is
 * the one that pushes; `other` is another machine's.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "remote_fixture.h"
#include "store/remote_tree.h"

/* The calls of a push of one pack that are not what it is for. */
enum { NOTICE_READ = 2, PACK_HEAD = 3, HOLD_REMOVED = 9 };

static bool has_entry(struct remotes *rs, const char *key)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;

	return index_get_entry(store_index(rs->other), ENTRY_TENANT_LOCAL,
			       ENTRY_NAMESPACE_DEFAULT, "test", key, &e) == 0;
}

static int is_sent(void *arg, const struct digest *pack, uint64_t bytes)
{
	(void)bytes;
	assert_int_equal(index_pack_has(arg, INDEX_PACK_SENT, pack), 1);
	return 1;
}

/* What a tier has is noted, for who would compress it anew (repack.h). */
static void assert_all_sent(struct store *s)
{
	assert_int_equal(
		index_each_pack(store_index(s), is_sent, store_index(s)), 1);
}

static void test_there_and_back(void **state)
{
	struct remotes *rs = *state;
	int from = make_dir(rs->f, "from");
	struct remote_result res;

	make_all_types(from);
	make_text_files(from, 200);
	import_dir(rs->f, from, "k1");
	assert_int_equal(try_pull(rs, "k1", &res), -ENOENT);
	res = push(rs, 1, "k1");
	assert_int_equal(res.packs, 1);
	assert_int_equal(res.packs_moved, 1);
	assert_int_equal(try_pull(rs, "k1", &res), 0);
	assert_int_equal(res.packs_moved, 1);
	assert_there(rs, "k1", from);
	/* What is there is not moved again, in either direction. */
	assert_int_equal(push(rs, 1, "k1").packs_moved, 0);
	assert_int_equal(try_pull(rs, "k1", &res), 0);
	assert_int_equal(res.bytes_moved, 0);
	assert_all_sent(rs->f->store);
	assert_all_sent(rs->other);
	close(from);
}

static void test_only_what_changed(void **state)
{
	struct remotes *rs = *state;
	int from = make_dir(rs->f, "from");
	struct remote_result res;

	make_text_files(from, 200);
	import_dir(rs->f, from, "k1");
	push(rs, 0, "k1");
	assert_int_equal(try_pull(rs, "k1", &res), 0);
	write_file(from, "new", "new", 3);
	import_dir(rs->f, from, "k2");
	res = push(rs, 0, "k2");
	assert_int_equal(res.packs, 2);
	assert_int_equal(res.packs_moved, 1);
	assert_int_equal(try_pull(rs, "k2", &res), 0);
	assert_int_equal(res.packs_moved, 1);
	assert_there(rs, "k2", from);
	new_other(rs);
	assert_int_equal(try_pull(rs, "k2", &res), 0);
	assert_int_equal(res.packs_moved, 2);
	assert_there(rs, "k2", from);
	close(from);
}

/* Whatever one tier does wrong, and whenever: the other serves. */
static void test_pull_sweep(void **state)
{
	struct remotes *rs = *state;
	int from = make_dir(rs->f, "from");
	struct remote_result res;

	make_text_files(from, 20);
	import_dir(rs->f, from, "k1");
	for (int kind = FAULT_ERROR; kind < FAULT_KINDS; kind++) {
		for (unsigned n = 1;; n++) {
			new_chain(rs);
			push(rs, 0, "k1");
			push(rs, 1, "k1");
			new_other(rs);
			fault_tier_set(rs->first, kind, n, false);
			assert_int_equal(try_pull(rs, "k1", &res), 0);
			assert_there(rs, "k1", from);
			if (fault_tier_calls(rs->first) < n)
				break;
		}
	}
	close(from);
}

/* The same with no other tier: no wrong tree, and once it is well again, the
 * right one. */
static void test_pull_sweep_alone(void **state)
{
	struct remotes *rs = *state;
	int from = make_dir(rs->f, "from");
	struct remote_result res;
	unsigned failed = 0;

	make_text_files(from, 20);
	import_dir(rs->f, from, "k1");
	for (int kind = FAULT_ERROR; kind < FAULT_KINDS; kind++) {
		for (unsigned n = 1;; n++) {
			new_chain(rs);
			push(rs, 0, "k1");
			new_other(rs);
			fault_tier_set(rs->first, kind, n, false);
			if (try_pull(rs, "k1", &res) < 0) {
				assert_false(has_entry(rs, "k1"));
				failed++;
			}
			if (fault_tier_calls(rs->first) < n)
				break;
			fault_tier_set(rs->first, FAULT_NONE, 0, false);
			assert_int_equal(try_pull(rs, "k1", &res), 0);
			assert_there(rs, "k1", from);
		}
	}
	/* Entry, tree, pack: each of them in each way. */
	assert_int_equal(failed, 3 * (FAULT_KINDS - 1));
	close(from);
}

/* A push that fails leaves an entry that is complete, or none; the next one
 * mends it. */
static void test_push_sweep(void **state)
{
	struct remotes *rs = *state;
	int from = make_dir(rs->f, "from");
	struct remote_result res;

	make_text_files(from, 20);
	import_dir(rs->f, from, "k1");
	for (int kind = FAULT_ERROR; kind < FAULT_WRONG; kind++) {
		for (unsigned n = 1;; n++) {
			_cleanup_entry_ struct entry e = entry_of(rs, "k1");
			struct remote r = here(rs);
			bool put;

			new_chain(rs);
			r.chain = rs->chain;
			new_other(rs);
			fault_tier_set(rs->first, kind, n, false);
			put = remote_push(&r, 0, &e, false, &res) == 0;
			/* Full it is only when something is put; who may not
			 * look whether there is a notice, or a pack, may put
			 * it; and a hold that stays does no harm. */
			if (kind != FAULT_FULL || put)
				assert_int_equal(
					put, n >= HOLD_REMOVED ||
						     kind == FAULT_FULL ||
						     (kind == FAULT_REFUSED &&
						      (n == NOTICE_READ ||
						       n == PACK_HEAD)));
			if (fault_tier_calls(rs->first) < n)
				break;
			if (try_pull(rs, "k1", &res) == 0)
				assert_there(rs, "k1", from);
			push(rs, 0, "k1");
			assert_int_equal(try_pull(rs, "k1", &res), 0);
			assert_there(rs, "k1", from);
		}
	}
	close(from);
}

/* What a tier kept wrongly is not taken, and --force puts it right. */
static void test_damaged_put(void **state)
{
	static const enum fault_kind kinds[] = { FAULT_WRONG, FAULT_TRUNCATED,
						 FAULT_LOST };
	struct remotes *rs = *state;
	int from = make_dir(rs->f, "from");
	struct remote_result res;

	make_text_files(from, 20);
	import_dir(rs->f, from, "k1");
	for (unsigned k = 0; k < 3; k++) {
		_cleanup_entry_ struct entry e = entry_of(rs, "k1");
		struct remote r = here(rs);

		new_chain(rs);
		r.chain = rs->chain;
		new_other(rs);
		/* The pack is put once it was looked for. */
		fault_tier_set(rs->first, kinds[k], PACK_HEAD + 1, false);
		push(rs, 0, "k1");
		assert_true(try_pull(rs, "k1", &res) < 0);
		assert_false(has_entry(rs, "k1"));
		assert_int_equal(remote_push(&r, 0, &e, true, &res), 0);
		assert_int_equal(try_pull(rs, "k1", &res), 0);
		assert_there(rs, "k1", from);
	}
	close(from);
}

static void copy_object(struct remotes *rs, const char *from, const char *to)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	assert_int_equal(chain_read(rs->chain, NULL, from, 1 << 20, NULL, NULL,
				    &b, NULL),
			 0);
	assert_int_equal(
		chain_put_data_to(rs->chain, 0, NULL, to, b.data, b.len), 0);
}

/* An entry counts in its own place only. */
static void test_swapped(void **state)
{
	struct remotes *rs = *state;
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct remote r = there(rs), mallory = there(rs);
	int from = make_dir(rs->f, "from");

	make_text_files(from, 5);
	import_dir(rs->f, from, "k1");
	push(rs, 0, "k1");
	copy_object(rs, "v1/local/default/entries/test/k1",
		    "v1/local/default/entries/test/k2");
	copy_object(rs, "v1/local/default/entries/test/k1",
		    "v1/local/default/entries/other/k1");
	copy_object(rs, "v1/local/default/entries/test/k1",
		    "v1/mallory/default/entries/test/k1");
	mallory.tenant = "mallory";
	assert_int_equal(remote_find(&r, "test", "k2", &e), -EBADMSG);
	assert_int_equal(remote_find(&r, "other", "k1", &e), -EBADMSG);
	assert_int_equal(remote_find(&mallory, "test", "k1", &e), -EBADMSG);
	assert_int_equal(remote_find(&r, "test", "k1", &e), 0);
	close(from);
}

/* One catalog's tree in another's place. */
static void test_swapped_tree(void **state)
{
	struct remotes *rs = *state;
	char one[TIER_PATH_MAX + 1], two[TIER_PATH_MAX + 1];
	int from = make_dir(rs->f, "from");
	struct remote_result res;
	struct digest first;

	make_text_files(from, 5);
	first = import_dir(rs->f, from, "k1").catalog;
	push(rs, 0, "k1");
	write_file(from, "new", "new", 3);
	remote_path("local", "default", REMOTE_TREE, &first, one);
	first = import_dir(rs->f, from, "k2").catalog;
	remote_path("local", "default", REMOTE_TREE, &first, two);
	push(rs, 0, "k2");
	copy_object(rs, one, two);
	assert_int_equal(try_pull(rs, "k2", &res), -EBADMSG);
	assert_int_equal(try_pull(rs, "k1", &res), 0);
	close(from);
}

static int count_entry(void *arg, const struct entry *e)
{
	(void)e;
	return ++*(int *)arg, 0;
}

static void test_each(void **state)
{
	struct remotes *rs = *state;
	struct remote r = there(rs);
	int from = make_dir(rs->f, "from"), n = 0;

	make_text_files(from, 5);
	import_dir(rs->f, from, "k1");
	import_dir(rs->f, from, "k2");
	push(rs, 0, "k1");
	push(rs, 0, "k2");
	copy_object(rs,
		    "v1/local/default/latest/test/e3/e3b0c44298fc1c149afbf4"
		    "c8996fb92427ae41e4649b934ca495991b7852b855",
		    "v1/local/default/entries/test/damaged");
	assert_int_equal(remote_each(&r, 0, NULL, count_entry, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(remote_each(&r, 0, "test", count_entry, &n), 0);
	assert_int_equal(n, 4);
	assert_int_equal(remote_each(&r, 0, "tes", count_entry, &n), 0);
	assert_int_equal(remote_each(&r, 1, NULL, count_entry, &n), 0);
	assert_int_equal(n, 4);
	close(from);
}

/* --- one store, two namespaces --- */

static void import_as(struct remotes *rs, int dirfd, const char *namespace)
{
	_cleanup_entry_ struct entry e = make_entry("k1");
	struct ingest_result res;

	free(e.namespace);
	e.namespace = strdup(namespace);
	assert_int_equal(ingest_dir(rs->f->store, dirfd, "tree", &rs->f->self,
				    false, NULL, &e, &res),
			 0);
}

static void push_as(struct remotes *rs, const char *namespace)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct remote r = here(rs);
	struct remote_result res;

	r.namespace = namespace;
	assert_int_equal(index_get_entry(store_index(rs->f->store),
					 ENTRY_TENANT_LOCAL, namespace, "test",
					 "k1", &e),
			 0);
	assert_int_equal(remote_push(&r, 0, &e, false, &res), 0);
}

struct seen {
	struct remotes *rs;
	unsigned packs, chunks;
};

/* Brings a pack of a namespace here, to count what is in it. */
static int look_into(void *arg, const struct tier_object *o)
{
	struct seen *s = arg;

	if (strstr(o->path, "/secret/packs/") ||
	    strstr(o->path, "/open/packs/"))
		s->packs++;
	return 0;
}

/* The open tree shares one file with the secret one. What is put of it holds
 * that file, and nothing else of the secret ones. */
static void test_namespaces(void **state)
{
	struct remotes *rs = *state;
	int secret = make_dir(rs->f, "secret"), open = make_dir(rs->f, "open");
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct remote r = there(rs);
	struct remote_result res;
	struct seen seen = { .rs = rs };
	struct index_stats stats;
	int out = make_dir(rs->f, "out");
	_cleanup_tree_ struct store_tree *t = NULL;

	make_text_files(secret, 200);
	make_text_files(open, 1);
	write_file(open, "mine", "mine", 4);
	import_as(rs, secret, "secret");
	import_as(rs, open, "open");
	push_as(rs, "open");
	assert_int_equal(chain_list_at(rs->chain, 0, NULL, "v1/local/secret",
				       look_into, &seen),
			 0);
	assert_int_equal(seen.packs, 0);
	r.namespace = "open";
	assert_int_equal(remote_find(&r, "test", "k1", &e), 0);
	assert_int_equal(remote_pull(&r, &e, &res), 0);
	assert_int_equal(index_stats(store_index(rs->other), &stats), 0);
	/* Two small files, and no dictionary of 200 others. */
	assert_true(stats.pack_bytes < 8000);
	assert_int_equal(store_tree_open(rs->other, &e.catalog, &t), 0);
	assert_int_equal(export_dir(t, out, &rs->f->self, NULL), 0);
	assert_same_tree(open, out);
	/* Nor can one be asked for the other's. */
	r.namespace = "secret";
	entry_release(&e);
	assert_int_equal(remote_find(&r, "test", "k1", &e), -ENOENT);
	close(secret);
	close(open);
	close(out);
}

/* --- the object of a tree --- */

static void test_tree_object(void **state)
{
	struct remotes *rs = *state;
	struct digest catalog;
	char path[TIER_PATH_MAX + 1];
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct remote_tree t = { 0 };
	int from = make_dir(rs->f, "from");

	make_text_files(from, 3);
	catalog = import_dir(rs->f, from, "k1").catalog;
	push(rs, 0, "k1");
	remote_path("local", "default", REMOTE_TREE, &catalog, path);
	assert_int_equal(chain_read(rs->chain, NULL, path, 1 << 20, NULL, NULL,
				    &b, NULL),
			 0);
	assert_int_equal(remote_tree_decode(b.data, b.len, &catalog, &t), 0);
	remote_tree_release(&t);
	for (size_t n = 0; n < b.len; n++)
		assert_int_equal(remote_tree_decode(b.data, n, &catalog, &t),
				 -EBADMSG);
	for (size_t n = 0; n < b.len * 8; n++) {
		b.data[n / 8] ^= 1 << n % 8;
		if (remote_tree_decode(b.data, b.len, &catalog, &t) == 0) {
			/* A bit that zstd does not look at. */
			assert_true(n / 8 >= 48);
			remote_tree_release(&t);
		}
		b.data[n / 8] ^= 1 << n % 8;
	}
	buf_put_u8(&b, 0);
	assert_int_equal(remote_tree_decode(b.data, b.len, &catalog, &t),
			 -EBADMSG);
	close(from);
}

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, remotes_setup, remotes_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_there_and_back), TEST(test_only_what_changed),
		TEST(test_pull_sweep),	   TEST(test_pull_sweep_alone),
		TEST(test_push_sweep),	   TEST(test_damaged_put),
		TEST(test_swapped),	   TEST(test_swapped_tree),
		TEST(test_each),	   TEST(test_namespaces),
		TEST(test_tree_object),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
