/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that several trees have. A file's node is a keyed hash of all that
 * the kernel gets to see of it: content by its chunks, and attributes. The
 * table says where it can be read, for the nodes that the kernel holds. A
 * node that is not in it, or whose tree was closed, is one that the kernel has
 * from an earlier worker or by the way of another tree: then all files of the
 * open trees are put into the table, until there is nothing left to look
 * through.
 *
 * The hash has 61 bits that go into the node and 64 to compare: of two files
 * that have the former in common, the second gets a node of its own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/buf.h"
#include "store/base/clock.h"

#include "view_all_internal.h"

void all_files_release(struct view_all *a)
{
	struct all_file *f;
	size_t pos = 0;

	while ((f = map_next(&a->files, &pos, NULL)))
		free(f);
	map_release(&a->files);
}

/* --- the hash --- */

static int put_content(const struct catalog *c, const struct catalog_inode *ci,
		       struct buf *b)
{
	static const struct digest hole;

	for (uint32_t n = 0; n < ci->pieces; n++) {
		const struct digest *d = &hole;
		struct catalog_piece p;
		uint32_t size;
		int r = catalog_piece(c, ci->ino, n, &p);

		if (r == 0 && p.chunk != CATALOG_HOLE)
			r = catalog_chunk(c, p.chunk, &d, &size);
		if (r < 0)
			return r;
		buf_put_u64(b, p.len);
		buf_put(b, d, sizeof(*d));
	}
	return 0;
}

static int put_attributes(const struct view_all *a, const struct catalog *c,
			  const struct catalog_inode *ci, struct buf *b)
{
	const void *xattrs;
	size_t len;
	int r = catalog_xattrs(c, ci->ino, &xattrs, &len);

	if (r < 0)
		return r;
	buf_put_u32(b, ci->mode);
	buf_put_u32(b, ci->uid == CATALOG_OWNER_SELF ? a->opt.uid : ci->uid);
	buf_put_u32(b, ci->gid == CATALOG_OWNER_SELF ? a->opt.gid : ci->gid);
	buf_put_u64(b, ci->size);
	buf_put_u64(b, (uint64_t)ci->mtime_sec);
	buf_put_u32(b, ci->mtime_nsec);
	buf_put_u32(b, ci->pieces);
	if (len > 0)
		buf_put(b, xattrs, len);
	return 0;
}

static int file_hash(const struct view_all *a, const struct catalog *c,
		     const struct catalog_inode *ci, struct all_hash *ret_hash)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	int r;

	buf_put_u8(&b, 'f');
	r = put_content(c, ci, &b);
	if (r == 0)
		r = put_attributes(a, c, ci, &b);
	if (r == 0)
		r = buf_error(&b);
	return r < 0 ? r : all_hash_of(a, b.data, b.len, ret_hash);
}

static bool may_be_shared(const struct catalog_inode *ci)
{
	return S_ISREG(ci->mode) && ci->nlink == 1;
}

/* --- the table --- */

/* With the lock. NULL where memory is short. */
static struct all_file *add_file(struct view_all *a, uint64_t node,
				 const struct all_hash *h, uint32_t tree,
				 uint32_t ino)
{
	struct all_file *f = malloc(sizeof(*f));

	if (!f)
		return NULL;
	*f = (struct all_file){ .check = h->check, .tree = tree, .ino = ino };
	if (map_put(&a->files, node, f) == 0)
		return f;
	free(f);
	return NULL;
}

static bool is_readable(const struct view_all *a, const struct all_file *f)
{
	const struct all_tree *t = map_get(&a->trees, f->tree);

	return t && t->view;
}

/* Puts a file of an open tree into the table; false where its node is another
 * file's, or memory is short. */
static bool put_file(struct view_all *a, const struct all_hash *h,
		     uint32_t tree, uint32_t ino, bool ref)
{
	uint64_t node = ALL_NODE_FILE | h->id;
	struct all_file *f;
	LOCK_SCOPE(&a->lock);

	f = map_get(&a->files, node);
	if (f && f->check != h->check)
		return false;
	if (!f)
		f = add_file(a, node, h, tree, ino);
	if (!f)
		return false;
	if (!is_readable(a, f)) {
		f->tree = tree;
		f->ino = ino;
	}
	f->lookups += ref;
	return true;
}

static bool is_taken(struct view_all *a, const struct all_hash *h)
{
	const struct all_file *f;
	LOCK_SCOPE(&a->lock);

	f = map_get(&a->files, ALL_NODE_FILE | h->id);
	return f && f->check != h->check;
}

int all_file_node(struct view_all *a, struct all_tree *t, uint32_t ino,
		  bool ref, uint64_t *ret_node)
{
	const struct catalog *c = store_tree_catalog(t->tree);
	struct catalog_inode ci;
	struct all_hash h;
	bool shared;
	int r = catalog_inode(c, ino, &ci);

	*ret_node = all_tree_node(t, ino);
	if (r < 0 || !may_be_shared(&ci))
		return r < 0 ? -EIO : 0;
	r = file_hash(a, c, &ci, &h);
	if (r < 0)
		return r == -ENOMEM ? r : -EIO;
	shared = ref ? put_file(a, &h, t->record.number, ino, true) :
		       !is_taken(a, &h);
	if (shared)
		*ret_node = ALL_NODE_FILE | h.id;
	return 0;
}

static void remove_file(struct view_all *a, uint64_t node)
{
	free(map_remove(&a->files, node));
}

