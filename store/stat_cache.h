/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What files looked like when they were last hashed, so that a file need not
 * be read again while its stat data are the same: size, inode, mtime and
 * ctime, to the nanosecond. One file for each root of a walk, in a directory
 * for all of them; one thread.
 *
 * A digest is remembered only of a file that had been left alone for
 * STAT_CACHE_RACY_NS before it was read: a later change then cannot have the
 * same ctime (git's rule for racily clean files). And only on file systems of
 * this machine: others keep time by another clock, or do not change ctime.
 *
 * It is a cache in every respect: it may be absent, damaged, refused by the
 * disk or replaced by another process meanwhile; then files are hashed again.
 * The file, little-endian:
 *
 *	magic "LARDSTAT", version u32, number of items u32
 *	items: size, inode, mtime_ns, ctime_ns (u64 each), day u32, digest,
 *		path (u16 and bytes)
 *	CRC32C of all before u32
 */
#ifndef LARDER_STAT_CACHE_H
#define LARDER_STAT_CACHE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "digest.h"

#define STAT_CACHE_RACY_NS INT64_C(2000000000)
#define STAT_CACHE_ITEMS_MAX 1000000u
#define STAT_CACHE_DAYS 30u  /* what is not used for so long is forgotten */
#define STAT_CACHE_FILES 128 /* the latest so many roots are remembered */

struct stat_cache;

/*
 * For paths relative to the directory `rootfd`, whose absolute path is
 * `root`; `dir` is where the files are, created (0700) when something is to be
 * written. Only -ENOMEM: what cannot be read is as good as empty.
 */
int stat_cache_open(const char *dir, const char *root, int rootfd,
		    struct stat_cache **ret_cache);
void stat_cache_free(struct stat_cache *c); /* does not save; NULL is fine */

/* Whether the file at `path` was hashed when it looked like `st`. */
bool stat_cache_find(struct stat_cache *c, const char *path,
		     const struct stat *st, struct digest *ret_digest);

/* Notes a digest; `st` and `now_ns` (wall clock) are of before the file was
 * read. Forgets the path instead, where the file was too young. */
void stat_cache_put(struct stat_cache *c, const char *path,
		    const struct stat *st, int64_t now_ns,
		    const struct digest *digest);

/* Writes what was learnt, if anything; not synced. 0 or a negative errno,
 * which is of no consequence. */
int stat_cache_save(struct stat_cache *c);

#endif
