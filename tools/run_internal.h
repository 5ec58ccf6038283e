/* SPDX-License-Identifier: Apache-2.0 */
/* What the steps of a run share. Private to run*.c. */
#ifndef LARDER_TOOLS_RUN_INTERNAL_H
#define LARDER_TOOLS_RUN_INTERNAL_H

#include <jansson.h>
#include <stdint.h>

#include "fingerprint.h"
#include "out.h"
#include "run.h"
#include "run_lock.h"

/* What is at a path. */
enum run_now {
	RUN_NOW_DIR,   /* a directory, perhaps a mount */
	RUN_NOW_EMPTY, /* one that holds nothing and is no mount */
	RUN_NOW_NONE,  /* nothing */
	RUN_NOW_FILE,  /* a regular file */
};

/* One path of the run. */
struct run_root {
	const char *path; /* as it was named */
	char *dir;	  /* absolute */
	char *name;	  /* of the root in the entry; of a directory that is
			     the run's only one not used */
	enum run_now now;
	bool was_file; /* before the run */
	bool mounted;  /* a mount of Larder is there */
	struct run_lock lock;
};

struct run {
	const struct run_plan *plan;
	struct wanted wanted;
	struct run_root *roots;
	size_t count;
	char *name, *branch;
	struct run_lock lock; /* of the key, while it is being built */
	bool plain;	      /* written out instead of mounted */
	json_t *base;	      /* the daemon's answer; NULL: no cache */
	json_t *report;	      /* what --json prints */
};

/* ---- run.c */

/* The key of the inputs as they are now. */
int run_fingerprint(const struct run *run, struct wanted *ret_wanted,
		    struct failure *ret_failure);

/* ---- run_roots.c */

/* Fills in the paths of the plan, and makes the directories that are missing. */
int run_prepare_roots(struct run *run, struct failure *ret_failure);
void run_release_roots(struct run *run);

/* What is there after the command; what cannot be kept is told. */
void run_look_again(const struct run *run, struct run_root *root);

/* {"dir","root","now"}, as fs/PROTOCOL.md has it, and an array of them all. */
json_t *run_root_json(const struct run_root *root);
json_t *run_roots_json(const struct run *run);

/* ---- run_exclusion.c */

/* Keeps other runs from the directories; waits for them, or refuses. */
int run_lock_dirs(struct run *run, struct failure *ret_failure);

/* Keeps other runs from building the key, where `wait` after waiting for one
 * that does. Where it is busy, or ours, the run goes on without. */
void run_lock_key(struct run *run, bool wait);
void run_unlock(struct run *run);

/* For LARDER_RUN_LOCKS of the command that `count` runs have in common; the
 * caller frees. NULL when memory is short. */
char *run_locks_text(const struct run *runs, size_t count);

/* ---- run_command.c */

/* Runs the command of the first of `count` runs, which are set up around it:
 * its exit code. */
int run_command(struct run *runs, size_t count);

/* ---- run_mount.c */

/* Looks up and mounts. 0 also where the plain directories have to do; else a
 * refusal. */
int run_mount(struct run *run, struct failure *ret_failure);

/* Whether the tree that is mounted is the key's own. */
bool run_is_exact(const struct run *run);

/* After the command: what is at the paths where no mount is. Directories that
 * the command made become mounts, in a run that mounts. A negative errno where
 * that cannot be, which is told. */
int run_settle(struct run *run);

/* Takes the mounts and files that this run has made away again. What was not committed
 * is dropped, unless `keep`. A failure is told only. */
void run_unmount(struct run *run, bool keep);

/* ---- run_plain.c */

/* Decides whether the run goes without a mount, and says so where it has to. */
void run_choose_plain(struct run *run);

/* The steps of such a run that ask the daemon. `params` (taken) are those of
 * `prepare` and of `commit`. */
int run_plain_prepare(struct run *run, json_t *params,
		      struct failure *ret_failure);
int run_plain_commit(struct run *run, json_t *params, json_t **ret_result,
		     struct failure *ret_failure);

/* ---- run_commit.c */

/* Commits what the mounts show after the command has ended with `code`, where
 * that is wanted. The run's exit code: `code`, unless a commit was refused.
 * *ret_lost: the tree should be an entry by now, but the cache failed. */
int run_commit(struct run *run, int code, bool *ret_lost);

/* ---- run_report.c */

/* The report's beginning, from what is known before anything is done. */
void run_report_begin(struct run *run);

/* Adds the daemon's answer to the report. */
void run_report_mount(struct run *run, uint64_t ms);

/* Adds what the daemon said of one root, later. */
void run_report_root(struct run *run, size_t i, json_t *mount);

/* Adds a failure to it and tells it; the exit code. */
int run_report_failed(struct run *run, const struct failure *f);

/* What was found, in text. `runs`: the command will run. */
void run_say_outcome(const struct run *run, bool runs, uint64_t ms);

#endif
