/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees for the tests of catalogs: a plain model of nodes and names, a fixed
 * sample with every kind of node, random ones from a seed, and the comparison
 * of a model with a catalog that was made of it. Include after cmocka.h: it
 * asserts. One thread.
 */
#ifndef LARDER_TESTS_CATALOG_MODEL_H
#define LARDER_TESTS_CATALOG_MODEL_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "store/base/buf.h"
#include "store/catalog.h"
#include "store/catalog_build.h"

#define MODEL_PIECES 6

struct model_piece {
	uint32_t chunk; /* a number of the test's; CATALOG_HOLE */
	uint64_t len;
};

struct model_node {
	struct catalog_meta meta;
	char *target;
	struct buf xattrs;
	struct model_piece pieces[MODEL_PIECES];
	uint32_t n_pieces;
	uint32_t names, subdirs, children;
	uint32_t handle; /* in the last build */
};

struct model_link {
	uint32_t parent, node;
	char name[CATALOG_NAME_MAX + 1];
	uint32_t len;
};

struct model {
	struct model_node *nodes; /* the first is the root */
	struct model_link *links;
	uint32_t n_nodes, n_links, cap;
	uint64_t rng;
};

static inline uint64_t model_random(struct model *m)
{
	uint64_t v = m->rng += UINT64_C(0x9e3779b97f4a7c15);

	v = (v ^ (v >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	v = (v ^ (v >> 27)) * UINT64_C(0x94d049bb133111eb);
	return v ^ (v >> 31);
}

static inline uint32_t model_below(struct model *m, uint32_t n)
{
	return model_random(m) % n;
}

static inline void model_free(struct model *m)
{
	uint32_t i;

	for (i = 0; i < m->n_nodes; i++) {
		free(m->nodes[i].target);
		buf_release(&m->nodes[i].xattrs);
	}
	free(m->nodes);
	free(m->links);
	*m = (struct model){ 0 };
}

static inline uint32_t model_add(struct model *m, uint32_t mode)
{
	struct model_node *n = &m->nodes[m->n_nodes];

	assert_true(m->n_nodes < m->cap);
	n->meta.mode = mode;
	n->meta.uid = CATALOG_OWNER_SELF;
	n->meta.gid = CATALOG_OWNER_SELF;
	return m->n_nodes++;
}

static inline void model_init(struct model *m, uint32_t cap)
{
	*m = (struct model){ .cap = cap };
	m->nodes = calloc(cap, sizeof(*m->nodes));
	m->links = calloc(2 * (size_t)cap, sizeof(*m->links));
	assert_non_null(m->nodes);
	assert_non_null(m->links);
	model_add(m, S_IFDIR | 0755);
}

static inline void model_link(struct model *m, uint32_t parent,
			      const char *name, size_t len, uint32_t node)
{
	struct model_link *l = &m->links[m->n_links++];

	assert_true(m->n_links <= 2 * m->cap);
	l->parent = parent;
	l->node = node;
	l->len = len;
	memcpy(l->name, name, len);
	m->nodes[node].names++;
	m->nodes[parent].children++;
	if (S_ISDIR(m->nodes[node].meta.mode))
		m->nodes[parent].subdirs++;
}

/* A node with one name, for the sample. */
static inline uint32_t model_put(struct model *m, uint32_t parent,
				 const char *name, uint32_t mode)
{
	uint32_t node = model_add(m, mode);

	model_link(m, parent, name, strlen(name), node);
	return node;
}

static inline void model_time(struct model *m, uint32_t node, int64_t sec,
			      uint32_t nsec)
{
	m->nodes[node].meta.mtime_sec = sec;
	m->nodes[node].meta.mtime_nsec = nsec;
}

static inline void model_target(struct model *m, uint32_t node,
				const char *target)
{
	m->nodes[node].target = strdup(target);
	assert_non_null(m->nodes[node].target);
}

static inline void model_xattr(struct model *m, uint32_t node, const char *name,
			       const char *value)
{
	struct buf *x = &m->nodes[node].xattrs;

	buf_put_u16(x, strlen(name));
	buf_put_u32(x, strlen(value));
	buf_put(x, name, strlen(name));
	buf_put(x, value, strlen(value));
}

static inline void model_piece(struct model *m, uint32_t node, uint32_t chunk,
			       uint64_t len)
{
	struct model_node *n = &m->nodes[node];

	assert_true(n->n_pieces < MODEL_PIECES);
	n->pieces[n->n_pieces].chunk = chunk;
	n->pieces[n->n_pieces].len = len;
	n->n_pieces++;
}

/* The digest that stands for a chunk of the tests. */
static inline struct digest model_digest(uint32_t chunk)
{
	struct digest d;
	size_t i;

	for (i = 0; i < sizeof(d.bytes); i++)
		d.bytes[i] = (chunk >> (8 * (i % 4))) + i;
	return d;
}

/* A chunk has one size, whatever file it is in. */
static inline uint64_t model_chunk_len(uint32_t chunk)
{
	return 1 + chunk * UINT64_C(7919) % (2 << 20);
}

/* Every kind of node, names of all sorts, and all forms of content. */
static inline void model_sample(struct model *m)
{
	uint32_t bin, lib, deep, n, shared;
	char longest[CATALOG_NAME_MAX + 1];
	int i;

	model_init(m, 64);
	model_time(m, 0, -5, 999999999);
	bin = model_put(m, 0, "bin", S_IFDIR | 0700);
	lib = model_put(m, 0, "lib", S_IFDIR | 01777);
	model_time(m, lib, INT64_MAX, 1);

	n = model_put(m, bin, "tool", S_IFREG | 04755);
	m->nodes[n].meta.uid = 0;
	m->nodes[n].meta.gid = 12;
	model_piece(m, n, 3, model_chunk_len(3));
	model_piece(m, n, CATALOG_HOLE, 5 << 20);
	model_piece(m, n, 4, model_chunk_len(4));
	model_piece(m, n, 3, model_chunk_len(3));
	model_xattr(m, n, "security.capability", "\1\2\3");
	model_xattr(m, n, "user.origin", "");

	shared = model_put(m, lib, "index.js", S_IFREG | 0644);
	model_piece(m, shared, 4, model_chunk_len(4));
	model_xattr(m, shared, "user.a", "b");
	model_link(m, bin, "linked", 6, shared);
	model_link(m, 0, "index.js", 8, shared);

	n = model_put(m, 0, "empty", S_IFREG | 0600);
	model_xattr(m, n, "user.a", "b");
	n = model_put(m, 0, "hole", S_IFREG | 0600);
	model_piece(m, n, CATALOG_HOLE, UINT64_C(1) << 40);
	n = model_put(m, lib, "to-tool", S_IFLNK | 0777);
	model_target(m, n, "../bin/tool");
	n = model_put(m, 0, "to-nowhere", S_IFLNK | 0777);
	model_target(m, n, "\xff");
	n = model_put(m, lib, "chr", S_IFCHR | 0620);
	m->nodes[n].meta.rdev = makedev(5, 1);
	n = model_put(m, lib, "blk", S_IFBLK | 0660);
	m->nodes[n].meta.rdev = makedev(259, 70000);
	model_put(m, lib, "fifo", S_IFIFO | 0);
	model_put(m, lib, "sock", S_IFSOCK | 0777);

	memset(longest, 'z', CATALOG_NAME_MAX);
	longest[CATALOG_NAME_MAX] = '\0';
	model_put(m, bin, longest, S_IFDIR | 0);
	model_put(m, bin, "...", S_IFREG | 0);
	model_put(m, bin, "\x01\n\xff", S_IFREG | 0);
	model_put(m, bin, "a", S_IFREG | 0);
	model_put(m, bin, "a b", S_IFREG | 0);
	model_put(m, bin, "a\x7f", S_IFREG | 0);
	model_put(m, bin, "a\x80", S_IFREG | 0);
	for (deep = lib, i = 0; i < 20; i++)
		deep = model_put(m, deep, "deep", S_IFDIR | 0755);
	n = model_put(m, deep, "index.js", S_IFREG | 0644);
	model_piece(m, n, 9, model_chunk_len(9));
}

static inline void model_random_node(struct model *m)
{
	static const uint32_t types[] = { S_IFDIR, S_IFDIR, S_IFREG, S_IFREG,
					  S_IFREG, S_IFREG, S_IFLNK, S_IFIFO,
					  S_IFCHR, S_IFSOCK };
	uint32_t type = types[model_below(m, 10)];
	uint32_t node = model_add(m, type | model_below(m, 010000));
	uint32_t i;

	model_time(m, node, (int64_t)model_random(m),
		   model_below(m, 1000000000));
	m->nodes[node].meta.uid = model_below(m, 3) - 1;
	m->nodes[node].meta.gid = model_below(m, 3) - 1;
	if (type == S_IFCHR)
		m->nodes[node].meta.rdev = model_random(m);
	if (type == S_IFLNK)
		model_target(m, node, model_below(m, 2) ? "a" : "../b/c");
	if (model_below(m, 4) == 0)
		model_xattr(m, node, "user.x", model_below(m, 2) ? "1" : "2");
	for (i = model_below(m, MODEL_PIECES + 1);
	     type == S_IFREG && i-- > 0;) {
		uint32_t chunk = model_below(m, 40);

		if (model_below(m, 3) == 0)
			model_piece(m, node, CATALOG_HOLE,
				    1 + model_below(m, UINT32_MAX));
		else
			model_piece(m, node, chunk, model_chunk_len(chunk));
	}
}

/* Names are short and of few letters, so that they repeat and share
 * prefixes; `unique` keeps two in one directory apart. */
static inline void model_random_name(struct model *m, uint32_t parent,
				     uint32_t node, uint32_t unique)
{
	char name[32];
	size_t len = 0;
	size_t letters = model_below(m, 12);

	while (len < letters)
		name[len++] = "ab\xc3\xa4-"[model_below(m, 5)];
	do
		name[len++] = "0123456789"[unique % 10];
	while (unique /= 10);
	model_link(m, parent, name, len, node);
}

static inline uint32_t model_random_dir(struct model *m, uint32_t limit)
{
	uint32_t dir;

	do
		dir = model_below(m, limit);
	while (!S_ISDIR(m->nodes[dir].meta.mode));
	return dir;
}

static inline void model_init_random(struct model *m, uint64_t seed,
				     uint32_t nodes)
{
	uint32_t i;

	model_init(m, nodes);
	m->rng = seed;
	for (i = 1; i < nodes; i++) {
		uint32_t dir = model_random_dir(m, i);

		model_random_node(m);
		model_random_name(m, dir, i, m->nodes[dir].children);
	}
	for (i = 1; i < nodes; i++) {
		uint32_t dir = model_random_dir(m, nodes);

		if (!S_ISDIR(m->nodes[i].meta.mode) && model_below(m, 8) == 0)
			model_random_name(m, dir, i, m->nodes[dir].children);
	}
}

/* A permutation of 0..n-1; the identity for seed 0. */
static inline uint32_t *model_shuffle(uint64_t seed, uint32_t n)
{
	struct model rng = { .rng = seed };
	uint32_t *order = calloc(n + 1, sizeof(*order));
	uint32_t i;

	assert_non_null(order);
	for (i = 0; i < n; i++)
		order[i] = i;
	for (i = n; seed && i > 1; i--) {
		uint32_t j = model_below(&rng, i);
		uint32_t kept = order[i - 1];

		order[i - 1] = order[j];
		order[j] = kept;
	}
	return order;
}

static inline struct catalog_meta model_meta(const struct model_node *n)
{
	struct catalog_meta meta = n->meta;

	meta.target = n->target;
	meta.target_len = n->target ? strlen(n->target) : 0;
	meta.xattrs = n->xattrs.data;
	meta.xattrs_len = n->xattrs.len;
	return meta;
}

static inline void model_build_pieces(struct model *m, struct catalog_build *b,
				      uint32_t node)
{
	uint32_t i;

	for (i = 0; i < m->nodes[node].n_pieces; i++) {
		const struct model_piece *p = &m->nodes[node].pieces[i];
		struct digest d = model_digest(p->chunk);
		bool hole = p->chunk == CATALOG_HOLE;

		assert_int_equal(catalog_build_piece(b, m->nodes[node].handle,
						     hole ? NULL : &d, p->len),
				 0);
	}
}

/* Builds up to _order; the order of arrival follows from `seed`. */
static inline struct catalog_build *model_build_ordered(struct model *m,
							uint64_t seed)
{
	uint32_t *nodes = model_shuffle(seed, m->n_nodes);
	uint32_t *links = model_shuffle(seed, m->n_links);
	struct catalog_meta meta = model_meta(&m->nodes[0]);
	struct catalog_build *b;
	const uint32_t *files;
	size_t n_files;
	uint32_t i;

	assert_int_equal(catalog_build_new(&meta, &b), 0);
	m->nodes[0].handle = CATALOG_BUILD_ROOT;
	for (i = 0; i < m->n_nodes; i++) {
		struct model_node *n = &m->nodes[nodes[i]];

		meta = model_meta(n);
		if (n != &m->nodes[0])
			assert_int_equal(
				catalog_build_node(b, &meta, &n->handle), 0);
	}
	for (i = 0; i < m->n_links; i++) {
		const struct model_link *l = &m->links[links[i]];

		assert_int_equal(catalog_build_link(
					 b, m->nodes[l->parent].handle, l->name,
					 l->len, m->nodes[l->node].handle),
				 0);
	}
	assert_int_equal(catalog_build_order(b, &files, &n_files), 0);
	for (i = 0; i < m->n_nodes; i++)
		model_build_pieces(m, b, nodes[i]);
	free(nodes);
	free(links);
	return b;
}

static inline struct catalog_build *model_build(struct model *m, uint64_t seed,
						struct buf *ret_blob,
						struct digest *ret_digest)
{
	struct catalog_build *b = model_build_ordered(m, seed);

	assert_int_equal(catalog_build_finish(b, ret_blob, ret_digest), 0);
	return b;
}

/* Holes that touch are one piece of the catalog. */
static inline void model_check_pieces(const struct model_node *n,
				      const struct catalog *c,
				      const struct catalog_inode *inode)
{
	uint64_t off = 0;
	uint32_t i = 0, k;

	for (k = 0; k < inode->pieces; k++) {
		struct catalog_piece p;
		const struct digest *d;
		struct digest want;
		uint64_t len;
		uint32_t size;

		assert_int_equal(catalog_piece(c, inode->ino, k, &p), 0);
		assert_true(i < n->n_pieces);
		len = n->pieces[i].len;
		want = model_digest(n->pieces[i].chunk);
		if (n->pieces[i++].chunk == CATALOG_HOLE) {
			for (; i < n->n_pieces &&
			       n->pieces[i].chunk == CATALOG_HOLE;
			     i++)
				len += n->pieces[i].len;
			assert_int_equal(p.chunk, CATALOG_HOLE);
		} else {
			assert_int_equal(catalog_chunk(c, p.chunk, &d, &size),
					 0);
			assert_true(digest_equal(d, &want));
			assert_int_equal(size, len);
		}
		assert_int_equal(p.off, off);
		assert_int_equal(p.len, len);
		off += len;
	}
	assert_int_equal(i, n->n_pieces);
	assert_int_equal(inode->size, off);
}

static inline void model_check_node(const struct model_node *n,
				    const struct catalog *c, uint32_t ino)
{
	struct catalog_inode inode;
	const void *xattrs;
	const char *target;
	size_t len;

	assert_int_equal(catalog_inode(c, ino, &inode), 0);
	assert_int_equal(inode.ino, ino);
	assert_int_equal(inode.mode, n->meta.mode);
	assert_int_equal(inode.uid, n->meta.uid);
	assert_int_equal(inode.gid, n->meta.gid);
	assert_int_equal(inode.rdev, n->meta.rdev);
	assert_true(inode.mtime_sec == n->meta.mtime_sec);
	assert_int_equal(inode.mtime_nsec, n->meta.mtime_nsec);
	assert_int_equal(inode.has_xattrs, n->xattrs.len > 0);
	assert_int_equal(catalog_xattrs(c, ino, &xattrs, &len), 0);
	assert_int_equal(len, n->xattrs.len);
	if (len)
		assert_memory_equal(xattrs, n->xattrs.data, len);

	if (S_ISDIR(n->meta.mode)) {
		assert_int_equal(inode.nlink, 2 + n->subdirs);
		assert_int_equal(inode.children, n->children);
	} else {
		assert_int_equal(inode.nlink, n->names);
		assert_int_equal(inode.parent, 0);
	}
	if (S_ISREG(n->meta.mode))
		model_check_pieces(n, c, &inode);
	else
		assert_int_equal(inode.pieces, 0);
	if (S_ISLNK(n->meta.mode)) {
		assert_int_equal(catalog_readlink(c, ino, &target, &len), 0);
		assert_int_equal(len, strlen(n->target));
		assert_memory_equal(target, n->target, len);
		assert_int_equal(inode.size, len);
	} else {
		assert_int_equal(catalog_readlink(c, ino, &target, &len),
				 -EINVAL);
	}
}

/* Everything in the model is in the catalog, and the counts leave no room
 * for more. `b` made the catalog of `m`. */
static inline void model_check(const struct model *m,
			       const struct catalog_build *b,
			       const struct catalog *c)
{
	struct catalog_info info;
	uint32_t i;

	catalog_info(c, &info);
	assert_int_equal(info.inodes, m->n_nodes);
	assert_int_equal(info.dirents, m->n_links);
	for (i = 0; i < m->n_nodes; i++)
		model_check_node(&m->nodes[i], c,
				 catalog_build_ino(b, m->nodes[i].handle));
	for (i = 0; i < m->n_links; i++) {
		const struct model_link *l = &m->links[i];
		uint32_t dir = catalog_build_ino(b, m->nodes[l->parent].handle);
		uint32_t want = catalog_build_ino(b, m->nodes[l->node].handle);
		struct catalog_inode inode;
		uint32_t ino, index;
		struct catalog_dirent d;

		assert_int_equal(catalog_lookup(c, dir, l->name, l->len, &ino,
						&index),
				 0);
		assert_int_equal(ino, want);
		assert_int_equal(catalog_dirent(c, dir, index, &d), 0);
		assert_int_equal(d.name_len, l->len);
		assert_memory_equal(d.name, l->name, l->len);
		assert_int_equal(catalog_inode(c, ino, &inode), 0);
		if (S_ISDIR(inode.mode))
			assert_int_equal(inode.parent, dir);
	}
}

#endif
