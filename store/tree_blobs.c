/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of catalogs and placements. One whose stat data is what the index
 * noted when it was last checked is mapped as it is; any other is checked
 * whole first, and set aside when it is damaged. So opening costs the same for
 * every tree but the first time, and for folded ones (unfold.c). A placement
 * is no more than a copy of what the index knows and is made again where it is
 * missing. Any thread.
 */
#include "tree_blobs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"

#define VERIFY_STEP_BYTES (256u << 10)

int tree_blob_open(int rootfd, const struct digest *digest,
		   struct index_stamp *ret_stamp)
{
	_cleanup_close_ int fd = -1;
	char path[STORE_PATH_LEN + 1];
	struct stat st;

	store_path(digest, path);
	fd = openat(rootfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	store_stamp(&st, ret_stamp);
	return steal_fd(&fd);
}

bool tree_blob_is_known(struct store *s, enum index_blob kind,
			const struct digest *digest,
			const struct index_stamp *now)
{
	struct index_stamp then;

	if (index_get_stamp(s->index, kind, digest, &then) < 0)
		return false;
	return then.bytes == now->bytes && then.ino == now->ino &&
	       then.mtime_ns == now->mtime_ns && then.ctime_ns == now->ctime_ns;
}

static int blob_verify(int fd, uint64_t bytes, const struct digest *digest)
{
	_cleanup_digest_ctx_ struct digest_ctx *ctx = NULL;
	_cleanup_free_ uint8_t *buf = malloc(VERIFY_STEP_BYTES);
	struct digest got;
	uint64_t off;
	int r;

	if (!buf)
		return -ENOMEM;
	r = digest_ctx_new(&ctx);
	for (off = 0; r == 0 && off < bytes;) {
		size_t n = bytes - off < VERIFY_STEP_BYTES ? bytes - off :
							     VERIFY_STEP_BYTES;

		r = io_pread(fd, buf, n, off);
		if (r == 0)
			r = digest_ctx_update(ctx, buf, n);
		off += n;
	}
	if (r == 0)
		r = digest_ctx_final(ctx, &got);
	if (r < 0)
		return r == -ENODATA ? -EBADMSG : r;
	return digest_equal(&got, digest) ? 0 : -EBADMSG;
}

/* ---- catalogs */

/* A catalog's file, and what is known of it. */
struct catalog_file {
	const struct digest *digest;
	struct index_stamp stamp;
	int fd;
	bool known; /* to be good */
};

static int load_plain(const struct catalog_file *f,
		      struct catalog **ret_catalog)
{
	int r;

	if (f->known)
		return catalog_open_fd(f->fd, CATALOG_CHECK_HEADER,
				       ret_catalog);
	r = blob_verify(f->fd, f->stamp.bytes, f->digest);
	return r < 0 ? r :
		       catalog_open_fd(f->fd, CATALOG_CHECK_FULL, ret_catalog);
}

static int load(struct store *s, const struct digest *digest, bool full,
		bool is_anchor, struct catalog **ret_catalog,
		struct digest *ret_anchor);

static int load_anchor(struct store *s, const struct digest *digest,
		       const struct digest *name, bool full,
		       struct catalog **ret_catalog)
{
	struct digest none;
	char hex[DIGEST_HEX_LEN + 1], of[DIGEST_HEX_LEN + 1];
	int r = load(s, digest, full, true, ret_catalog, &none);

	if (r != -ENOENT && r != -EBADMSG)
		return r;
	/* A collection is removing both. */
	if (store_is_condemned(s, name))
		return -ESRCH;
	digest_hex(digest, hex);
	digest_hex(name, of);
	return log_error(-ENOENT,
			 "catalog %s cannot be read: it is folded against "
			 "%s, which is not there any more",
			 of, hex);
}

/* What does not unfold may have nothing wrong but its anchor, which was believed
 * to be what it was: then that is damaged, and this is not. */
static int unfold_against(struct store *s, const struct catalog_file *f,
			  const struct fold_header *h,
			  struct catalog **ret_catalog)
{
	struct catalog *anchor = NULL;
	bool full = false;
	int r;

	for (;;) {
		r = load_anchor(s, &h->anchor, &h->name, full, &anchor);
		if (r == 0)
			r = unfold_catalog(s, f->fd, h, &f->stamp, anchor,
					   f->known, ret_catalog);
		catalog_unref(steal_ptr(&anchor));
		if (r != -EBADMSG || full)
			return r;
		full = true;
	}
}

/* -ENOENT: its anchor is lost; -ESRCH: both are going. */
static int load_folded(struct store *s, const struct catalog_file *f,
		       const struct fold_header *h, bool is_anchor,
		       struct catalog **ret_catalog)
{
	int r;

	if (h->kind != FOLD_CATALOG || !digest_equal(&h->name, f->digest))
		return log_error(-EBADMSG, "folded catalog: another one");
	if (!digest_is_zero(&h->anchor) && is_anchor)
		return log_error(-EBADMSG, "folded catalog: an anchor that has "
					   "one itself");
	if (f->known && (*ret_catalog = unfolded_find(s, f->digest, &f->stamp)))
		return 0;
	if (digest_is_zero(&h->anchor))
		r = unfold_catalog(s, f->fd, h, &f->stamp, NULL, f->known,
				   ret_catalog);
	else
		r = unfold_against(s, f, h, ret_catalog);
	if (r == 0)
		unfolded_keep(s, f->digest, &f->stamp, *ret_catalog);
	return r;
}

/* What is known to be good is not believed where `full`. */
static int load(struct store *s, const struct digest *digest, bool full,
		bool is_anchor, struct catalog **ret_catalog,
		struct digest *ret_anchor)
{
	struct catalog_file f = { .digest = digest };
	struct fold_header h = { .bytes = 0 };
	_cleanup_close_ int fd = -1;
	struct catalog *c = NULL;
	bool folded;
	int r;

