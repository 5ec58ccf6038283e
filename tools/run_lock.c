/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The holder removes the file before it lets go. Who has waited for the old
 * file then holds a lock that nobody else can see, and takes the new one.
 */
#include "run_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/rpc.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/log.h"
#include "store/digest.h"

static int make_name(const char *subject, char ret_name[RUN_LOCK_NAME_MAX])
{
	_cleanup_free_ char *store = rpc_store_dir();
	_cleanup_free_ char *text = store ? io_path("%s\n%s", store, subject) :
					    NULL;
	char hex[DIGEST_HEX_LEN + 1];
	struct digest d;

	if (!text || digest_of(text, strlen(text), &d) < 0)
		return -ENOMEM;
	digest_hex(&d, hex);
	snprintf(ret_name, RUN_LOCK_NAME_MAX, "run-%.16s.lock", hex);
	return 0;
}

/* Whether the name is among those that the run around us holds. */
static bool is_ours(const char *name)
{
	const char *held = getenv(RUN_LOCKS_VARIABLE);

	return held && strstr(held, name);
}

static bool is_current(int dirfd, int fd, const char *name)
{
	struct stat mine, there;

	return fstat(fd, &mine) == 0 &&
	       fstatat(dirfd, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	       mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

static void say_waiting(int fd, const char *what)
{
	char pid[16] = "";
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[n > 0 ? n : 0] = '\0';
	out_note("%s: waiting for another run%s%s", what,
		 *pid ? ", process " : "", pid);
}

static int lock_blocking(int fd)
{
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* A descriptor that holds the lock; -EWOULDBLOCK. */
static int open_locked(int dirfd, const char *name, const char *what, bool wait)
{
	bool said = false;

	for (;;) {
		_cleanup_close_ int fd =
			openat(dirfd, name,
			       O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		int r;

		if (fd < 0)
			return -errno;
		r = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
		if (r == -EWOULDBLOCK && wait) {
			if (!said)
				say_waiting(fd, what);
			said = true;
			r = lock_blocking(fd);
		}
		if (r < 0)
			return r;
		if (is_current(dirfd, fd, name))
			return steal_fd(&fd);
	}
}

enum run_lock_result run_lock_take(const char *subject, const char *what,
				   bool wait, struct run_lock *ret_lock)
{
	struct run_lock lock = RUN_LOCK_INIT;
	int r = make_name(subject, lock.name);

	if (r == 0 && is_ours(lock.name))
		return RUN_LOCK_OURS;
	if (r == 0)
		r = lock.dirfd = rpc_runtime_open();
	if (r >= 0)
		r = lock.fd = open_locked(lock.dirfd, lock.name, what, wait);
	if (r < 0) {
		cleanup_close(&lock.dirfd);
		if (r == -EWOULDBLOCK)
			return RUN_LOCK_BUSY;
		log_warn(r, "no lock for %s; going on without", what);
		return RUN_LOCK_HELD;
	}
	if (ftruncate(lock.fd, 0) == 0)
		dprintf(lock.fd, "%ld", (long)getpid());
	*ret_lock = lock;
	return RUN_LOCK_HELD;
}

void run_lock_release(struct run_lock *lock)
{
	if (lock->fd < 0)
		return;
	unlinkat(lock->dirfd, lock->name, 0);
	cleanup_close(&lock->fd);
	cleanup_close(&lock->dirfd);
	*lock = (struct run_lock)RUN_LOCK_INIT;
}
