/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue in memory and its thread; uploads_file.c has what is on disk. An
 * item belongs to the list; while it is uploaded (`running`) only the thread
 * removes it, so the thread uses its constant parts without the lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/io.h"
#include "store/base/log.h"

#include "uploads_internal.h"

#define FIRST_PAUSE_NS INT64_C(5000000000)
#define MOST_PAUSE_NS INT64_C(600000000000)
#define BUSY_ATTEMPTS 3	  /* a daemon that is idle waits for no more */
#define ATTEMPTS_MAX 1000 /* about a week */
#define WAIT_STEP_NS INT64_C(100000000)
#define DONE_MAX 256 /* results kept for those who wait */

static void set_timeout(struct timespec *ts, int64_t ns)
{
	ts->tv_sec = ns / 1000000000;
	ts->tv_nsec = ns % 1000000000;
}

void upload_free(struct upload *up)
{
	if (!up)
		return;
	chain_unref(up->chain);
	entry_release(&up->entry);
	json_decref(up->tier);
	json_decref(up->tiers);
	free(up);
}

/* --- the thread --- */

/* The item that is due next. Under the lock. */
static struct upload *next_due(struct uploads *u)
{
	struct upload *up, *first = NULL;

	TAILQ_FOREACH(up, &u->queue, all)
	{
		if (!first || up->due_ns < first->due_ns)
			first = up;
	}
	return first;
}

static struct upload *take_due(struct uploads *u)
{
	LOCK_SCOPE(&u->lock);

	while (!atomic_load(&u->stop)) {
		struct upload *up = next_due(u);
		struct timespec ts;

		if (!up) {
			pthread_cond_wait(&u->changed, &u->lock);
			continue;
		}
		if (clock_mono_ns() >= up->due_ns) {
			up->running = true;
			return up;
		}
		set_timeout(&ts, up->due_ns);
		pthread_cond_timedwait(&u->changed, &u->lock, &ts);
	}
	return NULL;
}

static int report(void *arg, const char *phase, uint64_t done_files,
		  uint64_t all_files, uint64_t done_bytes, uint64_t all_bytes)
{
	struct upload *up = arg;
	LOCK_SCOPE(&up->uploads->lock);

	(void)phase, (void)all_bytes;
	up->packs = done_files;
	up->all_packs = all_files;
	up->bytes = done_bytes;
	return atomic_load(&up->uploads->stop) ? -ECANCELED : 0;
}

/* A chain for an item that an earlier daemon left. */
static int find_chain(struct uploads *u, struct upload *up, char *why)
{
	char fault[TIERS_FAULT_MAX];
	int r;

	if (up->chain)
		return 0;
	r = tiers_get_kept(u->tiers, up->tiers, fault, &up->chain);
	if (r < 0)
		snprintf(why, TIER_WHY_MAX, "%.*s", TIER_WHY_MAX - 1, fault);
	return r;
}

static int upload(struct uploads *u, struct upload *up,
		  struct remote_result *res, char *why)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct progress progress = { .report = report, .arg = up };
	struct remote remote = {
		.store = u->store,
		.tenant = up->entry.tenant,
		.namespace = up->entry.namespace,
		.progress = &progress,
		.cancelled = &u->stop,
		.background = true,
		.why = why,
	};
	int r = find_chain(u, up, why);

	if (r < 0)
		return r;
	remote.chain = up->chain;
	r = index_get_entry(store_index(u->store), up->entry.tenant,
			    up->entry.namespace, up->entry.name, up->entry.key,
			    &e);
	if (r < 0) {
		up->hopeless = true;
		snprintf(why, TIER_WHY_MAX, "the entry is gone");
		return r;
	}
	return remote_push(&remote, up->index, &e, up->force, res);
}

static bool is_over(const struct upload *up, int r)
{
	return r == 0 || up->hopeless || up->attempts >= ATTEMPTS_MAX;
}

/* What became of it, for those who wait. Under the lock. */
static void note_done(struct uploads *u, const struct upload *up, int r,
		      const struct remote_result *res, const char *why)
{
	struct upload_done *d = &u->done[u->done_count++ % DONE_MAX];
	struct upload_outcome *o = &d->outcome;

	*d = (struct upload_done){ .id = up->id, .err = r };
	o->result = *res;
	o->given_up = r < 0 && is_over(up, r);
	snprintf(o->why, sizeof(o->why), "%s", *why ? why : strerror(-r));
}

static void put_off(struct upload *up, int r, const char *why)
{
	int64_t pause = FIRST_PAUSE_NS;

	for (unsigned n = 0; n < up->attempts && pause < MOST_PAUSE_NS; n++)
		pause *= 2;
	up->attempts++;
	up->due_ns = clock_mono_ns() + pause;
	snprintf(up->why, sizeof(up->why), "%s", *why ? why : strerror(-r));
}

