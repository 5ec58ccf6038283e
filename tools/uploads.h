/* SPDX-License-Identifier: Apache-2.0 */
/* What became of uploads, in text. */
#ifndef LARDER_TOOLS_UPLOADS_H
#define LARDER_TOOLS_UPLOADS_H

#include <jansson.h>

/* Tells of the "uploads" of a result, and of its "upload_error"; `entry` as it
 * was named. 0, or EXIT_REMOTE where one failed. */
int uploads_report(const char *entry, const json_t *result);

#endif
