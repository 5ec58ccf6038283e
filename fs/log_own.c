/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Own files of large inodes: data/<ino in 16 hex digits>, written to at the
 * end and punched where bytes died. A bounded number is kept open;
 * the least recently used that nobody uses is closed first. Any thread; the
 * owner keeps reads and writes of the same bytes apart. Syncing them is in
 * log_own_sync.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/base/fault.h"
#include "store/base/hex.h"
#include "store/base/io.h"
#include "store/base/log.h"

#include "log_format.h"

static void own_name(uint64_t ino, char ret_name[17])
{
	snprintf(ret_name, 17, "%016" PRIx64, ino);
}

/* 0 for a name that is none. */
static uint64_t own_ino(const char *name)
{
	uint64_t ino = 0;
	uint8_t be[8];

	if (strlen(name) != 16 || hex_decode(name, 8, be) < 0)
		return 0;
	for (int i = 0; i < 8; i++)
		ino = ino << 8 | be[i];
	return ino;
}

int log_own_each(struct log *l, int (*each)(void *arg, uint64_t ino), void *arg)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *de;
	uint64_t ino;
	int r;

	r = io_opendir_at(l->datafd, ".", &dir);
	if (r < 0)
		return r;
	while ((errno = 0, de = readdir(dir))) {
		ino = own_ino(de->d_name);
		r = ino ? each(arg, ino) : 0;
		if (r)
			return r;
	}
	return -errno;
}

static int mark_found(void *arg, uint64_t ino)
{
	return log_own_mark(arg, ino);
}

int log_own_init(struct log *l)
{
	l->own_dir_changes = 1;
	return log_own_each(l, mark_found, l);
}

void log_own_release(struct log *l)
{
	for (size_t i = 0; i < LOG_OWN_OPEN; i++)
		if (l->own[i].ino)
			close(l->own[i].fd);
	map_release(&l->own_dirty);
}

/* A slot for `ino`, free or to be reused; NULL when all are in use. Called
 * with own_lock held. */
static struct log_own *own_slot(struct log *l, uint64_t ino)
{
	struct log_own *best = NULL;

	for (size_t i = 0; i < LOG_OWN_OPEN; i++) {
		struct log_own *o = &l->own[i];

		if (o->ino == ino && !o->removed)
			return o;
		if (o->refs)
			continue;
		if (!best || (best->ino && (!o->ino || o->used < best->used)))
			best = o;
	}
	return best;
}

