/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tar stream as a source, read by libarchive in any compression it knows
 * itself (helper programs are not started). Content goes into the pipeline as
 * it comes, so the packs are in the order of the archive; the tree is put
 * together in a struct tar_tree meanwhile. ACLs in tar's own text form are
 * not taken in, those that were written as extended attributes are.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive_locale.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "ingest_internal.h"
#include "tar_tree.h"
#include "xattr_codec.h"

#define READ_BLOCK_BYTES (256u << 10)
#define WAIT_MS 100 /* after which a silent pipe's reader looks up */

struct tar_source {
	struct archive *archive;
	const char *label;
	const struct ingest_owner *self;
	bool privileged;
	struct progress *progress;
	int fd;
	uint8_t *input; /* READ_BLOCK_BYTES, what libarchive is given */
	struct tar_tree *tree;
	struct ingest *in;
	const char *path; /* of the entry at hand, for messages */

	/* Its content: where reading is, and the block at hand. */
	uint64_t size, pos;
	const uint8_t *block;
	size_t block_len;
	uint64_t block_off;
	bool at_end;
};

static void cleanup_archive(struct archive **a)
{
	if (*a)
		archive_read_free(*a);
}

/* libarchive's own codes are not errnos; what it says of the format is
 * damage. */
static int archive_err(struct archive *a)
{
	int err = archive_errno(a);

	if (err == ENOMEM || err == EIO || err == ECANCELED)
		return -err;
	return -EBADMSG;
}

static int source_error(const struct tar_source *s)
{
	const char *text = archive_error_string(s->archive);
	int r = archive_err(s->archive);

	if (r == -ECANCELED)
		return r;
	return log_error(r, "%s: %s", s->label,
			 text ? text : "cannot read the archive");
}

/* Waits until there is something to be read. A pipe may be silent for as long
 * as it likes, and whoever asked for the import may give up meanwhile. */
static int input_wait(const struct tar_source *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };
	int n, r;

	while ((n = poll(&p, 1, WAIT_MS)) <= 0) {
		if (n < 0 && errno != EINTR)
			return -errno;
		r = progress_tick(s->progress, "content",
				  s->in ? s->in->result.files : 0, 0,
				  s->in ? s->in->result.read_bytes : 0, 0);
		if (r < 0)
			return r;
	}
	return 0;
}

static la_ssize_t input_read(struct archive *a, void *arg,
			     const void **ret_block)
{
	struct tar_source *s = arg;
	ssize_t n;
	int r;

	do {
		r = input_wait(s);
		if (r < 0) {
			archive_set_error(a, -r, "%s", strerror(-r));
			return -1;
		}
		n = read(s->fd, s->input, READ_BLOCK_BYTES);
	} while (n < 0 && (errno == EINTR || errno == EAGAIN));
	if (n < 0)
		archive_set_error(a, errno, "cannot read it: %s",
				  strerror(errno));
	*ret_block = s->input;
	return n;
}

static int source_open(struct tar_source *s)
{
	struct archive *a = archive_read_new();

	s->archive = a;
	s->input = malloc(READ_BLOCK_BYTES);
	if (!a || !s->input)
		return -ENOMEM;
	archive_read_support_filter_bzip2(a);
	archive_read_support_filter_compress(a);
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_lz4(a);
	archive_read_support_filter_lzip(a);
	archive_read_support_filter_lzma(a);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_zstd(a);
	archive_read_support_format_tar(a);
	if (archive_read_open(a, s, NULL, input_read, NULL) != ARCHIVE_OK)
		return source_error(s);
	return 0;
}

static int entry_xattrs(const struct tar_source *s, struct archive_entry *e,
			struct buf *out)
{
	_cleanup_(xattr_set_release) struct xattr_set set = XATTR_SET_INIT;
	const char *name;
	const void *value;
	size_t len;
	int r;

	archive_entry_xattr_reset(e);
	while (archive_entry_xattr_next(e, &name, &value, &len) == ARCHIVE_OK) {
		if (!name || !xattr_is_kept(name, s->privileged))
			continue;
		/* Archives have each attribute in two spellings. */
		r = xattr_set_add(&set, name, strlen(name), value, len);
		if (r < 0 && r != -EEXIST)
			return r;
	}
	return xattr_set_encode(&set, out);
}

