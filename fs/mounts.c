/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of mounts: who is in it, references, and which command works on
 * which mount. How a mount begins and ends is in mount_start.c and
 * mount_end.c, the phases of its life are in mounts_internal.h, and what is on
 * disk about it is in mount_state.c.
 *
 * mounts.lock is held across no call that blocks.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/io.h"
#include "store/base/log.h"

#include "mounts_internal.h"
#include "view_all.h"

/* For a mount that is about to leave the table. */
#define LEAVE_NS (INT64_C(10) * 1000000000)

int mounts_fail(struct mounts_error *err, int code, int exit_code,
		const char *fmt, ...)
{
	va_list ap;

	err->code = code;
	err->exit = exit_code;
	va_start(ap, fmt);
	vsnprintf(err->message, sizeof(err->message), fmt, ap);
	va_end(ap);
	return code;
}

/* --- the table --- */

static void init_locks(struct mounts *m)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&m->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&m->changed, &attr);
	pthread_condattr_destroy(&attr);
}

int mounts_new(const struct mounts_config *config, struct mounts **ret_mounts)
{
	_cleanup_free_ struct mounts *m = calloc(1, sizeof(*m));
	_cleanup_free_ char *path = NULL;
	int r;

	if (!m)
		return -ENOMEM;
	path = io_path("%s/mounts", config->state_dir);
	if (!path)
		return -ENOMEM;
	r = io_mkdir_p(path, 0700);
	if (r < 0)
		return log_error(r, "creating %s", path);
	m->dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->dirfd < 0)
		return log_error(-errno, "opening %s", path);
	r = mount_state_sweep(m->dirfd);
	if (r < 0)
		log_warn(r, "removing what a killed daemon left in %s", path);
	m->config = *config;
	init_locks(m);
	*ret_mounts = steal_ptr(&m);
	return 0;
}

void mounts_free(struct mounts *m)
{
	if (!m)
		return;
	close(m->dirfd);
	pthread_mutex_destroy(&m->lock);
	pthread_cond_destroy(&m->changed);
	free(m);
}

bool mounts_any(struct mounts *m)
{
	LOCK_SCOPE(&m->lock);
	return m->list != NULL;
}

static void list_remove(struct mounts *m, struct mount *mnt)
{
	for (struct mount **p = &m->list; *p; p = &(*p)->next) {
		if (*p == mnt) {
			*p = mnt->next;
			return;
		}
	}
}

bool mounts_has_id(struct mounts *m, const char *id)
{
	LOCK_SCOPE(&m->lock);
	for (struct mount *mnt = m->list; mnt; mnt = mnt->next)
		if (strcmp(mnt->state.id, id) == 0)
			return true;
	return false;
}

bool mounts_uses_id(struct mounts *m, const char *id)
{
	LOCK_SCOPE(&m->lock);
	for (struct mount *mnt = m->list; mnt; mnt = mnt->next)
		if (strcmp(mnt->state.id, id) == 0)
			return mnt->phase != MOUNT_ENDING &&
			       mnt->phase != MOUNT_ENDED;
	return false;
}

bool mounts_wait(struct mounts *m, int64_t deadline_ns)
{
	struct timespec ts = { deadline_ns / 1000000000,
			       deadline_ns % 1000000000 };

	return pthread_cond_timedwait(&m->changed, &m->lock, &ts) != ETIMEDOUT;
}

/* --- a place in it --- */

struct mount *mount_alloc(struct mounts *m)
{
	struct mount *mnt = calloc(1, sizeof(*mnt));

	if (!mnt)
		return NULL;
	mnt->mounts = m;
	mnt->dirfd = -1;
	mnt->refs = 1;
	mnt->phase = MOUNT_STARTING;
	return mnt;
}

static void insert_locked(struct mount *mnt)
{
	struct mounts *m = mnt->mounts;

	mnt->serial = ++m->serial;
	mnt->next = m->list;
	m->list = mnt;
}

void mounts_insert(struct mount *mnt)
{
	LOCK_SCOPE(&mnt->mounts->lock);
	insert_locked(mnt);
}

/* A directory is free again as soon as nothing is mounted there; an id, once
 * its upper is closed. */
static struct mount *rival(const struct mount *mnt)
{
	for (struct mount *o = mnt->mounts->list; o; o = o->next) {
		bool here = o->phase == MOUNT_STARTING ||
			    o->phase == MOUNT_SERVED;

		if (strcmp(o->state.id, mnt->state.id) == 0 ||
		    (here && strcmp(o->state.dir, mnt->state.dir) == 0))
			return o;
	}
	return NULL;
}

