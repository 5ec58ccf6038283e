/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk. Paths are relative to the root and put together from the records
 * when they are needed; one that is longer than the kernel takes is gone in
 * steps. Symlinks are never followed below the root. Extended attributes are
 * read through /proc/self/fd, which needs no open file.
 */
#include "ingest_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "path_at.h"
#include "xattr_codec.h"

#define WALK_ROOT 0u

static const char *walk_name(const struct walk *w, size_t name)
{
	return (const char *)w->names.data + name;
}

static int walk_add_name(struct walk *w, const char *name, size_t *ret_name)
{
	size_t at = w->names.len;

	buf_put(&w->names, name, strlen(name) + 1);
	if (buf_error(&w->names))
		return -ENOMEM;
	*ret_name = at;
	return 0;
}

/* "a/b/c" of `name` in directory `dir`; `name` NULL is the directory, and the
 * root is ".". */
static char *walk_path(const struct walk *w, uint32_t dir, const char *name)
{
	size_t len = name ? strlen(name) + 1 : 0;
	uint32_t d;
	char *path, *p;

	if (dir == WALK_ROOT && !name)
		return strdup(".");
	for (d = dir; d != WALK_ROOT; d = w->dirs[d].parent)
		len += strlen(walk_name(w, w->dirs[d].name)) + 1;
	path = malloc(len);
	if (!path)
		return NULL;
	p = path + len;
	*--p = '\0';
	if (name) {
		p -= strlen(name);
		memcpy(p, name, strlen(name));
	}
	for (d = dir; d != WALK_ROOT; d = w->dirs[d].parent) {
		const char *part = walk_name(w, w->dirs[d].name);

		if (d != dir || name)
			*--p = '/';
		p -= strlen(part);
		memcpy(p, part, strlen(part));
	}
	return path;
}

static int entry_error(const struct walk *w, uint32_t dir, const char *name,
		       int err, const char *what)
{
	_cleanup_free_ char *path = walk_path(w, dir, name);

	return log_error(err, "%s/%s: %s", w->label, path ? path : "?", what);
}

int walk_error(const struct walk *w, const struct walk_file *f, int err,
	       const char *what)
{
	return entry_error(w, f->dir, walk_name(w, f->name), err, what);
}

static void meta_owner(const struct ingest_owner *self, const struct stat *st,
		       struct catalog_meta *m)
{
	m->uid = st->st_uid == self->uid ? CATALOG_OWNER_SELF : st->st_uid;
	m->gid = st->st_gid == self->gid ? CATALOG_OWNER_SELF : st->st_gid;
}

static int meta_fill(const struct ingest_owner *self, const struct stat *st,
		     struct catalog_meta *m)
{
	*m = (struct catalog_meta){
		.mode = st->st_mode,
		.mtime_sec = st->st_mtim.tv_sec,
		.mtime_nsec = st->st_mtim.tv_nsec,
	};
	meta_owner(self, st, m);
	if (!S_ISCHR(st->st_mode) && !S_ISBLK(st->st_mode))
		return 0;
	if (st->st_rdev > UINT32_MAX)
		return -EFBIG;
	m->rdev = st->st_rdev;
	return 0;
}

int walk_root(int rootfd, const struct ingest_owner *self, bool privileged,
	      struct buf *xattrs, struct catalog_meta *ret_meta)
{
	struct stat st;

