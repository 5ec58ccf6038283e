/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removing: entries first, then the index's records of objects that are
 * condemned, and once that is durable, their files. So whatever the index
 * says is there, and a file that it does not know is garbage. The collection's
 * thread.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/log.h"
#include "gc_internal.h"
#include "pack_cache.h"

#define QUARANTINE_KEEP_NS (INT64_C(30) * 24 * 3600 * 1000000000)
#define CHUNKS_AT_ONCE 1024 /* records that are removed in one write */

/* ---- entries */

struct removal {
	struct store *store;
	const struct entry *entry;
	int64_t used_ns; /* INT64_MAX: whenever it was used */
};

static int check_times(const struct removal *rm)
{
	struct index *ix = rm->store->index;
	int64_t ns;

	if (index_get_use(ix, rm->entry, &ns) == 0 && ns > rm->used_ns)
		return -EBUSY;
	return index_get_pin(ix, rm->entry, &ns) == -ENOENT ? 0 : -EPERM;
}

static int check_entry(const struct removal *rm)
{
	_cleanup_entry_ struct entry now = ENTRY_INIT;
	const struct entry *e = rm->entry;
	int r = index_get_entry(rm->store->index, e->tenant, e->namespace,
				e->name, e->key, &now);

	if (r < 0)
		return r;
	if (now.created_ns != e->created_ns ||
	    !digest_equal(&now.catalog, &e->catalog))
		return -ESTALE;
	return check_times(rm);
}

static int remove_locked(void *arg)
{
	const struct removal *rm = arg;
	struct index_batch *b;
	int r = check_entry(rm);

	if (r == 0)
		r = index_batch_begin(rm->store->index, &b);
	if (r < 0)
		return r;
	r = index_remove_entry(b, rm->entry);
	if (r < 0) {
		index_batch_abort(b);
		return r;
	}
	return index_batch_commit(b, false);
}

int gc_remove_entry(struct store *s, const struct entry *e)
{
	struct removal rm = { s, e, INT64_MAX };

	return store_exclude(s, remove_locked, &rm);
}

void gc_entry_used(struct store *s, const struct entry *e)
{
	struct index_batch *b;

	if (index_batch_begin(s->index, &b) < 0)
		return;
	if (index_put_use(b, e, clock_wall_ns()) < 0)
		index_batch_abort(b);
	else
		index_batch_commit(b, false);
}

/* One that has been replaced, used, pinned or removed meanwhile is left. */
static int sweep_entry(struct gc *g, struct gc_entry *ge)
{
	struct removal rm = { g->store, &ge->entry, ge->used_ns };
	int r = fault_check("gc.entry");

	if (r == 0)
		r = store_exclude(g->store, remove_locked, &rm);
	if (r == -ENOENT || r == -ESTALE || r == -EBUSY || r == -EPERM) {
		ge->goes = r == -ENOENT;
		return 0;
	}
	if (r < 0)
		return r;
	g->result.removed_entries++;
	if (g->options->removed)
		g->options->removed(g->options->arg, &ge->entry, ge->used_ns,
				    ge->unreadable ? GC_UNREADABLE : GC_UNUSED);
	return 0;
}

int gc_sweep_entries(struct gc *g)
{
	int r = 0;

	/* The least recently used first, should it be broken off. */
	for (size_t i = g->n_entries; r == 0 && i > 0; i--)
		if (g->entries[i - 1].goes)
			r = sweep_entry(g, &g->entries[i - 1]);
	return r;
}

/* ---- condemning */

/* Members of a map, which may then change. */
struct list {
	struct dmap_node **nodes;
	size_t n, cap;
};

static int list_add(struct list *l, struct dmap_node *n)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		struct dmap_node **grown =
			reallocarray(l->nodes, cap, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		l->nodes = grown;
		l->cap = cap;
	}
	l->nodes[l->n++] = n;
	return 0;
}

static int list_of(const struct dmap *m,
		   bool (*wanted)(const struct dmap_node *n),
		   struct list *ret_list)
{
	struct list l = { NULL, 0, 0 };
	struct dmap_node *n;
	size_t pos = 0;
	int r = 0;

	while (r == 0 && (n = map_next(&m->heads, &pos, NULL)))
		for (; r == 0 && n; n = n->next)
			if (wanted(n))
				r = list_add(&l, n);
	if (r < 0)
		free(l.nodes);
	else
		*ret_list = l;
	return r;
}

static bool is_dead_blob(const struct dmap_node *n)
{
	const struct gc_blob *b = (const struct gc_blob *)n;

	return !b->live && !b->anchor &&
	       (b->catalog || b->placement || b->record);
}

static bool is_dead_pack(const struct dmap_node *n)
{
	const struct gc_pack *p = (const struct gc_pack *)n;

	return p->on_disk && p->count == 0;
}

