/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fixture's view as a tree_ops: what the kernel would check is checked here,
 * as the kernel does it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store/base/cursor.h"

#include "view_fixture.h"

static const struct view_cred cred = { 0 };

/* --- by path --- */

static int lookup(struct view *v, uint64_t parent, const char *name, size_t len,
		  struct view_attr *ret_attr)
{
	int r = view_lookup(v, parent, name, len, ret_attr);

	if (r == 0)
		view_forget(v, ret_attr->ino, 1);
	return r;
}

/* The directory of a path and its last name. */
static int walk(struct fixture *fx, const char *path, uint64_t *ret_dir,
		const char **ret_name)
{
	uint64_t dir = VIEW_ROOT;
	struct view_attr a;
	const char *slash;
	int r;

	while ((slash = strchr(path, '/'))) {
		r = lookup(fx->view, dir, path, (size_t)(slash - path), &a);
		if (r < 0)
			return r;
		if (S_ISLNK(a.mode))
			return -ELOOP;
		dir = a.ino;
		path = slash + 1;
	}
	*ret_dir = dir;
	*ret_name = path;
	return 0;
}

static struct fixture_slot *slot_of(struct fixture *fx, const char *path)
{
	if (path[0] != '@' || path[1] < '0' || path[1] >= '0' + TREE_SLOTS ||
	    path[2] != '\0')
		return NULL;
	return &fx->slots[path[1] - '0'];
}

static int resolve_attr(struct fixture *fx, const char *path,
			struct view_attr *ret_attr)
{
	const struct fixture_slot *slot = slot_of(fx, path);
	const char *name;
	uint64_t dir;
	int r;

	if (slot)
		return slot->ino ? view_getattr(fx->view, slot->ino, ret_attr) :
				   -EBADF;
	r = walk(fx, path, &dir, &name);
	if (r < 0)
		return r;
	if (*name == '\0')
		return view_getattr(fx->view, dir, ret_attr);
	return lookup(fx->view, dir, name, strlen(name), ret_attr);
}

static int resolve(struct fixture *fx, const char *path, uint64_t *ret_ino)
{
	struct view_attr a;
	int r = resolve_attr(fx, path, &a);

	if (r == 0)
		*ret_ino = a.ino;
	return r;
}

/* What the kernel lets be opened for reading and writing; `special` is the error
 * that the call gives for fifos. */
static int resolve_file(struct fixture *fx, const char *path, int special,
			uint64_t *ret_ino)
{
	struct view_attr a;
	int r = resolve_attr(fx, path, &a);

	if (r < 0)
		return r;
	if (S_ISDIR(a.mode))
		return -EISDIR;
	if (S_ISLNK(a.mode))
		return -ELOOP;
	*ret_ino = a.ino;
	return S_ISREG(a.mode) ? 0 : special;
}

uint64_t fixture_ino(struct fixture *fx, const char *path)
{
	uint64_t ino = 0;

	return resolve(fx, path, &ino) == 0 ? ino : 0;
}

void fixture_attr(struct fixture *fx, const char *path,
		  struct view_attr *ret_attr)
{
	uint64_t ino = fixture_ino(fx, path);

	assert_true(ino != 0);
	assert_int_equal(view_getattr(fx->view, ino, ret_attr), 0);
}

/* --- the calls --- */

static int op_mkdir(void *fs, const char *path, unsigned mode)
{
	struct fixture *fx = fs;
	struct view_attr a;
	const char *name;
	uint64_t dir;
	int r = walk(fx, path, &dir, &name);

	if (r == 0)
		r = view_mkdir(fx->view, dir, name, strlen(name), mode, &cred,
			       &a);
	if (r == 0)
		view_forget(fx->view, a.ino, 1);
	return r;
}

static int make(struct fixture *fx, const char *path, uint32_t mode)
{
	struct view_attr a;
	const char *name;
	uint64_t dir;
	int r = walk(fx, path, &dir, &name);

	if (r == 0)
		r = view_mknod(fx->view, dir, name, strlen(name), mode, 0,
			       &cred, &a);
	if (r == 0)
		view_forget(fx->view, a.ino, 1);
	return r;
}

static int op_create(void *fs, const char *path, unsigned mode)
{
	return make(fs, path, S_IFREG | mode);
}

static int op_fifo(void *fs, const char *path, unsigned mode)
{
	return make(fs, path, S_IFIFO | mode);
}

