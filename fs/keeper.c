/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper's thread, and collections on others. One collection at a time;
 * who comes second waits. No lock is held during one.
 */
#include "keeper.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/log.h"
#include "store/lazy.h"
#include "store/seen.h"

#define SECOND_NS INT64_C(1000000000)
#define LOOK_NS (30 * SECOND_NS)  /* other programs fill disks, too */
#define QUIET_NS (5 * SECOND_NS)  /* without requests: idle */
#define AGAIN_NS (60 * SECOND_NS) /* after one that did not help */
#define SOON_NS (5 * SECOND_NS)	  /* the same, and the store has grown since */
#define REPACK_QUIET_NS (60 * SECOND_NS)  /* it takes a processor for long */
#define REPACK_AGAIN_NS (600 * SECOND_NS) /* what was open may be closed */
#define DAY_NS (INT64_C(86400) * SECOND_NS)
#define REST_AGAIN_NS (5 * SECOND_NS)	 /* folding that failed, at first */
#define REST_PAUSE_NS (3600 * SECOND_NS) /* and at most: it doubles */
#define NICEST 19

/* ioprio_set(2) has no wrapper: this thread, the idle class. */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_IDLE (3 << 13)

struct keeper {
	struct store *store; /* constant, as the next two */
	struct mounts *mounts;
	struct keeper_limits limits;

	pthread_mutex_t lock;	/* guards all below */
	pthread_cond_t changed; /* monotonic */
	pthread_t thread;
	bool started, stopping;
	struct store_growth growth; /* constant */
	bool collecting;
	unsigned waiting;    /* who want to collect */
	bool grown, removed; /* since the thread looked */
	bool rests;	     /* something may, since it folded */
	int64_t rest_ns;     /* not before, where folding has failed */
	int64_t rest_pause_ns;
	bool packs;	     /* some may be compressed better */
	int64_t repack_ns;   /* not before */
	int64_t repacked_ns; /* since when it does so */
	int64_t request_ns;  /* the last one, monotonic */
	int64_t again_ns;    /* not before, where the last did not help */
	int64_t soon_ns;     /* the same where the store has grown since */
};

/* ---- collecting */

static uint64_t size_bytes(const struct keeper_size *size, uint64_t disk_bytes)
{
	return size->percent ? disk_bytes / 100 * size->percent : size->bytes;
}

static int limits_now(struct keeper *k, struct gc_limits *ret_limits)
{
	const struct gc_limits none = { 0 };
	const struct keeper_limits *l = &k->limits;
	struct gc_usage u;
	int r = gc_usage(k->store, &none, &u);

	if (r < 0)
		return r;
	*ret_limits = (struct gc_limits){
		.max_bytes = size_bytes(&l->max_size, u.disk_bytes),
		.max_objects = l->max_objects,
		.min_free_bytes = size_bytes(&l->min_free, u.disk_bytes),
	};
	return 0;
}

int keeper_usage(struct keeper *k, struct gc_usage *ret_usage)
{
	struct gc_limits limits;
	int r = limits_now(k, &limits);

	return r < 0 ? r : gc_usage(k->store, &limits, ret_usage);
}

struct collection {
	struct keeper *keeper;
	void (*removed)(void *arg, const struct entry *e, int64_t used_ns,
			enum gc_reason reason);
	void *arg;
};

static int holds(void *arg,
		 int (*each)(void *each_arg, const struct digest *catalog),
		 void *each_arg)
{
	const struct collection *c = arg;

	return mounts_each_tree(c->keeper->mounts, each, each_arg);
}

static void tell_removed(void *arg, const struct entry *e, int64_t used_ns,
			 enum gc_reason reason)
{
	const struct collection *c = arg;

	if (c->removed)
		c->removed(c->arg, e, used_ns, reason);
}

static int begin(struct keeper *k)
{
	LOCK_SCOPE(&k->lock);

	k->waiting++;
	while (k->collecting && !k->stopping)
		pthread_cond_wait(&k->changed, &k->lock);
	k->waiting--;
	if (k->stopping)
		return -ECANCELED;
	k->collecting = true;
	return 0;
}

static void end(struct keeper *k)
{
	LOCK_SCOPE(&k->lock);

	k->collecting = false;
	pthread_cond_broadcast(&k->changed);
}

struct tidying {
	struct keeper *keeper;
	struct progress *progress;
	int r; /* why it is not to go on */
};

