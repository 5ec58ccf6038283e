/* SPDX-License-Identifier: Apache-2.0 */
/*
 * larder run: mounts the entry of the inputs' key where there is one, and
 * else runs the command in a mount of the nearest entry and commits what it
 * made. A fault of the cache never fails the build: the command then runs on
 * the plain directory. What the user must decide (a directory with files of
 * his, a mount in use) is refused before anything runs.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "client.h"
#include "cmd.h"
#include "commit.h"
#include "fingerprint.h"
#include "format.h"
#include "fs/rpc.h"
#include "out.h"
#include "place.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"

#define CHANGES_SHOWN 10

struct run {
	const struct args *args;
	struct wanted wanted;
	char *dir; /* absolute */
	char *name, *branch;
	json_t *mount;	/* the daemon's answer; NULL: a plain directory */
	json_t *report; /* what --json prints */
};

static void run_release(struct run *run)
{
	wanted_release(&run->wanted);
	free(run->dir);
	free(run->name);
	free(run->branch);
	json_decref(run->mount);
	json_decref(run->report);
}

static int finish(struct run *run, int exit_code)
{
	int r = 0;

	json_object_set_new(run->report, "exit", json_integer(exit_code));
	if (run->args->json)
		r = out_json(json_incref(run->report));
	return r ? r : exit_code;
}

static int finish_failed(struct run *run, const struct failure *f)
{
	json_object_set_new(run->report, "error", out_failure_json(f));
	out_failure_line(f);
	return finish(run, f->exit);
}

/* ---- before */

static int check(const struct args *args)
{
	if (args->paths.count == 0)
		return out_error(EXIT_USAGE,
				 "run: say with --path DIR which directory the "
				 "command fills");
	if (args->paths.count > 1)
		return out_error(EXIT_USAGE,
				 "run: one --path for each run (%s and %s are "
				 "two)",
				 args->paths.items[0], args->paths.items[1]);
	return 0;
}

static int prepare(struct run *run, struct failure *f)
{
	const struct args *args = run->args;
	const char *path = args->paths.items[0];
	int r = place_make(path, &run->dir, f);

	if (r < 0)
		return r;
	if (place_contains_us(run->dir))
		return failure_set(f, -EBUSY, EXIT_BUSY,
				   "%s: the current directory is in it; run "
				   "from outside of it",
				   path);
	run->name = args->name ? strdup(args->name) :
				 place_default_name(run->dir);
	if (!run->name)
		return failure_set(f, -EINVAL, EXIT_USAGE,
				   "%s gives no name for an entry (at most %d "
				   "of A-Z a-z 0-9 . _ -): use --name NAME",
				   path, KEY_MAX);
	run->branch = args->branch ? strdup(args->branch) : place_branch();
	if (!run->branch)
		return failure_set(f, -ENOMEM, EXIT_ERROR, "out of memory");
	return wanted_compute(args, &run->wanted, f);
}

static void begin_report(struct run *run)
{
	run->report = json_pack("{s:s, s:s, s:o, s:o, s:b, s:b, s:b}", "name",
				run->name, "key", run->wanted.key, "branch",
				rpc_string(run->branch, strlen(run->branch)),
				"dir", rpc_string(run->dir, strlen(run->dir)),
				"mounted", 0, "ran", 0, "committed", 0);
}

/* ---- the mount */

/* Whether it is for the user to decide and not a fault of the cache. */
static bool is_refusal(const struct failure *f)
{
	return f->exit != EXIT_ERROR || f->code == -ENOTEMPTY ||
	       f->code == -ENOTDIR || f->code == -EINVAL;
}

