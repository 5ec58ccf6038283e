/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service loop: leader and followers. At any moment at most one thread,
 * the reader, receives requests; it also processes them, on its own stack,
 * and goes on reading. Only when a request says that it may block
 * (fetch_may_block()) does the thread stop being the reader: an idle follower
 * takes the reading over, or a new thread is started, or, with all threads
 * busy, the first one that gets done.
 *
 * Owns the threads and their request buffers. One mutex guards who reads and
 * who is idle; it is taken when a thread starts or stops reading, never per
 * request. What a request means is the caller's.
 */
#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "fetch.h"
#include "slice.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/log.h"
#include "store/base/pool.h"

/* How long the reader polls after a request before it sleeps. Waking an idle
 * processor of a virtual machine takes some hundred microseconds; this covers
 * a client that works for up to about 100 us between two requests. Where more
 * threads want to run than there are processors, none is idle, and a reader that
 * yields waits for others to use up their time, while one that sleeps runs as
 * soon as it is woken: there it does not poll. */
#define SPIN_NS 200000
#define CROWDED_LOOK_NS 5000000 /* how often it looks */

/* The heap is trimmed after so many requests and then so long a silence. */
#define TRIM_AFTER 1024
#define TRIM_SILENCE_MS 1000

#define IDLE_MAX 2     /* followers that are kept */
#define IDLE_SECONDS 5 /* the others end after so long */

enum thread_state {
	THREAD_NONE,
	THREAD_RUNS,
	THREAD_ENDED, /* wants to be joined */
};

struct thread {
	struct loop *loop;	 /* constant */
	pthread_t id;		 /* guarded by the loop's lock */
	enum thread_state state; /* guarded by the loop's lock */
	void *buf;		 /* the thread's own, as the next one */
	bool reader;
};

struct loop {
	const struct loop_ops *ops; /* constant, as the next two */
	void *arg;
	size_t buf_size;
	int fd;
	int stop_fd;	/* eventfd, readable once the loop is to end */
	int loadavg_fd; /* -1: none */
	unsigned cpus;

	unsigned long served; /* the reader's own, as the next two: since the
			       * last trim */
	int64_t looked_ns;
	bool crowded;

	atomic_bool ended; /* set under the lock */

	pthread_mutex_t lock;  /* guards all below */
	pthread_cond_t follow; /* the reading is free, or the loop has ended */
	pthread_cond_t end;    /* the loop has ended */
	struct thread threads[LOOP_THREADS_MAX];
	unsigned idle;
	bool has_reader;
};

static enum thread_state thread_state_of(struct thread *t)
{
	LOCK_SCOPE(&t->loop->lock);

	return t->state;
}

static bool loop_ended(struct loop *l)
{
	return atomic_load_explicit(&l->ended, memory_order_relaxed);
}

static void loop_end(struct loop *l)
{
	uint64_t one = 1;
	LOCK_SCOPE(&l->lock);

	atomic_store_explicit(&l->ended, true, memory_order_relaxed);
	pthread_cond_broadcast(&l->follow);
	pthread_cond_broadcast(&l->end);
	(void)!write(l->stop_fd, &one, sizeof(one));
}

/* Sleeps until there is a request or the loop ends. A burst of requests leaves
 * a heap with holes behind: the first long silence gives them back. */
static void loop_sleep(struct loop *l)
{
	struct pollfd fds[] = {
		{ .fd = l->fd, .events = POLLIN },
		{ .fd = l->stop_fd, .events = POLLIN },
	};

	if (l->served >= TRIM_AFTER) {
		if (poll(fds, 2, TRIM_SILENCE_MS) != 0)
			return;
		l->served = 0;
		malloc_trim(0);
	}
	(void)!poll(fds, 2, -1);
}

/* Whether more threads want to run than there are processors: the fourth field
 * says how many do, the calling one among them. */
