/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a run. A fault of the cache never fails the build: the command
 * then runs on the plain directory. What the user must decide (a directory
 * with files of his, a mount in use) is refused before anything runs.
 */
#include "run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "branch.h"
#include "child.h"
#include "cmd.h"
#include "place.h"
#include "run_internal.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"

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

static int check(const struct run_plan *plan)
{
	if (plan->paths.count == 0)
		return out_error(EXIT_USAGE,
				 "run: say with --path DIR which directory the "
				 "command fills");
	if (plan->paths.count > 1 && !plan->name)
		return out_error(EXIT_USAGE,
				 "run: several --path make one entry; say with "
				 "--name NAME how it is called");
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

	key.outputs = run->plan->paths;
	return wanted_compute(&key, ret_wanted, f);
}

/* ---- the command */

static int run_command(struct run *run)
{
	const json_t *entry = json_object_get(run->base, "entry");
	const char *outcome = field_text(run->report, "outcome");
	_cleanup_free_ char *matched = NULL;
	_cleanup_free_ char *locks = run_locks_text(run);
	int64_t start = clock_mono_ns();
	int code;

	if (json_is_object(entry) &&
	    asprintf(&matched, "%s@%s", field_text(entry, "name"),
		     field_text(entry, "key")) < 0)
		matched = NULL;
	code = child_run(run->plan->command,
			 (const struct variable[]){
				 { "LARDER_OUTCOME", outcome },
				 { "LARDER_MATCHED", matched ? matched : "" },
				 { "LARDER_KEY", run->wanted.key },
				 { RUN_LOCKS_VARIABLE, locks ? locks : "" },
				 { NULL, NULL },
			 },
			 run->plan->json);
	json_object_set_new(run->report, "ran", json_true());
	json_object_set_new(run->report, "command_ms",
			    json_integer((clock_mono_ns() - start) / 1000000));
	return code;
}

/* ---- all of it */

/* With a cache: the exit code. */
static int run_cached(struct run *run)
{
	bool lost = false;
	int code = 0;

	if (!run_is_exact(run) || run->plan->always) {
		code = run_command(run);
		code = run_commit(run, code, &lost);
	}
	if (run->plan->ephemeral && !run->plain)
		run_unmount(run, lost);
	return code;
}

static int run_it(struct run *run)
{
	struct failure f;

	if (prepare(run, &f) < 0)
		return out_failure(&f);
	run_report_begin(run);
	if (run->plan->mode != MODE_OFF)
		run_choose_plain(run);
	if (run->plan->mode != MODE_OFF &&
	    (run_lock_dirs(run, &f) < 0 || run_mount(run, &f) < 0))
		return run_report_end(run, run_report_failed(run, &f));
	return run_report_end(run,
			      run->base ? run_cached(run) : run_command(run));
}

int run_plan(const struct run_plan *plan)
{
	_cleanup_(run_release) struct run run = { .plan = plan,
						  .wanted = WANTED_INIT,
						  .lock = RUN_LOCK_INIT };
	int r = check(plan);

	return r ? r : run_it(&run);
}
