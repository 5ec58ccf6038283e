/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files, symlinks and special files, each with content, owner, xattrs, mode
 * and times, in this order: writing clears set-id bits and capabilities,
 * changing the owner does as well, and setting attributes may touch the times.
 * A name that exists already is an error and never followed.
 */
#include "export_node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "chunker.h"
#include "xattr_codec.h"

/* umask(2) can only be read by setting it, which all threads would see. */
static uint32_t read_umask(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	unsigned mask;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Umask: %o", &mask) == 1)
			return mask;
	return 0777; /* unknown: all modes are set */
}

int export_target_init(struct export_target *x, struct store_tree *t, int dirfd,
		       const struct ingest_owner *self)
{
	struct stat st;

	if (fstat(dirfd, &st) < 0)
		return -errno;
	*x = (struct export_target){
		.tree = t,
		.catalog = store_tree_catalog(t),
		.self = self,
		.privileged = geteuid() == 0,
		.always_chown = st.st_mode & S_ISGID,
		.uid = geteuid(),
		.gid = getegid(),
		.umask = read_umask(),
	};
	return 0;
}

struct export_thread *export_thread_new(void)
{
	struct export_thread *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->chunk = malloc(CHUNK_MAX);
	if (!t->chunk || codec_ctx_new(&t->codec) < 0) {
		export_thread_free(t);
		return NULL;
	}
	return t;
}

void export_thread_free(struct export_thread *t)
{
	if (!t)
		return;
	codec_ctx_free(t->codec);
	free(t->chunk);
	free(t);
}

void export_owner(const struct ingest_owner *self,
		  const struct catalog_inode *i, uint32_t *ret_uid,
		  uint32_t *ret_gid)
{
	*ret_uid = i->uid == CATALOG_OWNER_SELF ? self->uid : i->uid;
	*ret_gid = i->gid == CATALOG_OWNER_SELF ? self->gid : i->gid;
}

static void node_times(const struct catalog_inode *i, struct timespec ts[2])
{
	ts[0] = (struct timespec){ .tv_nsec = UTIME_OMIT };
	ts[1] = (struct timespec){ .tv_sec = i->mtime_sec,
				   .tv_nsec = i->mtime_nsec };
}

static bool wants_chown(const struct export_target *x,
			const struct catalog_inode *i, uint32_t *ret_uid,
			uint32_t *ret_gid)
{
	export_owner(x->self, i, ret_uid, ret_gid);
	if (!x->privileged)
		return false;
	return x->always_chown || *ret_uid != x->uid || *ret_gid != x->gid;
}

static int fd_xattrs(struct export_target *x, int fd,
		     const struct catalog_inode *i)
{
	const void *data;
	unsigned refused;
	size_t len;
	int r;

	if (!i->has_xattrs)
		return 0;
	r = catalog_xattrs(x->catalog, i->ino, &data, &len);
	if (r < 0)
		return r;
	r = xattr_write_fd(fd, data, len, &refused);
	if (r < 0)
		return r;
	atomic_fetch_add(&x->refused, refused);
	return 0;
}

/* Owner and xattrs of something open. */
static int fd_owner(struct export_target *x, int fd,
		    const struct catalog_inode *i)
{
	uint32_t uid, gid;

	if (wants_chown(x, i, &uid, &gid) && fchown(fd, uid, gid) < 0)
		return -errno;
	return fd_xattrs(x, fd, i);
}

static int piece_write(struct export_target *x, struct export_thread *t, int fd,
		       const struct catalog_piece *p)
{
	const struct digest *digest;
	uint32_t size;
	int r;

	if (p->chunk == CATALOG_HOLE)
		return 0;
	r = catalog_chunk(x->catalog, p->chunk, &digest, &size);
	if (r < 0)
		return r;
	if (size != p->len || size > CHUNK_MAX)
		return -EBADMSG;
	r = store_chunk_read(x->tree, t->codec, p->chunk, 0, t->chunk);
	if (r < 0)
		return r;
	return io_pwrite(fd, t->chunk, size, p->off);
}

