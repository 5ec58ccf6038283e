/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole reads and writes, small files, and trees of directories. No state;
 * any thread. Nothing is logged: the caller knows what the file was for.
 *
 * io_remove_tree() holds one descriptor a level and at most REMOVE_DEPTH of
 * them. A directory deeper than that is renamed up into the tree's top and
 * removed from there, so a tree of any depth goes with bounded memory and
 * descriptors.
 */
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

#define READ_FILE_STEP 4096
#define REMOVE_DEPTH 64

int io_pread(int fd, void *buf, size_t len, uint64_t off)
{
	uint8_t *p = buf;

	while (len > 0) {
		ssize_t n = pread(fd, p, len, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		p += n;
		len -= n;
		off += n;
	}
	return 0;
}

int io_pwrite(int fd, const void *buf, size_t len, uint64_t off)
{
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = len };

	return io_pwritev(fd, &iov, 1, off);
}

/* Takes `n` written bytes off the front; returns the parts used up. */
static int iov_advance(struct iovec *iov, int iovcnt, size_t n)
{
	int i = 0;

	while (i < iovcnt && n >= iov[i].iov_len)
		n -= iov[i++].iov_len;
	if (i < iovcnt) {
		iov[i].iov_base = (uint8_t *)iov[i].iov_base + n;
		iov[i].iov_len -= n;
	}
	return i;
}

int io_pwritev(int fd, struct iovec *iov, int iovcnt, uint64_t off)
{
	int used = iov_advance(iov, iovcnt, 0); /* drops empty parts */

	while (used < iovcnt) {
		int count = iovcnt - used < IOV_MAX ? iovcnt - used : IOV_MAX;
		ssize_t n = pwritev(fd, iov + used, count, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		off += n;
		used += iov_advance(iov + used, iovcnt - used, n);
	}
	return 0;
}

int io_write(int fd, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		p += n;
		len -= n;
	}
	return 0;
}

ssize_t io_read_upto(int fd, void *buf, size_t len)
{
	uint8_t *p = buf;
	size_t got = 0;

	while (got < len) {
		ssize_t n = read(fd, p + got, len - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += n;
	}
	return got;
}

/* Reads to the end in steps that double: files of /proc give no size. The
 * size given is only where to start. */
static int read_to_end(int fd, size_t hint, size_t max, uint8_t **ret_data,
		       size_t *ret_len)
{
	_cleanup_free_ uint8_t *data = NULL;
	size_t cap = hint, len = 0;

	for (;;) {
		uint8_t *more;
		ssize_t n;

		/* One byte over `max` tells too long from just fitting, one
		 * more is for the NUL. */
		more = realloc(data, cap + 2);
		if (!more)
			return -ENOMEM;
		data = more;
		n = io_read_upto(fd, data + len, cap + 1 - len);
		if (n < 0)
			return n;
		len += n;
		if (len <= cap)
			break;
		if (cap >= max)
			return -EFBIG;
		cap = cap > max / 2 ? max : cap * 2;
	}
	data[len] = '\0';
	*ret_data = steal_ptr(&data);
	*ret_len = len;
	return 0;
}

int io_read_file(int dirfd, const char *path, size_t max, uint8_t **ret_data,
		 size_t *ret_len)
{
	_cleanup_close_ int fd = -1;
	size_t hint = READ_FILE_STEP;
	struct stat st;

	if (max > SSIZE_MAX - 2)
		max = SSIZE_MAX - 2;
	fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > max)
		return -EFBIG;
	if (S_ISREG(st.st_mode) && st.st_size > 0)
		hint = st.st_size;
	return read_to_end(fd, hint < max ? hint : max, max, ret_data, ret_len);
}

static int mkdir_one(const char *path, mode_t mode)
{
	if (mkdir(path, mode) == 0 || errno == EEXIST)
		return 0;
	return -errno;
}

