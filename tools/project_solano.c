/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The project file's `cache`, as Solano CI's incremental caching has it:
 *
 *	cache:
 *	  key_paths: [Gemfile, Gemfile.lock]
 *	  save_paths: [HOME/bundle]
 *	  update_scripts:
 *	    assets:
 *	      key_script: ./scripts/hash.sh app/assets
 *	      paths: [REPO/public/assets]
 *
 * Each update script is a cache of its own, whose key is made of what the
 * script prints and of the key paths; save_paths are one more, SAVED, whose
 * key is made of the key paths. So a change of a key path renews all of them,
 * one of a script's output renews its paths, and the restored whole is exact
 * when all scripts say what they said. The command always runs, as Solano's
 * set-up hooks do; `command` is Larder's addition. A path is a directory or a
 * file, as the command leaves it.
 */
#include "project_internal.h"

#define SAVED "cache"

/* Solano's; each may be absent. It has defaults for save_paths too, but they
 * are directories of its own workers. */
static const char *const default_key_paths[] = { "Gemfile", "Gemfile.lock",
						 "requirements.txt",
						 "package.json" };

struct solano_nodes {
	const struct yaml_node *key_paths, *save_paths, *update_scripts,
		*command;
};

static const struct schema_key solano_keys[] = {
	{ "key_paths", SCHEMA_TEXTS, offsetof(struct solano_nodes, key_paths) },
	{ "save_paths", SCHEMA_TEXTS,
	  offsetof(struct solano_nodes, save_paths) },
	{ "update_scripts", SCHEMA_MAP,
	  offsetof(struct solano_nodes, update_scripts) },
	{ "command", SCHEMA_TEXTS, offsetof(struct solano_nodes, command) },
	SCHEMA_END
};

struct script_nodes {
	const struct yaml_node *key_script, *paths;
};

static const struct schema_key script_keys[] = {
	{ "key_script", SCHEMA_TEXT,
	  offsetof(struct script_nodes, key_script) },
	{ "paths", SCHEMA_TEXTS, offsetof(struct script_nodes, paths) },
	SCHEMA_END
};

/* What all caches of the block have in common. */
static int add_cache(struct project_reader *r, const struct solano_nodes *n,
		     const struct yaml_node *node, const char *name,
		     struct project_cache **ret_cache)
{
	struct key_options *key;
	int err = project_add_cache(r, node, name, ret_cache);

	if (err < 0)
		return err;
	(*ret_cache)->solano = (*ret_cache)->always = true;
	key = &(*ret_cache)->key;
	if (n->key_paths)
		err = project_read_globs(r, n->key_paths, &key->files);
	for (unsigned i = 0; err == 0 && !n->key_paths &&
			     i < sizeof(default_key_paths) / sizeof(char *);
	     i++)
		err = project_add(r, &key->optional_files,
				  default_key_paths[i]);
	return err < 0 ? err : project_read_command(r, n->command, *ret_cache);
}

static int read_paths(struct project_reader *r, const struct yaml_node *paths,
		      struct project_cache *c)
{
	int err = project_read_paths(r, paths, &c->paths);

	c->nfiles = c->paths.count;
	return err;
}

static int add_saved(struct project_reader *r, const struct solano_nodes *n)
{
	struct project_cache *c;
	int err;

	if (!schema_first(n->save_paths))
		return 0;
	if (n->key_paths && !schema_first(n->key_paths))
		return project_refuse(r, n->save_paths,
				      "save_paths need key_paths, which say "
				      "when to save them anew");
	err = add_cache(r, n, n->save_paths, SAVED, &c);
	return err < 0 ? err : read_paths(r, n->save_paths, c);
}

static int add_script(struct project_reader *r, const struct solano_nodes *n,
		      const struct yaml_node *script)
{
	struct script_nodes nodes = { NULL, NULL };
	struct project_cache *c;
	int err = schema_read(r->project->file, script, "update_scripts",
			      script_keys, &nodes, r->failure);

	if (err < 0)
		return err;
	if (!nodes.key_script || !*nodes.key_script->text)
		return project_refuse(r, script,
				      "the update script %.200s has no "
				      "key_script",
				      script->key);
	if (!schema_first(nodes.paths))
		return project_refuse(r, script,
				      "the update script %.200s has no paths",
				      script->key);
	err = add_cache(r, n, script, script->key, &c);
	if (err == 0)
		err = project_add(r, &c->key.scripts, nodes.key_script->text);
	return err < 0 ? err : read_paths(r, nodes.paths, c);
}

int project_read_solano(struct project_reader *r, const struct yaml_node *map)
{
	struct solano_nodes n = { 0 };
	int err = schema_read(r->project->file, map, "cache", solano_keys, &n,
			      r->failure);

	if (err == 0)
		err = add_saved(r, &n);
	if (err < 0 || !n.update_scripts)
		return err;
	for (const struct yaml_node *s = n.update_scripts->first; err == 0 && s;
	     s = s->next)
		err = add_script(r, &n, s);
	return err;
}