static int own_open(struct log *l, uint64_t ino, bool create)
{
	char name[17];
	int fd;

	own_name(ino, name);
	fd = openat(l->datafd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 || errno != ENOENT || !create)
		return fd < 0 ? -errno : fd;
	fd = openat(l->datafd, name,
		    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	l->own_dir_changes++;
	return fd;
}

static void own_close(struct log_own *o)
{
	close(o->fd);
	*o = (struct log_own){ .fd = -1 };
}

/* Takes a reference on the open file. With `write`, it is made if it is
 * absent and marked as written, so that log_own_put() finds the memory. */
int log_own_get(struct log *l, uint64_t ino, bool write,
		struct log_own **ret_own)
{
	struct log_own *o;
	int fd, r;

	if (ino == 0)
		return -EINVAL;
	if (write && l->read_only)
		return -EROFS;
	LOCK_SCOPE(&l->own_lock);
	r = write ? log_own_mark(l, ino) : 0;
	if (r < 0)
		return r;
	o = own_slot(l, ino);
	if (!o)
		return -EMFILE;
	if (o->ino != ino) {
		fd = own_open(l, ino, write);
		if (fd < 0)
			return fd;
		if (o->ino)
			own_close(o);
		o->ino = ino;
		o->fd = fd;
	}
	o->refs++;
	o->used = ++l->own_tick;
	*ret_own = o;
	return 0;
}

void log_own_put(struct log *l, struct log_own *o, bool wrote)
{
	LOCK_SCOPE(&l->own_lock);
	if (wrote && !o->removed)
		(void)log_own_mark(l, o->ino);
	o->refs--;
	if (o->removed && o->refs == 0)
		own_close(o);
}

int log_own_write(struct log *l, uint64_t ino, const void *buf, size_t len,
		  uint64_t off)
{
	struct log_own *o;
	int r;

	if (off > INT64_MAX || len > INT64_MAX - off)
		return -EFBIG;
	r = fault_check("log.own");
	if (r == 0)
		r = log_own_get(l, ino, true, &o);
	if (r < 0)
		return r;
	r = io_pwrite(o->fd, buf, len, off);
	log_own_put(l, o, true);
	(void)fault_check("log.own.written");
	return r;
}

int log_own_read(struct log *l, uint64_t ino, void *buf, size_t len,
		 uint64_t off)
{
	struct log_own *o;
	uint8_t *p = buf;
	int r;

	if (off > INT64_MAX || len > INT64_MAX - off)
		return -EINVAL;
	r = log_own_get(l, ino, false, &o);
	if (r < 0)
		return r;
	while (len > 0) {
		ssize_t n = pread(o->fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			r = -errno;
		if (n <= 0)
			break;
		p += n;
		len -= (size_t)n;
		off += (uint64_t)n;
	}
	if (r == 0 && len > 0)
		memset(p, 0, len);
	log_own_put(l, o, false);
	return r;
}

/* Only up to the file's end: no file system wants more than its largest file
 * there. One that cannot punch gets zeros written: what is read then is
 * the same, though it takes the space. */
static int punch(int fd, uint64_t off, uint64_t len)
{
	static const uint8_t zeros[64u << 10];
	struct stat st;
	size_t step;
	int r = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (off >= (uint64_t)st.st_size)
		return 0;
	if (len > (uint64_t)st.st_size - off)
		len = (uint64_t)st.st_size - off;
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)off, (off_t)len) == 0)
		return 0;
	if (errno != EOPNOTSUPP)
		return -errno;
	for (; r == 0 && len > 0; off += step, len -= step) {
		step = len < sizeof(zeros) ? len : sizeof(zeros);
		r = io_pwrite(fd, zeros, step, off);
	}
	return r;
}

int log_own_punch(struct log *l, uint64_t ino, uint64_t off, uint64_t len)
{
	struct log_own *o;
	int r;

	if (off > INT64_MAX)
		return -EINVAL;
	if (len == 0)
		return 0;
	r = log_own_get(l, ino, true, &o);
	if (r < 0)
		return r;
	r = punch(o->fd, off, len);
	log_own_put(l, o, true);
	return r;
}

int log_own_size(struct log *l, uint64_t ino, bool create, uint64_t *ret_end,
		 uint64_t *ret_disk)
{
	struct log_own *o;
	struct stat st;
	int r;

	r = log_own_get(l, ino, create, &o);
	if (r < 0)
		return r;
	if (fstat(o->fd, &st) < 0)
		r = -errno;
	log_own_put(l, o, false);
	if (r < 0)
		return r;
	*ret_end = (uint64_t)st.st_size;
	*ret_disk = (uint64_t)st.st_blocks * 512;
	return 0;
}

int log_own_remove(struct log *l, uint64_t ino)
{
	char name[17];

	if (ino == 0)
		return -EINVAL;
	own_name(ino, name);
	LOCK_SCOPE(&l->own_lock);
	if (unlinkat(l->datafd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	for (size_t i = 0; i < LOG_OWN_OPEN; i++) {
		struct log_own *o = &l->own[i];

		if (o->ino != ino || o->removed)
			continue;
		/* The number may be used again while someone still reads. */
		o->removed = true;
		if (o->refs == 0)
			own_close(o);
	}
	map_remove(&l->own_dirty, ino);
	(void)fault_check("log.own.removed");
	return 0;
}

struct sweep {
	struct log *log;
	bool (*keep)(void *arg, uint64_t ino);
	void *arg;
};

/* What says that the file is not used must be durable before it goes. That
 * is so already unless the process before this one was killed. */
static int sweep_found(void *arg, uint64_t ino)
{
	const struct sweep *s = arg;
	int r;

	if (s->keep && s->keep(s->arg, ino))
		return 0;
	r = log_sync(s->log);
	return r < 0 ? r : log_own_remove(s->log, ino);
}

int log_own_sweep(struct log *l, bool (*keep)(void *arg, uint64_t ino),
		  void *arg)
{
	struct sweep s = { l, keep, arg };

	if (l->read_only)
		return -EROFS;
	return log_own_each(l, sweep_found, &s);
}
