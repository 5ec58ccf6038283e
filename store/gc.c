/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a collection, in their order. See gc.h and store_hold.c. Any
 * thread.
 */
#include "gc.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "gc_internal.h"

static int note_hold(void *arg, const struct digest *catalog)
{
	struct gc *g = arg;
	struct dmap_node *n;

	if (dmap_find(&g->holds, catalog))
		return 0;
	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	n->digest = *catalog;
	if (dmap_add(&g->holds, n) < 0) {
		free(n);
		return -ENOMEM;
	}
	return 0;
}

static int read_holds(struct gc *g)
{
	const struct gc_options *o = g->options;

	return o->holds ? o->holds(o->arg, note_hold, g) : 0;
}

/* What is left once the entries have gone: those that were meant to stay, and
 * those that were saved by being used. */
static int mark_rest(struct gc *g)
{
	int r;

	gc_mark_none(g);
	r = gc_mark_holds(g);
	for (size_t i = 0; r == 0 && i < g->n_entries; i++) {
		g->fixing = g->entries[i].protected;
		if (!g->entries[i].goes)
			r = gc_mark(g, &g->entries[i].entry.catalog, false);
	}
	g->fixing = false;
	return r;
}

static void count_entries(struct gc *g)
{
	g->result.entries = g->n_entries;
	for (size_t i = 0; i < g->n_entries; i++)
		g->result.kept_entries += g->entries[i].protected;
}

/* ---- a dry run */

/* The files may have changed since they were measured. */
static void subtract(struct gc_usage *u, uint64_t bytes, unsigned objects)
{
	u->bytes -= bytes < u->bytes ? bytes : u->bytes;
	u->objects -= objects < u->objects ? objects : u->objects;
}

static int count_dead_pack(void *arg, struct dmap_node *n)
{
	const struct gc_pack *p = (struct gc_pack *)n;
	struct gc *g = arg;

	if (g->blocked || store_pack_is_needed(g->store, &n->digest))
		return 0;
	if (p->on_disk && p->count == 0) {
		g->result.removed_packs++;
		subtract(&g->result.after, p->disk_bytes, 1);
	}
	if (gc_sparse_goes(g, p))
		subtract(&g->result.after, p->sparse_bytes, 0);
	return 0;
}

static int count_dead_blob(void *arg, struct dmap_node *n)
{
	const struct gc_blob *b = (struct gc_blob *)n;
	struct gc *g = arg;

	if (b->live || b->anchor || (!b->catalog && !b->placement) ||
	    store_is_needed(g->store, &n->digest))
		return 0;
	g->result.removed_catalogs++;
	subtract(&g->result.after, b->disk_bytes, b->catalog + b->placement);
	return 0;
}

static int estimate(struct gc *g)
{
	const struct gc_options *o = g->options;
	struct gc_result *res = &g->result;
	int r = mark_rest(g);

	if (r < 0)
		return r;
	for (size_t i = g->n_entries; i > 0; i--) {
		const struct gc_entry *ge = &g->entries[i - 1];

		res->removed_entries += ge->goes;
		if (ge->goes && o->removed)
			o->removed(o->arg, &ge->entry, ge->used_ns,
				   ge->unreadable ? GC_UNREADABLE : GC_UNUSED);
	}
	res->after = res->before;
	dmap_each(&g->packs, count_dead_pack, g);
	dmap_each(&g->blobs, count_dead_blob, g);
	subtract(&res->after, gc_rewrite_gain(g), 0);
	res->after.free_bytes += res->before.bytes - res->after.bytes;
	res->after.over = res->after.bytes > res->after.limit_bytes ||
			  (o->limits.max_objects &&
			   res->after.objects > o->limits.max_objects);
	return 0;
}

/* ---- a real one */

static int collect(struct gc *g)
{
	bool any = false;
	int r = gc_sweep_entries(g);

	if (r == 0)
		r = mark_rest(g);
	if (r == 0)
		r = gc_rewrite(g, &any);
	/* What the trees need is then elsewhere. */
	if (r == 0 && any)
		r = gc_scan(g);
	if (r == 0 && any)
		r = mark_rest(g);
	if (r == 0)
		r = gc_sweep(g);
	if (r < 0)
		return r;
	return gc_usage(g->store, &g->options->limits, &g->result.after);
}

int gc_look(struct gc *g)
{
	int r = gc_usage(g->store, &g->options->limits, &g->result.before);

	if (r == 0)
		r = gc_scan(g);
	if (r == 0)
		r = read_holds(g);
	return r < 0 ? r : gc_plan(g);
}

static int run(struct gc *g)
{
	int r = gc_look(g);

	if (r < 0)
		return r;
	count_entries(g);
	r = g->options->dry_run ? estimate(g) : collect(g);
	if (r == 0 && g->result.unreadable > 0)
		log_warn(0,
			 "%llu trees of the store cannot be read, though their "
			 "content may be there: no pack was removed; larder "
			 "rm takes away the entries that need them",
			 (unsigned long long)g->result.unreadable);
	return r;
}

int gc_run(struct store *s, const struct gc_options *options,
	   struct progress *progress, struct gc_result *ret_result)
{
	struct gc g = {
		.store = s,
		.options = options,
		.progress = progress,
		.now_ns = clock_wall_ns(),
	};
	int r = store_collect_begin(s);

	if (r < 0)
		return r;
	r = run(&g);
	store_collect_end(s);
	gc_plan_release(&g);
	gc_files_release(&g);
	if (r == 0)
		*ret_result = g.result;
	return r;
}