static int rival_fail(const struct mount *o, struct mounts_error *err)
{
	switch (o->phase) {
	case MOUNT_STARTING:
		return mounts_fail(err, -EBUSY, 8,
				   "%s is being mounted by another command; "
				   "try again when that is done",
				   o->state.dir);
	case MOUNT_SERVED:
		return mounts_fail(err, -EBUSY, 8,
				   "%s is mounted already; larder umount it "
				   "first",
				   o->state.dir);
	default:
		return mounts_fail(err, -EBUSY, 8,
				   "the earlier mount at %s is still in use; "
				   "end the programs that use it",
				   o->state.dir);
	}
}

/* `taken`: something is mounted at the directory. Then a mount that is served
 * there stays; else someone has just taken it away, and it is about to end. */
static int reserve(struct mount *mnt, bool taken, struct mounts_error *err)
{
	struct mounts *m = mnt->mounts;
	int64_t deadline = clock_mono_ns() + LEAVE_NS;
	bool late = false;
	struct mount *o;

	LOCK_SCOPE(&m->lock);
	while ((o = rival(mnt))) {
		bool going = o->phase == MOUNT_ENDING ||
			     o->phase == MOUNT_ENDED ||
			     (o->phase == MOUNT_SERVED && !taken);

		if (!going || late)
			return rival_fail(o, err);
		late = !mounts_wait(m, deadline);
	}
	insert_locked(mnt);
	return 0;
}

int mounts_reserve(struct mount *mnt, struct mounts_error *err)
{
	return reserve(mnt, mount_check_taken(mnt->state.dir), err);
}

/* --- references --- */

static void mount_close(struct mount *mnt)
{
	struct mounts *m = mnt->mounts;
	int r;

	session_free(mnt->session);
	view_all_close(mnt->all);
	if (mnt->view) /* else it could not be opened */
		view_close(mnt->view);
	mount_forget_secrets(mnt);
	if (!mnt->drop)
		return;
	r = mount_state_remove(m->dirfd, mnt->state.id);
	if (r < 0)
		log_warn(r, "removing the state of the mount %s",
			 mnt->state.dir);
}

/* The eventfd never blocks; under the lock, since the table may be freed as
 * soon as it is empty. */
static void wake_if_empty(struct mounts *m)
{
	uint64_t one = 1;

	if (!m->list && write(m->config.wake_fd, &one, sizeof(one)) < 0)
		log_warn(-errno, "saying that the last mount has gone");
}

void mount_unref(struct mount *mnt)
{
	struct mounts *m;
	bool last;

	if (!mnt)
		return;
	m = mnt->mounts;
	pthread_mutex_lock(&m->lock);
	last = --mnt->refs == 0;
	pthread_mutex_unlock(&m->lock);
	if (!last)
		return;
	mount_close(mnt);
	pthread_mutex_lock(&m->lock);
	list_remove(m, mnt);
	pthread_cond_broadcast(&m->changed);
	wake_if_empty(m);
	pthread_mutex_unlock(&m->lock);
	mount_state_release(&mnt->state);
	cleanup_close(&mnt->dirfd);
	free(mnt);
}

int mounts_find(struct mounts *m, const char *dir, struct mount **ret_mount,
		struct mounts_error *err)
{
	LOCK_SCOPE(&m->lock);
	for (struct mount *mnt = m->list; mnt; mnt = mnt->next) {
		if (mnt->phase != MOUNT_SERVED ||
		    strcmp(mnt->state.dir, dir) != 0)
			continue;
		mnt->refs++;
		*ret_mount = mnt;
		return 0;
	}
	return mounts_fail(err, -ENOENT, 1,
			   "%s is no Larder mount; larder status lists them",
			   dir);
}

static uint64_t *list_serials(struct mounts *m, size_t *ret_count)
{
	uint64_t *serials;
	size_t n = 0;

	LOCK_SCOPE(&m->lock);
	for (struct mount *mnt = m->list; mnt; mnt = mnt->next)
		n++;
	serials = calloc(n + 1, sizeof(*serials));
	if (!serials)
		return NULL;
	*ret_count = n;
	n = 0;
	for (struct mount *mnt = m->list; mnt; mnt = mnt->next)
		serials[n++] = mnt->serial;
	return serials;
}

static bool is_there(const struct mount *mnt)
{
	return mnt->phase == MOUNT_SERVED || mnt->phase == MOUNT_DETACHED;
}

