/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalog builder's output: numbers the ordered tree breadth first and
 * writes the blob. All lengths are known before the first byte is written, so
 * the blob is allocated once, zeroed, and each section is filled front to
 * back. One thread.
 */
#include "catalog_build.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "catalog_nodes.h"

/* How far each section is filled. */
struct writer {
	struct catalog_build *b;
	uint8_t *blob;
	struct catalog_layout at; /* of the sections */
	uint32_t dirents, pieces, chunks, xattrs;
	uint32_t names, targets, xattr_bytes; /* heap bytes */
};

/* The handles in the order of inode numbers; the array is its own queue. */
static void nodes_number(struct catalog_build *b, uint32_t *order)
{
	uint32_t head, count = 1;

	order[0] = CATALOG_BUILD_ROOT;
	build_node(b, CATALOG_BUILD_ROOT)->ino = CATALOG_ROOT;
	for (head = 0; head < count; head++) {
		const struct build_node *dir = build_node(b, order[head]);
		uint32_t i;

		if (build_type(dir) != S_IFDIR)
			continue;
		for (i = 0; i < dir->dir.count; i++) {
			uint32_t node = build_link(b, dir->dir.first + i)->node;
			struct build_node *n = build_node(b, node);

			if (n->ino)
				continue;
			order[count++] = node;
			n->ino = count;
		}
	}
}

/* Pieces that go into their section: those of files that have several. */
static uint64_t pieces_listed(const struct catalog_build *b)
{
	uint64_t count = 0;
	uint32_t i;

	for (i = 0; i < b->n_nodes; i++) {
		const struct build_node *n = build_node(b, i);

		if (build_type(n) == S_IFREG && n->file.count > 1)
			count += n->file.count;
	}
	return count;
}

static int header_make(const struct catalog_build *b,
		       struct catalog_header *ret_header)
{
	uint64_t pieces = pieces_listed(b);
	struct catalog_header h = {
		.inodes = b->n_nodes,
		.dirents = b->n_links,
		.pieces = pieces,
		.chunks = b->n_chunks,
		.xattrs = b->n_xattrs,
		.names_bytes =
			b->names.len - b->n_names * sizeof(struct build_name),
		.targets_bytes = b->targets.len,
		.xattrs_bytes = b->xattr_bytes.len,
		.files = b->n_files,
		.dirs = b->n_dirs,
		.symlinks = b->n_symlinks,
		.others = b->n_nodes - b->n_files - b->n_dirs - b->n_symlinks,
		.bytes = b->bytes,
	};
	struct catalog_layout l;

	catalog_layout_of(&h, &l);
	if (pieces > UINT32_MAX || l.total > CATALOG_BYTES_MAX)
		return log_error(-EFBIG, "catalog: more than %llu bytes",
				 (unsigned long long)CATALOG_BYTES_MAX);
	h.total = l.total;
	*ret_header = h;
	return 0;
}

/* Where a name lies in the heap; the first use puts it there. */
static uint32_t name_place(struct writer *w, struct build_name *n)
{
	if (le32_get(n->at) == NONE) {
		memcpy(w->blob + w->at.names + w->names, n->bytes, n->len);
		le32_put(n->at, w->names);
		w->names += n->len;
	}
	return le32_get(n->at);
}

/* The number of a chunk; the first use gives it one. */
static uint32_t chunk_place(struct writer *w, uint32_t chunk)
{
	struct catalog_chunk_rec *r = (void *)(w->blob + w->at.chunks);
	struct build_chunk *c;

	if (chunk == CATALOG_HOLE)
		return CATALOG_HOLE;
	c = build_chunk(w->b, chunk);
	if (c->number == NONE) {
		memcpy(r[w->chunks].digest, &c->digest, DIGEST_LEN);
		le32_put(r[w->chunks].size, c->size);
		c->number = w->chunks++;
	}
	return c->number;
}

/* Likewise for a set of xattrs; counted from 1, 0 for none. */
static uint32_t xattrs_place(struct writer *w, uint32_t set)
{
	struct catalog_xattr_rec *r = (void *)(w->blob + w->at.xattrs);
	struct build_xattrs *x;

	if (set == NONE)
		return 0;
	x = build_xattrs(w->b, set);
	if (x->number == NONE) {
		le32_put(r[w->xattrs].off, w->xattr_bytes);
		le32_put(r[w->xattrs].len, x->len);
		memcpy(w->blob + w->at.xattr_bytes + w->xattr_bytes,
		       w->b->xattr_bytes.data + x->off, x->len);
		w->xattr_bytes += x->len;
		x->number = w->xattrs++;
	}
	return x->number + 1;
}

