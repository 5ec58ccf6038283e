/* SPDX-License-Identifier: Apache-2.0 */
/* A run's first step: the nearest entry is looked up and mounted. */
#include <errno.h>
#include <string.h>

#include "client.h"
#include "cmd.h"
#include "fs/rpc.h"
#include "run_internal.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"

/* Whether it is for the user to decide and not a fault of the cache. */
static bool is_refusal(const struct failure *f)
{
	return f->exit != EXIT_ERROR || f->code == -ENOTEMPTY ||
	       f->code == -ENOTDIR || f->code == -EINVAL;
}

static int request(struct run *run, struct failure *f)
{
	const struct run_plan *plan = run->plan;
	_cleanup_client_ struct client *c = NULL;
	json_t *params = client_scope(plan->tenant, plan->namespace);
	json_t *lookup = json_pack("{s:s, s:s, s:o, s:b}", "name", run->name,
				   "key", run->wanted.key, "branch",
				   rpc_string(run->branch, strlen(run->branch)),
				   "restore", 1);
	int r;

	json_object_set_new(params, "dir",
			    rpc_string(run->dir, strlen(run->dir)));
	json_object_set_new(params, "mode", json_string("rw"));
	json_object_set_new(params, "lookup", lookup);
	r = client_open(true, &c, f);
	if (r < 0) {
		json_decref(params);
		return r;
	}
	return client_call(c, "mount", params, NULL, 0, &run->mount, f);
}

bool run_is_exact(const struct run *run)
{
	return strcmp(field_text(run->mount, "outcome"), "exact") == 0;
}

int run_mount(struct run *run, struct failure *ret_failure)
{
	int64_t start = clock_mono_ns();
	int r = request(run, ret_failure);
	uint64_t ms = (uint64_t)(clock_mono_ns() - start) / 1000000;

	if (r < 0 && is_refusal(ret_failure))
		return r;
	if (r < 0) {
		out_warning("%s: no cache (%s); the command runs on the plain "
			    "directory and nothing will be committed",
			    run->name, ret_failure->message);
		json_object_set_new(run->report, "outcome",
				    json_string("miss"));
		json_object_set_new(run->report, "warning",
				    out_failure_json(ret_failure));
		return 0;
	}
	run_report_mount(run, ms);
	run_say_outcome(run, !run_is_exact(run) || run->plan->always, ms);
	return 0;
}
