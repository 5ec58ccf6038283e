/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a mount begins: its state directory, its view, the supervisor's mount,
 * its session and its reaper, in this order, and all of it undone where one
 * fails. The directory is claimed in the table first, so of two commands that
 * mount at one place the second is refused.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/io.h"
#include "store/base/log.h"

#include "store/gc.h"

#include "mounts_internal.h"
#include "upper_trees.h"
#include "used.h"
#include "view_all.h"

/* --- the view --- */

static int tree_fail(const struct mount *mnt, int r, struct mounts_error *err)
{
	const struct entry *e = &mnt->state.entry;
	const char *name = e->name ? e->name : "?",
		   *key = e->key ? e->key : "?";

	if (r == -ENOENT)
		return mounts_fail(err, r, 3,
				   "the catalog of %s@%s is not in the store "
				   "any more; build the entry again",
				   name, key);
	if (r == -EBADMSG)
		return mounts_fail(err, r, 7,
				   "the stored tree of %s@%s is damaged and "
				   "was set aside; build the entry again",
				   name, key);
	return mounts_fail(err, r, 1, "opening the tree of %s@%s: %s", name,
			   key, strerror(-r));
}

/* What is read of the tree is noted; NULL where there is nothing to note. */
static struct used *open_used(const struct mount *mnt,
			      const struct store_tree *tree)
{
	struct catalog_info info;

	if (!tree)
		return NULL;
	catalog_info(store_tree_catalog(tree), &info);
	return used_open(mnt->dirfd, info.inodes, mnt->fresh);
}

static void offer_tiers_of(void *arg, const struct entry *e)
{
	mount_offer_tiers(arg, e);
}

static int open_all(struct mount *mnt, bool adopt)
{
	const struct view_all_options o = {
		.tenant = mnt->state.all,
		.store = mnt->mounts->config.store,
		.fetch = mnt->mounts->config.fetch,
		.uid = mnt->state.uid,
		.gid = mnt->state.gid,
		.dirfd = mnt->dirfd,
		.adopt = adopt,
		.offer = offer_tiers_of,
		.arg = mnt,
	};

	return view_all_open(&o, &mnt->all);
}

/* View and upper of a mount whose state is known; `adopt` where the kernel
 * still holds inodes of it. */
static int open_view(struct mount *mnt, bool adopt, struct mounts_error *err)
{
	struct mounts *m = mnt->mounts;
	struct store_tree *tree = NULL;
	struct view_options vo = {
		.read_only = mnt->state.read_only,
		.uid = mnt->state.uid,
		.gid = mnt->state.gid,
		.dirfd = mnt->state.read_only ? -1 : mnt->dirfd,
		.key = mnt->state.has_entry ? mnt->state.entry.key : NULL,
		.store = m->config.store,
		.adopt = adopt,
	};
	bool damaged = false;
	int r;

	if (mnt->state.has_base) {
		if (mnt->state.has_entry)
			mount_offer_tiers(mnt, &mnt->state.entry);
		r = store_tree_open(m->config.store, &mnt->state.base, &tree);
		if (r < 0)
			return tree_fail(mnt, r, err);
	}
	vo.used = open_used(mnt, tree);
	r = view_open(tree, m->config.fetch, &vo, &mnt->view, &damaged);
	store_tree_unref(tree);
	if (r < 0)
		used_close(vo.used);
	else if (mnt->state.all)
		r = open_all(mnt, adopt);
	if (r < 0)
		return mounts_fail(err, r, 1,
				   "the changes of %s cannot be opened: %s",
				   mnt->state.dir, strerror(-r));
	return 0;
}

/* --- the session --- */

static void save_init(void *arg, const void *init, size_t len)
{
	struct mount *mnt = arg;
	int r;

	r = supervisor_save_init(mnt->mounts->config.link, mnt->state.id, init,
				 len);
	if (r < 0)
		log_warn(r, "%s could not be taken over by another worker",
			 mnt->state.dir);
}

static void end_session(struct mount *mnt)
{
	session_stop(mnt->session);
	session_join(mnt->session);
	session_free(steal_ptr(&mnt->session));
}

/* The reaper gets the table's reference. */
static int start_reaper(struct mount *mnt)
{
	struct mounts *m = mnt->mounts;
	pthread_t reaper;
	int r;

	pthread_mutex_lock(&m->lock);
	mnt->refs++;
	pthread_mutex_unlock(&m->lock);
	r = -pthread_create(&reaper, NULL, mount_reaper_main, mnt);
	if (r < 0) {
		mount_unref(mnt); /* not the last one */
		return r;
	}
	pthread_detach(reaper);
	return 0;
}

