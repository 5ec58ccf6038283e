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
#include "fs/sandbox.h"
#include "key_options.h"
#include "mode.h"
#include "schema.h"
#include "store/base/log.h"
#include "store/key.h"
#include "store/sign.h"

static int made(json_t *value, json_t **ret_value, struct failure *f)
{
	if (!value)
		return failure_set(f, -ENOMEM, EXIT_ERROR, "out of memory");
	*ret_value = value;
	return 0;
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

int config_read_path(const char *file, const struct yaml_node *node,
		     json_t **ret_value, struct failure *f)
{
	if (sign_text_is_secret(node->text))
		return schema_refuse(file, node, f,
				     "%s: this is a secret key; name the file "
				     "that it is in",
				     node->key);
	if (*node->text != '/' && strcmp(node->text, "none") != 0)
		return schema_refuse(file, node, f,
				     "%s: \"%.200s\" must be an absolute path, "
				     "or none",
				     node->key, node->text);
	return made(json_string(node->text), ret_value, f);
}

int config_read_repack(const char *file, const struct yaml_node *node,
		       json_t **ret_value, struct failure *f)
{
	bool idle;

	if (keeper_repack_parse(node->text, &idle) < 0)
		return schema_refuse(file, node, f,
				     "%s: \"%.200s\" must be idle or off",
				     node->key, node->text);
	return made(json_string(node->text), ret_value, f);
}

int config_read_log_level(const char *file, const struct yaml_node *node,
			  json_t **ret_value, struct failure *f)
{
	enum log_level level;

	if (log_level_parse(node->text, &level) < 0)
		return schema_refuse(file, node, f,
				     "%s: \"%.200s\" is no level; use error, "
				     "warning, info or debug",
				     node->key, node->text);
	return made(json_string(node->text), ret_value, f);
}

int config_read_sandbox(const char *file, const struct yaml_node *node,
			json_t **ret_value, struct failure *f)
{
	unsigned parts;

	if (sandbox_parse(node->text, &parts) < 0)
		return schema_refuse(
			file, node, f,
			"%s: \"%.200s\" is not understood; use on, "
			"off, or off: with some of privileges, "
			"dumps, seccomp and landlock, such as "
			"off:seccomp,landlock",
			node->key, node->text);
	return made(json_string(node->text), ret_value, f);
}