static bool is_to_stop(void *arg)
{
	struct tidying *t = arg;

	if (t->r == 0)
		t->r = progress_tick(t->progress, "caches", 0, 0, 0, 0);
	if (t->r == 0) {
		LOCK_SCOPE(&t->keeper->lock);

		t->r = t->keeper->stopping ? -ECANCELED : 0;
	}
	return t->r < 0;
}

/* What only the kernel's caches hold would be kept by a collection. Where the
 * store is over its limits, also of entries that are there. */
static int release_unused(struct keeper *k, struct progress *progress)
{
	struct tidying t = { k, progress, 0 };
	struct gc_usage u;
	bool over = keeper_usage(k, &u) == 0 && u.over;

	(void)mounts_tidy(k->mounts, over ? k->limits.grace_ns : INT64_MAX,
			  true, is_to_stop, &t);
	return t.r;
}

int keeper_collect(struct keeper *k, bool dry_run, struct progress *progress,
		   void (*removed)(void *arg, const struct entry *e,
				   int64_t used_ns, enum gc_reason reason),
		   void *arg, struct gc_result *ret_result)
{
	struct collection c = { k, removed, arg };
	struct gc_options o = {
		.grace_ns = k->limits.grace_ns,
		.dry_run = dry_run,
		.holds = holds,
		.removed = tell_removed,
		.arg = &c,
	};
	int r = begin(k);

	if (r < 0)
		return r;
	if (!dry_run)
		r = release_unused(k, progress);
	if (r == 0)
		r = limits_now(k, &o.limits);
	if (r == 0)
		r = gc_run(k->store, &o, progress, ret_result);
	end(k);
	return r;
}

int keeper_rest(struct keeper *k, const struct rest_options *options,
		struct progress *progress, struct rest_result *ret_result)
{
	int r = begin(k);

	if (r < 0)
		return r;
	r = rest_run(k->store, options, progress, ret_result);
	end(k);
	return r;
}

int keeper_repack(struct keeper *k, struct progress *progress,
		  struct repack_result *ret_result)
{
	struct collection c = { .keeper = k };
	const struct repack_options o = { .holds = holds, .arg = &c };
	int r = begin(k);

	if (r < 0)
		return r;
	r = repack_run(k->store, &o, progress, ret_result);
	end(k);
	return r;
}

int keeper_verify(struct keeper *k, const struct verify_options *options,
		  struct progress *progress, struct verify_result *ret_result)
{
	int r = begin(k);

	if (r < 0)
		return r;
	r = verify_run(k->store, options, progress, ret_result);
	end(k);
	return r;
}

/* ---- the thread */

static void say_removed(void *arg, const struct entry *e, int64_t used_ns,
			enum gc_reason reason)
{
	(void)arg;
	(void)used_ns;
	log_info("collection: %s@%s removed: %s", e->name, e->key,
		 reason == GC_UNREADABLE ? "it cannot be read" :
					   "others were used since");
}

static int is_stopping(void *arg, const char *phase, uint64_t done_files,
		       uint64_t all_files, uint64_t done_bytes,
		       uint64_t all_bytes)
{
	struct keeper *k = arg;
	LOCK_SCOPE(&k->lock);

	(void)phase;
	(void)done_files;
	(void)all_files;
	(void)done_bytes;
	(void)all_bytes;
	return k->stopping ? -ECANCELED : 0;
}

/* What is being stored meanwhile is there, but cannot be removed: the store may
 * be over its limits until the next time. With the lock. */
static void note_result(struct keeper *k, int r, const struct gc_result *res)
{
	int64_t now = clock_mono_ns();

	if (!res->after.over)
		return;
	k->again_ns = k->soon_ns = now + AGAIN_NS;
	if (r < 0)
		return;
	k->soon_ns = now + SOON_NS;
	k->grown |= res->removed_entries > 0;
	if (k->grown)
		k->again_ns = k->soon_ns;
}