static void say_given_up(const struct upload *up, const char *why)
{
	log_warn(0, "%s@%s is not uploaded to %s: %s", up->entry.name,
		 up->entry.key, chain_name_of(up), why);
}

/* Takes an item that is over out of the list; what is left is the caller's. */
static struct upload *finish(struct uploads *u, struct upload *up, int r,
			     const struct remote_result *res, const char *why)
{
	LOCK_SCOPE(&u->lock);

	up->running = false;
	if (r == -ECANCELED && atomic_load(&u->stop))
		return NULL;
	if (r < 0)
		put_off(up, r, why);
	note_done(u, up, r, res, why);
	pthread_cond_broadcast(&u->changed);
	if (!is_over(up, r))
		return NULL;
	TAILQ_REMOVE(&u->queue, up, all);
	return up;
}

/* A daemon that stayed for the queue looks again whether it is idle. */
static void wake(struct uploads *u)
{
	uint64_t one = 1;

	if (write(u->wake_fd, &one, sizeof(one)) < 0)
		log_debug("nobody waits for the upload queue");
}

static void *uploader(void *arg)
{
	struct uploads *u = arg;
	struct upload *up;

	while ((up = take_due(u))) {
		struct remote_result res = { 0 };
		char why[TIER_WHY_MAX] = "";
		int r = upload(u, up, &res, why);

		up = finish(u, up, r, &res, why);
		if (!up) {
			wake(u);
			continue;
		}
		if (r < 0)
			say_given_up(up, why);
		upload_file_remove(u, up->id);
		upload_free(up);
		wake(u);
	}
	return NULL;
}

/* --- adding --- */

/* The one that waits for the same. Under the lock. */
static struct upload *find_same(struct uploads *u, const struct upload *up)
{
	struct upload *other;

	TAILQ_FOREACH(other, &u->queue, all)
	{
		if (!other->running && other->force == up->force &&
		    strcmp(other->entry.tenant, up->entry.tenant) == 0 &&
		    strcmp(other->entry.namespace, up->entry.namespace) == 0 &&
		    strcmp(other->entry.name, up->entry.name) == 0 &&
		    strcmp(other->entry.key, up->entry.key) == 0 &&
		    upload_same_place(other->tier, up->tier))
			return other;
	}
	return NULL;
}

/* An earlier attempt is not the one that is waited for. Under the lock. */
static void forget_done(struct uploads *u, uint64_t id)
{
	for (unsigned n = 0; n < DONE_MAX; n++)
		if (u->done[n].id == id)
			u->done[n].id = 0;
}

static bool has_secrets(const json_t *tiers, unsigned index)
{
	return json_object_get(json_array_get(tiers, index), "secrets");
}

/* The secrets that came with one serve all of its tenant and namespace that failed
 * on their way to the same tiers: theirs may have been lost with a process. Each
 * that goes to a tier which has some in `tiers`. Under the lock. */
static void share_chain(struct uploads *u, const struct upload *up,
			const json_t *tiers)
{
	struct upload *other;

	TAILQ_FOREACH(other, &u->queue, all)
	{
		if (other->running || other->attempts == 0 ||
		    other->chain == up->chain ||
		    !has_secrets(tiers, other->index) ||
		    strcmp(other->entry.tenant, up->entry.tenant) != 0 ||
		    strcmp(other->entry.namespace, up->entry.namespace) != 0 ||
		    !json_equal(other->tiers, up->tiers))
			continue;
		chain_unref(other->chain);
		other->chain = chain_ref(up->chain);
		other->due_ns = 0;
	}
}

/* A tier's credentials may be here now; so it is tried at once. Takes `up`
 * where there is none yet. Under the lock. */
static uint64_t join_or_append(struct uploads *u, struct upload **up)
{
	struct upload *other = find_same(u, *up);

	if (!other) {
		other = steal_ptr(up);
		TAILQ_INSERT_TAIL(&u->queue, other, all);
	} else {
		chain_unref(other->chain);
		other->chain = chain_ref((*up)->chain);
		other->index = (*up)->index;
		forget_done(u, other->id);
	}
	other->due_ns = 0;
	pthread_cond_broadcast(&u->changed);
	return other->id;
}

static int start_thread(struct uploads *u)
{
	if (!u->started && pthread_create(&u->thread, NULL, uploader, u) != 0)
		return -EAGAIN;
	u->started = true;
	return 0;
}

static void upload_cleanup(struct upload **up)
{
	upload_free(*up);
}

int uploads_add(struct uploads *u, const struct entry *e, struct chain *c,
		unsigned i, const json_t *tiers, bool force, uint64_t *ret_id)
{
	_cleanup_(upload_cleanup) struct upload *up = NULL;
	uint64_t id, own;
	int r = upload_new(u, e, tiers, i, force, &up);

	if (r < 0)
		return r;
	up->chain = chain_ref(c);
	own = up->id;
	r = upload_file_write(u, up);
	if (r < 0)
		return r;
	pthread_mutex_lock(&u->lock);
	r = start_thread(u);
	share_chain(u, up, tiers);
	id = r == 0 ? join_or_append(u, &up) : own;
	pthread_mutex_unlock(&u->lock);
	if (up)
		upload_file_remove(u, own);
	*ret_id = id;
	return r;
}