/* Moves those that are folded against others to the front. */
static int anchored_first(struct gc *g, struct list *l)
{
	size_t i, n = 0;
	int r = 0;

	for (i = 0; r >= 0 && i < l->n; i++) {
		struct dmap_node *node = l->nodes[i];

		r = gc_is_anchored(g, &node->digest);
		if (r <= 0)
			continue;
		l->nodes[i] = l->nodes[n];
		l->nodes[n++] = node;
	}
	return r < 0 ? r : 0;
}

/* What somebody needs is marked with all that it needs in turn: it may be
 * opened again. So an anchor's turn comes when all that is folded against it
 * is condemned or marked. */
static int condemn_blobs(struct gc *g, struct list *blobs)
{
	size_t i, n = 0;
	int r = list_of(&g->blobs, is_dead_blob, blobs);

	if (r == 0)
		r = anchored_first(g, blobs);
	for (i = 0; r == 0 && i < blobs->n; i++) {
		struct dmap_node *node = blobs->nodes[i];

		if (!is_dead_blob(node))
			continue; /* an anchor by now */
		if (store_condemn_catalog(g->store, &node->digest))
			blobs->nodes[n++] = node;
		else
			r = gc_mark(g, &node->digest, true);
	}
	if (r == 0)
		blobs->n = n;
	return r;
}

static int condemn_packs(struct gc *g, struct list *packs)
{
	size_t i, n = 0;
	int r;

	if (g->blocked)
		return 0;
	r = list_of(&g->packs, is_dead_pack, packs);
	for (i = 0; r == 0 && i < packs->n; i++)
		if (store_condemn_pack(g->store, &packs->nodes[i]->digest))
			packs->nodes[n++] = packs->nodes[i];
	if (r == 0)
		packs->n = n;
	return r;
}

/* ---- the index */

/* Chunks whose records point to condemned packs. */
struct chunks {
	struct gc *gc;
	struct dmap condemned; /* of the packs' list, struct dmap_node */
	struct digest *digests;
	size_t n, cap;
	size_t from, count; /* what one write removes */
};

static int chunk_seen(void *arg, const struct digest *chunk,
		      const struct pack_loc *loc)
{
	struct chunks *c = arg;

	if (!loc || !dmap_find(&c->condemned, &loc->pack))
		return 0;
	if (c->n == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 256;
		struct digest *grown =
			reallocarray(c->digests, cap, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		c->digests = grown;
		c->cap = cap;
	}
	c->digests[c->n++] = *chunk;
	return 0;
}

/* Their chunk may have been stored anew since, and a pack saved. */
static int remove_chunks_locked(void *arg)
{
	struct chunks *c = arg;
	struct store *s = c->gc->store;
	struct pack_loc locs[CHUNKS_AT_ONCE];
	const struct digest *digests = c->digests + c->from;
	bool found[CHUNKS_AT_ONCE];
	struct index_batch *b;
	int r;

	r = index_get_chunks(s->index, digests, c->count, locs, found);
	if (r == 0)
		r = index_batch_begin(s->index, &b);
	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < c->count; i++)
		if (found[i] && store_is_condemned_locked(s, &locs[i].pack))
			r = index_remove_chunk(b, &digests[i]);
	if (r < 0) {
		index_batch_abort(b);
		return r;
	}
	return index_batch_commit(b, false);
}

static int remove_chunks(struct chunks *c)
{
	int r = 0;

	for (c->from = 0; r == 0 && c->from < c->n; c->from += c->count) {
		c->count = c->n - c->from < CHUNKS_AT_ONCE ? c->n - c->from :
							     CHUNKS_AT_ONCE;
		r = fault_check("gc.index");
		if (r == 0)
			r = store_exclude(c->gc->store, remove_chunks_locked,
					  c);
	}
	c->n = 0;
	return r;
}

static void condemned_free(struct dmap_node *n)
{
	free(n);
}

static int sweep_chunks(struct gc *g, const struct list *packs)
{
	struct chunks c = { .gc = g };
	unsigned first;
	int r = 0;

	for (size_t i = 0; r == 0 && i < packs->n; i++) {
		struct dmap_node *n = calloc(1, sizeof(*n));

		if (!n)
			r = -ENOMEM;
		else
			n->digest = packs->nodes[i]->digest;
		if (n && dmap_add(&c.condemned, n) < 0) {
			free(n);
			r = -ENOMEM;
		}
	}
	for (first = 0; r == 0 && packs->n > 0 && first <= UINT8_MAX; first++) {
		r = index_each_chunk(g->store->index, (uint8_t)first,
				     chunk_seen, &c);
		if (r == 0)
			r = remove_chunks(&c);
		if (r == 0)
			r = progress_tick(g->progress, "index", first, 256, 0,
					  0);
	}
	dmap_release(&c.condemned, condemned_free);
	free(c.digests);
	return r;
}

struct records {
	struct gc *gc;
	const struct list *packs, *blobs;
};

