/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folded blobs: a catalog or a placement at rest, as one zstd frame. It lies
 * where the plain one would, and is told from it by its first bytes. A catalog
 * may be folded against another one, its anchor, which then has to be there
 * whenever it is unfolded. Pure functions on bytes; any thread. Which blobs
 * are folded is decided in rest.c; unfold.c opens them.
 *
 * The file: a header of 96 bytes, and the frame (with a checksum) to the end.
 * All integers are little-endian.
 *
 *	magic		8 bytes, "LARDFLD" and a NUL
 *	version		u32
 *	kind		u32, 1: catalog, 2: placement
 *	name		digest of the catalog that it is, or belongs to
 *	anchor		digest of a catalog, the prefix of the frame; zeros: none
 *	bytes		u64, length of what is folded
 *	zero		u32
 *	CRC32C		u32, of all that precedes
 *
 * An anchor has none itself, so a catalog is two frames away at most.
 */
#ifndef LARDER_FOLD_H
#define LARDER_FOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "digest.h"

#define FOLD_HEADER_BYTES 96u
#define FOLD_BYTES_MAX (32u << 20) /* larger blobs are left as they are */

enum fold_kind {
	FOLD_CATALOG = 1,
	FOLD_PLACEMENT = 2,
};

struct fold_header {
	enum fold_kind kind;
	struct digest name;
	struct digest anchor; /* zeros: none */
	uint64_t bytes;
};

/* 1, or 0 where the file is no folded blob; -EBADMSG, -ESTALE: one of a newer
 * format; both logged. */
int fold_read_header(int fd, struct fold_header *ret_header);

/* The whole file for `header->bytes` bytes at `data`. -EFBIG over
 * FOLD_BYTES_MAX. `prefix` is the anchor's bytes; NULL, 0 without one. */
int fold_encode(const struct fold_header *header, const void *prefix,
		size_t prefix_len, const void *data, struct buf *ret_file);

/* Unfolds a file of `len` bytes into the `header->bytes` bytes at `out`.
 * -EBADMSG (logged); that they are what the name says is the caller's to
 * check. */
int fold_decode(const struct fold_header *header, const void *prefix,
		size_t prefix_len, const void *file, size_t len, void *out);

#endif
