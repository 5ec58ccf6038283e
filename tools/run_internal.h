/* SPDX-License-Identifier: Apache-2.0 */
/* What the steps of a run share. Private to run*.c. */
#ifndef LARDER_TOOLS_RUN_INTERNAL_H
#define LARDER_TOOLS_RUN_INTERNAL_H

#include <jansson.h>
#include <stdint.h>

#include "fingerprint.h"
#include "out.h"
#include "run.h"

struct run {
	const struct run_plan *plan;
	struct wanted wanted;
	const char *path; /* as it was named */
	char *dir;	  /* absolute */
	char *name, *branch;
	json_t *mount;	/* the daemon's answer; NULL: a plain directory */
	json_t *report; /* what --json prints */
};

/* ---- run.c */

/* The key of the inputs as they are now. */
int run_fingerprint(const struct run *run, struct wanted *ret_wanted,
		    struct failure *ret_failure);

/* ---- run_mount.c */

/* Looks up and mounts. 0 also where the plain directory has to do; else a
 * refusal. */
int run_mount(struct run *run, struct failure *ret_failure);

/* Whether the tree that is mounted is the key's own. */
bool run_is_exact(const struct run *run);

/* ---- run_commit.c */

/* Commits what the mount shows. 0, also where the cache failed; else the exit
 * code of a refusal. All is told. */
int run_commit(struct run *run);

/* ---- run_report.c */

/* The report's beginning, from what is known before anything is done. */
void run_report_begin(struct run *run);

/* Adds the daemon's answer to the report. */
void run_report_mount(struct run *run, uint64_t ms);

/* Ends the report: prints it where JSON is wanted, and gives the exit code. */
int run_report_end(struct run *run, int exit_code);
int run_report_failed(struct run *run, const struct failure *f);

/* What was found, in text. `runs`: the command will run. */
void run_say_outcome(const struct run *run, bool runs, uint64_t ms);

#endif
