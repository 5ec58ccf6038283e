/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of tree_ops as system calls; see mount_ops.h. What Linux can do
 * to a path only is done to /proc/self/fd/N of a descriptor that was opened
 * without following links.
 */
#include "mount_ops.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "store/base/cleanup.h"

#define NAMES_SIZE 65536

int mount_fs_open(struct mount_fs *fs, const char *dir)
{
	fs->root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fs->root < 0 ? -errno : 0;
}

void mount_fs_close(struct mount_fs *fs)
{
	unsigned i;

	for (i = 0; i < TREE_SLOTS; i++) {
		cleanup_close(&fs->slots[i]);
		fs->slots[i] = -1;
	}
	cleanup_close(&fs->root);
	fs->root = -1;
}

static int result(long r)
{
	return r < 0 ? -errno : (int)r;
}

/* --- from paths to descriptors --- */

/* A descriptor, and whether it is the caller's to close. */
struct handle {
	int fd;
	bool owned;
};

static void handle_close(struct handle *h)
{
	if (h->owned)
		cleanup_close(&h->fd);
}
#define _cleanup_handle_ _cleanup_(handle_close)

static int open_below(const struct mount_fs *fs, const char *path, int flags,
		      unsigned mode)
{
	struct open_how how = { .flags = (unsigned)(flags | O_CLOEXEC),
				.mode = mode,
				.resolve = RESOLVE_BENEATH |
					   RESOLVE_NO_SYMLINKS };

	return result(syscall(SYS_openat2, fs->root, *path ? path : ".", &how,
			      sizeof(how)));
}

static bool is_slot(const char *path)
{
	return path[0] == '@' && path[1] >= '0' && path[1] < '0' + TREE_SLOTS &&
	       path[2] == '\0';
}

static int get(const struct mount_fs *fs, const char *path, int flags,
	       struct handle *ret_handle)
{
	int fd;

	if (is_slot(path)) {
		fd = fs->slots[path[1] - '0'];
		*ret_handle = (struct handle){ fd, false };
		return fd < 0 ? -EBADF : 0;
	}
	fd = open_below(fs, path, flags, 0);
	*ret_handle = (struct handle){ fd, fd >= 0 };
	return fd < 0 ? fd : 0;
}

/* For reading and writing. A fifo must not wait. */
static int get_file(const struct mount_fs *fs, const char *path,
		    struct handle *ret_handle)
{
	return get(fs, path, O_RDWR | O_NOFOLLOW | O_NONBLOCK, ret_handle);
}

/* Whatever it is, the link itself where it is one. */
static int get_node(const struct mount_fs *fs, const char *path,
		    struct handle *ret_handle)
{
	return get(fs, path, O_PATH | O_NOFOLLOW, ret_handle);
}

/* The directory of a path, and its last name. */
static int get_dir(const struct mount_fs *fs, const char *path,
		   struct handle *ret_handle, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char dir[4096];

	if (!slash) {
		*ret_handle = (struct handle){ fs->root, false };
		*ret_name = path;
		return 0;
	}
	snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	*ret_name = slash + 1;
	ret_handle->fd = open_below(fs, dir, O_PATH | O_DIRECTORY, 0);
	ret_handle->owned = ret_handle->fd >= 0;
	return ret_handle->fd < 0 ? ret_handle->fd : 0;
}

struct proc_path {
	char text[40];
};

static const char *proc(const struct handle *h, struct proc_path *buf)
{
	snprintf(buf->text, sizeof(buf->text), "/proc/self/fd/%d", h->fd);
	return buf->text;
}

/* --- names --- */

static int op_mkdir(void *fs, const char *path, unsigned mode)
{
	_cleanup_handle_ struct handle dir = { -1, false };
	const char *name = NULL;
	int r = get_dir(fs, path, &dir, &name);

	return r < 0 ? r : result(mkdirat(dir.fd, name, mode));
}

static int op_create(void *fs, const char *path, unsigned mode)
{
	_cleanup_handle_ struct handle dir = { -1, false };
	_cleanup_close_ int fd = -1;
	const char *name = NULL;
	int r = get_dir(fs, path, &dir, &name);

	if (r < 0)
		return r;
	fd = openat(dir.fd, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC,
		    mode);
	return fd < 0 ? -errno : 0;
}

static int op_fifo(void *fs, const char *path, unsigned mode)
{
	_cleanup_handle_ struct handle dir = { -1, false };
	const char *name = NULL;
	int r = get_dir(fs, path, &dir, &name);

	return r < 0 ? r : result(mknodat(dir.fd, name, S_IFIFO | mode, 0));
}

