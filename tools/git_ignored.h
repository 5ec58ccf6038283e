/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What in a work tree is no input whatever git thinks of it: outputs, and
 * file systems that are mounted in it. Patterns for git, which would walk
 * them otherwise.
 */
#ifndef LARDER_TOOLS_GIT_IGNORED_H
#define LARDER_TOOLS_GIT_IGNORED_H

#include <stdbool.h>
#include <stddef.h>

struct git_ignored {
	const char **patterns; /* as in a .gitignore at the top; then NULL */
	char **paths;	       /* the same, relative to the top */
	size_t count;
};

/* `top` and `outputs` are absolute. -ENOMEM; to be released in any case. */
int git_ignored_init(struct git_ignored *p, const char *top,
		     char *const outputs[], size_t noutputs);
void git_ignored_release(struct git_ignored *p);

/* Whether `path`, relative to the top, is one of them or in one. A .gitignore
 * may have taken a pattern back. */
bool git_ignored_covers(const struct git_ignored *p, const char *path);

#define _cleanup_git_ignored_ __attribute__((cleanup(git_ignored_release)))

#endif
