/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recording and building; see disk_record.h. The directory is flat but for
 * its subdirectories, which are never removed or renamed.
 */
#include "disk_record.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fs/log_format.h"
#include "store/base/crc32c.h"
#include "store/base/io.h"
#include "store/base/le.h"

#define NAME_LEN 64
#define SECTOR 512u
#define FILES_MAX 4096
#define NAMES_MAX 256

enum kind {
	CREATE,
	MKDIR,
	REMOVE,
	RENAME,
	WRITE,
	SIZE,
	PUNCH,
	SYNC,
};

struct note {
	enum kind kind;
	char name[NAME_LEN]; /* below the root; "" is the root */
	char to[NAME_LEN];
	uint64_t off, len;
	uint8_t *data;
};

static struct {
	char root[PATH_MAX];
	size_t root_len;
	struct note *notes;
	size_t count, cap;
} disk;

static _Thread_local bool recording;

/* --- noting --- */

static struct note *note(enum kind kind, const char *name)
{
	struct note *n;

	if (disk.count == disk.cap) {
		disk.cap = disk.cap ? 2 * disk.cap : 1024;
		disk.notes = reallocarray(disk.notes, disk.cap, sizeof(*n));
		if (!disk.notes)
			abort();
	}
	n = &disk.notes[disk.count++];
	*n = (struct note){ .kind = kind };
	if (strlen(name) >= NAME_LEN)
		abort();
	strcpy(n->name, name);
	return n;
}

/* The name below the root of what `fd` is open on, as it is now. */
static bool name_of(int fd, char ret_name[PATH_MAX])
{
	char link[64], path[PATH_MAX];
	ssize_t n;

	if (!recording)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < (ssize_t)disk.root_len)
		return false;
	path[n] = '\0';
	if (strncmp(path, disk.root, disk.root_len) != 0 ||
	    (path[disk.root_len] && path[disk.root_len] != '/') ||
	    strstr(path, " (deleted)"))
		return false;
	strcpy(ret_name, path + disk.root_len + (path[disk.root_len] == '/'));
	return true;
}

static bool name_at(int dirfd, const char *name, char ret_name[PATH_MAX])
{
	char dir[PATH_MAX];

	if (dirfd == AT_FDCWD || !name_of(dirfd, dir))
		return false;
	if (snprintf(ret_name, PATH_MAX, "%s%s%s", dir, *dir ? "/" : "",
		     name) >= PATH_MAX)
		abort();
	return true;
}

static void note_write(int fd, const struct iovec *iov, int count, off_t off,
		       ssize_t done)
{
	char name[PATH_MAX];
	struct note *n;
	size_t at = 0;
	int i;

	if (done <= 0 || !name_of(fd, name))
		return;
	n = note(WRITE, name);
	n->off = (uint64_t)off;
	n->len = (uint64_t)done;
	n->data = malloc((size_t)done);
	if (!n->data)
		abort();
	for (i = 0; i < count && at < n->len; i++) {
		size_t len = iov[i].iov_len;

		if (len > n->len - at)
			len = n->len - at;
		if (len)
			memcpy(n->data + at, iov[i].iov_base, len);
		at += len;
	}
}

int openat(int dirfd, const char *path, int flags, ...)
{
	char name[PATH_MAX];
	struct stat st;
	bool made = false;
	mode_t mode = 0;
	va_list ap;
	int fd;

	if (flags & (O_CREAT | O_TMPFILE)) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	if (recording && (flags & O_CREAT))
		made = fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0;
	fd = (int)syscall(SYS_openat, dirfd, path, flags, mode);
	if (fd < 0 || !(flags & (O_CREAT | O_TRUNC)) || !name_of(fd, name))
		return fd;
	if (made)
		note(CREATE, name);
	else if (flags & O_TRUNC)
		note(SIZE, name);
	return fd;
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t off)
{
	ssize_t n = syscall(SYS_pwritev, fd, iov, count, off, 0);

	note_write(fd, iov, count, off, n);
	return n;
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t off)
{
	const struct iovec iov = { (void *)buf, len };
	ssize_t n = syscall(SYS_pwrite64, fd, buf, len, off);

	note_write(fd, &iov, 1, off, n);
	return n;
}

ssize_t write(int fd, const void *buf, size_t len)
{
	const struct iovec iov = { (void *)buf, len };
	off_t off = recording ? lseek(fd, 0, SEEK_CUR) : 0;
	ssize_t n = syscall(SYS_write, fd, buf, len);

	if (off >= 0)
		note_write(fd, &iov, 1, off, n);
	return n;
}

int ftruncate(int fd, off_t size)
{
	int r = (int)syscall(SYS_ftruncate, fd, size);
	char name[PATH_MAX];

	if (r == 0 && name_of(fd, name))
		note(SIZE, name)->off = (uint64_t)size;
	return r;
}

