/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making inodes and names in the view: files, directories, symbolic links, hard
 * links, and files without a name. Each is one record: the new inode with its
 * target or ACLs, the directory's metadata, then the name.
 */
#include <errno.h>
#include <string.h>

#include "view_internal.h"

#define LINKS_MAX (UINT32_C(1) << 31)

/* Checks that (parent, name) can be made, and loads the parent. */
static int check_new(const struct view *v, uint64_t parent, const char *name,
		     size_t len, struct meta *ret_parent)
{
	uint64_t ino;
	int r;

	r = view_writable(v);
	if (r == 0)
		r = view_load_dir(v, parent, ret_parent);
	if (r < 0)
		return r;
	r = view_child(v, parent, name, len, &ino);
	if (r == 0)
		return -EEXIST;
	return r == -ENOENT ? 0 : r;
}

/* Owner and group as local file systems give them. */
static void set_owner(struct meta *m, const struct meta *dir,
		      const struct view_cred *cred)
{
	m->uid = cred->uid;
	m->gid = cred->gid;
	if (!(dir->mode & S_ISGID))
		return;
	m->gid = dir->gid;
	if (S_ISDIR(m->mode))
		m->mode |= S_ISGID;
}

/* Puts a new inode that is made in `dir`, with all that belongs to it. */
static int put_new(struct view *v, struct meta *m, const struct meta *dir,
		   const char *target, const struct view_cred *cred)
{
	struct item item = { .type = ITEM_TARGET };
	_cleanup_buf_ struct buf acls = BUF_INIT;
	struct timespec now = view_now();
	int r = 0;

	set_owner(m, dir, cred);
	if (!S_ISLNK(m->mode))
		r = view_inherit_acls(v, dir->ino, cred->umask, &m->mode,
				      &acls);
	if (r < 0)
		return r;
	m->ino = v->upper.next_ino;
	view_touch(m, &now);
	m->atime_sec = m->mtime_sec;
	m->atime_nsec = m->mtime_nsec;
	view_put_inode(v, m);
	if (acls.len > 0)
		view_put_xattrs(v, m->ino, &acls);
	if (target) {
		item.blob =
			(struct item_blob){ m->ino, (uint32_t)m->size, target };
		item_put(&v->upper.items, &item);
	}
	return 0;
}

/* What was made or linked before the worker that did it died. */
static int answer_again(struct view *v, uint64_t ino,
			struct view_attr *ret_attr)
{
	struct meta m;
	int r = view_load(v, ino, &m);

	if (r < 0)
		return r;
	view_fill_attr(v, &m, ret_attr);
	view_ref(v, ino);
	return 0;
}

/* Writes the record of a new inode and gives it to the kernel. */
static int append_new(struct view *v, const struct meta *m,
		      struct view_attr *ret_attr)
{
	int r = upper_append(&v->upper, NULL, 0);

	if (r < 0)
		return r;
	view_fill_attr(v, m, ret_attr);
	view_ref(v, m->ino);
	return 0;
}

static int make(struct view *v, uint64_t parent, const char *name, size_t len,
		const struct meta *what, const char *target,
		const struct view_cred *cred, struct view_attr *ret_attr)
{
	struct timespec now = view_now();
	struct meta m = *what, dir;
	uint64_t done;
	int r;

	r = view_check_name(name, len);
	if (r < 0)
		return r;
	WRITE_SCOPE(v);
	if (view_request_done(v, &done))
		return answer_again(v, done, ret_attr);
	r = check_new(v, parent, name, len, &dir);
	if (r < 0)
		return r;
	if (S_ISDIR(m.mode) && dir.nlink >= LINKS_MAX)
		return -EMLINK;
	r = put_new(v, &m, &dir, target, cred);
	if (r < 0)
		return r;
	view_touch(&dir, &now);
	if (S_ISDIR(m.mode))
		dir.nlink++;
	view_put_inode(v, &dir);
	view_put_name(v, parent, name, len, m.ino);
	return append_new(v, &m, ret_attr);
}

int view_tmpfile(struct view *v, uint64_t dir, uint32_t mode,
		 const struct view_cred *cred, struct view_attr *ret_attr)
{
	struct meta m = { .mode = S_IFREG | (mode & 07777) }, parent;
	uint64_t done;
	int r;

	WRITE_SCOPE(v);
	if (view_request_done(v, &done))
		return answer_again(v, done, ret_attr);
	r = view_writable(v);
	if (r == 0)
		r = view_load_dir(v, dir, &parent);
	if (r == 0)
		r = put_new(v, &m, &parent, NULL, cred);
	return r < 0 ? r : append_new(v, &m, ret_attr);
}

int view_mknod(struct view *v, uint64_t parent, const char *name, size_t len,
	       uint32_t mode, uint32_t rdev, const struct view_cred *cred,
	       struct view_attr *ret_attr)
{
	struct meta m = { .mode = mode & (S_IFMT | 07777), .nlink = 1 };

	switch (mode & S_IFMT) {
	case 0:
		m.mode |= S_IFREG;
		break;
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
		break;
	case S_IFCHR:
	case S_IFBLK:
		m.rdev = rdev;
		break;
	default:
		return -EINVAL;
	}
	return make(v, parent, name, len, &m, NULL, cred, ret_attr);
}

int view_mkdir(struct view *v, uint64_t parent, const char *name, size_t len,
	       uint32_t mode, const struct view_cred *cred,
	       struct view_attr *ret_attr)
{
	const struct meta m = { .parent = parent,
				.mode = S_IFDIR | (mode & 07777),
				.nlink = 2 };

	return make(v, parent, name, len, &m, NULL, cred, ret_attr);
}

int view_symlink(struct view *v, uint64_t parent, const char *name, size_t len,
		 const char *target, const struct view_cred *cred,
		 struct view_attr *ret_attr)
{
	const struct meta m = { .mode = S_IFLNK | 0777,
				.nlink = 1,
				.size = strlen(target) };

	if (m.size == 0)
		return -ENOENT;
	if (m.size > CATALOG_SYMLINK_MAX)
		return -ENAMETOOLONG;
	return make(v, parent, name, len, &m, target, cred, ret_attr);
}

int view_link(struct view *v, uint64_t ino, uint64_t parent, const char *name,
	      size_t len, struct view_attr *ret_attr)
{
	struct timespec now = view_now();
	struct meta m, dir;
	uint64_t done;
	int r;

	r = view_check_name(name, len);
	if (r < 0)
		return r;
	WRITE_SCOPE(v);
	if (view_request_done(v, &done))
		return answer_again(v, done, ret_attr);
	r = check_new(v, parent, name, len, &dir);
	if (r == 0)
		r = view_load(v, ino, &m);
	if (r < 0)
		return r;
	if (S_ISDIR(m.mode))
		return -EPERM;
	/* Without a link: made so, or the kernel would have refused. */
	if (m.nlink >= LINKS_MAX)
		return -EMLINK;
	m.nlink++;
	view_touch_ctime(&m, &now);
	view_touch(&dir, &now);
	view_put_inode(v, &m);
	view_put_inode(v, &dir);
	view_put_name(v, parent, name, len, ino);
	r = upper_append(&v->upper, NULL, 0);
	if (r < 0)
		return r;
	view_fill_attr(v, &m, ret_attr);
	view_ref(v, ino);
	return 0;
}
