/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The project file, larder.yml: which caches a project has, what their keys
 * are made of and which commands fill them. Two forms, which can stand beside
 * each other: `caches`, Larder's own, and `cache`, the incremental caching of
 * Solano CI. larder.yml(5) describes both.
 *
 * A project file comes with a checkout and so may say what is in it, but not
 * what is trusted: it has no key for a tier or a credential, and its paths
 * stay below the directory that it is in (the repository) and the home
 * directory. project_parse() checks how paths are written, project_confine()
 * where they lead. One thread.
 */
#ifndef LARDER_TOOLS_PROJECT_H
#define LARDER_TOOLS_PROJECT_H

#include <stdbool.h>
#include <stddef.h>

#include "key_options.h"
#include "out.h"
#include "yaml_tree.h"

#define PROJECT_FILE "larder.yml"
#define PROJECT_MAX_CACHES 64

struct project_cache {
	const char *name;
	unsigned line;
	struct strings paths; /* absolute */
	size_t nfiles; /* so many of them, the last ones, are the command's
			  own to make: a file, or a directory */
	struct key_options key;	    /* `dir` is the repository */
	struct strings command;	    /* its words; none: none is known */
	const char *mode;	    /* or NULL */
	struct strings restore;	    /* prefixes of keys, in order */
	struct strings environment; /* VAR=VALUE, for the command */
	bool always;		    /* the command runs on an exact hit too */
	bool solano;		    /* comes from `cache` */
};

struct project {
	char *file; /* as messages call it */
	char *repo; /* absolute */
	struct project_cache *caches;
	size_t count;

	struct yaml_node *tree; /* has the texts that are not in `owned` */
	char **owned;
	size_t nowned;
};

/*
 * Parses `text`, for a repository at `repo` and a home directory `home` (both
 * absolute and without a slash at their end; `home` may be NULL: then HOME/ is
 * refused). `file` is how messages call it. -EBADMSG, -EFBIG and -EINVAL with
 * the sentence, EXIT_USAGE.
 */
int project_parse(const char *file, const void *text, size_t len,
		  const char *repo, const char *home,
		  struct project **ret_project, struct failure *ret_failure);

/*
 * Finds the project file: in the current directory or one above it, as far
 * as the top of the git work tree; without git only in the current directory.
 * 0 with *ret_project NULL where there is none. A file above the current
 * directory must be root's or the user's own: -EACCES.
 */
int project_open(struct project **ret_project, struct failure *ret_failure);
void project_free(struct project *p);

/* NULL where there is none of that name. */
const struct project_cache *project_find(const struct project *p,
					 const char *name);

/* The name that is nearest to `name`, or NULL. */
const char *project_nearest(const struct project *p, const char *name);

/*
 * Whether the path of a cache leads, through symbolic links too, to a place
 * below the repository or the home directory: 0, or -EACCES with the sentence.
 * What is not there yet counts as where it would be made.
 */
int project_confine(const struct project *p, const char *path,
		    struct failure *ret_failure);

static inline void cleanup_project(struct project **p)
{
	project_free(*p);
}

#define _cleanup_project_ __attribute__((cleanup(cleanup_project)))

#endif
