/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening trees. They are shared: the store remembers the open ones without a
 * reference. Their blobs are opened in tree_blobs.c. Any thread.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "lazy_internal.h"
#include "store_tree.h"
#include "tree_blobs.h"

#define OPEN_TRIES 3 /* of a tree that a collection is changing */

static void tree_free(struct store_tree *t)
{
	uint32_t i, n = t->packs ? placement_packs(t->placement) : 0;

	lazy_tree_free(atomic_load(&t->lazy));
	for (i = 0; i < n; i++) {
		struct pack *p = atomic_load(&t->packs[i]);

		if (p)
			pack_cache_put(t->store->packs, p);
	}
	free(t->packs);
	lazy_source_unref(t->source);
	placement_free(t->placement);
	catalog_unref(t->catalog);
	free(t);
}

static void cleanup_unshared(struct store_tree **t)
{
	if (*t)
		tree_free(*t);
}

enum tree_check {
	TREE_CHECK_KNOWN,     /* what is not known to be good */
	TREE_CHECK_PLACEMENT, /* and the placement's checksum */
	TREE_CHECK_ALL,	      /* and the catalog's digest */
};

static int tree_load(struct store *s, const struct digest *digest,
		     enum tree_check check, struct lazy_source *src,
		     struct store_tree **ret_tree)
{
	_cleanup_(cleanup_unshared) struct store_tree *t =
		calloc(1, sizeof(*t));
	struct index_stamp foreign;
	int r;

	if (!t)
		return -ENOMEM;
	t->store = s;
	t->refs = 1;
	t->node.digest = *digest;
	t->source = src ? lazy_source_ref(src) : NULL;
	r = tree_load_catalog(s, digest, check == TREE_CHECK_ALL, &t->catalog,
			      &t->anchor);
	if (r < 0)
		return r;
	r = tree_load_placement(s, digest, t->catalog,
				check != TREE_CHECK_KNOWN, &t->placement);
	if (r < 0)
		return r;
	t->foreign = index_get_stamp(s->index, INDEX_BLOB_FOREIGN, digest,
				     &foreign) == 0;
	t->packs = calloc(placement_packs(t->placement) + 1, sizeof(*t->packs));
	if (!t->packs)
		return -ENOMEM;
	*ret_tree = steal_ptr(&t);
	return 0;
}

int store_tree_load(struct store *s, const struct digest *catalog,
		    struct store_tree **ret_tree)
{
	return tree_load(s, catalog, TREE_CHECK_PLACEMENT, NULL, ret_tree);
}

int store_tree_load_checked(struct store *s, const struct digest *catalog,
			    struct store_tree **ret_tree)
{
	return tree_load(s, catalog, TREE_CHECK_ALL, NULL, ret_tree);
}

int store_tree_place_again(struct store *s, const struct digest *catalog)
{
	struct digest anchor;
	struct catalog *c;
	int r = tree_load_catalog(s, catalog, false, &c, &anchor);

	if (r < 0)
		return r;
	r = tree_remake_placement(s, catalog, c);
	catalog_unref(c);
	return r;
}

void store_tree_discard(struct store_tree *t)
{
	tree_free(t);
}

static bool same_source(const struct store_tree *t,
			const struct lazy_source *src)
{
	if (!t->source || !src)
		return t->source == src;
	return t->source == src ||
	       (t->source->ops == src->ops && src->ops->same(t->source, src));
}

/* With the lock held. One catalog is open once for each source. */
static struct store_tree *tree_use(struct store *s, const struct digest *digest,
				   const struct lazy_source *src)
{
	struct dmap_node *n = dmap_find(&s->trees, digest);

	for (; n; n = n->next) {
		struct store_tree *t = (struct store_tree *)n;

		if (!digest_equal(&n->digest, digest) || !same_source(t, src))
			continue;
		t->refs++;
		return t;
	}
	return NULL;
}

static struct store_tree *tree_find(struct store *s,
				    const struct digest *digest,
				    const struct lazy_source *src)
{
	LOCK_SCOPE(&s->lock);

	return tree_use(s, digest, src);
}

int store_tree_find(struct store *s, const struct digest *catalog,
		    struct store_tree **ret_tree)
{
	LOCK_SCOPE(&s->lock);
	struct dmap_node *n = dmap_find(&s->trees, catalog);

