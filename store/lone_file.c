/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees of one file: looking at the file, and reading it. Writing it is
 * lone_file_write.c.
 */
#include "lone_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "chunker.h"
#include "ingest_walk.h"
#include "lone_file_note.h"
#include "roots_graft.h"

int lone_file_find(const struct catalog *c, const char *name, uint32_t *ret_ino)
{
	struct catalog_dirent de, more;
	struct catalog_inode inode;
	int r = catalog_dirent(c, CATALOG_ROOT, 0, &de);

	if (r == 0)
		r = catalog_inode(c, de.ino, &inode);
	if (r < 0)
		return r == -ENOENT ? -EBADMSG : r;
	if (!S_ISREG(inode.mode) ||
	    catalog_dirent(c, CATALOG_ROOT, 1, &more) != -ENOENT ||
	    (name && (strlen(name) != de.name_len ||
		      memcmp(name, de.name, de.name_len) != 0)))
		return -EBADMSG;
	*ret_ino = de.ino;
	return 0;
}

/* ---- what is there */

/* -EINVAL where it is no regular file. */
static int open_file(int dirfd, const char *name, struct stat *ret_st,
		     int *ret_fd)
{
	_cleanup_close_ int fd = openat(dirfd, name,
					O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
						O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return errno == ELOOP || errno == ENXIO ? -EINVAL : -errno;
	if (fstat(fd, ret_st) < 0)
		return -errno;
	if (!S_ISREG(ret_st->st_mode))
		return -EINVAL;
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* Whether the store can still say what the file is. */
static bool is_known(struct store *s, int fd, const struct stat *st,
		     struct digest *ret_catalog)
{
	_cleanup_manifest_ struct manifest *m = NULL;
	const struct manifest_file f = {
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.mtime_ns = clock_timespec_ns(&st->st_mtim),
		.ctime_ns = clock_timespec_ns(&st->st_ctim),
	};
	struct manifest_root root;
	uint32_t node;

	if (manifest_root_of(fd, &root) < 0 ||
	    manifest_open(s, &root, &m) < 0 || !manifest_find(m, &f, &node))
		return false;
	*ret_catalog = *manifest_catalog(m);
	return true;
}

int lone_file_look(struct store *s, int dirfd, const char *name,
		   enum lone_file_state *ret_state, struct digest *ret_catalog)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r = open_file(dirfd, name, &st, &fd);

	if (r < 0 && r != -ENOENT && r != -EINVAL)
		return r;
	*ret_state = r == -ENOENT		       ? LONE_FILE_ABSENT :
		     r < 0			       ? LONE_FILE_OTHER :
		     is_known(s, fd, &st, ret_catalog) ? LONE_FILE_KNOWN :
							 LONE_FILE_UNKNOWN;
	return 0;
}

/* ---- whether it is the tree's */

static bool is_zero(const uint8_t *data, size_t len)
{
	return len == 0 || (!data[0] && memcmp(data, data + 1, len - 1) == 0);
}

/* 1 where the `len` bytes at `off` are zeros. */
static int equals_hole(int fd, uint64_t off, uint64_t len, uint8_t *buf)
{
	while (len > 0) {
		size_t n = len < CHUNK_MAX ? (size_t)len : CHUNK_MAX;
		int r = io_pread(fd, buf, n, off);

		if (r < 0)
			return r;
		if (!is_zero(buf, n))
			return 0;
		off += n;
		len -= n;
	}
	return 1;
}

static int equals_piece(const struct catalog *c, int fd,
			const struct catalog_piece *p, uint8_t *buf)
{
	const struct digest *want;
	struct digest got;
	uint32_t size;
	int r;

	if (p->chunk == CATALOG_HOLE)
		return equals_hole(fd, p->off, p->len, buf);
	r = catalog_chunk(c, p->chunk, &want, &size);
	if (r < 0)
		return r;
	if (size != p->len || size > CHUNK_MAX)
		return -EBADMSG;
	r = io_pread(fd, buf, size, p->off);
	if (r == 0)
		r = digest_of(buf, size, &got);
	return r < 0 ? r : digest_equal(&got, want);
}

int lone_file_equals(struct store_tree *t, int dirfd, const char *name)
{
	const struct catalog *c = store_tree_catalog(t);
	_cleanup_close_ int fd = -1;
	_cleanup_free_ uint8_t *buf = malloc(CHUNK_MAX);
	struct catalog_inode inode;
	struct catalog_piece p;
	struct stat st;
	uint32_t ino;
	int r = buf ? lone_file_find(c, NULL, &ino) : -ENOMEM;

	if (r == 0)
		r = catalog_inode(c, ino, &inode);
	if (r == 0)
		r = open_file(dirfd, name, &st, &fd);
	if (r < 0)
		return r;
	r = (uint64_t)st.st_size == inode.size;
	for (uint32_t i = 0; r > 0 && i < inode.pieces; i++) {
		r = catalog_piece(c, ino, i, &p);
		if (r == 0)
			r = equals_piece(c, fd, &p, buf);
	}
	return r;
}

/* ---- reading it */

struct reader {
	int fd;
	const char *label;
};

static ssize_t read_some(void *ctx, void *buf, size_t len, uint64_t off)
{
	const struct reader *rd = ctx;
	ssize_t n;

	do
		n = pread(rd->fd, buf, len, (off_t)off);
	while (n < 0 && errno == EINTR);
	return n < 0 ? log_error(-errno, "%s: cannot read", rd->label) : n;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size &&
	       clock_timespec_ns(&a->st_mtim) ==
		       clock_timespec_ns(&b->st_mtim) &&
	       clock_timespec_ns(&a->st_ctim) == clock_timespec_ns(&b->st_ctim);
}

/* The file's node, and then its content. */
static int feed(struct ingest *in, const char *name,
		const struct catalog_meta *meta, struct reader *rd)
{
	const struct ingest_source src = { .read = read_some, .ctx = rd };
	struct catalog_build *b = ingest_build(in);
	const uint32_t *files;
	uint32_t node;
	size_t n;
	int r = catalog_build_node(b, meta, &node);

	if (r == 0)
		r = catalog_build_link(b, CATALOG_BUILD_ROOT, name,
				       strlen(name), node);
	if (r == 0)
		r = catalog_build_order(b, &files, &n);
	return r < 0 ? r : ingest_stream(in, node, &src);
}

static int take_in(struct store *s, struct reader *rd, const char *name,
		   const struct ingest_owner *self, const struct stat *st,
		   struct progress *progress, struct ingest_result *ret_result)
{
	_cleanup_buf_ struct buf xattrs = BUF_INIT;
	struct catalog_meta root = graft_plain_dir(), meta;
	struct ingest_result result;
	struct ingest *in;
	struct stat now;
	int r;

	r = walk_meta(rd->fd, self, geteuid() == 0, &xattrs, &meta);
	if (r == 0)
		r = ingest_new(s, &root, progress, &in);
	if (r < 0)
		return log_error(r, "%s: cannot import", rd->label);
	r = feed(in, name, &meta, rd);
	if (r == 0 && (fstat(rd->fd, &now) < 0 || !is_same(st, &now)))
		r = log_error(-ESTALE, "%s: changed while it was imported",
			      rd->label);
	if (r == 0)
		r = ingest_commit(in, NULL, &result);
	if (r == 0)
		*ret_result = result;
	ingest_free(in);
	return r;
}

/* The catalog says nothing new. */
static bool is_stored(struct store *s, const struct digest *catalog,
		      const char *name)
{
	struct store_tree *t;
	uint32_t ino;
	bool is;

	if (store_tree_open(s, catalog, &t) < 0)
		return false;
	is = lone_file_find(store_tree_catalog(t), name, &ino) == 0;
	store_tree_unref(t);
	return is;
}

int lone_file_ingest(struct store *s, int dirfd, const char *name,
		     const char *label, const struct ingest_owner *self,
		     struct progress *progress,
		     struct ingest_result *ret_result)
{
	_cleanup_close_ int fd = -1;
	struct reader rd = { .label = label };
	struct digest catalog;
	int64_t as_of_ns;
	struct stat st;
	int r = open_file(dirfd, name, &st, &fd);

	if (r < 0)
		return r;
	if (is_known(s, fd, &st, &catalog) && is_stored(s, &catalog, name)) {
		*ret_result = (struct ingest_result){ .catalog = catalog };
		return 0;
	}
	rd.fd = fd;
	as_of_ns = lone_file_settle(&st);
	r = take_in(s, &rd, name, self, &st, progress, ret_result);
	if (r == 0)
		lone_file_note(s, fd, &ret_result->catalog, as_of_ns, label);
	return r;
}
