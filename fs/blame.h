/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which requests the workers were at when they died. The kernel sends what was
 * not answered again to the next worker, so a request that a worker cannot
 * survive would end one after the other, and with them all mounts; one that
 * several workers in a row have died of is refused instead.
 *
 * A table in memory that the supervisor and its workers share: a worker notes
 * each request where it begins and ends; the supervisor reads what stands
 * there when a worker has died. A thread whose own fault ends the worker marks
 * its request, and then the others are not blamed.
 */
#ifndef LARDER_FS_BLAME_H
#define LARDER_FS_BLAME_H

#include <stdbool.h>
#include <stdint.h>

struct blame;

/* Before the first worker is forked. -ENOMEM. */
int blame_new(struct blame **ret_blame);
void blame_free(struct blame *b);

/* --- the worker; `b` may be NULL: nothing is noted, nothing refused --- */

/* Faults mark the request of their thread from now on. Does nothing about
 * signals that somebody else handles already. */
void blame_watch(void);

/* The calling thread begins with a request: `unique` is the kernel's number of
 * it in the connection of `mount`, not 0. False: workers died of it, answer
 * EIO; then nothing has begun. Only one that is sent again can be refused. */
bool blame_begin(struct blame *b, uint64_t mount, uint64_t unique, bool resent);
void blame_end(void);

/* --- the supervisor, while there is no worker --- */

/* `killed`: by a signal, rather than by its own will. */
void blame_collect(struct blame *b, bool killed);

#endif
