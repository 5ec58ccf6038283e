/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading catalogs: a mapping (or a copy in memory), the decoded header, and
 * accessors that compute addresses from it. Owns the mapping; immutable once
 * open, so any thread may call anything.
 *
 * A mapped file must not shrink: a page behind its new end gives SIGBUS, which
 * no check of ours can turn into an error. Files of a store are immutable
 * (published by rename, never written again), and the size is compared at
 * open; whoever maps a file that others may truncate must copy it first.
 *
 * Accessors do not trust what the full check once said: each index and range
 * is compared with the header's counts again. They do not log, since only the
 * caller knows the path; the reasons found at open are logged there.
 */
#include "catalog.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "catalog_format.h"

struct catalog {
	atomic_uint refs;
	bool mapped; /* this and all below: constant after open */
	void *data;
	size_t len;
	struct catalog_blob b;
};

static void catalog_free(struct catalog *c)
{
	if (c->mapped)
		munmap(c->data, c->len);
	else
		free(c->data);
	free(c);
}

void catalog_unref(struct catalog *c)
{
	if (c &&
	    atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
		catalog_free(c);
}

struct catalog *catalog_ref(struct catalog *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

static void cleanup_catalog(struct catalog **c)
{
	catalog_unref(*c);
}

/* `c` holds the bytes; reads the header and checks. */
static int catalog_open(struct catalog *c, enum catalog_check check)
{
	int err = catalog_blob_init(c->data, c->len, &c->b);

	if (!err && check == CATALOG_CHECK_FULL)
		err = catalog_check(&c->b);
	return err;
}

static struct catalog *catalog_alloc(bool mapped)
{
	struct catalog *c = calloc(1, sizeof(*c));

	if (c) {
		atomic_init(&c->refs, 1);
		c->mapped = mapped;
	}
	return c;
}

static int size_check(uint64_t len)
{
	if (len < CATALOG_HEADER_BYTES || len > CATALOG_BYTES_MAX)
		return log_error(-EBADMSG, "catalog: a size of %llu bytes",
				 (unsigned long long)len);
	return 0;
}

int catalog_open_fd(int fd, enum catalog_check check,
		    struct catalog **ret_catalog)
{
	_cleanup_(cleanup_catalog) struct catalog *c = NULL;
	struct stat st;
	void *data;
	int err;

	if (fstat(fd, &st) < 0)
		return log_error(-errno, "catalog: fstat");
	err = size_check(st.st_size);
	if (err)
		return err;
	data = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return log_error(-errno, "catalog: mmap");
	c = catalog_alloc(true);
	if (!c) {
		munmap(data, st.st_size);
		return -ENOMEM;
	}
	c->data = data;
	c->len = st.st_size;

	err = catalog_open(c, check);
	if (err)
		return err;
	*ret_catalog = steal_ptr(&c);
	return 0;
}

int catalog_open_mem(const void *data, size_t len, enum catalog_check check,
		     struct catalog **ret_catalog)
{
	_cleanup_(cleanup_catalog) struct catalog *c = NULL;
	int err = size_check(len);

	if (err)
		return err;
	c = catalog_alloc(false);
	if (!c)
		return -ENOMEM;
	c->data = malloc(len);
	if (!c->data)
		return -ENOMEM;
	memcpy(c->data, data, len);
	c->len = len;

	err = catalog_open(c, check);
	if (err)
		return err;
	*ret_catalog = steal_ptr(&c);
	return 0;
}

int catalog_take_buf(struct buf *blob, enum catalog_check check,
		     struct catalog **ret_catalog)
{
	_cleanup_(cleanup_catalog) struct catalog *c = NULL;
	int err = size_check(blob->len);

	if (err)
		return err;
	c = catalog_alloc(false);
	if (!c)
		return -ENOMEM;
	c->data = blob->data;
	c->len = blob->len;

	err = catalog_open(c, check);
	if (err) {
		c->data = NULL;
		return err;
	}
	*blob = (struct buf)BUF_INIT;
	*ret_catalog = steal_ptr(&c);
	return 0;
}

const void *catalog_bytes(const struct catalog *c, size_t *ret_len)
{
	*ret_len = c->len;
	return c->data;
}

void catalog_info(const struct catalog *c, struct catalog_info *ret_info)
{
	const struct catalog_header *h = &c->b.h;

	*ret_info = (struct catalog_info){
		.inodes = h->inodes,
		.dirents = h->dirents,
		.chunks = h->chunks,
		.files = h->files,
		.dirs = h->dirs,
		.symlinks = h->symlinks,
		.others = h->others,
		.bytes = h->bytes,
		.blob_bytes = h->total,
	};
}

static const struct catalog_inode_rec *inode_rec(const struct catalog *c,
						 uint32_t ino)
{
	if (ino == 0 || ino > c->b.h.inodes)
		return NULL;
	return &c->b.inodes[ino - 1];
}

static uint32_t rec_type(const struct catalog_inode_rec *r)
{
	return le32_get(r->mode) & S_IFMT;
}

int catalog_inode(const struct catalog *c, uint32_t ino,
		  struct catalog_inode *ret_inode)
{
	const struct catalog_inode_rec *r = inode_rec(c, ino);
	struct catalog_inode i = { .ino = ino };

	if (!r)
		return -ENOENT;
	i.mode = le32_get(r->mode);
	i.nlink = le32_get(r->nlink);
	i.uid = le32_get(r->uid);
	i.gid = le32_get(r->gid);
	i.size = le64_get(r->size);
	i.mtime_sec = (int64_t)le64_get(r->mtime_sec);
	i.mtime_nsec = le32_get(r->mtime_nsec);
	i.has_xattrs = le32_get(r->xattrs) != 0;
	switch (i.mode & S_IFMT) {
	case S_IFDIR:
		i.parent = le32_get(r->a);
		i.children = le32_get(r->c);
		break;
	case S_IFREG:
		i.pieces = le32_get(r->a);
		break;
	case S_IFCHR:
	case S_IFBLK:
		i.rdev = le32_get(r->a);
		break;
	}
	*ret_inode = i;
	return 0;
}

/* The dirents of `dir`. */
static int dir_range(const struct catalog *c, uint32_t dir,
		     const struct catalog_dirent_rec **ret_first,
		     uint32_t *ret_count)
{
	const struct catalog_inode_rec *r = inode_rec(c, dir);
	uint32_t first, count;

	if (!r)
		return -ENOENT;
	if (rec_type(r) != S_IFDIR)
		return -ENOTDIR;
	first = le32_get(r->b);
	count = le32_get(r->c);
	if (first > c->b.h.dirents || count > c->b.h.dirents - first)
		return -EBADMSG;
	*ret_first = c->b.dirents + first;
	*ret_count = count;
	return 0;
}

/* NULL when the name is not inside its heap. */
static const char *dirent_name(const struct catalog *c,
			       const struct catalog_dirent_rec *d)
{
	uint32_t off = le32_get(d->name);

	if (off > c->b.h.names_bytes ||
	    d->name_len[0] > c->b.h.names_bytes - off)
		return NULL;
	return c->b.names + off;
}

static int dirent_get(const struct catalog *c,
		      const struct catalog_dirent_rec *d,
		      struct catalog_dirent *ret_dirent)
{
	const char *name = dirent_name(c, d);
	uint32_t ino = le32_get(d->ino);

	if (!name || !inode_rec(c, ino))
		return -EBADMSG;
	*ret_dirent = (struct catalog_dirent){
		.name = name,
		.name_len = d->name_len[0],
		.ino = ino,
	};
	return 0;
}

int catalog_lookup(const struct catalog *c, uint32_t dir, const char *name,
		   size_t len, uint32_t *ret_ino, uint32_t *ret_index)
{
	const struct catalog_dirent_rec *first;
	uint32_t low = 0, high;
	int err = dir_range(c, dir, &first, &high);

	if (err)
		return err;
	if (len == 0)
		return -ENOENT;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		const char *at = dirent_name(c, &first[mid]);
		int cmp;

		if (!at)
			return -EBADMSG;
		cmp = catalog_name_cmp(name, len, at, first[mid].name_len[0]);
		if (cmp == 0) {
			uint32_t ino = le32_get(first[mid].ino);

			if (!inode_rec(c, ino))
				return -EBADMSG;
			if (ret_ino)
				*ret_ino = ino;
			if (ret_index)
				*ret_index = mid;
			return 0;
		}
		if (cmp < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return -ENOENT;
}

int catalog_dirent(const struct catalog *c, uint32_t dir, uint32_t index,
		   struct catalog_dirent *ret_dirent)
{
	const struct catalog_dirent_rec *first;
	uint32_t count;
	int err = dir_range(c, dir, &first, &count);

	if (err)
		return err;
	if (index >= count)
		return -ENOENT;
	return dirent_get(c, &first[index], ret_dirent);
}

/* Each turn takes at least one byte off the path, so bad bytes that make a
 * circle of directories end the walk all the same. */
int catalog_resolve(const struct catalog *c, const char *path,
		    uint32_t *ret_ino)
{
	uint32_t ino = CATALOG_ROOT;

	while (*path) {
		size_t len = strcspn(path, "/");
		int err;

		if (len > 0 && !(len == 1 && path[0] == '.')) {
			err = catalog_lookup(c, ino, path, len, &ino, NULL);
			if (err)
				return err;
		}
		path += len;
		if (*path == '/') {
			if (rec_type(&c->b.inodes[ino - 1]) != S_IFDIR)
				return -ENOTDIR;
			path++;
		}
	}
	*ret_ino = ino;
	return 0;
}

int catalog_readlink(const struct catalog *c, uint32_t ino,
		     const char **ret_target, size_t *ret_len)
{
	const struct catalog_inode_rec *r = inode_rec(c, ino);
	uint64_t len;
	uint32_t off;

	if (!r)
		return -ENOENT;
	if (rec_type(r) != S_IFLNK)
		return -EINVAL;
	off = le32_get(r->a);
	len = le64_get(r->size);
	if (len == 0 || len > CATALOG_SYMLINK_MAX ||
	    off > c->b.h.targets_bytes || len > c->b.h.targets_bytes - off)
		return -EBADMSG;
	*ret_target = c->b.targets + off;
	*ret_len = len;
	return 0;
}

int catalog_xattrs(const struct catalog *c, uint32_t ino, const void **ret_data,
		   size_t *ret_len)
{
	const struct catalog_inode_rec *r = inode_rec(c, ino);
	uint32_t set, off, len;

	if (!r)
		return -ENOENT;
	set = le32_get(r->xattrs);
	if (set == 0) {
		*ret_data = c->b.xattr_bytes;
		*ret_len = 0;
		return 0;
	}
	if (set > c->b.h.xattrs)
		return -EBADMSG;
	off = le32_get(c->b.xattrs[set - 1].off);
	len = le32_get(c->b.xattrs[set - 1].len);
	if (len > CATALOG_XATTR_MAX || off > c->b.h.xattrs_bytes ||
	    len > c->b.h.xattrs_bytes - off)
		return -EBADMSG;
	*ret_data = c->b.xattr_bytes + off;
	*ret_len = len;
	return 0;
}

int catalog_chunk(const struct catalog *c, uint32_t chunk,
		  const struct digest **ret_digest, uint32_t *ret_size)
{
	const struct catalog_chunk_rec *r;

	if (chunk >= c->b.h.chunks)
		return -ENOENT;
	r = &c->b.chunks[chunk];
	*ret_digest = (const struct digest *)r->digest;
	*ret_size = le32_get(r->size);
	return 0;
}

/* A file's record, and its pieces where it has more than one. */
static int file_pieces(const struct catalog *c, uint32_t ino,
		       const struct catalog_inode_rec **ret_rec,
		       const struct catalog_piece_rec **ret_first,
		       uint32_t *ret_count)
{
	const struct catalog_inode_rec *r = inode_rec(c, ino);
	uint32_t first, count;

	if (!r)
		return -ENOENT;
	if (rec_type(r) != S_IFREG)
		return -EINVAL;
	first = le32_get(r->b);
	count = le32_get(r->a);
	if (count > 1 &&
	    (first > c->b.h.pieces || count > c->b.h.pieces - first))
		return -EBADMSG;
	*ret_rec = r;
	*ret_first = count > 1 ? c->b.pieces + first : NULL;
	*ret_count = count;
	return 0;
}

/* Readers take a buffer of the chunk's size for `len` bytes, so the two must
 * agree here and not only when the catalog was checked. */
static int piece_check(const struct catalog *c, const struct catalog_piece *p)
{
	if (p->len == 0)
		return -EBADMSG;
	if (p->chunk == CATALOG_HOLE)
		return 0;
	if (p->chunk >= c->b.h.chunks ||
	    le32_get(c->b.chunks[p->chunk].size) != p->len)
		return -EBADMSG;
	return 0;
}

static int piece_at_index(const struct catalog *c,
			  const struct catalog_inode_rec *r,
			  const struct catalog_piece_rec *first, uint32_t n,
			  struct catalog_piece *ret_piece)
{
	struct catalog_piece p = { .off = 0 };
	int err;

	if (first) {
		uint64_t end = le64_get(first[n].end);

		if (n > 0)
			p.off = le64_get(first[n - 1].end);
		if (end <= p.off || end > le64_get(r->size))
			return -EBADMSG;
		p.len = end - p.off;
		p.chunk = le32_get(first[n].chunk);
	} else {
		p.len = le64_get(r->size);
		p.chunk = le32_get(r->b);
	}
	err = piece_check(c, &p);
	if (err)
		return err;
	*ret_piece = p;
	return 0;
}

int catalog_piece(const struct catalog *c, uint32_t ino, uint32_t n,
		  struct catalog_piece *ret_piece)
{
	const struct catalog_piece_rec *first;
	const struct catalog_inode_rec *r;
	uint32_t count;
	int err = file_pieces(c, ino, &r, &first, &count);

	if (err)
		return err;
	if (n >= count)
		return -ENOENT;
	return piece_at_index(c, r, first, n, ret_piece);
}

int catalog_piece_at(const struct catalog *c, uint32_t ino, uint64_t off,
		     struct catalog_piece *ret_piece)
{
	const struct catalog_piece_rec *first;
	const struct catalog_inode_rec *r;
	struct catalog_piece p;
	uint32_t low = 0, high, count;
	int err = file_pieces(c, ino, &r, &first, &count);

	if (err)
		return err;
	if (off >= le64_get(r->size))
		return -ENOENT;
	if (count == 0)
		return -EBADMSG;
	high = count - 1;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (le64_get(first[mid].end) > off)
			high = mid;
		else
			low = mid + 1;
	}
	err = piece_at_index(c, r, first, low, &p);
	if (err)
		return err;
	if (off < p.off || off - p.off >= p.len)
		return -EBADMSG;
	*ret_piece = p;
	return 0;
}
