/* SPDX-License-Identifier: Apache-2.0 */
/* The setting `tiers`: checks of a tier's keys, in a file or in a URL. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "config.h"
#include "config_file.h"
#include "schema.h"

enum tier_option {
	TIER_LAYOUT,
	TIER_ENDPOINT,
	TIER_REGION,
	TIER_CA,
	TIER_CERTIFICATE,
	TIER_CERTIFICATE_KEY,
	TIER_TOKEN_FILE,
	TIER_CREDENTIALS,
	TIER_CREDENTIAL_HELPER,
	TIER_OPTIONS,
};

static const struct {
	const char *name;
	bool is_path;
} tier_options[TIER_OPTIONS] = {
	[TIER_LAYOUT] = { "layout", false },
	[TIER_ENDPOINT] = { "endpoint", false },
	[TIER_REGION] = { "region", false },
	[TIER_CA] = { "ca", true },
	[TIER_CERTIFICATE] = { "certificate", true },
	[TIER_CERTIFICATE_KEY] = { "certificate-key", true },
	[TIER_TOKEN_FILE] = { "token-file", true },
	[TIER_CREDENTIALS] = { "credentials", true },
	[TIER_CREDENTIAL_HELPER] = { "credential-helper", false },
};

struct tier_nodes {
	const struct yaml_node *name, *url, *access, *options[TIER_OPTIONS];
};

#define TIER_KEY(name, field)                                         \
	{                                                             \
		name, SCHEMA_TEXT, offsetof(struct tier_nodes, field) \
	}
#define TIER_OPTION_KEY(name, id) TIER_KEY(name, options[id])

static const struct schema_key tier_keys[] = {
	TIER_KEY("name", name),
	TIER_KEY("url", url),
	TIER_KEY("access", access),
	TIER_OPTION_KEY("layout", TIER_LAYOUT),
	TIER_OPTION_KEY("endpoint", TIER_ENDPOINT),
	TIER_OPTION_KEY("region", TIER_REGION),
	TIER_OPTION_KEY("ca", TIER_CA),
	TIER_OPTION_KEY("certificate", TIER_CERTIFICATE),
	TIER_OPTION_KEY("certificate-key", TIER_CERTIFICATE_KEY),
	TIER_OPTION_KEY("token-file", TIER_TOKEN_FILE),
	TIER_OPTION_KEY("credentials", TIER_CREDENTIALS),
	TIER_OPTION_KEY("credential-helper", TIER_CREDENTIAL_HELPER),
	SCHEMA_END
};

const char *config_tier_option_fault(const char *name, const char *value)
{
	unsigned i = 0;

	while (i < TIER_OPTIONS && strcmp(tier_options[i].name, name) != 0)
		i++;
	if (i == TIER_OPTIONS)
		return "is no option of a tier";
	if (!*value || strlen(value) > CONFIG_URL_MAX)
		return "is empty or too long";
	if (tier_options[i].is_path && *value != '/')
		return "needs an absolute path";
	if (i == TIER_ENDPOINT)
		return config_url_fault(value);
	if (i == TIER_LAYOUT && strcmp(value, "bazel") != 0)
		return "can only be bazel";
	return NULL;
}

/* A place and nothing else: what is secret would be seen by whoever sees the
 * file or a list of processes. */
const char *config_url_fault(const char *url)
{
	static const char *const schemes[] = { "file:///", "http://",
					       "https://", "s3://" };
	const char *rest = NULL;

	if (strlen(url) > CONFIG_URL_MAX)
		return "is too long";
	for (const char *c = url; *c; c++)
		if ((unsigned char)*c <= ' ' || *c == 0x7f)
			return "has a space or a control character in it";
	for (unsigned i = 0; !rest && i < 4; i++)
		if (strncmp(url, schemes[i], strlen(schemes[i])) == 0)
			rest = url + strlen(schemes[i]);
	if (!rest || !*rest || (*rest == '/' && *url != 'f'))
		return "must be file:///PATH, http://HOST/..., "
		       "https://HOST/... or s3://BUCKET/...";
	if (*url != 'f' && memchr(rest, '@', strcspn(rest, "/?#")))
		return "must not have a user or a password in it";
	return NULL;
}

