/* SPDX-License-Identifier: Apache-2.0 */
/* What the sources of a key's parts share. Private to fingerprint*.c. */
#ifndef LARDER_TOOLS_FINGERPRINT_INTERNAL_H
#define LARDER_TOOLS_FINGERPRINT_INTERNAL_H

#include "key_options.h"
#include "out.h"
#include "store/key.h"
#include "store/stat_cache.h"

/* What the parts are being made of. Each function returns 0, or a negative
 * errno with the sentence in `failure`. */
struct inputs {
	struct key_parts *parts;
	struct key_place place; /* of the key's files, and its cache */
	const char *label;	/* that directory, for sentences */
	unsigned timeout_s;
	char *const *outputs; /* absolute */
	size_t noutputs;
	struct failure *failure;
};

/* A part of what `line`, run by sh, prints. `option` is for the sentence;
 * `may_be_silent`: printing nothing is no error. */
int inputs_add_script(struct inputs *in, const char *option, const char *kind,
		      const char *line, bool may_be_silent);

/* HEAD, what differs from it and what is untracked, in the work tree that
 * the key's directory is in. */
int inputs_add_git(struct inputs *in);

/* The remembered stat data of files below `root` (absolute, open as
 * `rootfd`); NULL where there can be none. */
struct stat_cache *inputs_cache(const char *root, int rootfd);

static inline void cleanup_stat_cache(struct stat_cache **c)
{
	stat_cache_free(*c);
}

#define _cleanup_stat_cache_ __attribute__((cleanup(cleanup_stat_cache)))

/* What follows `dir` and a slash in `path`, both absolute; NULL for none. */
const char *inputs_below(const char *path, const char *dir);

#endif