static bool loop_is_crowded(struct loop *l, int64_t now)
{
	char text[128];
	unsigned running;
	ssize_t n;

	if (now - l->looked_ns < CROWDED_LOOK_NS)
		return l->crowded;
	l->looked_ns = now;
	n = pread(l->loadavg_fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	l->crowded = sscanf(text, "%*s %*s %*s %u/", &running) == 1 &&
		     running > l->cpus;
	return l->crowded;
}

/* The next request: its length, or an errno that ends the loop. A poll costs
 * a system call, so the clock is not asked for each. */
static ssize_t loop_receive(struct loop *l, void *buf)
{
	int64_t until = 0, now;

	while (!loop_ended(l)) {
		ssize_t n = l->ops->receive(l->arg, buf, l->buf_size);

		if (n != -EAGAIN)
			return n;
		now = clock_mono_ns();
		if (until == 0)
			until = loop_is_crowded(l, now) ? now : now + SPIN_NS;
		if (now < until) {
			sched_yield();
			continue;
		}
		loop_sleep(l);
		until = 0;
	}
	return -ECANCELED;
}

static void thread_read(struct thread *t)
{
	struct loop *l = t->loop;

	while (t->reader) {
		ssize_t n = loop_receive(l, t->buf);

		if (n > 0) {
			l->served++;
			l->ops->process(l->arg, t->buf, n);
			continue;
		}
		if (n != -ENODEV && n != -ECANCELED)
			log_error(n, "reading FUSE requests failed");
		loop_end(l);
		t->reader = false;
	}
}

static void idle_deadline(struct timespec *ret_ts)
{
	clock_gettime(CLOCK_MONOTONIC, ret_ts);
	ret_ts->tv_sec += IDLE_SECONDS;
}

/* Waits until nobody reads. False when the thread is to end: the loop does, or
 * there are enough idle threads. */
static bool thread_follow(struct thread *t)
{
	struct loop *l = t->loop;
	struct timespec ts;
	int r = 0;
	LOCK_SCOPE(&l->lock);

	idle_deadline(&ts);
	l->idle++;
	while (l->has_reader && !loop_ended(l) &&
	       !(r == ETIMEDOUT && l->idle > IDLE_MAX)) {
		if (r == ETIMEDOUT)
			idle_deadline(&ts);
		r = pthread_cond_timedwait(&l->follow, &l->lock, &ts);
	}
	l->idle--;
	if (loop_ended(l) || l->has_reader) {
		t->state = THREAD_ENDED;
		return false;
	}
	l->has_reader = true;
	t->reader = true;
	return true;
}

static void thread_may_block(void *arg);

static void *thread_run(void *arg)
{
	struct thread *t = arg;

	slice_shorten();
	fetch_set_blocking_hook(thread_may_block, t);
	while (thread_follow(t))
		thread_read(t);
	fetch_set_blocking_hook(NULL, NULL);
	free(steal_ptr(&t->buf));
	return NULL;
}

static struct thread *loop_free_thread(struct loop *l)
{
	unsigned i;

	for (i = 0; i < LOOP_THREADS_MAX; i++)
		if (l->threads[i].state != THREAD_RUNS)
			return &l->threads[i];
	return NULL;
}

/* With the lock held. Joining one that has ended does not wait: the lock is
 * the last thing it took. Signals are for the program's own threads, but a
 * thread's own fault is its own: where it is blocked, no handler sees it. */
static int loop_add_thread(struct loop *l)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE };
	struct thread *t = loop_free_thread(l);
	sigset_t all, saved;
	size_t i;
	int r;

	if (!t)
		return -EAGAIN;
	if (t->state == THREAD_ENDED) {
		pthread_join(t->id, NULL);
		t->state = THREAD_NONE;
	}
	t->buf = malloc(l->buf_size);
	if (!t->buf)
		return -ENOMEM;
	sigfillset(&all);
	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&all, faults[i]);
	pthread_sigmask(SIG_BLOCK, &all, &saved);
	r = pthread_create(&t->id, NULL, thread_run, t);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	if (r != 0) {
		free(steal_ptr(&t->buf));
		return -r;
	}
	t->state = THREAD_RUNS;
	return 0;
}

/* The hook of fetch_may_block(). Where no thread can be had, the reading
 * waits for the first one that finishes its request. */
static void thread_may_block(void *arg)
{
	struct thread *t = arg;
	struct loop *l = t->loop;

	if (!t->reader)
		return;
	LOCK_SCOPE(&l->lock);

	t->reader = false;
	l->has_reader = false;
	if (loop_ended(l))
		return;
	if (l->idle > 0)
		pthread_cond_signal(&l->follow);
	else
		(void)loop_add_thread(l);
}

static void loop_init_locks(struct loop *l)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->follow, &attr);
	pthread_cond_init(&l->end, NULL);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&l->lock, NULL);
}

static int loop_start_first(struct loop *l)
{
	LOCK_SCOPE(&l->lock);

	return loop_add_thread(l);
}

int loop_start(int fd, size_t buf_size, const struct loop_ops *ops, void *arg,
	       struct loop **ret_loop)
{
	struct loop *l = calloc(1, sizeof(*l));
	unsigned i;
	int r;

	if (!l)
		return -ENOMEM;
	l->ops = ops;
	l->arg = arg;
	l->fd = fd;
	l->buf_size = buf_size;
	for (i = 0; i < LOOP_THREADS_MAX; i++)
		l->threads[i].loop = l;
	loop_init_locks(l);
	l->cpus = pool_cpus();
	l->loadavg_fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = l->stop_fd < 0 ? -errno : loop_start_first(l);
	if (r < 0) {
		loop_free(l);
		return r;
	}
	*ret_loop = l;
	return 0;
}

/* Once the loop has ended no thread is added. */
static void loop_wait_end(struct loop *l)
{
	LOCK_SCOPE(&l->lock);

	while (!loop_ended(l))
		pthread_cond_wait(&l->end, &l->lock);
}

void loop_join(struct loop *l)
{
	unsigned i;

	loop_wait_end(l);
	for (i = 0; i < LOOP_THREADS_MAX; i++) {
		struct thread *t = &l->threads[i];

		if (thread_state_of(t) == THREAD_NONE)
			continue;
		pthread_join(t->id, NULL);
		t->state = THREAD_NONE;
	}
}

void loop_stop(struct loop *l)
{
	loop_end(l);
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	cleanup_close(&l->stop_fd);
	cleanup_close(&l->loadavg_fd);
	pthread_cond_destroy(&l->follow);
	pthread_cond_destroy(&l->end);
	pthread_mutex_destroy(&l->lock);
	free(l);
}