/* --- waiting --- */

static const struct upload_done *find_done(const struct uploads *u, uint64_t id)
{
	for (unsigned n = 0; n < DONE_MAX; n++)
		if (u->done[n].id == id)
			return &u->done[n];
	return NULL;
}

/* Waits a while. 1: it is done, or has failed. */
static int wait_step(struct uploads *u, uint64_t id, struct upload_done *now)
{
	LOCK_SCOPE(&u->lock);
	const struct upload_done *d = find_done(u, id);
	struct timespec ts;
	struct upload *up;

	if (!d) {
		set_timeout(&ts, clock_mono_ns() + WAIT_STEP_NS);
		pthread_cond_timedwait(&u->changed, &u->lock, &ts);
		d = find_done(u, id);
	}
	if (d) {
		*now = *d;
		return 1;
	}
	TAILQ_FOREACH(up, &u->queue, all)
	{
		if (up->id != id)
			continue;
		now->outcome.result.packs_moved = up->packs;
		now->outcome.result.packs = up->all_packs;
		now->outcome.result.bytes_moved = up->bytes;
	}
	return 0;
}

int uploads_wait(struct uploads *u, uint64_t id,
		 int (*each)(void *arg, uint64_t packs, uint64_t all_packs,
			     uint64_t bytes),
		 void *arg, struct upload_outcome *ret_outcome)
{
	struct upload_done now = { 0 };
	const struct remote_result *res = &now.outcome.result;

	while (!wait_step(u, id, &now)) {
		int r = atomic_load(&u->stop) ?
				-ECANCELED :
				each(arg, res->packs_moved, res->packs,
				     res->bytes_moved);

		if (r < 0)
			return r;
	}
	*ret_outcome = now.outcome;
	return now.err;
}

/* --- what there is --- */

static json_t *upload_json(const struct upload *up)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:i, s:I, s:s?}",
			 "tenant", up->entry.tenant, "namespace",
			 up->entry.namespace, "name", up->entry.name, "key",
			 up->entry.key, "tier", chain_name_of(up), "running",
			 up->running, "attempts", (int)up->attempts, "bytes",
			 (json_int_t)up->bytes, "error",
			 up->attempts ? up->why : NULL);
}

json_t *uploads_json(struct uploads *u)
{
	LOCK_SCOPE(&u->lock);
	json_t *list = json_array();
	struct upload *up;

	TAILQ_FOREACH(up, &u->queue, all)
	{
		json_array_append_new(list, upload_json(up));
	}
	return list;
}

bool uploads_are_busy(struct uploads *u)
{
	LOCK_SCOPE(&u->lock);
	struct upload *up;

	TAILQ_FOREACH(up, &u->queue, all)
	{
		if (up->running || up->attempts < BUSY_ATTEMPTS)
			return true;
	}
	return false;
}

/* --- begin and end --- */

int uploads_new(struct store *s, struct tiers *t, const char *state_dir,
		int wake_fd, struct uploads **ret_uploads)
{
	struct uploads *u = calloc(1, sizeof(*u));
	pthread_condattr_t attr;
	int r;

	if (!u)
		return -ENOMEM;
	u->store = s;
	u->tiers = t;
	u->wake_fd = wake_fd;
	u->dirfd = -1;
	u->done = calloc(DONE_MAX, sizeof(*u->done));
	TAILQ_INIT(&u->queue);
	pthread_mutex_init(&u->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&u->changed, &attr);
	pthread_condattr_destroy(&attr);
	r = u->done ? upload_files_read(u, state_dir) : -ENOMEM;
	if (r == 0 && !TAILQ_EMPTY(&u->queue))
		r = start_thread(u);
	if (r < 0) {
		uploads_free(u);
		return r;
	}
	*ret_uploads = u;
	return 0;
}

void uploads_free(struct uploads *u)
{
	struct upload *up;

	if (!u)
		return;
	pthread_mutex_lock(&u->lock);
	atomic_store(&u->stop, true);
	pthread_cond_broadcast(&u->changed);
	pthread_mutex_unlock(&u->lock);
	if (u->started)
		pthread_join(u->thread, NULL);
	while ((up = TAILQ_FIRST(&u->queue))) {
		TAILQ_REMOVE(&u->queue, up, all);
		upload_free(up);
	}
	cleanup_close(&u->dirfd);
	pthread_cond_destroy(&u->changed);
	pthread_mutex_destroy(&u->lock);
	free(u->done);
	free(u);
}
