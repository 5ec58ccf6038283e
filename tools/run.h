/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run: look up, mount, run the command, commit. What is to be done is a
 * struct run_plan, which the command line or a project file fills; run.c goes
 * through its steps. One thread.
 */
#ifndef LARDER_TOOLS_RUN_H
#define LARDER_TOOLS_RUN_H

#include <jansson.h>
#include <stdbool.h>

#include "mode.h"
#include "options.h"

/*
 * What one run does. Everything is borrowed and must live until run_plan()
 * returns; zero is the default of every field that says nothing else. Names,
 * keys and branches are taken as checked (options_parse(), key_is_valid()).
 */
struct run_plan {
	const char *tenant, *namespace; /* NULL: local, default */
	const char *name;		/* NULL: after the path */
	struct strings paths; /* at least one; as place_make() takes them */
	size_t nfiles; /* so many of them, the last ones, are not made before
			  the command: it makes a file, or a directory */
	struct key_options key;
	enum mode mode;			 /* as mode_choose() gives it */
	const char *branch;		 /* NULL: branch_here() */
	struct strings restore_prefixes; /* beginnings of keys, in this order */
	bool no_restore;	    /* no base but by the key or a prefix */
	const char *label;	    /* of LARDER_OUTCOME_<LABEL>; NULL: none */
	const char *const *command; /* NULL-terminated, at least one word */
	const char *dir;	    /* where it runs; NULL: here */
	struct strings environment; /* VAR=VALUE, for it */
	bool always;		    /* run the command also on an exact hit */
	bool keep_exact; /* ... and commit nothing then: the entry stays */
	bool commit_on_failure; /* also what a failed command left */
	bool wait;		/* for the upload of what was committed */
	bool no_wait;	  /* for no other run: of this key, or in a directory */
	bool ephemeral;	  /* unmount at the end what this run mounted */
	bool materialize; /* write the tree out instead of mounting it */
	bool adopt;	  /* build on files that are in the directory already */
	bool writeback;	  /* of what is mounted */
	bool only_used;	  /* commit nothing of the base that nobody read */
	bool json;	  /* print the report as one JSON object */
};

/* What the command line says of any run; the rest says nothing. */
void run_plan_init(struct run_plan *ret_plan, const struct args *args);

/* The exit code: the command's own where it ran. All is told. */
int run_plan(const struct run_plan *plan);

/*
 * Several plans around one command, the first one's, which runs unless all of
 * them have an exact hit and none wants it to run always. All are mounted
 * before and committed after it, each under its own name and key. Their
 * reports are appended to `reports` (an array); nothing is printed as JSON.
 * They agree in `ephemeral` and `json`. The exit code, as above.
 */
int run_group(const struct run_plan *const *plans, size_t count,
	      json_t *reports);

#endif
