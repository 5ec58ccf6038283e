/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a directory is still the tree that it was: where every file is known
 * from its manifest, its catalog can be made without reading one of them, and
 * the digest says the rest.
 */
#include "plain.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "ingest_before.h"

int plain_clear(int dirfd)
{
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *de;
	int r = io_opendir_at(dirfd, ".", &dir);

	while (r == 0 && (errno = 0, de = readdir(dir)))
		if (!io_is_dot(de->d_name))
			r = io_remove_tree(dirfd, de->d_name);
	return r < 0 ? r : -errno;
}

static int put_piece(void *build, uint32_t node, const struct digest *chunk,
		     uint64_t len)
{
	return catalog_build_piece(build, node, chunk, len);
}

/* The digest of the directory's catalog, all of whose files are known. */
static int digest_now(const struct before *b, struct walk *w,
		      struct digest *ret_digest)
{
	_cleanup_buf_ struct buf blob = BUF_INIT;
	const uint32_t *files;
	uint32_t i;
	size_t n;
	int r;

	r = catalog_build_order(w->build, &files, &n);
	for (i = 0; r == 0 && i < w->n_files; i++)
		r = before_pieces(b, &w->files[i], put_piece, w->build);
	return r < 0 ? r : catalog_build_finish(w->build, &blob, ret_digest);
}

static int compare(const struct before *b, struct walk *w,
		   enum plain_state *ret_state)
{
	struct digest digest;
	int r = walk_run(w);

	if (r < 0)
		return r;
	*ret_state = PLAIN_CHANGED;
	if (before_mark(b, w) < w->n_files)
		return 0;
	r = digest_now(b, w, &digest);
	if (r == 0 && digest_equal(&digest, manifest_catalog(b->manifest)))
		*ret_state = PLAIN_UNCHANGED;
	return r;
}

static int compare_root(const struct before *b, int dirfd, const char *label,
			const struct ingest_owner *self,
			enum plain_state *ret_state)
{
	_cleanup_buf_ struct buf xattrs = BUF_INIT;
	struct walk w = {
		.rootfd = dirfd,
		.label = label,
		.self = self,
		.privileged = geteuid() == 0,
	};
	struct catalog_meta root;
	int r = walk_root(dirfd, self, w.privileged, &xattrs, &root);

	if (r < 0)
		return r;
	r = catalog_build_new(&root, &w.build);
	if (r < 0)
		return r;
	r = compare(b, &w, ret_state);
	catalog_build_free(w.build);
	walk_release(&w);
	return r;
}

int plain_look(struct store *s, int dirfd, const char *label,
	       const struct ingest_owner *self, const struct digest *wanted,
	       enum plain_state *ret_state, struct digest *ret_catalog)
{
	_cleanup_(before_release) struct before b = { 0 };
	struct manifest_root root;
	int r = io_is_empty(dirfd);

	if (r < 0)
		return log_error(r, "%s: cannot look", label);
	*ret_state = r ? PLAIN_EMPTY : PLAIN_FOREIGN;
	if (r)
		return 0;
	r = manifest_root_of(dirfd, &root);
	if (r < 0)
		return log_error(r, "%s: cannot look", label);
	if (before_open(&b, s, &root) < 0)
		return 0;
	*ret_catalog = *manifest_catalog(b.manifest);
	if (wanted && digest_equal(ret_catalog, wanted)) {
		*ret_state = PLAIN_WANTED;
		return 0;
	}
	return compare_root(&b, dirfd, label, self, ret_state);
}
