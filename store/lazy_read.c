/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading chunks of lazy trees. A chunk that was read before and is here takes
 * no lock. One that has just come is still in memory, as it was decoded to be
 * compared with its digest. Any other is looked for on this machine first, in
 * the pack, then through the index, and compared with its digest; then it is
 * asked for, and the reader waits, with no lock held, until it has come, its
 * deadline has passed or it is interrupted. A failure that may pass is tried
 * again until the deadline.
 */
#include "lazy_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#define NS_PER_MS INT64_C(1000000)
#define RETRY_FIRST_NS (50 * NS_PER_MS)
#define RETRY_MAX_NS (2000 * NS_PER_MS)
#define LOOKS_MAX 8 /* at what has come, but is not there */

static _Thread_local struct lazy_served *served;

void lazy_set_served(struct lazy_served *s)
{
	served = s;
}

struct read {
	struct lazy_tree *lt;
	struct codec_ctx *ctx;
	uint32_t chunk;
	uint32_t size;
	const struct digest *digest;
	struct placement_loc loc;
	void *out;
	int64_t begun_ns, deadline_ns;
};

/* --- what is here --- */

/* The copy that the chunk's state speaks of. */
static int read_copy(const struct read *rd, unsigned flags)
{
	struct lazy_tree *lt = rd->lt;
	struct pack *p = atomic_load_explicit(&lt->packs[rd->loc.pack].reader,
					      memory_order_acquire);

	if (!p)
		p = atomic_load_explicit(&lt->tree->packs[rd->loc.pack],
					 memory_order_acquire);
	if (!p)
		return -ENOENT;
	return pack_read(p, rd->ctx, rd->loc.off, rd->loc.len, rd->loc.has_dict,
			 flags, rd->out, rd->size);
}

int lazy_check_chunk(const struct lazy_tree *lt, uint32_t chunk,
		     const void *data, uint32_t size)
{
	const struct digest *want;
	struct digest got;
	uint32_t want_size;
	int r = catalog_chunk(lt->tree->catalog, chunk, &want, &want_size);

	if (r < 0)
		return r;
	if (size != want_size)
		return -EBADMSG;
	r = digest_of(data, size, &got);
	if (r < 0)
		return r;
	return digest_equal(&got, want) ? 0 : -EBADMSG;
}

static void set_state(struct lazy_tree *lt, uint32_t chunk, uint8_t from,
		      uint8_t to)
{
	LOCK_SCOPE(&lt->lazy->lock);

	atomic_compare_exchange_strong(&lt->state[chunk], &from, to);
}

/* What was here is not any more. */
static void forget(const struct read *rd)
{
	struct sparse *sp = NULL;

	if (lazy_pack_open(rd->lt, rd->loc.pack, NULL, &sp) == 0 && sp)
		sparse_drop(sp, rd->loc.off);
	sparse_unref(sp);
	set_state(rd->lt, rd->chunk, LAZY_READY, LAZY_ABSENT);
	set_state(rd->lt, rd->chunk, LAZY_USED, LAZY_ABSENT);
}

/* From a pack of this tree, compared with the digest. */
static int read_unknown(const struct read *rd)
{
	uint32_t n = rd->loc.pack;
	struct sparse *sp = NULL;
	int r = lazy_pack_open(rd->lt, n, NULL, &sp);

	if (r < 0)
		return r;
	if (sp && !sparse_has(sp, rd->loc.off)) {
		sparse_unref(sp);
		return -ENOENT;
	}
	r = read_copy(rd, 0);
	if (r == 0)
		r = lazy_check_chunk(rd->lt, rd->chunk, rd->out, rd->size);
	if (r < 0 && sp)
		sparse_drop(sp, rd->loc.off);
	else if (r < 0)
		lazy_pack_distrust(rd->lt, n);
	sparse_unref(sp);
	return r;
}

static int read_here(const struct read *rd)
{
	int r = read_unknown(rd);

	if (r == 0) {
		set_state(rd->lt, rd->chunk, LAZY_ABSENT, LAZY_READY);
		lazy_touch(rd->lt, rd->chunk);
		return 0;
	}
	return store_read_indexed(rd->lt->tree->store, rd->ctx, rd->digest,
				  rd->out, rd->size);
}

