/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool of threads whose results come back in the order of submission.
 *
 * Jobs run concurrently; `done` is called from the submitting thread, in the
 * order of pool_submit(), inside pool_submit() (when the window is full) or
 * pool_finish(). So output written by `done` is the same bytes whatever the
 * number of threads; with `nthreads` 0 each job runs inside pool_submit(),
 * the serial twin that tests compare with.
 *
 * One thread submits. `work` runs on any thread and touches only its job.
 */
#ifndef LARDER_BASE_POOL_H
#define LARDER_BASE_POOL_H

#include <stddef.h>

struct pool;

struct pool_ops {
	/* Per-thread state handed to `work`, made in pool_new(), which fails
	 * with -ENOMEM when this gives NULL. Both may be NULL where there is
	 * no state; `work` then gets NULL. */
	void *(*thread_init)(void *ctx);
	void (*thread_free)(void *thread_state);
	/* 0 or a negative errno; an error stops the pool. The first error
	 * by order of submission is the pool's. */
	int (*work)(void *ctx, void *thread_state, void *job);
	/* Takes the job back, in order; called also for jobs that failed or
	 * were never run after an error (`err` != 0), so that they are freed.
	 * All jobs behind the first error come with -ECANCELED, whether or
	 * not a thread had run them. Calls no function of the pool.
	 * 0 or a negative errno, which stops the pool. */
	int (*done)(void *ctx, void *job, int err);
};

/* `window`: jobs in flight at most. `ctx` is borrowed. */
int pool_new(const struct pool_ops *ops, void *ctx, unsigned nthreads,
	     unsigned window, struct pool **ret_pool);

/* Takes `job` over. Returns the pool's first error, if any so far; the job
 * is then still given to `done`. */
int pool_submit(struct pool *p, void *job);

/* Waits for all jobs; returns the first error. */
int pool_finish(struct pool *p);
void pool_free(struct pool *p); /* finishes first; NULL is fine */

/* Processors this process may run on, at least 1. */
unsigned pool_cpus(void);

#endif
