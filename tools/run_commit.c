/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run's last step: where the command has done its work and the inputs are
 * what they were, the mount's tree becomes an entry. A commit that fails is
 * told and does not fail the run.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "cmd.h"
#include "commit.h"
#include "fs/rpc.h"
#include "keys.h"
#include "run_internal.h"
#include "uploads.h"

#define CHANGES_SHOWN 10

/* ---- whether to commit */

/* A command that a signal ended was interrupted: its tree is half made. */
static bool is_wanted(const struct run *run, int code)
{
	size_t absent = 0;

	for (size_t i = 0; i < run->count; i++)
		absent += !run->roots[i].mounted &&
			  run->roots[i].now == RUN_NOW_NONE;
	if (code > EXIT_SIGNAL)
		out_note("%s: the command was ended by a signal (%s); nothing "
			 "was committed",
			 run->name, strsignal(code - EXIT_SIGNAL));
	else if (code != 0 && !run->plan->commit_on_failure)
		out_note("%s: the command failed with exit code %d; nothing "
			 "was committed",
			 run->name, code);
	else if (!mode_commits(run->plan->mode))
		out_note("%s: nothing was committed; the mode is %s", run->name,
			 mode_name(run->plan->mode));
	else if (absent == run->count)
		out_note("%s: nothing was committed; there is no %s", run->name,
			 run->roots[0].path);
	else
		return true;
	return false;
}

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

/* ---- the commit */

/* Such an entry has no names of roots. */
static bool is_one_dir(const struct run *run)
{
	return run->count == 1 && run->roots[0].mounted;
}

static json_t *params_of(const struct run *run)
{
	const json_t *base = json_object_get(run->base, "entry");
	json_t *params = client_scope(run->plan->tenant, run->plan->namespace);

	commit_describe(params, run->name, run->branch, &run->wanted);
	json_object_set_new(params, "roots", run_roots_json(run));
	if (is_one_dir(run))
		json_object_set_new(params, "dir",
				    rpc_string(run->roots[0].dir,
					       strlen(run->roots[0].dir)));
	if (json_is_object(base))
		json_object_set(params, "parent", json_object_get(base, "key"));
	json_object_set_new(params, "only_used",
			    json_boolean(run->plan->only_used));
	json_object_set_new(params, "only_new",
			    json_boolean(run->plan->mode == MODE_WRITE_ONLY));
	json_object_set_new(params, "wait", json_boolean(run->plan->wait));
	keys_try_signer(params);
	return params;
}

static int request(struct run *run, json_t **ret_result, struct failure *f)
{
	_cleanup_client_ struct client *c = NULL;
	int r = 0;

	if (run->plain)
		return run_plain_commit(run, params_of(run), ret_result, f);
	for (size_t i = 0; r == 0 && i < run->count; i++)
		if (run->roots[i].mounted)
			r = commit_flush(run->roots[i].dir, f);
	if (r == 0)
		r = client_open(true, &c, f);
	return r < 0 ? r :
		       client_call(c,
				   is_one_dir(run) ? "commit" : "commit_roots",
				   params_of(run), NULL, 0, ret_result, f);
}

static void report(struct run *run, json_t *result)
{
	json_object_set_new(run->report, "committed",
			    json_boolean(field_flag(result, "published")));
	json_object_set(run->report, "commit", result);
	if (run->plan->wait)
		(void)uploads_report(run->name, result);
	if (!run->plan->json)
		commit_report("committed", result);
}

int run_commit(struct run *run, int code, bool *ret_lost)
{
	_cleanup_json_ json_t *result = NULL;
	struct failure f;

	if (!is_wanted(run, code))
		return code;
	if (check_inputs(run, &f) < 0) {
		run_report_failed(run, &f);
		return code ? code : f.exit;
	}
	if (request(run, &result, &f) == 0) {
		report(run, result);
		return code;
	}
	*ret_lost = true;
	if (f.code == -ECANCELED)
		return run_report_failed(run, &f);
	out_warning("%s: the command %s, but its output was NOT committed: %s",
		    run->name, code ? "ended" : "succeeded", f.message);
	json_object_set_new(run->report, "warning", out_failure_json(&f));
	return code;
}
