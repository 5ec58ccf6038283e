/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The progress clock. State is the caller's struct; one thread drives it.
 */
#include "progress.h"

#include <stddef.h>

#include "base/clock.h"

#define PROGRESS_INTERVAL_NS INT64_C(100000000)

int progress_tick(struct progress *p, const char *phase, uint64_t done_files,
		  uint64_t all_files, uint64_t done_bytes, uint64_t all_bytes)
{
	int64_t now;

	if (!p)
		return 0;
	now = clock_mono_ns();
	if (p->last_ns != 0 && now - p->last_ns < PROGRESS_INTERVAL_NS)
		return 0;
	p->last_ns = now;
	return p->report(p->arg, phase, done_files, all_files, done_bytes,
			 all_bytes);
}
