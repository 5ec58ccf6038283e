/* SPDX-License-Identifier: Apache-2.0 */
/* Where objects lie below a tier's root. Pure functions. */
#include <stdio.h>
#include <string.h>

#include "remote.h"

static const char *const kinds[] = {
	[REMOTE_PACK] = "packs",
	[REMOTE_TREE] = "trees",
	[REMOTE_RECORD] = "records",
};

void remote_path(const char *tenant, const char *namespace,
		 enum remote_kind kind, const struct digest *digest,
		 char ret_path[TIER_PATH_MAX + 1])
{
	char hex[DIGEST_HEX_LEN + 1];

	digest_hex(digest, hex);
	snprintf(ret_path, TIER_PATH_MAX + 1, "v1/%s/%s/%s/%.2s/%s", tenant,
		 namespace, kinds[kind], hex, hex);
}

void remote_entry_path(const char *tenant, const char *namespace,
		       const char *name, const char *key,
		       char ret_path[TIER_PATH_MAX + 1])
{
	snprintf(ret_path, TIER_PATH_MAX + 1, "v1/%s/%s/entries/%s/%s", tenant,
		 namespace, name, key);
}

int remote_latest_path(const char *tenant, const char *namespace,
		       const char *name, const char *branch,
		       char ret_path[TIER_PATH_MAX + 1])
{
	char hex[DIGEST_HEX_LEN + 1];
	struct digest digest;
	int r = digest_of(branch, strlen(branch), &digest);

	if (r < 0)
		return r;
	digest_hex(&digest, hex);
	snprintf(ret_path, TIER_PATH_MAX + 1, "v1/%s/%s/latest/%s/%.2s/%s",
		 tenant, namespace, name, hex, hex);
	return 0;
}
