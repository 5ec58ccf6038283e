/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetch: bytes of chunks for readers. Keeps recently decoded large chunks so
 * that sequential READs of a 2 MiB chunk decode it once, joins requests for
 * the same chunk, and tells the service loop before it blocks.
 *
 * One per daemon, shared by all mounts; any thread.
 */
#ifndef LARDER_FS_FETCH_H
#define LARDER_FS_FETCH_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/store.h"

struct fetch;

/* `cache_bytes`: decoded chunks kept. */
int fetch_new(uint64_t cache_bytes, struct fetch **ret_fetch);
void fetch_free(struct fetch *f);

/* Up to `len` bytes of regular file `ino` of `t` at `off`; fewer only at its
 * end. -EIO when no copy of a chunk is whole, or none could be had in time;
 * -EINTR. */
ssize_t fetch_read(struct fetch *f, struct store_tree *t, uint32_t ino,
		   void *buf, size_t len, uint64_t off);

/* Reads of the calling thread end with -EINTR soon after *flag is set, where
 * they have to wait. NULL: they do not. */
void fetch_set_interrupt(const atomic_bool *flag);

/*
 * Called, on the thread of the request, before it waits for a disk, decodes
 * a large chunk or syncs, so that the service loop can let another thread
 * read requests. Set by the loop for its threads (thread-local); calling it
 * where none is set, or again for the same request, does nothing.
 */
void fetch_set_blocking_hook(void (*hook)(void *arg), void *arg);
void fetch_may_block(void);

#endif
