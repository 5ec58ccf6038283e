/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A subcommand: its name, its help and its function. main.c has the list; a
 * file cmd_<verb>.c defines each. The command line is one thread.
 */
#ifndef LARDER_TOOLS_CMD_H
#define LARDER_TOOLS_CMD_H

#include <stdbool.h>

#include "options.h"

/* Exit codes beyond EXIT_SUCCESS; the daemon's errors bring theirs along. */
enum {
	EXIT_ERROR = 1,
	EXIT_USAGE = 2,
	EXIT_MISS = 3,
	EXIT_REFUSED = 5,
	EXIT_REMOTE = 6,
	EXIT_VERIFY = 7,
	EXIT_BUSY = 8,
	EXIT_INPUTS_CHANGED = 9,
	EXIT_NOT_EXECUTABLE = 126,
	EXIT_NOT_FOUND = 127,
	EXIT_SIGNAL = 128, /* plus the signal's number */
};

struct command {
	const char *name;
	const char *summary;	 /* one line, for the list of commands */
	const char *synopsis;	 /* what follows the name; lines by '\n' */
	const char *description; /* paragraphs, divided by empty lines */
	const char *manual;	 /* more of them, for its page; or NULL */
	const struct option_def *options; /* its own; ends with no name */
	bool key_options;		  /* takes KEY OPTIONS */
	bool takes_command;		  /* operands stand behind `--` */
	bool takes_names;		  /* ... and names in front of it */
	const char *const *words;	  /* for its first operand; NULL: any */
	unsigned operands_min, operands_max;
	int (*run)(const struct args *args); /* the exit code */
};

/* All of them, up to NULL; in main.c. */
extern const struct command *const larder_commands[];

extern const struct command cmd_cat, cmd_commit, cmd_completion, cmd_config,
	cmd_daemon, cmd_diff, cmd_doctor, cmd_export, cmd_gc, cmd_import,
	cmd_init, cmd_key, cmd_keygen, cmd_list, cmd_ls, cmd_materialize,
	cmd_mount, cmd_pin, cmd_prefetch, cmd_pull, cmd_push, cmd_reset, cmd_rm,
	cmd_run, cmd_show, cmd_stats, cmd_status, cmd_top, cmd_trace,
	cmd_umount, cmd_unpin, cmd_verify, cmd_why;

#endif
