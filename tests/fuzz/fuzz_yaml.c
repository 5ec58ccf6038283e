/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: any bytes as a project file and as a configuration file. What
 * is taken must keep what the headers promise: paths below the repository or
 * the home directory, names that are keys, a value for each setting. What is
 * refused must say why. One thread.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "store/key.h"
#include "tools/config.h"
#include "tools/project.h"

#define REPO "/repo"
#define HOME "/home/me"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && path[len] == '/' &&
	       path[len + 1];
}

static void check_path(const char *path)
{
	must(is_below(path, REPO) || is_below(path, HOME));
	must(!strstr(path, "/../") && !strstr(path, "/./"));
	must(!strstr(path, "//"));
	must(strcmp(strrchr(path, '/'), "/..") != 0);
}

static void check_cache(const struct project *p, const struct project_cache *c)
{
	must(key_is_valid(c->name) && project_find(p, c->name) == c);
	must(c->paths.count > 0);
	for (size_t i = 0; i < c->paths.count; i++)
		check_path(c->paths.items[i]);
	for (size_t i = 0; i < c->key.files.count; i++)
		must(*c->key.files.items[i] && *c->key.files.items[i] != '/');
	must(!c->command.count || !c->command.items[c->command.count]);
	must(!c->key.key || !key_options_any_part(&c->key));
}

static void as_project(const uint8_t *data, size_t size)
{
	_cleanup_project_ struct project *p = NULL;
	struct failure f = { 0 };
	int r = project_parse("larder.yml", data, size, REPO, HOME, &p, &f);

	if (r < 0) {
		must(!p && f.code == r && *f.message);
		return;
	}
	for (size_t i = 0; i < p->count; i++)
		check_cache(p, &p->caches[i]);
}

static void as_config(const uint8_t *data, size_t size)
{
	_cleanup_config_ struct config c = CONFIG_INIT;
	struct failure f = { 0 };
	int r = config_parse(&c, CONFIG_USER, "config.yml", data, size, &f);

	if (r < 0)
		must(f.code == r && *f.message);
	for (unsigned id = 0; id < CONFIG_COUNT; id++)
		must(!c.values[id].value == !c.values[id].origin);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	as_project(data, size);
	as_config(data, size);
	return 0;
}