static int op_symlink(void *fs, const char *target, const char *path)
{
	struct fixture *fx = fs;
	struct view_attr a;
	const char *name;
	uint64_t dir;
	int r = walk(fx, path, &dir, &name);

	if (r == 0)
		r = view_symlink(fx->view, dir, name, strlen(name), target,
				 &cred, &a);
	if (r == 0)
		view_forget(fx->view, a.ino, 1);
	return r;
}

static int op_link(void *fs, const char *from, const char *to)
{
	struct fixture *fx = fs;
	struct fixture_slot *slot = slot_of(fx, from);
	struct view_attr a;
	const char *name;
	uint64_t dir, ino;
	int r = resolve_attr(fx, from, &a);

	ino = a.ino;
	if (r == 0)
		r = walk(fx, to, &dir, &name);
	if (r < 0)
		return r;
	/* The kernel lets a removed file have no new name. */
	if (a.nlink == 0 && !(slot && slot->linkable)) {
		r = lookup(fx->view, dir, name, strlen(name), &a);
		return r == 0 ? -EEXIST : r;
	}
	r = view_link(fx->view, ino, dir, name, strlen(name), &a);
	if (r < 0)
		return r;
	view_forget(fx->view, a.ino, 1);
	if (slot)
		slot->linkable = false;
	return 0;
}

static int op_unlink(void *fs, const char *path)
{
	struct fixture *fx = fs;
	const char *name;
	uint64_t dir;
	int r = walk(fx, path, &dir, &name);

	return r < 0 ? r : view_unlink(fx->view, dir, name, strlen(name));
}

static int op_rmdir(void *fs, const char *path)
{
	struct fixture *fx = fs;
	const char *name;
	uint64_t dir;
	int r = walk(fx, path, &dir, &name);

	return r < 0 ? r : view_rmdir(fx->view, dir, name, strlen(name));
}

static int op_rename(void *fs, const char *from, const char *to, unsigned flags)
{
	struct fixture *fx = fs;
	const char *name, *new_name;
	uint64_t dir, new_dir;
	struct view_attr a;
	int r = walk(fx, from, &dir, &name);

	if (r == 0)
		r = walk(fx, to, &new_dir, &new_name);
	/* The kernel looks both names up first. */
	if (r == 0)
		r = lookup(fx->view, dir, name, strlen(name), &a);
	if (r < 0)
		return r;
	return view_rename(fx->view, dir, name, strlen(name), new_dir, new_name,
			   strlen(new_name), flags);
}

/* A reference by path is given back at once; this one is kept. */
static int hold(struct fixture *fx, const char *path,
		struct fixture_slot *ret_slot)
{
	struct view_attr a;
	const char *name;
	uint64_t dir;
	int r = walk(fx, path, &dir, &name);

	if (r == 0)
		r = view_lookup(fx->view, dir, name, strlen(name), &a);
	if (r == 0)
		ret_slot->ino = a.ino;
	return r;
}

static int op_open(void *fs, unsigned number, const char *path, int flags,
		   unsigned mode)
{
	const struct view_attr empty = { .size = 0 };
	struct fixture *fx = fs;
	struct fixture_slot slot = { .append = flags & O_APPEND };
	struct view_attr a;
	uint64_t ino = 0;
	int r = resolve_file(fx, path, 0, &ino);

	if (r == -ENOENT && (flags & O_CREAT))
		r = op_create(fx, path, mode);
	if (r == 0)
		r = hold(fx, path, &slot);
	if (r == 0 && (flags & O_TRUNC) &&
	    resolve_file(fx, path, -EINVAL, &ino) == 0)
		r = view_setattr(fx->view, slot.ino, VIEW_SET_SIZE, &empty, &a);
	if (r == 0)
		fx->slots[number] = slot;
	return r;
}

static int op_tmpfile(void *fs, unsigned number, const char *dir, unsigned mode)
{
	struct fixture *fx = fs;
	struct view_attr a, made;
	int r = resolve_attr(fx, dir, &a);

	if (r == 0 && !S_ISDIR(a.mode))
		r = S_ISLNK(a.mode) ? -ELOOP : -ENOTDIR;
	if (r == 0)
		r = view_tmpfile(fx->view, a.ino, S_IFREG | mode, &cred, &made);
	if (r == 0)
		fx->slots[number] = (struct fixture_slot){ .ino = made.ino,
							   .linkable = true };
	return r;
}

