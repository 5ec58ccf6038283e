/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Larder's own form of the project file: `caches`, a list of maps.
 *
 *	caches:
 *	  - name: web
 *	    paths: [node_modules]
 *	    key:
 *	      files: [package-lock.json]
 *	      commands: [node --version]
 *	    command: npm ci
 */
#include <string.h>

#include "mode.h"
#include "project_internal.h"
#include "store/base/io.h"
#include "store/key.h"

struct cache_nodes {
	const struct yaml_node *name, *paths, *files, *key, *command, *mode,
		*restore, *always, *environment;
};

static const struct schema_key cache_keys[] = {
	{ "name", SCHEMA_TEXT, offsetof(struct cache_nodes, name) },
	{ "paths", SCHEMA_TEXTS, offsetof(struct cache_nodes, paths) },
	{ "files", SCHEMA_TEXTS, offsetof(struct cache_nodes, files) },
	{ "key", SCHEMA_MAP | SCHEMA_TEXT, offsetof(struct cache_nodes, key) },
	{ "command", SCHEMA_TEXTS, offsetof(struct cache_nodes, command) },
	{ "mode", SCHEMA_TEXT, offsetof(struct cache_nodes, mode) },
	{ "restore", SCHEMA_TEXTS, offsetof(struct cache_nodes, restore) },
	{ "always", SCHEMA_FLAG, offsetof(struct cache_nodes, always) },
	{ "environment", SCHEMA_MAP,
	  offsetof(struct cache_nodes, environment) },
	SCHEMA_END
};

struct key_nodes {
	const struct yaml_node *files, *git, *scripts, *commands, *env, *salt;
};

static const struct schema_key key_keys[] = {
	{ "files", SCHEMA_TEXTS, offsetof(struct key_nodes, files) },
	{ "git", SCHEMA_FLAG, offsetof(struct key_nodes, git) },
	{ "scripts", SCHEMA_TEXTS, offsetof(struct key_nodes, scripts) },
	{ "commands", SCHEMA_TEXTS, offsetof(struct key_nodes, commands) },
	{ "env", SCHEMA_TEXTS, offsetof(struct key_nodes, env) },
	{ "salt", SCHEMA_TEXTS, offsetof(struct key_nodes, salt) },
	SCHEMA_END
};

/* ---- key */

static bool is_variable(const char *name)
{
	return *name && !strchr(name, '=');
}

static int read_envs(struct project_reader *r, const struct yaml_node *texts,
		     struct strings *list)
{
	for
		schema_each(text, texts) if (!is_variable(text->text)) return project_refuse(
			r, text,
			"\"%.200s\" is no name of a "
			"variable",
			text->text);
	return project_read_texts(r, texts, list);
}

static int read_key_parts(struct project_reader *r,
			  const struct yaml_node *node, struct project_cache *c)
{
	struct key_options *key = &c->key;
	struct key_nodes nodes = { 0 };
	int err = schema_read(r->project->file, node, "key", key_keys, &nodes,
			      r->failure);

	if (err == 0)
		err = project_read_globs(r, nodes.files, &key->files);
	if (err == 0)
		err = project_read_texts(r, nodes.scripts, &key->scripts);
	if (err == 0)
		err = project_read_texts(r, nodes.commands, &key->commands);
	if (err == 0)
		err = read_envs(r, nodes.env, &key->envs);
	if (err == 0)
		err = project_read_texts(r, nodes.salt, &key->salts);
	if (err < 0)
		return err;
	c->key.git = nodes.git && schema_flag(nodes.git);
	if (!c->key.git && !key_options_any_part(key))
		return project_refuse(r, node,
				      "the key is made of nothing: name files, "
				      "git, scripts, commands, env or salt");
	return 0;
}

static int read_key(struct project_reader *r, const struct yaml_node *node,
		    struct project_cache *c)
{
	if (node->kind == YAML_MAP)
		return read_key_parts(r, node, c);
	if (!key_is_valid(node->text))
		return project_refuse(r, node,
				      "the key \"%.200s\" needs at most %d of "
				      "the characters A-Z a-z 0-9 . _ -, the "
				      "first of them a letter or a digit",
				      node->text, KEY_MAX);
	c->key.key = node->text;
	return 0;
}

