/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Presets: what is known of a build tool. Which files say that a project uses
 * it, what its key is made of, and what to keep, in up to two forms: its
 * output (a node_modules), with which an exact hit spares the command, or its
 * own store (npm's cache), with which the command always runs, but finds what
 * it needs. A preset becomes a text in the form of the project file, which
 * `larder init` writes and `larder run --preset` parses at once, so that both
 * do the same. No state.
 */
#ifndef LARDER_TOOLS_PRESET_H
#define LARDER_TOOLS_PRESET_H

#include <stdbool.h>
#include <stdio.h>

#include "out.h"

#define PRESET_AUTO "auto"
#define PRESET_MAX 16

/* Where stores are mounted, in the repository; a name that globs skip. */
#define PRESET_STORES ".larder"

struct preset;

enum preset_form { PRESET_OUTPUT, PRESET_STORE };

/* A preset in one of its forms. */
struct preset_choice {
	const struct preset *preset;
	enum preset_form form;
};

/*
 * From what --preset takes: NAME, NAME:output or NAME:store; without a form,
 * the faster one. `auto` is what preset_detect() finds in `dir`, if that is
 * one thing. -EINVAL with the sentence.
 */
int preset_parse(const char *text, const char *dir,
		 struct preset_choice *ret_choice, struct failure *ret_failure);

/* Those whose files are in `dir`, in the order of the table. Returns their
 * number, at most PRESET_MAX. */
unsigned preset_detect(const char *dir, struct preset_choice *ret_choices);

const char *preset_name(const struct preset *preset);

/* What it keeps, relative to the repository. */
const char *preset_path(const struct preset_choice *choice);

/* The command that fills it, for sh; NULL where only the user knows it. */
const char *preset_command(const struct preset_choice *choice);

/*
 * Writes the choice as an item of a project file's `caches`. `project` stands
 * in front of the cache's name. `in_git` says whether the project is in a git
 * work tree: a key can then be made of what git knows.
 */
void preset_write(FILE *f, const struct preset_choice *choice,
		  const char *project, bool in_git);

#endif
