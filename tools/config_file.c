/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of single settings. */
#include "config_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "config.h"
#include "fs/keeper.h"
#include "key_options.h"
#include "mode.h"
#include "schema.h"
#include "store/key.h"

#define KEY_BASE64_LEN 44 /* of 32 bytes */

static int made(json_t *value, json_t **ret_value, struct failure *f)
{
	if (!value)
		return failure_set(f, -ENOMEM, EXIT_ERROR, "out of memory");
	*ret_value = value;
	return 0;
}

/* What the table of settings and not that of keys has checked. */
static bool is_text(const struct yaml_node *node)
{
	return node->kind == YAML_TEXT && !yaml_node_is_null(node);
}

int config_read_word(const char *file, const struct yaml_node *node,
		     json_t **ret_value, struct failure *f)
{
	if (!key_is_valid(node->text))
		return schema_refuse(file, node, f,
				     "%s: \"%.200s\" needs at most %d of the "
				     "characters A-Z a-z 0-9 . _ -, the first "
				     "of them a letter or a digit",
				     node->key, node->text, KEY_MAX);
	return made(json_string(node->text), ret_value, f);
}

int config_read_seconds(const char *file, const struct yaml_node *node,
			json_t **ret_value, struct failure *f)
{
	size_t digits = strspn(node->text, "0123456789");
	unsigned long n = strtoul(node->text, NULL, 10);

	if (digits == 0 || digits > 6 || node->text[digits] || n == 0 ||
	    n > KEY_TIMEOUT_MAX_S)
		return schema_refuse(file, node, f,
				     "%s: \"%.200s\" is no number of seconds "
				     "from 1 to %u",
				     node->key, node->text, KEY_TIMEOUT_MAX_S);
	return made(json_integer((json_int_t)n), ret_value, f);
}

int config_read_size(const char *file, const struct yaml_node *node,
		     json_t **ret_value, struct failure *f)
{
	struct keeper_size size;

	if (keeper_size_parse(node->text, &size) < 0)
		return schema_refuse(
			file, node, f,
			"%s: \"%.200s\" is no size; write a number "
			"of bytes, perhaps with K, M, G or T, a part "
			"of the disk such as 10%%, or none",
			node->key, node->text);
	return made(json_string(node->text), ret_value, f);
}

int config_read_count(const char *file, const struct yaml_node *node,
		      json_t **ret_value, struct failure *f)
{
	uint64_t number;

	if (keeper_number_parse(node->text, &number) < 0)
		return schema_refuse(file, node, f,
				     "%s: \"%.200s\" must be a number above 0, "
				     "or none",
				     node->key, node->text);
	return made(json_string(node->text), ret_value, f);
}

int config_read_mode(const char *file, const struct yaml_node *node,
		     json_t **ret_value, struct failure *f)
{
	enum mode mode;

	if (mode_parse(node->text, &mode) < 0)
		return schema_refuse(file, node, f,
				     "%s: \"%.200s\" is no mode; use default, "
				     "read-only, force, refresh, write-only or "
				     "off",
				     node->key, node->text);
	return made(json_string(mode_name(mode)), ret_value, f);
}

/* ---- tiers */

struct tier_nodes {
	const struct yaml_node *name, *url, *access;
};

static const struct schema_key tier_keys[] = {
	{ "name", SCHEMA_TEXT, offsetof(struct tier_nodes, name) },
	{ "url", SCHEMA_TEXT, offsetof(struct tier_nodes, url) },
	{ "access", SCHEMA_TEXT, offsetof(struct tier_nodes, access) },
	SCHEMA_END
};

/* A place and nothing else: what is secret would be seen by whoever sees the
 * file or a list of processes. */
static const char *url_fault(const char *url)
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
	fault = url_fault(n->url->text);
	return fault ? schema_refuse(file, n->url, f, "url: %.200s %s",
				     n->url->text, fault) :
		       0;
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
	struct tier_nodes n = { NULL, NULL, NULL };
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
	if (r < 0)
		return r;
	/* Others' data are read; to write them is to be said. */
	tier = json_pack("{s:O, s:s}", "name", name, "access",
			 n.access ? n.access->text :
			 n.url	  ? "r" :
				    "rw");
	if (n.url)
		json_object_set_new(tier, "url", json_string(n.url->text));
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
	return made(json_incref(tiers), ret_value, f);
}

/* ---- keys */

static bool is_base64(const char *text)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "abcdefghijklmnopqrstuvwxyz"
				       "0123456789+/";

	return strlen(text) == KEY_BASE64_LEN &&
	       strspn(text, alphabet) == KEY_BASE64_LEN - 1 &&
	       text[KEY_BASE64_LEN - 1] == '=';
}

/* NAME:BASE64, an Ed25519 public key. */
static bool is_public_key(const char *text)
{
	char name[KEY_MAX + 1];
	size_t len = strcspn(text, ":");

	if (len > KEY_MAX || text[len] != ':')
		return false;
	memcpy(name, text, len);
	name[len] = '\0';
	return key_is_valid(name) && is_base64(text + len + 1);
}

int config_read_keys(const char *file, const struct yaml_node *node,
		     json_t **ret_value, struct failure *f)
{
	_cleanup_json_ json_t *keys = json_array();

	for
		schema_each(text, node)
		{
			if (!is_text(text) || !is_public_key(text->text))
				return schema_refuse(
					file, text, f,
					"trusted-keys: \"%.200s\" must be "
					"NAME:KEY, with the %d characters "
					"of an Ed25519 public key in "
					"Base64",
					text->text, KEY_BASE64_LEN);
			json_array_append_new(keys, json_string(text->text));
		}
	return made(json_incref(keys), ret_value, f);
}
