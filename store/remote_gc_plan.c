/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which entries of a tier stay, and what they need. A tree is read whole: its
 * catalog is compared with its digest, so that what is damaged is not taken for
 * a tree that needs nothing. The collection's thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "remote_gc_internal.h"
#include "remote_tree.h"
#include "store_internal.h"

#define TREE_TIMEOUT_NS INT64_C(300000000000)

/* ---- trees */

static int copy_packs(struct rgc_tree *t, const struct placement *p)
{
	t->n = placement_packs(p);
	t->packs = calloc((size_t)t->n + 1, sizeof(*t->packs));
	if (!t->packs)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->n; i++)
		t->packs[i] = *placement_pack(p, i);
	return 0;
}

static int load_tree(struct rgc *g, struct rgc_tree *t)
{
	_cleanup_(remote_tree_release) struct remote_tree got = { 0 };
	struct tier_call call = remote_call(g->remote, TREE_TIMEOUT_NS);
	_cleanup_buf_ struct buf data = BUF_INIT;
	char path[TIER_PATH_MAX + 1];
	int r;

	remote_path(g->remote->tenant, g->remote->namespace, REMOTE_TREE,
		    &t->node.digest, path);
	r = chain_read_from(g->remote->chain, g->tier, &call, path,
			    REMOTE_TREE_MAX, &data);
	if (r == 0)
		r = remote_tree_decode(data.data, data.len, &t->node.digest,
				       &got);
	if (r == 0)
		return copy_packs(t, got.placement);
	if (r == -ESTALE)
		return log_error(r,
				 "tier %s has a tree of a newer version of "
				 "Larder (%s), which must collect it",
				 chain_name(g->remote->chain, g->tier), path);
	if (r == -EBADMSG || r == -EFBIG)
		chain_damaged(g->remote->chain, g->tier, path);
	if (r != -ENOENT && r != -EBADMSG && r != -EFBIG)
		return r;
	t->err = r == -ENOENT ? r : -EBADMSG;
	return 0;
}

static void forget_tree(struct rgc_tree *t)
{
	free(t->packs);
	t->packs = NULL;
	t->n = 0;
	t->err = 0;
	t->loaded = false;
}

static int get_tree(struct rgc *g, const struct digest *catalog, bool anew,
		    struct rgc_tree **ret_tree)
{
	struct rgc_tree *t;
	int r = dmap_get(&g->trees, catalog, sizeof(*t),
			 (struct dmap_node **)&t);

	if (r == 0 && anew)
		forget_tree(t);
	if (r == 0 && !t->loaded)
		r = load_tree(g, t);
	if (r < 0)
		return r;
	t->loaded = true;
	*ret_tree = t;
	return 0;
}

/* ---- marks */

static uint64_t cost_of(const struct rgc *g, enum remote_kind kind,
			const struct digest *digest)
{
	const struct rgc_object *o =
		(const struct rgc_object *)dmap_find(&g->objects[kind], digest);

	return o && !o->needed ? o->bytes : 0;
}

static void mark_one(struct rgc *g, enum remote_kind kind,
		     const struct digest *digest)
{
	struct rgc_object *o =
		(struct rgc_object *)dmap_find(&g->objects[kind], digest);

	if (!o || o->needed)
		return;
	o->needed = true;
	g->needed_bytes += o->bytes;
}

static int entry_tree(struct rgc *g, struct rgc_entry *e, bool anew,
		      struct rgc_tree **ret_tree)
{
	int r = 0;

	e->unreadable = e->err < 0;
	if (!e->unreadable)
		r = get_tree(g, &e->entry.catalog, anew, ret_tree);
	if (r == 0 && !e->unreadable)
		e->unreadable = (*ret_tree)->err < 0;
	return r;
}

int rgc_mark(struct rgc *g, struct rgc_entry *e, bool anew)
{
	struct rgc_tree *t = NULL;
	int r = entry_tree(g, e, anew, &t);

	if (r < 0 || e->unreadable)
		return r;
	mark_one(g, REMOTE_TREE, &e->entry.catalog);
	mark_one(g, REMOTE_RECORD, &e->entry.catalog);
	for (uint32_t i = 0; i < t->n; i++)
		mark_one(g, REMOTE_PACK, &t->packs[i]);
	return 0;
}

/* What marking it would add. */
static uint64_t cost_of_entry(const struct rgc *g, const struct rgc_entry *e,
			      const struct rgc_tree *t)
{
	uint64_t bytes = cost_of(g, REMOTE_TREE, &e->entry.catalog) +
			 cost_of(g, REMOTE_RECORD, &e->entry.catalog);

	for (uint32_t i = 0; i < t->n; i++)
		bytes += cost_of(g, REMOTE_PACK, &t->packs[i]);
	return bytes;
}

static void tree_free(struct dmap_node *n)
{
	forget_tree((struct rgc_tree *)n);
	free(n);
}

void rgc_plan_release(struct rgc *g)
{
	dmap_release(&g->trees, tree_free);
}

static bool is_old(const struct rgc *g, int64_t put_ns)
{
	return put_ns > 0 && put_ns <= g->now_ns - g->options->grace_ns;
}