static void collect(struct keeper *k)
{
	struct progress p = { .report = is_stopping, .arg = k };
	struct gc_result res = { .after = { .over = true } };
	int r = keeper_collect(k, false, &p, say_removed, NULL, &res);
	LOCK_SCOPE(&k->lock);

	if (r == -ECANCELED)
		return;
	if (r < 0)
		log_warn(r, "collection: broken off");
	else if (res.removed_packs > 0 || res.removed_entries > 0)
		log_info(
			"collection: %llu of %llu entries removed, %llu MiB "
			"given back",
			(unsigned long long)res.removed_entries,
			(unsigned long long)res.entries,
			(unsigned long long)(res.before.bytes -
					     (res.after.bytes <
							      res.before.bytes ?
						      res.after.bytes :
						      res.before.bytes)) >>
				20);
	note_result(k, r, &res);
}

/* What has failed once may do so for long, as where there is no room. */
static void note_rest(struct keeper *k, int r)
{
	LOCK_SCOPE(&k->lock);
	int64_t pause = 2 * k->rest_pause_ns;

	if (r == 0) {
		k->rest_ns = k->rest_pause_ns = 0;
		return;
	}
	k->rests = true;
	k->rest_pause_ns = pause == 0		 ? REST_AGAIN_NS :
			   pause < REST_PAUSE_NS ? pause :
						   REST_PAUSE_NS;
	k->rest_ns = clock_mono_ns() + k->rest_pause_ns;
}

static void rest(struct keeper *k)
{
	struct progress p = { .report = is_stopping, .arg = k };
	const struct rest_options o = {
		.unused_since_ns = clock_wall_ns() - DAY_NS,
	};
	struct rest_result res = { 0 };
	int r = keeper_rest(k, &o, &p, &res);

	note_rest(k, r);
	if (r < 0 && r != -ECANCELED)
		log_warn(r, "folding what rests: broken off");
	else if (r == 0 && res.catalogs > 0)
		log_info("%llu catalogs of older versions folded, %llu of "
			 "%llu KiB given back",
			 (unsigned long long)res.catalogs,
			 (unsigned long long)(res.before_bytes -
					      res.after_bytes) >>
				 10,
			 (unsigned long long)res.before_bytes >> 10);
}

/* Somebody asks for something, or waits for this to end. */
static int is_wanted(void *arg, const char *phase, uint64_t done_files,
		     uint64_t all_files, uint64_t done_bytes,
		     uint64_t all_bytes)
{
	struct keeper *k = arg;
	LOCK_SCOPE(&k->lock);

	(void)phase;
	(void)done_files;
	(void)all_files;
	(void)done_bytes;
	(void)all_bytes;
	return k->stopping || k->waiting > 0 || k->request_ns > k->repacked_ns ?
		       -ECANCELED :
		       0;
}

static bool repack_is_due(struct keeper *k)
{
	int64_t now = clock_mono_ns();
	LOCK_SCOPE(&k->lock);

	if (!k->limits.repack || !k->packs || now < k->repack_ns ||
	    now - k->request_ns < REPACK_QUIET_NS)
		return false;
	k->packs = false;
	k->repacked_ns = now;
	return true;
}

/* The old packs are garbage then, and placements are plain again. */
static void repack(struct keeper *k)
{
	struct progress p = { .report = is_wanted, .arg = k };
	struct repack_result res = { 0 };
	int r = keeper_repack(k, &p, &res);
	LOCK_SCOPE(&k->lock);

	if (r < 0 && r != -ECANCELED)
		log_warn(r, "compressing packs better: broken off");
	if (res.packs > 0)
		log_info("%llu packs compressed better: %llu MiB are %llu now",
			 (unsigned long long)res.packs,
			 (unsigned long long)res.before_bytes >> 20,
			 (unsigned long long)res.after_bytes >> 20);
	if (res.packs > 0)
		k->removed = k->rests = true;
	k->packs |= r < 0 || res.in_use > 0;
	k->repack_ns = clock_mono_ns() + REPACK_AGAIN_NS;
}

static bool is_over(struct keeper *k)
{
	struct gc_usage u;

	return keeper_usage(k, &u) == 0 && u.over;
}

/* Once a day, with the collection. */
static void forget_seen(struct keeper *k)
{
	int r = seen_prune(store_index(k->store));

	if (r < 0)
		log_warn(r, "forgetting which entries were here long ago");
}

static bool is_due(struct keeper *k)
{
	int64_t then;
	int r = index_get_collected(store_index(k->store), &then);

	return r == -ENOENT || (r == 0 && clock_wall_ns() - then > DAY_NS);
}

/* Waits for something to look at; false at the end. *ret_idle: nobody asks for
 * anything. */
