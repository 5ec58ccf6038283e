/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tier in a directory: a mounted share, or one that several daemons of a
 * machine have in common. Objects are files; a file appears by a rename and is
 * whole from then on, so any number of daemons may write to one directory.
 * New files and directories get the permissions of the directory that they are
 * in, whatever the umask: whoever shares the root says by its mode with whom.
 *
 * The path to an object is walked name by name, and nothing but directories is
 * walked through: a symbolic link below the root leads nowhere. Holds no
 * descriptor between calls, so a share may come and go; what hangs in the
 * kernel, because a server does, hangs here too, and only what waits between
 * two steps sees the deadline.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/publish.h"
#include "tier.h"

#define STEP_BYTES (256u << 10)
#define LIST_DEPTH 16

struct dir_tier {
	char *root; /* constant */
};

static void dir_free(void *self)
{
	struct dir_tier *d = self;

	free(d->root);
	free(d);
}

/* An errno of the file system, in a tier's words. */
static int dir_fail(const struct tier_call *c, int err, const char *what)
{
	tier_why(c, err, "%s: %s", what, strerror(-err));
	switch (err) {
	case -ENOENT:
	case -ENOMEM:
	case -ENOSPC:
	case -EFBIG:
	case -ETIMEDOUT:
	case -ECANCELED:
		return err;
	case -EDQUOT:
		return -ENOSPC;
	case -EACCES:
	case -EPERM:
	case -EROFS:
	case -ELOOP:
	case -ENOTDIR:
	case -EISDIR:
		return -EACCES;
	default:
		return -EIO;
	}
}

static int open_root(const struct dir_tier *d, const struct tier_call *c)
{
	int fd = open(d->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	/* A share that is not there is a failure, and no absence. */
	return errno == ENOENT ?
		       tier_why(c, -EIO, "the directory is not there") :
		       dir_fail(c, -errno, "the directory");
}

/* Makes a directory that stays; another daemon may be faster. */
static int make_dir(int dirfd, const char *name)
{
	struct stat st;

	if (fstat(dirfd, &st) < 0)
		return -errno;
	if (mkdirat(dirfd, name, 0700) < 0)
		return errno == EEXIST ? 0 : -errno;
	if (fchmodat(dirfd, name, st.st_mode & (S_ISGID | 0777), 0) < 0 ||
	    fsync(dirfd) < 0)
		return -errno;
	return 0;
}

static int set_mode(int dirfd, int fd)
{
	struct stat st;

	if (fstat(dirfd, &st) < 0 || fchmod(fd, st.st_mode & 0666) < 0)
		return -errno;
	return 0;
}

static int open_dir(int dirfd, const char *name, bool make)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;
	int r, fd = openat(dirfd, name, flags);

	if (fd >= 0 || errno != ENOENT || !make)
		return fd < 0 ? -errno : fd;
	r = make_dir(dirfd, name);
	if (r < 0)
		return r;
	fd = openat(dirfd, name, flags);
	return fd < 0 ? -errno : fd;
}

/* The directory that the last segment of `path` is in; *ret_name is that
 * segment, within `path`. */
static int open_parent(const struct dir_tier *d, const struct tier_call *c,
		       const char *path, bool make, const char **ret_name)
{
	_cleanup_close_ int fd = open_root(d, c);
	char name[TIER_PATH_MAX + 1];
	const char *slash;

	if (fd < 0)
		return fd;
	while ((slash = strchr(path, '/'))) {
		int next;

		memcpy(name, path, slash - path);
		name[slash - path] = '\0';
		next = open_dir(fd, name, make);
		if (next < 0)
			return dir_fail(c, next, name);
		close(fd);
		fd = next;
		path = slash + 1;
	}
	*ret_name = path;
	return steal_fd(&fd);
}

