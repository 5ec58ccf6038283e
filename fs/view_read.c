/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading files of the view. Bytes of the upper are read under the read lock,
 * since an own file is overwritten in place under the write lock; what comes
 * from catalogs is only noted there and fetched afterwards, since that may
 * take long. Catalogs are immutable, so the two steps see one file.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "store/base/log.h"

#include "trace.h"
#include "view_internal.h"

const struct extents *view_extents(const struct view *v, uint64_t ino,
				   struct view_extents *tmp)
{
	const struct inode *i = inodes_get(&v->upper.inodes, ino);
	struct catalog_inode ci;

	if (i)
		return &i->extents;
	*tmp = (struct view_extents){ 0 };
	if (v->upper.base &&
	    catalog_inode(v->upper.base, (uint32_t)ino, &ci) == 0 &&
	    ci.size > 0) {
		tmp->one = (struct extent){ .len = ci.size,
					    .src = EXTENT_TREE,
					    .src_off = ino };
		tmp->extents.list = &tmp->one;
		tmp->extents.count = 1;
	}
	return &tmp->extents;
}

bool view_in_tree(const struct view *v, const struct meta *m,
		  const struct extents *e, uint32_t *ret_tree,
		  uint32_t *ret_number)
{
	const struct extent *x = e->list;
	const struct store_tree *tree;
	struct catalog_inode ci;

	if (e->count != 1 || extent_kind(x) != EXTENT_BASE || x->off != 0 ||
	    x->len != m->size)
		return false;
	tree = v->upper.trees[extent_tree(x)].tree;
	/* A file that was cut short is the beginning of the tree's. */
	if (!tree ||
	    catalog_inode(store_tree_catalog(tree), (uint32_t)x->src_off, &ci) <
		    0 ||
	    ci.size != m->size)
		return false;
	*ret_tree = extent_tree(x);
	*ret_number = (uint32_t)x->src_off;
	return true;
}

/* Logged with the path, which is found by a search: damage is rare. */
static int damaged(const struct view *v, uint64_t ino, int err)
{
	_cleanup_free_ char *path = upper_path(&v->upper, ino);

	log_error(err, "%s (inode %" PRIu64 "): the upper's bytes %s",
		  path ? path : "a file", ino,
		  err == -EBADMSG ? "do not match their checksum" :
				    "cannot be read");
	return err == -ENOMEM ? err : -EIO;
}

static int plan_part(const struct view *v, const struct extent *x,
		     uint64_t from, void *to, size_t len,
		     struct view_plan *plan)
{
	struct view_part *grown;
	unsigned cap;

	if (plan->n == plan->cap) {
		cap = plan->cap * 2;
		grown = reallocarray(plan->parts == plan->few ? NULL :
								plan->parts,
				     cap, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		if (plan->parts == plan->few)
			memcpy(grown, plan->few, sizeof(plan->few));
		plan->parts = grown;
		plan->cap = cap;
	}
	if (!v->upper.trees[extent_tree(x)].tree)
		return log_error(-EIO, "the tree of an earlier commit is no "
				       "longer in the store");
	plan->parts[plan->n++] = (struct view_part){
		.tree = store_tree_ref(v->upper.trees[extent_tree(x)].tree),
		.off = from,
		.ino = (uint32_t)x->src_off,
		.to = to,
		.len = len,
	};
	return 0;
}

int view_plan_read(const struct view *v, uint64_t ino, const struct extents *e,
		   void *buf, size_t len, uint64_t off,
		   struct view_plan *ret_plan)
{
	uint64_t pos = off, end = off + len;
	uint8_t *to = buf;
	uint32_t k;
	int r;

