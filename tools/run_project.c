/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs of a project file's caches: each group of them is set up and committed
 * around its one command.
 */
#include "run_project.h"

#include <errno.h>
#include <string.h>

#include "cmd.h"
#include "out.h"
#include "project_plan.h"
#include "store/base/cleanup.h"

/* ---- groups */

/* Caches whose command only the user knows wait for it, unless nothing else
 * is to be done. */
static int drop_without_command(struct project_plans *s, struct failure *f)
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

static int run_groups(const struct project_plans *s, json_t *reports)
{
	int code = 0;

	for (size_t i = 0, end; code == 0 && i < s->count; i = end) {
		const struct run_plan *plans[PROJECT_MAX_CACHES];

		end = project_plans_group_end(s, i);
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
	_cleanup_(project_plans_release) struct project_plans s = { 0 };
	_cleanup_json_ json_t *reports = json_array();
	struct failure f;
	int r = project_plans_choose(args, &s, &f);

	if (r == 0)
		r = drop_without_command(&s, &f);
	if (r == 0 && args->name && s.count > 1)
		r = failure_set(&f, -EINVAL, EXIT_USAGE,
				"run: --name is for one cache, and there are "
				"%zu",
				s.count);
	if (r == 0)
		r = project_plans_make(&s, &f);
	if (r < 0)
		return out_failure(&f);
	r = run_groups(&s, reports);
	return args->json ? report(reports, r) : r;
}