	if (fstat(rootfd, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ?
		       walk_meta(rootfd, self, privileged, xattrs, ret_meta) :
		       -ENOTDIR;
}

int walk_meta(int fd, const struct ingest_owner *self, bool privileged,
	      struct buf *xattrs, struct catalog_meta *ret_meta)
{
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	r = meta_fill(self, &st, ret_meta);
	if (r < 0)
		return r;
	r = xattr_read_fd(fd, privileged, xattrs);
	if (r < 0)
		return r;
	ret_meta->xattrs = xattrs->data;
	ret_meta->xattrs_len = xattrs->len;
	return 0;
}

static int add_dir(struct walk *w, uint32_t parent, uint32_t node,
		   const char *name)
{
	struct walk_dir d = { .parent = parent, .node = node };

	if (w->n_dirs == w->dirs_cap) {
		uint32_t cap = w->dirs_cap ? w->dirs_cap * 2 : 256;
		void *dirs = realloc(w->dirs, cap * sizeof(*w->dirs));

		if (!dirs)
			return -ENOMEM;
		w->dirs = dirs;
		w->dirs_cap = cap;
	}
	if (walk_add_name(w, name, &d.name) < 0)
		return -ENOMEM;
	w->dirs[w->n_dirs++] = d;
	return 0;
}

static int add_file(struct walk *w, uint32_t dir, uint32_t node,
		    const char *name, const struct stat *st)
{
	struct walk_file f = {
		.dir = dir,
		.node = node,
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = st->st_size,
		.mtime_ns = clock_timespec_ns(&st->st_mtim),
		.ctime_ns = clock_timespec_ns(&st->st_ctim),
	};

	if (w->n_files == w->files_cap) {
		uint32_t cap = w->files_cap ? w->files_cap * 2 : 4096;
		void *files = realloc(w->files, cap * sizeof(*w->files));

		if (!files)
			return -ENOMEM;
		w->files = files;
		w->files_cap = cap;
	}
	if (walk_add_name(w, name, &f.name) < 0)
		return -ENOMEM;
	w->files[w->n_files++] = f;
	w->bytes += st->st_size;
	return 0;
}

/* Some file systems lie about the size of a link, so the read decides. */
static int read_target(int dirfd, const char *name, char *buf, size_t room,
		       size_t *ret_len)
{
	ssize_t n = readlinkat(dirfd, name, buf, room);

	if (n < 0)
		return -errno;
	if ((size_t)n == room)
		return -ENAMETOOLONG;
	*ret_len = n;
	return 0;
}

static int read_xattrs(const struct walk *w, int dirfd, const char *name,
		       const struct stat *st, struct buf *out)
{
	char path[sizeof("/proc/self/fd//") + 12 + NAME_MAX];

	/* Without privilege only these types have any. */
	if (!w->privileged && !S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dirfd, name);
	return xattr_read_path(path, w->privileged, out);
}

static int make_node(struct walk *w, int dirfd, const char *name,
		     const struct stat *st, uint32_t *ret_node)
{
	_cleanup_buf_ struct buf xattrs = BUF_INIT;
	char target[CATALOG_SYMLINK_MAX + 2];
	struct catalog_meta m;
	int r;

	r = meta_fill(w->self, st, &m);
	if (r < 0)
		return r;
	if (S_ISLNK(st->st_mode)) {
		r = read_target(dirfd, name, target, sizeof(target),
				&m.target_len);
		if (r < 0)
			return r;
		m.target = target;
	}
	r = read_xattrs(w, dirfd, name, st, &xattrs);
	if (r < 0)
		return r;
	m.xattrs = xattrs.data;
	m.xattrs_len = xattrs.len;
	return catalog_build_node(w->build, &m, ret_node);
}

static bool is_linked(const struct walk *w, const struct stat *st)
{
	return st->st_nlink > 1 && !S_ISDIR(st->st_mode) &&
	       st->st_dev == w->dev;
}

static int find_or_make_node(struct walk *w, uint32_t dir, int dirfd,
			     const char *name, const struct stat *st,
			     uint32_t *ret_node)
{
	uint32_t node;
	void *known;
	int r;

	known = is_linked(w, st) ? map_get(&w->links, st->st_ino) : NULL;
	if (known) {
		*ret_node = (uintptr_t)known - 1;
		return 0;
	}
	r = make_node(w, dirfd, name, st, &node);
	if (r < 0)
		return r;
	if (is_linked(w, st)) {
		r = map_put(&w->links, st->st_ino,
			    (void *)((uintptr_t)node + 1));
		if (r < 0)
			return r;
	}
	if (S_ISREG(st->st_mode))
		r = add_file(w, dir, node, name, st);
	else if (S_ISDIR(st->st_mode))
		r = add_dir(w, dir, node, name);
	if (r < 0)
		return r;
	*ret_node = node;
	return 0;
}

static int walk_entry(struct walk *w, uint32_t dir, int dirfd, const char *name)
{
	struct stat st;
	uint32_t node;
	int r;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return entry_error(w, dir, name, -errno, "cannot stat");
	if (S_ISSOCK(st.st_mode)) {
		_cleanup_free_ char *path = walk_path(w, dir, name);

		log_warn(0, "%s/%s: a socket, left out", w->label,
			 path ? path : "?");
		return 0;
	}
	if (S_ISDIR(st.st_mode) && st.st_dev != w->dev)
		return entry_error(w, dir, name, -EXDEV,
				   "another file system is mounted here");
	r = find_or_make_node(w, dir, dirfd, name, &st, &node);
	if (r == 0)
		r = catalog_build_link(w->build, w->dirs[dir].node, name,
				       strlen(name), node);
	if (r < 0)
		return entry_error(w, dir, name, r, "cannot take in");
	return progress_tick(w->progress, "scan", w->n_files, 0, w->bytes, 0);
}

static int open_dir(const struct walk *w, uint32_t dir, DIR **ret_dir)
{
	_cleanup_free_ char *path = walk_path(w, dir, NULL);
	_cleanup_close_ int fd = -1;

	if (!path)
		return -ENOMEM;
	fd = path_open_at(w->rootfd, path,
			  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fd;
	*ret_dir = fdopendir(fd);
	if (!*ret_dir)
		return -errno;
	steal_fd(&fd);
	return 0;
}

static int walk_directory(struct walk *w, uint32_t dir)
{
	_cleanup_closedir_ DIR *d = NULL;
	struct dirent *de;
	int r;

	r = open_dir(w, dir, &d);
	if (r < 0)
		return entry_error(w, dir, NULL, r, "cannot open");
	while ((errno = 0, de = readdir(d))) {
		if (io_is_dot(de->d_name))
			continue;
		r = walk_entry(w, dir, dirfd(d), de->d_name);
		if (r < 0)
			return r;
	}
	if (errno)
		return entry_error(w, dir, NULL, -errno, "cannot list");
	return 0;
}

int walk_run(struct walk *w)
{
	struct stat st;
	uint32_t dir;
	int r;

	if (fstat(w->rootfd, &st) < 0)
		return -errno;
	w->dev = st.st_dev;
	r = add_dir(w, WALK_ROOT, CATALOG_BUILD_ROOT, "");
	for (dir = 0; r == 0 && dir < w->n_dirs; dir++)
		r = walk_directory(w, dir);
	return r;
}

void walk_release(struct walk *w)
{
	buf_release(&w->names);
	free(w->dirs);
	free(w->files);
	map_release(&w->links);
}

int walk_open(const struct walk *w, const struct walk_file *f, int *ret_fd)
{
	_cleanup_free_ char *path = walk_path(w, f->dir, walk_name(w, f->name));
	int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	int fd;

	if (!path)
		return -ENOMEM;
	/* Only the owner may ask for O_NOATIME. */
	fd = path_open_at(w->rootfd, path, flags | O_NOATIME);
	if (fd == -EPERM)
		fd = path_open_at(w->rootfd, path, flags);
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

int walk_check(const struct walk *w, const struct walk_file *f, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return walk_error(w, f, -errno, "cannot stat");
	if (st.st_dev == f->dev && st.st_ino == f->ino &&
	    (uint64_t)st.st_size == f->size &&
	    clock_timespec_ns(&st.st_mtim) == f->mtime_ns &&
	    clock_timespec_ns(&st.st_ctim) == f->ctime_ns)
		return 0;
	return walk_error(w, f, -ESTALE, "changed while it was imported");
}
