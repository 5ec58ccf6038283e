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

static int try_pull(struct remotes *rs, const char *key,
		    struct remote_result *res)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct remote r = there(rs);
	int err = remote_find(&r, "test", key, &e);

	return err < 0 ? err : remote_pull(&r, &e, res);
}

/* What the other machine has of an entry is the tree `want`. */
static void assert_there(struct remotes *rs, const char *key, int want)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	_cleanup_tree_ struct store_tree *t = NULL;
	char name[32];
	int fd;

	assert_int_equal(
		index_get_entry(store_index(rs->other), ENTRY_TENANT_LOCAL,
				ENTRY_NAMESPACE_DEFAULT, "test", key, &e),
		0);
	assert_int_equal(store_tree_open(rs->other, &e.catalog, &t), 0);
	snprintf(name, sizeof(name), "out-%u", rs->others++);
	fd = make_dir(rs->f, name);
	assert_int_equal(export_dir(t, fd, &rs->f->self, NULL), 0);
	assert_same_tree(want, fd);
	close(fd);
}

static bool has_entry(struct remotes *rs, const char *key)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;

	return index_get_entry(store_index(rs->other), ENTRY_TENANT_LOCAL,
			       ENTRY_NAMESPACE_DEFAULT, "test", key, &e) == 0;
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
			/* Full it is only when something is put. */
			if (kind != FAULT_FULL || put)
				assert_int_equal(
					put, fault_tier_calls(rs->first) < n ||
						     kind == FAULT_FULL);
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
		/* The first call looks whether the pack is there. */
		fault_tier_set(rs->first, kinds[k], 2, false);
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
	assert_int_equal(remote_find_latest(&r, "test", "", &b), -ENOENT);
	close(from);
}

/* --- trust --- */

/* Puts an entry of this machine, signed, and then what was made of it after
 * that, where `change` would have it. */
struct forged {
	const char *tenant, *namespace, *name, *key;
	void (*change)(struct entry *e);
};

static void set_text(char **field, const char *text)
{
	free(*field);
	*field = strdup(text);
}

static void new_key(struct entry *e)
{
	set_text(&e->key, "k2");
}

static void new_name(struct entry *e)
{
	set_text(&e->name, "other");
}

static void new_tenant(struct entry *e)
{
	set_text(&e->tenant, "mallory");
}

static void new_namespace(struct entry *e)
{
	set_text(&e->namespace, "other");
}

static void new_parent(struct entry *e)
{
	set_text(&e->parent, "k0");
}

static void new_parent_catalog(struct entry *e)
{
	e->parent_catalog.bytes[0] ^= 1;
}

static void new_catalog(struct entry *e)
{
	e->catalog.bytes[0] ^= 1;
}

static void new_time(struct entry *e)
{
	e->created_ns++;
}

static void no_signature(struct entry *e)
{
	e->signature_count = 0;
}

static void no_change(struct entry *e)
{
	(void)e;
}

static void put_entry(struct remotes *rs, unsigned tier, const char *path,
		      const struct entry *e)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	assert_int_equal(entry_encode(e, &b), 0);
	assert_int_equal(chain_put_data_to(rs->chain, tier, NULL, path, b.data,
					   b.len),
			 0);
}

static const struct forged forgeries[] = {
	{ "local", "default", "test", "k2", no_change },
	{ "local", "default", "test", "k2", new_key },
	{ "local", "default", "other", "k1", no_change },
	{ "local", "default", "other", "k1", new_name },
	{ "mallory", "default", "test", "k1", no_change },
	{ "mallory", "default", "test", "k1", new_tenant },
	{ "local", "other", "test", "k1", no_change },
	{ "local", "other", "test", "k1", new_namespace },
	{ "local", "default", "test", "k1", new_parent },
	{ "local", "default", "test", "k1", new_parent_catalog },
	{ "local", "default", "test", "k1", new_catalog },
	{ "local", "default", "test", "k1", new_time },
	{ "local", "default", "test", "k1", no_signature },
};

static struct trust *trusting(const struct sign_key *key)
{
	char text[SIGN_TEXT_MAX];
	struct trust *t;

	sign_public_text(sign_key_public(key), text);
	assert_int_equal(trust_new(&t), 0);
	assert_int_equal(trust_add(t, text), 0);
	return t;
}

