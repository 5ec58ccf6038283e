/* SPDX-License-Identifier: Apache-2.0 */
/* Unchanged files of a plain directory, and their content in the store. */
#include "ingest_before.h"

#include <errno.h>

#include "base/cleanup.h"
#include "store_internal.h"

int before_open(struct before *b, struct store *s,
		const struct manifest_root *root)
{
	int r = manifest_open(s, root, &b->manifest);

	if (r < 0)
		return -ENOENT;
	r = store_tree_open(s, manifest_catalog(b->manifest), &b->tree);
	if (r == 0 && store_tree_is_whole(b->tree))
		return 0;
	before_release(b);
	return -ENOENT;
}

void before_release(struct before *b)
{
	manifest_free(steal_ptr(&b->manifest));
	store_tree_unref(steal_ptr(&b->tree));
}

static uint32_t find(const struct before *b, const struct walk *w,
		     const struct walk_file *f)
{
	const struct manifest_file file = {
		.ino = f->ino,
		.size = f->size,
		.mtime_ns = f->mtime_ns,
		.ctime_ns = f->ctime_ns,
	};
	struct catalog_inode inode;
	uint32_t node;

	if (f->dev != w->dev || !manifest_find(b->manifest, &file, &node) ||
	    catalog_inode(store_tree_catalog(b->tree), node, &inode) < 0 ||
	    !S_ISREG(inode.mode) || inode.size != f->size)
		return 0;
	return node;
}

uint32_t before_mark(const struct before *b, struct walk *w)
{
	uint32_t i, n = 0;

	for (i = 0; b->manifest && i < w->n_files; i++) {
		w->files[i].known = find(b, w, &w->files[i]);
		n += w->files[i].known != 0;
	}
	return n;
}

int before_pieces(const struct before *b, const struct walk_file *f,
		  before_piece_fn fn, void *arg)
{
	const struct catalog *c = store_tree_catalog(b->tree);
	const struct digest *digest = NULL;
	struct catalog_piece p;
	uint32_t n, size;
	int r;

	for (n = 0;; n++) {
		r = catalog_piece(c, f->known, n, &p);
		if (r == -ENOENT)
			return 0;
		if (r == 0 && p.chunk != CATALOG_HOLE)
			r = catalog_chunk(c, p.chunk, &digest, &size);
		if (r == 0)
			r = fn(arg, f->node,
			       p.chunk == CATALOG_HOLE ? NULL : digest, p.len);
		if (r < 0)
			return r;
	}
}
