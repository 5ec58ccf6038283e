/* SPDX-License-Identifier: Apache-2.0 */
/* What tier_open() makes. Not for others. */
#ifndef LARDER_TIER_INTERNAL_H
#define LARDER_TIER_INTERNAL_H

#include "tier_open.h"

int tier_http_new(const char *url, const struct tier_options *options,
		  struct tier **ret_tier);

/* `place`: BUCKET or BUCKET/PREFIX. */
int tier_s3_new(const char *place, const struct tier_options *options,
		struct tier **ret_tier);

#endif
