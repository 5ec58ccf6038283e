/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks between runs: one builds a key while others wait for it and then
 * hit, and one at a time works in a directory. A lock is a file with flock()
 * in the runtime directory, so it ends with the process that holds it, however
 * that ends; the file has the holder's process id. A run whose lock cannot be
 * made at all goes on without: it is no more than work saved.
 *
 * The commands of a run find the names of its locks in LARDER_RUN_LOCKS, so
 * that a run inside of it does not wait for itself. One thread.
 */
#ifndef LARDER_TOOLS_RUN_LOCK_H
#define LARDER_TOOLS_RUN_LOCK_H

#include <stdbool.h>

#include "out.h"

#define RUN_LOCKS_VARIABLE "LARDER_RUN_LOCKS"
#define RUN_LOCK_NAME_MAX 32

struct run_lock {
	int dirfd, fd; /* -1: not held */
	char name[RUN_LOCK_NAME_MAX];
};

#define RUN_LOCK_INIT      \
	{                  \
		-1, -1, "" \
	}

enum run_lock_result {
	RUN_LOCK_HELD, /* or no lock could be made */
	RUN_LOCK_BUSY, /* another run has it, and was not to be waited for */
	RUN_LOCK_OURS, /* a run that we are the command of has it */
};

/* Takes the lock of `subject` (any text; with the store it makes the name).
 * With `wait`, waits for it and says so once, with `what` for the subject. */
enum run_lock_result run_lock_take(const char *subject, const char *what,
				   bool wait, struct run_lock *ret_lock);
void run_lock_release(struct run_lock *lock); /* not held is fine */

#endif
