/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree as a tar stream in tree order, written by libarchive as pax (times
 * to the nanosecond, xattrs, any name and size), without compression. The
 * same tree gives the same bytes. Goes down the tree with a stack of its own,
 * so depth is no limit.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "archive_locale.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "base/map.h"
#include "chunker.h"
#include "export.h"
#include "export_node.h"
#include "xattr_codec.h"

/* Holes below this size in all are written as zeros: a sparse map costs a
 * header too, and not every reader knows it. */
#define SPARSE_MIN (UINT64_C(64) << 10)

#define TAR_RECORD 10240 /* the customary unit of a tar's length */
#define TAR_WRITE_BYTES (TAR_RECORD * 25)

/* A directory on the way down. */
struct level {
	uint32_t ino;
	uint32_t next;	 /* position of the next name */
	size_t path_len; /* of the directory's own path */
};

struct tar_export {
	int fd;
	int err; /* sticky: nothing more is written */
	struct store_tree *tree;
	const struct catalog *catalog;
	const struct ingest_owner *self;
	struct progress *progress;
	struct catalog_info info;
	struct archive *archive;
	struct codec_ctx *codec;
	uint8_t *chunk, *zeros; /* CHUNK_MAX bytes each */
	struct buf path;	/* without a NUL */
	struct level *levels;
	size_t n_levels, levels_cap;
	struct map first; /* ino -> path of the first name, where several */
	uint64_t done_files, done_bytes;
};

/* For libarchive all writing succeeds: it leaks memory otherwise, and ends
 * the stream properly after an error, so that a reader could not tell. */
static la_ssize_t tar_write(struct archive *a, void *ctx, const void *data,
			    size_t len)
{
	struct tar_export *x = ctx;

	(void)a;
	if (x->err)
		return len;
	x->err = io_write(x->fd, data, len);
	if (x->err)
		log_error(x->err, "cannot write the tar");
	return len;
}

/* What libarchive itself refuses. */
static int tar_error(const struct tar_export *x)
{
	int err = archive_errno(x->archive);
	const char *text = archive_error_string(x->archive);

	return log_error(err == ENOMEM ? -ENOMEM : -EINVAL,
			 "cannot make the tar: %s", text ? text : "unknown");
}

static int put_bytes(struct tar_export *x, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len > 0) {
		la_ssize_t n = archive_write_data(x->archive, p, len);

		if (n <= 0)
			return tar_error(x);
		p += n;
		len -= n;
	}
	return x->err;
}

static int put_piece(struct tar_export *x, const struct catalog_piece *p)
{
	const struct digest *digest;
	uint64_t left = p->len;
	uint32_t size;
	int r = 0;

	if (p->chunk == CATALOG_HOLE) {
		for (; r == 0 && left > 0;) {
			size_t n = left < CHUNK_MAX ? left : CHUNK_MAX;

			r = put_bytes(x, x->zeros, n);
			left -= n;
		}
		return r;
	}
	r = catalog_chunk(x->catalog, p->chunk, &digest, &size);
	if (r < 0)
		return r;
	if (size != p->len || size > CHUNK_MAX)
		return -EBADMSG;
	r = store_chunk_read(x->tree, x->codec, p->chunk, 0, x->chunk);
	if (r < 0)
		return r;
	return put_bytes(x, x->chunk, size);
}

static int put_content(struct tar_export *x, const struct catalog_inode *i)
{
	struct catalog_piece p;
	uint32_t n;
	int r = 0;

	for (n = 0; r == 0 && n < i->pieces; n++) {
		r = catalog_piece(x->catalog, i->ino, n, &p);
		if (r == 0)
			r = put_piece(x, &p);
	}
	x->done_bytes += i->size;
	return r;
}

/* Tells libarchive where the holes are. A file of nothing else gets an empty
 * region, since no region at all means that there are no holes. */
static int entry_sparse(struct tar_export *x, const struct catalog_inode *i,
			struct archive_entry *e)
{
	uint64_t holes = 0;
	struct catalog_piece p;
	uint32_t n;
	int r;

	for (n = 0; n < i->pieces; n++) {
		r = catalog_piece(x->catalog, i->ino, n, &p);
		if (r < 0)
			return r;
		if (p.chunk == CATALOG_HOLE)
			holes += p.len;
		else
			archive_entry_sparse_add_entry(e, p.off, p.len);
	}
	if (holes < SPARSE_MIN)
		archive_entry_sparse_clear(e);
	else if (holes == i->size)
		archive_entry_sparse_add_entry(e, 0, 0);
	return 0;
}

