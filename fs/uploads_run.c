/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread of the upload queue: which item is due, one upload, what becomes
 * of it; and what one upload lends to others, which is a chain with its secrets
 * for one attempt. An item belongs to the list; while it is uploaded
 * (`running`) only the thread removes it, so the thread uses its constant parts
 * without the lock.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/log.h"

#include "uploads_internal.h"

#define FIRST_PAUSE_NS INT64_C(5000000000)
#define MOST_PAUSE_NS INT64_C(600000000000)
#define ATTEMPTS_MAX 1000 /* about a week */

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
		ts = uploads_time(up->due_ns);
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
	char fault[TIERS_FAULT_MAX], owner[TIERS_OWNER_MAX];
	int r;

	if (up->chain || up->lent)
		return 0;
	r = tiers_get_kept(u->tiers, upload_owner(up->id, owner), up->tiers,
			   fault, &up->chain);
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
	remote.chain = up->lent ? up->lent : up->chain;
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

/* --- lending --- */

static bool has_secrets(const json_t *tiers, unsigned index)
{
	return json_object_get(json_array_get(tiers, index), "secrets");
}

/* Theirs may have been lost with a daemon. Those of another tenant or namespace
 * are nobody's to use. */
static bool may_use(const struct upload *other, const struct upload *up,
		    const json_t *tiers)
{
	return !other->running && other->attempts > 0 &&
	       other->chain != up->chain && other->lent != up->chain &&
	       has_secrets(tiers, other->index) &&
	       strcmp(other->entry.tenant, up->entry.tenant) == 0 &&
	       strcmp(other->entry.namespace, up->entry.namespace) == 0 &&
	       json_equal(other->tiers, up->tiers);
}

void uploads_lend(struct uploads *u, const struct upload *up,
		  const json_t *tiers)
{
	struct upload *other;

	TAILQ_FOREACH(other, &u->queue, all)
	{
		if (!may_use(other, up, tiers))
			continue;
		(void)upload_give_back(other);
		other->lent = chain_ref(up->chain);
		other->own_due_ns = other->due_ns;
		other->due_ns = 0;
	}
}

bool upload_give_back(struct upload *up)
{
	if (!up->lent)
		return false;
	chain_unref(steal_ptr(&up->lent));
	up->due_ns = up->own_due_ns;
	return true;
}

/* --- what became of one --- */

static bool is_over(const struct upload *up, int r)
{
	return r == 0 || up->hopeless || up->attempts >= ATTEMPTS_MAX;
}

/* What became of it, for those who wait. Under the lock. */
static void note_done(struct uploads *u, const struct upload *up, int r,
		      const struct remote_result *res, const char *why)
{
	struct upload_done *d = &u->done[u->done_count++ % UPLOADS_DONE_MAX];
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

/* Takes an item that is over out of the list; what is left is the caller's. An
 * attempt with what another has lent costs it nothing: its own is as before. */
static struct upload *finish(struct uploads *u, struct upload *up, int r,
			     const struct remote_result *res, const char *why)
{
	LOCK_SCOPE(&u->lock);
	bool lent;

	up->running = false;
	if (r == -ECANCELED && atomic_load(&u->stop))
		return NULL;
	lent = upload_give_back(up);
	if (r < 0 && lent && !up->hopeless)
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

/* --- the thread --- */

/* A daemon that stayed for the queue looks again whether it is idle. */
static void wake(struct uploads *u)
{
	uint64_t one = 1;

	if (write(u->wake_fd, &one, sizeof(one)) < 0)
		log_debug("nobody waits for the upload queue");
}

void *uploads_main(void *arg)
{
	struct uploads *u = arg;
	struct upload *up;

	while ((up = take_due(u))) {
		struct remote_result res = { 0 };
		char why[TIER_WHY_MAX] = "", owner[TIERS_OWNER_MAX];
		int r = upload(u, up, &res, why);

		up = finish(u, up, r, &res, why);
		if (!up) {
			wake(u);
			continue;
		}
		if (r < 0)
			say_given_up(up, why);
		upload_file_remove(u, up->id);
		tiers_forget(u->tiers, upload_owner(up->id, owner));
		upload_free(up);
		wake(u);
	}
	return NULL;
}
