/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying chunks from packs to new packs, as frames: what is not to stay where
 * it is, since the rest of its pack is dead or damaged. Only frames of the same
 * dictionary go together. Each is decoded and compared with its digest before
 * it is copied.
 *
 * New packs are durable and in the index when they are finished, and nobody
 * removes them before pack_copy_free(). One thread; fault point gc.rewritten.
 */
#ifndef LARDER_PACK_COPY_H
#define LARDER_PACK_COPY_H

#include "pack.h"
#include "store.h"

struct pack_copy;

int pack_copy_new(struct store *s, struct pack_copy **ret_copy);
void pack_copy_free(struct pack_copy *pc); /* drops what is unfinished */

/* Whether the frame at `loc` of `from` is the chunk: 0, -EBADMSG, -EIO. */
int pack_copy_check(struct pack_copy *pc, struct pack *from,
		    const struct pack_loc *loc, uint32_t size,
		    const struct digest *chunk);

/* Before chunks of another pack are added. -EBADMSG: its dictionary is
 * damaged. */
int pack_copy_begin(struct pack_copy *pc, struct pack *from);
int pack_copy_add(struct pack_copy *pc, struct pack *from,
		  const struct pack_chunk *chunk);

/* Finishes the pack that is open, if any. */
int pack_copy_finish(struct pack_copy *pc);

/* Whether a pack was made here. */
bool pack_copy_made(const struct pack_copy *pc, const struct digest *pack);

static inline void cleanup_pack_copy(struct pack_copy **pc)
{
	pack_copy_free(*pc);
}

#define _cleanup_pack_copy_ __attribute__((cleanup(cleanup_pack_copy)))

#endif
