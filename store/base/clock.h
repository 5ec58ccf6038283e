/* SPDX-License-Identifier: Apache-2.0 */
/* Time: the wall clock in nanoseconds for timestamps, a monotonic clock in
 * nanoseconds for durations and deadlines. */
#ifndef LARDER_BASE_CLOCK_H
#define LARDER_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_timespec_ns(const struct timespec *ts)
{
	return ts->tv_sec * INT64_C(1000000000) + ts->tv_nsec;
}

static inline int64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return clock_timespec_ns(&ts);
}

/* Nanoseconds since 1970. */
static inline int64_t clock_wall_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

static inline int64_t clock_mono_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* Likewise, and goes on while the machine sleeps. */
static inline int64_t clock_boot_ns(void)
{
	return clock_ns(CLOCK_BOOTTIME);
}

#endif