int fallocate(int fd, int mode, off_t off, off_t len)
{
	int r = (int)syscall(SYS_fallocate, fd, mode, off, len);
	char name[PATH_MAX];
	struct note *n;

	if (r == 0 && name_of(fd, name)) {
		n = note(PUNCH, name);
		n->off = (uint64_t)off;
		n->len = (uint64_t)len;
	}
	return r;
}

/* No real disk needs to be waited for. */
int fsync(int fd)
{
	char name[PATH_MAX];

	if (name_of(fd, name))
		note(SYNC, name);
	return 0;
}

int fdatasync(int fd)
{
	return fsync(fd);
}

int renameat(int fromfd, const char *from, int tofd, const char *to)
{
	int r = (int)syscall(SYS_renameat2, fromfd, from, tofd, to, 0);
	char name[PATH_MAX], other[PATH_MAX];
	struct note *n;

	if (r == 0 && name_at(fromfd, from, name) && name_at(tofd, to, other)) {
		n = note(RENAME, name);
		if (strlen(other) >= NAME_LEN)
			abort();
		strcpy(n->to, other);
	}
	return r;
}

int unlinkat(int dirfd, const char *path, int flags)
{
	int r = (int)syscall(SYS_unlinkat, dirfd, path, flags);
	char name[PATH_MAX];

	if (r == 0 && name_at(dirfd, path, name))
		note(REMOVE, name);
	return r;
}

int mkdirat(int dirfd, const char *path, mode_t mode)
{
	int r = (int)syscall(SYS_mkdirat, dirfd, path, mode);
	char name[PATH_MAX];

	if (r == 0 && name_at(dirfd, path, name))
		note(MKDIR, name);
	return r;
}

void disk_record_start(const char *root)
{
	size_t i;

	for (i = 0; i < disk.count; i++)
		free(disk.notes[i].data);
	disk.count = 0;
	disk.root_len = strlen(root);
	strcpy(disk.root, root);
	recording = true;
}

void disk_record_stop(void)
{
	recording = false;
}

size_t disk_record_count(void)
{
	return disk.count;
}

/* --- building --- */

struct file {
	bool dir;
	uint8_t *bytes; /* as on disk */
	uint64_t size, cap;
};

struct name {
	char text[NAME_LEN];
	struct file *file;
};

struct names {
	struct name list[NAMES_MAX];
	size_t n;
};

/* A note that is not on disk for certain. */
struct pending {
	const struct note *note;
	struct file *file; /* of a change of names: what it is about */
	bool of_names;
	size_t index;
};

struct build {
	struct file *files[FILES_MAX];
	size_t nfiles;
	struct names now, stored; /* as programs see them; as on disk */
	struct pending *pending;
	size_t npending;
	enum disk_loss loss;
	uint64_t seed;
};

static struct file *names_find(struct names *names, const char *text)
{
	size_t i;

	for (i = 0; i < names->n; i++)
		if (strcmp(names->list[i].text, text) == 0)
			return names->list[i].file;
	return NULL;
}

static void names_remove(struct names *names, const char *text)
{
	size_t i;

	for (i = 0; i < names->n; i++)
		if (strcmp(names->list[i].text, text) == 0) {
			names->list[i] = names->list[--names->n];
			return;
		}
}

static void names_put(struct names *names, const char *text, struct file *f)
{
	names_remove(names, text);
	if (names->n == NAMES_MAX)
		abort();
	strcpy(names->list[names->n].text, text);
	names->list[names->n++].file = f;
}

static void names_apply(struct names *names, const struct note *n,
			struct file *f)
{
	if (n->kind == CREATE || n->kind == MKDIR)
		names_put(names, n->name, f);
	else
		names_remove(names, n->name);
	if (n->kind == RENAME)
		names_put(names, n->to, f);
}

static struct file *file_new(struct build *b, bool dir)
{
	struct file *f = calloc(1, sizeof(*f));

	if (!f || b->nfiles == FILES_MAX)
		abort();
	f->dir = dir;
	b->files[b->nfiles++] = f;
	return f;
}

static void file_resize(struct file *f, uint64_t size)
{
	if (size > f->cap) {
		f->cap = size * 2;
		f->bytes = realloc(f->bytes, f->cap);
		if (!f->bytes)
			abort();
	}
	if (size > f->size)
		memset(f->bytes + f->size, 0, size - f->size);
	f->size = size;
}

static uint64_t chance(const struct build *b, uint64_t what)
{
	uint64_t x = (b->seed + 1) * UINT64_C(0x9e3779b97f4a7c15) + what;

	return map_hash_u64(x);
}

static void write_sectors(const struct build *b, struct file *f,
			  const struct pending *p, bool torn)
{
	const struct note *n = p->note;
	uint64_t off = n->off, end = n->off + n->len, stop;

	if (end > f->size)
		file_resize(f, end);
	for (; off < end; off = stop) {
		stop = (off / SECTOR + 1) * SECTOR;
		if (stop > end)
			stop = end;
		if (torn && chance(b, p->index * 100003 + off / SECTOR) % 2)
			continue;
		memcpy(f->bytes + off, n->data + (off - n->off), stop - off);
	}
}