static int mount_lookup(struct run *run, struct failure *f)
{
	_cleanup_client_ struct client *c = NULL;
	json_t *params = client_params(run->args);
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

static void describe_entry(const json_t *entry, char *ret_text)
{
	char key[FORMAT_MAX], files[FORMAT_MAX], bytes[FORMAT_MAX];

	snprintf(ret_text, 3 * FORMAT_MAX, "%s (%s, %s)",
		 format_key(field_text(entry, "key"), key),
		 format_files((uint64_t)field_number(entry, "files"), files),
		 format_bytes((uint64_t)field_number(entry, "bytes"), bytes));
}

/* The command as far as it fits into a line. */
static const char *command_text(const struct args *args, char *ret_text)
{
	size_t len = 0;

	ret_text[0] = '\0';
	for (unsigned i = 0; i < args->count && len < 60; i++)
		len += (size_t)snprintf(ret_text + len, FORMAT_MAX - len,
					"%s%.60s", i ? " " : "",
					args->operands[i]);
	return ret_text;
}

static void say_outcome(struct run *run, bool runs, uint64_t ms)
{
	const char *outcome = field_text(run->mount, "outcome");
	const char *reason = field_text(run->mount, "reason");
	bool reused = field_flag(run->mount, "reused");
	char entry[3 * FORMAT_MAX], time[FORMAT_MAX], text[FORMAT_MAX];

	describe_entry(json_object_get(run->mount, "entry"), entry);
	format_ms(ms, time);
	command_text(run->args, text);
	if (strcmp(outcome, "exact") == 0)
		out_note("%s: exact hit %s %s in %s; %s%s", run->name, entry,
			 reused ? "found mounted" : "mounted", time,
			 runs ? "still running " : "command skipped",
			 runs ? text : "");
	else if (strcmp(outcome, "partial") == 0)
		out_note("%s: partial hit: %s; %s %s in %s; running %s",
			 run->name, reason, entry,
			 reused ? "found mounted" : "mounted", time, text);
	else
		out_note("%s: miss: %s; running %s", run->name, reason, text);
}

static void say_kept(struct run *run)
{
	const char *id = field_text(json_object_get(run->mount, "kept"), "id");

	if (*id)
		out_note("%s: the mount that was there had changes; they are "
			 "kept: larder umount %s, then larder mount --resume "
			 "%s",
			 run->name, run->args->paths.items[0], id);
}

static bool is_exact(const struct run *run)
{
	return strcmp(field_text(run->mount, "outcome"), "exact") == 0;
}

static void report_mount(struct run *run, uint64_t ms)
{
	static const char *const fields[] = { "outcome", "entry", "reason",
					      "reused",	 "kept",  "mount" };

	json_object_set_new(run->report, "mounted", json_true());
	json_object_set_new(run->report, "mount_ms",
			    json_integer((json_int_t)ms));
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		json_t *value = json_object_get(run->mount, fields[i]);

		if (value)
			json_object_set(run->report, fields[i], value);
	}
}

/* 0 also where the plain directory has to do; else a refusal. */
static int mount_tree(struct run *run, struct failure *f)
{
	int64_t start = clock_mono_ns();
	int r = mount_lookup(run, f);
	uint64_t ms = (uint64_t)(clock_mono_ns() - start) / 1000000;

	if (r < 0 && is_refusal(f))
		return r;
	if (r < 0) {
		out_warning("%s: no cache (%s); the command runs on the plain "
			    "directory and nothing will be committed",
			    run->name, f->message);
		json_object_set_new(run->report, "outcome",
				    json_string("miss"));
		json_object_set_new(run->report, "warning",
				    out_failure_json(f));
		return 0;
	}
	report_mount(run, ms);
	say_outcome(run, !is_exact(run) || run->args->always, ms);
	say_kept(run);
	return 0;
}

/* ---- the command */

static int run_command(struct run *run)
{
	const json_t *entry = json_object_get(run->mount, "entry");
	const char *outcome = field_text(run->report, "outcome");
	_cleanup_free_ char *matched = NULL;
	int64_t start = clock_mono_ns();
	int code;

	if (json_is_object(entry) &&
	    asprintf(&matched, "%s@%s", field_text(entry, "name"),
		     field_text(entry, "key")) < 0)
		matched = NULL;
	code = child_run(run->args->operands,
			 (const struct variable[]){
				 { "LARDER_OUTCOME", outcome },
				 { "LARDER_MATCHED", matched ? matched : "" },
				 { "LARDER_KEY", run->wanted.key },
				 { NULL, NULL },
			 },
			 run->args->json);
	json_object_set_new(run->report, "ran", json_true());
	json_object_set_new(run->report, "command_ms",
			    json_integer((clock_mono_ns() - start) / 1000000));
	if (code == 0 || !run->mount)
		return code;
	if (code > EXIT_SIGNAL)
		out_note("%s: the command was ended by a signal (%s); nothing "
			 "was committed",
			 run->name, strsignal(code - EXIT_SIGNAL));
	else
		out_note("%s: the command failed with exit code %d; nothing "
			 "was committed",
			 run->name, code);
	return code;
}

