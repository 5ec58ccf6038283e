/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KEY OPTIONS: what a key is made of, before anything is read. The command
 * line fills this struct, and so may whoever else knows a build's inputs;
 * fingerprint.h makes a key of it. All zero is "nothing asked for". Strings
 * are borrowed; the lists' arrays are the struct's.
 */
#ifndef LARDER_TOOLS_KEY_OPTIONS_H
#define LARDER_TOOLS_KEY_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#define KEY_TIMEOUT_DEFAULT_S 60u
#define KEY_TIMEOUT_MAX_S 86400u

struct strings {
	const char **items;
	size_t count;
};

struct key_options {
	/* Patterns of key_add_files(), relative to `dir`. One that ends in
	 * '?' may match nothing, as may all of `optional_files`, whose '?'
	 * is a wildcard like any other. */
	struct strings files;
	struct strings optional_files;

	/* For `sh -c` in `dir`; the standard output counts, and an exit code
	 * other than 0 is an error. A command that prints nothing is one too:
	 * it is meant to name a tool's version. */
	struct strings scripts;
	struct strings commands;

	/* HEAD, what differs from it, and what is untracked, of the work tree
	 * that `dir` is in. */
	bool git;

	struct strings envs; /* names of variables */
	struct strings salts;

	/* Directories of outputs, which are no inputs whatever is in them;
	 * relative to the current directory. No option of the command line
	 * by itself: `run` has them from --path. */
	struct strings outputs;

	const char *key; /* a key of the user's own; alone */
	const char *dir; /* NULL: the current directory */

	unsigned timeout_s; /* of each script and command; 0: the default */
	bool any_platform;  /* leave the platform out */
};

/* Appends to a list. -ENOMEM. */
int strings_add(struct strings *s, const char *value);
void key_options_release(struct key_options *o);

/* Whether anything but `key` is asked for. */
bool key_options_any_part(const struct key_options *o);

/* 0, or EXIT_USAGE after one sentence. */
int key_options_check(const struct key_options *o);

#endif