	for (; n; n = n->next) {
		struct store_tree *t = (struct store_tree *)n;

		if (!digest_equal(&n->digest, catalog) || !t->source)
			continue;
		t->refs++;
		*ret_tree = t;
		return 0;
	}
	return -ENOENT;
}

/* Makes `t` known unless another thread was faster. -EAGAIN: its placement
 * has been made anew. */
static int tree_add(struct store *s, struct store_tree *t,
		    struct store_tree **ret_winner)
{
	LOCK_SCOPE(&s->lock);
	struct store_tree *other = tree_use(s, &t->node.digest, t->source);
	int r;

	if (!other) {
		r = store_tree_check_condemned(s, t);
		if (r == 0)
			r = dmap_add(&s->trees, &t->node);
		if (r < 0)
			return r;
	}
	*ret_winner = other ? other : t;
	return 0;
}

static int tree_open_once(struct store *s, const struct digest *catalog,
			  struct lazy_source *src, struct store_tree **ret_tree)
{
	_cleanup_(cleanup_unshared) struct store_tree *t = NULL;
	struct store_tree *winner = tree_find(s, catalog, src);
	int r;

	if (!winner) {
		r = tree_load(s, catalog, TREE_CHECK_KNOWN, src, &t);
		if (r < 0)
			return r;
		r = tree_add(s, t, &winner);
		if (r < 0)
			return r;
		if (winner == t)
			t = NULL;
	}
	*ret_tree = winner;
	return 0;
}

static int tree_open(struct store *s, const struct digest *catalog,
		     struct lazy_source *src, struct store_tree **ret_tree)
{
	int tries, r = -EAGAIN;

	for (tries = 0; r == -EAGAIN && tries < OPEN_TRIES; tries++)
		r = tree_open_once(s, catalog, src, ret_tree);
	return r == -EAGAIN ? -ENOENT : r;
}

int store_tree_make_lazy(struct store_tree *t, struct lazy_tree **ret_lazy)
{
	struct lazy_tree *lt = NULL, *other = NULL;
	int r;

	if (!t->source)
		return -EOPNOTSUPP;
	if (!(other = atomic_load(&t->lazy))) {
		r = lazy_tree_new(t, t->source, &lt);
		if (r < 0)
			return r;
		if (!atomic_compare_exchange_strong(&t->lazy, &other, lt))
			lazy_tree_free(lt);
		else
			other = lt;
	}
	*ret_lazy = other;
	return 0;
}

static void cleanup_source(struct lazy_source **src)
{
	lazy_source_unref(*src);
}

int store_tree_open(struct store *s, const struct digest *catalog,
		    struct store_tree **ret_tree)
{
	_cleanup_(cleanup_source) struct lazy_source *src =
		store_find_source(s, catalog);
	struct lazy_tree *lt;
	struct store_tree *t;
	int r = tree_open(s, catalog, src, &t);

	if (r < 0)
		return r;
	if (src && (t->foreign || !store_tree_is_whole(t)))
		r = store_tree_make_lazy(t, &lt);
	if (r < 0) {
		store_tree_unref(t);
		return r;
	}
	*ret_tree = t;
	return 0;
}

bool store_tree_is_foreign(const struct store_tree *t)
{
	return t->foreign;
}

struct lazy_source *store_tree_source(const struct store_tree *t)
{
	return t->source;
}

struct store_tree *store_tree_ref(struct store_tree *t)
{
	LOCK_SCOPE(&t->store->lock);

	t->refs++;
	return t;
}

static bool tree_drop(struct store_tree *t)
{
	LOCK_SCOPE(&t->store->lock);

	if (--t->refs > 0)
		return false;
	dmap_remove(&t->store->trees, &t->node);
	store_tree_was_open(t->store, &t->node.digest);
	return true;
}

void store_tree_unref(struct store_tree *t)
{
	if (t && tree_drop(t))
		tree_free(t);
}

const struct catalog *store_tree_catalog(const struct store_tree *t)
{
	return t->catalog;
}

const struct digest *store_tree_digest(const struct store_tree *t)
{
	return &t->node.digest;
}

struct store *store_tree_store(const struct store_tree *t)
{
	return t->store;
}

bool store_tree_is_whole(struct store_tree *t)
{
	struct pack *p;
	uint32_t n;

	for (n = 0; n < placement_packs(t->placement); n++) {
		if (pack_cache_get(t->store->packs,
				   placement_pack(t->placement, n), &p) < 0)
			return false;
		pack_cache_put(t->store->packs, p);
	}
	return true;
}
