/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What earlier mounts left on disk: listing it, and mounting it again. Of
 * several uppers kept for one directory the newest is resumed; the others are
 * reached by their id. What the states say is looked at twice, the second time
 * with the id claimed in the table, since a mount that is just ending writes
 * its state.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/log.h"

#include "mounts_internal.h"

/* --- what is there --- */

struct kept {
	char id[MOUNT_ID_LEN + 1];
	char *dir;
	int64_t time_ns;
};

struct kept_list {
	const char *which; /* a directory, an id, or NULL: all */
	struct kept *items;
	size_t count;
};

static void kept_list_release(struct kept_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->items[i].dir);
	free(l->items);
}

static int64_t state_time_ns(const struct mount_state *s)
{
	return s->kept_ns ? s->kept_ns : s->mounted_ns;
}

static int kept_add(void *arg, const struct mount_state *s)
{
	struct kept_list *l = arg;
	struct kept *grown;
	char *dir;

	if (l->which && strcmp(l->which, s->id) != 0 &&
	    strcmp(l->which, s->dir) != 0)
		return 0;
	grown = realloc(l->items, (l->count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	l->items = grown;
	dir = strdup(s->dir);
	if (!dir)
		return -ENOMEM;
	l->items[l->count] =
		(struct kept){ .dir = dir, .time_ns = state_time_ns(s) };
	memcpy(l->items[l->count].id, s->id, sizeof(s->id));
	l->count++;
	return 0;
}

/* By directory, the newest first. */
static int kept_compare(const void *a, const void *b)
{
	const struct kept *ka = a, *kb = b;
	int r = strcmp(ka->dir, kb->dir);

	if (r != 0)
		return r;
	return (ka->time_ns < kb->time_ns) - (ka->time_ns > kb->time_ns);
}

/* --- resuming --- */

struct resume {
	struct mounts *m;
	int (*each)(void *arg, struct mount *mnt);
	void *arg;
	unsigned count;		     /* resumed */
	struct mounts_error *err;    /* of the first that failed */
	struct mounts_error ignored; /* of others */
	bool failed;
};

/* -ENOENT, without a sentence: it is gone meanwhile. */
static int load_state(struct mount *mnt)
{
	struct mounts *m = mnt->mounts;
	struct mount_state fresh, old;
	int r;

	r = mount_state_open(m->dirfd, mnt->state.id, &mnt->dirfd);
	if (r == 0)
		r = mount_state_load(m->dirfd, mnt->state.id, &fresh);
	if (r < 0)
		return r;
	if (strcmp(fresh.dir, mnt->state.dir) != 0) {
		mount_state_release(&fresh);
		return -ENOENT;
	}
	fresh.kept_ns = 0;
	pthread_mutex_lock(&m->lock);
	old = mnt->state;
	mnt->state = fresh;
	pthread_mutex_unlock(&m->lock);
	mount_state_release(&old);
	return 0;
}

/* 1: resumed; 0: there is nothing to resume any more. */
static int resume_reserved(struct mount *mnt, struct mounts_error *err)
{
	int r;

	r = load_state(mnt);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return mounts_fail(err, r, 1,
				   "what is kept for %s (%s) cannot be read: "
				   "%s",
				   mnt->state.dir, mnt->state.id, strerror(-r));
	r = mount_check_dir(mnt->state.dir, mnt->state.over_files, err);
	if (r >= 0)
		r = mount_start(mnt, err);
	if (r < 0)
		return r;
	mount_state_save(mnt->mounts->dirfd, &mnt->state);
	return 1;
}

static int resume_one(struct resume *rs, const struct kept *k,
		      struct mounts_error *err)
{
	struct mount *mnt = mount_alloc(rs->m);
	int r;

	if (!mnt)
		return mounts_fail(err, -ENOMEM, 1, "out of memory");
	memcpy(mnt->state.id, k->id, sizeof(k->id));
	mnt->state.dir = strdup(k->dir);
	r = mnt->state.dir ? mounts_reserve(mnt, err) :
			     mounts_fail(err, -ENOMEM, 1, "out of memory");
	if (r == 0)
		r = resume_reserved(mnt, err);
	if (r > 0) {
		rs->count++;
		r = rs->each(rs->arg, mnt);
		if (r < 0)
			mounts_fail(err, r, 1, "%s: %s", k->dir, strerror(-r));
	}
	mount_unref(mnt);
	return r;
}

/* Whether a mount is there, so that what is kept beside it stays so. */
static bool is_occupied(struct mounts *m, const char *dir)
{
	struct mounts_error ignored;
	struct mount *mnt;

	if (mounts_find(m, dir, &mnt, &ignored) < 0)
		return false;
	mount_unref(mnt);
	return mount_check_taken(dir);
}

static void resume_list(struct resume *rs, const struct kept_list *l)
{
	for (size_t i = 0; i < l->count; i++) {
		const struct kept *k = &l->items[i];
		struct mounts_error *err = rs->failed ? &rs->ignored : rs->err;

		if (i > 0 && strcmp(l->items[i - 1].dir, k->dir) == 0)
			continue;
		if (!l->which && is_occupied(rs->m, k->dir))
			continue;
		if (resume_one(rs, k, err) < 0) {
			log_warn(0, "%s", err->message);
			rs->failed = true;
		}
	}
}

/* Those that a mount uses are not kept, unless somebody has just taken that
 * mount away. */
static void drop_mounted(struct mounts *m, struct kept_list *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->count; i++) {
		if (mounts_uses_id(m, l->items[i].id) &&
		    mount_check_taken(l->items[i].dir))
			free(l->items[i].dir);
		else
			l->items[n++] = l->items[i];
	}
	l->count = n;
}

int mounts_resume(struct mounts *m, const char *dir_or_id,
		  int (*each)(void *arg, struct mount *mnt), void *arg,
		  struct mounts_error *err)
{
	_cleanup_(kept_list_release) struct kept_list list = {
		.which = dir_or_id
	};
	struct resume rs = { .m = m, .each = each, .arg = arg, .err = err };
	int r;

	r = mount_state_each(m->dirfd, kept_add, &list);
	if (r < 0)
		return mounts_fail(err, r, 1, "reading the kept mounts: %s",
				   strerror(-r));
	drop_mounted(m, &list);
	if (list.count)
		qsort(list.items, list.count, sizeof(list.items[0]),
		      kept_compare);
	resume_list(&rs, &list);
	if (rs.failed)
		return err->code;
	if (dir_or_id && rs.count == 0)
		return mounts_fail(err, -ENOENT, 1,
				   "nothing is kept for %s; larder status "
				   "lists what is",
				   dir_or_id);
	return 0;
}

/* --- listing --- */

struct listing {
	struct mounts *m;
	int (*each)(void *arg, const char *id, const char *dir,
		    const char *entry, uint64_t upper_bytes, int64_t kept_ns);
	void *arg;
};

static int list_one(void *arg, const struct mount_state *s)
{
	struct listing *l = arg;
	_cleanup_free_ char *entry = NULL;

	if (mounts_has_id(l->m, s->id))
		return 0;
	if (s->has_entry) {
		entry = io_path("%s@%s", s->entry.name, s->entry.key);
		if (!entry)
			return -ENOMEM;
	}
	return l->each(l->arg, s->id, s->dir, entry,
		       mount_state_bytes(l->m->dirfd, s->id), state_time_ns(s));
}

int mounts_each_kept(struct mounts *m,
		     int (*each)(void *arg, const char *id, const char *dir,
				 const char *entry, uint64_t upper_bytes,
				 int64_t kept_ns),
		     void *arg)
{
	struct listing l = { m, each, arg };

	return mount_state_each(m->dirfd, list_one, &l);
}
