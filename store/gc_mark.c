/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marking: which frames of which packs, and which catalogs, the trees need
 * that are to stay. Placements say where a tree is read from; the index, which
 * may know another copy, is not asked. Frames are counted once however many
 * trees need them, so what is marked is what would be left if all else went.
 * The collection's thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "gc_internal.h"
#include "roots.h"
#include "tree_blobs.h"

#define OFFS_MIN 64u

/* ---- frames of a pack */

static uint32_t slot_of(const uint32_t *offs, uint32_t cap, uint32_t off)
{
	uint32_t i = (uint32_t)map_hash_u64(off) & (cap - 1);

	while (offs[i] && offs[i] != off)
		i = (i + 1) & (cap - 1);
	return i;
}

static int grow(struct gc_pack *p)
{
	uint32_t cap = p->cap ? 2 * p->cap : OFFS_MIN, i;
	uint32_t *offs = calloc(cap, sizeof(*offs));

	if (!offs)
		return -ENOMEM;
	for (i = 0; i < p->cap; i++)
		if (p->offs[i])
			offs[slot_of(offs, cap, p->offs[i])] = p->offs[i];
	free(p->offs);
	p->offs = offs;
	p->cap = cap;
	return 0;
}

int gc_mark_frame(struct gc_pack *p, uint32_t off, uint32_t len)
{
	uint32_t i;
	int r;

	if (off == 0)
		return -EBADMSG;
	if (p->count + p->count / 3 >= p->cap) {
		r = grow(p);
		if (r < 0)
			return r;
	}
	i = slot_of(p->offs, p->cap, off);
	if (p->offs[i])
		return 0;
	p->offs[i] = off;
	p->count++;
	p->live_bytes += len + GC_RECORD_BYTES;
	return 1;
}

bool gc_frame_is_live(const struct gc_pack *p, uint32_t off)
{
	return p->cap && p->offs[slot_of(p->offs, p->cap, off)] == off;
}

/* ---- trees */

static int unmark_pack(void *arg, struct dmap_node *n)
{
	struct gc_pack *p = (struct gc_pack *)n;

	(void)arg;
	if (p->cap)
		memset(p->offs, 0, p->cap * sizeof(*p->offs));
	p->count = 0;
	p->live_bytes = 0;
	p->rewrite = p->fixed = false;
	return 0;
}

static int unmark_blob(void *arg, struct dmap_node *n)
{
	(void)arg;
	((struct gc_blob *)n)->live = ((struct gc_blob *)n)->anchor = false;
	return 0;
}

void gc_mark_none(struct gc *g)
{
	dmap_each(&g->packs, unmark_pack, g);
	dmap_each(&g->blobs, unmark_blob, g);
	g->live_bytes = 0;
	g->live_objects = 0;
	g->blocked = false;
	g->result.unreadable = 0;
}

static int mark_chunk(struct gc *g, struct gc_pack *p, uint32_t off,
		      uint32_t len)
{
	bool first = p->count == 0, fix = g->fixing && !p->fixed;
	int r = gc_mark_frame(p, off, len);

	if (r < 0)
		return r;
	p->fixed |= fix;
	if (r > 0 && p->on_disk)
		g->live_bytes += len + GC_RECORD_BYTES;
	g->live_objects += first && p->on_disk;
	/* What there is of a sparse one stays as a whole. */
	if (p->sparse && (g->drop_sparse ? fix : first))
		g->live_bytes += p->sparse_bytes;
	return 0;
}

static int mark_chunks(struct gc *g, const struct store_tree *t)
{
	uint32_t i, n = placement_packs(t->placement);
	_cleanup_free_ struct gc_pack **packs = calloc(n + 1, sizeof(*packs));
	struct catalog_info info;
	struct placement_loc loc;
	int r = packs ? 0 : -ENOMEM;

	for (i = 0; r == 0 && i < n; i++)
		r = gc_find_pack(g, placement_pack(t->placement, i), &packs[i]);
	catalog_info(t->catalog, &info);
	for (i = 0; r == 0 && i < info.chunks; i++) {
		r = placement_find(t->placement, i, &loc);
		if (r == 0 && loc.pack >= n)
			r = -EBADMSG;
		if (r == 0)
			r = mark_chunk(g, packs[loc.pack], loc.off, loc.len);
	}
	return r;
}

