/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From caches of a project file to plans. What a plan needs besides is decided
 * here: the order of mode's sources, the command as a part of the key, where
 * paths may lead.
 */
#include "project_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "mode.h"
#include "out.h"
#include "preset.h"
#include "repo.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/key.h"

void project_plans_release(struct project_plans *s)
{
	for (size_t i = 0; i < s->count; i++) {
		free(s->items[i].plan.key.salts.items);
		free(s->items[i].name);
		free(s->items[i].salt);
	}
	free(s->items);
	free(s->outputs.items);
	project_free(s->project);
}

static int no_memory(struct failure *f)
{
	return failure_set(f, -ENOMEM, EXIT_ERROR, "out of memory");
}

/* ---- which caches */

static int parse_preset(const char *text, struct project **ret_project,
			struct failure *f)
{
	struct preset_choice choice;
	_cleanup_free_ char *name = NULL, *yaml = NULL;
	char here[PATH_MAX], top[PATH_MAX];
	FILE *out;
	size_t len;
	int r;

	if (!getcwd(here, sizeof(here)))
		return failure_set(f, -errno, EXIT_ERROR,
				   "cannot name the current directory: %s",
				   strerror(errno));
	r = preset_parse(text, ".", &choice, f);
	if (r < 0)
		return r;
	strcpy(top, here);
	name = repo_name(here);
	out = name ? open_memstream(&yaml, &len) : NULL;
	if (!out)
		return no_memory(f);
	fputs("caches:\n", out);
	preset_write(out, &choice, name, repo_find_top(top));
	if (fclose(out) != 0)
		return no_memory(f);
	return project_parse("preset", yaml, len, here, NULL, ret_project, f);
}

static int load(struct project_plans *s, struct failure *f)
{
	const struct args *args = s->args;
	int r;

	if (args->preset)
		return parse_preset(args->preset, &s->project, f);
	r = project_open(&s->project, f);
	if (r < 0)
		return r;
	if (!s->project)
		return failure_set(f, -ENOENT, EXIT_USAGE,
				   "run: there is no " PROJECT_FILE
				   " here: write one with larder init, or say "
				   "with --path DIR and --key-file GLOB what "
				   "to keep");
	if (s->project->count == 0)
		return failure_set(f, -EINVAL, EXIT_USAGE,
				   "%s describes no cache", s->project->file);
	return 0;
}

static int unknown(const struct project_plans *s, const char *name,
		   struct failure *f)
{
	const char *nearest = project_nearest(s->project, name);

	if (nearest)
		return failure_set(f, -EINVAL, EXIT_USAGE,
				   "%s has no cache %.100s; did you mean %s?",
				   s->project->file, name, nearest);
	return failure_set(f, -EINVAL, EXIT_USAGE,
			   "%s has no cache %.100s; is it a command? Then put "
			   "-- before it",
			   s->project->file, name);
}

static bool is_named(const struct strings *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++)
		if (strcmp(names->items[i], name) == 0)
			return true;
	return names->count == 0;
}

/* In the order of the file, whatever that of the names: runs that wait for
 * each other's keys so never wait in a circle. */
static int choose(struct project_plans *s, struct failure *f)
{
	const struct strings *names = &s->args->names;
	const struct project *p = s->project;

	for (size_t i = 0; i < names->count; i++)
		if (!project_find(p, names->items[i]))
			return unknown(s, names->items[i], f);
	s->items = calloc(p->count, sizeof(*s->items));
	if (!s->items)
		return no_memory(f);
	for (size_t i = 0; i < p->count; i++)
		if (is_named(names, p->caches[i].name))
			s->items[s->count++].cache = &p->caches[i];
	return 0;
}

/* ---- a cache as a plan */

/* Another command is another key, where an exact hit stands for its having
 * run. */
static int salt_command(struct project_plan *item, struct failure *f)
{
	struct key_options *key = &item->plan.key;
	const struct strings *salts = &item->cache->key.salts;
	size_t len, i;
	FILE *out;

	key->salts = (struct strings){ NULL, 0 };
	for (i = 0; i < salts->count; i++)
		if (strings_add(&key->salts, salts->items[i]) < 0)
			return no_memory(f);
	if (key->key || item->plan.always)
		return 0;
	out = open_memstream(&item->salt, &len);
	if (!out)
		return no_memory(f);
	fputs("command", out);
	for (i = 0; item->plan.command[i]; i++)
		fprintf(out, "\n%s", item->plan.command[i]);
	if (fclose(out) != 0 || strings_add(&key->salts, item->salt) < 0)
		return no_memory(f);
	return 0;
}

