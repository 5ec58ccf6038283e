/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Progress of long work on standard error: one line redrawn on a terminal, a
 * line every five seconds elsewhere. Nothing in the first half second. One
 * thread.
 */
#ifndef LARDER_TOOLS_PROGRESS_H
#define LARDER_TOOLS_PROGRESS_H

#include <jansson.h>
#include <stdbool.h>

void progress_init(bool wanted);

/* Shows a progress notification's params (fs/PROTOCOL.md). */
void progress_show(const json_t *params);

/* Wipes the line, if one is drawn. */
void progress_clear(void);

/* Work begins: the clock starts. */
void progress_begin(void);

#endif