static int check_access(const char *file, const struct yaml_node *node,
			struct failure *f)
{
	const char *a = node->text;

	if (strcmp(a, "r") == 0 || strcmp(a, "w") == 0 || strcmp(a, "rw") == 0)
		return 0;
	return schema_refuse(file, node, f,
			     "access: \"%.100s\" must be r, w or rw", a);
}

static int check_url(const char *file, const struct tier_nodes *n,
		     const struct yaml_node *map, struct failure *f)
{
	const char *fault;

	if (strcmp(n->name->text, CONFIG_TIER_LOCAL) == 0)
		return !n->url ? 0 :
				 schema_refuse(file, n->url, f,
					       "the tier local is the store "
					       "itself and has no url");
	if (!n->url)
		return schema_refuse(file, map, f, "the tier %.200s has no url",
				     n->name->text);
	fault = config_url_fault(n->url->text);
	return fault ? schema_refuse(file, n->url, f, "url: %.200s %s",
				     n->url->text, fault) :
		       0;
}

static int check_options(const char *file, const struct tier_nodes *n,
			 struct failure *f)
{
	for (unsigned i = 0; i < TIER_OPTIONS; i++) {
		const char *fault =
			n->options[i] ?
				config_tier_option_fault(tier_options[i].name,
							 n->options[i]->text) :
				NULL;

		if (fault)
			return schema_refuse(file, n->options[i], f,
					     "%s: %.200s %s",
					     tier_options[i].name,
					     n->options[i]->text, fault);
	}
	return 0;
}

static bool has_tier(const json_t *tiers, const char *name)
{
	json_t *tier;
	size_t i;

	json_array_foreach(tiers, i, tier) if (strcmp(field_text(tier, "name"),
						      name) == 0) return true;
	return false;
}

static int read_tier(const char *file, const struct yaml_node *map,
		     json_t *tiers, struct failure *f)
{
	struct tier_nodes n = { .name = NULL };
	_cleanup_json_ json_t *name = NULL;
	json_t *tier;
	int r = schema_read(file, map, "tiers", tier_keys, &n, f);

	if (r == 0 && !n.name)
		return schema_refuse(file, map, f, "this tier has no name");
	if (r == 0)
		r = config_read_word(file, n.name, &name, f);
	if (r == 0 && has_tier(tiers, n.name->text))
		return schema_refuse(file, n.name, f,
				     "there are two tiers with the name %s",
				     n.name->text);
	if (r == 0)
		r = check_url(file, &n, map, f);
	if (r == 0 && n.access)
		r = check_access(file, n.access, f);
	if (r == 0)
		r = check_options(file, &n, f);
	if (r < 0)
		return r;
	/* Others' data are read; to write them is to be said. */
	tier = json_pack("{s:O, s:s}", "name", name, "access",
			 n.access ? n.access->text :
			 n.url	  ? "r" :
				    "rw");
	if (n.url)
		json_object_set_new(tier, "url", json_string(n.url->text));
	for (unsigned i = 0; i < TIER_OPTIONS; i++)
		if (n.options[i])
			json_object_set_new(tier, tier_options[i].name,
					    json_string(n.options[i]->text));
	json_array_append_new(tiers, tier);
	return 0;
}

int config_read_tiers(const char *file, const struct yaml_node *node,
		      json_t **ret_value, struct failure *f)
{
	_cleanup_json_ json_t *tiers = json_array();

	for (const struct yaml_node *n = node->first; n; n = n->next) {
		int r = read_tier(file, n, tiers, f);

		if (r < 0)
			return r;
		if (json_array_size(tiers) > CONFIG_TIERS_MAX)
			return schema_refuse(file, n, f, "more than %d tiers",
					     CONFIG_TIERS_MAX);
	}
	*ret_value = json_incref(tiers);
	return *ret_value ?
		       0 :
		       failure_set(f, -ENOMEM, EXIT_ERROR, "out of memory");
}
