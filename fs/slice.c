/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time slices, through the two system calls that the C library has no
 * functions for. No state, any thread. Touches neither priorities nor classes:
 * those need privilege, or let a thread that runs for long keep out all others.
 */
#include "slice.h"

#include <sched.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

/* struct sched_attr: the kernel's header of it does not go with <sched.h> on
 * the oldest system supported. */
struct attributes {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static bool slice_load(struct attributes *ret_a)
{
	return syscall(SYS_sched_getattr, 0, ret_a, sizeof(*ret_a), 0) == 0;
}

/* The same field is a budget where the class is another one. */
static bool has_slice(const struct attributes *a)
{
	return a->policy == SCHED_OTHER || a->policy == SCHED_BATCH;
}

void slice_shorten(void)
{
	struct attributes a = { 0 };

	if (!slice_load(&a) || !has_slice(&a))
		return;
	a.runtime = SLICE_SHORT_NS;
	(void)syscall(SYS_sched_setattr, 0, &a, 0);
}

uint64_t slice_get_ns(void)
{
	struct attributes a = { 0 };

	return slice_load(&a) && has_slice(&a) ? a.runtime : 0;
}