static int entry_id(const struct tar_source *s, int64_t id, uint32_t self,
		    uint32_t *ret_id)
{
	if (!s->privileged || id == self) {
		*ret_id = CATALOG_OWNER_SELF;
		return 0;
	}
	if (id < 0 || id >= UINT32_MAX)
		return -EINVAL;
	*ret_id = id;
	return 0;
}

static int entry_rdev(struct archive_entry *e, uint32_t *ret_rdev)
{
	dev_t rdev = archive_entry_rdev(e);

	if (rdev > UINT32_MAX)
		return -EINVAL;
	*ret_rdev = rdev;
	return 0;
}

/* Strings in *ret_meta are the entry's and those in `xattrs`. */
static int entry_meta(const struct tar_source *s, struct archive_entry *e,
		      struct buf *xattrs, struct catalog_meta *ret_meta)
{
	unsigned type = archive_entry_filetype(e);
	struct catalog_meta m = {
		.mode = type | (archive_entry_perm(e) & 07777),
		.mtime_sec = archive_entry_mtime(e),
		.mtime_nsec = archive_entry_mtime_nsec(e),
	};
	int r;

	r = entry_id(s, archive_entry_uid(e), s->self->uid, &m.uid);
	if (r == 0)
		r = entry_id(s, archive_entry_gid(e), s->self->gid, &m.gid);
	if (r == 0 && (type == AE_IFCHR || type == AE_IFBLK))
		r = entry_rdev(e, &m.rdev);
	if (r < 0)
		return r;
	if (type == AE_IFLNK) {
		m.target = archive_entry_symlink(e);
		if (!m.target)
			return -EINVAL;
		m.target_len = strlen(m.target);
	}
	r = entry_xattrs(s, e, xattrs);
	if (r < 0)
		return r;
	m.xattrs = xattrs->data;
	m.xattrs_len = xattrs->len;
	*ret_meta = m;
	return 0;
}

static void content_begin(struct tar_source *s, uint64_t size)
{
	s->size = size;
	s->pos = s->block_off = 0;
	s->block_len = 0;
	s->at_end = false;
}

/* The next block; at the end an empty one behind the content. Blocks of a
 * sparse file leave its holes out, also the one at the end. */
static int content_next(struct tar_source *s)
{
	const void *block;
	la_int64_t off;
	size_t len;
	int r = archive_read_data_block(s->archive, &block, &len, &off);

	if (r == ARCHIVE_EOF) {
		s->at_end = true;
		s->block_off = s->size > s->pos ? s->size : s->pos;
		s->block_len = 0;
		return 0;
	}
	if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
		return source_error(s);
	if (off < 0 || (uint64_t)off < s->pos)
		return log_error(-EBADMSG, "%s: %s: content out of order",
				 s->label, s->path);
	s->block = block;
	s->block_len = len;
	s->block_off = off;
	return 0;
}

/* Of a hole that it is in already: what comes behind a block is not known
 * before it is read. */
static uint64_t content_hole(void *ctx, uint64_t off)
{
	const struct tar_source *s = ctx;

	return off < s->block_off ? s->block_off - off : 0;
}

static ssize_t content_read(void *ctx, void *buf, size_t len, uint64_t off)
{
	struct tar_source *s = ctx;
	uint64_t n;
	int r;

	s->pos = off;
	while (s->pos == s->block_off + s->block_len && !s->at_end) {
		r = content_next(s);
		if (r < 0)
			return r;
	}
	if (s->pos < s->block_off) {
		n = s->block_off - s->pos;
		n = n < len ? n : len;
		memset(buf, 0, n);
	} else {
		n = s->block_off + s->block_len - s->pos;
		n = n < len ? n : len;
		if (n > 0)
			memcpy(buf, s->block + (s->pos - s->block_off), n);
	}
	s->pos += n;
	return n;
}

