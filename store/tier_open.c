/* SPDX-License-Identifier: Apache-2.0 */
/* Which tier a URL means. No state. */
#include "tier_open.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FILE_SCHEME "file://"

int tier_open(const char *url, const struct tier_options *options,
	      char *ret_fault, struct tier **ret_tier)
{
	int r = -EINVAL;

	(void)options;
	if (strncmp(url, FILE_SCHEME "/", strlen(FILE_SCHEME) + 1) == 0)
		r = tier_dir_new(url + strlen(FILE_SCHEME), ret_tier);
	if (r == -EINVAL)
		snprintf(ret_fault, TIER_OPEN_FAULT_MAX,
			 "%.300s: a tier is file:///PATH", url);
	return r;
}