/* What an indexed tree has stays: it would be looked for again. */
void all_file_forget(struct view_all *a, uint64_t node, uint64_t count)
{
	struct all_file *f;
	struct all_tree *t;
	LOCK_SCOPE(&a->lock);

	f = map_get(&a->files, node);
	if (!f)
		return;
	f->lookups -= count < f->lookups ? count : f->lookups;
	t = map_get(&a->trees, f->tree);
	if (f->lookups == 0 && !(t && t->view && t->indexed))
		remove_file(a, node);
}

/* --- finding --- */

/* The locations of all files of a tree, which is pinned. */
static int index_tree(struct view_all *a, struct all_tree *t)
{
	const struct catalog *c = store_tree_catalog(t->tree);
	struct catalog_info info;
	struct catalog_inode ci;
	struct all_hash h;
	int r = 0;

	catalog_info(c, &info);
	for (uint32_t ino = 1; r == 0 && ino <= info.inodes; ino++) {
		r = catalog_inode(c, ino, &ci);
		if (r < 0 || !may_be_shared(&ci))
			continue;
		r = file_hash(a, c, &ci, &h);
		if (r == 0)
			(void)put_file(a, &h, t->record.number, ino, false);
	}
	LOCK_SCOPE(&a->lock);
	t->indexed = true; /* all that can be had of it */
	return r;
}

static bool is_unindexed(void *arg, const struct all_tree *t)
{
	(void)arg;
	return !t->indexed;
}

static int index_all(struct view_all *a)
{
	_cleanup_free_ struct all_tree **trees = NULL;
	size_t n, i;
	int r = all_trees_pin_held(a, is_unindexed, NULL, &trees, &n);

	if (r < 0)
		return r;
	for (i = 0; i < n; i++) {
		if (r == 0 && all_tree_open(a, trees[i], true) == 0)
			r = index_tree(a, trees[i]);
		all_tree_unpin(a, trees[i]);
	}
	return r;
}

/* Of a file that an earlier worker gave the kernel too few references are
 * counted: it may have left the table, although some tree has it. */
static int index_again(struct view_all *a)
{
	struct all_tree *t;
	size_t pos = 0;

	pthread_mutex_lock(&a->lock);
	while ((t = map_next(&a->trees, &pos, NULL)))
		t->indexed = false;
	pthread_mutex_unlock(&a->lock);
	return index_all(a);
}

/* Pins where the table says that the file is, if that is open. */
static bool find_open(struct view_all *a, uint64_t node,
		      struct all_tree **ret_tree, uint32_t *ret_ino)
{
	const struct all_file *f;
	struct all_tree *t;
	LOCK_SCOPE(&a->lock);

	f = map_get(&a->files, node);
	t = f ? map_get(&a->trees, f->tree) : NULL;
	if (!t || !t->view)
		return false;
	t->pins++;
	t->used_ns = clock_mono_ns();
	*ret_tree = t;
	*ret_ino = f->ino;
	return true;
}

/* Where it is, although its tree is closed; false: nowhere. */
static bool find_closed(struct view_all *a, uint64_t node, uint32_t *ret_tree,
			uint32_t *ret_ino)
{
	const struct all_file *f;
	LOCK_SCOPE(&a->lock);

	f = map_get(&a->files, node);
	if (!f)
		return false;
	*ret_tree = f->tree;
	*ret_ino = f->ino;
	return true;
}

int all_file_find(struct view_all *a, uint64_t node, struct all_tree **ret_tree,
		  uint32_t *ret_ino)
{
	uint32_t number;
	int r;

	if (find_open(a, node, ret_tree, ret_ino))
		return 0;
	fetch_may_block();
	r = index_all(a);
	if (find_open(a, node, ret_tree, ret_ino))
		return 0;
	if (r < 0)
		return r;
	if (find_closed(a, node, &number, ret_ino))
		return all_tree_pin(a, number, ret_tree);
	if (a->opt.adopt)
		r = index_again(a);
	if (r < 0)
		return r;
	return find_open(a, node, ret_tree, ret_ino) ? 0 : -ESTALE;
}

/* --- when a tree is closed --- */

struct leaving {
	uint64_t *nodes;
	size_t count;
	bool held; /* the kernel has some of the others, by another tree */
};

static int list_leaving(const struct view_all *a, uint32_t number,
			struct leaving *l)
{
	const struct all_file *f;
	uint64_t node;
	size_t pos = 0;

	l->nodes = calloc(a->files.count + 1, sizeof(*l->nodes));
	if (!l->nodes)
		return -ENOMEM;
	while ((f = map_next(&a->files, &pos, &node))) {
		if (f->tree != number)
			continue;
		if (f->lookups > 0)
			l->held = true;
		else
			l->nodes[l->count++] = node;
	}
	return 0;
}

/* Where memory is short, what nobody holds stays, and is found out to be
 * nowhere when it is asked for. */
void all_files_leave(struct view_all *a, uint32_t number)
{
	struct leaving l = { .nodes = NULL };
	struct all_tree *t;
	size_t pos = 0;

	if (list_leaving(a, number, &l) < 0)
		l.held = true;
	/* What an earlier worker gave the kernel is not counted. */
	if (l.count > 0 && a->opt.adopt)
		l.held = true;
	for (size_t i = 0; i < l.count; i++)
		remove_file(a, l.nodes[i]);
	free(l.nodes);
	while (l.held && (t = map_next(&a->trees, &pos, NULL)))
		t->indexed = false;
}
