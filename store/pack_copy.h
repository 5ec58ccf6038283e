/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying chunks from packs to new packs: what is not to stay where it is,
 * since the rest of its pack is dead or damaged, or to be compressed better.
 * They go as frames, and then only those of the same dictionary go together, or
 * are compressed anew. Each is decoded and compared with its digest before it
 * is copied, and so is a new frame.
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

/* From now on chunks are compressed anew, with `dict` where they are small
 * enough (copied; NULL, 0: without one). Packs grow up to `target_bytes` and are
 * noted as dense (index.h). Finishes the pack that is open. */
int pack_copy_anew(struct pack_copy *pc, int level, const void *dict,
		   size_t dict_len, uint64_t target_bytes);

/* Borrowed, for who reads what is to be copied in between. */
struct codec_ctx *pack_copy_codec(struct pack_copy *pc);

/* Whether the frame at `loc` of `from` is the chunk: 0, -EBADMSG, -EIO. */
int pack_copy_check(struct pack_copy *pc, struct pack *from,
		    const struct pack_loc *loc, uint32_t size,
		    const struct digest *chunk);

/* Before chunks of another pack are added. -EBADMSG: its dictionary is
 * damaged. */
int pack_copy_begin(struct pack_copy *pc, struct pack *from);

/* A frame that goes as it is was checked by the caller. */
int pack_copy_add(struct pack_copy *pc, struct pack *from,
		  const struct pack_chunk *chunk);

/* Finishes the pack that is open, if any. */
int pack_copy_finish(struct pack_copy *pc);

/* Of the packs that were made so far. */
uint64_t pack_copy_bytes(const struct pack_copy *pc);

/* Whether a pack was made here. */
bool pack_copy_made(const struct pack_copy *pc, const struct digest *pack);

static inline void cleanup_pack_copy(struct pack_copy **pc)
{
	pack_copy_free(*pc);
}

#define _cleanup_pack_copy_ __attribute__((cleanup(cleanup_pack_copy)))

#endif