static int mark_roots(struct gc *g, const struct store_tree *t, bool needed)
{
	struct root roots[ROOTS_MAX];
	size_t i, n;
	int r = roots_read(t->catalog, roots, &n);

	if (r == -EBADMSG)
		return 0; /* said, and none of them can be mounted */
	for (i = 0; r == 0 && i < n; i++) {
		struct gc_blob *b;

		/* One that is gone is made again where it is wanted. */
		r = gc_find_blob(g, &roots[i].catalog, &b);
		if (r == 0 && b->catalog)
			r = gc_mark(g, &roots[i].catalog, needed);
	}
	return r;
}

/* A tree that should be there and cannot be read. Where only its placement is
 * missing, its chunks are in packs that the index does not know; a newer
 * version of Larder would know where. A catalog that is damaged or gone says
 * nothing of what it needs. */
static int unreadable(struct gc *g, const struct gc_blob *b, int err,
		      bool needed)
{
	if (err != -ENOENT && err != -EBADMSG && err != -ESTALE)
		return err;
	if (needed || err == -EBADMSG || !b->catalog)
		return 0;
	g->blocked = true;
	g->result.unreadable++;
	return 0;
}

static void count_blob(struct gc *g, const struct gc_blob *b)
{
	if (b->live || b->anchor)
		return;
	g->live_bytes += b->disk_bytes;
	g->live_objects += b->catalog + b->placement;
}

/* Its file stays, and nothing of what it needs itself. */
static int mark_anchor(struct gc *g, const struct digest *anchor)
{
	struct gc_blob *b;
	int r;

	if (digest_is_zero(anchor))
		return 0;
	r = gc_find_blob(g, anchor, &b);
	if (r < 0)
		return r;
	count_blob(g, b);
	b->anchor = true;
	return 0;
}

/* Zero: folded against nothing, as one is that is gone or damaged. */
static int read_anchor(struct gc *g, const struct digest *catalog,
		       struct digest *ret_anchor)
{
	struct index_stamp stamp;
	struct fold_header h;
	_cleanup_close_ int fd =
		tree_blob_open(g->store->catalogs_fd, catalog, &stamp);
	int r = fd < 0 ? fd : fold_read_header(fd, &h);

	*ret_anchor = (struct digest){ 0 };
	if (r < 0)
		return r == -ENOENT || r == -EBADMSG || r == -ESTALE ? 0 : r;
	if (r > 0)
		*ret_anchor = h.anchor;
	return 0;
}

/* The anchor stays also where the tree cannot be opened, for what it lacks may
 * come back. */
int gc_mark(struct gc *g, const struct digest *catalog, bool needed)
{
	struct store_tree *t;
	struct digest anchor;
	struct gc_blob *b;
	int r = gc_find_blob(g, catalog, &b);

	if (r < 0 || b->live)
		return r;
	count_blob(g, b);
	b->live = true;
	r = read_anchor(g, catalog, &anchor);
	if (r == 0)
		r = mark_anchor(g, &anchor);
	if (r < 0)
		return r;
	r = store_tree_load(g->store, catalog, &t);
	if (r < 0)
		return unreadable(g, b, r, needed);
	r = mark_anchor(g, &t->anchor);
	if (r == 0)
		r = mark_chunks(g, t);
	if (r == 0)
		r = mark_roots(g, t, needed);
	store_tree_discard(t);
	return r == -EBADMSG ? unreadable(g, b, -ENOENT, needed) : r;
}

int gc_is_anchored(struct gc *g, const struct digest *catalog)
{
	struct digest anchor;
	int r = read_anchor(g, catalog, &anchor);

	return r < 0 ? r : !digest_is_zero(&anchor);
}

/* ---- holds */

static int mark_hold(void *arg, struct dmap_node *n)
{
	struct gc *g = arg;
	struct gc_blob *b;
	int r = gc_find_blob(g, &n->digest, &b);

	/* Another store's, or lost. */
	if (r < 0 || !b->catalog)
		return r;
	return gc_mark(g, &n->digest, false);
}

int gc_mark_holds(struct gc *g)
{
	return dmap_each(&g->holds, mark_hold, g);
}
