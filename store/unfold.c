/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unfolding blobs when trees are opened (fold.h). What comes out is checked as
 * a plain file would be: by its digest and whole where the folded file is not
 * known to be good, and by the frame's checksum where it is. Its bytes go to a
 * file without a name, since the memory of a mapping can be given back and that
 * of a buffer cannot.
 *
 * Keeps the last few catalogs mapped (store.unfolded, under the store's lock).
 * Any thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "base/publish.h"
#include "tree_blobs.h"

/* A frame of bytes that do not compress is a little longer than they are. */
#define FILE_MAX (2 * (uint64_t)FOLD_BYTES_MAX)

int unfold_bytes(int fd, const struct fold_header *h,
		 const struct index_stamp *stamp, const void *prefix,
		 size_t prefix_len, uint8_t **ret_data)
{
	_cleanup_free_ uint8_t *file = NULL, *data = NULL;
	int r;

	if (stamp->bytes > FILE_MAX)
		return log_error(-EBADMSG, "folded blob: a size of %llu bytes",
				 (unsigned long long)stamp->bytes);
	file = malloc(stamp->bytes + 1);
	data = malloc(h->bytes);
	if (!file || !data)
		return -ENOMEM;
	r = io_pread(fd, file, stamp->bytes, 0);
	if (r == 0)
		r = fold_decode(h, prefix, prefix_len, file, stamp->bytes,
				data);
	if (r < 0)
		return r == -ENODATA ? -EBADMSG : r;
	*ret_data = steal_ptr(&data);
	return 0;
}

static int nameless_on_disk(struct store *s, const void *data, size_t len,
			    struct publish *p)
{
	int r = publish_open(p, s->fd, 0600);

	return r < 0 ? r : io_write(p->fd, data, len);
}

/* A file that goes when `p` is released and nobody maps it any more. In memory
 * where the disk is full: who makes room has to look at trees first. */
static int nameless(struct store *s, const void *data, size_t len,
		    struct publish *p)
{
	int r = nameless_on_disk(s, data, len, p);

	if (r != -ENOSPC && r != -EDQUOT && r != -EROFS)
		return r;
	publish_release(p);
	p->fd = memfd_create("unfolded", MFD_CLOEXEC);
	return p->fd < 0 ? -errno : io_write(p->fd, data, len);
}

static int check_digest(const struct fold_header *h, const void *data)
{
	struct digest got;
	int r = digest_of(data, h->bytes, &got);

	if (r < 0)
		return r;
	return digest_equal(&got, &h->name) ?
		       0 :
		       log_error(-EBADMSG, "folded catalog: another digest");
}

int unfold_catalog(struct store *s, int fd, const struct fold_header *h,
		   const struct index_stamp *stamp,
		   const struct catalog *anchor, bool known,
		   struct catalog **ret_catalog)
{
	_cleanup_publish_ struct publish p = PUBLISH_INIT;
	_cleanup_free_ uint8_t *data = NULL;
	const void *prefix = NULL;
	size_t prefix_len = 0;
	int r;

	if (anchor)
		prefix = catalog_bytes(anchor, &prefix_len);
	r = unfold_bytes(fd, h, stamp, prefix, prefix_len, &data);
	if (r == 0 && !known)
		r = check_digest(h, data);
	if (r == 0)
		r = nameless(s, data, h->bytes, &p);
	if (r < 0)
		return r;
	return catalog_open_fd(
		p.fd, known ? CATALOG_CHECK_HEADER : CATALOG_CHECK_FULL,
		ret_catalog);
}

int unfold_placement(struct store *s, int fd, const struct fold_header *h,
		     const struct index_stamp *stamp, const struct catalog *c,
		     bool full, struct placement **ret_placement)
{
	_cleanup_publish_ struct publish p = PUBLISH_INIT;
	_cleanup_free_ uint8_t *data = NULL;
	int r = unfold_bytes(fd, h, stamp, NULL, 0, &data);

	if (r == 0)
		r = nameless(s, data, h->bytes, &p);
	if (r < 0)
		return r;
	return placement_open_fd(p.fd, c, &h->name, full, ret_placement);
}

/* ---- those that stay mapped */

static bool is_same(const struct store_unfolded *u, const struct digest *digest,
		    const struct index_stamp *stamp)
{
	return u->catalog && digest_equal(&u->digest, digest) &&
	       u->stamp.bytes == stamp->bytes && u->stamp.ino == stamp->ino &&
	       u->stamp.mtime_ns == stamp->mtime_ns &&
	       u->stamp.ctime_ns == stamp->ctime_ns;
}

struct catalog *unfolded_find(struct store *s, const struct digest *digest,
			      const struct index_stamp *stamp)
{
	LOCK_SCOPE(&s->lock);
	unsigned i;

	for (i = 0; i < STORE_UNFOLDED; i++) {
		struct store_unfolded found = s->unfolded[i];

		if (!is_same(&found, digest, stamp))
			continue;
		/* To the front: the last one goes first. */
		for (; i > 0; i--)
			s->unfolded[i] = s->unfolded[i - 1];
		s->unfolded[0] = found;
		return catalog_ref(found.catalog);
	}
	return NULL;
}

static struct catalog *push(struct store *s, const struct digest *digest,
			    const struct index_stamp *stamp, struct catalog *c)
{
	LOCK_SCOPE(&s->lock);
	struct catalog *last = s->unfolded[STORE_UNFOLDED - 1].catalog;
	unsigned i;

	for (i = STORE_UNFOLDED - 1; i > 0; i--)
		s->unfolded[i] = s->unfolded[i - 1];
	s->unfolded[0] = (struct store_unfolded){ *digest, *stamp, c };
	return last;
}

/* Unmapping what is pushed out takes a while, so it is done outside. */
void unfolded_keep(struct store *s, const struct digest *digest,
		   const struct index_stamp *stamp, struct catalog *c)
{
	catalog_unref(push(s, digest, stamp, catalog_ref(c)));
}

void unfolded_release(struct store *s)
{
	unsigned i;

	for (i = 0; i < STORE_UNFOLDED; i++)
		catalog_unref(s->unfolded[i].catalog);
}
