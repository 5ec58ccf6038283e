/* SPDX-License-Identifier: Apache-2.0 */
/* Whose a directory is, and walking to one. */
#include "own_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"

#define OTHERS_WRITE (S_IWGRP | S_IWOTH)

/* --- whose --- */

static int check_owner(const char *path, const struct stat *st, bool shared,
		       char ret_why[OWN_DIR_WHY_MAX])
{
	if (st->st_uid == geteuid() || (shared && st->st_uid == 0))
		return 0;
	snprintf(ret_why, OWN_DIR_WHY_MAX,
		 "the directory %.400s belongs to another user (uid %u); use "
		 "one of your own",
		 path, (unsigned)st->st_uid);
	return -EACCES;
}

static int check_mode(const char *path, const struct stat *st, bool shared,
		      char ret_why[OWN_DIR_WHY_MAX])
{
	if (!(st->st_mode & OTHERS_WRITE) ||
	    (shared && (st->st_mode & S_ISVTX)))
		return 0;
	snprintf(ret_why, OWN_DIR_WHY_MAX,
		 "others may write to the directory %.400s; take that from "
		 "them (chmod go-w), or use another one",
		 path);
	return -EACCES;
}

static int open_error(const char *path, int err, char ret_why[OWN_DIR_WHY_MAX])
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode)) {
		snprintf(ret_why, OWN_DIR_WHY_MAX,
			 "%.400s is a symbolic link; name the directory itself",
			 path);
		return -ELOOP;
	}
	snprintf(ret_why, OWN_DIR_WHY_MAX, "cannot open directory %.400s: %s",
		 path, strerror(err));
	return -err;
}

int own_dir_open(const char *path, bool shared, char ret_why[OWN_DIR_WHY_MAX])
{
	_cleanup_close_ int fd =
		open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return open_error(path, errno, ret_why);
	r = check_owner(path, &st, shared, ret_why);
	if (r == 0)
		r = check_mode(path, &st, shared, ret_why);
	return r < 0 ? r : steal_fd(&fd);
}

/* --- walking --- */

/* As open(2) says ENOTDIR to a link that it is not to follow, too. */
static int step_error(int dirfd, const char *name, int err)
{
	struct stat st;

	if (err == ENOTDIR &&
	    fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISLNK(st.st_mode))
		return -ELOOP;
	return -err;
}

/* Goes from *fd into its directory `name` of `len` bytes. */
static int step(int *fd, const char *name, size_t len)
{
	char text[NAME_MAX + 1];
	int next;

	if (len > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(text, name, len);
	text[len] = '\0';
	if (io_is_dot(text))
		return -EINVAL;
	next = openat(*fd, text, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
	if (next < 0)
		return step_error(*fd, text, errno);
	close(*fd);
	*fd = next;
	return 0;
}

int own_dir_walk(const char *path, const char **ret_name)
{
	_cleanup_close_ int fd = -1;
	const char *name, *next;
	int r;

	if (path[0] != '/')
		return -EINVAL;
	fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	name = path + strspn(path, "/");
	for (;;) {
		size_t len = strcspn(name, "/");

		next = name + len + strspn(name + len, "/");
		if (!*next)
			break;
		r = step(&fd, name, len);
		if (r < 0)
			return r;
		name = next;
	}
	if (!*name || io_is_dot(name) || strncmp(name, "./", 2) == 0 ||
	    strncmp(name, "../", 3) == 0)
		return -EINVAL;
	*ret_name = name;
	return steal_fd(&fd);
}
