/* SPDX-License-Identifier: Apache-2.0 */
/* Folding one blob, and putting it in its place. See folding.h. */
#include "folding.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/log.h"
#include "base/publish.h"
#include "tree_blobs.h"

void folding_release(struct folding *f)
{
	buf_release(&f->file);
}

int folding_encode(struct folding *f, const struct digest *anchor,
		   const struct catalog *prefix)
{
	buf_release(&f->file);
	f->prefix = NULL;
	f->prefix_len = 0;
	f->header.anchor = (struct digest){ { 0 } };
	if (anchor) {
		f->prefix = catalog_bytes(prefix, &f->prefix_len);
		f->header.anchor = *anchor;
	}
	return fold_encode(&f->header, f->prefix, f->prefix_len, f->data,
			   &f->file);
}

/* What replaces the only copy has to give it back. */
static int compare(const struct folding *f)
{
	_cleanup_free_ uint8_t *again = malloc(f->header.bytes);
	int r;

	if (!again)
		return -ENOMEM;
	r = fold_decode(&f->header, f->prefix, f->prefix_len, f->file.data,
			f->file.len, again);
	if (r < 0)
		return r;
	return memcmp(again, f->data, f->header.bytes) == 0 ?
		       0 :
		       log_error(-EIO, "a blob that was folded differs");
}

static int replace(const struct folding *f)
{
	struct store *s = f->store;
	const struct digest *name = &f->header.name;
	bool catalog = f->header.kind == FOLD_CATALOG;
	int rootfd = catalog ? s->catalogs_fd : s->placements_fd;
	_cleanup_publish_ struct publish p = PUBLISH_INIT;
	_cleanup_close_ int dirfd = -1;
	char path[STORE_PATH_LEN + 1];
	struct index_stamp stamp;
	struct stat st;
	int r = fault_check("rest.replace");

	store_path(name, path);
	path[2] = '\0';
	if (r == 0)
		r = publish_open(&p, rootfd, 0600);
	if (r == 0)
		r = io_write(p.fd, f->file.data, f->file.len);
	if (r == 0)
		r = publish_sync(&p);
	if (r < 0)
		return r;
	dirfd = openat(rootfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return -errno;
	r = store_replace_resting(s, dirfd, name, &p);
	if (r <= 0)
		return r;
	r = publish_sync_dir(dirfd);
	if (r == 0 && fstat(p.fd, &st) < 0)
		r = -errno;
	if (r < 0)
		return r;
	store_stamp(&st, &stamp);
	store_put_stamp(s, catalog ? INDEX_BLOB_CATALOG : INDEX_BLOB_PLACEMENT,
			name, &stamp);
	return 1;
}

int folding_publish(const struct folding *f)
{
	int r;

	if (f->file.len >= f->header.bytes)
		return 0;
	r = compare(f);
	return r < 0 ? r : replace(f);
}
