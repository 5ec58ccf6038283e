/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of the C library that larder and its libraries call for
 * files, each failing where its turn has come. A program's own definition
 * wins over a shared library's for everyone in the process; the next one is
 * found with dlsym(). Syncs do nothing, which saves the test's time.
 */
#undef _FORTIFY_SOURCE

#include "sysfault.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_bool armed;
static atomic_ulong passed;
static unsigned long fail_at; /* these two: constant while armed */
static int fail_err;
static _Atomic(const char *) failed;

void sysfault_arm(unsigned long n, int err)
{
	fail_at = n;
	fail_err = err;
	atomic_store(&passed, 0);
	atomic_store(&failed, NULL);
	atomic_store(&armed, true);
}

const char *sysfault_disarm(void)
{
	atomic_store(&armed, false);
	return atomic_load(&failed);
}

unsigned long sysfault_calls(void)
{
	return atomic_load(&passed);
}

static bool fails(const char *name, int fd)
{
	if (!atomic_load(&armed) || fd == STDOUT_FILENO || fd == STDERR_FILENO)
		return false;
	if (atomic_fetch_add(&passed, 1) + 1 != fail_at)
		return false;
	atomic_store(&failed, name);
	errno = fail_err;
	return true;
}

#define NEXT(name)                              \
	static __typeof__(name) *_Atomic next_; \
                                                \
	if (!atomic_load(&next_))               \
	atomic_store(&next_, (__typeof__(name) *)dlsym(RTLD_NEXT, #name))

/* A function with a fixed list of parameters. */
#define CALL(type, bad, name, fd, params, args)  \
	type name params                         \
	{                                        \
		NEXT(name);                      \
		if (fails(#name, fd))            \
			return bad;              \
		return atomic_load(&next_) args; \
	}

#define NO_FD (-1)

/* --- names --- */

static mode_t mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;
	NEXT(open);

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return fails("open", NO_FD) ? -1 :
				      atomic_load(&next_)(path, flags, mode);
}

int openat(int dirfd, const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;
	NEXT(openat);

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return fails("openat", NO_FD) ?
		       -1 :
		       atomic_load(&next_)(dirfd, path, flags, mode);
}

int __openat_2(int dirfd, const char *path, int flags);
int __openat_2(int dirfd, const char *path, int flags)
{
	return openat(dirfd, path, flags);
}

CALL(FILE *, NULL, fopen, NO_FD, (const char *path, const char *mode),
     (path, mode))
CALL(DIR *, NULL, opendir, NO_FD, (const char *path), (path))
CALL(DIR *, NULL, fdopendir, fd, (int fd), (fd))
CALL(struct dirent *, NULL, readdir, NO_FD, (DIR * dir), (dir))
CALL(int, -1, mkdir, NO_FD, (const char *path, mode_t mode), (path, mode))
CALL(int, -1, mkdirat, NO_FD, (int dirfd, const char *path, mode_t mode),
     (dirfd, path, mode))
CALL(int, -1, rename, NO_FD, (const char *from, const char *to), (from, to))
CALL(int, -1, renameat, NO_FD,
     (int from_fd, const char *from, int to_fd, const char *to),
     (from_fd, from, to_fd, to))
CALL(int, -1, link, NO_FD, (const char *from, const char *to), (from, to))
CALL(int, -1, unlink, NO_FD, (const char *path), (path))
CALL(int, -1, unlinkat, NO_FD, (int dirfd, const char *path, int flags),
     (dirfd, path, flags))
CALL(int, -1, stat, NO_FD, (const char *path, struct stat *st), (path, st))
CALL(int, -1, fstatat, NO_FD,
     (int dirfd, const char *path, struct stat *st, int flags),
     (dirfd, path, st, flags))
CALL(int, -1, fchmodat, NO_FD,
     (int dirfd, const char *path, mode_t mode, int flags),
     (dirfd, path, mode, flags))

/* --- open files --- */

CALL(ssize_t, -1, read, fd, (int fd, void *buf, size_t len), (fd, buf, len))
CALL(ssize_t, -1, pread, fd, (int fd, void *buf, size_t len, off_t off),
     (fd, buf, len, off))
CALL(ssize_t, -1, preadv2, fd,
     (int fd, const struct iovec *iov, int n, off_t off, int flags),
     (fd, iov, n, off, flags))
CALL(ssize_t, -1, write, fd, (int fd, const void *buf, size_t len),
     (fd, buf, len))
CALL(ssize_t, -1, pwrite, fd, (int fd, const void *buf, size_t len, off_t off),
     (fd, buf, len, off))
CALL(ssize_t, -1, pwritev, fd,
     (int fd, const struct iovec *iov, int n, off_t off), (fd, iov, n, off))
CALL(int, -1, fstat, fd, (int fd, struct stat *st), (fd, st))
CALL(int, -1, fstatvfs, fd, (int fd, struct statvfs *st), (fd, st))
CALL(int, -1, fchmod, fd, (int fd, mode_t mode), (fd, mode))
CALL(int, -1, ftruncate, fd, (int fd, off_t len), (fd, len))
CALL(int, -1, fallocate, fd, (int fd, int mode, off_t off, off_t len),
     (fd, mode, off, len))

/* Nothing here survives a power cut, and no test asks for it. */
int fsync(int fd)
{
	return fails("fsync", fd) ? -1 : 0;
}

int fdatasync(int fd)
{
	return fails("fdatasync", fd) ? -1 : 0;
}

CALL(void *, MAP_FAILED, mmap, fd,
     (void *at, size_t len, int prot, int flags, int fd, off_t off),
     (at, len, prot, flags, fd, off))

/* Locks, and descriptors that are made of others. */
int fcntl(int fd, int cmd, ...)
{
	va_list ap;
	void *arg;
	NEXT(fcntl);

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	return fails("fcntl", fd) ? -1 : atomic_load(&next_)(fd, cmd, arg);
}
