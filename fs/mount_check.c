/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a directory can be a mount point. The answers are for the user: what
 * happens between the question and the mount is the supervisor's to notice.
 * No state; any thread but those that serve a mount.
 *
 * A request of the daemon to a mount of its own is refused with EDEADLK
 * (session.c), so nothing here can hang on one.
 */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"

#include "mounts_internal.h"

static int stat_fail(const char *dir, int e, struct mounts_error *err)
{
	switch (e) {
	case ENOENT:
		return mounts_fail(err, -e, 1,
				   "%s does not exist; make the directory "
				   "first",
				   dir);
	case ENOTCONN:
		return mounts_fail(err, -e, 8,
				   "%s is a dead mount of another daemon; "
				   "larder umount --force it first",
				   dir);
	case EDEADLK:
		return mounts_fail(err, -e, 1,
				   "%s is inside a mount of Larder; choose a "
				   "directory outside of it",
				   dir);
	default:
		return mounts_fail(err, -e, 1, "%s cannot be used: %s", dir,
				   strerror(e));
	}
}

/* Whether `st`, of `dir`, is the root of a file system; -1 where that cannot
 * be known. */
static int is_root(const char *dir, const struct stat *st)
{
	_cleanup_free_ char *up = io_path("%s/..", dir);
	struct stat parent;

	if (!up || stat(up, &parent) < 0)
		return -1;
	return parent.st_dev != st->st_dev || parent.st_ino == st->st_ino;
}

bool mount_check_taken(const char *dir)
{
	struct stat st;

	if (lstat(dir, &st) < 0)
		return errno != ENOENT;
	return is_root(dir, &st) != 0;
}

static int check_empty(const char *dir, bool over_files,
		       struct mounts_error *err)
{
	_cleanup_closedir_ DIR *d = opendir(dir);
	struct dirent *de;

	if (!d)
		return mounts_fail(err, -errno, 1, "%s cannot be read: %s", dir,
				   strerror(errno));
	errno = 0;
	while ((de = readdir(d)) != NULL) {
		if (io_is_dot(de->d_name))
			continue;
		if (over_files)
			return 1;
		return mounts_fail(err, -ENOTEMPTY, 1,
				   "%s is not empty; move its files away, or "
				   "begin with them: --adopt",
				   dir);
	}
	if (errno != 0)
		return mounts_fail(err, -errno, 1, "%s cannot be read: %s", dir,
				   strerror(errno));
	return 0;
}

int mount_check_dir(const char *dir, bool over_files, struct mounts_error *err)
{
	struct stat st;

	if (lstat(dir, &st) < 0)
		return stat_fail(dir, errno, err);
	if (!S_ISDIR(st.st_mode))
		return mounts_fail(err, -ENOTDIR, 1,
				   "%s is not a directory; a mount point must "
				   "be an empty one",
				   dir);
	if (is_root(dir, &st) > 0)
		return mounts_fail(err, -EBUSY, 8,
				   "%s is a mount point of something else; "
				   "choose another directory",
				   dir);
	return check_empty(dir, over_files, err);
}
