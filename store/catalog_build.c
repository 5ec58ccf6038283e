/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalog builder's intake: nodes, their names and their content. Equal
 * names, equal xattr sets and equal chunks are recognised as they come. Owns
 * all memory of a build; one thread. Sorting is in catalog_order.c and the
 * bytes are made in catalog_write.c. Refusals are not logged here, since only
 * the caller knows which path they are about.
 */
#include "catalog_build.h"

#include <errno.h>
#include <stdlib.h>

#include "base/map.h"
#include "catalog_nodes.h"
#include "chunker.h"

/* More could not be written into CATALOG_BYTES_MAX anyway. */
#define NODES_MAX (CATALOG_BYTES_MAX / sizeof(struct catalog_inode_rec))
#define LINKS_MAX (CATALOG_BYTES_MAX / sizeof(struct catalog_dirent_rec))
#define PIECES_MAX \
	(NODES_MAX + CATALOG_BYTES_MAX / sizeof(struct catalog_piece_rec))
#define HEAP_MAX UINT32_MAX

static int meta_check(const struct catalog_meta *m)
{
	if (!catalog_valid_mode(m->mode) || m->mtime_nsec >= 1000000000)
		return -EINVAL;
	if (m->xattrs_len > CATALOG_XATTR_MAX)
		return -EFBIG;
	if (m->xattrs_len > 0 &&
	    !catalog_valid_xattrs(m->xattrs, m->xattrs_len))
		return -EINVAL;
	if ((m->mode & S_IFMT) != S_IFLNK)
		return m->target_len == 0 ? 0 : -EINVAL;
	if (m->target_len > CATALOG_SYMLINK_MAX)
		return -ENAMETOOLONG;
	return catalog_valid_target(m->target, m->target_len) ? 0 : -EINVAL;
}

static bool xattrs_same(const void *arg, uint32_t id, const void *data,
			size_t len)
{
	const struct catalog_build *b = arg;
	const struct build_xattrs *x = build_xattrs(b, id);

	return x->len == len &&
	       memcmp(b->xattr_bytes.data + x->off, data, len) == 0;
}

static int xattrs_intern(struct catalog_build *b, const void *data, size_t len,
			 uint32_t *ret_id)
{
	struct build_xattrs x = { .off = b->xattr_bytes.len,
				  .len = len,
				  .number = NONE };
	uint64_t hash;

	if (len == 0) {
		*ret_id = NONE;
		return 0;
	}
	hash = map_hash_bytes(data, len, 0);
	if (intern_find(&b->xattr_ids, hash, xattrs_same, b, data, len,
			ret_id) == 0)
		return 0;
	if (len > HEAP_MAX - b->xattr_bytes.len)
		return -EFBIG;

	if (!buf_reserve(&b->xattr_bytes, len) ||
	    !buf_reserve(&b->xattrs, sizeof(x)) ||
	    intern_add(&b->xattr_ids, hash, b->n_xattrs))
		return -ENOMEM;
	buf_put(&b->xattr_bytes, data, len);
	buf_put(&b->xattrs, &x, sizeof(x));
	*ret_id = b->n_xattrs++;
	return 0;
}

/* The part of a node that its type decides. Cannot fail: room for a target
 * was reserved. */
static void node_init_type(struct catalog_build *b,
			   const struct catalog_meta *meta,
			   struct build_node *n)
{
	switch (meta->mode & S_IFMT) {
	case S_IFDIR:
		b->n_dirs++;
		break;
	case S_IFREG:
		n->file.first = NONE;
		n->file.last = NONE;
		b->n_files++;
		break;
	case S_IFLNK:
		n->target = b->targets.len;
		n->size = meta->target_len;
		buf_put(&b->targets, meta->target, meta->target_len);
		b->n_symlinks++;
		break;
	case S_IFCHR:
	case S_IFBLK:
		n->rdev = meta->rdev;
		break;
	}
}

/* All that can fail comes before anything counts, so that a node that was
 * refused leaves no trace in the catalog. */
int catalog_build_node(struct catalog_build *b, const struct catalog_meta *meta,
		       uint32_t *ret_node)
{
	struct build_node n = {
		.mtime_sec = meta->mtime_sec,
		.mtime_nsec = meta->mtime_nsec,
		.mode = meta->mode,
		.uid = meta->uid,
		.gid = meta->gid,
		.name = NONE,
	};
	int err;

	if (b->state != BUILD_OPEN)
		return -EINVAL;
	err = meta_check(meta);
	if (err)
		return err;
	if (b->n_nodes >= NODES_MAX ||
	    meta->target_len > HEAP_MAX - b->targets.len)
		return -EFBIG;
	if (!buf_reserve(&b->nodes, sizeof(n)) ||
	    !buf_reserve(&b->targets, meta->target_len))
		return -ENOMEM;
	err = xattrs_intern(b, meta->xattrs, meta->xattrs_len, &n.xattrs);
	if (err)
		return err;

	node_init_type(b, meta, &n);
	buf_put(&b->nodes, &n, sizeof(n));
	*ret_node = b->n_nodes++;
	return 0;
}

int catalog_build_new(const struct catalog_meta *root,
		      struct catalog_build **ret_build)
{
	struct catalog_build *b;
	uint32_t node;
	int err;

	if ((root->mode & S_IFMT) != S_IFDIR)
		return -EINVAL;
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	err = catalog_build_node(b, root, &node);
	if (err) {
		catalog_build_free(b);
		return err;
	}
	*ret_build = b;
	return 0;
}

