/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options and operands of subcommands, parsed by tables from which --help is
 * printed too. An option's table entry says where in struct args its value
 * goes. Strings are borrowed from the command line.
 */
#ifndef LARDER_TOOLS_OPTIONS_H
#define LARDER_TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "key_options.h"

struct command;

struct args {
	/* of every command */
	bool json, quiet, verbose, help;
	const char *namespace, *tenant;
	const char *log_level;
	const char *mode_setting; /* no option: what the configuration says */

	struct key_options key;

	/* of some */
	const char *name, *branch, *mode, *output, *mount_options, *preset;
	const char *format, *compressor, *block_size, *textfile, *sort;
	unsigned for_s, interval_s, rounds;
	const char *tiers, *to, *from;
	const char *keep_days, *keep_last, *max_size, *grace;
	struct strings paths, files, presets, restore_prefixes;
	struct strings names; /* operands in front of `--` */
	bool always, empty, resume, lazy, discard, force, explain, reread,
		materialize, adopt, origin, fill, fix, prometheus, all,
		writeback;
	bool no_restore, commit_on_failure, ephemeral, no_wait, dry_run, repair,
		repack;
	bool unused, only_used;
	bool wait, remote, public, summary, once;

	const char **operands; /* NULL-terminated, like a command's argv */
	unsigned count;
};

enum option_kind {
	OPTION_FLAG,
	OPTION_VALUE,
	OPTION_LIST,
	OPTION_SECONDS, /* 1 to KEY_TIMEOUT_MAX_S */
	OPTION_COUNT,	/* 1 to OPTION_COUNT_MAX */
};

#define OPTION_COUNT_MAX 1000000u

struct option_def {
	const char *name; /* without the dashes */
	char letter;	  /* of its short form, or 0 */
	enum option_kind kind;
	const char *value; /* what the value is called; NULL for flags */
	size_t offset; /* in struct args: bool, char *, strings or unsigned */
	const char *help;
};

#define OPTION_END                                  \
	{                                           \
		NULL, 0, OPTION_FLAG, NULL, 0, NULL \
	}

extern const struct option_def options_common[];
extern const struct option_def options_key[]; /* key_options.c */

/*
 * Parses what follows the subcommand's name. Options may stand behind
 * operands, up to `--`. 0, or EXIT_USAGE after one sentence on standard
 * error; with --help the rest is not looked at. *ret_args is to be released
 * in either case.
 */
int options_parse(const struct command *cmd, int argc, char **argv,
		  struct args *ret_args);
void args_release(struct args *args);

/* The tables that a command's options are in, in the order of its help;
 * `index` counts from 0, NULL is the end. */
const struct option_def *options_table(const struct command *cmd,
				       unsigned index, const char **ret_title);

/* The candidate that is most like `word`, or NULL if none is. `next` gives
 * the candidates, NULL at the end. */
const char *options_nearest(const char *word,
			    const char *(*next)(const void *arg, size_t index),
			    const void *arg);

#define _cleanup_args_ __attribute__((cleanup(args_release)))

#endif