/* Serves from here on. `fd` is taken over. */
static int serve(struct mount *mnt, int fd, const void *init, size_t init_len)
{
	struct session_options so = {
		.read_only = mnt->state.read_only,
		.stateful_open = mnt->state.stateful_open,
		.writeback = mnt->state.writeback,
		.init = init,
		.init_len = init_len,
		.save_init = save_init,
		.all = mnt->all,
		.arg = mnt,
		.blame = mnt->mounts->config.blame,
		.messenger = mnt->mounts->config.messenger,
		.id = strtoull(mnt->state.id, NULL, 16),
	};
	struct mounts *m = mnt->mounts;
	int r;

	r = session_start(fd, mnt->view, &so, &mnt->session);
	if (r < 0)
		return r;
	r = start_reaper(mnt);
	if (r < 0) {
		end_session(mnt);
		return r;
	}
	LOCK_SCOPE(&m->lock);
	if (mnt->phase == MOUNT_STARTING) /* it may have ended already */
		mnt->phase = MOUNT_SERVED;
	pthread_cond_broadcast(&m->changed);
	return 0;
}

/* --- the mount --- */

static int attach(struct mount *mnt, int *ret_fd, struct mounts_error *err)
{
	_cleanup_free_ char *error = NULL, *desc = NULL, *fsname = NULL;
	const struct mount_state *s = &mnt->state;
	struct supervisor_mount sm;
	int r;

	desc = mount_state_text(s);
	fsname = s->has_entry ?
			 io_path("larder:%s@%s", s->entry.name, s->entry.key) :
			 io_path("larder:%s", s->all	  ? "all" :
					      s->has_base ? "adopted" :
							    "empty");
	if (!desc || !fsname)
		return mounts_fail(err, -ENOMEM, 1, "out of memory");
	sm = (struct supervisor_mount){
		.id = s->id,
		.dir = s->dir,
		.fsname = fsname,
		.desc = desc,
		.read_only = s->read_only,
		.allow_other = s->allow_other,
		.suid_dev = s->suid_dev,
	};
	r = supervisor_mount(mnt->mounts->config.link, &sm, ret_fd, &error);
	if (r < 0)
		return mounts_fail(err, r, r == -EBUSY ? 8 : 1,
				   "mounting %s: %s", s->dir,
				   error ? error : strerror(-r));
	return 0;
}

int mount_start(struct mount *mnt, struct mounts_error *err)
{
	int fd = -1, r;

	/* Before it can be written to: from here on, what it has counts. */
	r = mount_state_mark(mnt->mounts->dirfd, mnt->state.id,
			     MOUNT_MARK_NONE);
	if (r < 0)
		return mounts_fail(err, r, 1,
				   "the changes of %s cannot be taken back "
				   "from being discarded: %s",
				   mnt->state.dir, strerror(-r));
	r = open_view(mnt, false, err);
	if (r == 0)
		r = attach(mnt, &fd, err);
	if (r < 0)
		return r;
	r = serve(mnt, fd, NULL, 0);
	if (r < 0) {
		supervisor_umount(mnt->mounts->config.link, mnt->state.id, true,
				  NULL);
		return mounts_fail(err, r, 1, "serving %s: %s", mnt->state.dir,
				   strerror(-r));
	}
	return 0;
}

static int fill_state(struct mount *mnt, const char *dir, const struct entry *e,
		      const struct mounts_options *opt)
{
	struct mount_state *s = &mnt->state;
	int r;

	r = mount_state_new_id(s->id);
	if (r < 0)
		return r;
	s->dir = strdup(dir);
	if (!s->dir)
		return -ENOMEM;
	if (e) {
		r = mount_state_copy_entry(e, &s->entry);
		if (r < 0)
			return r;
		s->has_entry = s->has_base = true;
		s->base = e->catalog;
	} else if (opt->base) {
		s->has_base = true;
		s->base = *opt->base;
	}
	s->tiers = opt->tiers ? strdup(opt->tiers) : NULL;
	s->all = opt->all ? strdup(opt->all) : NULL;
	if ((opt->tiers && !s->tiers) || (opt->all && !s->all))
		return -ENOMEM;
	s->over_files = opt->over_files;
	s->read_only = opt->read_only;
	s->allow_other = opt->allow_other;
	s->suid_dev = opt->suid_dev;
	s->stateful_open = opt->stateful_open;
	s->writeback = opt->writeback;
	s->uid = opt->uid;
	s->gid = opt->gid;
	s->mounted_ns = clock_wall_ns();
	return 0;
}

