/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the worker gives up before it reads the first byte that somebody else
 * wrote: new privileges (a setuid program that it runs gets none), core dumps
 * and being looked into by its own user's other processes, the system calls
 * that neither it nor a credential helper needs (sandbox_seccomp.c), and
 * signals to and ptrace(2) of other processes, and listening TCP sockets
 * (sandbox_landlock.c). Each where the kernel has it; what it lacks is no error.
 *
 * Files are not among it: requests name any path of their user's (tiers, token
 * files), and bring descriptors of directories, maybe of another mount namespace,
 * below which files are opened. A rule for all of them would be none.
 *
 * The supervisor, which holds the worker's secrets, gives up being looked into,
 * and no more: fusermount3, which it runs, is setuid.
 * Credential helpers inherit all of it. No state; before there are threads.
 */
#ifndef LARDER_FS_SANDBOX_H
#define LARDER_FS_SANDBOX_H

#include <stdbool.h>

#define SANDBOX_VARIABLE "LARDER_SANDBOX"

enum sandbox_part {
	SANDBOX_PRIVILEGES = 1 << 0,
	SANDBOX_DUMPS = 1 << 1,
	SANDBOX_SECCOMP = 1 << 2,
	SANDBOX_LANDLOCK = 1 << 3,
	SANDBOX_ALL = (1 << 4) - 1,
};

struct sandbox {
	unsigned wanted; /* of sandbox_part; 0: it is turned off */
	/* What is in force. */
	bool no_new_privs, no_dumps, seccomp, landlock;
};

/* "on", "off", or "off:" and the parts that are not wanted, with commas:
 * privileges (seccomp and landlock cannot do without), dumps, seccomp,
 * landlock. In any case; -EINVAL. */
int sandbox_parse(const char *text, unsigned *ret_parts);

/* Gives up for good what $LARDER_SANDBOX does not turn off. What cannot be is
 * logged where the kernel should have it. */
void sandbox_enter(struct sandbox *ret_sandbox);

/* Core dumps and being looked into alone, unless $LARDER_SANDBOX leaves them: for
 * the supervisor. Its children have it from their start; who executes something
 * loses it. */
void sandbox_hide(void);

/* --- among sandbox* --- */

/* 0, -ENOSYS where the kernel or the build has it not, or an errno. The caller has
 * no_new_privs. `traces`: ptrace(2) stays. */
int sandbox_seccomp(bool traces);
int sandbox_landlock(void);

#endif
