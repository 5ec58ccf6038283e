/* SPDX-License-Identifier: Apache-2.0 */
/* Running the user's command in our place on the terminal. */
#ifndef LARDER_TOOLS_CHILD_H
#define LARDER_TOOLS_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

struct variable {
	const char *name, *value;
};

/* Waits for a child: its exit code, or 128 plus the signal's number; a negative
 * errno. */
int child_wait(pid_t pid);

/*
 * Runs `argv` in `dir` (NULL: here) with the variables (the last has no name)
 * added to the environment, and waits. `quiet_stdout` sends its standard
 * output to standard error. Returns its exit code, 128 plus the signal's
 * number, or 127 and 126 as shells do, where the reason was told.
 */
int child_run(const char *const argv[], const char *dir,
	      const struct variable *variables, bool quiet_stdout);

#endif
