/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue in memory: adding to it, and waiting for what becomes of it.
 * uploads_run.c has its thread, uploads_file.c what is on disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
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

#define BUSY_ATTEMPTS 3 /* a daemon that is idle waits for no more */
#define WAIT_STEP_NS INT64_C(100000000)

const char *upload_owner(uint64_t id, char ret_owner[TIERS_OWNER_MAX])
{
	snprintf(ret_owner, TIERS_OWNER_MAX, TIERS_OWNER_UPLOAD "%" PRIu64, id);
	return ret_owner;
}

void upload_free(struct upload *up)
{
	if (!up)
		return;
	chain_unref(up->chain);
	chain_unref(up->lent);
	entry_release(&up->entry);
	json_decref(up->tier);
	json_decref(up->tiers);
	free(up);
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
	for (unsigned n = 0; n < UPLOADS_DONE_MAX; n++)
		if (u->done[n].id == id)
			u->done[n].id = 0;
}

static void swap_places(struct upload *a, struct upload *b)
{
	const struct upload was = *a;

	a->tier = b->tier;
	a->tiers = b->tiers;
	a->chain = b->chain;
	a->index = b->index;
	b->tier = was.tier;
	b->tiers = was.tiers;
	b->chain = was.chain;
	b->index = was.index;
}

/* It may name other tiers beside the one that it is for, or in another order;
 * so all that goes with its chain changes hands, its file as well. Under the
 * lock. */
static void join(struct uploads *u, struct upload *other, struct upload *up)
{
	(void)upload_give_back(other);
	swap_places(other, up);
	upload_file_move(u, up->id, other->id);
	forget_done(u, other->id);
}

/* A tier's credentials may be here now; so it is tried at once. Takes `up`
 * where there is none yet. Under the lock. */
static uint64_t join_or_append(struct uploads *u, struct upload **up)
{
	struct upload *other = find_same(u, *up);

	if (other) {
		join(u, other, *up);
	} else {
		other = steal_ptr(up);
		TAILQ_INSERT_TAIL(&u->queue, other, all);
	}
	other->due_ns = 0;
	pthread_cond_broadcast(&u->changed);
	return other->id;
}

static int start_thread(struct uploads *u)
{
	if (!u->started &&
	    pthread_create(&u->thread, NULL, uploads_main, u) != 0)
		return -EAGAIN;
	u->started = true;
	return 0;
}

static void upload_cleanup(struct upload **up)
{
	upload_free(*up);
}

static void drop_own(struct uploads *u, const struct upload *up)
{
	char owner[TIERS_OWNER_MAX];

	upload_file_remove(u, up->id);
	tiers_forget(u->tiers, upload_owner(up->id, owner));
}

/* Its secrets are another's now, which may be over already: who ended that one
 * found nothing to forget then. */
static void keep_for(struct uploads *u, uint64_t id, const json_t *tiers)
{
	char owner[TIERS_OWNER_MAX];

	tiers_keep(u->tiers, upload_owner(id, owner), tiers);
	if (!uploads_has(u, id))
		tiers_forget(u->tiers, owner);
}

static int enqueue(struct uploads *u, struct upload **up, const json_t *tiers,
		   uint64_t *ret_id)
{
	LOCK_SCOPE(&u->lock);
	int r = start_thread(u);

	if (r < 0)
		return r;
	uploads_lend(u, *up, tiers);
	*ret_id = join_or_append(u, up);
	return 0;
}

int uploads_add(struct uploads *u, const struct entry *e, struct chain *c,
		unsigned i, const json_t *tiers, bool force, uint64_t *ret_id)
{
	_cleanup_(upload_cleanup) struct upload *up = NULL;
	char owner[TIERS_OWNER_MAX];
	int r = upload_new(u, e, tiers, i, force, &up);

	if (r < 0)
		return r;
	up->chain = chain_ref(c);
	*ret_id = up->id;
	tiers_keep(u->tiers, upload_owner(up->id, owner), tiers);
	r = upload_file_write(u, up);
	if (r == 0)
		r = enqueue(u, &up, tiers, ret_id);
	if (r == 0 && up)
		keep_for(u, *ret_id, tiers);
	if (up)
		drop_own(u, up);
	return r;
}

/* --- waiting --- */

static const struct upload_done *find_done(const struct uploads *u, uint64_t id)
{
	for (unsigned n = 0; n < UPLOADS_DONE_MAX; n++)
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
		ts = uploads_time(clock_mono_ns() + WAIT_STEP_NS);
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

bool uploads_has(struct uploads *u, uint64_t id)
{
	LOCK_SCOPE(&u->lock);
	struct upload *up;

	TAILQ_FOREACH(up, &u->queue, all)
	{
		if (up->id == id)
			return true;
	}
	return false;
}

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
	u->done = calloc(UPLOADS_DONE_MAX, sizeof(*u->done));
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
