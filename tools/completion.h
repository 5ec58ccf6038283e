/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completions for shells, made from the tables that the help and the parser
 * have: every command and every option, with its help where the shell shows it.
 * A word that is neither is completed as the name of a file. No state.
 */
#ifndef LARDER_TOOLS_COMPLETION_H
#define LARDER_TOOLS_COMPLETION_H

#include <stdio.h>

#include "cmd.h"

/* Prints the script for a shell, of `commands` up to NULL. -EINVAL for a shell
 * that is none of completion_shells. */
int completion_print(FILE *f, const char *shell,
		     const struct command *const *commands);

extern const char *const completion_shells[]; /* up to NULL */

#endif