/* --- what is not --- */

static struct lazy_job *job_of(struct lazy_tree *lt, uint32_t pos)
{
	struct lazy_job *job;

	TAILQ_FOREACH(job, &lt->jobs, of_tree)
	if (pos >= job->first && pos < job->end)
		return job;
	return NULL;
}

static void ask_record(struct lazy_tree *lt)
{
	if (lt->record_asked)
		return;
	lt->record_asked = true;
	lazy_submit(lt, LAZY_RECORD, LAZY_AHEAD, 0, 0, 0);
}

/* With the lock held. The request that brings the chunk, an old or a new one. */
static struct lazy_job *ask(struct lazy_tree *lt, uint32_t chunk, uint32_t pack)
{
	uint32_t pos = lt->rank[chunk], first, end;
	struct lazy_job *job = job_of(lt, pos);

	if (job) {
		lazy_promote(job, LAZY_WANTED);
		return job;
	}
	end = lazy_run_around(lt, pos, lazy_window(lt, pos), &first);
	job = lazy_submit(lt, LAZY_RANGE, LAZY_WANTED, pack, first, end);
	lazy_spread(lt, pos);
	ask_record(lt);
	return job;
}

static bool interrupted(void)
{
	const atomic_bool *flag = lazy_interrupt();

	return flag && atomic_load(flag);
}

static void want_unlink(struct lazy_tree *lt, const struct lazy_want *want)
{
	struct lazy_job *job;
	struct lazy_want **w;

	TAILQ_FOREACH(job, &lt->jobs, of_tree)
	for (w = &job->wants; *w; w = &(*w)->next)
		if (*w == want) {
			*w = want->next;
			return;
		}
}

/* With the lock held. */
static int want_wait(const struct read *rd, struct lazy_want *want)
{
	while (!want->done) {
		if (interrupted())
			return -EINTR;
		if (clock_mono_ns() >= rd->deadline_ns)
			return -ETIME;
		lazy_wait(rd->lt->lazy, &want->changed, rd->deadline_ns);
	}
	return want->err;
}

static void want_init(const struct read *rd, struct lazy_want *ret_want)
{
	pthread_condattr_t attr;

	*ret_want = (struct lazy_want){ .chunk = rd->chunk,
					.size = rd->size,
					.out = rd->out };
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&ret_want->changed, &attr);
	pthread_condattr_destroy(&attr);
}

static void note_tier(const char *name)
{
	if (!served || !name)
		return;
	served->remote = true;
	snprintf(served->tier, sizeof(served->tier), "%s", name);
}

/* 0: the bytes are in the reader's buffer. -EAGAIN: it has come, look. */
static int fetch_once(const struct read *rd)
{
	struct lazy_tree *lt = rd->lt;
	struct lazy_want want;
	struct lazy_job *job;
	int r;

	want_init(rd, &want);
	pthread_mutex_lock(&lt->lazy->lock);
	if (atomic_load(&lt->state[rd->chunk]) >= LAZY_READY) {
		r = -EAGAIN;
	} else if (!(job = ask(lt, rd->chunk, rd->loc.pack))) {
		r = -ENOMEM;
	} else {
		want.next = job->wants;
		job->wants = &want;
		r = want_wait(rd, &want);
		if (!want.done)
			want_unlink(lt, &want);
	}
	pthread_mutex_unlock(&lt->lazy->lock);
	pthread_cond_destroy(&want.changed);
	if (r == 0)
		note_tier(want.tier);
	return r;
}

/* Waits a while before the next try. */
static int rest(const struct read *rd, int64_t ns)
{
	static const struct timespec step = { 0, 10 * NS_PER_MS };
	int64_t until = clock_mono_ns() + ns;

	if (until > rd->deadline_ns)
		return -ETIME;
	while (clock_mono_ns() < until) {
		if (interrupted())
			return -EINTR;
		nanosleep(&step, NULL);
	}
	return 0;
}

static bool may_pass(int err)
{
	return err == -EIO || err == -ETIMEDOUT || err == -EACCES;
}

