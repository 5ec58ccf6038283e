/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and inodes in two growing arrays. A name stays where it is when its
 * inode is replaced, so a directory's name always comes before the names in
 * it. An inode without names left is kept until the end and left out.
 */
#include "tar_tree.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "catalog.h"

#define NONE UINT32_MAX
#define IMPLICIT_DIR_MODE (S_IFDIR | 0755)

struct tar_piece {
	struct digest digest;
	bool is_hole;
	uint64_t len;
};

struct tar_inode {
	struct catalog_meta meta; /* its pointers are owned */
	struct tar_piece *pieces;
	size_t n_pieces, pieces_cap;
	uint32_t children;
	uint32_t node; /* in the builder, or NONE */
};

struct tar_name {
	uint32_t parent; /* inode */
	uint32_t inode;
	uint32_t next; /* with the same hash, or NONE */
	char *text;
};

struct tar_tree {
	struct tar_inode *inodes;
	uint32_t n_inodes, inodes_cap;
	struct tar_name *names;
	uint32_t n_names, names_cap;
	struct map by_name; /* hash of (parent, name) -> index + 1 */
};

static bool is_dir(const struct tar_inode *i)
{
	return S_ISDIR(i->meta.mode);
}

static void meta_release(struct catalog_meta *m)
{
	free((void *)m->target);
	free((void *)m->xattrs);
}

static void *copy_bytes(const void *data, size_t len)
{
	uint8_t *copy = malloc(len + 1);

	if (copy && len > 0)
		memcpy(copy, data, len);
	return copy;
}

