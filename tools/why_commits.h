/* SPDX-License-Identifier: Apache-2.0 */
/* Which files make a commit another: for `why`, which has only their ids. */
#ifndef LARDER_TOOLS_WHY_COMMITS_H
#define LARDER_TOOLS_WHY_COMMITS_H

#include <jansson.h>

#define WHY_FILES_MAX 50

/*
 * Adds to each change of a git-head "files" (paths, at most WHY_FILES_MAX)
 * and "more_files" (how many there are besides), where the clone that `dir`
 * (NULL: the current directory) is in has both commits.
 */
void why_commits(json_t *changes, const char *dir);

#endif
