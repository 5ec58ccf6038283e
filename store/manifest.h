/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifests: which regular files a plain directory held when an entry was
 * written to it or read from it, by their stat data, and which nodes of the
 * entry's catalog they are. The next import of that directory reads only the
 * files that are not in it.
 *
 * A file is taken for unchanged when inode number, size, mtime and ctime are
 * as they were, and its ctime is older than the manifest by more than the
 * clock of file systems is coarse: one that changed later in the same tick
 * looks like one that did not ("racy", as git calls it), and is read again.
 * Programs that still write through a shared mapping are not seen.
 *
 * A manifest is a file below the store, named after the root directory: its
 * device, its inode number, and when it was made, since the number of one that
 * was removed is soon another's. Losing it costs time. An open one is
 * constant: any thread.
 */
#ifndef LARDER_MANIFEST_H
#define LARDER_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "digest.h"
#include "store.h"

/* Ticks of 10 ms are the longest that kernels are built with. */
#define MANIFEST_RACY_NS INT64_C(20000000)

struct manifest_root {
	uint64_t dev, ino;
	int64_t born_ns; /* 0 where the file system does not know */
};

int manifest_root_of(int dirfd, struct manifest_root *ret_root);

struct manifest_file {
	uint64_t ino, size;
	int64_t mtime_ns, ctime_ns;
	uint32_t node; /* inode number in the catalog */
};

/* ---- making one */

struct manifest_list {
	struct manifest_file *files; /* owned */
	size_t n, cap;
};

int manifest_add(struct manifest_list *l, const struct manifest_file *f);
int manifest_add_stat(struct manifest_list *l, const struct stat *st,
		      uint32_t node);
void manifest_list_release(struct manifest_list *l);

/* Takes the place of the manifest that `root` has. `as_of_ns` (since 1970): no
 * file was changed before that and after it was looked at. For a reader that is
 * when it began, for a writer when it was done. Sorts the list. */
int manifest_publish(struct store *s, const struct manifest_root *root,
		     const struct digest *catalog, int64_t as_of_ns,
		     struct manifest_list *l);

/* ---- using one */

struct manifest;

/* -ENOENT; -EBADMSG for a damaged one, which is removed. */
int manifest_open(struct store *s, const struct manifest_root *root,
		  struct manifest **ret_manifest);
void manifest_free(struct manifest *m); /* NULL is fine */
const struct digest *manifest_catalog(const struct manifest *m);

/* Whether the file (whose `node` is not looked at) is unchanged. */
bool manifest_find(const struct manifest *m, const struct manifest_file *f,
		   uint32_t *ret_node);

static inline void cleanup_manifest(struct manifest **m)
{
	manifest_free(*m);
}

#define _cleanup_manifest_ __attribute__((cleanup(cleanup_manifest)))

#endif
