/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chain as the source of lazy trees: paths of packs and records, and whose
 * length of a pack is asked for. Constant but for the reference count.
 */
#include "lazy_remote.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "remote_internal.h"
#include "remote_tree.h"
#include "store_internal.h"

struct remote_source {
	struct lazy_source base; /* first */
	struct chain *chain;	 /* constant, as all below */
	char *tenant, *namespace;
};

/* The tiers that are read, counted from 0. */
static int reader_at(const struct chain *c, unsigned nth, unsigned *ret_tier)
{
	unsigned i;

	for (i = 0; i < chain_count(c); i++)
		if ((chain_access(c, i) & CHAIN_READ) && nth-- == 0) {
			*ret_tier = i;
			return 0;
		}
	return -ENOENT;
}

/* Absent in one tier is no end of the list. */
static int source_size(struct lazy_source *src, const struct tier_call *call,
		       const struct digest *pack, unsigned nth,
		       uint64_t *ret_bytes)
{
	struct remote_source *s = (struct remote_source *)src;
	char path[TIER_PATH_MAX + 1];
	unsigned tier;
	int r = reader_at(s->chain, nth, &tier);

	if (r < 0)
		return r;
	remote_path(s->tenant, s->namespace, REMOTE_PACK, pack, path);
	r = chain_head_at(s->chain, tier, call, path, ret_bytes);
	return r == -ENOENT ? -ENODATA : r;
}

static int source_get(struct lazy_source *src, const struct tier_call *call,
		      const struct digest *pack, uint64_t off, uint32_t len,
		      const struct chain_want *want)
{
	struct remote_source *s = (struct remote_source *)src;
	char path[TIER_PATH_MAX + 1];

	remote_path(s->tenant, s->namespace, REMOTE_PACK, pack, path);
	return chain_get(s->chain, call, path, off, len, want, NULL);
}

static int source_record(struct lazy_source *src, const struct tier_call *call,
			 const struct digest *catalog, size_t max,
			 int (*check)(void *arg, const void *data, size_t len),
			 void *arg)
{
	struct remote_source *s = (struct remote_source *)src;
	_cleanup_buf_ struct buf data = BUF_INIT;
	char path[TIER_PATH_MAX + 1];

	remote_path(s->tenant, s->namespace, REMOTE_RECORD, catalog, path);
	return chain_read(s->chain, call, path, max, check, arg, &data, NULL);
}

static int source_names(const struct lazy_source *src, struct buf *out)
{
	const struct chain *c = ((const struct remote_source *)src)->chain;
	const char *comma = "";
	unsigned i;

	for (i = 0; i < chain_count(c); i++) {
		if (!(chain_access(c, i) & CHAIN_READ))
			continue;
		buf_printf(out, "%s%s", comma, chain_name(c, i));
		comma = ",";
	}
	return buf_error(out);
}

static bool source_same(const struct lazy_source *a,
			const struct lazy_source *b)
{
	const struct remote_source *x = (const struct remote_source *)a;
	const struct remote_source *y = (const struct remote_source *)b;

	return x->chain == y->chain && strcmp(x->tenant, y->tenant) == 0 &&
	       strcmp(x->namespace, y->namespace) == 0;
}

static void source_free(struct lazy_source *src)
{
	struct remote_source *s = (struct remote_source *)src;

	chain_unref(s->chain);
	free(s->tenant);
	free(s->namespace);
	free(s);
}

static const struct lazy_source_ops remote_source_ops = {
	.size = source_size,
	.get = source_get,
	.record = source_record,
	.names = source_names,
	.same = source_same,
	.free = source_free,
};

int lazy_remote_new(struct chain *chain, const char *tenant,
		    const char *namespace, struct lazy_source **ret_source)
{
	struct remote_source *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->base.ops = &remote_source_ops;
	atomic_init(&s->base.refs, 1);
	s->chain = chain_ref(chain);
	s->tenant = strdup(tenant);
	s->namespace = strdup(namespace);
	if (!s->tenant || !s->namespace) {
		source_free(&s->base);
		return -ENOMEM;
	}
	*ret_source = &s->base;
	return 0;
}

struct chain *lazy_remote_chain(const struct lazy_source *src)
{
	return ((const struct remote_source *)src)->chain;
}

/* --- bringing a tree --- */

static int put_tree(struct store *s, const struct digest *catalog,
		    const struct remote_tree *t)
{
	struct index_stamp stamp;
	int r = store_put_foreign_placement(s, catalog, t->placement_blob.data,
					    t->placement_blob.len);

	for (uint32_t n = 0; n < t->n_ends; n++)
		store_hint_pack(s, &t->ends[n].name, t->ends[n].bytes,
				t->ends[n].tail);
	return r < 0 ? r :
		       store_put_catalog(s, catalog, t->catalog_blob.data,
					 t->catalog_blob.len, &stamp);
}

static bool is_here(struct store *s, const struct digest *catalog)
{
	_cleanup_tree_ struct store_tree *t = NULL;

	return store_tree_open(s, catalog, &t) == 0;
}

/* Held from before it is there until the entry is. */
int lazy_remote_bring(const struct remote *r, const struct entry *e)
{
	_cleanup_(remote_tree_release) struct remote_tree t = { 0 };
	int err = store_hold(r->store, &e->catalog);

	if (err < 0)
		return err;
	if (!is_here(r->store, &e->catalog)) {
		err = remote_get_tree(r, &e->catalog, &t);
		if (err == 0)
			err = put_tree(r->store, &e->catalog, &t);
	}
	if (err == 0)
		err = remote_put_entry(r, e);
	store_release(r->store, &e->catalog);
	return err;
}
