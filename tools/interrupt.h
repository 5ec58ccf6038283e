/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ctrl-C and its like. While a request runs, a signal cancels it; while a
 * command runs, the signal is the command's. One thread.
 */
#ifndef LARDER_TOOLS_INTERRUPT_H
#define LARDER_TOOLS_INTERRUPT_H

#include <sys/types.h>

/* Until interrupt_unwatch(), SIGINT, SIGTERM and SIGHUP end what is sent to
 * `fd`, which cancels the request there. Its answer still comes, so that
 * nothing goes on behind who asked; a second signal or five seconds end
 * the waiting. */
void interrupt_watch(int fd);
void interrupt_unwatch(void);

/* The signal that came while a connection was watched, or 0. */
int interrupt_signal(void);

/*
 * While a child runs in the same process group: what the terminal sends to
 * both is the child's alone, what is sent to this process is passed on.
 * The first two stand around fork(), so that none is lost between.
 */
void interrupt_hold(void);	   /* blocks the signals */
void interrupt_child(void);	   /* in the child: as it was, unblocked */
void interrupt_forward(pid_t pid); /* in the parent: unblocks */
void interrupt_restore(void);	   /* when the child has ended */

/*
 * Behind interrupt_hold() and fork(): until interrupt_unguard(), a signal
 * kills the process group `group` and then ends this process as it would have
 * without; 0 only unblocks.
 */
void interrupt_guard(pid_t group);
void interrupt_unguard(void);

#endif
