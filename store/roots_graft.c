/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes of a tree as nodes of another one, breadth first. */
#include "roots_graft.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

/* Where a node's content is. */
struct graft_source {
	struct store_tree *tree; /* NULL: not from a tree */
	uint32_t ino;
};

#define NO_NODE UINT32_MAX

void graft_release(struct graft *g)
{
	ingest_free(g->ingest);
	buf_release(&g->sources);
}

int graft_meta(const struct catalog *c, uint32_t ino,
	       struct catalog_meta *ret_meta)
{
	struct catalog_meta m = { .target = NULL };
	struct catalog_inode i;
	int r;

	r = catalog_inode(c, ino, &i);
	if (r == 0 && S_ISLNK(i.mode))
		r = catalog_readlink(c, ino, &m.target, &m.target_len);
	if (r == 0)
		r = catalog_xattrs(c, ino, &m.xattrs, &m.xattrs_len);
	if (r < 0)
		return r;
	m.mode = i.mode;
	m.uid = i.uid;
	m.gid = i.gid;
	m.rdev = i.rdev;
	m.mtime_sec = i.mtime_sec;
	m.mtime_nsec = i.mtime_nsec;
	*ret_meta = m;
	return 0;
}

struct catalog_meta graft_plain_dir(void)
{
	return (struct catalog_meta){ .mode = S_IFDIR | 0755,
				      .uid = CATALOG_OWNER_SELF,
				      .gid = CATALOG_OWNER_SELF };
}

static int note_source(struct graft *g, uint32_t node, struct store_tree *t,
		       uint32_t ino)
{
	struct graft_source source = { t, ino };
	size_t at = (size_t)node * sizeof(source);

	if (g->sources.len < at + sizeof(source))
		buf_put_zero(&g->sources, at + sizeof(source) - g->sources.len);
	if (buf_error(&g->sources))
		return buf_error(&g->sources);
	memcpy(g->sources.data + at, &source, sizeof(source));
	return 0;
}

int graft_add_file(struct graft *g, struct store_tree *t, uint32_t ino,
		   uint32_t node, const char *name)
{
	struct catalog_build *b = ingest_build(g->ingest);
	struct catalog_meta meta;
	uint32_t file;
	int r;

	r = graft_meta(store_tree_catalog(t), ino, &meta);
	if (r == 0)
		r = catalog_build_node(b, &meta, &file);
	if (r == 0)
		r = note_source(g, file, t, ino);
	return r < 0 ? r :
		       catalog_build_link(b, node, name, strlen(name), file);
}

/* A part of a tree on its way. */
struct walk {
	struct graft *graft;
	struct store_tree *tree;
	uint32_t *nodes; /* by inode, or NO_NODE */
	struct buf dirs; /* uint32_t: inodes that are to be listed */
};

/* The node of an inode, made where it is the first name of it. */
static int take_node(struct walk *w, uint32_t ino, uint32_t *ret_node)
{
	const struct catalog *c = store_tree_catalog(w->tree);
	struct catalog_meta meta;
	int r;

	if (w->nodes[ino] != NO_NODE) {
		*ret_node = w->nodes[ino];
		return 0;
	}
	r = graft_meta(c, ino, &meta);
	if (r == 0)
		r = catalog_build_node(ingest_build(w->graft->ingest), &meta,
				       ret_node);
	if (r == 0)
		r = note_source(w->graft, *ret_node, w->tree, ino);
	if (r < 0)
		return r;
	w->nodes[ino] = *ret_node;
	if (S_ISDIR(meta.mode))
		buf_put(&w->dirs, &ino, sizeof(ino));
	return buf_error(&w->dirs);
}

static int take_dir(struct walk *w, uint32_t dir)
{
	const struct catalog *c = store_tree_catalog(w->tree);
	struct catalog_dirent de;
	uint32_t node;
	int r;

	for (uint32_t n = 0;; n++) {
		r = catalog_dirent(c, dir, n, &de);
		if (r == -ENOENT)
			return 0;
		if (r == 0)
			r = take_node(w, de.ino, &node);
		if (r == 0)
			r = catalog_build_link(ingest_build(w->graft->ingest),
					       w->nodes[dir], de.name,
					       de.name_len, node);
		if (r < 0)
			return r;
	}
}

int graft_add(struct graft *g, struct store_tree *t, uint32_t ino,
	      uint32_t node)
{
	_cleanup_free_ uint32_t *nodes = NULL;
	struct walk w = { .graft = g, .tree = t, .dirs = BUF_INIT };
	struct catalog_info info;
	int r = 0;

	catalog_info(store_tree_catalog(t), &info);
	nodes = malloc(((size_t)info.inodes + 1) * sizeof(*nodes));
	if (!nodes)
		return -ENOMEM;
	memset(nodes, 0xff, ((size_t)info.inodes + 1) * sizeof(*nodes));
	w.nodes = nodes;
	nodes[ino] = node;
	buf_put(&w.dirs, &ino, sizeof(ino));
	r = buf_error(&w.dirs);
	for (size_t at = 0; r == 0 && at < w.dirs.len; at += sizeof(ino)) {
		uint32_t dir;

		memcpy(&dir, w.dirs.data + at, sizeof(dir));
		r = take_dir(&w, dir);
	}
	buf_release(&w.dirs);
	return r;
}

int graft_feed(struct graft *g)
{
	const uint32_t *files;
	size_t n;
	int r;

	r = catalog_build_order(ingest_build(g->ingest), &files, &n);
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct graft_source source;

		memcpy(&source,
		       g->sources.data + (size_t)files[i] * sizeof(source),
		       sizeof(source));
		r = ingest_known_file(g->ingest, files[i], source.tree,
				      source.ino);
	}
	return r;
}