static void data_apply(const struct build *b, const struct pending *p,
		       bool torn)
{
	const struct note *n = p->note;
	struct file *f = p->file;
	uint64_t end;

	if (n->kind == WRITE) {
		write_sectors(b, f, p, torn);
	} else if (n->kind == SIZE) {
		file_resize(f, n->off);
	} else if (n->off < f->size) {
		end = n->len > f->size - n->off ? f->size : n->off + n->len;
		memset(f->bytes + n->off, 0, end - n->off);
	}
}

/* The directory that a name is in. */
static bool is_in(const char *name, const char *dir)
{
	size_t len = strlen(dir);

	if (len == 0)
		return !strchr(name, '/');
	return strncmp(name, dir, len) == 0 && name[len] == '/';
}

static void apply_synced(struct build *b, const struct note *sync)
{
	struct file *f = names_find(&b->now, sync->name);
	bool dir = !*sync->name || (f && f->dir);
	size_t i, kept = 0;

	for (i = 0; i < b->npending; i++) {
		struct pending *p = &b->pending[i];

		if (dir && p->of_names && is_in(p->note->name, sync->name))
			names_apply(&b->stored, p->note, p->file);
		else if (!dir && !p->of_names && p->file == f)
			data_apply(b, p, false);
		else
			b->pending[kept++] = *p;
	}
	b->npending = kept;
}

static void take_note(struct build *b, size_t index)
{
	const struct note *n = &disk.notes[index];
	bool of_names = n->kind <= RENAME;
	struct file *f;

	if (n->kind == SYNC) {
		apply_synced(b, n);
		return;
	}
	f = n->kind == CREATE || n->kind == MKDIR ?
		    file_new(b, n->kind == MKDIR) :
		    names_find(&b->now, n->name);
	if (!f)
		abort();
	if (of_names)
		names_apply(&b->now, n, f);
	b->pending[b->npending++] = (struct pending){ n, f, of_names, index };
}

static bool is_kept(const struct build *b, const struct pending *p)
{
	switch (b->loss) {
	case DISK_ALL_LOST:
		return false;
	case DISK_NONE_LOST:
		return true;
	case DISK_DATA_LOST:
		return p->of_names;
	case DISK_NAMES_LOST:
		return !p->of_names;
	default:
		return chance(b, p->index) % 8 < 5;
	}
}

static void cut_power(struct build *b)
{
	size_t i;

	for (i = 0; i < b->npending; i++) {
		const struct pending *p = &b->pending[i];

		if (!is_kept(b, p))
			continue;
		if (p->of_names)
			names_apply(&b->stored, p->note, p->file);
		else
			data_apply(b, p,
				   b->loss == DISK_ANY_LOST &&
					   chance(b, ~p->index) % 4 == 0);
	}
}

/* As if the segment were begun before the machine's last start. */
static void other_boot(struct file *f)
{
	uint8_t *h = f->bytes;

	if (f->size < LOG_SEGMENT_HEADER ||
	    memcmp(h, LOG_SEGMENT_MAGIC, 8) != 0 ||
	    le32_get(h + 40) != crc32c(0, h, 40))
		return;
	memset(h + 16, 0xb0, LOG_BOOT_ID);
	le32_put(h + 40, crc32c(0, h, 40));
}

/* Directories first: a name in one that is not there is not there. */
static void names_write(struct build *b, int dirfd, bool dirs)
{
	size_t i;
	int fd;

	for (i = 0; i < b->stored.n; i++) {
		struct name *n = &b->stored.list[i];

		if (n->file->dir != dirs)
			continue;
		if (dirs && mkdirat(dirfd, n->text, 0700) < 0)
			abort();
		if (dirs)
			continue;
		if (strncmp(n->text, "log-", 4) == 0)
			other_boot(n->file);
		fd = openat(dirfd, n->text, O_CREAT | O_EXCL | O_WRONLY, 0600);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0 ||
		    io_pwrite(fd, n->file->bytes, n->file->size, 0) < 0)
			abort();
		close(fd);
	}
}

void disk_record_build(int dirfd, size_t count, enum disk_loss loss,
		       uint64_t seed)
{
	struct build *b = calloc(1, sizeof(*b));
	size_t i;

	if (!b)
		abort();
	b->loss = loss;
	b->seed = seed;
	b->pending = calloc(count + 1, sizeof(*b->pending));
	if (!b->pending)
		abort();
	for (i = 0; i < count; i++)
		take_note(b, i);
	cut_power(b);
	names_write(b, dirfd, true);
	names_write(b, dirfd, false);
	for (i = 0; i < b->nfiles; i++) {
		free(b->files[i]->bytes);
		free(b->files[i]);
	}
	free(b->pending);
	free(b);
}