void catalog_build_free(struct catalog_build *b)
{
	if (!b)
		return;
	buf_release(&b->nodes);
	buf_release(&b->links);
	buf_release(&b->names);
	buf_release(&b->targets);
	buf_release(&b->pieces);
	buf_release(&b->chunks);
	buf_release(&b->xattrs);
	buf_release(&b->xattr_bytes);
	buf_release(&b->files);
	intern_release(&b->name_ids);
	intern_release(&b->chunk_ids);
	intern_release(&b->xattr_ids);
	free(b);
}

static bool name_same(const void *arg, uint32_t id, const void *data,
		      size_t len)
{
	const struct build_name *n = build_name(arg, id);

	return n->len == len && memcmp(n->bytes, data, len) == 0;
}

static int name_intern(struct catalog_build *b, const char *name, size_t len,
		       uint32_t *ret_off)
{
	uint64_t hash = map_hash_bytes(name, len, 0);
	struct build_name head = { .len = len };
	uint32_t off = b->names.len;

	if (intern_find(&b->name_ids, hash, name_same, b, name, len, ret_off) ==
	    0)
		return 0;
	if (sizeof(head) + len > HEAP_MAX - b->names.len)
		return -EFBIG;
	if (!buf_reserve(&b->names, sizeof(head) + len) ||
	    intern_add(&b->name_ids, hash, off))
		return -ENOMEM;
	le32_put(head.at, NONE);
	buf_put(&b->names, &head, sizeof(head));
	buf_put(&b->names, name, len);
	b->n_names++;
	*ret_off = off;
	return 0;
}

int catalog_build_link(struct catalog_build *b, uint32_t parent,
		       const char *name, size_t len, uint32_t node)
{
	struct build_link link = { .parent = parent, .node = node };
	struct build_node *p, *n;
	int err;

	if (b->state != BUILD_OPEN || parent >= b->n_nodes ||
	    node >= b->n_nodes || node == CATALOG_BUILD_ROOT)
		return -EINVAL;
	if (len > CATALOG_NAME_MAX)
		return -ENAMETOOLONG;
	p = build_node(b, parent);
	n = build_node(b, node);
	if (!catalog_valid_name(name, len) || build_type(p) != S_IFDIR ||
	    (build_type(n) == S_IFDIR && n->names > 0))
		return -EINVAL;
	if (b->n_links >= LINKS_MAX)
		return -EFBIG;
	if (!buf_reserve(&b->links, sizeof(link)))
		return -ENOMEM;
	err = name_intern(b, name, len, &link.name);
	if (err)
		return err;

	buf_put(&b->links, &link, sizeof(link));
	b->n_links++;
	n->names++;
	p->dir.count++;
	if (build_type(n) == S_IFDIR)
		p->dir.subdirs++;
	return 0;
}

static bool chunk_same(const void *arg, uint32_t id, const void *data,
		       size_t len)
{
	return memcmp(&build_chunk(arg, id)->digest, data, len) == 0;
}

static int chunk_intern(struct catalog_build *b, const struct digest *digest,
			uint32_t size, uint32_t *ret_chunk)
{
	struct build_chunk c = { .digest = *digest,
				 .size = size,
				 .number = NONE };
	uint64_t hash = map_hash_bytes(digest, sizeof(*digest), 0);
	uint32_t id;

	if (intern_find(&b->chunk_ids, hash, chunk_same, b, digest,
			sizeof(*digest), &id) == 0) {
		if (build_chunk(b, id)->size != size)
			return -EINVAL;
		*ret_chunk = id;
		return 0;
	}
	if (!buf_reserve(&b->chunks, sizeof(c)) ||
	    intern_add(&b->chunk_ids, hash, b->n_chunks))
		return -ENOMEM;
	buf_put(&b->chunks, &c, sizeof(c));
	*ret_chunk = b->n_chunks++;
	return 0;
}

/* Puts `piece` behind the file's last; room was reserved. */
static void piece_append(struct catalog_build *b, struct build_node *n,
			 const struct build_piece *piece)
{
	buf_put(&b->pieces, piece, sizeof(*piece));
	if (n->file.last == NONE)
		n->file.first = b->n_pieces;
	else
		build_piece(b, n->file.last)->next = b->n_pieces;
	n->file.last = b->n_pieces++;
	n->file.count++;
}

static bool ends_in_hole(const struct catalog_build *b,
			 const struct build_node *n)
{
	return n->file.last != NONE &&
	       build_piece(b, n->file.last)->chunk == CATALOG_HOLE;
}

int catalog_build_piece(struct catalog_build *b, uint32_t node,
			const struct digest *chunk, uint64_t len)
{
	struct build_piece piece = { .len = len,
				     .chunk = CATALOG_HOLE,
				     .next = NONE };
	struct build_node *n;
	int err = 0;

	if (b->state == BUILD_FINISHED || node >= b->n_nodes || len == 0 ||
	    (chunk && len > CHUNK_MAX))
		return -EINVAL;
	n = build_node(b, node);
	if (build_type(n) != S_IFREG)
		return -EINVAL;
	if (len > INT64_MAX - b->bytes || b->n_pieces >= PIECES_MAX)
		return -EFBIG;
	if (!buf_reserve(&b->pieces, sizeof(piece)))
		return -ENOMEM;
	if (chunk)
		err = chunk_intern(b, chunk, len, &piece.chunk);
	if (err)
		return err;

	if (!chunk && ends_in_hole(b, n))
		build_piece(b, n->file.last)->len += len;
	else
		piece_append(b, n, &piece);
	n->size += len;
	b->bytes += len;
	return 0;
}
