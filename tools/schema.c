/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of keys against maps. */
#include "schema.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cmd.h"

int schema_refuse(const char *file, const struct yaml_node *node,
		  struct failure *ret_failure, const char *fmt, ...)
{
	char text[800];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!node->line)
		return failure_set(ret_failure, -EINVAL, EXIT_USAGE,
				   "%.200s: %s", file, text);
	return failure_set(ret_failure, -EINVAL, EXIT_USAGE, "%.200s:%u: %s",
			   file, node->line, text);
}

/* ---- kinds */

/* 1 for true, 0 for false, -1 for neither. */
static int flag_value(const char *text)
{
	static const char *const names[2][3] = { { "false", "no", "off" },
						 { "true", "yes", "on" } };

	for (int value = 0; value < 2; value++)
		for (unsigned i = 0; i < 3; i++)
			if (strcasecmp(text, names[value][i]) == 0)
				return value;
	return -1;
}

static bool are_of(const struct yaml_node *list, unsigned kinds)
{
	for (const struct yaml_node *n = list->first; n; n = n->next)
		if (yaml_node_is_null(n) ||
		    !(n->kind == YAML_TEXT ? kinds & SCHEMA_TEXTS :
		      n->kind == YAML_MAP  ? kinds & SCHEMA_MAPS :
					     0))
			return false;
	return true;
}

static bool is_of(const struct yaml_node *node, unsigned kinds)
{
	switch (node->kind) {
	case YAML_MAP:
		return kinds & SCHEMA_MAP;
	case YAML_LIST:
		return kinds & (SCHEMA_TEXTS | SCHEMA_MAPS) &&
		       are_of(node, kinds);
	case YAML_TEXT:
		if (kinds & (SCHEMA_TEXT | SCHEMA_TEXTS))
			return true;
		return kinds & SCHEMA_FLAG && flag_value(node->text) >= 0;
	}
	return false;
}

/* What the kinds are called, the commonest first. */
static const char *kind_name(unsigned kinds)
{
	if (kinds & SCHEMA_MAPS)
		return kinds & SCHEMA_TEXTS ? "a list of texts and maps" :
					      "a list of maps";
	if (kinds & SCHEMA_TEXTS)
		return kinds & SCHEMA_MAP ? "a map, or a list of texts" :
					    "a text or a list of texts";
	if (kinds & SCHEMA_MAP)
		return kinds & SCHEMA_TEXT ? "a map or a text" : "a map";
	return kinds & SCHEMA_FLAG ? "true or false" : "a text";
}

/* ---- keys */

static const char *key_name(const void *arg, size_t index)
{
	const struct schema_key *keys = arg;

	return keys[index].name;
}

static const struct schema_key *find_key(const struct schema_key *keys,
					 const char *name)
{
	for (; keys->name; keys++)
		if (strcmp(keys->name, name) == 0)
			return keys;
	return NULL;
}

/* "a, b and c" */
static void list_keys(const struct schema_key *keys, char *ret_text,
		      size_t size)
{
	size_t len = 0;

	for (size_t i = 0; keys[i].name && len < size; i++)
		len += (size_t)snprintf(ret_text + len, size - len, "%s%s",
					i == 0		 ? "" :
					keys[i + 1].name ? ", " :
							   " and ",
					keys[i].name);
}

static int unknown_key(const char *file, const struct yaml_node *node,
		       const char *what, const struct schema_key *keys,
		       struct failure *f)
{
	const char *nearest = options_nearest(node->key, key_name, keys);
	char names[300];

	if (nearest)
		return schema_refuse(file, node, f,
				     "%s: unknown key %.100s; did you mean %s?",
				     what, node->key, nearest);
	list_keys(keys, names, sizeof(names));
	return schema_refuse(file, node, f,
			     "%s: unknown key %.100s; it takes %s", what,
			     node->key, names);
}

static int read_key(const char *file, const struct yaml_node *node,
		    const char *what, const struct schema_key *keys,
		    void *ret_nodes, struct failure *f)
{
	const struct schema_key *key = find_key(keys, node->key);

	if (!key)
		return unknown_key(file, node, what, keys, f);
	if (yaml_node_is_null(node))
		return schema_refuse(file, node, f, "%s: %s has no value%s",
				     what, key->name,
				     key->kinds & SCHEMA_TEXTS ?
					     "; an empty list is []" :
					     "");
	if (!is_of(node, key->kinds))
		return schema_refuse(file, node, f, "%s: %s must be %s", what,
				     key->name, kind_name(key->kinds));
	*(const struct yaml_node **)((char *)ret_nodes + key->offset) = node;
	return 0;
}

int schema_read(const char *file, const struct yaml_node *map, const char *what,
		const struct schema_key *keys, void *ret_nodes,
		struct failure *ret_failure)
{
	if (map->kind != YAML_MAP)
		return schema_refuse(file, map, ret_failure,
				     "%s must be a map of keys and values",
				     what);
	for (const struct yaml_node *n = map->first; n; n = n->next) {
		int r = read_key(file, n, what, keys, ret_nodes, ret_failure);

		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- values */

bool schema_flag(const struct yaml_node *node)
{
	return flag_value(node->text) == 1;
}

const struct yaml_node *schema_first(const struct yaml_node *texts)
{
	return texts && texts->kind == YAML_LIST ? texts->first : texts;
}

const struct yaml_node *schema_next(const struct yaml_node *texts,
				    const struct yaml_node *text)
{
	return texts->kind == YAML_LIST ? text->next : NULL;
}