static int op_symlink(void *fs, const char *target, const char *path)
{
	_cleanup_handle_ struct handle dir = { -1, false };
	const char *name = NULL;
	int r = get_dir(fs, path, &dir, &name);

	return r < 0 ? r : result(symlinkat(target, dir.fd, name));
}

static int op_link(void *fs, const char *from, const char *to)
{
	_cleanup_handle_ struct handle node = { -1, false };
	_cleanup_handle_ struct handle dir = { -1, false };
	struct proc_path buf;
	const char *name = NULL;
	int r = get_node(fs, from, &node);

	if (r == 0)
		r = get_dir(fs, to, &dir, &name);
	if (r < 0)
		return r;
	return result(linkat(AT_FDCWD, proc(&node, &buf), dir.fd, name,
			     AT_SYMLINK_FOLLOW));
}

static int remove_name(void *fs, const char *path, int flags)
{
	_cleanup_handle_ struct handle dir = { -1, false };
	const char *name = NULL;
	int r = get_dir(fs, path, &dir, &name);

	return r < 0 ? r : result(unlinkat(dir.fd, name, flags));
}

static int op_unlink(void *fs, const char *path)
{
	return remove_name(fs, path, 0);
}

static int op_rmdir(void *fs, const char *path)
{
	return remove_name(fs, path, AT_REMOVEDIR);
}

static int op_rename(void *fs, const char *from, const char *to, unsigned flags)
{
	_cleanup_handle_ struct handle a = { -1, false };
	_cleanup_handle_ struct handle b = { -1, false };
	const char *name = NULL, *new_name = NULL;
	int r = get_dir(fs, from, &a, &name);

	if (r == 0)
		r = get_dir(fs, to, &b, &new_name);
	if (r < 0)
		return r;
	return result(renameat2(a.fd, name, b.fd, new_name, flags));
}

/* --- open files --- */

static int hold(struct mount_fs *fs, unsigned slot, int fd)
{
	if (fd < 0)
		return fd;
	fs->slots[slot] = fd;
	return 0;
}

static int op_open(void *fs, unsigned slot, const char *path, int flags,
		   unsigned mode)
{
	if (*path == '\0')
		return -EISDIR;
	return hold(fs, slot,
		    open_below(fs, path,
			       flags | O_RDWR | O_NOFOLLOW | O_NONBLOCK,
			       flags & O_CREAT ? mode : 0));
}

static int op_tmpfile(void *fs, unsigned slot, const char *dir, unsigned mode)
{
	return hold(fs, slot, open_below(fs, dir, O_TMPFILE | O_RDWR, mode));
}

static void op_close(void *arg, unsigned slot)
{
	struct mount_fs *fs = arg;

	cleanup_close(&fs->slots[slot]);
	fs->slots[slot] = -1;
}

/* --- content --- */

