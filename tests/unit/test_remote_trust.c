/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of remote tiers that were signed, and what somebody made of them; and
 * signing the entries of a store.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "remote_fixture.h"
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

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, remotes_setup, remotes_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_forged),
		TEST(test_sign_stored),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
