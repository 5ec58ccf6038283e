/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standard error as a file of bounded length. Where it is one, each line asks
 * first whether it has become too long: then it gets the name PATH.old, in place
 * of the one before, and a new PATH is begun. Any number of processes may
 * write to one such file; whoever comes later follows to the new one. What a
 * dying process writes past log.h goes to one of the two.
 */
#ifndef LARDER_BASE_LOG_FILE_H
#define LARDER_BASE_LOG_FILE_H

#include <stdint.h>

/* Where standard error is the file `path`, keeps it below `max_bytes` and a
 * line; else nothing. Before there are threads; the path stays. -ENOMEM. */
int log_file_bound(const char *path, uint64_t max_bytes);

/* For log.c: before a line is written. Does nothing where it cannot do
 * what it is for; any thread. */
void log_file_check(void);

#endif