static void op_close(void *fs, unsigned number)
{
	struct fixture *fx = fs;

	view_forget(fx->view, fx->slots[number].ino, 1);
	fx->slots[number] = (struct fixture_slot){ 0 };
}

static ssize_t op_write(void *fs, const char *path, const void *buf, size_t len,
			uint64_t off)
{
	struct fixture *fx = fs;
	const struct fixture_slot *slot = slot_of(fx, path);
	struct view_attr a;
	uint64_t ino = 0;
	int r = resolve_file(fx, path, -ESPIPE, &ino);

	if (r == 0 && slot && slot->append) {
		r = view_getattr(fx->view, ino, &a);
		off = a.size;
	}
	return r < 0 ? r :
		       view_write(fx->view, ino, buf, len, off, VIEW_KILL_NONE);
}

static int set(struct fixture *fx, const char *path, unsigned what,
	       const struct view_attr *attr)
{
	struct view_attr a;
	uint64_t ino = 0;
	int r = resolve(fx, path, &ino);

	return r < 0 ? r : view_setattr(fx->view, ino, what, attr, &a);
}

static int op_truncate(void *fs, const char *path, uint64_t size)
{
	const struct view_attr a = { .size = size };
	uint64_t ino = 0;
	int r = resolve_file(fs, path, -EINVAL, &ino);

	return r < 0 ? r : set(fs, path, VIEW_SET_SIZE, &a);
}

static int op_chmod(void *fs, const char *path, unsigned mode)
{
	const struct view_attr a = { .mode = mode };
	struct view_attr now;
	int r = resolve_attr(fs, path, &now);

	if (r == 0 && S_ISLNK(now.mode))
		return -EOPNOTSUPP;
	return r < 0 ? r : set(fs, path, VIEW_SET_MODE, &a);
}

static int op_chown(void *fs, const char *path, uint32_t uid, uint32_t gid)
{
	const struct view_attr a = { .uid = uid, .gid = gid };

	return set(fs, path, VIEW_SET_UID | VIEW_SET_GID, &a);
}

static int op_utimens(void *fs, const char *path,
		      const struct timespec times[2])
{
	const struct view_attr a = { .atime = times[0], .mtime = times[1] };

	return set(fs, path, VIEW_SET_ATIME | VIEW_SET_MTIME, &a);
}

static int op_fallocate(void *fs, const char *path, int mode, uint64_t off,
			uint64_t len)
{
	struct fixture *fx = fs;
	uint64_t ino = 0;
	int r = resolve_file(fx, path, -ESPIPE, &ino);

	return r < 0 ? r : view_fallocate(fx->view, ino, mode, off, len);
}

static int op_fsync(void *fs, const char *path)
{
	struct fixture *fx = fs;
	struct view_attr a;
	int r = resolve_attr(fx, path, &a);

	if (r < 0)
		return r;
	if (S_ISLNK(a.mode) || S_ISFIFO(a.mode))
		return S_ISLNK(a.mode) ? -ELOOP : -EINVAL;
	return view_fsync(fx->view, *path ? a.ino : 0);
}

/* The kernel's checks: what is left to copy, and not onto itself. */
static int copy_room(struct fixture *fx, uint64_t from, uint64_t from_off,
		     uint64_t to, uint64_t to_off, uint64_t *len)
{
	struct view_attr a;
	int r = view_getattr(fx->view, from, &a);

	if (r < 0)
		return r;
	if (from_off >= a.size)
		*len = 0;
	else if (*len > a.size - from_off)
		*len = a.size - from_off;
	if (from == to && to_off + *len > from_off && to_off < from_off + *len)
		return -EINVAL;
	return 0;
}

static ssize_t op_copy(void *fs, const char *from, uint64_t from_off,
		       const char *to, uint64_t to_off, uint64_t len)
{
	struct fixture *fx = fs;
	const struct fixture_slot *slot = slot_of(fx, to);
	uint64_t a = 0, b = 0;
	int r = resolve_file(fx, from, 0, &a), special;

	if (r == 0)
		r = resolve_file(fx, to, 0, &b);
	if (r < 0)
		return r;
	special = resolve_file(fx, from, -EINVAL, &a);
	if (special == 0)
		special = resolve_file(fx, to, -EINVAL, &b);
	if (special < 0)
		return special;
	if (slot && slot->append)
		return -EBADF;
	r = copy_room(fx, a, from_off, b, to_off, &len);
	if (r < 0 || len == 0)
		return r;
	return view_copy_range(fx->view, a, from_off, b, to_off, len);
}

