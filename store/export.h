/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees out of the store: as a plain directory, or as a tar stream
 * (pax, through libarchive). Any thread; several at once.
 */
#ifndef LARDER_EXPORT_H
#define LARDER_EXPORT_H

#include "ingest.h"
#include "progress.h"
#include "store.h"

/* Writes the tree into the empty directory `dirfd`, files in parallel:
 * contents, modes, hard links, symlinks, xattrs, owners (SELF as `self`;
 * others where privilege allows), and last the times of files and
 * directories to the nanosecond; and the directory's manifest (manifest.h). What a failure leaves is the caller's to
 * remove. -ENOTEMPTY when the directory is not empty. */
int export_dir(struct store_tree *t, int dirfd, const struct ingest_owner *self,
	       struct progress *progress);

/* Writes a tar of the tree to `fd`. */
int export_tar(struct store_tree *t, int fd, const struct ingest_owner *self,
	       struct progress *progress);

#endif
