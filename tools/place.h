/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories as users name them: absolute, and by default named after where
 * they are in the project. No state.
 */
#ifndef LARDER_TOOLS_PLACE_H
#define LARDER_TOOLS_PLACE_H

#include <stdbool.h>

#include "out.h"

/* The absolute name of `dir`: its parent without symbolic links, its own name
 * as it stands, so that a dead mount can be named too. The caller frees. */
int place_absolute(const char *dir, char **ret_dir,
		   struct failure *ret_failure);

/* The same after making the directory that it is in, where that is missing;
 * and after making `dir` itself, too. */
int place_make_parent(const char *dir, char **ret_dir,
		      struct failure *ret_failure);
int place_make(const char *dir, char **ret_dir, struct failure *ret_failure);

/* Whether the current directory is `dir` (absolute) or below it. */
bool place_contains_us(const char *dir);

/* What follows `dir` and a slash in `path`; "" for `dir` itself, NULL where
 * it is not below. Both absolute. */
const char *place_below(const char *path, const char *dir);

/* The top of the git work tree, or else the current directory, which git is
 * asked for once. The caller frees; NULL when memory is short. */
char *place_top(void);

/* The name of `dir` relative to the top of the git work tree, or else to the
 * current directory, as an entry's name. NULL where it makes none. */
char *place_default_name(const char *dir);

#endif
