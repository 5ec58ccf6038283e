/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of collections share: entries that are told by their key, and
 * checks that every byte of one can be read. Header-only; include it behind
 * cmocka.h.
 */
#ifndef LARDER_TESTS_GC_FIXTURE_H
#define LARDER_TESTS_GC_FIXTURE_H

#include "store/base/clock.h"
#include "store/chunker.h"
#include "store/gc.h"
#include "store/store_internal.h"
#include "tree_fixture.h"

/* Whether the key has an entry. */
static UNUSED bool has_entry(struct fixture *f, const char *key)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	_cleanup_entry_ struct entry names = make_entry(key);

	return index_get_entry(store_index(f->store), names.tenant,
			       names.namespace, names.name, key, &e) == 0;
}

static UNUSED struct entry get_entry(struct fixture *f, const char *key)
{
	_cleanup_entry_ struct entry names = make_entry(key);
	struct entry e = ENTRY_INIT;

	assert_int_equal(index_get_entry(store_index(f->store), names.tenant,
					 names.namespace, names.name, key, &e),
			 0);
	return e;
}

/* Reads all files of a tree and compares each chunk with its digest. */
static UNUSED int read_tree(struct store *s, const struct digest *catalog)
{
	_cleanup_free_ uint8_t *room = malloc(CHUNK_MAX);
	const struct digest *want;
	struct catalog_info info;
	struct codec_ctx *ctx;
	struct store_tree *t;
	struct digest got;
	uint32_t size;
	int r = store_tree_open(s, catalog, &t);

	if (r < 0)
		return r;
	assert_non_null(room);
	assert_int_equal(codec_ctx_new(&ctx), 0);
	catalog_info(store_tree_catalog(t), &info);
	for (uint32_t i = 0; r == 0 && i < info.chunks; i++) {
		assert_int_equal(catalog_chunk(store_tree_catalog(t), i, &want,
					       &size),
				 0);
		r = store_chunk_read(t, ctx, i, 0, room);
		if (r < 0)
			break;
		assert_int_equal(digest_of(room, size, &got), 0);
		assert_true(digest_equal(&got, want));
	}
	codec_ctx_free(ctx);
	store_tree_unref(t);
	return r;
}

static UNUSED int read_entry(struct fixture *f, const char *key)
{
	_cleanup_entry_ struct entry e = get_entry(f, key);

	return read_tree(f->store, &e.catalog);
}

/* Notes a use of an entry at a time of the test's choice. */
static UNUSED void use_at(struct fixture *f, const char *key, int64_t ns)
{
	_cleanup_entry_ struct entry e = get_entry(f, key);
	struct index_batch *b;

	assert_int_equal(index_batch_begin(store_index(f->store), &b), 0);
	assert_int_equal(index_put_use(b, &e, ns), 0);
	assert_int_equal(index_batch_commit(b, false), 0);
}

static UNUSED void pin(struct fixture *f, const char *key, bool on)
{
	_cleanup_entry_ struct entry e = get_entry(f, key);
	struct index_batch *b;

	assert_int_equal(index_batch_begin(store_index(f->store), &b), 0);
	assert_int_equal(on ? index_put_pin(b, &e, 1) : index_remove_pin(b, &e),
			 0);
	assert_int_equal(index_batch_commit(b, false), 0);
}

static UNUSED void remove_entry(struct fixture *f, const char *key)
{
	_cleanup_entry_ struct entry e = get_entry(f, key);

	assert_int_equal(gc_remove_entry(f->store, &e), 0);
}

static UNUSED struct gc_result collect(struct fixture *f, uint64_t max_bytes)
{
	const struct gc_options o = { .limits = { .max_bytes = max_bytes } };
	struct gc_result res;

	assert_int_equal(gc_run(f->store, &o, NULL, &res), 0);
	return res;
}

static UNUSED uint64_t bytes_now(struct fixture *f)
{
	const struct gc_limits none = { 0 };
	struct gc_usage u;

	assert_int_equal(gc_usage(f->store, &none, &u), 0);
	return u.bytes;
}

#endif
