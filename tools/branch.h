/* SPDX-License-Identifier: Apache-2.0 */
/* The branch that is built. No state. */
#ifndef LARDER_TOOLS_BRANCH_H
#define LARDER_TOOLS_BRANCH_H

/*
 * The branch that git has checked out here; where it has none (a detached
 * HEAD, no git), the one that a CI system names in the environment; else "".
 * A branch that cannot be an entry's (too long) is none. The caller frees;
 * NULL when memory is short.
 */
char *branch_here(void);

#endif