static int take_link(struct tar_source *s, const char *path, const char *target)
{
	_cleanup_buf_ struct buf to = BUF_INIT;
	int r = tar_path_normalize(target, &to);

	if (r == 0)
		r = tar_tree_link(s->tree, path, (const char *)to.data);
	if (r < 0)
		return log_error(r, "%s: %s: cannot link to %s", s->label,
				 s->path, target);
	return 0;
}

static int take_node(struct tar_source *s, struct archive_entry *e,
		     const char *path)
{
	_cleanup_buf_ struct buf xattrs = BUF_INIT;
	const struct ingest_source content = { .read = content_read,
					       .hole = content_hole,
					       .ctx = s };
	struct catalog_meta meta;
	uint32_t inode;
	int r;

	r = entry_meta(s, e, &xattrs, &meta);
	if (r == 0)
		r = tar_tree_put(s->tree, path, &meta, &inode);
	if (r < 0)
		return log_error(r, "%s: %s: cannot take in", s->label,
				 s->path);
	if (!S_ISREG(meta.mode))
		return 0;
	content_begin(s, archive_entry_size(e));
	return ingest_stream(s->in, inode, &content);
}

static int take_entry(struct tar_source *s, struct archive_entry *e)
{
	_cleanup_buf_ struct buf path = BUF_INIT;
	const char *hardlink = archive_entry_hardlink(e);
	int r;

	s->path = archive_entry_pathname(e);
	if (!s->path)
		return log_error(-EINVAL, "%s: an entry without a path",
				 s->label);
	r = tar_path_normalize(s->path, &path);
	if (r < 0)
		return log_error(r, "%s: refused the path %s", s->label,
				 s->path);
	if (hardlink)
		return take_link(s, (const char *)path.data, hardlink);
	if (archive_entry_filetype(e) == AE_IFSOCK) {
		log_warn(0, "%s: %s: a socket, left out", s->label, s->path);
		return 0;
	}
	return take_node(s, e, (const char *)path.data);
}

static int take_all(struct tar_source *s)
{
	struct archive_entry *e;
	int r;

	for (;;) {
		r = archive_read_next_header(s->archive, &e);
		if (r == ARCHIVE_EOF)
			return 0;
		/* A warning is about a name that is no UTF-8. */
		if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
			return source_error(s);
		r = take_entry(s, e);
		if (r < 0)
			return r;
	}
}

static int finish(struct tar_source *s, struct entry *e,
		  struct ingest_result *ret_result)
{
	struct catalog_meta root;
	int r;

	/* Pieces of the last files are still under way. */
	r = ingest_pipeline_finish(s->in);
	if (r < 0)
		return r;
	tar_tree_root(s->tree, &root);
	r = ingest_set_root(s->in, &root);
	if (r == 0)
		r = tar_tree_build(s->tree, ingest_build(s->in));
	if (r < 0)
		return log_error(r, "%s: cannot import", s->label);
	return ingest_commit(s->in, e, ret_result);
}

static int run(struct tar_source *s, struct store *store, struct entry *e,
	       struct ingest_result *ret_result)
{
	struct catalog_meta root;
	int r;

	tar_tree_root(s->tree, &root);
	r = ingest_new_sink(store, &root, s->progress, tar_tree_piece, s->tree,
			    &s->in);
	if (r < 0)
		return r;
	r = take_all(s);
	if (r == 0)
		r = finish(s, e, ret_result);
	ingest_free(s->in);
	return r;
}

int ingest_tar(struct store *s, int fd, const char *label,
	       const struct ingest_owner *self, struct progress *progress,
	       struct entry *e, struct ingest_result *ret_result)
{
	struct tar_source src = {
		.label = label,
		.self = self,
		.privileged = geteuid() == 0,
		.progress = progress,
		.fd = fd,
	};
	struct archive_locale locale;
	int r;

	r = tar_tree_new(&src.tree);
	if (r < 0)
		return r;
	archive_locale_begin(&locale);
	r = source_open(&src);
	if (r == 0)
		r = run(&src, s, e, ret_result);
	cleanup_archive(&src.archive);
	free(src.input);
	archive_locale_end(&locale);
	tar_tree_free(src.tree);
	return r;
}
