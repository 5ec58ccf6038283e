/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ordered pool. Jobs lie in a ring of `window` slots and carry running
 * numbers: [head, tail) are in flight, [next, tail) not yet taken by a
 * thread. Threads take jobs in order, which is what makes errors
 * reproducible: when a job fails, every earlier one has been taken and will
 * report its own result, and only later ones are skipped.
 *
 * One mutex guards the ring; neither `work` nor `done` runs under it.
 */
#include "pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "cleanup.h"

struct slot {
	void *job;
	int err;
	bool finished;
};

struct worker {
	struct pool *pool;
	void *state; /* of thread_init */
	pthread_t thread;
	bool started;
};

struct pool {
	const struct pool_ops *ops; /* constant, as the next four */
	void *ctx;
	unsigned nthreads;
	unsigned window;
	struct worker *workers; /* max(nthreads, 1): the serial twin's state */

	int err; /* first error in order; the submitting thread's */

	pthread_mutex_t lock;	   /* guards all below */
	pthread_cond_t work_ready; /* tail moved, or closing */
	pthread_cond_t head_done;  /* the slot at head has finished */
	struct slot *slots;
	uint64_t head, next, tail;
	bool stopped; /* after an error: jobs are not run */
	bool closing;
};

static struct slot *pool_slot(struct pool *p, uint64_t number)
{
	return &p->slots[number % p->window];
}

/* Takes the next job; waits for one. False when the pool closes. */
static bool worker_take(struct pool *p, uint64_t *ret_number, bool *ret_skip)
{
	LOCK_SCOPE(&p->lock);

	while (p->next == p->tail && !p->closing)
		pthread_cond_wait(&p->work_ready, &p->lock);
	if (p->next == p->tail)
		return false;
	*ret_number = p->next++;
	*ret_skip = p->stopped;
	return true;
}

static void worker_finish(struct pool *p, uint64_t number, int err)
{
	struct slot *s = pool_slot(p, number);
	LOCK_SCOPE(&p->lock);

	s->err = err;
	s->finished = true;
	if (err < 0)
		p->stopped = true;
	if (number == p->head)
		pthread_cond_signal(&p->head_done);
}

static void *worker_run(void *arg)
{
	struct worker *w = arg;
	struct pool *p = w->pool;
	uint64_t number;
	bool skip;

	while (worker_take(p, &number, &skip)) {
		void *job = pool_slot(p, number)->job;
		int err = skip ? -ECANCELED :
				 p->ops->work(p->ctx, w->state, job);

		worker_finish(p, number, err);
	}
	return NULL;
}

/* Signals are for the program's own threads. */
static int worker_start(struct worker *w)
{
	sigset_t all, saved;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &saved);
	r = pthread_create(&w->thread, NULL, worker_run, w);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	w->started = r == 0;
	return -r;
}

static unsigned pool_nworkers(const struct pool *p)
{
	return p->nthreads ? p->nthreads : 1;
}

/* All states first: no thread runs yet when one of them cannot be had. */
static int pool_start(struct pool *p)
{
	unsigned i;
	int r;

	for (i = 0; i < pool_nworkers(p); i++) {
		p->workers[i].pool = p;
		if (!p->ops->thread_init)
			continue;
		p->workers[i].state = p->ops->thread_init(p->ctx);
		if (!p->workers[i].state)
			return -ENOMEM;
	}
	for (i = 0; i < p->nthreads; i++) {
		r = worker_start(&p->workers[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

int pool_new(const struct pool_ops *ops, void *ctx, unsigned nthreads,
	     unsigned window, struct pool **ret_pool)
{
	struct pool *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->ops = ops;
	p->ctx = ctx;
	p->nthreads = nthreads;
	p->window = window ? window : 1;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work_ready, NULL);
	pthread_cond_init(&p->head_done, NULL);
	p->slots = calloc(p->window, sizeof(*p->slots));
	p->workers = calloc(pool_nworkers(p), sizeof(*p->workers));
	r = p->slots && p->workers ? pool_start(p) : -ENOMEM;
	if (r < 0) {
		pool_free(p);
		return r;
	}
	*ret_pool = p;
	return 0;
}

/* Hands a job back, and keeps the first error in order. */
static void pool_deliver(struct pool *p, void *job, int err)
{
	int r;

	if (p->err)
		err = -ECANCELED;
	r = p->ops->done(p->ctx, job, err);
	if (p->err == 0)
		p->err = err ? err : r;
}

/* Waits for the oldest job and hands it back. */
static void pool_retire(struct pool *p)
{
	struct slot s;

	{
		LOCK_SCOPE(&p->lock);

		while (!pool_slot(p, p->head)->finished)
			pthread_cond_wait(&p->head_done, &p->lock);
		s = *pool_slot(p, p->head);
		p->head++;
	}
	pool_deliver(p, s.job, s.err);
	if (p->err) {
		LOCK_SCOPE(&p->lock);

		p->stopped = true;
	}
}

static void pool_queue(struct pool *p, void *job)
{
	LOCK_SCOPE(&p->lock);

	*pool_slot(p, p->tail) = (struct slot){ .job = job };
	p->tail++;
	pthread_cond_signal(&p->work_ready);
}

/* Jobs in flight; only the submitting thread moves head and tail, so it may
 * read them without the lock. */
static uint64_t pool_in_flight(const struct pool *p)
{
	return p->tail - p->head;
}

static void submit_serial(struct pool *p, void *job)
{
	int err = 0;

	if (!p->err)
		err = p->ops->work(p->ctx, p->workers[0].state, job);
	pool_deliver(p, job, err);
}

int pool_submit(struct pool *p, void *job)
{
	if (p->nthreads == 0) {
		submit_serial(p, job);
		return p->err;
	}
	if (pool_in_flight(p) == p->window)
		pool_retire(p);
	pool_queue(p, job);
	return p->err;
}

int pool_finish(struct pool *p)
{
	while (pool_in_flight(p) > 0)
		pool_retire(p);
	return p->err;
}

static void pool_join(struct pool *p)
{
	unsigned i;

	{
		LOCK_SCOPE(&p->lock);

		p->closing = true;
		pthread_cond_broadcast(&p->work_ready);
	}
	for (i = 0; i < p->nthreads; i++)
		if (p->workers[i].started)
			pthread_join(p->workers[i].thread, NULL);
}

void pool_free(struct pool *p)
{
	unsigned i;

	if (!p)
		return;
	pool_finish(p);
	if (p->workers) {
		pool_join(p);
		for (i = 0; i < pool_nworkers(p); i++)
			if (p->workers[i].state && p->ops->thread_free)
				p->ops->thread_free(p->workers[i].state);
	}
	pthread_cond_destroy(&p->head_done);
	pthread_cond_destroy(&p->work_ready);
	pthread_mutex_destroy(&p->lock);
	free(p->workers);
	free(p->slots);
	free(p);
}

unsigned pool_cpus(void)
{
	cpu_set_t set;
	long n;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return CPU_COUNT(&set);
	/* More processors than a cpu_set_t holds. */
	n = sysconf(_SC_NPROCESSORS_ONLN);
	return n > 0 ? n : 1;
}
