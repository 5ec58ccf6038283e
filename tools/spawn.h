/* SPDX-License-Identifier: Apache-2.0 */
/* Starting other programs: the daemon, and tools whose answer is wanted. */
#ifndef LARDER_TOOLS_SPAWN_H
#define LARDER_TOOLS_SPAWN_H

#include "out.h"

/* Starts larderd and waits until it serves. -EIO or what exec gave. */
int spawn_daemon(struct failure *ret_failure);

/* What `argv` prints, up to its first newline; it reads nothing, and what it
 * says on standard error is dropped. NULL when it fails or prints nothing.
 * The caller frees. */
char *spawn_output(const char *const argv[]);

/* A variable for the daemon's environment, should one be started. Borrowed
 * strings; those beyond SPAWN_SETTINGS_MAX are ignored. */
#define SPAWN_SETTINGS_MAX 8
void spawn_set(const char *variable, const char *value);

#endif