bool rgc_is_dead(const struct rgc *g, const struct rgc_object *o)
{
	return !o->needed && is_old(g, o->put_ns);
}

/* ---- which entries stay */

static bool has_rule(const struct remote_gc_options *o)
{
	return o->keep_ns || o->keep_last || o->max_bytes;
}

/* By name and branch, the newest first. */
static int by_branch(const void *pa, const void *pb)
{
	const struct rgc_entry *a = *(struct rgc_entry *const *)pa;
	const struct rgc_entry *b = *(struct rgc_entry *const *)pb;
	int cmp = strcmp(a->entry.name, b->entry.name);

	if (cmp == 0)
		cmp = strcmp(a->entry.branch, b->entry.branch);
	if (cmp)
		return cmp;
	if (a->put_ns != b->put_ns)
		return a->put_ns > b->put_ns ? -1 : 1;
	return a->entry.created_ns > b->entry.created_ns ?
		       -1 :
		       a->entry.created_ns < b->entry.created_ns;
}

static bool same_branch(const struct rgc_entry *a, const struct rgc_entry *b)
{
	return strcmp(a->entry.name, b->entry.name) == 0 &&
	       strcmp(a->entry.branch, b->entry.branch) == 0;
}

/* One whose tree cannot be read is of no use to anybody, and takes no other
 * one's place. */
static int protect_one(struct rgc *g, struct rgc_entry *e, unsigned *count)
{
	struct rgc_tree *t = NULL;
	int r = rgc_tick(g, "mark", 0, g->n_entries);

	if (r == 0)
		r = entry_tree(g, e, false, &t);
	if (r < 0 || e->unreadable)
		return r;
	e->protected = true;
	++*count;
	return 0;
}

static int protect_last(struct rgc *g)
{
	unsigned n = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < g->n_entries; i++) {
		struct rgc_entry *e = g->entries[i];

		if (i > 0 && !same_branch(g->entries[i - 1], e))
			n = 0;
		if (n < g->options->keep_last)
			r = protect_one(g, e, &n);
	}
	return r;
}

/* A pin that cannot be read is one. */
static bool is_pinned(const struct rgc *g, const struct rgc_entry *e)
{
	int64_t ns;

	return index_get_pin(g->remote->store->index, &e->entry, &ns) !=
	       -ENOENT;
}

static int protect(struct rgc *g)
{
	const struct remote_gc_options *o = g->options;

	for (size_t i = 0; i < g->n_entries; i++) {
		struct rgc_entry *e = g->entries[i];

		e->protected =
			!has_rule(o) || !is_old(g, e->put_ns) ||
			(o->keep_ns && e->put_ns > g->now_ns - o->keep_ns) ||
			is_pinned(g, e);
	}
	if (g->n_entries > 0)
		qsort(g->entries, g->n_entries, sizeof(*g->entries), by_branch);
	return protect_last(g);
}

/* What stays first, then the newest. */
static int by_worth(const void *pa, const void *pb)
{
	const struct rgc_entry *a = *(struct rgc_entry *const *)pa;
	const struct rgc_entry *b = *(struct rgc_entry *const *)pb;

	if (a->protected != b->protected)
		return a->protected ? -1 : 1;
	if (a->put_ns != b->put_ns)
		return a->put_ns > b->put_ns ? -1 : 1;
	return by_branch(pa, pb);
}

/* Nobody can use it, so neither a rule nor a pin keeps it; but it may be too
 * young to tell. */
static void judge_unreadable(struct rgc *g, struct rgc_entry *e)
{
	e->unreadable = true;
	e->goes = is_old(g, e->put_ns);
	if (e->goes)
		return;
	g->blocked = true;
	g->result.unreadable++;
}

/* *full: what comes from here on goes, unless it is protected. */
static int judge(struct rgc *g, struct rgc_entry *e, bool *full)
{
	const struct remote_gc_options *o = g->options;
	struct rgc_tree *t = NULL;
	int r = 0;

	if (!e->protected && !o->max_bytes)
		*full = true;
	if (e->protected || !*full)
		r = entry_tree(g, e, false, &t);
	if (r < 0)
		return r;
	if (e->unreadable || e->err < 0) {
		judge_unreadable(g, e);
		return 0;
	}
	if (!e->protected && !*full)
		*full = g->needed_bytes + cost_of_entry(g, e, t) > o->max_bytes;
	e->goes = *full && !e->protected;
	return e->goes ? 0 : rgc_mark(g, e, false);
}

int rgc_plan(struct rgc *g)
{
	bool full = false;
	int r = protect(g);

	if (g->n_entries > 0)
		qsort(g->entries, g->n_entries, sizeof(*g->entries), by_worth);
	for (size_t i = 0; r == 0 && i < g->n_entries; i++) {
		r = rgc_tick(g, "mark", i, g->n_entries);
		if (r == 0)
			r = judge(g, g->entries[i], &full);
		g->result.kept_entries += g->entries[i]->protected;
	}
	g->result.over = g->options->max_bytes &&
			 g->needed_bytes > g->options->max_bytes;
	return r;
}