/* The mount is in the table. */
static int start_new(struct mount *mnt, struct mounts_error *err)
{
	struct mounts *m = mnt->mounts;
	int r;

	r = mount_check_dir(mnt->state.dir, mnt->state.over_files, err);
	if (r < 0)
		return r;
	r = mount_state_create(m->dirfd, &mnt->state, &mnt->dirfd);
	if (r < 0)
		return mounts_fail(err, r, 1,
				   "keeping the state of the mount %s in %s: "
				   "%s",
				   mnt->state.dir, m->config.state_dir,
				   strerror(-r));
	mnt->fresh = true;
	r = mount_start(mnt, err);
	if (r < 0)
		mnt->drop = true; /* nobody else has it */
	return r;
}

int mounts_mount(struct mounts *m, const char *dir, const struct entry *e,
		 const struct mounts_options *opt, struct mount **ret_mount,
		 struct mounts_error *err)
{
	struct mount *mnt = mount_alloc(m);
	int r = mnt ? fill_state(mnt, dir, e, opt) : -ENOMEM;

	if (r < 0)
		mounts_fail(err, r, 1, "mounting %s: %s", dir, strerror(-r));
	else
		r = mounts_reserve(mnt, err);
	if (r == 0) {
		mount_keep_secrets(mnt, opt->secrets);
		r = start_new(mnt, err);
	}
	if (r < 0) {
		mount_unref(mnt);
		return r;
	}
	if (e)
		gc_entry_used(m->config.store, e);
	*ret_mount = mnt;
	return 0;
}

/* --- of an earlier worker --- */

static int adopt(struct mount *mnt, const char *id, const char *desc,
		 const void *init, size_t init_len, int fd)
{
	_cleanup_close_ int owned = fd;
	struct mounts_error err;
	int r;

	r = mount_state_parse(desc, &mnt->state);
	if (r < 0)
		return r;
	if (strcmp(mnt->state.id, id) != 0)
		return -EBADMSG;
	mounts_insert(mnt);
	r = mount_state_open(mnt->mounts->dirfd, id, &mnt->dirfd);
	if (r < 0)
		return r;
	r = open_view(mnt, true, &err);
	if (r < 0)
		return log_error(r, "%s", err.message);
	return serve(mnt, steal_fd(&owned), init_len ? init : NULL, init_len);
}

/* One mount that cannot go on must not take the others with it. */
static int adopt_one(void *arg, const char *id, const char *dir,
		     const char *desc, const void *init, size_t init_len,
		     int fd)
{
	struct mounts *m = arg;
	struct mount *mnt = mount_alloc(m);
	int r;

	if (!mnt) {
		close(fd);
		return -ENOMEM;
	}
	r = adopt(mnt, id, desc, init, init_len, fd);
	if (r == 0)
		log_info("took the mount %s over", dir);
	mount_unref(mnt);
	if (r < 0) {
		log_error(r, "taking the mount %s over", dir);
		supervisor_umount(m->config.link, id, true, NULL);
	}
	return 0;
}

/* The worker before died in an umount. It has happened where the mount is at
 * its directory no more; else it has not, and what is there counts. */
static int settle_mark(void *arg, struct mount *mnt)
{
	struct mounts *m = arg;
	enum mount_mark mark = mount_state_get_mark(m->dirfd, mnt->state.id);
	int r;

	if (mark == MOUNT_MARK_NONE)
		return 0;
	if (!mount_check_taken(mnt->state.dir)) {
		LOCK_SCOPE(&m->lock);
		mnt->discard = mark == MOUNT_MARK_DISCARD;
		return 0;
	}
	r = mount_state_mark(m->dirfd, mnt->state.id, MOUNT_MARK_NONE);
	return r < 0 ? log_error(r,
				 "taking the changes of %s back from being "
				 "discarded",
				 mnt->state.dir) :
		       0;
}

static bool is_clean(const struct mounts *m, const struct mount_state *s)
{
	_cleanup_close_ int fd = -1;

	return mount_state_open(m->dirfd, s->id, &fd) == 0 &&
	       upper_is_clean(fd);
}

/* The same of what nobody serves any more: a dead mount that is still at its
 * directory was not unmounted. Between the mark and the umount something may
 * have been changed. */
static bool is_needed(void *arg, const struct mount_state *s,
		      enum mount_mark mark)
{
	struct mounts *m = arg;

	if (mounts_has_id(m, s->id))
		return true;
	if (!mount_check_taken(s->dir))
		return mark == MOUNT_MARK_UNMOUNT && !is_clean(m, s);
	(void)mount_state_mark(m->dirfd, s->id, MOUNT_MARK_NONE);
	return true;
}

int mounts_adopt(struct mounts *m)
{
	int r = supervisor_adopt(m->config.link, adopt_one, m);

	/* Only once they are served can anybody look at a directory. */
	if (r == 0)
		r = mounts_each(m, settle_mark, m);
	if (r == 0)
		mount_state_sweep_marked(m->dirfd, is_needed, m);
	return r;
}
