/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads that carry out requests of lazy trees, and their queues. Threads
 * are started when there is work for them, up to LAZY_THREADS, and end with the
 * store. What nobody waits for may take no more than some of them, so that a
 * reader's request begins at once; records and fills are asked for their next
 * request only when a thread has nothing better to do.
 */
#include "lazy_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#define WAIT_NS (INT64_C(100) * 1000000)

/* Threads that a priority and all below it may have. */
static const unsigned running_max[LAZY_PRIORITIES] = {
	[LAZY_WANTED] = LAZY_THREADS,
	[LAZY_AHEAD] = 6,
	[LAZY_LEARNT] = 6,
	[LAZY_FILL] = 3,
};

static _Thread_local struct {
	const atomic_bool *interrupted;
} reader;

static atomic_uint default_deadline_ms = LAZY_DEADLINE_MS;

void lazy_set_default_deadline(unsigned ms)
{
	atomic_store(&default_deadline_ms, ms);
}

unsigned lazy_default_deadline(void)
{
	return atomic_load(&default_deadline_ms);
}

void lazy_set_interrupt(const atomic_bool *interrupted)
{
	reader.interrupted = interrupted;
}

const atomic_bool *lazy_interrupt(void)
{
	return reader.interrupted;
}

struct lazy_source *lazy_source_ref(struct lazy_source *src)
{
	atomic_fetch_add(&src->refs, 1);
	return src;
}

void lazy_source_unref(struct lazy_source *src)
{
	if (src && atomic_fetch_sub(&src->refs, 1) == 1)
		src->ops->free(src);
}

void lazy_wait_until(struct lazy *l, pthread_cond_t *cond, int64_t until_ns)
{
	struct timespec ts = { until_ns / 1000000000, until_ns % 1000000000 };

	pthread_cond_timedwait(cond, &l->lock, &ts);
}

void lazy_wait(struct lazy *l, pthread_cond_t *cond, int64_t deadline_ns)
{
	int64_t until = clock_mono_ns() + WAIT_NS;

	lazy_wait_until(l, cond, until < deadline_ns ? until : deadline_ns);
}

/* --- the source --- */

int lazy_stream(struct lazy_tree *lt, const struct tier_call *call,
		const struct digest *pack, uint64_t off, uint32_t len,
		const struct chain_want *want)
{
	int r = lt->source->ops->get(lt->source, call, pack, off, len, want);

	if (r < 0)
		return r;
	LOCK_SCOPE(&lt->lazy->lock);
	lt->stats.fetched_bytes += len;
	return 0;
}

struct load {
	struct buf data;
	size_t want;
	int (*check)(void *arg, const void *data, size_t len);
	void *arg;
};

static int load_begin(void *arg)
{
	struct load *ld = arg;

	buf_reset(&ld->data);
	return 0;
}

static int load_data(void *arg, const void *data, size_t len)
{
	struct load *ld = arg;

	if (len > ld->want - ld->data.len)
		return -EBADMSG;
	buf_put(&ld->data, data, len);
	return buf_error(&ld->data);
}

static int load_check(void *arg)
{
	struct load *ld = arg;

	if (ld->data.len != ld->want)
		return -EBADMSG;
	return ld->check(ld->arg, ld->data.data, ld->data.len);
}

int lazy_load(struct lazy_tree *lt, const struct tier_call *call,
	      const struct digest *pack, uint64_t off, uint32_t len,
	      int (*check)(void *arg, const void *data, size_t len), void *arg)
{
	struct load ld = { .data = BUF_INIT,
			   .want = len,
			   .check = check,
			   .arg = arg };
	struct chain_want want = { .begin = load_begin,
				   .data = load_data,
				   .check = load_check,
				   .arg = &ld };
	int r = lazy_stream(lt, call, pack, off, len, &want);

	buf_release(&ld.data);
	return r;
}

/* --- queues --- */

static unsigned running_from(const struct lazy *l, enum lazy_priority prio)
{
	unsigned n = 0, p;

	for (p = prio; p < LAZY_PRIORITIES; p++)
		n += l->running[p];
	return n;
}

/* A tree that has more of this kind to ask for; it goes to the end of the list,
 * so that several get their turns. */
