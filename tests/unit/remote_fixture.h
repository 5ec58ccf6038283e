/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two machines and what they share: a store that pushes, `other`, which is
 * another machine's, and a chain of two tiers that fail as they are told.
 * Header-only; include it behind cmocka.h.
 */
#ifndef LARDER_TESTS_REMOTE_FIXTURE_H
#define LARDER_TESTS_REMOTE_FIXTURE_H

#include "fault_tier.h"
#include "store/lazy_remote.h"
#include "store/remote.h"
#include "tree_fixture.h"

#define BOTH (CHAIN_READ | CHAIN_WRITE)

struct remotes {
	struct fixture *f;
	struct store *other;
	struct chain *chain;
	struct fault_tier *first, *second;
	unsigned others; /* stores made so far */
};

static UNUSED struct remote here(struct remotes *rs)
{
	return (struct remote){ .store = rs->f->store,
				.chain = rs->chain,
				.tenant = ENTRY_TENANT_LOCAL,
				.namespace = ENTRY_NAMESPACE_DEFAULT };
}

static UNUSED struct remote there(struct remotes *rs)
{
	struct remote r = here(rs);

	r.store = rs->other;
	return r;
}

/* Another machine, with nothing yet. */
static UNUSED void new_other(struct remotes *rs)
{
	char path[96];

	store_close(rs->other);
	snprintf(path, sizeof(path), "%s/other-%u", rs->f->dir, rs->others++);
	assert_int_equal(store_open(path, &rs->other), 0);
}

/* A chain that has forgotten what its tiers did. */
static UNUSED void new_chain(struct remotes *rs)
{
	struct tier *a, *b;

	chain_unref(rs->chain);
	assert_int_equal(chain_new(&rs->chain), 0);
	chain_set_pause(rs->chain, 3600000, 3600000);
	assert_int_equal(fault_tier_new(&rs->first, &a), 0);
	assert_int_equal(fault_tier_new(&rs->second, &b), 0);
	assert_int_equal(chain_add(rs->chain, "first", a, BOTH), 0);
	assert_int_equal(chain_add(rs->chain, "second", b, BOTH), 0);
}

static int remotes_setup(void **state)
{
	struct remotes *rs = calloc(1, sizeof(*rs));

	assert_non_null(rs);
	fixture_setup((void **)&rs->f);
	new_other(rs);
	new_chain(rs);
	*state = rs;
	return 0;
}

static int remotes_teardown(void **state)
{
	struct remotes *rs = *state;

	chain_unref(rs->chain);
	store_close(rs->other);
	fixture_teardown((void **)&rs->f);
	free(rs);
	return 0;
}

static UNUSED struct entry entry_of(struct remotes *rs, const char *key)
{
	struct entry e;

	assert_int_equal(
		index_get_entry(store_index(rs->f->store), ENTRY_TENANT_LOCAL,
				ENTRY_NAMESPACE_DEFAULT, "test", key, &e),
		0);
	return e;
}

static UNUSED struct remote_result push(struct remotes *rs, unsigned i,
					const char *key)
{
	_cleanup_entry_ struct entry e = entry_of(rs, key);
	struct remote r = here(rs);
	struct remote_result res = { 0 };

	assert_int_equal(remote_push(&r, i, &e, false, &res), 0);
	return res;
}

/* As who can write to a tier puts one there. */
static UNUSED void put_entry(struct remotes *rs, unsigned tier,
			     const char *path, const struct entry *e)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	assert_int_equal(entry_encode(e, &b), 0);
	assert_int_equal(chain_put_data_to(rs->chain, tier, NULL, path, b.data,
					   b.len),
			 0);
}

static UNUSED struct trust *trusting(const struct sign_key *key)
{
	char text[SIGN_TEXT_MAX];
	struct trust *t;

	sign_public_text(sign_key_public(key), text);
	assert_int_equal(trust_new(&t), 0);
	assert_int_equal(trust_add(t, text), 0);
	return t;
}

/* What a mount on the other machine does with an entry of the tiers. */
static UNUSED int bring_lazily(struct remotes *rs, const char *key,
			       struct store_tree **ret_tree)
{
	_cleanup_lazy_source_ struct lazy_source *src = NULL;
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct remote r = there(rs);
	int err = remote_find(&r, "test", key, &e);

	if (err == 0)
		err = lazy_remote_bring(&r, &e);
	if (err < 0)
		return err;
	assert_int_equal(lazy_remote_new(r.chain, r.tenant, r.namespace, &src),
			 0);
	assert_int_equal(store_offer_source(rs->other, &e.catalog, src), 0);
	assert_int_equal(store_tree_open(rs->other, &e.catalog, ret_tree), 0);
	return 0;
}

static UNUSED int try_pull(struct remotes *rs, const char *key,
			   struct remote_result *res)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct remote r = there(rs);
	int err = remote_find(&r, "test", key, &e);

	return err < 0 ? err : remote_pull(&r, &e, res);
}

/* What the other machine has of an entry is the tree `want`. */
static UNUSED void assert_there(struct remotes *rs, const char *key, int want)
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

#endif