static int put_removals(const struct records *rec, struct index_batch *b)
{
	struct store *s = rec->gc->store;
	const struct digest *name;
	int r = 0;

	for (size_t i = 0; r == 0 && i < rec->packs->n; i++) {
		name = &rec->packs->nodes[i]->digest;
		if (store_is_condemned_locked(s, name))
			r = index_remove_pack(b, name);
	}
	for (size_t i = 0; r == 0 && i < rec->blobs->n; i++) {
		name = &rec->blobs->nodes[i]->digest;
		if (!store_is_condemned_locked(s, name))
			continue;
		r = index_remove_stamp(b, INDEX_BLOB_CATALOG, name);
		if (r == 0)
			r = index_remove_stamp(b, INDEX_BLOB_PLACEMENT, name);
		if (r == 0)
			r = index_remove_stamp(b, INDEX_BLOB_FOREIGN, name);
	}
	return r;
}

static int remove_records_locked(void *arg)
{
	const struct records *rec = arg;
	struct index_batch *b;
	int r = index_batch_begin(rec->gc->store->index, &b);

	if (r < 0)
		return r;
	r = put_removals(rec, b);
	if (r < 0) {
		index_batch_abort(b);
		return r;
	}
	return index_batch_commit(b, false);
}

/* One synced write makes those before it durable. */
static int make_durable(struct gc *g)
{
	struct index_batch *b;
	int r = fault_check("gc.durable");

	if (r == 0)
		r = index_batch_begin(g->store->index, &b);
	if (r < 0)
		return r;
	r = index_put_collected(b, g->now_ns);
	if (r < 0) {
		index_batch_abort(b);
		return r;
	}
	return index_batch_commit(b, true);
}

/* ---- files */

static int unlink_one(struct gc *g, int rootfd, const struct digest *name)
{
	int r = fault_check("gc.unlink");

	if (r == 0)
		r = store_unlink_condemned(g->store, rootfd, name);
	return r < 0 ? log_error(r, "store %s: cannot remove a file",
				 g->store->dir) :
		       r;
}

/* Sparse packs that nothing needs, or that give way. */
static int sweep_sparse(void *arg, struct dmap_node *n)
{
	struct gc *g = arg;
	int r = 0;

	if (gc_sparse_goes(g, (struct gc_pack *)n))
		r = store_remove_sparse(g->store, &n->digest);
	return r < 0 ? log_error(r, "store %s: cannot remove a sparse pack",
				 g->store->dir) :
		       0;
}

static int unlink_files(struct gc *g, const struct list *packs,
			const struct list *blobs)
{
	struct store *s = g->store;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < blobs->n; i++) {
		const struct digest *name = &blobs->nodes[i]->digest;

		r = unlink_one(g, s->placements_fd, name);
		if (r >= 0)
			r = unlink_one(g, s->records_fd, name);
		if (r >= 0)
			r = unlink_one(g, s->catalogs_fd, name);
		g->result.removed_catalogs += r > 0;
	}
	for (size_t i = 0; r >= 0 && i < packs->n; i++) {
		const struct digest *name = &packs->nodes[i]->digest;

		r = unlink_one(g, s->packs_fd, name);
		if (r >= 0)
			pack_cache_forget(s->packs, name);
		g->result.removed_packs += r > 0;
	}
	return r < 0 ? r : 0;
}

/* Damaged copies are kept for people to look at, for a while. */
static void sweep_quarantine(struct gc *g)
{
	int64_t before = g->now_ns - QUARANTINE_KEEP_NS;
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *de;
	struct stat st;

	if (io_opendir_at(g->store->fd, "quarantine", &dir) < 0)
		return;
	while ((de = readdir(dir)))
		if (fstatat(dirfd(dir), de->d_name, &st, AT_SYMLINK_NOFOLLOW) ==
			    0 &&
		    S_ISREG(st.st_mode) &&
		    (g->result.before.over ||
		     clock_timespec_ns(&st.st_ctim) < before))
			unlinkat(dirfd(dir), de->d_name, 0);
}

int gc_sweep(struct gc *g)
{
	struct list blobs = { NULL, 0, 0 }, packs = { NULL, 0, 0 };
	struct records rec = { g, &packs, &blobs };
	int r;

	r = condemn_blobs(g, &blobs);
	if (r == 0)
		r = condemn_packs(g, &packs);
	if (r == 0)
		r = sweep_chunks(g, &packs);
	if (r == 0)
		r = store_exclude(g->store, remove_records_locked, &rec);
	if (r == 0)
		r = make_durable(g);
	if (r == 0)
		r = unlink_files(g, &packs, &blobs);
	if (r == 0)
		r = dmap_each(&g->packs, sweep_sparse, g);
	if (r == 0)
		sweep_quarantine(g);
	free(blobs.nodes);
	free(packs.nodes);
	return r;
}
