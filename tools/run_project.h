/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs that a project file or a preset describes, as plans for run.h. One
 * thread.
 */
#ifndef LARDER_TOOLS_RUN_PROJECT_H
#define LARDER_TOOLS_RUN_PROJECT_H

#include "options.h"

/*
 * What args->presets or else the project file says. args->names choose caches
 * of the file, none means all of them; either way in the file's order. With operands, the caches that were
 * chosen are set up around this one command; without, each runs its own, in
 * the order of the file, until one fails. The exit code; all is told.
 */
int run_project(const struct args *args);

#endif
