/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a tier that fails: each kind of failure is said once, and
 * after CHAIN_BREAK_AFTER of them in a row the tier is left alone. A thread,
 * which begins when that happens first, asks it for an object that does not
 * exist, after a pause that doubles; any answer puts it back into use, and what
 * is said once may then be said again.
 *
 * A tier that refuses (-EACCES) or is full answers, and stays in use.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "chain_internal.h"

#define PROBE_PATH "v1/probe"
#define PROBE_TIMEOUT_NS INT64_C(10000000000)

static bool breaks(int err)
{
	return err == -EIO || err == -ETIMEDOUT || err == -EFBIG;
}

/* One bit for each meaning that tier.h gives a failure. */
static unsigned kind(int err)
{
	switch (err) {
	case -EACCES:
		return 1;
	case -ETIMEDOUT:
		return 2;
	case -EFBIG:
		return 4;
	case -ENOSPC:
		return 8;
	case -EOPNOTSUPP:
		return 16;
	default:
		return 32;
	}
}

#define KIND_DAMAGED 64u
#define KIND_UNTRUSTED 128u
#define KIND_EXPIRED 256u

static bool is_new(struct chain_tier *t, unsigned kinds)
{
	return !(atomic_fetch_or(&t->said, kinds) & kinds);
}

void chain_damaged(struct chain *c, unsigned i, const char *what)
{
	struct chain_tier *t = &c->tiers[i];

	atomic_fetch_add(&t->damaged, 1);
	if (is_new(t, KIND_DAMAGED))
		log_warn(0,
			 "tier %s: %s is damaged there and not used; further "
			 "ones are only counted",
			 t->name, what);
}

void chain_untrusted(struct chain *c, unsigned i, const char *what, int err)
{
	struct chain_tier *t = &c->tiers[i];
	bool expired = err == -EKEYEXPIRED;

	atomic_fetch_add(&t->untrusted, 1);
	if (is_new(t, expired ? KIND_EXPIRED : KIND_UNTRUSTED))
		log_warn(
			0,
			"tier %s: %s %s and is not used; further ones are only "
			"counted",
			t->name, what,
			expired ? "is older than what was here before" :
				  "has no valid signature of a trusted key");
}

/* --- probing --- */

/* Any answer will do. */
static bool answers(struct chain *c, struct chain_tier *t)
{
	struct tier_call call = {
		.deadline_ns = clock_mono_ns() + PROBE_TIMEOUT_NS,
		.cancelled = &c->ending,
		.background = true,
	};
	uint64_t size;
	int r = tier_head(t->tier, &call, PROBE_PATH, &size);

	return r == 0 || r == -ENOENT || r == -EACCES || r == -EOPNOTSUPP;
}

static void put_back(struct chain_tier *t)
{
	atomic_store(&t->failures_in_row, 0);
	atomic_store(&t->said, 0);
	atomic_store(&t->down, false);
	log_info("tier %s answers again", t->name);
}

/* The tier that is to be asked next; NULL: none is left alone. Under the
 * lock. */
static struct chain_tier *next_due(struct chain *c)
{
	struct chain_tier *first = NULL;

	for (unsigned i = 0; i < c->count; i++) {
		struct chain_tier *t = &c->tiers[i];

		if (atomic_load(&t->down) &&
		    (!first || t->probe_ns < first->probe_ns))
			first = t;
	}
	return first;
}

static void set_pause(struct chain *c, struct chain_tier *t, unsigned ms)
{
	unsigned most = atomic_load(&c->most_pause_ms);

	t->pause_ms = ms < most ? ms : most;
	t->probe_ns = clock_mono_ns() + t->pause_ms * INT64_C(1000000);
}

static void probe(struct chain *c, struct chain_tier *t)
{
	if (answers(c, t)) {
		put_back(t);
		return;
	}
	LOCK_SCOPE(&c->lock);
	set_pause(c, t, t->pause_ms * 2);
}

/* Waits until a tier is due; NULL: the chain ends. */
static struct chain_tier *wait_due(struct chain *c)
{
	LOCK_SCOPE(&c->lock);

	while (!atomic_load(&c->ending)) {
		struct chain_tier *t = next_due(c);
		struct timespec ts;

		if (!t) {
			pthread_cond_wait(&c->wake, &c->lock);
			continue;
		}
		if (clock_mono_ns() >= t->probe_ns)
			return t;
		ts.tv_sec = t->probe_ns / 1000000000;
		ts.tv_nsec = t->probe_ns % 1000000000;
		pthread_cond_timedwait(&c->wake, &c->lock, &ts);
	}
	return NULL;
}

static void *prober(void *arg)
{
	struct chain *c = arg;
	struct chain_tier *t;

	while ((t = wait_due(c)))
		probe(c, t);
	return NULL;
}

static void leave_alone(struct chain *c, struct chain_tier *t)
{
	LOCK_SCOPE(&c->lock);

	if (atomic_exchange(&t->down, true))
		return;
	set_pause(c, t, atomic_load(&c->first_pause_ms));
	/* Without a thread the tier stays out, and the build goes on. */
	if (!c->probing && !atomic_load(&c->ending))
		c->probing = pthread_create(&c->prober, NULL, prober, c) == 0;
	pthread_cond_signal(&c->wake);
	log_warn(0, "tier %s is left alone until it answers again", t->name);
}

void chain_stop_probing(struct chain *c)
{
	pthread_mutex_lock(&c->lock);
	atomic_store(&c->ending, true);
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
	if (c->probing)
		pthread_join(c->prober, NULL);
}

/* --- what came of a call --- */

void chain_note(struct chain *c, struct chain_tier *t, const char *what,
		const char *path, int err, const char *why)
{
	/* What a tier cannot do is no failure of it. */
	if (err == 0 || err == -ENOENT || err == -ECANCELED || err == -ENOMEM ||
	    err == -EINVAL || err == -EOPNOTSUPP) {
		if (err == 0 || err == -ENOENT)
			atomic_store(&t->failures_in_row, 0);
		return;
	}
	atomic_fetch_add(&t->failed, 1);
	if (is_new(t, kind(err)))
		log_warn(0,
			 "tier %s: %s %s: %s; further failures of this kind "
			 "are only counted",
			 t->name, what, path, *why ? why : strerror(-err));
	if (breaks(err) &&
	    atomic_fetch_add(&t->failures_in_row, 1) + 1 >= CHAIN_BREAK_AFTER)
		leave_alone(c, t);
}
