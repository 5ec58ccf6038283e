/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packs that a store has open. A pack that is in use stays; of the
 * others the most recently used PACK_CACHE_IDLE_MAX are kept. A file that was
 * found damaged is remembered, so that this is said once and not for each
 * chunk in it. Any thread.
 */
#ifndef LARDER_PACK_CACHE_H
#define LARDER_PACK_CACHE_H

#include "pack.h"

#define PACK_CACHE_IDLE_MAX 64

struct pack_cache;

/* `packs_dirfd` is borrowed. */
int pack_cache_new(int packs_dirfd, struct pack_cache **ret_cache);
void pack_cache_free(struct pack_cache *pc); /* nothing may be in use */

/* The pack, opened where it is not yet; given back with pack_cache_put().
 * Errors as of pack_open(). */
int pack_cache_get(struct pack_cache *pc, const struct digest *name,
		   struct pack **ret_pack);
void pack_cache_put(struct pack_cache *pc, struct pack *p);

/* A pack whose file was removed: closed, unless it is in use. */
void pack_cache_forget(struct pack_cache *pc, const struct digest *name);

/* Opens a pack for the caller alone, who gives it back with pack_unref(): what
 * is under the name now, and not what was there when it was cached. */
int pack_cache_open_now(struct pack_cache *pc, const struct digest *name,
			struct pack **ret_pack);

#endif
