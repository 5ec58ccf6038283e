/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The caches of a project file, or of a preset, that the command line chooses,
 * as plans for run.h. One thread.
 */
#ifndef LARDER_TOOLS_PROJECT_PLAN_H
#define LARDER_TOOLS_PROJECT_PLAN_H

#include "project.h"
#include "run.h"

/* A cache as a plan, with what the plan does not own. */
struct project_plan {
	struct run_plan plan;
	const struct project_cache *cache;
	char *name, *salt;
};

struct project_plans {
	const struct args *args; /* borrowed */
	struct project *project;
	struct project_plan *items;
	size_t count;
	struct strings outputs; /* of all caches of the project */
};

/* args->names, or all where there are none, in the file's order; their plans
 * are still empty. The caller releases them, also after a failure. */
int project_plans_choose(const struct args *args,
			 struct project_plans *ret_plans,
			 struct failure *ret_failure);
void project_plans_release(struct project_plans *s);

/* Makes the plans. Each has a command, from the command line or its cache. */
int project_plans_make(struct project_plans *s, struct failure *ret_failure);

/* Caches that have one command in common (all of them, where the command line
 * gives it; those of Solano's form) are one group: the end of the one that
 * begins at `first`. */
size_t project_plans_group_end(const struct project_plans *s, size_t first);

#endif