static int entry_xattrs(struct tar_export *x, const struct catalog_inode *i,
			struct archive_entry *e)
{
	struct xattr_view v;
	struct cursor c;
	const void *data;
	size_t len;
	int r;

	if (!i->has_xattrs)
		return 0;
	r = catalog_xattrs(x->catalog, i->ino, &data, &len);
	if (r < 0)
		return r;
	cursor_init(&c, data, len);
	while ((r = xattr_next(&c, &v)) > 0)
		archive_entry_xattr_add_entry(e, v.name, v.value, v.value_len);
	return r;
}

static int entry_target(struct tar_export *x, const struct catalog_inode *i,
			struct archive_entry *e)
{
	_cleanup_free_ char *text = NULL;
	const char *target;
	size_t len;
	int r;

	r = catalog_readlink(x->catalog, i->ino, &target, &len);
	if (r < 0)
		return r;
	text = strndup(target, len);
	if (!text)
		return -ENOMEM;
	archive_entry_copy_symlink(e, text);
	return 0;
}

static int entry_fill(struct tar_export *x, const struct catalog_inode *i,
		      const char *path, struct archive_entry *e)
{
	uint32_t uid, gid;

	export_owner(x->self, i, &uid, &gid);
	archive_entry_copy_pathname(e, path);
	archive_entry_set_mode(e, i->mode);
	archive_entry_set_uid(e, uid);
	archive_entry_set_gid(e, gid);
	archive_entry_set_mtime(e, i->mtime_sec, i->mtime_nsec);
	archive_entry_set_size(e, S_ISREG(i->mode) ? (int64_t)i->size : 0);
	if (S_ISCHR(i->mode) || S_ISBLK(i->mode))
		archive_entry_set_rdev(e, i->rdev);
	return entry_xattrs(x, i, e);
}

static void cleanup_entry(struct archive_entry **e)
{
	archive_entry_free(*e);
}

static int put_header(struct tar_export *x, struct archive_entry *e)
{
	int r = archive_write_header(x->archive, e);

	/* A warning says that a name is no UTF-8; it is written as it is. */
	return r == ARCHIVE_OK || r == ARCHIVE_WARN ? x->err : tar_error(x);
}

static int put_node(struct tar_export *x, const struct catalog_inode *i,
		    const char *path)
{
	_cleanup_(cleanup_entry) struct archive_entry *e = archive_entry_new();
	int r;

	if (!e)
		return -ENOMEM;
	r = entry_fill(x, i, path, e);
	if (r == 0 && S_ISLNK(i->mode))
		r = entry_target(x, i, e);
	if (r == 0 && S_ISREG(i->mode))
		r = entry_sparse(x, i, e);
	if (r == 0)
		r = put_header(x, e);
	if (r == 0 && S_ISREG(i->mode))
		r = put_content(x, i);
	return r;
}

static int put_link(struct tar_export *x, const struct catalog_inode *i,
		    const char *path, const char *first)
{
	_cleanup_(cleanup_entry) struct archive_entry *e = archive_entry_new();
	uint32_t uid, gid;

	if (!e)
		return -ENOMEM;
	export_owner(x->self, i, &uid, &gid);
	archive_entry_copy_pathname(e, path);
	archive_entry_set_mode(e, i->mode);
	archive_entry_set_uid(e, uid);
	archive_entry_set_gid(e, gid);
	archive_entry_set_mtime(e, i->mtime_sec, i->mtime_nsec);
	archive_entry_set_size(e, 0);
	archive_entry_copy_hardlink(e, first);
	return put_header(x, e);
}

/* The node, or a link to its first name where that is out already. */
static int put_linked(struct tar_export *x, const struct catalog_inode *i,
		      const char *path)
{
	const char *first = map_get(&x->first, i->ino);
	char *copy;

	if (first)
		return put_link(x, i, path, first);
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	if (map_put(&x->first, i->ino, copy) < 0) {
		free(copy);
		return -ENOMEM;
	}
	return put_node(x, i, path);
}

/* The path with a NUL behind it, which does not count. */
static const char *path_text(struct tar_export *x)
{
	buf_put_u8(&x->path, '\0');
	if (buf_error(&x->path))
		return NULL;
	x->path.len--;
	return (const char *)x->path.data;
}

