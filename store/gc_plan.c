/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which entries go. They are marked from the most to the least recently used,
 * behind those that have to stay; where what is marked is more than the limit
 * allows, that entry and all that were used longer ago go. So entries count
 * with what they need beyond the others. The collection's thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "gc_internal.h"
#include "roots.h"

/* ---- reading */

static struct gc_entry *entry_new(struct gc *g)
{
	if (g->n_entries == g->cap_entries) {
		size_t cap = g->cap_entries ? 2 * g->cap_entries : 64;
		struct gc_entry *grown =
			reallocarray(g->entries, cap, sizeof(*grown));

		if (!grown)
			return NULL;
		g->entries = grown;
		g->cap_entries = cap;
	}
	g->entries[g->n_entries] = (struct gc_entry){ .goes = false };
	return &g->entries[g->n_entries];
}

static int read_times(struct gc *g, struct gc_entry *ge)
{
	struct index *ix = g->store->index;
	int64_t ns;
	int r;

	ge->used_ns = ge->entry.created_ns;
	r = index_get_use(ix, &ge->entry, &ns);
	if (r == 0 && ns > ge->used_ns)
		ge->used_ns = ns;
	if (r < 0 && r != -ENOENT && r != -EBADMSG)
		return r;
	r = index_get_pin(ix, &ge->entry, &ns);
	if (r < 0 && r != -ENOENT && r != -EBADMSG)
		return r;
	/* A pin that cannot be read is one. */
	ge->protected = r != -ENOENT ||
			ge->entry.created_ns > g->now_ns - g->options->grace_ns;
	return 0;
}

static int take_entry(void *arg, const struct index_name *name,
		      const struct entry *e, int err)
{
	struct gc *g = arg;
	struct entry without;
	struct gc_entry *ge;
	int r;

	if (err == -ESTALE)
		return index_refuse_newer(name);
	if (!e)
		return 0; /* damaged: it names nothing any more */
	ge = entry_new(g);
	if (!ge)
		return -ENOMEM;
	without = *e;
	memset(&without.parts, 0, sizeof(without.parts));
	r = entry_copy(&without, &ge->entry);
	if (r < 0)
		return r;
	g->n_entries++;
	return read_times(g, ge);
}

void gc_plan_release(struct gc *g)
{
	for (size_t i = 0; i < g->n_entries; i++)
		entry_release(&g->entries[i].entry);
	free(g->entries);
}

/* ---- what is in use */

static bool is_needed(struct gc *g, const struct digest *catalog)
{
	return store_is_needed(g->store, catalog) ||
	       dmap_find(&g->holds, catalog);
}

/* Whether somebody uses a root of the tree, or all of it. */
static int look_at_tree(struct gc *g, struct gc_entry *ge)
{
	struct root roots[ROOTS_MAX];
	struct store_tree *t;
	size_t i, n = 0;
	int r;

	if (is_needed(g, &ge->entry.catalog))
		ge->protected = true;
	r = store_tree_load(g->store, &ge->entry.catalog, &t);
	if (r == -ENOENT || r == -EBADMSG || r == -ESTALE) {
		ge->unreadable = true;
		return 0;
	}
	if (r < 0)
		return r;
	if (roots_read(t->catalog, roots, &n) < 0)
		n = 0;
	for (i = 0; i < n; i++)
		if (is_needed(g, &roots[i].catalog))
			ge->protected = true;
	store_tree_discard(t);
	return 0;
}

static int tick(struct gc *g, const char *phase, size_t done)
{
	return progress_tick(g->progress, phase, done, g->n_entries, 0, 0);
}

static int look_at_trees(struct gc *g)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < g->n_entries; i++) {
		r = look_at_tree(g, &g->entries[i]);
		if (r == 0)
			r = tick(g, "look", i);
	}
	return r;
}

/* ---- deciding */

/* What stays, first; then the readable ones, by their last use. */
static int by_worth(const void *a, const void *b)
{
	const struct gc_entry *x = a, *y = b;

	if (x->protected != y->protected)
		return x->protected ? -1 : 1;
	if (x->unreadable != y->unreadable)
		return x->unreadable ? 1 : -1;
	if (x->used_ns != y->used_ns)
		return x->used_ns > y->used_ns ? -1 : 1;
	return 0;
}

static bool fits(const struct gc *g, uint64_t bytes, uint64_t objects)
{
	return g->live_bytes <= bytes && g->live_objects <= objects;
}

/* What cannot be read, and may keep packs from being removed, goes first where
 * room is needed. */
static bool is_in_the_way(const struct gc *g, const struct gc_entry *ge)
{
	return ge->unreadable && !ge->protected && g->result.before.over;
}

/* Marks what is kept within these bounds. *ret_all: all of it is. */
static int keep(struct gc *g, uint64_t bytes, uint64_t objects, bool *ret_all)
{
	bool full = false;
	int r;

	gc_mark_none(g);
	r = gc_mark_holds(g);
	for (size_t i = 0; r == 0 && i < g->n_entries; i++) {
		struct gc_entry *ge = &g->entries[i];

		ge->goes = is_in_the_way(g, ge);
		if (ge->goes)
			continue;
		g->fixing = ge->protected;
		if (!full || ge->protected)
			r = gc_mark(g, &ge->entry.catalog, false);
		if (!ge->protected && !fits(g, bytes, objects))
			full = true;
		ge->goes = full && !ge->protected;
		if (r == 0)
			r = tick(g, "mark", i);
	}
	g->fixing = false;
	*ret_all = !full;
	return r;
}

static uint64_t nine_tenths(uint64_t n)
{
	return n - n / 10;
}

static int decide(struct gc *g)
{
	const struct gc_usage *u = &g->result.before;
	uint64_t objects = g->options->limits.max_objects, bytes;
	bool all;
	int r;

	if (objects == 0)
		objects = UINT64_MAX;
	bytes = u->limit_bytes > g->other_bytes ?
			u->limit_bytes - g->other_bytes :
			0;
	r = keep(g, bytes, objects, &all);
	if (r < 0 || all)
		return r;
	/* What can be fetched again gives way to entries. */
	g->drop_sparse = true;
	r = keep(g, nine_tenths(bytes), objects, &all);
	if (r < 0 || all)
		return r;
	/* Well below it, so that the next commit does not bring it here. */
	return keep(g, nine_tenths(bytes), nine_tenths(objects), &all);
}

int gc_plan(struct gc *g)
{
	int r = index_each_record(g->store->index, take_entry, g);

	if (r == 0)
		r = look_at_trees(g);
	if (r < 0)
		return r;
	if (g->n_entries > 0)
		qsort(g->entries, g->n_entries, sizeof(*g->entries), by_worth);
	return decide(g);
}
