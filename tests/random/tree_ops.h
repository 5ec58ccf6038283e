/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file system as the random tester sees it: a table of calls by path, so
 * that the same tester runs on a view in the process and on a mount.
 *
 * Paths are relative to the root, without a leading '/'; "" is the root, and
 * "@0" to "@7" are files held open by open(), also after their names are gone.
 * A symbolic link is never followed: a path through one gives -ELOOP, as does
 * one as the file to read or write. All return 0, a count, or a negative
 * errno, those of the system calls: to read, write, truncate, allocate or copy
 * is also to open the file for both reading and writing.
 */
#ifndef LARDER_TESTS_TREE_OPS_H
#define LARDER_TESTS_TREE_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define TREE_SLOTS 8

struct tree_stat {
	uint32_t mode, nlink, uid, gid;
	uint64_t ino, size; /* the size of files and symlinks */
	struct timespec atime, mtime, ctime;
};

struct tree_ops {
	int (*mkdir)(void *fs, const char *path, unsigned mode);
	/* O_CREAT | O_EXCL. */
	int (*create)(void *fs, const char *path, unsigned mode);
	int (*fifo)(void *fs, const char *path, unsigned mode);
	int (*symlink)(void *fs, const char *target, const char *path);
	int (*link)(void *fs, const char *from, const char *to);
	int (*unlink)(void *fs, const char *path);
	int (*rmdir)(void *fs, const char *path);
	int (*rename)(void *fs, const char *from, const char *to,
		      unsigned flags);

	/* O_RDWR | O_NOFOLLOW and `flags`, of O_CREAT, O_EXCL, O_TRUNC and
	 * O_APPEND; the slot is free. */
	int (*open)(void *fs, unsigned slot, const char *path, int flags,
		    unsigned mode);
	int (*tmpfile)(void *fs, unsigned slot, const char *dir, unsigned mode);
	void (*close)(void *fs, unsigned slot);

	ssize_t (*write)(void *fs, const char *path, const void *buf,
			 size_t len, uint64_t off);
	int (*truncate)(void *fs, const char *path, uint64_t size);
	int (*fallocate)(void *fs, const char *path, int mode, uint64_t off,
			 uint64_t len);
	ssize_t (*copy)(void *fs, const char *from, uint64_t from_off,
			const char *to, uint64_t to_off, uint64_t len);
	int (*fsync)(void *fs, const char *path); /* "": everything */

	int (*chmod)(void *fs, const char *path, unsigned mode);
	int (*chown)(void *fs, const char *path, uint32_t uid, uint32_t gid);
	int (*utimens)(void *fs, const char *path,
		       const struct timespec times[2]);
	int (*setxattr)(void *fs, const char *path, const char *name,
			const void *value, size_t len, int flags);
	int (*removexattr)(void *fs, const char *path, const char *name);

	int (*stat)(void *fs, const char *path, struct tree_stat *ret_stat);
	ssize_t (*read)(void *fs, const char *path, void *buf, size_t len,
			uint64_t off);
	int (*lseek)(void *fs, const char *path, uint64_t off, int whence,
		     uint64_t *ret_off);
	ssize_t (*readlink)(void *fs, const char *path, char *buf, size_t size);
	ssize_t (*getxattr)(void *fs, const char *path, const char *name,
			    void *buf, size_t size);
	ssize_t (*listxattr)(void *fs, const char *path, char *buf,
			     size_t size);
	/* Every name once, without "." and "..". */
	int (*list)(void *fs, const char *path,
		    void (*each)(void *arg, const char *name, size_t len),
		    void *arg);

	/* NULL where there is no page cache: through shared mappings, within
	 * the file's size; and past the cache. */
	ssize_t (*map_write)(void *fs, const char *path, const void *buf,
			     size_t len, uint64_t off, bool sync);
	ssize_t (*map_read)(void *fs, const char *path, void *buf, size_t len,
			    uint64_t off);
	ssize_t (*read_cold)(void *fs, const char *path, void *buf, size_t len,
			     uint64_t off);
};

#endif