/* Names in Solano's form are for messages, and so the same in each project. */
static int name_it(const struct project_plans *s, struct project_plan *item,
		   struct failure *f)
{
	_cleanup_free_ char *project = NULL;

	item->plan.name = item->cache->name;
	if (s->args->name) {
		item->plan.name = s->args->name;
	} else if (item->cache->solano) {
		project = repo_name(s->project->repo);
		item->name =
			project ? io_path("%s-%s", project, item->cache->name) :
				  NULL;
		item->plan.name = item->name;
		if (!item->name)
			return no_memory(f);
		if (!key_is_valid(item->name))
			return failure_set(f, -EINVAL, EXIT_USAGE,
					   "%s:%u: the name %s is too long",
					   s->project->file, item->cache->line,
					   item->cache->name);
	}
	return 0;
}

/* A directory of stores in the repository is no part of the project. */
static int hide_stores(const struct project *p, const char *path,
		       struct failure *f)
{
	_cleanup_free_ char *stores = io_path("%s/%s", p->repo, PRESET_STORES);
	_cleanup_free_ char *file = NULL;
	_cleanup_close_ int fd = -1;
	size_t len = stores ? strlen(stores) : 0;
	int r;

	if (!stores)
		return no_memory(f);
	if (strncmp(path, stores, len) != 0 || path[len] != '/')
		return 0;
	file = io_path("%s/.gitignore", stores);
	if (!file)
		return no_memory(f);
	r = io_mkdir_p(stores, 0777);
	fd = r < 0 ? -1 :
		     open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (r == 0 && fd < 0 && errno != EEXIST)
		r = -errno;
	if (fd >= 0)
		r = io_write(fd, "*\n", 2);
	return r < 0 ? failure_set(f, r, EXIT_ERROR, "%s: %s", file,
				   strerror(-r)) :
		       0;
}

static int check_paths(const struct project_plans *s,
		       const struct project_plan *item, struct failure *f)
{
	const struct strings *paths = &item->cache->paths;
	int r = 0;

	for (size_t i = 0; r == 0 && i < paths->count; i++) {
		r = project_confine(s->project, paths->items[i], f);
		if (r == 0)
			r = hide_stores(s->project, paths->items[i], f);
	}
	return r;
}

/* `shared`: other caches are set up around the same command, which so always
 * runs. */
static int plan(const struct project_plans *s, struct project_plan *item,
		bool shared, struct failure *f)
{
	const struct args *args = s->args;
	const struct project_cache *c = item->cache;
	struct run_plan *p = &item->plan;
	const char *mode = c->mode ? c->mode : args->mode_setting;
	int r;

	run_plan_init(p, args);
	p->paths = c->paths;
	p->nfiles = c->nfiles;
	p->key = c->key;
	p->key.outputs = s->outputs;
	p->key.timeout_s = args->key.timeout_s;
	if (p->restore_prefixes.count == 0)
		p->restore_prefixes = c->restore;
	if (args->count == 0) {
		p->command = c->command.items;
		p->dir = s->project->repo;
	}
	p->environment = c->environment;
	p->label = c->name;
	p->always = args->always || c->always || shared;
	p->keep_exact = c->always || shared;
	r = mode_choose(args->mode, mode, &p->mode, f);
	if (r == 0)
		r = name_it(s, item, f);
	if (r == 0)
		r = salt_command(item, f);
	return r < 0 ? r : check_paths(s, item, f);
}

/* ---- all of them */

int project_plans_choose(const struct args *args,
			 struct project_plans *ret_plans, struct failure *f)
{
	int r;

	ret_plans->args = args;
	r = load(ret_plans, f);
	return r < 0 ? r : choose(ret_plans, f);
}

/* Whether two caches are set up around the same command. */
static bool are_grouped(const struct project_plans *s, size_t a, size_t b)
{
	return s->args->count > 0 ||
	       (s->items[a].cache->solano && s->items[b].cache->solano);
}

size_t project_plans_group_end(const struct project_plans *s, size_t first)
{
	size_t end = first + 1;

	while (end < s->count && are_grouped(s, first, end))
		end++;
	return end;
}

int project_plans_make(struct project_plans *s, struct failure *f)
{
	const struct project *p = s->project;
	int r = 0;

	for (size_t i = 0; i < p->count; i++)
		for (size_t j = 0; j < p->caches[i].paths.count; j++)
			if (strings_add(&s->outputs,
					p->caches[i].paths.items[j]) < 0)
				return no_memory(f);
	for (size_t i = 0; r == 0 && i < s->count; i++) {
		bool shared = project_plans_group_end(s, i) > i + 1 ||
			      (i > 0 && are_grouped(s, i - 1, i));

		r = plan(s, &s->items[i], shared, f);
	}
	return r;
}