int io_mkdir_p(const char *path, mode_t mode)
{
	_cleanup_free_ char *copy = strdup(path);
	struct stat st;
	char *p;
	int r;

	if (!copy)
		return -ENOMEM;
	for (p = copy + strspn(copy, "/"); *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		r = mkdir_one(copy, mode);
		*p = '/';
		if (r < 0)
			return r;
	}
	r = mkdir_one(copy, mode);
	if (r < 0)
		return r;
	if (stat(copy, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

/* A tree being removed. */
struct removal {
	int topfd; /* its top directory, borrowed; -1 before it is open */
	uint32_t dev_major, dev_minor; /* of the top, once it is known */
	bool hoisted; /* something was moved into the top meanwhile */
};

/* Looks at the directory `name` in `dirfd` ("" is `dirfd` itself). Another
 * file system, or a bind mount of the same one, is -EXDEV. */
static int removal_check(struct removal *rm, int dirfd, const char *name,
			 struct statx *ret_st)
{
	int flags = AT_SYMLINK_NOFOLLOW | (*name ? 0 : AT_EMPTY_PATH);

	if (statx(dirfd, name, flags, STATX_MODE | STATX_INO, ret_st) < 0)
		return -errno;
	if (ret_st->stx_attributes & STATX_ATTR_MOUNT_ROOT)
		return -EXDEV;
	if (rm->topfd < 0) {
		rm->dev_major = ret_st->stx_dev_major;
		rm->dev_minor = ret_st->stx_dev_minor;
	}
	if (ret_st->stx_dev_major != rm->dev_major ||
	    ret_st->stx_dev_minor != rm->dev_minor)
		return -EXDEV;
	return 0;
}

/* Opens a directory to be emptied, after giving its owner the permissions
 * that emptying it takes. */
static int removal_open(struct removal *rm, int dirfd, const char *name,
			int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	struct statx st;
	int r;

	r = removal_check(rm, dirfd, name, &st);
	if (r < 0)
		return r;
	/* Where this fails, openat() tells whether it mattered. */
	if ((st.stx_mode & S_IRWXU) != S_IRWXU)
		(void)!fchmodat(dirfd, name, S_IRWXU, AT_SYMLINK_NOFOLLOW);
	fd = openat(dirfd, name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = removal_check(rm, fd, "", &st); /* `name` may be another by now */
	if (r < 0)
		return r;
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* Moves a directory that lies too deep into the top. Its inode number makes
 * the new name one of its own. */
static int removal_hoist(struct removal *rm, int dirfd, const char *name)
{
	struct statx st;
	char top_name[64];
	int r;

	r = removal_check(rm, dirfd, name, &st);
	if (r < 0)
		return r;
	/* Moving a directory rewrites its "..", which takes write access. */
	if ((st.stx_mode & S_IRWXU) != S_IRWXU)
		(void)!fchmodat(dirfd, name, S_IRWXU, AT_SYMLINK_NOFOLLOW);
	snprintf(top_name, sizeof(top_name), ".larder-removed-%llu",
		 (unsigned long long)st.stx_ino);
	if (renameat(dirfd, name, rm->topfd, top_name) < 0)
		return -errno;
	rm->hoisted = true;
	return 0;
}

static int removal_dir(struct removal *rm, int dirfd, const char *name,
		       unsigned depth);

static int removal_entry(struct removal *rm, int dirfd, const char *name,
			 unsigned depth)
{
	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR)
		return -errno;
	if (depth >= REMOVE_DEPTH)
		return removal_hoist(rm, dirfd, name);
	return removal_dir(rm, dirfd, name, depth);
}

bool io_is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int io_is_empty(int dirfd)
{
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *de;
	int r = io_opendir_at(dirfd, ".", &dir);

	if (r < 0)
		return r;
	while ((errno = 0, de = readdir(dir)))
		if (!io_is_dot(de->d_name))
			return 0;
	return errno ? -errno : 1;
}

static int removal_empty(struct removal *rm, DIR *dir, unsigned depth)
{
	struct dirent *de;
	int r;

	while ((errno = 0, de = readdir(dir))) {
		if (io_is_dot(de->d_name))
			continue;
		r = removal_entry(rm, dirfd(dir), de->d_name, depth + 1);
		if (r < 0)
			return r;
	}
	return -errno;
}

static int removal_dir(struct removal *rm, int dirfd, const char *name,
		       unsigned depth)
{
	_cleanup_closedir_ DIR *dir = NULL;
	_cleanup_close_ int fd = -1;
	int own, r;

	r = removal_open(rm, dirfd, name, &fd);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	own = steal_fd(&fd);
	if (depth == 0)
		rm->topfd = own;
	r = removal_empty(rm, dir, depth);
	while (r == 0 && depth == 0 && rm->hoisted) {
		rm->hoisted = false;
		rewinddir(dir);
		r = removal_empty(rm, dir, depth);
	}
	if (r < 0)
		return r;
	if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

int io_remove_tree(int dirfd, const char *path)
{
	struct removal rm = { .topfd = -1 };

	return removal_entry(&rm, dirfd, path, 0);
}

int io_opendir_at(int dirfd, const char *name, DIR **ret_dir)
{
	_cleanup_close_ int fd = -1;
	DIR *dir;

	fd = openat(dirfd, name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	steal_fd(&fd);
	*ret_dir = dir;
	return 0;
}

char *io_path(const char *fmt, ...)
{
	va_list ap;
	char *path;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&path, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : path;
}

int io_name_aside(char ret_name[IO_NAME_ASIDE_LEN + 1])
{
	uint64_t number;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -EIO;
	snprintf(ret_name, IO_NAME_ASIDE_LEN + 1, ".larder-%016" PRIx64,
		 number);
	return 0;
}
