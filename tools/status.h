/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's status as text, for `status` and `daemon status`. */
#ifndef LARDER_TOOLS_STATUS_H
#define LARDER_TOOLS_STATUS_H

#include <jansson.h>

#include "options.h"

void status_print(const struct args *args, const json_t *status);

#endif
