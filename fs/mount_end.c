/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a mount ends. The end is always seen by the mount's own reaper thread,
 * whether a command, fusermount3 or the kernel brought it about, so there is
 * one place that decides what becomes of the changes. Taking the mount apart
 * is left to whoever drops the last reference.
 *
 * An umount(2) that succeeded does not always end the session: after a lazy
 * one programs may still use the mount, and so may another mount namespace
 * after any. The mount is then DETACHED and ends when they leave.
 */
#include <errno.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/fault.h"
#include "store/base/log.h"
#include "store/gc.h"

#include "mounts_internal.h"

#define SECOND_NS INT64_C(1000000000)
#define UMOUNT_NS (10 * SECOND_NS) /* for a session to end after umount(2) */
#define END_NS (10 * SECOND_NS)	   /* for all mounts to go, at the end */
#define HAND_OVER_NS (10 * SECOND_NS)

/* --- the reaper --- */

/* The session has ended. True where another worker goes on with the mount:
 * then nothing is to be done but to say so. */
static bool begin_end(struct mount *mnt)
{
	struct mounts *m = mnt->mounts;
	bool left;

	LOCK_SCOPE(&m->lock);
	left = m->handing_over && mnt->phase != MOUNT_DETACHED &&
	       !session_ended(mnt->session);
	mnt->phase = left ? MOUNT_ENDED : MOUNT_ENDING;
	pthread_cond_broadcast(&m->changed);
	return left;
}

/* A session that ended by itself has left the mount behind. */
static void detach_from_kernel(struct mount *mnt)
{
	struct supervisor_link *link = mnt->mounts->config.link;

	if (session_ended(mnt->session))
		supervisor_forget(link, mnt->state.id);
	else
		supervisor_umount(link, mnt->state.id, true, NULL);
}

/* Waits for a command that works on the mount; whether to drop its changes. */
static bool wait_released(struct mount *mnt)
{
	struct mounts *m = mnt->mounts;

	LOCK_SCOPE(&m->lock);
	while (mnt->busy && !mnt->unmounting)
		pthread_cond_wait(&m->changed, &m->lock);
	return mnt->discard;
}

static bool is_keeping(struct mounts *m)
{
	LOCK_SCOPE(&m->lock);
	return m->keeping;
}

/* It was used until now. */
static void note_use(struct mount *mnt)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;

	if (mount_entry(mnt, &e) == 0)
		gc_entry_used(mnt->mounts->config.store, &e);
}

static bool keep_changes(struct mount *mnt)
{
	struct view_stats stats;

	if (wait_released(mnt))
		return false;
	view_stats(mnt->view, &stats);
	if (!stats.dirty && !stats.damaged)
		return is_keeping(mnt->mounts);
	mnt->state.kept_ns = clock_wall_ns();
	mount_state_save(mnt->mounts->dirfd, &mnt->state);
	return true;
}

void *mount_reaper_main(void *arg)
{
	struct mount *mnt = arg;
	struct mounts *m = mnt->mounts;
	bool kept;

	session_join(mnt->session);
	if (begin_end(mnt))
		return NULL; /* the process ends with it as it is */
	detach_from_kernel(mnt);
	kept = keep_changes(mnt);
	note_use(mnt);
	log_info("unmounted %s%s", mnt->state.dir,
		 kept ? "; its changes are kept" : "");
	pthread_mutex_lock(&m->lock);
	mnt->kept = kept;
	mnt->drop = !kept;
	mnt->phase = MOUNT_ENDED;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
	mount_unref(mnt);
	return NULL;
}

/* --- umount --- */

/* So that what is to go goes even if this process dies in the middle. Where
 * that cannot be noted, on a full disk, the umount is worth more. */
static void mark(const struct mount *mnt, enum mount_mark mark)
{
	int r = mount_state_mark(mnt->mounts->dirfd, mnt->state.id, mark);

	if (r < 0)
		log_warn(r, "noting what is to become of the changes of %s",
			 mnt->state.dir);
}

static void set_unmounting(struct mount *mnt, bool unmounting, bool discard)
{
	LOCK_SCOPE(&mnt->mounts->lock);
	mnt->unmounting = unmounting;
	mnt->discard = discard;
}

static int umount_fail(const struct mount *mnt, int r, const char *error,
		       struct mounts_error *err)
{
	if (r == -EBUSY)
		return mounts_fail(err, r, 8,
				   "%s is in use; end the programs that have "
				   "files open or stand in it (fuser -vm shows "
				   "them), or use --lazy",
				   mnt->state.dir);
	return mounts_fail(err, r, 1, "unmounting %s: %s", mnt->state.dir,
			   error ? error : strerror(-r));
}

/* That it is unknown to the supervisor means that someone else's umount came
 * first. */
