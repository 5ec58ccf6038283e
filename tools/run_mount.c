/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run's first step, the nearest entry is looked up and mounted; and its very
 * last, where the mounts are not to stay.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"
#include "cmd.h"
#include "fs/rpc.h"
#include "run_internal.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"

static json_t *lookup_params(const struct run *run, bool only_exact)
{
	const struct run_plan *plan = run->plan;
	json_t *params = client_scope(plan->tenant, plan->namespace);
	bool looks_up = mode_looks_up(plan->mode);
	bool restores = looks_up && !only_exact;

	json_object_set_new(params, "name", json_string(run->name));
	json_object_set_new(params, "key", json_string(run->wanted.key));
	json_object_set_new(params, "branch",
			    rpc_string(run->branch, strlen(run->branch)));
	json_object_set_new(params, "exact", json_boolean(looks_up));
	json_object_set_new(params, "restore",
			    json_boolean(restores && !plan->no_restore));
	if (restores)
		json_object_set_new(params, "prefixes",
				    client_strings(&plan->restore_prefixes));
	json_object_set_new(params, "only_exact", json_boolean(only_exact));
	json_object_set_new(params, "adopt", json_boolean(plan->adopt));
	/* The kernel forgets for it what it has in its page cache. */
	json_object_set_new(params, "count_anew",
			    json_boolean(plan->only_used &&
					 (plan->always || !only_exact)));
	json_object_set_new(params, "mode", json_string("rw"));
	json_object_set_new(params, "writeback", json_boolean(plan->writeback));
	json_object_set_new(params, "roots", run_roots_json(run));
	return params;
}

static int request(struct run *run, bool only_exact, struct failure *f)
{
	_cleanup_client_ struct client *c = NULL;
	int r;

	json_decref(run->base);
	run->base = NULL;
	if (run->plain)
		return run_plain_prepare(run, lookup_params(run, only_exact),
					 f);
	r = client_open(true, &c, f);
	return r < 0 ? r :
		       client_call(c, "prepare", lookup_params(run, only_exact),
				   NULL, 0, &run->base, f);
}

bool run_is_exact(const struct run *run)
{
	return strcmp(field_text(run->base, "outcome"), "exact") == 0;
}

/* A hit waits for nobody. Who has to build waits for another run that builds
 * the same, and then looks again. */
static int look_up(struct run *run, struct failure *f)
{
	enum mode mode = run->plan->mode;
	bool looks_up = mode_looks_up(mode);
	int r;

	if (looks_up) {
		r = request(run, true, f);
		if (r < 0 || mode == MODE_FORCE || run_is_exact(run))
			return r;
	}
	run_lock_key(run, looks_up);
	r = request(run, false, f);
	/* It makes no entry that another could wait for. */
	if (!mode_commits(mode) || run_is_exact(run))
		run_lock_release(&run->lock);
	return r;
}

/* Whether it is for the user to decide and not a fault of the cache. */
static bool is_refusal(const struct failure *f)
{
	return f->exit != EXIT_ERROR || f->code == -ENOTEMPTY ||
	       f->code == -ENOTDIR || f->code == -EINVAL;
}

/* The command runs without a cache, unless it may not. */
static int go_without(struct run *run, struct failure *f)
{
	if (run->plan->mode == MODE_FORCE) {
		f->exit = EXIT_MISS;
		return f->code;
	}
	out_warning("%s: no cache (%s); the command runs on the plain "
		    "directory and nothing will be committed",
		    run->name, f->message);
	json_object_set_new(run->report, "warning", out_failure_json(f));
	return 0;
}

int run_mount(struct run *run, struct failure *ret_failure)
{
	int64_t start = clock_mono_ns();
	int r = look_up(run, ret_failure);
	uint64_t ms = (uint64_t)(clock_mono_ns() - start) / 1000000;

	if (r < 0)
		return is_refusal(ret_failure) ? r :
						 go_without(run, ret_failure);
	for (size_t i = 0; i < run->count; i++)
		run->roots[i].mounted = json_object_get(
			json_array_get(json_object_get(run->base, "mounts"), i),
			"mount");
	run_report_mount(run, ms);
	if (run->plan->mode == MODE_FORCE && !run_is_exact(run))
		return failure_set(ret_failure, -ENOENT,
				   field_flag(run->base, "untrusted") ?
					   EXIT_VERIFY :
					   EXIT_MISS,
				   "%s: %s, and mode force runs nothing",
				   run->name, field_text(run->base, "reason"));
	run_say_outcome(run, !run_is_exact(run) || run->plan->always, ms);
	return 0;
}

