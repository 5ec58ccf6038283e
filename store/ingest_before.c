/* SPDX-License-Identifier: Apache-2.0 */
/* Unchanged files of a plain directory, and their content in the store. */
#include "ingest_before.h"

#include <errno.h>

#include "base/cleanup.h"
#include "store_internal.h"

int before_open(struct before *b, struct store *s, const struct stat *root)
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

static int give_piece(const struct before *b, const struct walk_file *f,
		      const struct catalog_piece *p, before_piece_fn fn,
		      void *arg)
{
	const struct digest *digest;
	struct pack_loc loc;
	uint32_t size;
	int r;

	if (p->chunk == CATALOG_HOLE)
		return fn(arg, f->node, NULL, p->len, NULL);
	r = catalog_chunk(store_tree_catalog(b->tree), p->chunk, &digest,
			  &size);
	if (r == 0)
		r = store_tree_locate(b->tree, p->chunk, &loc);
	return r < 0 ? r : fn(arg, f->node, digest, p->len, &loc);
}

int before_pieces(const struct before *b, const struct walk_file *f,
		  before_piece_fn fn, void *arg)
{
	const struct catalog *c = store_tree_catalog(b->tree);
	struct catalog_inode inode;
	struct catalog_piece p;
	uint32_t n;
	int r = catalog_inode(c, f->known, &inode);

	for (n = 0; r == 0 && n < inode.pieces; n++) {
		r = catalog_piece(c, f->known, n, &p);
		if (r == 0)
			r = give_piece(b, f, &p, fn, arg);
	}
	return r;
}
