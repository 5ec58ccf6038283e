/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishing by rename. A name that exists under its final spelling always
 * has whole, synced content; everything else carries the temporary prefix.
 * Owns only what a struct publish holds; a struct belongs to one thread.
 */
#include "publish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "fault.h"
#include "io.h"

#define OPEN_ATTEMPTS 100000

static int open_dir(int dirfd)
{
	return openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* The counter makes names differ within a process, the process id between
 * processes; a name that a crashed process of the same id left is skipped. */
static int open_temporary(int dirfd, mode_t mode, char *ret_name, size_t room)
{
	static atomic_ulong counter;
	unsigned i;
	int fd;

	for (i = 0; i < OPEN_ATTEMPTS; i++) {
		snprintf(ret_name, room, PUBLISH_TMP_PREFIX "%ld-%lu",
			 (long)getpid(), atomic_fetch_add(&counter, 1));
		fd = openat(dirfd, ret_name,
			    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
			    mode);
		if (fd >= 0)
			return fd;
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

int publish_open(struct publish *p, int dirfd, mode_t mode)
{
	_cleanup_close_ int dir = -1;
	int fd, r;

	*p = (struct publish)PUBLISH_INIT;
	r = fault_check("publish.open");
	if (r < 0)
		return r;
	dir = open_dir(dirfd);
	if (dir < 0)
		return -errno;
	fd = open_temporary(dir, mode, p->name, sizeof(p->name));
	if (fd < 0) {
		p->name[0] = '\0';
		return fd;
	}
	p->fd = fd;
	p->dirfd = steal_fd(&dir);
	return 0;
}

static int sync_fd(int fd, const char *point)
{
	int r = fault_check(point);

	if (r < 0)
		return r;
	return fsync(fd) < 0 ? -errno : 0;
}

int publish_sync(struct publish *p)
{
	return sync_fd(p->fd, "publish.sync");
}

int publish_rename_at(struct publish *p, int dirfd, const char *final)
{
	int r = fault_check("publish.rename");

	if (r < 0)
		return r;
	if (renameat(p->dirfd, p->name, dirfd, final) < 0)
		return -errno;
	p->name[0] = '\0';
	return 0;
}

int publish_sync_dir(int dirfd)
{
	return sync_fd(dirfd, "publish.dirsync");
}

int publish_commit(struct publish *p, const char *final)
{
	return publish_commit_at(p, p->dirfd, final);
}

/* The directory that loses the temporary name is not synced: should the name
 * come back after a crash, the sweep removes it. */
int publish_commit_at(struct publish *p, int dirfd, const char *final)
{
	_cleanup_close_ int dir = -1;
	int r;

	/* Also turns AT_FDCWD and O_PATH descriptors into one that syncs. */
	dir = open_dir(dirfd);
	if (dir < 0)
		return -errno;
	r = publish_sync(p);
	if (r == 0)
		r = publish_rename_at(p, dir, final);
	return r < 0 ? r : publish_sync_dir(dir);
}

int publish_commit_unsynced(struct publish *p, const char *final)
{
	return publish_rename_at(p, p->dirfd, final);
}

void publish_release(struct publish *p)
{
	int saved = errno;

	if (p->name[0])
		unlinkat(p->dirfd, p->name, 0);
	errno = saved;
	cleanup_close(&p->fd);
	cleanup_close(&p->dirfd);
	*p = (struct publish)PUBLISH_INIT;
}

int publish_file(int dirfd, const char *final, const void *data, size_t len,
		 mode_t mode)
{
	_cleanup_publish_ struct publish p = PUBLISH_INIT;
	int r;

	r = publish_open(&p, dirfd, mode);
	if (r < 0)
		return r;
	r = io_write(p.fd, data, len);
	if (r < 0)
		return r;
	return publish_commit(&p, final);
}

int publish_sweep(int dirfd)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *de;
	int r;

	r = io_opendir_at(dirfd, ".", &dir);
	if (r < 0)
		return r;
	while ((errno = 0, de = readdir(dir))) {
		if (strncmp(de->d_name, PUBLISH_TMP_PREFIX,
			    strlen(PUBLISH_TMP_PREFIX)) != 0)
			continue;
		/* A directory of such a name is not ours. */
		if (unlinkat(dirfd, de->d_name, 0) < 0 && errno != ENOENT &&
		    errno != EISDIR)
			return -errno;
	}
	return -errno;
}