static bool make_work(struct lazy *l, enum lazy_priority prio)
{
	int64_t now = clock_mono_ns();
	struct lazy_tree *lt;

	TAILQ_FOREACH(lt, &l->trees, all)
	{
		if (atomic_load(&lt->cancelled) || lt->rest_until_ns > now)
			continue;
		if (prio == LAZY_LEARNT ? !lazy_next_learnt(lt) :
					  !lazy_next_fill(lt))
			continue;
		TAILQ_REMOVE(&l->trees, lt, all);
		TAILQ_INSERT_TAIL(&l->trees, lt, all);
		return true;
	}
	return false;
}

static struct lazy_job *pick(struct lazy *l)
{
	unsigned p;

	for (p = 0; p < LAZY_PRIORITIES; p++) {
		if (running_from(l, p) >= running_max[p])
			continue;
		/* A fill leaves the line, and what makes packs whole the
		 * processors, to readers and what is ahead of them. */
		if (p == LAZY_FILL &&
		    l->running[LAZY_WANTED] + l->running[LAZY_AHEAD] > 0)
			continue;
		if (TAILQ_EMPTY(&l->queues[p]) &&
		    (p < LAZY_LEARNT || !make_work(l, p)))
			continue;
		return TAILQ_FIRST(&l->queues[p]);
	}
	return NULL;
}

static void job_begin(struct lazy *l, struct lazy_job *job)
{
	TAILQ_REMOVE(&l->queues[job->prio], job, queued);
	job->running = true;
	l->running[job->prio]++;
	job->tree->running++;
	job->tree->stats.requests[job->prio] += job->kind == LAZY_RANGE;
}

/* --- threads --- */

static void *thread_run(void *arg);

/* Signals are for the program's own threads. */
static void add_thread(struct lazy *l)
{
	sigset_t all, saved;

	if (l->n_threads == LAZY_THREADS || l->stop)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &saved);
	if (pthread_create(&l->threads[l->n_threads], NULL, thread_run, l) == 0)
		l->n_threads++;
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
}

static void wake(struct lazy *l)
{
	if (l->idle == 0)
		add_thread(l);
	else
		pthread_cond_signal(&l->work);
}

void lazy_kick(struct lazy *l)
{
	wake(l);
}

/* Whether work was put off after a failure. */
static bool is_resting(const struct lazy *l)
{
	int64_t now = clock_mono_ns();
	const struct lazy_tree *lt;

	TAILQ_FOREACH(lt, &l->trees, all)
	if (lt->rest_until_ns > now)
		return true;
	return false;
}

/* With the lock held. Returns for no reason at times. */
static void wait_for_work(struct lazy *l)
{
	int64_t until = lazy_kept_until(l);

	if (until && clock_mono_ns() >= until)
		lazy_kept_expire(l);
	else if (is_resting(l))
		lazy_wait(l, &l->work, INT64_MAX);
	else if (until)
		lazy_wait_until(l, &l->work, until);
	else
		pthread_cond_wait(&l->work, &l->lock);
}

/* With the lock held. Waits for work; NULL at the end. */
static struct lazy_job *next_job(struct lazy *l)
{
	struct lazy_job *job;

	while (!(job = pick(l)) && !l->stop) {
		l->idle++;
		wait_for_work(l);
		l->idle--;
	}
	return job;
}

static void cleanup_room(struct lazy_room *room)
{
	codec_ctx_free(room->ctx);
	free(room->chunk);
}

static void thread_serve(struct lazy *l, struct lazy_room *room)
{
	struct lazy_job *job;

	pthread_mutex_lock(&l->lock);
	while ((job = next_job(l))) {
		int r;

		job_begin(l, job);
		/* There may be more than one can do. */
		if (pick(l))
			wake(l);
		pthread_mutex_unlock(&l->lock);
		r = lazy_job_run(job, room);
		pthread_mutex_lock(&l->lock);
		l->running[job->prio]--;
		lazy_job_end(job, r);
	}
	pthread_mutex_unlock(&l->lock);
}

static void *thread_run(void *arg)
{
	_cleanup_(cleanup_room) struct lazy_room room = { 0 };

	room.chunk = malloc(CHUNK_MAX);
	if (!room.chunk || codec_ctx_new(&room.ctx) < 0)
		log_error(-ENOMEM, "a thread that fetches chunks cannot start");
	else
		thread_serve(arg, &room);
	return NULL;
}

