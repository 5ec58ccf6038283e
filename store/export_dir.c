/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree as a plain directory. The driving thread goes through the
 * directories depth first, makes each one's subdirectories and hands its
 * other names to a pool, a batch at a time; so packs are read about forwards
 * and no thread waits for another. Later names of hard links come after all
 * files, and directories get their owner, mode and times last, deepest first:
 * until then they are the exporting user's alone. What was written is noted in
 * a manifest, so that an import of the directory reads only what changed.
 */
#include "export.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/map.h"
#include "base/pool.h"
#include "chunker.h"
#include "export_node.h"
#include "manifest.h"
#include "path_at.h"

#define BATCH_NAMES 32
#define WINDOW_JOBS 32

struct export_dirrec {
	uint32_t ino;
	uint32_t parent; /* in export.dirs; the root: itself */
	struct catalog_dirent name;
};

/* A name of a node with several. */
struct export_name {
	uint32_t dir; /* in export.dirs */
	struct catalog_dirent name;
};

struct export_link {
	struct export_name first, other;
};

struct export
{
	struct export_target target;
	int rootfd;
	struct progress *progress;
	struct catalog_info info;
	struct pool *pool;

	struct export_dirrec *dirs; /* parents before children */
	uint32_t n_dirs;
	uint32_t *stack; /* directories to be visited */
	uint32_t n_stack;

	struct map first; /* ino -> struct export_name, of several names */
	struct export_link *links;
	size_t n_links, links_cap;

	struct manifest_list written;
	uint64_t done_files, done_bytes;
};

struct export_job {
	int dirfd; /* owned */
	unsigned n;
	uint64_t bytes;
	struct {
		struct catalog_dirent name;
		struct catalog_inode inode;
		struct stat written; /* st_nlink 0: not known */
	} items[BATCH_NAMES];
};

/* On the pool's threads */

static void thread_free(void *state)
{
	export_thread_free(state);
}

static void *thread_init(void *ctx)
{
	(void)ctx;
	return export_thread_new();
}

static void copy_name(const struct catalog_dirent *d,
		      char ret_name[CATALOG_NAME_MAX + 1])
{
	uint32_t len = d->name_len;

	if (len > CATALOG_NAME_MAX)
		len = CATALOG_NAME_MAX;
	memcpy(ret_name, d->name, len);
	ret_name[len] = '\0';
}

static int job_work(void *ctx, void *thread_state, void *arg)
{
	struct export_job *job = arg;
	struct export *x = ctx;
	char name[CATALOG_NAME_MAX + 1];
	unsigned i;
	int r;

	for (i = 0; i < job->n; i++) {
		copy_name(&job->items[i].name, name);
		r = export_node(&x->target, thread_state, job->dirfd, name,
				&job->items[i].inode);
		if (r < 0)
			return log_error(r, "cannot write %s", name);
		if (fstatat(job->dirfd, name, &job->items[i].written,
			    AT_SYMLINK_NOFOLLOW) < 0)
			job->items[i].written.st_nlink = 0;
	}
	return 0;
}

/* In the driving thread */

/* A file that gets more names changes once more. */
static int job_note(struct export *x, const struct export_job *job)
{
	unsigned i;
	int r = 0;

	for (i = 0; r == 0 && i < job->n; i++) {
		const struct catalog_inode *inode = &job->items[i].inode;

		if (!S_ISREG(inode->mode) || inode->nlink > 1 ||
		    job->items[i].written.st_nlink == 0)
			continue;
		r = manifest_add_stat(&x->written, &job->items[i].written,
				      inode->ino);
	}
	return r;
}

static int job_done(void *ctx, void *arg, int err)
{
	struct export_job *job = arg;
	struct export *x = ctx;

	x->done_files += job->n;
	x->done_bytes += job->bytes;
	if (err == 0)
		err = job_note(x, job);
	close(job->dirfd);
	free(job);
	if (err < 0)
		return err;
	return progress_tick(x->progress, "write", x->done_files,
			     x->info.inodes - x->info.dirs, x->done_bytes,
			     x->info.bytes);
}

static const struct pool_ops export_ops = {
	.thread_init = thread_init,
	.thread_free = thread_free,
	.work = job_work,
	.done = job_done,
};

