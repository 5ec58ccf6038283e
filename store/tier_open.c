/* SPDX-License-Identifier: Apache-2.0 */
/* Which tier a URL means. No state. */
#include "tier_open.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tier_internal.h"

#define URL_MAX 2048

static const char *after(const char *url, const char *scheme)
{
	size_t len = strlen(scheme);

	return strncmp(url, scheme, len) == 0 && url[len] ? url + len : NULL;
}

int tier_open(const char *url, const struct tier_options *o, char *ret_fault,
	      struct tier **ret_tier)
{
	const char *place;

	if (strlen(url) <= URL_MAX && !strpbrk(url, " \t\r\n?#")) {
		place = after(url, "file://");
		if (place && *place == '/')
			return tier_dir_new(place, ret_tier);
		if (after(url, "http://") || after(url, "https://"))
			return tier_http_new(url, o, ret_tier);
		place = after(url, "s3://");
		if (place && *place != '/')
			return tier_s3_new(place, o, ret_tier);
	}
	snprintf(ret_fault, TIER_OPEN_FAULT_MAX,
		 "%.300s is none of file:///PATH, http://HOST/..., "
		 "https://HOST/... and s3://BUCKET/...",
		 url);
	return -EINVAL;
}