/* A catalog has no more levels than directories; more means a cycle. */
static int level_push(struct tar_export *x, uint32_t ino)
{
	if (x->n_levels > x->info.dirs)
		return -EBADMSG;
	if (x->n_levels == x->levels_cap) {
		size_t cap = x->levels_cap ? x->levels_cap * 2 : 64;
		void *levels = realloc(x->levels, cap * sizeof(*x->levels));

		if (!levels)
			return -ENOMEM;
		x->levels = levels;
		x->levels_cap = cap;
	}
	x->levels[x->n_levels++] = (struct level){
		.ino = ino,
		.path_len = x->path.len,
	};
	return 0;
}

static int put_name(struct tar_export *x, const struct catalog_dirent *d)
{
	struct catalog_inode i;
	const char *path;
	int r;

	if (x->path.len > 0)
		buf_put_u8(&x->path, '/');
	buf_put(&x->path, d->name, d->name_len);
	path = path_text(x);
	if (!path)
		return -ENOMEM;
	r = catalog_inode(x->catalog, d->ino, &i);
	if (r < 0)
		return r;
	x->done_files += !S_ISDIR(i.mode);
	r = i.nlink > 1 && !S_ISDIR(i.mode) ? put_linked(x, &i, path) :
					      put_node(x, &i, path);
	if (r == 0 && S_ISDIR(i.mode))
		r = level_push(x, d->ino);
	return r;
}

static int put_tree(struct tar_export *x)
{
	int r = level_push(x, CATALOG_ROOT);

	while (r == 0 && x->n_levels > 0) {
		struct level *l = &x->levels[x->n_levels - 1];
		struct catalog_dirent d;

		x->path.len = l->path_len;
		r = catalog_dirent(x->catalog, l->ino, l->next++, &d);
		if (r == -ENOENT) {
			x->n_levels--;
			r = 0;
			continue;
		}
		if (r == 0)
			r = put_name(x, &d);
		if (r == 0)
			r = progress_tick(x->progress, "write", x->done_files,
					  x->info.inodes - x->info.dirs,
					  x->done_bytes, x->info.bytes);
	}
	return r;
}

static int put_root(struct tar_export *x)
{
	struct catalog_inode i;
	int r = catalog_inode(x->catalog, CATALOG_ROOT, &i);

	return r < 0 ? r : put_node(x, &i, "./");
}

static int tar_prepare(struct tar_export *x)
{
	int r = codec_ctx_new(&x->codec);

	if (r < 0)
		return r;
	catalog_info(x->catalog, &x->info);
	x->chunk = malloc(CHUNK_MAX);
	x->zeros = calloc(1, CHUNK_MAX);
	x->archive = archive_write_new();
	if (!x->chunk || !x->zeros || !x->archive)
		return -ENOMEM;
	/* Attributes in the spelling that other programs know, and not in
	 * libarchive's own as well. */
	if (archive_write_set_format_pax(x->archive) != ARCHIVE_OK ||
	    archive_write_set_format_option(x->archive, "pax", "xattrheader",
					    "SCHILY") != ARCHIVE_OK ||
	    archive_write_add_filter_none(x->archive) != ARCHIVE_OK ||
	    archive_write_set_bytes_per_block(x->archive, TAR_WRITE_BYTES) !=
		    ARCHIVE_OK ||
	    archive_write_set_bytes_in_last_block(x->archive, TAR_RECORD) !=
		    ARCHIVE_OK ||
	    archive_write_open(x->archive, x, NULL, tar_write, NULL) !=
		    ARCHIVE_OK)
		return tar_error(x);
	return 0;
}

static void tar_release(struct tar_export *x)
{
	char *path;
	size_t pos = 0;

	while ((path = map_next(&x->first, &pos, NULL)))
		free(path);
	map_release(&x->first);
	if (x->archive)
		archive_write_free(x->archive);
	codec_ctx_free(x->codec);
	buf_release(&x->path);
	free(x->levels);
	free(x->chunk);
	free(x->zeros);
}

static int tar_run(struct tar_export *x)
{
	int r = tar_prepare(x);

	if (r == 0)
		r = put_root(x);
	if (r == 0)
		r = put_tree(x);
	if (r < 0)
		return x->err = r;
	if (archive_write_close(x->archive) != ARCHIVE_OK)
		return tar_error(x);
	return x->err;
}

int export_tar(struct store_tree *t, int fd, const struct ingest_owner *self,
	       struct progress *progress)
{
	_cleanup_(tar_release) struct tar_export x = {
		.fd = fd,
		.tree = t,
		.catalog = store_tree_catalog(t),
		.self = self,
		.progress = progress,
		.path = BUF_INIT,
	};
	struct archive_locale locale;
	int r;

	archive_locale_begin(&locale);
	r = tar_run(&x);
	archive_locale_end(&locale);
	return r;
}