static int fetch(const struct read *rd)
{
	int64_t pause_ns = RETRY_FIRST_NS;
	unsigned looks = 0;
	int r;

	for (;;) {
		r = fetch_once(rd);
		if (r == -EAGAIN && looks++ < LOOKS_MAX) {
			r = read_here(rd);
			if (r == 0)
				return 0;
			continue;
		}
		if (!may_pass(r))
			return r;
		if (rest(rd, pause_ns) < 0)
			return interrupted() ? -EINTR : r;
		if (pause_ns < RETRY_MAX_NS)
			pause_ns *= 2;
	}
}

/* --- the whole of it --- */

static unsigned bucket_of(int64_t ns)
{
	uint64_t us = (uint64_t)ns / 1000;
	unsigned n = 0;

	while (us > 0 && n < LAZY_BUCKETS - 1) {
		us >>= 1;
		n++;
	}
	return n;
}

static void note_wait(const struct read *rd, int r)
{
	LOCK_SCOPE(&rd->lt->lazy->lock);
	struct lazy_stats *st = &rd->lt->stats;
	int64_t ns = clock_mono_ns() - rd->begun_ns;

	if (r == 0)
		rd->lt->said = false;
	st->reads_waited++;
	st->waits[bucket_of(ns)]++;
	st->waits_sum_us += (uint64_t)ns / 1000;
	if (served)
		served->waited_ns += (uint64_t)ns;
}

/* Once, until a read succeeds again. */
static bool say_now(struct lazy_tree *lt)
{
	LOCK_SCOPE(&lt->lazy->lock);
	bool now = !lt->said;

	lt->said = true;
	return now;
}

static int read_absent(struct read *rd)
{
	int r = read_here(rd);

	if (r == 0)
		return 0;
	rd->begun_ns = clock_mono_ns();
	rd->deadline_ns =
		rd->begun_ns + atomic_load(&rd->lt->deadline_ms) * NS_PER_MS;
	r = fetch(rd);
	note_wait(rd, r);
	if (r == 0) {
		lazy_touch_early(rd->lt, rd->chunk);
		return 0;
	}
	if (r == -EINTR || r == -ENOMEM)
		return r;
	if (say_now(rd->lt))
		store_say_damage(rd->lt->tree, rd->chunk, rd->digest, r,
				 "is not here and could not be fetched");
	return -EIO;
}

/* What has come and was not read yet. True where that is in the reader's
 * buffer. */
static bool read_kept(const struct read *rd)
{
	struct lazy_tree *lt = rd->lt;
	_cleanup_free_ struct lazy_kept *k = NULL;

	pthread_mutex_lock(&lt->lazy->lock);
	k = lazy_kept_take(lt->lazy, lt, rd->chunk);
	if (k) {
		lt->stats.reads_kept++;
		lazy_touch_locked(lt, rd->chunk);
	}
	pthread_mutex_unlock(&lt->lazy->lock);
	if (!k || k->size != rd->size)
		return false;
	memcpy(rd->out, k->data, k->size);
	return true;
}

int lazy_chunk_read(struct lazy_tree *lt, struct codec_ctx *ctx, uint32_t chunk,
		    unsigned flags, void *out)
{
	struct read rd = { .lt = lt, .ctx = ctx, .chunk = chunk, .out = out };
	uint8_t state;
	int r;

	r = catalog_chunk(lt->tree->catalog, chunk, &rd.digest, &rd.size);
	if (r == 0)
		r = placement_find(lt->tree->placement, chunk, &rd.loc);
	if (r < 0)
		return -EBADMSG;
	state = atomic_load_explicit(&lt->state[chunk], memory_order_acquire);
	if (state != LAZY_USED && read_kept(&rd))
		return 0;
	if (state >= LAZY_READY) {
		r = read_copy(&rd, flags);
		if (r == 0 && state == LAZY_READY)
			lazy_touch(lt, chunk);
		if (r == 0 || r == -EAGAIN || r == -ENOMEM)
			return r;
	}
	if (flags & PACK_READ_NOWAIT)
		return -EAGAIN;
	if (state >= LAZY_READY)
		forget(&rd);
	r = lazy_tree_prepare(lt);
	return r < 0 ? r : read_absent(&rd);
}
