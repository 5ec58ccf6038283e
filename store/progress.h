/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long work tells how far it is, and hears that it is no longer wanted.
 * `report` is called from the working thread, at most every 100 ms; a negative
 * return (-ECANCELED) ends the work with that code.
 */
#ifndef LARDER_PROGRESS_H
#define LARDER_PROGRESS_H

#include <stdint.h>

struct progress {
	int (*report)(void *arg, const char *phase, uint64_t done_files,
		      uint64_t all_files, uint64_t done_bytes,
		      uint64_t all_bytes);
	void *arg;
	int64_t last_ns; /* the worker's; starts 0 */
};

/* Calls p->report when it is due; 0 where `p` is NULL. */
int progress_tick(struct progress *p, const char *phase, uint64_t done_files,
		  uint64_t all_files, uint64_t done_bytes, uint64_t all_bytes);

#endif
