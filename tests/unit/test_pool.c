/* SPDX-License-Identifier: Apache-2.0 */
/* The ordered pool: order, errors, and the serial twin's equal output. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/pool.h"

#define JOBS 2000

struct job {
	unsigned number;
	uint64_t result;
};

/* What `done` saw, and which jobs are to fail. */
struct trace {
	unsigned ndone;
	unsigned numbers[JOBS];
	int errs[JOBS];
	uint64_t sum;
	int work_err[JOBS]; /* constant while the pool runs */
	int done_err[JOBS];
	atomic_uint states, in_work, in_work_max, ran;
	pthread_t submitter;
	int wrong_thread;
};

static void *state_new(void *ctx)
{
	struct trace *t = ctx;

	atomic_fetch_add(&t->states, 1);
	return calloc(1, sizeof(uint64_t));
}

/* The trace of the pool that runs; `thread_free` is not told. */
static struct trace *state_trace;

static void state_free(void *state)
{
	atomic_fetch_sub(&state_trace->states, 1);
	free(state);
}

static void *state_fail(void *ctx)
{
	struct trace *t = ctx;

	return atomic_load(&t->states) < 2 ? state_new(ctx) : NULL;
}

/* Uneven work, so that jobs finish out of order. The thread's state is
 * written without a lock: it must be the thread's own. */
static int work(void *ctx, void *state, void *arg)
{
	struct trace *t = ctx;
	struct job *job = arg;
	unsigned now = atomic_fetch_add(&t->in_work, 1) + 1;
	unsigned max = atomic_load(&t->in_work_max);
	unsigned i;

	while (now > max &&
	       !atomic_compare_exchange_weak(&t->in_work_max, &max, now))
		;
	if (state)
		++*(uint64_t *)state;
	atomic_fetch_add(&t->ran, 1);
	job->result = job->number;
	for (i = 0; i < job->number * 7919 % 3000; i++)
		job->result = job->result * 6364136223846793005u + 1;
	if (job->number % 13 == 0)
		sched_yield();
	atomic_fetch_sub(&t->in_work, 1);
	return t->work_err[job->number];
}

static int done(void *ctx, void *arg, int err)
{
	struct trace *t = ctx;
	struct job *job = arg;
	int r = t->done_err[job->number];

	if (!pthread_equal(pthread_self(), t->submitter))
		t->wrong_thread = 1;
	t->numbers[t->ndone] = job->number;
	t->errs[t->ndone] = err;
	t->ndone++;
	if (err == 0)
		t->sum = t->sum * 31 + job->result;
	free(job);
	return r;
}

static const struct pool_ops ops = {
	.thread_init = state_new,
	.thread_free = state_free,
	.work = work,
	.done = done,
};

static const struct pool_ops ops_without_state = {
	.work = work,
	.done = done,
};

static struct trace *trace_new(void)
{
	struct trace *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->submitter = pthread_self();
	return t;
}

/* Submits all jobs, whatever errors come; gives the pool's error. */
static int run(struct trace *t, const struct pool_ops *with, unsigned nthreads,
	       unsigned window)
{
	struct pool *p;
	unsigned i;
	int r = 0, last;

	state_trace = t;
	assert_int_equal(pool_new(with, t, nthreads, window, &p), 0);
	for (i = 0; i < JOBS; i++) {
		struct job *job = calloc(1, sizeof(*job));

		assert_non_null(job);
		job->number = i;
		last = pool_submit(p, job);
		assert_true(r == 0 || last == r);
		r = last;
	}
	last = pool_finish(p);
	assert_true(r == 0 || last == r);
	assert_int_equal(pool_finish(p), last);
	pool_free(p);
	assert_int_equal(atomic_load(&t->states), 0);
	assert_int_equal(t->wrong_thread, 0);
	return last;
}

static void assert_same(const struct trace *a, const struct trace *b)
{
	assert_int_equal(a->ndone, b->ndone);
	assert_memory_equal(a->numbers, b->numbers, sizeof(a->numbers));
	assert_memory_equal(a->errs, b->errs, sizeof(a->errs));
	assert_true(a->sum == b->sum);
}

/* Number of threads, window. */
static const unsigned shapes[][2] = { { 1, 1 },	   { 1, 8 },  { 2, 1 },
				      { 2, 5 },	   { 4, 64 }, { 8, 3 },
				      { 3, 5000 }, { 2, 0 } };
#define NSHAPES (sizeof(shapes) / sizeof(shapes[0]))