/* What somebody made of a signed entry is refused where it lies, told of its
 * tier, and a sound copy in the next tier serves. */
static void test_forged(void **state)
{
	struct remotes *rs = *state;
	_cleanup_sign_key_ struct sign_key *key = NULL;
	_cleanup_trust_ struct trust *trust = NULL;
	int from = make_dir(rs->f, "from");

	make_text_files(from, 5);
	import_dir(rs->f, from, "k1");
	assert_int_equal(sign_key_new("ci", &key), 0);
	trust = trusting(key);
	for (size_t i = 0; i < sizeof(forgeries) / sizeof(forgeries[0]); i++) {
		const struct forged *f = &forgeries[i];
		_cleanup_entry_ struct entry e = entry_of(rs, "k1");
		_cleanup_entry_ struct entry got = ENTRY_INIT;
		struct remote r = there(rs);
		char path[TIER_PATH_MAX + 1];
		struct chain_stats st;

		new_chain(rs);
		r.chain = rs->chain;
		r.tenant = f->tenant;
		r.namespace = f->namespace;
		r.trust = trust;
		assert_int_equal(entry_sign(&e, key), 0);
		f->change(&e);
		remote_entry_path(f->tenant, f->namespace, f->name, f->key,
				  path);
		put_entry(rs, 0, path, &e);
		assert_int_equal(remote_find(&r, f->name, f->key, &got),
				 -EKEYREJECTED);
		chain_stats(rs->chain, 0, &st);
		assert_int_equal(st.untrusted, 1);
		assert_int_equal(st.damaged, 0);
		set_text(&e.tenant, f->tenant);
		set_text(&e.namespace, f->namespace);
		set_text(&e.name, f->name);
		set_text(&e.key, f->key);
		assert_int_equal(entry_sign(&e, key), 0);
		put_entry(rs, 1, path, &e);
		assert_int_equal(remote_find(&r, f->name, f->key, &got), 0);
		assert_string_equal(got.signatures[0].key, "ci");
	}
	close(from);
}

/* A store's entry is signed where it lies, once. */
static void test_sign_stored(void **state)
{
	struct remotes *rs = *state;
	_cleanup_sign_key_ struct sign_key *key = NULL;
	_cleanup_trust_ struct trust *trust = NULL;
	_cleanup_entry_ struct entry signed_one = ENTRY_INIT;
	_cleanup_entry_ struct entry again = ENTRY_INIT, before = ENTRY_INIT;
	int from = make_dir(rs->f, "from");
	struct remote_result res;
	struct remote r = there(rs);

	make_text_files(from, 5);
	import_dir(rs->f, from, "k1");
	before = entry_of(rs, "k1");
	assert_int_equal(sign_key_new("ci", &key), 0);
	trust = trusting(key);
	assert_int_equal(
		store_sign_entry(rs->f->store, &before, key, &signed_one), 0);
	assert_int_equal(trust_check(trust, &signed_one, NULL), 0);
	push(rs, 0, "k1");
	r.trust = trust;
	assert_int_equal(remote_find(&r, "test", "k1", &again), 0);
	assert_int_equal(remote_pull(&r, &again, &res), 0);
	assert_there(rs, "k1", from);
	entry_release(&again);
	assert_int_equal(
		store_sign_entry(rs->f->store, &signed_one, key, &again), 0);
	assert_int_equal(again.signature_count, 1);
	/* One that has been replaced is not signed in the other's name. */
	write_file(from, "new", "new", 3);
	import_dir(rs->f, from, "k1");
	entry_release(&again);
	assert_int_equal(
		store_sign_entry(rs->f->store, &signed_one, key, &again), 0);
	assert_int_equal(again.signature_count, 0);
	entry_release(&again);
	again = entry_of(rs, "k1");
	assert_int_equal(again.signature_count, 0);
	set_text(&signed_one.key, "k9");
	entry_release(&again);
	assert_int_equal(store_sign_entry(rs->f->store, &signed_one, key,
					  &again),
			 -ENOENT);
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
static int look_into(void *arg, const char *path, uint64_t size)
{
	struct seen *s = arg;

	(void)size;
	if (strstr(path, "/secret/packs/") || strstr(path, "/open/packs/"))
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
		TEST(test_latest),	   TEST(test_each),
		TEST(test_namespaces),	   TEST(test_tree_object),
		TEST(test_forged),	   TEST(test_sign_stored),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