/* ---- the commit */

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

	if (wanted_compute(run->args, &now, &why) < 0)
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

static int commit_tree(struct run *run, json_t **ret_result, struct failure *f)
{
	const json_t *base = json_object_get(run->mount, "entry");
	_cleanup_client_ struct client *c = NULL;
	json_t *params;
	int r = commit_flush(run->dir, f);

	if (r == 0)
		r = client_open(true, &c, f);
	if (r < 0)
		return r;
	params = client_params(run->args);
	commit_describe(params, run->name, run->branch, &run->wanted);
	json_object_set_new(params, "dir",
			    rpc_string(run->dir, strlen(run->dir)));
	if (json_is_object(base))
		json_object_set(params, "parent", json_object_get(base, "key"));
	return client_call(c, "commit", params, NULL, 0, ret_result, f);
}

static int commit_and_report(struct run *run)
{
	_cleanup_json_ json_t *result = NULL;
	struct failure f;

	if (check_inputs(run, &f) < 0)
		return finish_failed(run, &f);
	if (commit_tree(run, &result, &f) == 0) {
		json_object_set_new(run->report, "committed", json_true());
		json_object_set(run->report, "commit", result);
		if (!run->args->json)
			commit_report("committed", result);
		return finish(run, 0);
	}
	if (f.code == -ECANCELED)
		return finish_failed(run, &f);
	out_warning("%s: the command succeeded, but its output was NOT "
		    "committed: %s",
		    run->name, f.message);
	json_object_set_new(run->report, "warning", out_failure_json(&f));
	return finish(run, 0);
}

static int run_it(struct run *run)
{
	struct failure f;
	int r;

	if (prepare(run, &f) < 0)
		return out_failure(&f);
	begin_report(run);
	if (mount_tree(run, &f) < 0)
		return finish_failed(run, &f);
	if (run->mount && is_exact(run) && !run->args->always)
		return finish(run, 0);
	r = run_command(run);
	if (r || !run->mount)
		return finish(run, r);
	return commit_and_report(run);
}

static int run_main(const struct args *args)
{
	_cleanup_(run_release) struct run run = { .args = args,
						  .wanted = WANTED_INIT };
	int r = check(args);

	return r ? r : run_it(&run);
}

static const struct option_def options[] = {
	{ "path", 0, OPTION_LIST, "DIR", offsetof(struct args, paths),
	  "The directory that the command fills (required). It is created "
	  "where it is missing, and must be empty or a mount of Larder." },
	{ "name", 0, OPTION_VALUE, "NAME", offsetof(struct args, name),
	  "The entry's name. Default: DIR relative to the top of the git work "
	  "tree, or else to the current directory, with - for / and without "
	  "leading dots, such as web-node_modules." },
	{ "branch", 0, OPTION_VALUE, "BRANCH", offsetof(struct args, branch),
	  "The branch whose entries are looked at first. Default: the one "
	  "that git has checked out." },
	{ "always", 0, OPTION_FLAG, NULL, offsetof(struct args, always),
	  "Run the command also on an exact hit." },
	OPTION_END
};

const struct command cmd_run = {
	.name = "run",
	.summary = "mount a build's output, or run the build and keep it",
	.synopsis = "--path DIR KEY OPTIONS [OPTION]... -- COMMAND "
		    "[ARGUMENT]...",
	.description =
		"Computes the key of the inputs and looks for its entry. An "
		"exact hit is mounted at DIR and the command is skipped. Else "
		"the nearest entry is mounted (the newest of the name and "
		"branch, then the newest of the name), or an empty tree; the "
		"command runs, and if it succeeds the tree is committed under "
		"the key. The mount stays.\n"
		"\n"
		"The command finds LARDER_OUTCOME (exact, partial or miss), "
		"LARDER_MATCHED (the entry that is the base) and LARDER_KEY in "
		"its environment. Its exit code is passed on; where it fails, "
		"nothing is committed. Inputs that changed meanwhile mean no "
		"commit and exit code 9. Where there is no FUSE or no daemon, "
		"the command runs on the plain directory. With --json its "
		"standard output goes to standard error.\n"
		"\n"
		"  larder run --path node_modules --key-file package-lock.json "
		"\\\n"
		"      -- npm ci",
	.options = options,
	.key_options = true,
	.takes_command = true,
	.operands_min = 1,
	.operands_max = ~0u,
	.run = run_main,
};
