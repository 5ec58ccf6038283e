/* SPDX-License-Identifier: Apache-2.0 */
/*
 * larder config: each setting, its value and where that comes from; and the
 * caches of the project file. Asks no daemon.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "config.h"
#include "fs/rpc.h"
#include "keys.h"
#include "out.h"
#include "project.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"

/* ---- the object: name -> {"value", "origin"}, in the order of printing */

static int add(json_t *all, const char *name, json_t *value, const char *origin)
{
	json_t *setting = json_pack("{s:o, s:o}", "value", value, "origin",
				    rpc_string(origin, strlen(origin)));

	return setting ? json_object_set_new(all, name, setting) : -1;
}

/* Options of the command line go before every other source. */
static void override(struct config *c, enum config_id id, const char *text,
		     const char *option)
{
	if (!text)
		return;
	json_decref(c->values[id].value);
	free(c->values[id].origin);
	c->values[id].value = json_string(text);
	c->values[id].origin = io_path("command line: %s", option);
}

/* Not shown, though it is what counts. */
static void override_sign_key(struct config *c)
{
	const char *key = getenv(KEYS_SIGN_VARIABLE);

	if (!key || !*key)
		return;
	override(c, CONFIG_SIGN_KEY, "(a secret key)", "");
	free(c->values[CONFIG_SIGN_KEY].origin);
	c->values[CONFIG_SIGN_KEY].origin =
		strdup("environment: " KEYS_SIGN_VARIABLE);
}

static int add_settings(const struct config *c, json_t *all)
{
	int r = 0;

	for (unsigned id = 0; r == 0 && id < CONFIG_COUNT; id++)
		r = c->values[id].origin ? add(all, config_name(id),
					       json_incref(c->values[id].value),
					       c->values[id].origin) :
					   -1;
	return r;
}

static json_t *texts_json(const struct strings *texts)
{
	json_t *list = json_array();

	for (size_t i = 0; i < texts->count; i++)
		json_array_append_new(list,
				      rpc_string(texts->items[i],
						 strlen(texts->items[i])));
	return list;
}

static void set_texts(json_t *o, const char *name, const struct strings *texts)
{
	if (texts->count)
		json_object_set_new(o, name, texts_json(texts));
}

static json_t *key_json(const struct key_options *key)
{
	json_t *o = json_object();

	if (key->key)
		json_object_set_new(o, "key", json_string(key->key));
	if (key->git)
		json_object_set_new(o, "git", json_true());
	set_texts(o, "files", &key->files);
	set_texts(o, "optional_files", &key->optional_files);
	set_texts(o, "scripts", &key->scripts);
	set_texts(o, "commands", &key->commands);
	set_texts(o, "env", &key->envs);
	set_texts(o, "salt", &key->salts);
	return o;
}

static json_t *cache_json(const struct project_cache *c)
{
	json_t *o = json_pack("{s:o, s:o}", "paths", texts_json(&c->paths),
			      "key", key_json(&c->key));

	set_texts(o, "command", &c->command);
	set_texts(o, "restore", &c->restore);
	set_texts(o, "environment", &c->environment);
	if (c->mode)
		json_object_set_new(o, "mode", json_string(c->mode));
	if (c->always)
		json_object_set_new(o, "always", json_true());
	return o;
}

static int add_caches(const struct project *p, json_t *all)
{
	int r = 0;

	for (size_t i = 0; p && r == 0 && i < p->count; i++) {
		const struct project_cache *c = &p->caches[i];
		_cleanup_free_ char *name = io_path("caches.%s", c->name);
		_cleanup_free_ char *origin =
			io_path("%s:%u", p->file, c->line);

		r = name && origin ? add(all, name, cache_json(c), origin) : -1;
	}
	return r;
}

/* ---- printing */

static void print_value(const json_t *value)
{
	if (json_is_string(value))
		fputs(json_string_value(value), stdout);
	else
		json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_COMPACT);
}

static void print(json_t *all, bool origins)
{
	const char *name;
	json_t *setting;

	json_object_foreach(all, name, setting)
	{
		printf("%s = ", name);
		print_value(json_object_get(setting, "value"));
		if (origins)
			printf("  (%s)", field_text(setting, "origin"));
		putchar('\n');
	}
}

static const char *setting_name(const void *arg, size_t index)
{
	const char *name;
	json_t *setting;

	json_object_foreach((json_t *)arg, name, setting)
	{
		if (index-- == 0)
			return name;
	}
	return NULL;
}

/* All of them, or the one that is asked for. */
static int select_one(const struct args *args, json_t **all)
{
	json_t *one, *setting;
	const char *nearest;

	if (args->count == 0)
		return 0;
	setting = json_object_get(*all, args->operands[0]);
	if (!setting) {
		nearest =
			options_nearest(args->operands[0], setting_name, *all);
		return out_error(EXIT_USAGE, "there is no setting %s%s%s%s",
				 args->operands[0],
				 nearest ? "; did you mean " : "",
				 nearest ? nearest : "", nearest ? "?" : "");
	}
	one = json_pack("{s:O}", args->operands[0], setting);
	json_decref(*all);
	*all = one;
	return 0;
}

static int run(const struct args *args)
{
	_cleanup_config_ struct config config = CONFIG_INIT;
	_cleanup_project_ struct project *project = NULL;
	_cleanup_json_ json_t *all = json_object();
	struct failure f;
	int r;

	if (config_open(&config, &f) < 0 || project_open(&project, &f) < 0)
		return out_failure(&f);
	override(&config, CONFIG_TENANT, args->tenant, "--tenant");
	override(&config, CONFIG_NAMESPACE, args->namespace, "--namespace");
	override_sign_key(&config);
	if (add_settings(&config, all) < 0 || add_caches(project, all) < 0)
		return out_error(EXIT_ERROR, "out of memory");
	r = select_one(args, &all);
	if (r)
		return r;
	if (args->json)
		return out_json(json_pack("{s:O}", "settings", all));
	print(all, args->origin);
	return 0;
}

static const struct option_def options[] = {
	{ "origin", 0, OPTION_FLAG, NULL, offsetof(struct args, origin),
	  "Print behind each value where it comes from: default, a file and "
	  "its line, a variable, an option. With --json it is always there." },
	OPTION_END
};

const struct command cmd_config = {
	.name = "config",
	.summary = "print the settings, and where each comes from",
	.synopsis = "[--origin] [SETTING]",
	.description =
		"Prints each setting with the value that counts: from the "
		"command line, the environment, the user's file "
		"(~/.config/larder/config.yml), the system's file, or the "
		"default; and the caches of the project's larder.yml. Files "
		"are checked while they are read: an unknown key is an error.",
	.options = options,
	.operands_max = 1,
	.run = run,
};
