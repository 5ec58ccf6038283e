/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials of tiers, from variables. No state. */
#include "tier_secrets.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/key.h"

static const char *text(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	return value ? value : "";
}

static void put_variable(json_t *secrets, const char *name,
			 const char *variable)
{
	const char *value = getenv(variable);

	if (value && *value)
		json_object_set_new(secrets, name, json_string(value));
}

/* So that no token goes to a server that it is not for. */
static void put_token(const json_t *tier, json_t *secrets, bool by_url)
{
	char variable[sizeof("LARDER_TOKEN_") + KEY_MAX];
	const char *name = text(tier, "name");
	char *at;

	snprintf(variable, sizeof(variable), "LARDER_TOKEN_%s", name);
	for (at = variable; *at; at++)
		*at = isalnum((unsigned char)*at) ?
			      (char)toupper((unsigned char)*at) :
			      '_';
	put_variable(secrets, "token", by_url ? "LARDER_TOKEN" : variable);
}

static void put_region(json_t *tier)
{
	const char *region = getenv("AWS_REGION");

	if (!region || !*region)
		region = getenv("AWS_DEFAULT_REGION");
	if (region && *region && !json_object_get(tier, "region"))
		json_object_set_new(tier, "region", json_string(region));
}

void tier_add_secrets(json_t *tier, bool by_url)
{
	bool is_s3 = strncmp(text(tier, "url"), "s3:", 3) == 0;
	json_t *secrets;

	if (is_s3)
		put_region(tier);
	if (json_object_get(tier, "secrets") ||
	    json_object_get(tier, "credentials") ||
	    json_object_get(tier, "credential-helper") ||
	    json_object_get(tier, "token-file"))
		return;
	secrets = json_object();
	if (is_s3) {
		put_variable(secrets, "access-key", "AWS_ACCESS_KEY_ID");
		put_variable(secrets, "secret-key", "AWS_SECRET_ACCESS_KEY");
		put_variable(secrets, "session-token", "AWS_SESSION_TOKEN");
	} else {
		put_token(tier, secrets, by_url);
	}
	if (json_object_size(secrets) > 0)
		json_object_set_new(tier, "secrets", secrets);
	else
		json_decref(secrets);
}
