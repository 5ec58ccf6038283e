/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children of tests that a fault is to kill: the test's own program, run again
 * with what its environment says. Failures are cmocka assertions.
 */
#ifndef LARDER_TESTS_CHILD_H
#define LARDER_TESTS_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

/* Becomes the running program again, as `name`, with its output thrown away. */
_Noreturn void child_exec(const char *name);

/* Waits. True when SIGKILL ended it, false when it ended with status 0. */
bool child_was_killed(pid_t pid);

#endif
