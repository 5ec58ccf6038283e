/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From caches to plans. Caches that have one command in common (all of them,
 * where the command line gives it; those of Solano's form) are one group,
 * which run_group() sets up and commits around it. What else a plan needs is
 * decided here: the order of mode's sources, the command as a part of the key,
 * where paths may lead.
 */
#include "run_project.h"

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
#include "project.h"
#include "repo.h"
#include "run.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/key.h"

/* A cache as a plan, with what the plan does not own. */
struct planned {
	struct run_plan plan;
	const struct project_cache *cache;
	char *name, *salt;
};

struct selection {
	const struct args *args;
	struct project *project;
	struct planned *items;
	size_t count;
	struct strings outputs; /* of all caches of the project */
};

static void selection_release(struct selection *s)
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

static int load(struct selection *s, struct failure *f)
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

static int unknown(const struct selection *s, const char *name,
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
static int choose(struct selection *s, struct failure *f)
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
static int salt_command(struct planned *item, struct failure *f)
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
static int name_it(const struct selection *s, struct planned *item,
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

static int check_paths(const struct selection *s, const struct planned *item,
		       struct failure *f)
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
static int plan(const struct selection *s, struct planned *item, bool shared,
		struct failure *f)
{
	const struct args *args = s->args;
	const struct project_cache *c = item->cache;
	struct run_plan *p = &item->plan;
	const char *mode = c->mode ? c->mode : args->mode_setting;
	int r;

	run_plan_init(p, args);
	p->paths = c->paths;
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

/* ---- groups */

/* Whether two caches are set up around the same command. */
static bool are_grouped(const struct selection *s, size_t a, size_t b)
{
	return s->args->count > 0 ||
	       (s->items[a].cache->solano && s->items[b].cache->solano);
}

/* The end of the group that begins at `first`. */
static size_t group_end(const struct selection *s, size_t first)
{
	size_t end = first + 1;

	while (end < s->count && are_grouped(s, first, end))
		end++;
	return end;
}

/* Caches whose command only the user knows wait for it, unless nothing else
 * is to be done. */
static int drop_without_command(struct selection *s, struct failure *f)
{
	const struct strings *names = &s->args->names;
	size_t kept = 0;

	for (size_t i = 0; i < s->count; i++)
		kept += s->args->count || s->items[i].cache->command.count;
	if (kept < s->count && (kept == 0 || names->count))
		return failure_set(f, -EINVAL, EXIT_USAGE,
				   "%s names no command for the cache %s: "
				   "larder run%s%s -- COMMAND",
				   s->project->file, s->items[0].cache->name,
				   names->count ? " " : "",
				   names->count ? names->items[0] : "");
	kept = 0;
	for (size_t i = 0; i < s->count; i++) {
		const struct project_cache *c = s->items[i].cache;

		if (s->args->count || c->command.count)
			s->items[kept++] = s->items[i];
		else
			out_note("%s: left out; its command is yours: larder "
				 "run %s -- COMMAND",
				 c->name, c->name);
	}
	s->count = kept;
	return 0;
}

static int make_plans(struct selection *s, struct failure *f)
{
	const struct project *p = s->project;
	int r = 0;

	for (size_t i = 0; i < p->count; i++)
		for (size_t j = 0; j < p->caches[i].paths.count; j++)
			if (strings_add(&s->outputs,
					p->caches[i].paths.items[j]) < 0)
				return no_memory(f);
	for (size_t i = 0; r == 0 && i < s->count; i++) {
		bool shared = group_end(s, i) > i + 1 ||
			      (i > 0 && are_grouped(s, i - 1, i));

		r = plan(s, &s->items[i], shared, f);
	}
	return r;
}

static int run_groups(const struct selection *s, json_t *reports)
{
	int code = 0;

	for (size_t i = 0, end; code == 0 && i < s->count; i = end) {
		const struct run_plan *plans[PROJECT_MAX_CACHES];

		end = group_end(s, i);
		for (size_t j = i; j < end; j++)
			plans[j - i] = &s->items[j].plan;
		code = run_group(plans, end - i, reports);
	}
	return code;
}

/* One object: a run's report, or several and the exit code. */
static int report(json_t *reports, int code)
{
	json_t *all;

	if (json_array_size(reports) == 1)
		all = json_incref(json_array_get(reports, 0));
	else
		all = json_pack("{s:O, s:i}", "runs", reports, "exit", code);
	out_json(all);
	return code;
}

int run_project(const struct args *args)
{
	_cleanup_(selection_release) struct selection s = { .args = args };
	_cleanup_json_ json_t *reports = json_array();
	struct failure f;
	int r = load(&s, &f);

	if (r == 0)
		r = choose(&s, &f);
	if (r == 0)
		r = drop_without_command(&s, &f);
	if (r == 0 && args->name && s.count > 1)
		r = failure_set(&f, -EINVAL, EXIT_USAGE,
				"run: --name is for one cache, and there are "
				"%zu",
				s.count);
	if (r == 0)
		r = make_plans(&s, &f);
	if (r < 0)
		return out_failure(&f);
	r = run_groups(&s, reports);
	return args->json ? report(reports, r) : r;
}
