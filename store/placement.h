/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The placement of one catalog: where each of its chunks lies, as an array
 * parallel to the catalog's chunks. It is no part of the tree's identity and
 * may be made again at any time. Blob: magic and version, the catalog's
 * digest, the names of the packs, one 12-byte record a chunk, and a CRC32C of
 * all that precedes.
 */
#ifndef LARDER_PLACEMENT_H
#define LARDER_PLACEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "catalog.h"
#include "digest.h"
#include "pack.h"

struct placement; /* immutable, any thread */

/* A record as the reader wants it: the pack by its number in this placement. */
struct placement_loc {
	uint32_t pack;
	uint32_t off;
	uint32_t len;
	bool has_dict;
};

/* Encodes; `find` gives the location of chunk number `chunk` (0 or an errno,
 * which is passed on). */
int placement_encode(const struct catalog *c, const struct digest *catalog,
		     int (*find)(void *arg, uint32_t chunk,
				 const struct digest *digest,
				 struct pack_loc *ret_loc),
		     void *arg, struct buf *ret_blob);

/* Maps `fd` (which stays the caller's). With `full`, checks the CRC and every
 * record; without, only the header, for bytes that were checked before.
 * -EBADMSG, -ESTALE. `c` must have as many chunks. */
int placement_open_fd(int fd, const struct catalog *c,
		      const struct digest *catalog, bool full,
		      struct placement **ret_placement);
void placement_free(struct placement *p);

uint32_t placement_packs(const struct placement *p);
const struct digest *placement_pack(const struct placement *p, uint32_t n);
int placement_find(const struct placement *p, uint32_t chunk,
		   struct placement_loc *ret_loc); /* -EBADMSG */

#endif
