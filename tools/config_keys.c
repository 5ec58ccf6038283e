/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The setting `trusted-keys`: public keys, each for all entries or for those of
 * some namespaces and tenants. The value is a list of what was written: texts,
 * and objects of "key", "namespaces" and "tenants".
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "config.h"
#include "config_file.h"
#include "schema.h"
#include "store/key.h"
#include "store/sign.h"

struct key_nodes {
	const struct yaml_node *key, *namespaces, *tenants;
};

static const struct schema_key key_keys[] = {
	{ "key", SCHEMA_TEXT, offsetof(struct key_nodes, key) },
	{ "namespaces", SCHEMA_TEXTS, offsetof(struct key_nodes, namespaces) },
	{ "tenants", SCHEMA_TEXTS, offsetof(struct key_nodes, tenants) },
	SCHEMA_END
};

/* A secret key that was put here by mistake is not shown. */
static int check_key(const char *file, const struct yaml_node *node,
		     struct failure *f)
{
	struct sign_public key;

	if (sign_text_is_secret(node->text))
		return schema_refuse(file, node, f,
				     "trusted-keys: this is a secret key; put "
				     "the public one here (larder keygen "
				     "--public FILE)");
	if (sign_public_parse(node->text, &key) == 0)
		return 0;
	return schema_refuse(file, node, f,
			     "trusted-keys: \"%.200s\" must be NAME:KEY, with "
			     "the %d characters of an Ed25519 public key in "
			     "Base64",
			     node->text, SIGN_BASE64_LEN);
}

static int read_scope(const char *file, const struct yaml_node *texts,
		      const char *name, json_t *key, struct failure *f)
{
	json_t *list;

	if (!texts)
		return 0;
	list = json_array();
	json_object_set_new(key, name, list);
	for
		schema_each(text, texts)
		{
			if (!key_is_valid(text->text))
				return schema_refuse(file, text, f,
						     "trusted-keys: \"%.200s\" "
						     "names no %s",
						     text->text, name);
			json_array_append_new(list, json_string(text->text));
		}
	if (json_array_size(list) == 0)
		return schema_refuse(file, texts, f,
				     "trusted-keys: a key for no %s is for "
				     "nothing; leave %s out, and it is for all",
				     name, name);
	return 0;
}

static int read_map(const char *file, const struct yaml_node *map, json_t *keys,
		    struct failure *f)
{
	struct key_nodes n = { .key = NULL };
	json_t *key;
	int r = schema_read(file, map, "trusted-keys", key_keys, &n, f);

	if (r == 0 && !n.key)
		return schema_refuse(file, map, f,
				     "trusted-keys: this one has no key");
	if (r == 0)
		r = check_key(file, n.key, f);
	if (r < 0)
		return r;
	key = json_pack("{s:s}", "key", n.key->text);
	json_array_append_new(keys, key);
	r = read_scope(file, n.namespaces, "namespaces", key, f);
	return r < 0 ? r : read_scope(file, n.tenants, "tenants", key, f);
}

static int read_one(const char *file, const struct yaml_node *node,
		    json_t *keys, struct failure *f)
{
	int r;

	if (node->kind == YAML_MAP)
		return read_map(file, node, keys, f);
	r = check_key(file, node, f);
	if (r == 0)
		json_array_append_new(keys, json_string(node->text));
	return r;
}

int config_read_keys(const char *file, const struct yaml_node *node,
		     json_t **ret_value, struct failure *f)
{
	_cleanup_json_ json_t *keys = json_array();

	for
		schema_each(one, node)
		{
			int r = read_one(file, one, keys, f);

			if (r < 0)
				return r;
		}
	if (json_array_size(keys) > CONFIG_KEYS_MAX)
		return schema_refuse(file, node, f,
				     "trusted-keys: more than %d keys",
				     CONFIG_KEYS_MAX);
	*ret_value = json_incref(keys);
	return 0;
}