/* User attributes are for files and directories. */
static int resolve_xattr(struct fixture *fx, const char *path, const char *name,
			 uint64_t *ret_ino)
{
	struct view_attr a;
	int r = resolve_attr(fx, path, &a);

	if (r < 0)
		return r;
	*ret_ino = a.ino;
	if (strncmp(name, "user.", 5) == 0 && !S_ISREG(a.mode) &&
	    !S_ISDIR(a.mode))
		return -EPERM;
	return 0;
}

static int op_setxattr(void *fs, const char *path, const char *name,
		       const void *value, size_t len, int flags)
{
	struct fixture *fx = fs;
	uint64_t ino = 0;
	int r = resolve_xattr(fx, path, name, &ino);

	return r < 0 ? r :
		       view_setxattr(fx->view, ino, name, value, len, flags);
}

static int op_removexattr(void *fs, const char *path, const char *name)
{
	struct fixture *fx = fs;
	uint64_t ino = 0;
	int r = resolve_xattr(fx, path, name, &ino);

	return r < 0 ? r : view_removexattr(fx->view, ino, name);
}

static ssize_t op_listxattr(void *fs, const char *path, char *buf, size_t size)
{
	struct fixture *fx = fs;
	uint64_t ino = 0;
	int r = resolve(fx, path, &ino);

	return r < 0 ? r : view_listxattr(fx->view, ino, true, buf, size);
}

static int op_stat(void *fs, const char *path, struct tree_stat *ret_stat)
{
	struct view_attr a;
	int r = resolve_attr(fs, path, &a);

	if (r < 0)
		return r;
	*ret_stat = (struct tree_stat){ .mode = a.mode,
					.nlink = a.nlink,
					.uid = a.uid,
					.gid = a.gid,
					.ino = a.ino,
					.size = a.size,
					.atime = a.atime,
					.mtime = a.mtime,
					.ctime = a.ctime };
	return 0;
}

static int op_lseek(void *fs, const char *path, uint64_t off, int whence,
		    uint64_t *ret_off)
{
	struct fixture *fx = fs;
	uint64_t ino = 0;
	int r = resolve_file(fx, path, -ESPIPE, &ino);

	return r < 0 ? r : view_lseek(fx->view, ino, off, whence, ret_off);
}

static ssize_t op_read(void *fs, const char *path, void *buf, size_t len,
		       uint64_t off)
{
	struct fixture *fx = fs;
	uint64_t ino = 0;
	int r = resolve_file(fx, path, -ESPIPE, &ino);

	return r < 0 ? r : view_read(fx->view, ino, buf, len, off);
}

static ssize_t op_readlink(void *fs, const char *path, char *buf, size_t size)
{
	struct fixture *fx = fs;
	uint64_t ino = 0;
	int r = resolve(fx, path, &ino);

	return r < 0 ? r : view_readlink(fx->view, ino, buf, size);
}

static ssize_t op_getxattr(void *fs, const char *path, const char *name,
			   void *buf, size_t size)
{
	struct fixture *fx = fs;
	uint64_t ino = 0;
	int r = resolve(fx, path, &ino);

	return r < 0 ? r : view_getxattr(fx->view, ino, name, buf, size);
}

static int collect_name(void *arg, const char *name, size_t len,
			const struct view_attr *attr, uint64_t next)
{
	struct buf *out = arg;

	(void)attr;
	(void)next;
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return 0;
	buf_put_u16(out, (uint16_t)len);
	buf_put(out, name, len);
	return 0;
}

static int op_list(void *fs, const char *path,
		   void (*each)(void *arg, const char *name, size_t len),
		   void *arg)
{
	_cleanup_buf_ struct buf names = BUF_INIT;
	struct fixture *fx = fs;
	struct cursor c;
	uint64_t ino = 0;
	int r = resolve(fx, path, &ino);

	if (r == 0)
		r = view_readdir(fx->view, ino, 0, false, collect_name, &names);
	if (r < 0)
		return r;
	cursor_init(&c, names.data, names.len);
	while (cursor_left(&c) > 0) {
		uint16_t len = cursor_u16(&c);

		each(arg, cursor_bytes(&c, len), len);
	}
	return 0;
}

const struct tree_ops fixture_ops = {
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
	.readlink = op_readlink,
	.lseek = op_lseek,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.list = op_list,
};