/* ---- the rest */

int project_read_command(struct project_reader *r, const struct yaml_node *node,
			 struct project_cache *c)
{
	int err = 0;

	if (!node)
		return 0;
	if (!schema_first(node))
		return project_refuse(r, node, "the command is empty");
	if (node->kind == YAML_TEXT) {
		err = project_add(r, &c->command, "/bin/sh");
		if (err == 0)
			err = project_add(r, &c->command, "-c");
	}
	return err < 0 ? err : project_read_texts(r, node, &c->command);
}

static int read_mode(struct project_reader *r, const struct yaml_node *node,
		     struct project_cache *c)
{
	enum mode mode;

	if (!node)
		return 0;
	if (mode_parse(node->text, &mode) < 0)
		return project_refuse(r, node,
				      "\"%.200s\" is no mode; use default, "
				      "read-only, force, refresh, write-only "
				      "or off",
				      node->text);
	c->mode = node->text;
	return 0;
}

static int read_restore(struct project_reader *r, const struct yaml_node *node,
			struct project_cache *c)
{
	for
		schema_each(text, node) if (!key_is_valid(text->text)) return project_refuse(
			r, text, "\"%.200s\" cannot begin a key", text->text);
	return project_read_texts(r, node, &c->restore);
}

static int read_environment(struct project_reader *r,
			    const struct yaml_node *map,
			    struct project_cache *c)
{
	for (const struct yaml_node *n = map ? map->first : NULL; n;
	     n = n->next) {
		const char *value, *text;
		int err;

		if (n->kind != YAML_TEXT || !is_variable(n->key))
			return project_refuse(r, n,
					      "environment: %.200s: a variable "
					      "has a name and a text",
					      n->key);
		err = project_expand(r, n, &value);
		if (err == 0)
			err = project_keep(r, io_path("%s=%s", n->key, value),
					   &text);
		if (err == 0)
			err = project_add(r, &c->environment, text);
		if (err < 0)
			return err;
	}
	return 0;
}

static int check_there(struct project_reader *r, const struct yaml_node *map,
		       const struct cache_nodes *n)
{
	if (!n->name)
		return project_refuse(r, map, "this cache has no name");
	if (!schema_first(n->paths) && !schema_first(n->files))
		return project_refuse(r, map, "the cache %.200s has no paths",
				      n->name->text);
	if (!n->key)
		return project_refuse(r, map, "the cache %.200s has no key",
				      n->name->text);
	return 0;
}

static int read_cache(struct project_reader *r, const struct yaml_node *map)
{
	struct cache_nodes n = { 0 };
	struct project_cache *c;
	int err = schema_read(r->project->file, map, "caches", cache_keys, &n,
			      r->failure);

	if (err == 0)
		err = check_there(r, map, &n);
	if (err == 0)
		err = project_add_cache(r, n.name, n.name->text, &c);
	if (err < 0)
		return err;
	err = project_read_paths(r, n.paths, &c->paths);
	c->nfiles = c->paths.count;
	if (err == 0)
		err = project_read_paths(r, n.files, &c->paths);
	c->nfiles = c->paths.count - c->nfiles;
	if (err == 0)
		err = read_key(r, n.key, c);
	if (err == 0)
		err = project_read_command(r, n.command, c);
	if (err == 0)
		err = read_mode(r, n.mode, c);
	if (err == 0)
		err = read_restore(r, n.restore, c);
	if (err == 0)
		err = read_environment(r, n.environment, c);
	c->always = n.always && schema_flag(n.always);
	return err;
}

int project_read_caches(struct project_reader *r, const struct yaml_node *list)
{
	int err = 0;

	for (const struct yaml_node *n = list->first; err == 0 && n;
	     n = n->next)
		err = read_cache(r, n);
	return err;
}
