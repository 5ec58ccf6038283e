/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees: whether a catalog can be opened, and whether each of its chunks is
 * where the placement says. The files are looked at, and not how they are open
 * in mounts.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "chunker.h"
#include "sparse.h"
#include "verify_internal.h"

/* ---- what has come of a pack */

/* The one that was asked for last: chunks of a tree follow its packs. */
struct open_sparse {
	struct digest name;
	bool known;
	struct sparse *sp; /* NULL: there is none */
};

static int sparse_at(struct verify *v, struct open_sparse *os,
		     const struct digest *name)
{
	int r;

	if (os->known && digest_equal(&os->name, name))
		return 0;
	sparse_unref(os->sp);
	*os = (struct open_sparse){ .name = *name, .known = true };
	r = sparse_open(v->store->sparse_fd, name, &os->sp);
	if (r < 0)
		os->sp = NULL;
	return r == -ENOENT || r == -EBADMSG ? 0 : r;
}

/* A damaged frame has not arrived: whoever reads it, fetches it. */
static int look_at_arrived(struct verify *v, struct open_sparse *os,
			   const struct pack_loc *loc, uint32_t size,
			   const struct digest *chunk, bool *ret_good)
{
	struct digest got;
	int r = sparse_at(v, os, &loc->pack);

	*ret_good = false;
	if (r < 0 || !os->sp || !sparse_has(os->sp, loc->off))
		return r;
	r = pack_read(sparse_pack(os->sp), v->codec, loc->off, loc->len,
		      loc->has_dict, 0, v->chunk, size);
	if (r == 0)
		r = digest_of(v->chunk, size, &got);
	if (r < 0 && r != -EBADMSG && r != -EIO)
		return r;
	*ret_good = r == 0 && digest_equal(&got, chunk);
	if (!*ret_good)
		sparse_drop(os->sp, loc->off);
	return 0;
}

/* ---- one tree */

/* Chunks of another machine's tree may be there, or be fetched. */
static int look_at_chunk(struct verify *v, struct verify_tree *vt,
			 const struct store_tree *t, uint32_t i,
			 struct open_sparse *os)
{
	const struct digest *digest;
	struct verify_pack *p;
	struct pack_loc loc;
	bool good = false;
	uint32_t size;
	int r = catalog_chunk(t->catalog, i, &digest, &size);

	if (r == 0)
		r = store_tree_locate(t, i, &loc);
	if (r == 0)
		r = verify_get_pack(v, &loc.pack, &p);
	if (r == 0)
		r = verify_is_good(v, &loc.pack, loc.off, digest, &good);
	if (r < 0)
		return r;
	vt->touches |= verify_pack_is_bad(p);
	if (!good && !p->present) {
		r = look_at_arrived(v, os, &loc, size, digest, &good);
		good |= t->foreign;
	}
	vt->bad += !good;
	return r;
}

static int look_at_chunks(struct verify *v, struct verify_tree *vt,
			  const struct store_tree *t)
{
	struct open_sparse os = { .known = false };
	struct catalog_info info;
	int r = 0;

	catalog_info(t->catalog, &info);
	vt->chunks = info.chunks;
	for (uint32_t i = 0; r == 0 && i < info.chunks; i++)
		r = look_at_chunk(v, vt, t, i, &os);
	sparse_unref(os.sp);
	return r;
}

static int note_roots(struct verify_tree *vt, const struct store_tree *t)
{
	struct root roots[ROOTS_MAX];
	size_t n;
	int r = roots_read(t->catalog, roots, &n);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		vt->roots[i] = roots[i].catalog;
	vt->n_roots = (unsigned)n;
	return 0;
}

/* What is wrong with the tree itself, and not with looking at it. */
static bool is_damage(int err)
{
	return err == -ENOENT || err == -EBADMSG || err == -EIO;
}

static int look_at(struct verify *v, struct verify_tree *vt)
{
	struct store_tree *t;
	int r;

	vt->bad = vt->n_roots = 0;
	vt->err = 0;
	r = store_tree_load_checked(v->store, &vt->node.digest, &t);
	if (r == 0) {
		r = look_at_chunks(v, vt, t);
		if (r == 0)
			r = note_roots(vt, t);
		store_tree_discard(t);
	}
	vt->err = is_damage(r) ? r : 0;
	return is_damage(r) ? 0 : r;
}

int verify_get_tree(struct verify *v, const struct digest *catalog, bool anew,
		    struct verify_tree **ret_tree)
{
	struct verify_tree *vt;
	int r = dmap_get(&v->trees, catalog, sizeof(*vt),
			 (struct dmap_node **)ret_tree);

	if (r < 0)
		return r;
	vt = *ret_tree;
	v->result.trees += !vt->looked_at;
	if (!vt->looked_at || anew)
		r = look_at(v, vt);
	vt->looked_at = true;
	return r;
}

/* A root's own catalog is made again where it is missing. */
static int look_at_root(struct verify *v, const struct digest *catalog,
			bool anew, bool *ret_whole)
{
	struct verify_tree *vt;
	int r = verify_get_tree(v, catalog, anew, &vt);

	*ret_whole = r == 0 &&
		     (vt->err == -ENOENT || (vt->err == 0 && vt->bad == 0));
	return r;
}

int verify_tree_is_whole(struct verify *v, const struct digest *catalog,
			 bool anew, bool *ret_whole)
{
	struct verify_tree *vt;
	int r = verify_get_tree(v, catalog, anew, &vt);
	bool whole = r == 0 && vt->err == 0 && vt->bad == 0;

	for (unsigned i = 0; r == 0 && whole && i < vt->n_roots; i++)
		r = look_at_root(v, &vt->roots[i], anew, &whole);
	*ret_whole = whole;
	return r;
}
