/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of mounts and the life of one: made, served, ended. The end is
 * always seen by the mount's own reaper thread, whether a command, fusermount3
 * or the kernel brought it about, so there is one place that takes a mount
 * apart. What is on disk about a mount is in mount_state.c.
 *
 * mounts.lock guards the list, reference counts and the fields so marked; it
 * is held across no call that blocks.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/io.h"
#include "store/base/log.h"

#include "mount_state.h"
#include "mounts.h"

struct mount {
	struct mounts *mounts;
	struct mount *next;	 /* mounts.lock */
	unsigned refs;		 /* mounts.lock */
	struct mount_state state; /* entry: mounts.lock; others constant */
	int dirfd;		 /* the state directory */
	struct view *view;
	struct session *session;
	pthread_t reaper;
	const char *busy; /* mounts.lock: what a command is doing, or NULL */
	bool discard;	  /* mounts.lock */
	bool kept;	  /* valid once ended */
	bool ended;	  /* mounts.lock */
};

struct mounts {
	struct mounts_config config;
	int dirfd; /* <state>/mounts */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct mount *list;
};

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
	m->config = *config;
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->changed, NULL);
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

static void list_remove(struct mounts *m, struct mount *mnt)
{
	for (struct mount **p = &m->list; *p; p = &(*p)->next) {
		if (*p == mnt) {
			*p = mnt->next;
			return;
		}
	}
}

static bool list_has(struct mounts *m, const char *id)
{
	for (struct mount *mnt = m->list; mnt; mnt = mnt->next)
		if (strcmp(mnt->state.id, id) == 0)
			return true;
	return false;
}

static void mount_free(struct mount *mnt)
{
	mount_state_release(&mnt->state);
	cleanup_close(&mnt->dirfd);
	free(mnt);
}

/*
 * The last reference closes the upper and only then leaves the table, so that
 * a resume never opens a log that is still being closed.
 */
void mount_unref(struct mount *mnt)
{
	struct mounts *m;
	bool last, served;

	if (!mnt)
		return;
	m = mnt->mounts;
	pthread_mutex_lock(&m->lock);
	last = --mnt->refs == 0;
	pthread_mutex_unlock(&m->lock);
	if (!last)
		return;
	session_free(mnt->session);
	if (mnt->view) /* or else it could not be opened */
		view_close(mnt->view);
	if (mnt->ended && !mnt->kept)
		io_remove_tree(m->dirfd, mnt->state.id);
	pthread_mutex_lock(&m->lock);
	served = list_has(m, mnt->state.id);
	list_remove(m, mnt);
	last = served && !m->list;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
	mount_free(mnt);
	if (last)
		m->config.idle(m->config.arg);
}

/* Nobody can reach the mount any more: once the command that works on it is
 * through, its upper is kept or dropped. */
static void mount_end(struct mount *mnt)
{
	struct mounts *m = mnt->mounts;
	struct view_stats stats;
	bool discard;

	supervisor_forget(m->config.link, mnt->state.id);
	pthread_mutex_lock(&m->lock);
	while (mnt->busy && strcmp(mnt->busy, "umount") != 0)
		pthread_cond_wait(&m->changed, &m->lock);
	discard = mnt->discard;
	pthread_mutex_unlock(&m->lock);

	view_stats(mnt->view, &stats);
	mnt->kept = !discard && (stats.dirty || stats.damaged);
	if (mnt->kept) {
		mnt->state.kept_ns = clock_wall_ns();
		mount_state_save(m->dirfd, &mnt->state);
	}
	log_info("unmounted %s%s", mnt->state.dir,
		 mnt->kept ? "; its changes are kept" : "");

	pthread_mutex_lock(&m->lock);
	mnt->ended = true;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
	mount_unref(mnt);
}

static void *reaper_main(void *arg)
{
	struct mount *mnt = arg;

	session_join(mnt->session);
	mount_end(mnt);
	return NULL;
}

static void save_init(void *arg, const void *init, size_t len)
{
	struct mount *mnt = arg;

	supervisor_save_init(mnt->mounts->config.link, mnt->state.id, init,
			     len);
}

