/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trees that the mounts' states on disk need: bases, and what commits have
 * left in the logs. Those of mounts are among them, whatever daemon serves
 * them, and those of kept changes. Any thread.
 */
#include <dirent.h>
#include <errno.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/log.h"

#include "all_table.h"
#include "mounts_internal.h"
#include "session.h"
#include "upper_trees.h"
#include "view_all.h"

struct trees {
	int mountsfd;
	int (*each)(void *arg, const struct digest *catalog);
	void *arg;
};

static int state_trees(const struct trees *t, const struct mount_state *s)
{
	_cleanup_close_ int fd = -1;
	int r = s->has_base ? t->each(t->arg, &s->base) : 0;

	if (r == 0)
		r = mount_state_open(t->mountsfd, s->id, &fd);
	if (r < 0)
		return r;
	return s->all ? all_table_each_held(fd, t->each, t->arg) :
			upper_trees(fd, t->each, t->arg);
}

/* One whose description is damaged cannot be resumed. What goes on for other
 * reasons is not known to be needless. */
static int id_trees(const struct trees *t, const char *id)
{
	struct mount_state s;
	int r = mount_state_load(t->mountsfd, id, &s);

	if (r == 0) {
		r = state_trees(t, &s);
		mount_state_release(&s);
	}
	if (r == -ENOENT || r == -EBADMSG)
		return 0;
	return r < 0 ? log_error(r,
				 "the changes of the mount %s cannot be "
				 "looked at",
				 id) :
		       0;
}

struct tidying {
	int64_t idle_ns;
	bool urgent;
	bool (*stop)(void *arg);
	void *arg;
	struct mount *mnt; /* of which it is the turn */
	size_t closed;
};

/* Its umount waits for the reference. */
static bool is_to_stop(void *arg)
{
	const struct tidying *t = arg;

	return !mount_is_there(t->mnt) || t->stop(t->arg);
}

static int tidy_mount(void *arg, struct mount *mnt)
{
	struct tidying *t = arg;
	struct view_all_kernel kernel;
	const struct view_all_tidying how = {
		.kernel = &kernel,
		.idle_ns = t->idle_ns,
		.urgent = t->urgent,
		.stop = is_to_stop,
		.arg = t,
	};

	if (!mnt->all)
		return 0;
	t->mnt = mnt;
	session_ask(mnt->session, &kernel);
	t->closed += view_all_tidy(mnt->all, &how);
	return 0;
}

size_t mounts_tidy(struct mounts *m, int64_t idle_ns, bool urgent,
		   bool (*stop)(void *arg), void *arg)
{
	struct tidying t = { idle_ns, urgent, stop, arg, NULL, 0 };

	(void)mounts_each(m, tidy_mount, &t);
	return t.closed;
}

int mounts_each_tree(struct mounts *m,
		     int (*each)(void *arg, const struct digest *catalog),
		     void *arg)
{
	const struct trees t = { m->dirfd, each, arg };
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *de;
	int r = io_opendir_at(m->dirfd, ".", &dir);

	while (r == 0 && (errno = 0, de = readdir(dir)))
		if (mount_state_id_is_valid(de->d_name))
			r = id_trees(&t, de->d_name);
	return r < 0 ? r : -errno;
}