/* Writes and reads go on after part of them. */
static ssize_t op_write(void *fs, const char *path, const void *buf, size_t len,
			uint64_t off)
{
	_cleanup_handle_ struct handle h = { -1, false };
	int r = get_file(fs, path, &h);
	size_t done = 0;
	ssize_t n;

	if (r < 0)
		return r;
	while (done < len) {
		n = pwrite(h.fd, (const char *)buf + done, len - done,
			   (off_t)(off + done));
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static ssize_t op_read(void *fs, const char *path, void *buf, size_t len,
		       uint64_t off)
{
	_cleanup_handle_ struct handle h = { -1, false };
	int r = get_file(fs, path, &h);
	size_t done = 0;
	ssize_t n;

	if (r < 0)
		return r;
	while (done < len) {
		n = pread(h.fd, (char *)buf + done, len - done,
			  (off_t)(off + done));
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static int op_truncate(void *fs, const char *path, uint64_t size)
{
	_cleanup_handle_ struct handle h = { -1, false };
	int r = get_file(fs, path, &h);

	return r < 0 ? r : result(ftruncate(h.fd, (off_t)size));
}

static int op_fallocate(void *fs, const char *path, int mode, uint64_t off,
			uint64_t len)
{
	_cleanup_handle_ struct handle h = { -1, false };
	int r = get_file(fs, path, &h);

	if (r < 0)
		return r;
	return result(fallocate(h.fd, mode, (off_t)off, (off_t)len));
}

static ssize_t op_copy(void *fs, const char *from, uint64_t from_off,
		       const char *to, uint64_t to_off, uint64_t len)
{
	_cleanup_handle_ struct handle a = { -1, false };
	_cleanup_handle_ struct handle b = { -1, false };
	off_t in = (off_t)from_off, out = (off_t)to_off;
	int r = get_file(fs, from, &a);

	if (r == 0)
		r = get_file(fs, to, &b);
	if (r < 0)
		return r;
	return result(copy_file_range(a.fd, &in, b.fd, &out, len, 0));
}

static int op_fsync(void *arg, const char *path)
{
	_cleanup_handle_ struct handle h = { -1, false };
	const struct mount_fs *fs = arg;
	int r;

	if (*path == '\0')
		return result(syncfs(fs->root));
	r = get(fs, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, &h);
	return r < 0 ? r : result(fsync(h.fd));
}

static int op_lseek(void *fs, const char *path, uint64_t off, int whence,
		    uint64_t *ret_off)
{
	_cleanup_handle_ struct handle h = { -1, false };
	int r = get_file(fs, path, &h);
	off_t at;

	if (r < 0)
		return r;
	at = lseek(h.fd, (off_t)off, whence);
	if (at < 0)
		return -errno;
	*ret_off = (uint64_t)at;
	return 0;
}

/* --- mappings --- */

struct mapping {
	void *start;
	uint8_t *bytes; /* at the offset that was asked for */
	size_t len;
};

static void mapping_end(struct mapping *m)
{
	if (m->start)
		munmap(m->start, m->len);
}
#define _cleanup_mapping_ _cleanup_(mapping_end)

static int map(const struct mount_fs *fs, const char *path, size_t len,
	       uint64_t off, int protection, struct mapping *ret_mapping)
{
	_cleanup_handle_ struct handle h = { -1, false };
	const uint64_t first = off & ~UINT64_C(4095);
	int r = get_file(fs, path, &h);
	void *start;

	if (r < 0)
		return r;
	len += off - first;
	start = mmap(NULL, len, protection, MAP_SHARED, h.fd, (off_t)first);
	if (start == MAP_FAILED)
		return -errno;
	ret_mapping->start = start;
	ret_mapping->bytes = (uint8_t *)start + (off - first);
	ret_mapping->len = len;
	return 0;
}

static ssize_t op_map_write(void *fs, const char *path, const void *buf,
			    size_t len, uint64_t off, bool sync)
{
	_cleanup_mapping_ struct mapping m = { .start = NULL };
	int r = map(fs, path, len, off, PROT_READ | PROT_WRITE, &m);

	if (r < 0)
		return r;
	memcpy(m.bytes, buf, len);
	if (sync && msync(m.start, m.len, MS_SYNC) < 0)
		return -errno;
	return (ssize_t)len;
}

static ssize_t op_map_read(void *fs, const char *path, void *buf, size_t len,
			   uint64_t off)
{
	_cleanup_mapping_ struct mapping m = { .start = NULL };
	int r = map(fs, path, len, off, PROT_READ, &m);

	if (r < 0)
		return r;
	memcpy(buf, m.bytes, len);
	return (ssize_t)len;
}

/* Some file systems have direct reads of whole blocks only. */
static ssize_t op_read_cold(void *fs, const char *path, void *buf, size_t len,
			    uint64_t off)
{
	_cleanup_handle_ struct handle h = { -1, false };
	_cleanup_close_ int fd = -1;
	struct proc_path link;
	size_t done = 0;
	ssize_t n = 1;
	int r = get_file(fs, path, &h);

	if (r < 0)
		return r;
	fd = open(proc(&h, &link), O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		return errno == EINVAL ? op_read(fs, path, buf, len, off) :
					 -errno;
	while (done < len && n > 0) {
		n = pread(fd, (char *)buf + done, len - done,
			  (off_t)(off + done));
		if (n < 0)
			return errno == EINVAL ?
				       op_read(fs, path, buf, len, off) :
				       -errno;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* --- attributes --- */

static int op_chmod(void *fs, const char *path, unsigned mode)
{
	_cleanup_handle_ struct handle h = { -1, false };
	struct proc_path buf;
	int r = get_node(fs, path, &h);

	return r < 0 ? r : result(chmod(proc(&h, &buf), mode));
}

static int op_chown(void *fs, const char *path, uint32_t uid, uint32_t gid)
{
	_cleanup_handle_ struct handle h = { -1, false };
	int r = get_node(fs, path, &h);

	return r < 0 ? r : result(fchownat(h.fd, "", uid, gid, AT_EMPTY_PATH));
}

static int op_utimens(void *fs, const char *path,
		      const struct timespec times[2])
{
	_cleanup_handle_ struct handle h = { -1, false };
	struct proc_path buf;
	int r = get_node(fs, path, &h);

	return r < 0 ? r :
		       result(utimensat(AT_FDCWD, proc(&h, &buf), times, 0));
}

static int op_setxattr(void *fs, const char *path, const char *name,
		       const void *value, size_t len, int flags)
{
	_cleanup_handle_ struct handle h = { -1, false };
	struct proc_path buf;
	int r = get_node(fs, path, &h);

	if (r < 0)
		return r;
	return result(setxattr(proc(&h, &buf), name, value, len, flags));
}

static int op_removexattr(void *fs, const char *path, const char *name)
{
	_cleanup_handle_ struct handle h = { -1, false };
	struct proc_path buf;
	int r = get_node(fs, path, &h);

	return r < 0 ? r : result(removexattr(proc(&h, &buf), name));
}

static ssize_t op_getxattr(void *fs, const char *path, const char *name,
			   void *value, size_t size)
{
	_cleanup_handle_ struct handle h = { -1, false };
	struct proc_path buf;
	int r = get_node(fs, path, &h);

	return r < 0 ? r : result(getxattr(proc(&h, &buf), name, value, size));
}

static ssize_t op_listxattr(void *fs, const char *path, char *list, size_t size)
{
	_cleanup_handle_ struct handle h = { -1, false };
	struct proc_path buf;
	int r = get_node(fs, path, &h);

	return r < 0 ? r : result(listxattr(proc(&h, &buf), list, size));
}

static int op_stat(void *fs, const char *path, struct tree_stat *ret_stat)
{
	_cleanup_handle_ struct handle h = { -1, false };
	int r = get_node(fs, path, &h);
	struct stat st;

	if (r < 0)
		return r;
	if (fstat(h.fd, &st) < 0)
		return -errno;
	*ret_stat = (struct tree_stat){ .mode = st.st_mode,
					.nlink = (uint32_t)st.st_nlink,
					.uid = st.st_uid,
					.gid = st.st_gid,
					.ino = st.st_ino,
					.size = (uint64_t)st.st_size,
					.atime = st.st_atim,
					.mtime = st.st_mtim,
					.ctime = st.st_ctim };
	return 0;
}

static ssize_t op_readlink(void *fs, const char *path, char *buf, size_t size)
{
	_cleanup_handle_ struct handle h = { -1, false };
	int r = get_node(fs, path, &h);

	return r < 0 ? r : result(readlinkat(h.fd, "", buf, size));
}

/* --- directories --- */

/* All names first: `each` may look at the file system itself. */
static int read_names(DIR *d, char **ret_names, size_t *ret_len)
{
	_cleanup_free_ char *names = NULL;
	size_t len = 0, cap = 0;
	const struct dirent *e;

	errno = 0;
	while ((e = readdir(d))) {
		size_t n = strlen(e->d_name) + 1;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (len + n > cap) {
			char *more = realloc(names, cap + NAMES_SIZE);

			if (!more)
				return -ENOMEM;
			names = more;
			cap += NAMES_SIZE;
		}
		memcpy(names + len, e->d_name, n);
		len += n;
	}
	if (errno)
		return -errno;
	*ret_names = names;
	*ret_len = len;
	names = NULL;
	return 0;
}

static int op_list(void *fs, const char *path,
		   void (*each)(void *arg, const char *name, size_t len),
		   void *arg)
{
	_cleanup_closedir_ DIR *d = NULL;
	_cleanup_free_ char *names = NULL;
	int fd = open_below(fs, path, O_RDONLY | O_DIRECTORY, 0), r;
	const char *name = NULL;
	size_t len = 0;

	if (fd < 0)
		return fd;
	d = fdopendir(fd);
	if (!d) {
		cleanup_close(&fd);
		return -ENOMEM;
	}
	r = read_names(d, &names, &len);
	if (r < 0)
		return r;
	for (name = names; len && name < names + len; name += strlen(name) + 1)
		each(arg, name, strlen(name));
	return 0;
}

const struct tree_ops mount_ops = {
	.mkdir = op_mkdir,
	.create = op_create,
	.fifo = op_fifo,
	.symlink = op_symlink,
	.link = op_link,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.rename = op_rename,
	.open = op_open,
	.tmpfile = op_tmpfile,
	.close = op_close,
	.write = op_write,
	.truncate = op_truncate,
	.fallocate = op_fallocate,
	.copy = op_copy,
	.fsync = op_fsync,
	.chmod = op_chmod,
	.chown = op_chown,
	.utimens = op_utimens,
	.setxattr = op_setxattr,
	.removexattr = op_removexattr,
	.stat = op_stat,
	.read = op_read,
	.lseek = op_lseek,
	.readlink = op_readlink,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.list = op_list,
	.map_write = op_map_write,
	.map_read = op_map_read,
	.read_cold = op_read_cold,
};