static int meta_copy(const struct catalog_meta *m, struct catalog_meta *ret)
{
	struct catalog_meta c = *m;

	c.target = copy_bytes(m->target, m->target_len);
	c.xattrs = copy_bytes(m->xattrs, m->xattrs_len);
	if (!c.target || !c.xattrs) {
		meta_release(&c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}

static int inode_new(struct tar_tree *t, const struct catalog_meta *meta,
		     uint32_t *ret_inode)
{
	struct tar_inode i = { .node = NONE };

	if (t->n_inodes == t->inodes_cap) {
		uint32_t cap = t->inodes_cap ? t->inodes_cap * 2 : 1024;
		void *inodes;

		if (cap < t->inodes_cap)
			return -EFBIG;
		inodes = realloc(t->inodes, cap * sizeof(*t->inodes));
		if (!inodes)
			return -ENOMEM;
		t->inodes = inodes;
		t->inodes_cap = cap;
	}
	if (meta_copy(meta, &i.meta) < 0)
		return -ENOMEM;
	t->inodes[t->n_inodes] = i;
	*ret_inode = t->n_inodes++;
	return 0;
}

static int inode_new_dir(struct tar_tree *t, uint32_t *ret_inode)
{
	const struct catalog_meta meta = {
		.mode = IMPLICIT_DIR_MODE,
		.uid = CATALOG_OWNER_SELF,
		.gid = CATALOG_OWNER_SELF,
	};

	return inode_new(t, &meta, ret_inode);
}

int tar_tree_new(struct tar_tree **ret_tree)
{
	struct tar_tree *t = calloc(1, sizeof(*t));
	uint32_t root;
	int r;

	if (!t)
		return -ENOMEM;
	r = inode_new_dir(t, &root);
	if (r < 0) {
		tar_tree_free(t);
		return r;
	}
	*ret_tree = t;
	return 0;
}

void tar_tree_free(struct tar_tree *t)
{
	uint32_t i;

	if (!t)
		return;
	for (i = 0; i < t->n_inodes; i++) {
		meta_release(&t->inodes[i].meta);
		free(t->inodes[i].pieces);
	}
	for (i = 0; i < t->n_names; i++)
		free(t->names[i].text);
	free(t->inodes);
	free(t->names);
	map_release(&t->by_name);
	free(t);
}

int tar_path_normalize(const char *path, struct buf *ret_path)
{
	_cleanup_buf_ struct buf out = BUF_INIT;

	if (*path == '/')
		return -EINVAL;
	while (*path) {
		size_t len = strcspn(path, "/");

		if (len == 2 && memcmp(path, "..", 2) == 0)
			return -EINVAL;
		if (len > CATALOG_NAME_MAX)
			return -ENAMETOOLONG;
		if (len > 0 && !(len == 1 && *path == '.')) {
			if (out.len > 0)
				buf_put_u8(&out, '/');
			buf_put(&out, path, len);
		}
		path += len + (path[len] == '/');
	}
	buf_put_u8(&out, '\0');
	if (buf_error(&out))
		return buf_error(&out);
	buf_release(ret_path);
	*ret_path = out;
	out = (struct buf)BUF_INIT;
	return 0;
}

static uint64_t name_key(uint32_t parent, const char *name, size_t len)
{
	uint64_t key = map_hash_bytes(name, len, parent);

	return key ? key : 1;
}

static uint32_t name_find(const struct tar_tree *t, uint32_t parent,
			  const char *name, size_t len)
{
	void *head = map_get(&t->by_name, name_key(parent, name, len));
	uint32_t i = head ? (uint32_t)((uintptr_t)head - 1) : NONE;

	for (; i != NONE; i = t->names[i].next)
		if (t->names[i].parent == parent &&
		    strlen(t->names[i].text) == len &&
		    memcmp(t->names[i].text, name, len) == 0)
			return i;
	return NONE;
}

static int name_new(struct tar_tree *t, uint32_t parent, const char *name,
		    size_t len, uint32_t inode)
{
	uint64_t key = name_key(parent, name, len);
	void *head = map_get(&t->by_name, key);
	struct tar_name n = {
		.parent = parent,
		.inode = inode,
		.next = head ? (uint32_t)((uintptr_t)head - 1) : NONE,
	};

	if (t->n_names == t->names_cap) {
		uint32_t cap = t->names_cap ? t->names_cap * 2 : 1024;
		void *names;

		if (cap < t->names_cap)
			return -EFBIG;
		names = realloc(t->names, cap * sizeof(*t->names));
		if (!names)
			return -ENOMEM;
		t->names = names;
		t->names_cap = cap;
	}
	n.text = strndup(name, len);
	if (!n.text || map_put(&t->by_name, key,
			       (void *)((uintptr_t)t->n_names + 1)) < 0) {
		free(n.text);
		return -ENOMEM;
	}
	t->names[t->n_names++] = n;
	t->inodes[parent].children++;
	return 0;
}

/* The directory `name` in `parent`, made where it is missing. */
static int step_into(struct tar_tree *t, uint32_t parent, const char *name,
		     size_t len, uint32_t *ret_inode)
{
	uint32_t n = name_find(t, parent, name, len);
	uint32_t inode;
	int r;

	if (n != NONE) {
		if (!is_dir(&t->inodes[t->names[n].inode]))
			return -ENOTDIR;
		*ret_inode = t->names[n].inode;
		return 0;
	}
	r = inode_new_dir(t, &inode);
	if (r < 0)
		return r;
	r = name_new(t, parent, name, len, inode);
	if (r < 0)
		return r;
	*ret_inode = inode;
	return 0;
}

/* Goes to the directory that holds the last part of `path`, which *ret_last
 * points to. */
static int walk_to_parent(struct tar_tree *t, const char *path,
			  uint32_t *ret_parent, const char **ret_last)
{
	uint32_t dir = TAR_TREE_ROOT;
	size_t len;
	int r;

	while (path[len = strcspn(path, "/")] == '/') {
		r = step_into(t, dir, path, len, &dir);
		if (r < 0)
			return r;
		path += len + 1;
	}
	*ret_parent = dir;
	*ret_last = path;
	return 0;
}

/* Gives a name to an inode, in the place of what has it. */
static int name_set(struct tar_tree *t, uint32_t parent, const char *name,
		    uint32_t inode)
{
	uint32_t n = name_find(t, parent, name, strlen(name));

	if (n == NONE)
		return name_new(t, parent, name, strlen(name), inode);
	if (t->inodes[t->names[n].inode].children > 0)
		return -EISDIR;
	t->names[n].inode = inode;
	return 0;
}

static int inode_update(struct tar_tree *t, uint32_t inode,
			const struct catalog_meta *meta)
{
	struct catalog_meta copy;

	if (meta_copy(meta, &copy) < 0)
		return -ENOMEM;
	meta_release(&t->inodes[inode].meta);
	t->inodes[inode].meta = copy;
	return 0;
}

/* The directory at `path`, or NONE. */
static uint32_t find_dir(const struct tar_tree *t, uint32_t parent,
			 const char *name)
{
	uint32_t n = name_find(t, parent, name, strlen(name));

	if (n == NONE || !is_dir(&t->inodes[t->names[n].inode]))
		return NONE;
	return t->names[n].inode;
}

int tar_tree_put(struct tar_tree *t, const char *path,
		 const struct catalog_meta *meta, uint32_t *ret_inode)
{
	uint32_t parent, inode;
	const char *name;
	int r;

	if (*path == '\0') {
		if (!S_ISDIR(meta->mode))
			return -EISDIR;
		*ret_inode = TAR_TREE_ROOT;
		return inode_update(t, TAR_TREE_ROOT, meta);
	}
	r = walk_to_parent(t, path, &parent, &name);
	if (r < 0)
		return r;
	inode = find_dir(t, parent, name);
	if (S_ISDIR(meta->mode) && inode != NONE) {
		*ret_inode = inode;
		return inode_update(t, inode, meta);
	}
	r = inode_new(t, meta, &inode);
	if (r < 0)
		return r;
	r = name_set(t, parent, name, inode);
	if (r < 0)
		return r;
	*ret_inode = inode;
	return 0;
}

static int resolve(const struct tar_tree *t, const char *path,
		   uint32_t *ret_inode)
{
	uint32_t inode = TAR_TREE_ROOT;

	while (*path) {
		size_t len = strcspn(path, "/");
		uint32_t n = name_find(t, inode, path, len);

		if (n == NONE)
			return -ENOENT;
		inode = t->names[n].inode;
		path += len + (path[len] == '/');
	}
	*ret_inode = inode;
	return 0;
}

int tar_tree_link(struct tar_tree *t, const char *path, const char *target)
{
	uint32_t parent, inode;
	const char *name;
	int r;

	r = resolve(t, target, &inode);
	if (r < 0)
		return r;
	if (is_dir(&t->inodes[inode]) || *path == '\0')
		return -EISDIR;
	r = walk_to_parent(t, path, &parent, &name);
	if (r < 0)
		return r;
	return name_set(t, parent, name, inode);
}

int tar_tree_piece(void *tree, uint32_t inode, const struct digest *chunk,
		   uint64_t len)
{
	struct tar_tree *t = tree;
	struct tar_inode *i = &t->inodes[inode];
	struct tar_piece p = { .is_hole = !chunk, .len = len };

	if (chunk)
		p.digest = *chunk;
	if (i->n_pieces == i->pieces_cap) {
		size_t cap = i->pieces_cap ? i->pieces_cap * 2 : 1;
		void *pieces = realloc(i->pieces, cap * sizeof(p));

		if (!pieces)
			return -ENOMEM;
		i->pieces = pieces;
		i->pieces_cap = cap;
	}
	i->pieces[i->n_pieces++] = p;
	return 0;
}

void tar_tree_root(const struct tar_tree *t, struct catalog_meta *ret_meta)
{
	*ret_meta = t->inodes[TAR_TREE_ROOT].meta;
}

static int build_inode(struct tar_inode *i, struct catalog_build *b)
{
	size_t p;
	int r;

	if (i->node != NONE)
		return 0;
	r = catalog_build_node(b, &i->meta, &i->node);
	for (p = 0; r == 0 && p < i->n_pieces; p++)
		r = catalog_build_piece(
			b, i->node,
			i->pieces[p].is_hole ? NULL : &i->pieces[p].digest,
			i->pieces[p].len);
	return r;
}

int tar_tree_build(struct tar_tree *t, struct catalog_build *b)
{
	const uint32_t *files;
	size_t n_files;
	uint32_t n;
	int r;

	t->inodes[TAR_TREE_ROOT].node = CATALOG_BUILD_ROOT;
	for (n = 0; n < t->n_names; n++) {
		const struct tar_name *name = &t->names[n];
		struct tar_inode *i = &t->inodes[name->inode];

		r = build_inode(i, b);
		if (r == 0)
			r = catalog_build_link(b, t->inodes[name->parent].node,
					       name->text, strlen(name->text),
					       i->node);
		if (r < 0)
			return r;
	}
	return catalog_build_order(b, &files, &n_files);
}
