/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program whose standard output we read, up to a deadline: scripts of a
 * key, and git. It reads nothing, and its standard error is ours. One thread.
 */
#ifndef LARDER_TOOLS_PROCESS_H
#define LARDER_TOOLS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "child.h"
#include "store/base/buf.h"

#define PROCESS_READ_MAX 4 /* processes that are read together */

struct process_setup {
	const char *const *argv;
	const struct variable *variables; /* value NULL: unset; ends with no
					     name; may be NULL */
	int dirfd;			  /* its current directory */
	bool own_session; /* no terminal; a signal to us ends all of it */
	bool mute;	  /* nothing of what it says on standard error */
	bool merge;	  /* that, too, is read as its output */
};

struct process {
	pid_t pid; /* 0: none, or waited for */
	int pidfd;
	int out; /* the end of its output that we read */
	bool own_session;
};

#define PROCESS_INIT             \
	{                        \
		0, -1, -1, false \
	}

#define PROCESS_FOREVER INT64_MAX /* a deadline that never comes */

/* Negative errno where no process can be made; a program that cannot be run
 * ends with 126 or 127. */
int process_start(const struct process_setup *setup, struct process *ret_p);

/* Up to `len` bytes, 0 at the end; -ETIMEDOUT at `deadline_ns` (monotonic). */
ssize_t process_read(struct process *p, void *buf, size_t len,
		     int64_t deadline_ns);

/* All that `n` processes print, at the same time, so that none waits for
 * another to be read; at most `max` bytes of each. 0, -EFBIG or what read(2)
 * gave. */
int process_read_all(struct process *const ps[], struct buf *const ret_bufs[],
		     unsigned n, size_t max);

/* Its exit code, or 128 plus the signal's number; -ETIMEDOUT. */
int process_wait(struct process *p, int64_t deadline_ns);

/* Ends what still runs: asks, and kills what does not end soon. */
void process_release(struct process *p);

#define _cleanup_process_ __attribute__((cleanup(process_release)))

#endif