static bool wait_for_work(struct keeper *k, bool *ret_idle)
{
	int64_t look = clock_mono_ns() + LOOK_NS;
	LOCK_SCOPE(&k->lock);

	while (!k->stopping) {
		int64_t now = clock_mono_ns(), wake = look;
		int64_t quiet = k->request_ns + QUIET_NS;
		bool later = k->removed || (k->rests && now >= k->rest_ns);
		bool due = k->grown || now >= look || (later && now >= quiet);
		struct timespec ts;

		*ret_idle = now >= quiet;
		if (due && now >= k->again_ns) {
			k->grown = false;
			return true;
		}
		if (due)
			wake = k->again_ns;
		else if (later && quiet < look)
			wake = quiet;
		else if (k->rests && now < k->rest_ns && k->rest_ns < look)
			wake = k->rest_ns;
		ts = (struct timespec){ wake / SECOND_NS, wake % SECOND_NS };
		pthread_cond_timedwait(&k->changed, &k->lock, &ts);
	}
	return false;
}

static bool take_rests(struct keeper *k)
{
	LOCK_SCOPE(&k->lock);
	bool due = k->rests && clock_mono_ns() >= k->rest_ns;

	if (due)
		k->rests = false;
	return due;
}

static bool take(struct keeper *k, bool *flag)
{
	LOCK_SCOPE(&k->lock);
	bool was = *flag;

	*flag = false;
	return was;
}

static void *keeper_main(void *arg)
{
	struct keeper *k = arg;
	bool idle = false;

	setpriority(PRIO_PROCESS, (id_t)gettid(), NICEST);
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
	while (wait_for_work(k, &idle)) {
		bool removed = idle && take(k, &k->removed);
		bool due = idle && is_due(k);
		struct tidying tidying = { k, NULL, 0 };

		/* What was in use when its entry was removed. */
		removed |= mounts_tidy(k->mounts, INT64_MAX, false, is_to_stop,
				       &tidying) > 0;
		if (due)
			forget_seen(k);
		if (removed || due || is_over(k))
			collect(k);
		if (idle && take_rests(k))
			rest(k);
		if (repack_is_due(k))
			repack(k);
	}
	return NULL;
}

/* ---- from outside */

/* What is read in mounts makes the store grow, too. */
static void fetched(void *arg)
{
	keeper_note_growth(arg);
}

int keeper_start(struct store *store, struct mounts *mounts,
		 const struct keeper_limits *limits, struct keeper **ret_keeper)
{
	struct keeper *k = calloc(1, sizeof(*k));
	pthread_condattr_t attr;
	int r;

	if (!k)
		return -ENOMEM;
	k->store = store;
	k->mounts = mounts;
	k->limits = *limits;
	/* Since whenever it was looked at. */
	k->grown = k->rests = k->packs = true;
	k->request_ns = clock_mono_ns();
	pthread_mutex_init(&k->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&k->changed, &attr);
	pthread_condattr_destroy(&attr);
	r = pthread_create(&k->thread, NULL, keeper_main, k);
	k->started = r == 0;
	if (r != 0) {
		keeper_free(k);
		return -r;
	}
	k->growth = (struct store_growth){ fetched, k };
	store_set_growth(store, &k->growth);
	*ret_keeper = k;
	return 0;
}

void keeper_stop(struct keeper *k)
{
	if (!k)
		return;
	{
		LOCK_SCOPE(&k->lock);

		k->stopping = true;
		pthread_cond_broadcast(&k->changed);
	}
	if (k->started)
		pthread_join(k->thread, NULL);
	k->started = false;
}

void keeper_free(struct keeper *k)
{
	if (!k)
		return;
	keeper_stop(k);
	pthread_cond_destroy(&k->changed);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

void keeper_note_request(struct keeper *k)
{
	LOCK_SCOPE(&k->lock);

	k->request_ns = clock_mono_ns();
}

void keeper_note_growth(struct keeper *k)
{
	LOCK_SCOPE(&k->lock);

	k->grown = k->rests = k->packs = true;
	if (k->soon_ns < k->again_ns)
		k->again_ns = k->soon_ns;
	pthread_cond_broadcast(&k->changed);
}

void keeper_note_removal(struct keeper *k)
{
	LOCK_SCOPE(&k->lock);

	k->removed = true;
	pthread_cond_broadcast(&k->changed);
}