static int open_object(const struct dir_tier *d, const struct tier_call *c,
		       const char *path, uint64_t *ret_size)
{
	_cleanup_close_ int dirfd = -1, fd = -1;
	const char *name;
	struct stat st;

	dirfd = open_parent(d, c, path, false, &name);
	if (dirfd < 0)
		return dirfd;
	/* Not to wait for the other end of a FIFO. */
	fd = openat(dirfd, name,
		    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0)
		return dir_fail(c, -errno, name);
	if (!S_ISREG(st.st_mode))
		return tier_why(c, -EACCES, "%.100s is no regular file", name);
	*ret_size = st.st_size;
	return steal_fd(&fd);
}

static int copy_out(const struct tier_call *c, int fd, uint64_t off,
		    uint64_t len, tier_sink sink, void *arg)
{
	_cleanup_free_ uint8_t *buf = malloc(STEP_BYTES);
	int r = buf ? 0 : -ENOMEM;

	while (r == 0 && len > 0) {
		size_t n = len < STEP_BYTES ? len : STEP_BYTES;

		r = tier_call_check(c);
		if (r < 0)
			return r;
		r = io_pread(fd, buf, n, off);
		if (r == -ENODATA)
			return tier_why(c, -EIO, "the file became shorter");
		if (r < 0)
			return dir_fail(c, r, "reading");
		r = sink(arg, buf, n);
		off += n;
		len -= n;
	}
	return r;
}

static int dir_get(void *self, const struct tier_call *c, const char *path,
		   uint64_t off, uint64_t len, tier_sink sink, void *arg)
{
	_cleanup_close_ int fd = -1;
	uint64_t size;

	fd = open_object(self, c, path, &size);
	if (fd < 0)
		return fd;
	if (off > size || len > size - off)
		return tier_why(c, -EIO, "a file of %llu bytes",
				(unsigned long long)size);
	return copy_out(c, fd, off, len ? len : size - off, sink, arg);
}

static int copy_in(const struct tier_call *c, int fd, uint64_t size,
		   tier_source source, void *arg)
{
	_cleanup_free_ uint8_t *buf = malloc(STEP_BYTES);
	uint64_t off = 0;
	int r = buf ? 0 : -ENOMEM;

	while (r == 0 && off < size) {
		ssize_t n = size - off < STEP_BYTES ? size - off : STEP_BYTES;

		r = tier_call_check(c);
		if (r < 0)
			return r;
		n = source(arg, buf, n, off);
		if (n <= 0)
			return tier_why(c, n < 0 ? (int)n : -EIO,
					"what is to be put ended early");
		r = io_write(fd, buf, n);
		if (r < 0)
			return dir_fail(c, r, "writing");
		off += n;
	}
	return r;
}

static int dir_put(void *self, const struct tier_call *c, const char *path,
		   uint64_t size, tier_source source, void *arg)
{
	_cleanup_publish_ struct publish p = PUBLISH_INIT;
	_cleanup_close_ int dirfd = -1;
	const char *name;
	int r;

	dirfd = open_parent(self, c, path, true, &name);
	if (dirfd < 0)
		return dirfd;
	r = publish_open(&p, dirfd, 0600);
	if (r == 0)
		r = set_mode(dirfd, p.fd);
	if (r < 0)
		return dir_fail(c, r, "a new file");
	r = copy_in(c, p.fd, size, source, arg);
	if (r < 0)
		return r;
	r = publish_commit(&p, name);
	return r < 0 ? dir_fail(c, r, name) : 0;
}

static int dir_head(void *self, const struct tier_call *c, const char *path,
		    uint64_t *ret_size)
{
	_cleanup_close_ int fd = open_object(self, c, path, ret_size);

	return fd < 0 ? fd : 0;
}

static int dir_delete(void *self, const struct tier_call *c, const char *path)
{
	_cleanup_close_ int dirfd = -1;
	const char *name;

	dirfd = open_parent(self, c, path, false, &name);
	if (dirfd < 0)
		return dirfd;
	return unlinkat(dirfd, name, 0) < 0 ? dir_fail(c, -errno, name) : 0;
}

