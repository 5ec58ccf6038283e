/* SPDX-License-Identifier: Apache-2.0 */
/* larder gc --remote: collects a remote tier. One thread. */
#ifndef LARDER_TOOLS_GC_REMOTE_H
#define LARDER_TOOLS_GC_REMOTE_H

#include "options.h"

/* Whether an option was given that is for remote tiers only: its name, or
 * NULL. */
const char *gc_remote_option(const struct args *args);

int gc_remote(const struct args *args); /* the exit code */

#endif