/* ---- after the command */

/* A directory that the command made where nothing was becomes a mount, which
 * begins with what is in it. */
static int move_in(struct run *run, size_t i, struct failure *f)
{
	const json_t *mounts = json_object_get(run->base, "mounts");
	_cleanup_client_ struct client *c = NULL;
	_cleanup_json_ json_t *result = NULL;
	json_t *params = lookup_params(run, false), *mount;
	int r = client_open(true, &c, f);

	if (r < 0) {
		json_decref(params);
		return r;
	}
	json_object_set_new(params, "exact", json_false());
	json_object_set_new(params, "restore", json_false());
	json_object_del(params, "prefixes");
	json_object_set_new(params, "move", json_true());
	json_object_set_new(params, "roots",
			    json_pack("[o]", run_root_json(&run->roots[i])));
	r = client_call(c, "prepare", params, NULL, 0, &result, f);
	if (r < 0)
		return r;
	mount = json_array_get(json_object_get(result, "mounts"), 0);
	json_array_set((json_t *)mounts, i, mount);
	run->roots[i].mounted = true;
	run_report_root(run, i, mount);
	return 0;
}

int run_settle(struct run *run)
{
	struct failure f;
	int r = 0;

	for (size_t i = 0; i < run->count; i++) {
		struct run_root *root = &run->roots[i];

		if (root->mounted)
			continue;
		run_look_again(run, root);
		if (run->plain || root->now == RUN_NOW_NONE ||
		    root->now == RUN_NOW_FILE)
			continue;
		r = move_in(run, i, &f);
		if (r < 0) {
			out_warning("%s: %s stays a plain directory, and "
				    "nothing was committed: %s",
				    run->name, root->path, f.message);
			return r;
		}
	}
	return r;
}

/* ---- the end */

static int umount(const struct run_root *root, bool lazy, bool keep,
		  struct failure *f)
{
	_cleanup_client_ struct client *c = NULL;
	_cleanup_json_ json_t *result = NULL;
	json_t *params;
	int r = client_open(true, &c, f);

	if (r < 0)
		return r;
	params = json_pack("{s:o, s:b, s:b}", "dir",
			   rpc_string(root->dir, strlen(root->dir)), "lazy",
			   lazy, "discard", !keep);
	return client_call(c, "umount", params, NULL, 0, &result, f);
}

/* A program that the command left behind keeps its files until it ends. */
static void umount_root(const struct run *run, const struct run_root *root,
			bool keep)
{
	struct failure f;
	int r = umount(root, false, keep, &f);

	if (r == -EBUSY) {
		out_note("%s: %s is still in use; the mount ends when it is "
			 "not any more",
			 run->name, root->path);
		r = umount(root, true, keep, &f);
	}
	if (r < 0)
		out_warning("%s: %s stays mounted: %s", run->name, root->path,
			    f.message);
	else if (keep)
		out_note("%s: what was not committed of %s is kept: larder "
			 "mount --resume %s",
			 run->name, root->path, root->path);
}

/* Where nothing was before the run, nothing is after it. */
static void remove_file(const struct run *run, const struct run_root *root)
{
	struct stat st;

	if (lstat(root->dir, &st) == 0 && S_ISREG(st.st_mode) &&
	    unlink(root->dir) < 0)
		out_warning("%s: %s stays: %s", run->name, root->path,
			    strerror(errno));
}

void run_unmount(struct run *run, bool keep)
{
	json_t *mounts = json_object_get(run->base, "mounts"), *mount;
	size_t i;

	json_array_foreach(mounts, i, mount)
	{
		struct run_root *root = &run->roots[i];

		if (root->mounted && !field_flag(mount, "reused"))
			umount_root(run, root, keep);
		else if (!root->mounted && !root->was_file && !keep)
			remove_file(run, root);
	}
	json_object_set_new(run->report, "mounted", json_false());
}
