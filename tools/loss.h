/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a mount lost with a damaged log, as text: the `loss` of a mount object
 * (fs/PROTOCOL.md). Nothing where there is none.
 */
#ifndef LARDER_TOOLS_LOSS_H
#define LARDER_TOOLS_LOSS_H

#include <jansson.h>
#include <stdbool.h>

/* A warning of one sentence. `dir` is the mount's. */
void loss_warn(const char *dir, const json_t *mount);

/* Lines below the mount's in a status; all paths where `verbose`. */
void loss_print(const json_t *mount, bool verbose);

#endif