	ret_plan->parts = ret_plan->few;
	ret_plan->cap = VIEW_PARTS_FEW;
	ret_plan->n = 0;
	for (k = extents_first(e, off); k < e->count && pos < end; k++) {
		const struct extent *x = &e->list[k];
		uint64_t from = x->off > pos ? x->off : pos;
		uint64_t stop = extent_end(x) < end ? extent_end(x) : end;

		if (from >= end)
			break;
		memset(to + (pos - off), 0, from - pos);
		if (extent_kind(x) == EXTENT_BASE)
			r = plan_part(v, x, from, to + (from - off),
				      stop - from, ret_plan);
		else
			r = upper_read(&v->upper, ino, x, from,
				       to + (from - off), stop - from);
		if (r < 0)
			return extent_kind(x) == EXTENT_BASE ?
				       r :
				       damaged(v, ino, r);
		if (extent_kind(x) != EXTENT_BASE)
			trace_note(TRACE_UPPER, stop - from);
		pos = stop;
	}
	memset(to + (pos - off), 0, end - pos);
	return 0;
}

int view_plan_finish(const struct view *v, struct view_plan *plan)
{
	unsigned k;
	ssize_t n;

	for (k = 0; k < plan->n; k++) {
		const struct view_part *p = &plan->parts[k];
		size_t done = 0;

		while (done < p->len) {
			n = fetch_read(v->fetch, p->tree, p->ino, p->to + done,
				       p->len - done, p->off + done);
			if (n <= 0)
				return n < 0 ? (int)n : -EIO;
			done += (size_t)n;
		}
	}
	return 0;
}

void view_plan_release(struct view_plan *plan)
{
	unsigned k;

	for (k = 0; k < plan->n; k++)
		store_tree_unref(plan->parts[k].tree);
	if (plan->parts != plan->few)
		free(plan->parts);
}

/* Step one. *ret_len: how much of `len` there is. */
static int plan_file(struct view *v, uint64_t ino, void *buf, size_t len,
		     uint64_t off, struct view_plan *plan, size_t *ret_len)
{
	struct view_extents tmp;
	struct meta m;
	int r;

	READ_SCOPE(v);
	r = view_load(v, ino, &m);
	if (r < 0)
		return r;
	if (!S_ISREG(m.mode))
		return S_ISDIR(m.mode) ? -EISDIR : -EINVAL;
	if (off >= m.size)
		len = 0;
	else if (len > m.size - off)
		len = m.size - off;
	*ret_len = len;
	if (v->used)
		used_mark(v->used, ino);
	return view_plan_read(v, ino, view_extents(v, ino, &tmp), buf, len, off,
			      plan);
}

ssize_t view_read(struct view *v, uint64_t ino, void *buf, size_t len,
		  uint64_t off)
{
	_cleanup_(view_plan_release) struct view_plan plan;
	size_t got = 0;
	int r;

	plan.parts = plan.few;
	plan.n = 0;
	r = plan_file(v, ino, buf, len, off, &plan, &got);
	if (r == 0)
		r = view_plan_finish(v, &plan);
	return r < 0 ? r : (ssize_t)got;
}

/* --- SEEK_DATA, SEEK_HOLE --- */

/* In the part [from, end) of a catalog's file, the first byte that is data
 * (`data`) or hole; `end` if none. */
static uint64_t base_seek(const struct view *v, const struct extent *x,
			  uint64_t from, bool data)
{
	const struct store_tree *tree = v->upper.trees[extent_tree(x)].tree;
	uint64_t end = extent_end(x);
	struct catalog_piece p;

	while (from < end) {
		if (!tree ||
		    catalog_piece_at(store_tree_catalog(tree),
				     (uint32_t)x->src_off, from, &p) < 0)
			return data ? from : end;
		if ((p.chunk != CATALOG_HOLE) == data)
			return from;
		from = p.off + p.len;
	}
	return end;
}

int view_seek_data(const struct view *v, const struct extents *e, uint64_t off,
		   uint64_t size, uint64_t *ret_off)
{
	uint32_t k;

	for (k = extents_first(e, off); k < e->count; k++) {
		const struct extent *x = &e->list[k];
		uint64_t from = x->off > off ? x->off : off;

		if (extent_kind(x) == EXTENT_BASE)
			from = base_seek(v, x, from, true);
		if (from >= extent_end(x))
			continue;
		*ret_off = from;
		return from < size ? 0 : -ENXIO;
	}
	return -ENXIO;
}

static uint64_t seek_hole(const struct view *v, const struct extents *e,
			  uint64_t off, uint64_t size)
{
	uint32_t k;

	for (k = extents_first(e, off); k < e->count; k++) {
		const struct extent *x = &e->list[k];
		uint64_t hole = extent_end(x);

		if (x->off > off)
			break;
		if (extent_kind(x) == EXTENT_BASE)
			hole = base_seek(v, x, off, false);
		off = hole;
		if (hole < extent_end(x))
			break;
	}
	return off < size ? off : size;
}

int view_lseek(struct view *v, uint64_t ino, uint64_t off, int whence,
	       uint64_t *ret_off)
{
	const struct extents *e;
	struct view_extents tmp;
	struct meta m;
	int r;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	READ_SCOPE(v);
	r = view_load(v, ino, &m);
	if (r < 0)
		return r;
	if (!S_ISREG(m.mode))
		return -EINVAL;
	if (off >= m.size)
		return -ENXIO;
	e = view_extents(v, ino, &tmp);
	if (whence == SEEK_DATA)
		return view_seek_data(v, e, off, m.size, ret_off);
	*ret_off = seek_hole(v, e, off, m.size);
	return 0;
}
