/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See log_file.h. The file's lock is held from the look at its length until it
 * has its new name, so of several processes that find it too long one
 * renames it; the others see that another file is at its place.
 */
#include "log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "io.h"

static char *file_path, *old_path; /* constant once bounded, as the next */
static uint64_t file_max;

static pthread_mutex_t file_lock = PTHREAD_MUTEX_INITIALIZER;

/* Whether the open file is the one at the path. */
static bool is_at_path(int fd, struct stat *ret_st)
{
	struct stat there;

	return fstat(fd, ret_st) == 0 && stat(file_path, &there) == 0 &&
	       ret_st->st_dev == there.st_dev && ret_st->st_ino == there.st_ino;
}

static bool is_long(const struct stat *st)
{
	return (uint64_t)st->st_size >= file_max;
}

static int file_open(void)
{
	return open(file_path,
		    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
		    0600);
}

/* The file that lines go to from now on; -1: the same as before. */
static int file_next(void)
{
	_cleanup_close_ int fd = file_open();
	struct stat st;

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || !is_at_path(fd, &st))
		return -1;
	if (!is_long(&st))
		return fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	return rename(file_path, old_path) < 0 ? -1 : file_open();
}

static void check_locked(void)
{
	_cleanup_close_ int next = -1;
	struct stat st;

	if (is_at_path(STDERR_FILENO, &st) && !is_long(&st))
		return;
	next = file_next();
	if (next >= 0)
		(void)dup2(next, STDERR_FILENO);
}

void log_file_check(void)
{
	int saved = errno;

	/* Who comes while another one looks writes where he did before. */
	if (!file_path || pthread_mutex_trylock(&file_lock) != 0)
		return;
	check_locked();
	pthread_mutex_unlock(&file_lock);
	errno = saved;
}

int log_file_bound(const char *path, uint64_t max_bytes)
{
	struct stat here, there;

	if (fstat(STDERR_FILENO, &here) < 0 || stat(path, &there) < 0 ||
	    !S_ISREG(here.st_mode) || here.st_dev != there.st_dev ||
	    here.st_ino != there.st_ino)
		return 0;
	old_path = io_path("%s.old", path);
	file_max = max_bytes;
	file_path = old_path ? strdup(path) : NULL;
	return file_path ? 0 : -ENOMEM;
}
