/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run of the random tester over one directory: fresh trees, random steps,
 * hooks in between, and scripts played again. One thread.
 *
 * A hook is a shell command that gets the directory as "$1". `fresh` leaves
 * an untouched tree there; `remount` may leave another mount with the same
 * tree, `reopen` the same mount, and both are run with no file open; `disturb`
 * is run with files open and must change nothing that can be seen.
 */
#ifndef LARDER_TESTS_RUN_H
#define LARDER_TESTS_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "choose.h"
#include "mount_ops.h"
#include "play.h"
#include "step.h"

#define RUN_HOOKS 8

struct run_hooks {
	const char *commands[RUN_HOOKS];
	unsigned n;
	uint64_t every; /* steps; 0: never */
};

struct run_options {
	const char *dir;
	const char *base;  /* a plain tree that a fresh one equals; NULL: any */
	const char *fresh; /* NULL: there is one tree only */
	struct run_hooks remount, reopen, disturb;
	enum choose_kind kind;
	uint64_t seed, steps;
	uint64_t tree_steps; /* then comes a fresh tree */
	uint64_t compare_every;
	uint64_t max_file; /* 0: any */
	const struct tree_ops *ops;
};

struct run {
	const struct run_options *opt;
	struct mount_fs fs;
	struct play play;
	bool playing;
	struct script script; /* since the tree was fresh */
};

void run_init(struct run *r, const struct run_options *opt);
void run_release(struct run *r);

/* What a run or a replay found. */
enum run_found {
	RUN_SAME,
	RUN_DIFFERENT, /* r->play says how */
	RUN_BROKEN,    /* a hook failed, or the tree cannot be read; was said */
};

/* opt->steps random steps. When it finds a difference r->script leads there
 * and *ret_seed is the tree's. */
enum run_found run_random(struct run *r, uint64_t *ret_seed);

/* A script on a fresh tree. *ret_at: the step that differed. */
enum run_found run_replay(struct run *r, const struct script *script,
			  size_t *ret_at);

#endif