	fd = f.fd = tree_blob_open(s->catalogs_fd, digest, &f.stamp);
	if (fd < 0)
		return fd;
	f.known = !full &&
		  tree_blob_is_known(s, INDEX_BLOB_CATALOG, digest, &f.stamp);
	r = fold_read_header(fd, &h);
	folded = r > 0;
	if (r >= 0)
		r = folded ? load_folded(s, &f, &h, is_anchor, &c) :
			     load_plain(&f, &c);
	if (r == -EBADMSG)
		return store_quarantine(s, s->catalogs_fd, "catalog", digest);
	/* The file is there. */
	if (r < 0)
		return r == -ENOENT ? -EBADMSG : r == -ESRCH ? -ENOENT : r;
	if (!f.known)
		store_put_stamp(s, INDEX_BLOB_CATALOG, digest, &f.stamp);
	*ret_catalog = c;
	*ret_anchor = h.anchor;
	return 0;
}

int tree_load_catalog(struct store *s, const struct digest *digest, bool full,
		      struct catalog **ret_catalog, struct digest *ret_anchor)
{
	return load(s, digest, full, false, ret_catalog, ret_anchor);
}

/* ---- placements */

static int placement_open(struct store *s, int fd, const struct digest *digest,
			  const struct index_stamp *stamp,
			  const struct catalog *c, bool full,
			  struct placement **ret_placement)
{
	struct fold_header h;
	int r = fold_read_header(fd, &h);

	if (r == 0)
		return placement_open_fd(fd, c, digest, full, ret_placement);
	if (r < 0)
		return r;
	if (h.kind != FOLD_PLACEMENT || !digest_equal(&h.name, digest) ||
	    !digest_is_zero(&h.anchor))
		return log_error(-EBADMSG, "folded placement: another one");
	return unfold_placement(s, fd, &h, stamp, c, full, ret_placement);
}

static int placement_load(struct store *s, const struct digest *digest,
			  const struct catalog *c, bool full,
			  struct placement **ret_placement)
{
	_cleanup_close_ int fd = -1;
	struct index_stamp stamp;
	bool known;
	int r;

	fd = tree_blob_open(s->placements_fd, digest, &stamp);
	if (fd < 0)
		return fd;
	known = tree_blob_is_known(s, INDEX_BLOB_PLACEMENT, digest, &stamp);
	r = placement_open(s, fd, digest, &stamp, c, full || !known,
			   ret_placement);
	if (r == -EBADMSG)
		return store_quarantine(s, s->placements_fd, "placement",
					digest);
	if (r == 0 && !known)
		store_put_stamp(s, INDEX_BLOB_PLACEMENT, digest, &stamp);
	return r;
}

/* Locations of all chunks of a catalog, as the index has them. */
struct chunk_locs {
	struct digest *digests;
	struct pack_loc *locs;
	bool *found;
	uint32_t n;
};

static void chunk_locs_release(struct chunk_locs *l)
{
	free(l->digests);
	free(l->locs);
	free(l->found);
}

static int chunk_locs_load(struct store *s, const struct catalog *c,
			   struct chunk_locs *l)
{
	struct catalog_info info;
	const struct digest *digest;
	uint32_t i, size;
	int r;

	catalog_info(c, &info);
	l->n = info.chunks;
	l->digests = calloc(l->n + 1, sizeof(*l->digests));
	l->locs = calloc(l->n + 1, sizeof(*l->locs));
	l->found = calloc(l->n + 1, sizeof(*l->found));
	if (!l->digests || !l->locs || !l->found)
		return -ENOMEM;
	for (i = 0; i < l->n; i++) {
		r = catalog_chunk(c, i, &digest, &size);
		if (r < 0)
			return r;
		l->digests[i] = *digest;
	}
	return index_get_chunks(s->index, l->digests, l->n, l->locs, l->found);
}

static int chunk_locs_find(void *arg, uint32_t chunk,
			   const struct digest *digest,
			   struct pack_loc *ret_loc)
{
	const struct chunk_locs *l = arg;

	(void)digest;
	if (chunk >= l->n || !l->found[chunk])
		return -ENOENT;
	*ret_loc = l->locs[chunk];
	return 0;
}

int tree_remake_placement(struct store *s, const struct digest *digest,
			  const struct catalog *c)
{
	_cleanup_(chunk_locs_release) struct chunk_locs l = { 0 };
	_cleanup_buf_ struct buf blob = BUF_INIT;
	struct index_stamp stamp;
	int r;

	r = chunk_locs_load(s, c, &l);
	if (r < 0)
		return r;
	r = placement_encode(c, digest, chunk_locs_find, &l, &blob);
	if (r < 0)
		return r;
	r = store_put_placement(s, digest, blob.data, blob.len, &stamp);
	if (r < 0)
		return r;
	store_put_stamp(s, INDEX_BLOB_PLACEMENT, digest, &stamp);
	return 0;
}

int tree_load_placement(struct store *s, const struct digest *digest,
			const struct catalog *c, bool full,
			struct placement **ret_placement)
{
	int r = placement_load(s, digest, c, full, ret_placement);

	if (r != -ENOENT && r != -EBADMSG)
		return r;
	r = tree_remake_placement(s, digest, c);
	if (r < 0)
		return r;
	return placement_load(s, digest, c, full, ret_placement);
}
