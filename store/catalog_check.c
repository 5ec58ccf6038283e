/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checking a catalog whole: one pass over the inodes in the order of their
 * numbers, another over the chunks and xattr sets. Because the format leaves
 * no order and no offset to choose, most of the work is to hold each reference
 * against the one value that it can have: the next number that was not used
 * yet, or, where sharing is allowed, one that was. That every inode can be
 * reached and that there are no circles follows from the numbering. Owns
 * 4 bytes an inode while it runs; any thread. Logs the first reason found.
 */
#include "catalog_format.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "chunker.h"

struct check {
	const struct catalog_blob *b;
	uint32_t *names; /* by ino - 1: how many dirents name it */
	uint32_t ino;	 /* being checked */
	/* The next of each kind that nothing referred to yet. */
	uint32_t next_ino, next_dirent, next_piece, next_chunk, next_xattr;
	uint64_t next_name, next_target; /* heap offsets */
	uint32_t files, dirs, symlinks, others;
	uint64_t bytes;
};

static int bad(const struct check *ck, const char *what)
{
	return log_error(-EBADMSG, "catalog: inode %u: %s", ck->ino, what);
}

static bool all_zero(const void *data, size_t len)
{
	const uint8_t *p = data;
	size_t i;

	for (i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

static const struct catalog_inode_rec *inode_at(const struct check *ck,
						uint32_t ino)
{
	return &ck->b->inodes[ino - 1];
}

static uint32_t type_at(const struct check *ck, uint32_t ino)
{
	return le32_get(inode_at(ck, ino)->mode) & S_IFMT;
}

/* Takes a name into account: one behind all that were met, or one of them. */
static int check_name(struct check *ck, const struct catalog_dirent_rec *d)
{
	uint64_t off = le32_get(d->name);
	uint64_t end = off + d->name_len[0];

	if (off == ck->next_name && end <= ck->b->h.names_bytes)
		ck->next_name = end;
	else if (end > ck->next_name)
		return bad(ck, "a name lies outside its heap");
	if (!catalog_valid_name(ck->b->names + off, d->name_len[0]))
		return bad(ck, "a name that is none");
	return 0;
}

/* The inode of a dirent: the next number, or one more name of a known inode
 * that is no directory. */
static int check_child(struct check *ck, uint32_t ino, uint32_t *subdirs)
{
	if (ino == ck->next_ino && ino <= ck->b->h.inodes) {
		ck->next_ino++;
		if (type_at(ck, ino) == S_IFDIR) {
			if (le32_get(inode_at(ck, ino)->a) != ck->ino)
				return bad(ck, "a child with another parent");
			++*subdirs;
		}
	} else if (ino == 0 || ino >= ck->next_ino) {
		return bad(ck, "a child's number is out of order");
	} else if (type_at(ck, ino) == S_IFDIR) {
		return bad(ck, "a directory has two names");
	}
	ck->names[ino - 1]++;
	return 0;
}

static int check_dirents(struct check *ck, uint32_t first, uint32_t count,
			 uint32_t *subdirs)
{
	const struct catalog_dirent_rec *prev = NULL;
	uint32_t i;
	int err;

	for (i = 0; i < count; i++) {
		const struct catalog_dirent_rec *d = &ck->b->dirents[first + i];

		if (!all_zero(d->zero, sizeof(d->zero)))
			return bad(ck, "a dirent has stray bytes");
		err = check_name(ck, d);
		if (err)
			return err;
		if (prev &&
		    catalog_name_cmp(ck->b->names + le32_get(prev->name),
				     prev->name_len[0],
				     ck->b->names + le32_get(d->name),
				     d->name_len[0]) >= 0)
			return bad(ck, "names out of order");
		err = check_child(ck, le32_get(d->ino), subdirs);
		if (err)
			return err;
		prev = d;
	}
	return 0;
}

static int check_dir(struct check *ck, const struct catalog_inode_rec *r)
{
	uint32_t count = le32_get(r->c), subdirs = 0;
	int err;

	if (le32_get(r->b) != ck->next_dirent ||
	    count > ck->b->h.dirents - ck->next_dirent)
		return bad(ck, "dirents out of order");
	err = check_dirents(ck, ck->next_dirent, count, &subdirs);
	if (err)
		return err;
	if (le32_get(r->nlink) != 2 + (uint64_t)subdirs)
		return bad(ck, "a link count that is wrong");
	if (le64_get(r->size) != 0)
		return bad(ck, "a directory with a size");
	ck->next_dirent += count;
	ck->dirs++;
	return 0;
}

/* One piece of `len` bytes. */
static int check_piece(struct check *ck, uint32_t chunk, uint64_t len)
{
	if (len == 0)
		return bad(ck, "a piece of no bytes");
	if (chunk == CATALOG_HOLE)
		return 0;
	if (chunk == ck->next_chunk && chunk < ck->b->h.chunks)
		ck->next_chunk++;
	else if (chunk >= ck->next_chunk)
		return bad(ck, "a chunk's number is out of order");
	if (le32_get(ck->b->chunks[chunk].size) != len)
		return bad(ck, "a piece that is not its whole chunk");
	return 0;
}

static int check_pieces(struct check *ck, uint32_t first, uint32_t count,
			uint64_t size)
{
	uint64_t off = 0;
	uint32_t i;

	for (i = 0; i < count; i++) {
		const struct catalog_piece_rec *p = &ck->b->pieces[first + i];
		uint32_t chunk = le32_get(p->chunk);
		uint64_t end = le64_get(p->end);
		int err;

		if (end <= off || end > size)
			return bad(ck, "pieces out of order");
		if (!all_zero(p->zero, sizeof(p->zero)))
			return bad(ck, "a piece has stray bytes");
		if (i > 0 && chunk == CATALOG_HOLE &&
		    le32_get(p[-1].chunk) == CATALOG_HOLE)
			return bad(ck, "a hole behind a hole");
		err = check_piece(ck, chunk, end - off);
		if (err)
			return err;
		off = end;
	}
	if (off != size)
		return bad(ck, "pieces that do not make the size");
	return 0;
}

static int check_file(struct check *ck, const struct catalog_inode_rec *r)
{
	uint32_t count = le32_get(r->a), first = le32_get(r->b);
	uint64_t size = le64_get(r->size);
	int err = 0;

	if (size > INT64_MAX || size > INT64_MAX - ck->bytes)
		return bad(ck, "a size over the limit");
	if (le32_get(r->c) != 0 || (count == 0 && (first != 0 || size != 0)))
		return bad(ck, "an empty file with content");
	if (count == 1)
		err = check_piece(ck, first, size);
	if (count > 1) {
		if (first != ck->next_piece ||
		    count > ck->b->h.pieces - ck->next_piece)
			return bad(ck, "pieces lie elsewhere");
		ck->next_piece += count;
		err = check_pieces(ck, first, count, size);
	}
	ck->bytes += size;
	ck->files++;
	return err;
}

static int check_symlink(struct check *ck, const struct catalog_inode_rec *r)
{
	uint64_t len = le64_get(r->size);

	if (le32_get(r->a) != ck->next_target || len > CATALOG_SYMLINK_MAX ||
	    len > ck->b->h.targets_bytes - ck->next_target)
		return bad(ck, "a target lies outside its heap");
	if (!catalog_valid_target(ck->b->targets + ck->next_target, len))
		return bad(ck, "a target that is none");
	if (le32_get(r->b) != 0 || le32_get(r->c) != 0)
		return bad(ck, "stray bytes");
	ck->next_target += len;
	ck->symlinks++;
	return 0;
}

static int check_other(struct check *ck, const struct catalog_inode_rec *r)
{
	uint32_t type = le32_get(r->mode) & S_IFMT;
	bool device = type == S_IFCHR || type == S_IFBLK;

	if ((le32_get(r->a) != 0 && !device) || le32_get(r->b) != 0 ||
	    le32_get(r->c) != 0 || le64_get(r->size) != 0)
		return bad(ck, "stray bytes");
	ck->others++;
	return 0;
}

/* What all types have in common. */
static int check_common(struct check *ck, const struct catalog_inode_rec *r)
{
	uint32_t set = le32_get(r->xattrs);

	if (ck->ino >= ck->next_ino)
		return bad(ck, "in no directory");
	if (!catalog_valid_mode(le32_get(r->mode)))
		return bad(ck, "a mode that is none");
	if (le32_get(r->mtime_nsec) >= 1000000000)
		return bad(ck, "a time that is none");
	if (!all_zero(r->reserved, sizeof(r->reserved)))
		return bad(ck, "stray bytes");
	if (set == (uint64_t)ck->next_xattr + 1 && set <= ck->b->h.xattrs)
		ck->next_xattr++;
	else if (set > ck->next_xattr)
		return bad(ck, "xattrs out of order");
	return 0;
}

static int check_inode(struct check *ck)
{
	const struct catalog_inode_rec *r = inode_at(ck, ck->ino);
	int err = check_common(ck, r);

	if (err)
		return err;
	switch (le32_get(r->mode) & S_IFMT) {
	case S_IFDIR:
		return check_dir(ck, r);
	case S_IFREG:
		return check_file(ck, r);
	case S_IFLNK:
		return check_symlink(ck, r);
	default:
		return check_other(ck, r);
	}
}

static int check_inodes(struct check *ck)
{
	const struct catalog_inode_rec *root = inode_at(ck, CATALOG_ROOT);
	int err;

	ck->ino = CATALOG_ROOT;
	ck->next_ino = CATALOG_ROOT + 1;
	if ((le32_get(root->mode) & S_IFMT) != S_IFDIR ||
	    le32_get(root->a) != CATALOG_ROOT)
		return bad(ck, "the root is no directory");
	for (; ck->ino <= ck->b->h.inodes; ck->ino++) {
		err = check_inode(ck);
		if (err)
			return err;
	}
	return 0;
}

/* After all dirents were counted. */
static int check_links(struct check *ck)
{
	for (ck->ino = 1; ck->ino <= ck->b->h.inodes; ck->ino++)
		if (type_at(ck, ck->ino) != S_IFDIR &&
		    le32_get(inode_at(ck, ck->ino)->nlink) !=
			    ck->names[ck->ino - 1])
			return bad(ck, "a link count that is wrong");
	return 0;
}

/* Everything the header counts was met, and nothing more. */
static int check_totals(const struct check *ck)
{
	const struct catalog_header *h = &ck->b->h;

	if (ck->next_dirent != h->dirents || ck->next_piece != h->pieces ||
	    ck->next_chunk != h->chunks || ck->next_xattr != h->xattrs ||
	    ck->next_name != h->names_bytes ||
	    ck->next_target != h->targets_bytes)
		return log_error(-EBADMSG, "catalog: parts that nothing uses");
	if (ck->files != h->files || ck->dirs != h->dirs ||
	    ck->symlinks != h->symlinks || ck->others != h->others ||
	    ck->bytes != h->bytes)
		return log_error(-EBADMSG, "catalog: totals that are wrong");
	return 0;
}

static int check_chunks(const struct catalog_blob *b)
{
	uint32_t i;

	for (i = 0; i < b->h.chunks; i++) {
		uint32_t size = le32_get(b->chunks[i].size);

		if (size == 0 || size > CHUNK_MAX)
			return log_error(-EBADMSG,
					 "catalog: chunk %u: %u bytes", i,
					 size);
	}
	return 0;
}

static int check_xattrs(const struct catalog_blob *b)
{
	uint64_t next = 0;
	uint32_t i;

	for (i = 0; i < b->h.xattrs; i++) {
		uint32_t len = le32_get(b->xattrs[i].len);

		if (le32_get(b->xattrs[i].off) != next ||
		    len > b->h.xattrs_bytes - next ||
		    !catalog_valid_xattrs(b->xattr_bytes + next, len))
			return log_error(-EBADMSG, "catalog: bad xattrs");
		next += len;
	}
	if (next != b->h.xattrs_bytes)
		return log_error(-EBADMSG, "catalog: xattrs of no use");
	return 0;
}

/* The bytes that bring each section to a multiple of 8. */
static int check_padding(const struct catalog_blob *b)
{
	const struct catalog_header *h = &b->h;
	struct catalog_layout l;
	size_t i;

	catalog_layout_of(h, &l);
	const struct {
		uint64_t end, next;
	} gaps[] = {
		{ l.dirents + (uint64_t)h->dirents * sizeof(*b->dirents),
		  l.pieces },
		{ l.chunks + (uint64_t)h->chunks * sizeof(*b->chunks),
		  l.xattrs },
		{ l.names + h->names_bytes, l.targets },
		{ l.targets + h->targets_bytes, l.xattr_bytes },
		{ l.xattr_bytes + h->xattrs_bytes, l.total },
	};
	for (i = 0; i < sizeof(gaps) / sizeof(gaps[0]); i++)
		if (!all_zero(b->data + gaps[i].end,
			      gaps[i].next - gaps[i].end))
			return log_error(-EBADMSG,
					 "catalog: padding that is not zero");
	return 0;
}

int catalog_check(const struct catalog_blob *b)
{
	_cleanup_free_ uint32_t *names = calloc(b->h.inodes, sizeof(*names));
	struct check ck = { .b = b, .names = names };
	int err;

	if (!names)
		return -ENOMEM;
	err = check_chunks(b);
	if (!err)
		err = check_xattrs(b);
	if (!err)
		err = check_padding(b);
	if (!err)
		err = check_inodes(&ck);
	if (!err)
		err = check_links(&ck);
	if (!err)
		err = check_totals(&ck);
	return err;
}
