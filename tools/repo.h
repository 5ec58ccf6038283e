/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The repository that a directory is in. The top of a work tree is seen from
 * its .git, since asking git takes longer than a hit. Directories are
 * absolute, without a slash at their end, and "" is the root directory.
 */
#ifndef LARDER_TOOLS_REPO_H
#define LARDER_TOOLS_REPO_H

#include <stdbool.h>

/* Whether there is a `name` in `dir`. */
bool repo_has(const char *dir, const char *name);

/* Shortens `dir` to its parent; false at the root directory. */
bool repo_go_up(char *dir);

/* Whether `dir` is in a work tree of git; then it is shortened to its top, and
 * else to "". */
bool repo_find_top(char *dir);

/*
 * What to call the project at `dir` in the names of entries: the last part of
 * origin's URL, so that all clones have the same, or else of `dir`; with - for
 * what no name can have, and at most 64 characters. NULL when memory is short.
 * The caller frees.
 */
char *repo_name(const char *dir);

#endif