/* NULL: it has gone meanwhile, or is not there yet. */
static struct mount *ref_serial(struct mounts *m, uint64_t serial)
{
	LOCK_SCOPE(&m->lock);
	for (struct mount *mnt = m->list; mnt; mnt = mnt->next) {
		if (mnt->serial != serial || !is_there(mnt))
			continue;
		mnt->refs++;
		return mnt;
	}
	return NULL;
}

/* A reference keeps an umount of that mount waiting, so only one is held at a
 * time. */
int mounts_each(struct mounts *m, int (*each)(void *arg, struct mount *mnt),
		void *arg)
{
	size_t n = 0;
	_cleanup_free_ uint64_t *serials = list_serials(m, &n);
	int r = 0;

	if (!serials)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct mount *mnt = ref_serial(m, serials[i]);

		if (!mnt)
			continue;
		r = each(arg, mnt);
		mount_unref(mnt);
	}
	return r;
}

bool mount_is_there(struct mount *mnt)
{
	LOCK_SCOPE(&mnt->mounts->lock);
	return is_there(mnt);
}

/* --- one command at a time --- */

int mount_acquire(struct mount *mnt, const char *what, struct mounts_error *err)
{
	LOCK_SCOPE(&mnt->mounts->lock);
	if (mnt->phase != MOUNT_SERVED)
		return mounts_fail(err, -ENOENT, 1, "%s was just unmounted",
				   mnt->state.dir);
	if (mnt->state.all && strcmp(what, "umount") != 0)
		return mounts_fail(err, -EROFS, 5,
				   "%s shows all entries and has no changes of "
				   "its own; mount one of them to do a %s",
				   mnt->state.dir, what);
	if (mnt->busy)
		return mounts_fail(err, -EBUSY, 8,
				   "%s is busy with a %s; wait for it to end",
				   mnt->state.dir, mnt->busy);
	mnt->busy = what;
	return 0;
}

void mount_release(struct mount *mnt)
{
	LOCK_SCOPE(&mnt->mounts->lock);
	mnt->busy = NULL;
	pthread_cond_broadcast(&mnt->mounts->changed);
}

/* --- one mount --- */

int mount_set_entry(struct mount *mnt, const struct entry *e)
{
	struct mounts *m = mnt->mounts;
	_cleanup_free_ char *desc = NULL;
	struct entry old, copy;
	int r, keyed;

	r = mount_state_copy_entry(e, &copy);
	if (r < 0)
		return r;
	pthread_mutex_lock(&m->lock);
	old = mnt->state.entry;
	mnt->state.entry = copy;
	mnt->state.has_entry = true;
	pthread_mutex_unlock(&m->lock);
	entry_release(&old);
	keyed = view_set_key(mnt->view, e->key);
	/* Only who has acquired the mount changes the entry, so it may be read
	 * here. */
	desc = mount_state_text(&mnt->state);
	if (!desc)
		return -ENOMEM;
	r = mount_state_save(m->dirfd, &mnt->state);
	if (r == 0)
		r = supervisor_save_desc(m->config.link, mnt->state.id, desc);
	return r < 0 ? r : keyed;
}

void mount_get_options(const struct mount *mnt,
		       struct mounts_options *ret_options)
{
	const struct mount_state *s = &mnt->state;

	*ret_options = (struct mounts_options){
		.read_only = s->read_only,
		.allow_other = s->allow_other,
		.suid_dev = s->suid_dev,
		.stateful_open = s->stateful_open,
		.writeback = s->writeback,
		.over_files = s->over_files,
		.all = s->all,
		.uid = s->uid,
		.gid = s->gid,
		.tiers = s->tiers,
	};
}

const char *mount_id(const struct mount *mnt)
{
	return mnt->state.id;
}

const char *mount_dir(const struct mount *mnt)
{
	return mnt->state.dir;
}

int mount_entry(struct mount *mnt, struct entry *ret_entry)
{
	LOCK_SCOPE(&mnt->mounts->lock);
	return mnt->state.has_entry ? entry_copy(&mnt->state.entry, ret_entry) :
				      -ENOENT;
}

bool mount_base(const struct mount *mnt, struct digest *ret_catalog)
{
	*ret_catalog = mnt->state.base;
	return mnt->state.has_base;
}

struct view *mount_view(struct mount *mnt)
{
	return mnt->view;
}

struct view_all *mount_all(struct mount *mnt)
{
	return mnt->all;
}

struct session *mount_session(struct mount *mnt)
{
	return mnt->session;
}

bool mount_read_only(const struct mount *mnt)
{
	return mnt->state.read_only;
}

int64_t mount_time_ns(const struct mount *mnt)
{
	return mnt->state.mounted_ns;
}
