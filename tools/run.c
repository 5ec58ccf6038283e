/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a run. A fault of the cache never fails the build: the command
 * then runs on the plain directory. What the user must decide (a directory
 * with files of his, a mount in use) is refused before anything runs.
 */
#include "run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "branch.h"
#include "cmd.h"
#include "place.h"
#include "run_internal.h"
#include "store/base/cleanup.h"

void run_plan_init(struct run_plan *ret_plan, const struct args *args)
{
	*ret_plan = (struct run_plan){
		.tenant = args->tenant,
		.namespace = args->namespace,
		.branch = args->branch,
		.restore_prefixes = args->restore_prefixes,
		.no_restore = args->no_restore,
		.command = args->operands,
		.always = args->always,
		.commit_on_failure = args->commit_on_failure,
		.wait = args->wait,
		.no_wait = args->no_wait,
		.ephemeral = args->ephemeral,
		.materialize = args->materialize,
		.adopt = args->adopt,
		.writeback = args->writeback,
		.only_used = args->only_used,
		.json = args->json,
	};
}

static void run_release(struct run *run)
{
	run_unlock(run);
	wanted_release(&run->wanted);
	run_release_roots(run);
	free(run->name);
	free(run->branch);
	json_decref(run->base);
	json_decref(run->report);
}

/* ---- before */

static int check(const struct run_plan *plan, struct failure *f)
{
	if (plan->paths.count == 0)
		return failure_set(f, -EINVAL, EXIT_USAGE,
				   "run: say with --path DIR which directory "
				   "the command fills");
	if (plan->paths.count > 1 && !plan->name)
		return failure_set(f, -EINVAL, EXIT_USAGE,
				   "run: several --path make one entry; say "
				   "with --name NAME how it is called");
	if (plan->only_used && plan->materialize)
		return failure_set(f, -EINVAL, EXIT_USAGE,
				   "run: only a mount can tell what was read; "
				   "leave out --only-used or --materialize");
	return 0;
}

static int prepare_name(struct run *run, struct failure *f)
{
	const struct run_plan *plan = run->plan;

	run->name = plan->name ? strdup(plan->name) :
				 place_default_name(run->roots[0].dir);
	if (!run->name)
		return failure_set(f, -EINVAL, EXIT_USAGE,
				   "%s gives no name for an entry (at most %d "
				   "of A-Z a-z 0-9 . _ -): use --name NAME",
				   run->roots[0].path, KEY_MAX);
	run->branch = plan->branch ? strdup(plan->branch) : branch_here();
	if (!run->branch)
		return failure_set(f, -ENOMEM, EXIT_ERROR, "out of memory");
	return 0;
}

static int prepare(struct run *run, struct failure *f)
{
	int r = run_prepare_roots(run, f);

	if (r == 0)
		r = prepare_name(run, f);
	/* Without a cache there is no key, and none that cannot be made. */
	if (r == 0 && run->plan->mode != MODE_OFF)
		r = run_fingerprint(run, &run->wanted, f);
	return r;
}

/* What the command makes is no input, wherever the patterns look. */
int run_fingerprint(const struct run *run, struct wanted *ret_wanted,
		    struct failure *f)
{
	struct key_options key = run->plan->key;

	if (key.outputs.count == 0)
		key.outputs = run->plan->paths;
	return wanted_compute(&key, ret_wanted, f);
}

/* ---- before the command, and after */

/* Looks up and mounts. 0, or the exit code of a refusal, which is told. */
static int set_up(struct run *run)
{
	struct failure f;

	if (check(run->plan, &f) < 0 || prepare(run, &f) < 0) {
		run->report = json_object();
		return run_report_failed(run, &f);
	}
	run_report_begin(run);
	if (run->plan->mode != MODE_OFF)
		run_choose_plain(run);
	if (run->plan->mode != MODE_OFF &&
	    (run_lock_dirs(run, &f) < 0 || run_mount(run, &f) < 0))
		return run_report_failed(run, &f);
	return 0;
}

/* Commits, and unmounts where that is wanted: the exit code. `ran`: the
 * command did, and ended with `code`. */
static int finish(struct run *run, bool ran, int code)
{
	bool keep = run->plan->keep_exact && run_is_exact(run), lost = false;

	if (!run->base)
		return code;
	if (ran && run_settle(run) < 0)
		lost = true;
	else if (ran && !keep)
		code = run_commit(run, code, &lost);
	if (run->plan->ephemeral && !run->plain)
		run_unmount(run, lost);
	return code;
}

/* ---- all of it */

static bool wants_command(const struct run *runs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (runs[i].plan->always || !run_is_exact(&runs[i]))
			return true;
	return false;
}

/* All plans have been set up. */
static int run_and_finish(struct run *runs, size_t count)
{
	bool wanted = wants_command(runs, count);
	int ended = wanted ? run_command(runs, count) : 0, code = 0;

	for (size_t i = 0; i < count; i++) {
		int r = finish(&runs[i], wanted, ended);

		if (code == 0)
			code = r;
	}
	return code;
}

int run_group(const struct run_plan *const *plans, size_t count,
	      json_t *reports)
{
	struct run *runs = calloc(count, sizeof(*runs));
	size_t begun = 0;
	int code = 0;

	if (!runs)
		return out_error(EXIT_ERROR, "out of memory");
	for (; code == 0 && begun < count; begun++) {
		runs[begun] = (struct run){ .plan = plans[begun],
					    .wanted = WANTED_INIT,
					    .lock = RUN_LOCK_INIT };
		code = set_up(&runs[begun]);
	}
	if (code == 0)
		code = run_and_finish(runs, count);
	else /* the last one has not been */
		for (size_t i = 0; i + 1 < begun; i++)
			finish(&runs[i], false, code);
	for (size_t i = 0; i < begun; i++) {
		json_object_set_new(runs[i].report, "exit", json_integer(code));
		json_array_append(reports, runs[i].report);
		run_release(&runs[i]);
	}
	free(runs);
	return code;
}

int run_plan(const struct run_plan *plan)
{
	_cleanup_json_ json_t *reports = json_array();
	int code = run_group(&plan, 1, reports);

	if (plan->json)
		out_json(json_incref(json_array_get(reports, 0)));
	return code;
}
