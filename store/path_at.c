/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Long paths in steps, each through a descriptor of the directory reached so
 * far. No state.
 */
#include "path_at.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/cleanup.h"

/* Opens the directory named by as much of *path as fits, and moves *path
 * behind it. */
static int path_step(int dirfd, const char **path)
{
	char head[PATH_MAX];
	const char *slash;
	size_t len;
	int fd;

	memcpy(head, *path, sizeof(head) - 1);
	head[sizeof(head) - 1] = '\0';
	slash = strrchr(head, '/');
	if (!slash || slash == head)
		return -ENAMETOOLONG;
	len = slash - head;
	head[len] = '\0';
	fd = openat(dirfd, head, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*path += len + 1;
	return fd;
}

int path_open_at(int dirfd, const char *path, int flags)
{
	_cleanup_close_ int at = -1;
	int fd;

	while (strlen(path) >= PATH_MAX) {
		fd = path_step(at >= 0 ? at : dirfd, &path);
		if (fd < 0)
			return fd;
		cleanup_close(&at);
		at = fd;
	}
	fd = openat(at >= 0 ? at : dirfd, path, flags);
	return fd < 0 ? -errno : fd;
}
