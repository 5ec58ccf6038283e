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