static int dir_open(const struct export *x, uint32_t dir, int *ret_fd)
{
	_cleanup_free_ char *path = NULL;
	size_t len = 2;
	uint32_t d;
	char *p;
	int fd;

	for (d = dir; d != 0; d = x->dirs[d].parent)
		len += x->dirs[d].name.name_len + 1;
	path = malloc(len);
	if (!path)
		return -ENOMEM;
	p = path + len;
	*--p = '\0';
	for (d = dir; d != 0; d = x->dirs[d].parent) {
		if (d != dir)
			*--p = '/';
		p -= x->dirs[d].name.name_len;
		memcpy(p, x->dirs[d].name.name, x->dirs[d].name.name_len);
	}
	if (dir == 0)
		*--p = '.';
	fd = path_open_at(x->rootfd, p,
			  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

/* A directory is made when its parent is visited, and visited itself after
 * its elder siblings with all that is in them. The arrays have room for as
 * many as the catalog says it has; one that lies is damaged. */
static int dir_add(struct export *x, uint32_t parent, int parentfd,
		   const struct catalog_dirent *d)
{
	char name[CATALOG_NAME_MAX + 1];

	if (x->n_dirs >= x->info.dirs)
		return -EBADMSG;
	copy_name(d, name);
	if (mkdirat(parentfd, name, 0700) < 0)
		return log_error(-errno, "cannot make %s", name);
	x->dirs[x->n_dirs] = (struct export_dirrec){
		.ino = d->ino,
		.parent = parent,
		.name = *d,
	};
	x->stack[x->n_stack++] = x->n_dirs++;
	return 0;
}

static int link_add(struct export *x, const struct export_name *first,
		    const struct export_name *other)
{
	if (x->n_links == x->links_cap) {
		size_t cap = x->links_cap ? x->links_cap * 2 : 64;
		void *links = realloc(x->links, cap * sizeof(*x->links));

		if (!links)
			return -ENOMEM;
		x->links = links;
		x->links_cap = cap;
	}
	x->links[x->n_links++] = (struct export_link){ *first, *other };
	return 0;
}

/* Remembers the first name of a node with several; 1 for a later one. */
static int link_check(struct export *x, uint32_t dir,
		      const struct catalog_dirent *d)
{
	const struct export_name name = { .dir = dir, .name = *d };
	struct export_name *first = map_get(&x->first, d->ino);
	int r;

	if (first) {
		r = link_add(x, first, &name);
		return r < 0 ? r : 1;
	}
	first = malloc(sizeof(*first));
	if (!first)
		return -ENOMEM;
	*first = name;
	r = map_put(&x->first, d->ino, first);
	if (r < 0)
		free(first);
	return r;
}

static int job_submit(struct export *x, struct export_job **job)
{
	if (!*job)
		return 0;
	return pool_submit(x->pool, steal_ptr(job));
}

static int job_add(struct export *x, struct export_job **job, int dirfd,
		   const struct catalog_dirent *d,
		   const struct catalog_inode *inode)
{
	struct export_job *j = *job;

	if (!j) {
		j = calloc(1, sizeof(*j));
		if (!j)
			return -ENOMEM;
		j->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
		if (j->dirfd < 0) {
			free(j);
			return -errno;
		}
		*job = j;
	}
	j->items[j->n].name = *d;
	j->items[j->n++].inode = *inode;
	j->bytes += inode->size;
	return j->n == BATCH_NAMES ? job_submit(x, job) : 0;
}

static int visit_name(struct export *x, uint32_t dir, int dirfd,
		      const struct catalog_dirent *d, struct export_job **job)
{
	struct catalog_inode inode;
	int r;

	r = catalog_inode(x->target.catalog, d->ino, &inode);
	if (r < 0)
		return r;
	if (S_ISDIR(inode.mode))
		return dir_add(x, dir, dirfd, d);
	if (inode.nlink > 1) {
		r = link_check(x, dir, d);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	return job_add(x, job, dirfd, d, &inode);
}

static void stack_reverse(uint32_t *from, uint32_t *to)
{
	for (to--; from < to; from++, to--) {
		uint32_t swap = *from;

		*from = *to;
		*to = swap;
	}
}

static void cleanup_job(struct export_job **job)
{
	if (!*job)
		return;
	close((*job)->dirfd);
	free(*job);
}

static int visit_dir(struct export *x, uint32_t dir)
{
	_cleanup_(cleanup_job) struct export_job *job = NULL;
	_cleanup_close_ int fd = -1;
	struct catalog_dirent d;
	uint32_t before = x->n_stack, n;
	int r;

	r = dir_open(x, dir, &fd);
	if (r < 0)
		return r;
	for (n = 0;; n++) {
		r = catalog_dirent(x->target.catalog, x->dirs[dir].ino, n, &d);
		if (r == -ENOENT)
			break;
		if (r == 0)
			r = visit_name(x, dir, fd, &d, &job);
		if (r < 0)
			return r;
	}
	stack_reverse(x->stack + before, x->stack + x->n_stack);
	return job_submit(x, &job);
}

static int write_tree(struct export *x)
{
	int r = 0;

	x->dirs[0] = (struct export_dirrec){ .ino = CATALOG_ROOT };
	x->n_dirs = 1;
	x->stack[x->n_stack++] = 0;
	while (r == 0 && x->n_stack > 0)
		r = visit_dir(x, x->stack[--x->n_stack]);
	return r < 0 ? r : pool_finish(x->pool);
}

static int write_link(const struct export *x, const struct export_link *l)
{
	_cleanup_close_ int from = -1, to = -1;
	char first[CATALOG_NAME_MAX + 1], other[CATALOG_NAME_MAX + 1];
	int r;

	copy_name(&l->first.name, first);
	copy_name(&l->other.name, other);
	r = dir_open(x, l->first.dir, &from);
	if (r == 0)
		r = dir_open(x, l->other.dir, &to);
	if (r < 0)
		return r;
	if (linkat(from, first, to, other, 0) < 0)
		return log_error(-errno, "cannot link %s", other);
	return 0;
}

static int finish_dir(struct export *x, uint32_t dir)
{
	_cleanup_close_ int fd = -1;
	struct catalog_inode inode;
	int r;

	r = catalog_inode(x->target.catalog, x->dirs[dir].ino, &inode);
	if (r == 0)
		r = dir_open(x, dir, &fd);
	if (r == 0)
		r = export_dir_meta(&x->target, fd, &inode);
	if (r < 0) {
		char name[CATALOG_NAME_MAX + 1] = ".";

		if (dir != 0)
			copy_name(&x->dirs[dir].name, name);
		return log_error(r, "cannot finish directory %s", name);
	}
	return 0;
}

static int export_run(struct export *x)
{
	uint32_t dir;
	size_t n;
	int r;

	r = pool_new(&export_ops, x, pool_cpus(), WINDOW_JOBS, &x->pool);
	if (r < 0)
		return r;
	r = write_tree(x);
	for (n = 0; r == 0 && n < x->n_links; n++)
		r = write_link(x, &x->links[n]);
	for (dir = x->n_dirs; r == 0 && dir > 0; dir--)
		r = finish_dir(x, dir - 1);
	return r;
}

static int export_prepare(struct export *x)
{
	catalog_info(x->target.catalog, &x->info);
	x->dirs = calloc((size_t)x->info.dirs + 1, sizeof(*x->dirs));
	x->stack = calloc((size_t)x->info.dirs + 1, sizeof(*x->stack));
	return x->dirs && x->stack ? 0 : -ENOMEM;
}

/* Without it the next import reads everything. Waits until no file is as young
 * as the manifest, or the last ones would pass for changed. */
static void export_note(struct export *x)
{
	const struct timespec settle = { 0, MANIFEST_RACY_NS };
	struct manifest_root root;
	int r = manifest_root_of(x->rootfd, &root);

	nanosleep(&settle, NULL);
	if (r == 0)
		r = manifest_publish(store_tree_store(x->target.tree), &root,
				     store_tree_digest(x->target.tree),
				     clock_wall_ns(), &x->written);
	if (r < 0)
		log_warn(r, "cannot note what was written");
}

static void export_release(struct export *x)
{
	struct export_name *first;
	size_t pos = 0;

	pool_free(x->pool);
	while ((first = map_next(&x->first, &pos, NULL)))
		free(first);
	map_release(&x->first);
	manifest_list_release(&x->written);
	free(x->links);
	free(x->dirs);
	free(x->stack);
}

int export_dir(struct store_tree *t, int dirfd, const struct ingest_owner *self,
	       struct progress *progress)
{
	_cleanup_(export_release) struct export x = {
		.rootfd = dirfd,
		.progress = progress,
	};
	unsigned refused;
	int r;

	r = io_is_empty(dirfd);
	if (r <= 0)
		return r < 0 ? r : -ENOTEMPTY;
	r = export_target_init(&x.target, t, dirfd, self);
	if (r == 0)
		r = export_prepare(&x);
	if (r == 0)
		r = export_run(&x);
	if (r < 0)
		return r;
	export_note(&x);
	refused = atomic_load(&x.target.refused);
	if (refused > 0)
		log_warn(0, "%u extended attributes could not be set", refused);
	return 0;
}
