/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/PID/maps names each mapping's file by device, inode number and path.
 * The path is the process's: a file that is found there is written back only
 * if it is the one that is mapped. /proc/PID/fd/N leads to the open file
 * itself; that it is open for writing is in the mode of the link.
 */
#include "writers.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"

struct mapping {
	char access[5];
	unsigned major, minor;
	unsigned long long ino;
	const char *path; /* in the line; "" for none */
};

/* False for a line of another form. */
static bool parse(char *line, struct mapping *ret_mapping)
{
	struct mapping m;
	int at = -1;

	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "%*s %4s %*s %x:%x %llu %n", m.access, &m.major,
		   &m.minor, &m.ino, &at) < 4 ||
	    at < 0)
		return false;
	m.path = line + at;
	*ret_mapping = m;
	return true;
}

/* To the file system, not to its disk. */
static int write_back(int fd)
{
	return sync_file_range(fd, 0, 0,
			       SYNC_FILE_RANGE_WAIT_BEFORE |
				       SYNC_FILE_RANGE_WRITE |
				       SYNC_FILE_RANGE_WAIT_AFTER) < 0 ?
		       -errno :
		       0;
}

/* 0 also where the file cannot be reached by its path. */
static int flush(const struct mapping *m, dev_t dev)
{
	_cleanup_close_ int fd =
		open(m->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_dev != dev ||
	    st.st_ino != m->ino)
		return 0;
	return write_back(fd);
}

static int flush_mappings(const char *pid, dev_t dev)
{
	_cleanup_free_ char *path = io_path("/proc/%s/maps", pid);
	_cleanup_fclose_ FILE *f = path ? fopen(path, "re") : NULL;
	_cleanup_free_ char *line = NULL;
	struct mapping m;
	size_t size = 0;
	int r = 0;

	/* Another user's, or gone meanwhile. */
	while (f && r == 0 && getline(&line, &size, f) > 0)
		if (parse(line, &m) && m.access[1] == 'w' &&
		    m.access[3] == 's' && m.path[0] == '/' &&
		    makedev(m.major, m.minor) == dev)
			r = flush(&m, dev);
	return r;
}

/* One descriptor, `name` in the directory `dirfd`. Opened anew, since another
 * process's cannot be had; 0 also where that is forbidden. */
static int flush_open(int dirfd, const char *name, dev_t dev)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !(st.st_mode & S_IWUSR) || fstatat(dirfd, name, &st, 0) < 0 ||
	    st.st_dev != dev || !S_ISREG(st.st_mode))
		return 0;
	fd = openat(dirfd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) /* its owner may write it, and not read */
		fd = openat(dirfd, name, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? 0 : write_back(fd);
}

static int flush_descriptors(const char *pid, dev_t dev)
{
	_cleanup_free_ char *path = io_path("/proc/%s/fd", pid);
	_cleanup_closedir_ DIR *dir = path ? opendir(path) : NULL;
	const struct dirent *de;
	int r = 0;

	while (dir && r == 0 && (de = readdir(dir)))
		if (isdigit((unsigned char)de->d_name[0]))
			r = flush_open(dirfd(dir), de->d_name, dev);
	return r;
}

static int flush_process(const char *pid, dev_t dev)
{
	int r = flush_mappings(pid, dev);

	return r < 0 ? r : flush_descriptors(pid, dev);
}

int writers_flush(dev_t dev)
{
	_cleanup_closedir_ DIR *dir = opendir("/proc");
	const struct dirent *de;
	int r = 0;

	while (dir && r == 0 && (de = readdir(dir)))
		if (isdigit((unsigned char)de->d_name[0]))
			r = flush_process(de->d_name, dev);
	return r;
}