static int content_write(struct export_target *x, struct export_thread *t,
			 int fd, const struct catalog_inode *i)
{
	struct catalog_piece p = { .chunk = 0 };
	uint32_t n;
	int r;

	for (n = 0; n < i->pieces; n++) {
		r = catalog_piece(x->catalog, i->ino, n, &p);
		if (r < 0)
			return r;
		r = piece_write(x, t, fd, &p);
		if (r < 0)
			return r;
	}
	if (p.chunk == CATALOG_HOLE && ftruncate(fd, i->size) < 0)
		return -errno;
	return 0;
}

/* The mode to make a file with; where it is the final one already, chmod is
 * spared. While attributes are to be set, the file must be writable. */
static mode_t creation_mode(const struct catalog_inode *i)
{
	return i->has_xattrs ? 0600 : i->mode & 0777;
}

static int file_make(struct export_target *x, struct export_thread *t,
		     int dirfd, const char *name, const struct catalog_inode *i)
{
	_cleanup_close_ int fd = -1;
	mode_t mode = creation_mode(i);
	struct timespec ts[2];
	int r;

	fd = openat(dirfd, name,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	r = content_write(x, t, fd, i);
	if (r < 0)
		return r;
	r = fd_owner(x, fd, i);
	if (r < 0)
		return r;
	if (((mode & ~x->umask) != (i->mode & 07777)) &&
	    fchmod(fd, i->mode & 07777) < 0)
		return -errno;
	node_times(i, ts);
	return futimens(fd, ts) < 0 ? -errno : 0;
}

static int symlink_make(struct export_target *x, int dirfd, const char *name,
			const struct catalog_inode *i)
{
	char text[CATALOG_SYMLINK_MAX + 1];
	const char *target;
	size_t len;
	int r;

	r = catalog_readlink(x->catalog, i->ino, &target, &len);
	if (r < 0)
		return r;
	if (len >= sizeof(text))
		return -EBADMSG;
	memcpy(text, target, len);
	text[len] = '\0';
	return symlinkat(text, dirfd, name) < 0 ? -errno : 0;
}

static int special_make(int dirfd, const char *name,
			const struct catalog_inode *i)
{
	mode_t mode = (i->mode & S_IFMT) | 0600;

	return mknodat(dirfd, name, mode, i->rdev) < 0 ? -errno : 0;
}

/* Owner, xattrs, mode and times of what is better not opened. */
static int path_meta(struct export_target *x, int dirfd, const char *name,
		     const struct catalog_inode *i)
{
	char path[sizeof("/proc/self/fd//") + 12 + CATALOG_NAME_MAX];
	unsigned refused = 0;
	struct timespec ts[2];
	uint32_t uid, gid;
	const void *data;
	size_t len;
	int r = 0;

	if (wants_chown(x, i, &uid, &gid) &&
	    fchownat(dirfd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (i->has_xattrs) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dirfd,
			 name);
		r = catalog_xattrs(x->catalog, i->ino, &data, &len);
		if (r == 0)
			r = xattr_write_path(path, data, len, &refused);
		if (r < 0)
			return r;
		atomic_fetch_add(&x->refused, refused);
	}
	if (!S_ISLNK(i->mode) && fchmodat(dirfd, name, i->mode & 07777, 0) < 0)
		return -errno;
	node_times(i, ts);
	r = utimensat(dirfd, name, ts, AT_SYMLINK_NOFOLLOW);
	return r < 0 ? -errno : 0;
}

int export_node(struct export_target *x, struct export_thread *t, int dirfd,
		const char *name, const struct catalog_inode *i)
{
	int r;

	if (S_ISREG(i->mode))
		return file_make(x, t, dirfd, name, i);
	if (S_ISDIR(i->mode))
		return -EISDIR;
	if (S_ISLNK(i->mode))
		r = symlink_make(x, dirfd, name, i);
	else
		r = special_make(dirfd, name, i);
	if (r < 0)
		return r;
	return path_meta(x, dirfd, name, i);
}

int export_dir_meta(struct export_target *x, int fd,
		    const struct catalog_inode *i)
{
	struct timespec ts[2];
	int r = fd_owner(x, fd, i);

	if (r < 0)
		return r;
	if (fchmod(fd, i->mode & 07777) < 0)
		return -errno;
	node_times(i, ts);
	return futimens(fd, ts) < 0 ? -errno : 0;
}
