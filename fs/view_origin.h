/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes that tell where content comes from, answered from what the store
 * knows without reading it:
 *
 *	user.larder.digest	of a regular file; of the root: of the tree
 *	user.larder.key		of the entry that has it
 *	user.larder.tier	of a regular file: where its bytes are
 *
 * A digest is `sha256:` and 64 hex digits, the SHA-256 of the file's bytes,
 * where the file is one chunk (up to 2 MiB) or empty. A larger one is
 * `sha256-pieces:` and the SHA-256 of its list of pieces, for each the length
 * (u64, little-endian) and the digest of its bytes, 32 zero bytes for a hole:
 * equal values say equal content, different ones nothing, since the same
 * content can be cut in different ways. The root's is `sha256-catalog:` and
 * the digest of the catalog, while the mount shows exactly that.
 *
 * A tier is `local` where all of the file is known to be here, else the names
 * of the tiers that are asked, in their order, with commas between.
 *
 * Only content that is stored has them: that of the base, or of a commit of
 * this mount. All names with the prefix are Larder's: no list has them, so that
 * nothing copies or stores them, and nobody can set them. Any thread.
 */
#ifndef LARDER_FS_VIEW_ORIGIN_H
#define LARDER_FS_VIEW_ORIGIN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "view.h"

#define ORIGIN_PREFIX "user.larder."
#define ORIGIN_NAME_KEY ORIGIN_PREFIX "key"

bool origin_is_reserved(const char *name, size_t len);

/* Whether it is one of the names above. */
bool origin_is_name(const char *name);

/* As view_getxattr(), of such a name. No lock held; may block. */
ssize_t origin_get(struct view *v, uint64_t ino, const char *name, void *buf,
		   size_t size);

#endif