static void dir_write(struct writer *w, const struct build_node *n,
		      struct catalog_inode_rec *r)
{
	struct catalog_dirent_rec *d = (void *)(w->blob + w->at.dirents);
	uint32_t parent = CATALOG_BUILD_ROOT;
	uint32_t i;

	if (n->name != NONE)
		parent = build_link(w->b, n->name)->parent;
	le32_put(r->nlink, 2 + n->dir.subdirs);
	le32_put(r->a, build_node(w->b, parent)->ino);
	le32_put(r->b, w->dirents);
	le32_put(r->c, n->dir.count);
	for (i = 0; i < n->dir.count; i++) {
		const struct build_link *l = build_link(w->b, n->dir.first + i);
		struct build_name *name = build_name(w->b, l->name);

		le32_put(d[w->dirents].name, name_place(w, name));
		d[w->dirents].name_len[0] = name->len;
		le32_put(d[w->dirents].ino, build_node(w->b, l->node)->ino);
		w->dirents++;
	}
}

static void file_write(struct writer *w, const struct build_node *n,
		       struct catalog_inode_rec *r)
{
	struct catalog_piece_rec *p = (void *)(w->blob + w->at.pieces);
	uint64_t end = 0;
	uint32_t i;

	le32_put(r->a, n->file.count);
	if (n->file.count == 1) {
		uint32_t chunk = build_piece(w->b, n->file.first)->chunk;

		le32_put(r->b, chunk_place(w, chunk));
	}
	if (n->file.count <= 1)
		return;
	le32_put(r->b, w->pieces);
	for (i = n->file.first; i != NONE; i = build_piece(w->b, i)->next) {
		const struct build_piece *piece = build_piece(w->b, i);

		end += piece->len;
		le64_put(p[w->pieces].end, end);
		le32_put(p[w->pieces].chunk, chunk_place(w, piece->chunk));
		w->pieces++;
	}
}

static void symlink_write(struct writer *w, const struct build_node *n,
			  struct catalog_inode_rec *r)
{
	memcpy(w->blob + w->at.targets + w->targets,
	       w->b->targets.data + n->target, n->size);
	le32_put(r->a, w->targets);
	w->targets += n->size;
}

static void inode_write(struct writer *w, const struct build_node *n,
			struct catalog_inode_rec *r)
{
	le32_put(r->mode, n->mode);
	le32_put(r->nlink, n->names);
	le32_put(r->uid, n->uid);
	le32_put(r->gid, n->gid);
	le64_put(r->size, n->size);
	le64_put(r->mtime_sec, (uint64_t)n->mtime_sec);
	le32_put(r->mtime_nsec, n->mtime_nsec);
	le32_put(r->xattrs, xattrs_place(w, n->xattrs));
	switch (build_type(n)) {
	case S_IFDIR:
		dir_write(w, n, r);
		break;
	case S_IFREG:
		file_write(w, n, r);
		break;
	case S_IFLNK:
		symlink_write(w, n, r);
		break;
	case S_IFCHR:
	case S_IFBLK:
		le32_put(r->a, n->rdev);
		break;
	}
}

static int blob_write(struct catalog_build *b, const struct catalog_header *h,
		      const uint32_t *order, struct buf *blob)
{
	struct writer w = { .b = b };
	struct catalog_inode_rec *r;
	uint32_t i;

	buf_put_zero(blob, h->total);
	if (buf_error(blob))
		return -ENOMEM;
	w.blob = blob->data;
	catalog_layout_of(h, &w.at);
	catalog_header_encode(h, (void *)w.blob);
	r = (void *)(w.blob + w.at.inodes);
	for (i = 0; i < b->n_nodes; i++)
		inode_write(&w, build_node(b, order[i]), &r[i]);
	return 0;
}

int catalog_build_finish(struct catalog_build *b, struct buf *ret_blob,
			 struct digest *ret_digest)
{
	_cleanup_free_ uint32_t *order = NULL;
	_cleanup_buf_ struct buf blob = BUF_INIT;
	struct catalog_header h;
	struct digest digest;
	int err;

	if (b->state != BUILD_ORDERED)
		return -EINVAL;
	err = header_make(b, &h);
	if (err)
		return err;
	order = malloc(b->n_nodes * sizeof(*order));
	if (!order)
		return -ENOMEM;
	b->state = BUILD_FINISHED;
	nodes_number(b, order);
	err = blob_write(b, &h, order, &blob);
	if (!err)
		err = digest_of(blob.data, blob.len, &digest);
	if (err)
		return err;
	*ret_blob = blob;
	blob = (struct buf)BUF_INIT;
	*ret_digest = digest;
	return 0;
}

uint32_t catalog_build_ino(const struct catalog_build *b, uint32_t node)
{
	return node < b->n_nodes ? build_node(b, node)->ino : 0;
}