/* --- jobs --- */

static void job_enqueue(struct lazy *l, struct lazy_job *job)
{
	TAILQ_INSERT_TAIL(&l->queues[job->prio], job, queued);
}

struct lazy_job *lazy_submit(struct lazy_tree *lt, enum lazy_kind kind,
			     enum lazy_priority prio, uint32_t pack,
			     uint32_t first, uint32_t end)
{
	struct lazy_job *job = calloc(1, sizeof(*job));
	uint32_t pos;

	if (!job)
		return NULL;
	*job = (struct lazy_job){ .tree = lt,
				  .kind = kind,
				  .prio = prio,
				  .pack = pack,
				  .first = first,
				  .end = end };
	for (pos = first; pos < end; pos++)
		atomic_store(&lt->state[lt->order[pos]], LAZY_PENDING);
	TAILQ_INSERT_TAIL(&lt->jobs, job, of_tree);
	job_enqueue(lt->lazy, job);
	/* Those without a queue's push are asked for by a thread itself. */
	if (prio < LAZY_LEARNT)
		wake(lt->lazy);
	return job;
}

void lazy_promote(struct lazy_job *job, enum lazy_priority prio)
{
	struct lazy *l = job->tree->lazy;

	if (job->running || job->prio <= prio)
		return;
	TAILQ_REMOVE(&l->queues[job->prio], job, queued);
	job->prio = prio;
	job_enqueue(l, job);
	wake(l);
}

static void want_answer(struct lazy_want *w, int err)
{
	w->done = true;
	w->err = err;
	pthread_cond_signal(&w->changed);
}

void lazy_job_end(struct lazy_job *job, int r)
{
	struct lazy_tree *lt = job->tree;
	struct lazy_want *w, *next;
	uint32_t pos;

	for (pos = job->first; pos < job->end; pos++)
		if (atomic_load(&lt->state[lt->order[pos]]) < LAZY_READY)
			atomic_store(&lt->state[lt->order[pos]], LAZY_ABSENT);
	for (w = job->wants; w; w = next) {
		next = w->next;
		/* It came, but too late for who had just joined; or the job
		 * was for another part of it. */
		want_answer(w, r < 0 && atomic_load(&lt->state[w->chunk]) ==
						       LAZY_ABSENT ?
				       r :
				       -EAGAIN);
	}
	TAILQ_REMOVE(&lt->jobs, job, of_tree);
	if (job->running)
		lt->running--;
	free(job);
	pthread_cond_broadcast(&lt->lazy->changed);
}

void lazy_job_drop(struct lazy_job *job)
{
	TAILQ_REMOVE(&job->tree->lazy->queues[job->prio], job, queued);
	lazy_job_end(job, -ECANCELED);
}

/* --- the store's --- */

static void init_locks(struct lazy *l)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&l->files_lock, NULL);
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->work, &attr);
	pthread_cond_init(&l->changed, &attr);
	pthread_condattr_destroy(&attr);
}

int lazy_get(struct store *s, struct lazy **ret_lazy)
{
	LOCK_SCOPE(&s->lock);
	struct lazy *l = s->lazy;
	unsigned p;

	if (!l) {
		l = calloc(1, sizeof(*l));
		if (!l)
			return -ENOMEM;
		l->store = s;
		init_locks(l);
		TAILQ_INIT(&l->trees);
		TAILQ_INIT(&l->shelf.all);
		for (p = 0; p < LAZY_PRIORITIES; p++)
			TAILQ_INIT(&l->queues[p]);
		s->lazy = l;
	}
	*ret_lazy = l;
	return 0;
}

static void stop_threads(struct lazy *l)
{
	LOCK_SCOPE(&l->lock);

	l->stop = true;
	pthread_cond_broadcast(&l->work);
}

void lazy_free(struct lazy *l)
{
	unsigned i;

	if (!l)
		return;
	stop_threads(l);
	for (i = 0; i < l->n_threads; i++)
		pthread_join(l->threads[i], NULL);
	map_release(&l->files.heads);
	lazy_hints_release(l);
	pthread_cond_destroy(&l->work);
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
	pthread_mutex_destroy(&l->files_lock);
	free(l);
}