static int umount_in_kernel(struct mount *mnt, bool lazy,
			    struct mounts_error *err)
{
	_cleanup_free_ char *error = NULL;
	int r = supervisor_umount(mnt->mounts->config.link, mnt->state.id, lazy,
				  &error);

	if (r == -ENOENT && !error)
		return 0;
	return r < 0 ? umount_fail(mnt, r, error, err) : 0;
}

/* The mount is at its directory no more. True when it has ended. */
static bool wait_ended(struct mount *mnt, bool lazy)
{
	int64_t deadline = clock_mono_ns() + (lazy ? 0 : UMOUNT_NS);
	struct mounts *m = mnt->mounts;

	LOCK_SCOPE(&m->lock);
	while (mnt->phase == MOUNT_SERVED)
		if (!mounts_wait(m, deadline) && mnt->phase == MOUNT_SERVED)
			mnt->phase = MOUNT_DETACHED;
	while (mnt->phase == MOUNT_ENDING)
		pthread_cond_wait(&m->changed, &m->lock);
	return mnt->phase == MOUNT_ENDED;
}

/* `ret_gone`: the mount has ended, and leaves the table with its last
 * reference. */
static int umount_acquired(struct mount *mnt, bool lazy, bool discard,
			   bool *ret_kept, bool *ret_gone,
			   struct mounts_error *err)
{
	struct view_stats stats;
	bool changed;
	int r;

	view_stats(mnt->view, &stats);
	changed = stats.dirty || stats.damaged;
	if (discard || !changed) {
		mark(mnt, discard ? MOUNT_MARK_DISCARD : MOUNT_MARK_UNMOUNT);
		(void)fault_check("umount.marked");
	}
	set_unmounting(mnt, true, discard);
	r = umount_in_kernel(mnt, lazy, err);
	if (r < 0) {
		set_unmounting(mnt, false, false);
		if (discard || !changed)
			mark(mnt, MOUNT_MARK_NONE);
		return r;
	}
	(void)fault_check("umount.unmounted");
	*ret_gone = wait_ended(mnt, lazy);
	*ret_kept = *ret_gone ? mnt->kept : !discard && changed;
	set_unmounting(mnt, false, discard);
	return 0;
}

static void wait_left(struct mounts *m, uint64_t serial)
{
	struct mount *mnt;

	LOCK_SCOPE(&m->lock);
	for (;;) {
		for (mnt = m->list; mnt; mnt = mnt->next)
			if (mnt->serial == serial)
				break;
		if (!mnt)
			return;
		pthread_cond_wait(&m->changed, &m->lock);
	}
}

int mounts_umount(struct mounts *m, const char *dir, bool lazy, bool discard,
		  bool *ret_kept, struct mounts_error *err)
{
	struct mount *mnt;
	bool gone = false;
	uint64_t serial;
	int r;

	r = mounts_find(m, dir, &mnt, err);
	if (r < 0)
		return r;
	serial = mnt->serial;
	r = mount_acquire(mnt, "umount", err);
	if (r == 0) {
		r = umount_acquired(mnt, lazy, discard, ret_kept, &gone, err);
		mount_release(mnt);
	}
	mount_unref(mnt);
	if (gone)
		wait_left(m, serial);
	return r;
}

/* --- all of them --- */

static int stop_session(void *arg, struct mount *mnt)
{
	(void)arg;
	session_stop(mount_session(mnt));
	return 0;
}

/* Lazily, since what uses it cannot use it any longer anyway. */
static int end_one(void *arg, struct mount *mnt)
{
	struct mounts_error err;

	if (umount_in_kernel(mnt, true, &err) < 0)
		log_warn(0, "%s", err.message);
	return stop_session(arg, mnt);
}

bool mounts_end_all(struct mounts *m, bool keep)
{
	int64_t deadline = clock_mono_ns() + END_NS;

	pthread_mutex_lock(&m->lock);
	m->keeping = keep;
	pthread_mutex_unlock(&m->lock);
	mounts_each(m, end_one, NULL);
	LOCK_SCOPE(&m->lock);
	while (m->list)
		if (!mounts_wait(m, deadline))
			break;
	return !m->list;
}

static bool is_served(struct mounts *m)
{
	for (struct mount *mnt = m->list; mnt; mnt = mnt->next)
		if (mnt->phase != MOUNT_ENDED)
			return true;
	return false;
}

void mounts_hand_over(struct mounts *m)
{
	int64_t deadline = clock_mono_ns() + HAND_OVER_NS;

	pthread_mutex_lock(&m->lock);
	m->handing_over = true;
	pthread_mutex_unlock(&m->lock);
	mounts_each(m, stop_session, NULL);
	LOCK_SCOPE(&m->lock);
	while (is_served(m))
		if (!mounts_wait(m, deadline))
			break;
}
