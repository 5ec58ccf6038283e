/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run's last step: where the inputs are what they were, the mount's tree
 * becomes an entry. A commit that fails is told and does not fail the run.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "cmd.h"
#include "commit.h"
#include "fs/rpc.h"
#include "run_internal.h"

#define CHANGES_SHOWN 10

static void join(const json_t *texts, char *ret_text, size_t size)
{
	size_t len = 0, i;
	json_t *text;

	ret_text[0] = '\0';
	json_array_foreach(texts, i, text) if (len < size)
		len += (size_t)snprintf(ret_text + len, size - len, "%s%s",
					i ? ", " : "", json_string_value(text));
}

/* The inputs must be what they were, or the key would promise what the tree
 * does not hold. */
static int check_inputs(struct run *run, struct failure *f)
{
	_cleanup_wanted_ struct wanted now = WANTED_INIT;
	_cleanup_json_ json_t *changes = NULL;
	struct failure why;
	char names[512];

	if (run_fingerprint(run, &now, &why) < 0)
		return failure_set(f, -ESTALE, EXIT_INPUTS_CHANGED,
				   "%s: the inputs changed while the command "
				   "ran, so nothing was committed: %.700s",
				   run->name, why.message);
	if (strcmp(now.key, run->wanted.key) == 0)
		return 0;
	changes = wanted_changes(&run->wanted, &now, CHANGES_SHOWN);
	join(changes, names, sizeof(names));
	json_object_set(run->report, "inputs_changed", changes);
	return failure_set(f, -ESTALE, EXIT_INPUTS_CHANGED,
			   "%s: inputs changed while the command ran, so "
			   "nothing was committed: %s",
			   run->name, names);
}

static int request(struct run *run, json_t **ret_result, struct failure *f)
{
	const json_t *base = json_object_get(run->mount, "entry");
	_cleanup_client_ struct client *c = NULL;
	json_t *params;
	int r = commit_flush(run->dir, f);

	if (r == 0)
		r = client_open(true, &c, f);
	if (r < 0)
		return r;
	params = client_scope(run->plan->tenant, run->plan->namespace);
	commit_describe(params, run->name, run->branch, &run->wanted);
	json_object_set_new(params, "dir",
			    rpc_string(run->dir, strlen(run->dir)));
	if (json_is_object(base))
		json_object_set(params, "parent", json_object_get(base, "key"));
	return client_call(c, "commit", params, NULL, 0, ret_result, f);
}

int run_commit(struct run *run)
{
	_cleanup_json_ json_t *result = NULL;
	struct failure f;

	if (check_inputs(run, &f) < 0)
		return run_report_failed(run, &f);
	if (request(run, &result, &f) == 0) {
		json_object_set_new(run->report, "committed", json_true());
		json_object_set(run->report, "commit", result);
		if (!run->plan->json)
			commit_report("committed", result);
		return run_report_end(run, 0);
	}
	if (f.code == -ECANCELED)
		return run_report_failed(run, &f);
	out_warning("%s: the command succeeded, but its output was NOT "
		    "committed: %s",
		    run->name, f.message);
	json_object_set_new(run->report, "warning", out_failure_json(&f));
	return run_report_end(run, 0);
}