/* A walk over what is below a prefix. */
struct listing {
	const struct tier_call *call;
	tier_each each;
	void *arg;
	char path[TIER_PATH_MAX + 1];
};

static int list_dir(struct listing *l, int dirfd, unsigned depth);

/* `l->path` is that of the name. What is no object because of its kind is passed
 * over; so is what another daemon has removed meanwhile, and nothing else that
 * is not told: who collects takes what is not listed for gone. */
static int list_path(struct listing *l, int dirfd, const char *name,
		     unsigned depth)
{
	struct stat st;
	int fd;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : dir_fail(l->call, -errno, name);
	if (S_ISREG(st.st_mode)) {
		const struct tier_object o = { l->path, st.st_size,
					       clock_timespec_ns(&st.st_mtim) };

		return l->each(l->arg, &o);
	}
	if (!S_ISDIR(st.st_mode) || depth >= LIST_DEPTH)
		return 0;
	fd = open_dir(dirfd, name, false);
	return fd == -ENOENT ? 0 :
	       fd < 0	     ? dir_fail(l->call, fd, name) :
			       list_dir(l, fd, depth + 1);
}

/* What is no object because of its name is passed over. */
static int list_name(struct listing *l, int dirfd, const char *name,
		     unsigned depth)
{
	size_t used = strlen(l->path);
	int n, r = 0;

	n = snprintf(l->path + used, sizeof(l->path) - used, "%s%s",
		     used ? "/" : "", name);
	if (n < (int)(sizeof(l->path) - used) && tier_path_is_valid(l->path))
		r = list_path(l, dirfd, name, depth);
	l->path[used] = '\0';
	return r;
}

/* Takes `dirfd` over. */
static int list_dir(struct listing *l, int dirfd, unsigned depth)
{
	_cleanup_closedir_ DIR *dir = fdopendir(dirfd);
	struct dirent *de;
	int r = 0;

	if (!dir) {
		r = dir_fail(l->call, -errno, "listing");
		close(dirfd);
		return r;
	}
	while (r == 0 && (errno = 0, de = readdir(dir))) {
		if (de->d_name[0] == '.')
			continue;
		r = tier_call_check(l->call);
		if (r == 0)
			r = list_name(l, dirfd, de->d_name, depth);
	}
	return r ? r : errno ? dir_fail(l->call, -errno, "listing") : 0;
}

/* Opens the directory `prefix`; -ENOENT where it is not there. */
static int open_prefix(const struct dir_tier *d, const struct tier_call *c,
		       const char *prefix)
{
	_cleanup_close_ int dirfd = -1;
	const char *name;
	int fd;

	if (!*prefix)
		return open_root(d, c);
	dirfd = open_parent(d, c, prefix, false, &name);
	if (dirfd < 0)
		return dirfd;
	fd = open_dir(dirfd, name, false);
	return fd < 0 ? dir_fail(c, fd, name) : fd;
}

static int dir_list(void *self, const struct tier_call *c, const char *prefix,
		    tier_each each, void *arg)
{
	struct listing l = { .call = c, .each = each, .arg = arg };
	int fd = open_prefix(self, c, prefix);

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	snprintf(l.path, sizeof(l.path), "%s", prefix);
	return list_dir(&l, fd, 0);
}

static const struct tier_ops dir_ops = {
	.get = dir_get,
	.put = dir_put,
	.head = dir_head,
	.list = dir_list,
	.delete = dir_delete,
	.free = dir_free,
};

int tier_dir_new(const char *root, struct tier **ret_tier)
{
	struct dir_tier *d;

	if (*root != '/')
		return -EINVAL;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->root = strdup(root);
	if (!d->root) {
		free(d);
		return -ENOMEM;
	}
	return tier_new(&dir_ops, d, ret_tier);
}
