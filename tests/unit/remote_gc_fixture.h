/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collections of the first of two tiers, and what is there afterwards.
 * Header-only; include it behind cmocka.h.
 */
#ifndef LARDER_TESTS_REMOTE_GC_FIXTURE_H
#define LARDER_TESTS_REMOTE_GC_FIXTURE_H

#include "remote_fixture.h"
#include "store/base/clock.h"
#include "store/remote_gc.h"
#include "store/remote_hold.h"
#include "store/remote_internal.h"
#include "store/remote_tree.h"

#define PREFIX "v1/local/default/"
#define DAY_NS (INT64_C(86400) * 1000000000)

static int count_one(void *arg, const struct tier_object *o)
{
	(void)o;
	++*(unsigned *)arg;
	return 0;
}

/* How many objects are below a folder of the namespace. */
static UNUSED unsigned count_there(struct remotes *rs, const char *folder)
{
	char prefix[TIER_PATH_MAX + 1];
	unsigned n = 0;

	snprintf(prefix, sizeof(prefix), PREFIX "%s", folder);
	assert_int_equal(
		chain_list_at(rs->chain, 0, NULL, prefix, count_one, &n), 0);
	return n;
}

static UNUSED bool is_there(struct remotes *rs, const char *path)
{
	uint64_t size;
	int r = chain_head_at(rs->chain, 0, NULL, path, &size);

	assert_true(r == 0 || r == -ENOENT);
	return r == 0;
}

/* Whether an entry and all that it needs are there; -ENOENT: no entry. */
static UNUSED int look_for(struct remotes *rs, const char *key)
{
	_cleanup_(remote_tree_release) struct remote_tree t = { 0 };
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	_cleanup_buf_ struct buf b = BUF_INIT;
	char path[TIER_PATH_MAX + 1];
	struct remote r = here(rs);
	int err = remote_find_at(&r, 0, "test", key, &e);

	if (err < 0)
		return err;
	remote_path(r.tenant, r.namespace, REMOTE_TREE, &e.catalog, path);
	if (chain_read_from(rs->chain, 0, NULL, path, REMOTE_TREE_MAX, &b) < 0)
		return -EBADMSG;
	if (remote_tree_decode(b.data, b.len, &e.catalog, &t) < 0)
		return -EBADMSG;
	for (uint32_t n = 0; n < placement_packs(t.placement); n++) {
		remote_path(r.tenant, r.namespace, REMOTE_PACK,
			    placement_pack(t.placement, n), path);
		if (!is_there(rs, path))
			return -EBADMSG;
	}
	return 0;
}

/* What the pointer to the newest says; "": there is none. */
static UNUSED void latest(struct remotes *rs, const char *branch,
			  char ret_key[KEY_MAX + 1])
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	char path[TIER_PATH_MAX + 1];
	int r;

	assert_int_equal(remote_latest_path("local", "default", "test", branch,
					    path),
			 0);
	r = chain_read_from(rs->chain, 0, NULL, path, KEY_MAX, &b);
	assert_true(r == 0 || r == -ENOENT);
	buf_put_u8(&b, 0);
	snprintf(ret_key, KEY_MAX + 1, "%s", (const char *)b.data);
}

/* A tree of one file of noise, and what it shares with others: `common`. */
static UNUSED void add_entry(struct remotes *rs, const char *key, unsigned seed)
{
	int from = make_dir(rs->f, key);

	write_noise(from, "own", 20000, seed);
	if (seed % 2 == 0)
		write_noise(from, "common", 50000, 1000);
	import_dir(rs->f, from, key);
	close(from);
}

static UNUSED bool has_entry_here(struct remotes *rs, const char *key)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;

	return index_get_entry(store_index(rs->f->store), ENTRY_TENANT_LOCAL,
			       ENTRY_NAMESPACE_DEFAULT, "test", key, &e) == 0;
}

/* Four entries, k1 the oldest, each a day younger; k2 and k4 share a pack. The
 * youngest is two days old. */
static UNUSED void make_four(struct remotes *rs)
{
	char key[8];

	for (unsigned i = 1; i <= 4; i++) {
		snprintf(key, sizeof(key), "k%u", i);
		if (!has_entry_here(rs, key))
			add_entry(rs, key, i);
		push(rs, 0, key);
		fault_tier_age(rs->first, DAY_NS);
	}
	fault_tier_age(rs->first, DAY_NS);
}

static UNUSED void assert_left(struct remotes *rs, const char *keys)
{
	char key[8];

	for (unsigned i = 1; i <= 4; i++) {
		snprintf(key, sizeof(key), "k%u", i);
		assert_int_equal(look_for(rs, key),
				 strchr(keys, '0' + (int)i) ? 0 : -ENOENT);
	}
	assert_int_equal(count_there(rs, "entries"), strlen(keys));
	assert_int_equal(count_there(rs, "trees"), strlen(keys));
	assert_int_equal(count_there(rs, "gc"), 0);
	assert_int_equal(count_there(rs, "holds"), 0);
}

/* What a collection that failed has left counts no more at once. */
static const struct remote_pace hasty = { .hold_ns = DAY_NS,
					  .notice_ns = 1,
					  .sweep_ns = DAY_NS,
					  .collector_ns = DAY_NS,
					  .poll_ns = 1 };

static UNUSED int collect(struct remotes *rs, const struct remote_gc_options *o,
			  struct remote_gc_result *ret_result)
{
	struct remote r = here(rs);

	r.pace = &hasty;
	return remote_gc(&r, 0, o, ret_result);
}

#endif
