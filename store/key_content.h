/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The content of a key's files: digests of regular files and of symbolic
 * links' targets, with a stat cache in front where the caller has one. Owns a
 * buffer and a running hash, so that fifty thousand files need one of each.
 * One thread.
 */
#ifndef LARDER_KEY_CONTENT_H
#define LARDER_KEY_CONTENT_H

#include <sys/stat.h>

#include "digest.h"
#include "stat_cache.h"

struct key_content;

/* `cache` is borrowed and may be NULL. */
int key_content_new(struct stat_cache *cache, struct key_content **ret_content);
void key_content_free(struct key_content *c); /* NULL is fine */

/*
 * What `name` in `dirfd` is and contains: `path` is its name in the stat
 * cache. *ret_st is of lstat(2). 1 with a digest; 0 where it is neither a
 * regular file nor a symbolic link; a negative errno.
 */
int key_content_digest(struct key_content *c, int dirfd, const char *name,
		       const char *path, struct stat *ret_st,
		       struct digest *ret_digest);

static inline void cleanup_key_content(struct key_content **c)
{
	key_content_free(*c);
}

#define _cleanup_key_content_ __attribute__((cleanup(cleanup_key_content)))

#endif