/* The mount joins the table and is served from here on. `fd` is taken over. */
static int mount_serve(struct mount *mnt, int fd, const void *init,
		       size_t init_len)
{
	struct session_options so = {
		.read_only = mnt->state.read_only,
		.stateful_open = mnt->state.stateful_open,
		.init = init,
		.init_len = init_len,
		.save_init = save_init,
		.arg = mnt,
	};
	struct mounts *m = mnt->mounts;
	int r;

	r = session_start(fd, mnt->view, &so, &mnt->session);
	if (r < 0)
		return r;
	pthread_mutex_lock(&m->lock);
	mnt->next = m->list;
	m->list = mnt;
	pthread_mutex_unlock(&m->lock);
	r = -pthread_create(&mnt->reaper, NULL, reaper_main, mnt);
	if (r < 0) {
		pthread_mutex_lock(&m->lock);
		list_remove(m, mnt);
		pthread_mutex_unlock(&m->lock);
		return r;
	}
	pthread_detach(mnt->reaper);
	return 0;
}

static int tree_fail(const struct mount *mnt, int r, struct mounts_error *err)
{
	const struct entry *e = &mnt->state.entry;
	const char *name = e->name ? e->name : "?", *key = e->key ? e->key : "?";

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

/* View and upper of a mount whose state is known; `adopt` where the kernel
 * still holds inodes of it. */
static int mount_view_open(struct mount *mnt, bool adopt,
			   struct mounts_error *err)
{
	struct mounts *m = mnt->mounts;
	struct store_tree *tree = NULL;
	struct view_options vo = {
		.read_only = mnt->state.read_only,
		.uid = mnt->state.uid,
		.gid = mnt->state.gid,
		.dirfd = mnt->state.read_only ? -1 : mnt->dirfd,
		.store = m->config.store,
		.adopt = adopt,
	};
	bool damaged = false;
	int r;

	if (mnt->state.has_base) {
		r = store_tree_open(m->config.store, &mnt->state.base, &tree);
		if (r < 0)
			return tree_fail(mnt, r, err);
	}
	r = view_open(tree, m->config.fetch, &vo, &mnt->view, &damaged);
	store_tree_unref(tree);
	if (r < 0)
		return mounts_fail(err, r, 1,
				   "the changes of %s cannot be opened: %s",
				   mnt->state.dir, strerror(-r));
	return 0;
}

static struct mount *mount_alloc(struct mounts *m)
{
	struct mount *mnt = calloc(1, sizeof(*mnt));

	if (!mnt)
		return NULL;
	mnt->mounts = m;
	mnt->dirfd = -1;
	mnt->refs = 1;
	return mnt;
}

static int mount_attach(struct mount *mnt, struct mounts_error *err)
{
	_cleanup_free_ char *error = NULL, *desc = NULL, *fsname = NULL;
	struct mounts *m = mnt->mounts;
	struct supervisor_mount sm;
	int fd = -1, r;

	desc = mount_state_text(&mnt->state);
	fsname = mnt->state.has_entry ?
			 io_path("larder:%s@%s", mnt->state.entry.name,
				 mnt->state.entry.key) :
			 io_path("larder:empty");
	if (!desc || !fsname)
		return mounts_fail(err, -ENOMEM, 1, "out of memory");
	sm = (struct supervisor_mount){
		.id = mnt->state.id,
		.dir = mnt->state.dir,
		.fsname = fsname,
		.desc = desc,
		.read_only = mnt->state.read_only,
		.allow_other = mnt->state.allow_other,
		.suid_dev = mnt->state.suid_dev,
	};
	r = supervisor_mount(m->config.link, &sm, &fd, &error);
	if (r < 0)
		return mounts_fail(err, r, r == -EBUSY ? 8 : 1,
				   "mounting %s: %s", mnt->state.dir,
				   error ? error : strerror(-r));
	r = mount_serve(mnt, fd, NULL, 0);
	if (r < 0) {
		supervisor_umount(m->config.link, mnt->state.id, true, NULL);
		return mounts_fail(err, r, 1, "serving %s: %s",
				   mnt->state.dir, strerror(-r));
	}
	return 0;
}

static int check_dir(struct mounts *m, const char *dir,
		     struct mounts_error *err)
{
	_cleanup_closedir_ DIR *d = NULL;
	_cleanup_free_ char *up = NULL;
	struct mounts_error ignored;
	struct mount *old = NULL;
	struct stat st, parent;
	struct dirent *de;

	if (mounts_find(m, dir, &old, &ignored) == 0) {
		mount_unref(old);
		return mounts_fail(err, -EBUSY, 8,
				   "%s is mounted already; larder umount it "
				   "first", dir);
	}
	if (lstat(dir, &st) < 0 && errno == ENOTCONN)
		return mounts_fail(err, -ENOTCONN, 8,
				   "%s is a dead mount of another daemon; "
				   "fusermount3 -uz it first", dir);
	/* The daemon asks itself for nothing, so it cannot look there. */
	if (lstat(dir, &st) < 0 && errno == EDEADLK)
		return mounts_fail(err, -EDEADLK, 1,
				   "%s is inside a mount of Larder; choose a "
				   "directory outside of it",
				   dir);
	if (lstat(dir, &st) < 0)
		return mounts_fail(err, -errno, 1,
				   errno == ENOENT ?
					   "%s does not exist; make the "
					   "directory first (%s)" :
					   "%s cannot be used: %s",
				   dir, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return mounts_fail(err, -ENOTDIR, 1,
				   "%s is not a directory; a mount point must "
				   "be an empty one", dir);
	up = io_path("%s/..", dir);
	if (!up)
		return mounts_fail(err, -ENOMEM, 1, "out of memory");
	if (stat(up, &parent) == 0 && (parent.st_dev != st.st_dev ||
				       parent.st_ino == st.st_ino))
		return mounts_fail(err, -EBUSY, 8,
				   "%s is a mount point of something else; "
				   "choose another directory", dir);
	d = opendir(dir);
	if (!d)
		return mounts_fail(err, -errno, 1, "%s cannot be read: %s", dir,
				   strerror(errno));
	while ((de = readdir(d)) != NULL)
		if (strcmp(de->d_name, ".") != 0 &&
		    strcmp(de->d_name, "..") != 0)
			return mounts_fail(err, -ENOTEMPTY, 1,
					   "%s is not empty; move its files "
					   "away, or keep them as an entry "
					   "with larder import", dir);
	return 0;
}

static int state_fill(struct mount *mnt, const char *dir,
		      const struct entry *e, const struct mounts_options *opt)
{
	struct mount_state *s = &mnt->state;
	int r = 0;

	r = mount_state_new_id(s->id);
	s->dir = strdup(dir);
	if (r < 0 || !s->dir)
		return r < 0 ? r : -ENOMEM;
	if (e) {
		r = entry_copy(e, &s->entry);
		s->has_entry = s->has_base = r == 0;
		s->base = e->catalog;
	}
	s->read_only = opt->read_only;
	s->allow_other = opt->allow_other;
	s->suid_dev = opt->suid_dev;
	s->stateful_open = opt->stateful_open;
	s->uid = opt->uid;
	s->gid = opt->gid;
	s->mounted_ns = clock_wall_ns();
	return r;
}

int mounts_mount(struct mounts *m, const char *dir, const struct entry *e,
		 const struct mounts_options *opt, struct mount **ret_mount,
		 struct mounts_error *err)
{
	struct mount *mnt;
	int r;

	r = check_dir(m, dir, err);
	if (r < 0)
		return r;
	mnt = mount_alloc(m);
	if (!mnt)
		return mounts_fail(err, -ENOMEM, 1, "out of memory");
	mnt->refs = 2; /* the table's and the caller's */
	r = state_fill(mnt, dir, e, opt);
	if (r == 0)
		r = mount_state_create(m->dirfd, &mnt->state, &mnt->dirfd);
	if (r < 0)
		mounts_fail(err, r, 1,
			    "keeping the state of the mount %s in %s: %s", dir,
			    m->config.state_dir, strerror(-r));
	if (r == 0)
		r = mount_view_open(mnt, false, err);
	if (r == 0)
		r = mount_attach(mnt, err);
	if (r < 0) {
		if (mnt->dirfd >= 0)
			io_remove_tree(m->dirfd, mnt->state.id);
		mnt->refs = 1;
		mount_unref(mnt);
		return r;
	}
	*ret_mount = mnt;
	return 0;
}

int mounts_find(struct mounts *m, const char *dir, struct mount **ret_mount,
		struct mounts_error *err)
{
	LOCK_SCOPE(&m->lock);
	for (struct mount *mnt = m->list; mnt; mnt = mnt->next) {
		if (mnt->ended || strcmp(mnt->state.dir, dir) != 0)
			continue;
		mnt->refs++;
		*ret_mount = mnt;
		return 0;
	}
	return mounts_fail(err, -ENOENT, 1,
			   "%s is no Larder mount; larder status lists them",
			   dir);
}

/* Calls with a reference and without the lock; mounts made meanwhile may be
 * missed. */
int mounts_each(struct mounts *m, int (*each)(void *arg, struct mount *mnt),
		void *arg)
{
	_cleanup_free_ struct mount **all = NULL;
	size_t n = 0, i = 0;
	int r = 0;

	pthread_mutex_lock(&m->lock);
	for (struct mount *mnt = m->list; mnt; mnt = mnt->next)
		n++;
	all = calloc(n + 1, sizeof(*all));
	for (struct mount *mnt = m->list; all && mnt; mnt = mnt->next) {
		mnt->refs++;
		all[i++] = mnt;
	}
	pthread_mutex_unlock(&m->lock);
	if (!all)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		if (r == 0)
			r = each(arg, all[i]);
		mount_unref(all[i]);
	}
	return r;
}

int mount_acquire(struct mount *mnt, const char *what, struct mounts_error *err)
{
	LOCK_SCOPE(&mnt->mounts->lock);
	if (mnt->ended)
		return mounts_fail(err, -ENOENT, 1, "%s was just unmounted",
				   mnt->state.dir);
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

static void wait_ended(struct mount *mnt)
{
	struct mounts *m = mnt->mounts;

	LOCK_SCOPE(&m->lock);
	while (!mnt->ended)
		pthread_cond_wait(&m->changed, &m->lock);
}

static int umount_acquired(struct mounts *m, struct mount *mnt, bool lazy,
			   bool discard, bool *ret_kept,
			   struct mounts_error *err)
{
	_cleanup_free_ char *error = NULL;
	struct view_stats stats;
	int r;

	view_stats(mnt->view, &stats);
	pthread_mutex_lock(&m->lock);
	mnt->discard = discard;
	pthread_mutex_unlock(&m->lock);
	r = supervisor_umount(m->config.link, mnt->state.id, lazy, &error);
	if (r < 0) {
		pthread_mutex_lock(&m->lock);
		mnt->discard = false;
		pthread_mutex_unlock(&m->lock);
		if (r == -EBUSY)
			return mounts_fail(
				err, r, 8,
				"%s is in use; end the programs that have "
				"files open or stand in it (fuser -vm shows "
				"them), or use --lazy", mnt->state.dir);
		return mounts_fail(err, r, 1, "unmounting %s: %s",
				   mnt->state.dir, error ? error :
							   strerror(-r));
	}
	*ret_kept = !discard && stats.dirty;
	if (lazy)
		return 0; /* it ends when its last user leaves */
	wait_ended(mnt);
	*ret_kept = mnt->kept;
	return 0;
}

int mounts_umount(struct mounts *m, const char *dir, bool lazy, bool discard,
		  bool *ret_kept, struct mounts_error *err)
{
	char id[MOUNT_ID_LEN + 1];
	struct mount *mnt;
	int r;

	r = mounts_find(m, dir, &mnt, err);
	if (r < 0)
		return r;
	memcpy(id, mnt->state.id, sizeof(id));
	r = mount_acquire(mnt, "umount", err);
	if (r == 0) {
		r = umount_acquired(m, mnt, lazy, discard, ret_kept, err);
		mount_release(mnt);
	}
	mount_unref(mnt);
	if (r == 0 && !lazy) {
		LOCK_SCOPE(&m->lock);
		while (list_has(m, id))
			pthread_cond_wait(&m->changed, &m->lock);
	}
	return r;
}

static bool is_mounted(struct mounts *m, const char *id)
{
	LOCK_SCOPE(&m->lock);
	return list_has(m, id);
}

struct resume {
	struct mounts *m;
	const char *which;
	int (*each)(void *arg, struct mount *mnt);
	void *arg;
	struct mounts_error *err;
	unsigned count;
};

static int resume_one(void *arg, const struct mount_state *s)
{
	struct resume *rs = arg;
	struct mount *mnt;
	int r;

	if (is_mounted(rs->m, s->id) ||
	    (rs->which && strcmp(rs->which, s->id) != 0 &&
	     strcmp(rs->which, s->dir) != 0))
		return 0;
	r = check_dir(rs->m, s->dir, rs->err);
	if (r < 0)
		return r;
	mnt = mount_alloc(rs->m);
	if (!mnt)
		return mounts_fail(rs->err, -ENOMEM, 1, "out of memory");
	mnt->refs = 2;
	r = mount_state_copy(s, &mnt->state);
	if (r == 0)
		r = mount_state_open(rs->m->dirfd, s->id, &mnt->dirfd);
	if (r < 0)
		mounts_fail(rs->err, r, 1, "the state of %s: %s", s->dir,
			    strerror(-r));
	mnt->state.kept_ns = 0;
	if (r == 0)
		r = mount_view_open(mnt, false, rs->err);
	if (r == 0)
		r = mount_attach(mnt, rs->err);
	if (r < 0) {
		mnt->refs = 1;
		mount_unref(mnt);
		return r;
	}
	mount_state_save(rs->m->dirfd, &mnt->state);
	rs->count++;
	r = rs->each(rs->arg, mnt);
	mount_unref(mnt);
	return r;
}

int mounts_resume(struct mounts *m, const char *dir_or_id,
		  int (*each)(void *arg, struct mount *mnt), void *arg,
		  struct mounts_error *err)
{
	struct resume rs = { m, dir_or_id, each, arg, err, 0 };
	int r;

	err->code = 0;
	r = mount_state_each(m->dirfd, resume_one, &rs);
	if (r < 0)
		return err->code ? r :
				   mounts_fail(err, r, 1,
					       "reading the kept mounts: %s",
					       strerror(-r));
	if (dir_or_id && rs.count == 0)
		return mounts_fail(err, -ENOENT, 1,
				   "nothing is kept for %s; larder status "
				   "lists what is", dir_or_id);
	return 0;
}

struct kept {
	struct mounts *m;
	int (*each)(void *arg, const char *id, const char *dir,
		    const char *entry, uint64_t upper_bytes, int64_t kept_ns);
	void *arg;
};

static int kept_one(void *arg, const struct mount_state *s)
{
	struct kept *k = arg;
	_cleanup_free_ char *entry = NULL;

	if (is_mounted(k->m, s->id))
		return 0;
	if (s->has_entry) {
		entry = io_path("%s@%s", s->entry.name, s->entry.key);
		if (!entry)
			return -ENOMEM;
	}
	return k->each(k->arg, s->id, s->dir, entry,
		       mount_state_bytes(k->m->dirfd, s->id),
		       s->kept_ns ? s->kept_ns : s->mounted_ns);
}

int mounts_each_kept(struct mounts *m,
		     int (*each)(void *arg, const char *id, const char *dir,
				 const char *entry, uint64_t upper_bytes,
				 int64_t kept_ns),
		     void *arg)
{
	struct kept k = { m, each, arg };

	return mount_state_each(m->dirfd, kept_one, &k);
}

static int adopt_one(void *arg, const char *id, const char *dir,
		     const char *desc, const void *init, size_t init_len,
		     int fd)
{
	struct mounts *m = arg;
	struct mounts_error err;
	struct mount *mnt = mount_alloc(m);
	int r;

	if (!mnt) {
		close(fd);
		return -ENOMEM;
	}
	r = mount_state_parse(desc, &mnt->state);
	if (r == 0)
		r = mount_state_open(m->dirfd, id, &mnt->dirfd);
	if (r == 0)
		r = mount_view_open(mnt, true, &err);
	if (r == 0) {
		r = mount_serve(mnt, fd, init_len ? init : NULL, init_len);
		fd = -1;
	}
	if (r < 0) {
		/* One mount that cannot go on must not take the others with
		 * it. */
		log_error(r, "taking the mount %s over", dir);
		cleanup_close(&fd);
		mount_unref(mnt);
		supervisor_umount(m->config.link, id, true, NULL);
		return 0;
	}
	log_info("took the mount %s over", dir);
	return 0;
}

int mounts_adopt(struct mounts *m)
{
	return supervisor_adopt(m->config.link, adopt_one, m);
}

int mount_set_entry(struct mount *mnt, const struct entry *e)
{
	struct mounts *m = mnt->mounts;
	_cleanup_free_ char *desc = NULL;
	struct entry copy = ENTRY_INIT;
	int r;

	r = entry_copy(e, &copy);
	if (r < 0)
		return r;
	pthread_mutex_lock(&m->lock);
	entry_release(&mnt->state.entry);
	mnt->state.entry = copy;
	mnt->state.has_entry = true;
	pthread_mutex_unlock(&m->lock);
	desc = mount_state_text(&mnt->state);
	if (!desc)
		return -ENOMEM;
	r = mount_state_save(m->dirfd, &mnt->state);
	if (r == 0)
		r = supervisor_save_desc(m->config.link, mnt->state.id, desc);
	return r;
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
