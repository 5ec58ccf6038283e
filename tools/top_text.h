/* SPDX-License-Identifier: Apache-2.0 */
/* A round of larder top, as text and as JSON. No state. */
#ifndef LARDER_TOOLS_TOP_TEXT_H
#define LARDER_TOOLS_TOP_TEXT_H

#include <stdio.h>

#include "rates.h"

/* `now` is what `r` was made of; `order` is how its mounts are sorted. */
void top_print(const struct sample *now, const struct rates *r,
	       const char *order, FILE *f);
json_t *top_json(const struct sample *now, const struct rates *r);

#endif