/* Runs `t`'s plan serially and in all shapes; all must agree. */
static void check_plan(const struct trace *plan, int want)
{
	struct trace *serial = trace_new();
	size_t i;

	memcpy(serial->work_err, plan->work_err, sizeof(plan->work_err));
	memcpy(serial->done_err, plan->done_err, sizeof(plan->done_err));
	assert_int_equal(run(serial, &ops, 0, 1), want);
	assert_int_equal(serial->ndone, JOBS);
	for (i = 0; i < NSHAPES; i++) {
		struct trace *t = trace_new();

		memcpy(t->work_err, plan->work_err, sizeof(plan->work_err));
		memcpy(t->done_err, plan->done_err, sizeof(plan->done_err));
		assert_int_equal(run(t, &ops, shapes[i][0], shapes[i][1]),
				 want);
		assert_same(t, serial);
		assert_in_range(atomic_load(&t->in_work_max), 1, shapes[i][0]);
		free(t);
	}
	free(serial);
}

static void test_order_and_twin(void **state)
{
	struct trace *plan = trace_new();
	unsigned i;

	(void)state;
	check_plan(plan, 0);
	assert_int_equal(run(plan, &ops, 4, 16), 0);
	for (i = 0; i < JOBS; i++) {
		assert_int_equal(plan->numbers[i], i);
		assert_int_equal(plan->errs[i], 0);
	}
	assert_int_equal(atomic_load(&plan->ran), JOBS);
	free(plan);
}

/* Two jobs fail: the earlier one's error is the pool's, whichever thread is
 * faster, and all jobs behind it come back as cancelled. */
static void test_first_error_in_order(void **state)
{
	struct trace *plan = trace_new();
	struct trace *t = trace_new();
	unsigned i;

	(void)state;
	plan->work_err[700] = t->work_err[700] = -ENOSPC;
	plan->work_err[701] = t->work_err[701] = -EIO;
	check_plan(plan, -ENOSPC);
	assert_int_equal(run(t, &ops, 4, 16), -ENOSPC);
	for (i = 0; i < JOBS; i++)
		assert_int_equal(t->errs[i], i < 700  ? 0 :
					     i == 700 ? -ENOSPC :
							-ECANCELED);
	/* Of the jobs behind it only those in the window can have run. */
	assert_in_range(atomic_load(&t->ran), 701, 701 + 16);
	free(plan);
	free(t);
}

static void test_error_of_done(void **state)
{
	struct trace *plan = trace_new();

	(void)state;
	plan->done_err[10] = -EDQUOT;
	plan->work_err[11] = -EIO;
	check_plan(plan, -EDQUOT);
	memset(plan->work_err, 0, sizeof(plan->work_err));
	plan->work_err[9] = -EIO;
	check_plan(plan, -EIO);
	free(plan);
}

static void test_error_of_first_and_last(void **state)
{
	struct trace *plan = trace_new();

	(void)state;
	plan->work_err[JOBS - 1] = -EIO;
	check_plan(plan, -EIO);
	plan->work_err[0] = -ENOMEM;
	check_plan(plan, -ENOMEM);
	free(plan);
}

static void test_without_state(void **state)
{
	struct trace *t = trace_new();

	(void)state;
	assert_int_equal(run(t, &ops_without_state, 2, 4), 0);
	assert_int_equal(t->ndone, JOBS);
	free(t);
}

/* pool_free() alone finishes: no job is lost. */
static void test_free_finishes(void **state)
{
	unsigned nthreads;

	(void)state;
	for (nthreads = 0; nthreads < 4; nthreads++) {
		struct trace *t = trace_new();
		struct pool *p;
		unsigned i;

		state_trace = t;
		assert_int_equal(pool_new(&ops, t, nthreads, 100, &p), 0);
		for (i = 0; i < 50; i++) {
			struct job *job = calloc(1, sizeof(*job));

			assert_non_null(job);
			job->number = i;
			assert_int_equal(pool_submit(p, job), 0);
		}
		pool_free(p);
		assert_int_equal(t->ndone, 50);
		assert_int_equal(atomic_load(&t->states), 0);
		free(t);
	}
	pool_free(NULL);
}

static void test_no_state_no_pool(void **state)
{
	struct pool_ops failing = ops;
	struct trace *t = trace_new();
	struct pool *p = NULL;

	(void)state;
	state_trace = t;
	failing.thread_init = state_fail;
	assert_int_equal(pool_new(&failing, t, 4, 4, &p), -ENOMEM);
	assert_null(p);
	assert_int_equal(atomic_load(&t->states), 0);
	free(t);
}

static void test_cpus(void **state)
{
	cpu_set_t all, one;
	int cpu = 0;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	assert_int_equal(pool_cpus(), CPU_COUNT(&all));
	while (!CPU_ISSET(cpu, &all))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(pool_cpus(), 1);
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_twin),
		cmocka_unit_test(test_first_error_in_order),
		cmocka_unit_test(test_error_of_done),
		cmocka_unit_test(test_error_of_first_and_last),
		cmocka_unit_test(test_without_state),
		cmocka_unit_test(test_free_finishes),
		cmocka_unit_test(test_no_state_no_pool),
		cmocka_unit_test(test_cpus),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
