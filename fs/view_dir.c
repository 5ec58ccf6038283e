/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of the view: looking up, making, linking and removing. Renaming is in
 * view_rename.c. Each change is one record: the metadata of every inode it touches, then
 * its names.
 */
#include <errno.h>
#include <string.h>

#include "view_internal.h"

#define LINKS_MAX (UINT32_C(1) << 31)

int view_check_name(const char *name, size_t len)
{
	if (len > CATALOG_NAME_MAX)
		return -ENAMETOOLONG;
	if (len == 0 || (len == 1 && name[0] == '.') ||
	    (len == 2 && name[0] == '.' && name[1] == '.'))
		return -EINVAL;
	return 0;
}

int view_child(const struct view *v, uint64_t parent, const char *name,
	       size_t len, uint64_t *ret_ino)
{
	const struct inode *dir = inodes_get(&v->upper.inodes, parent);
	const struct name *n;
	uint32_t ino;
	int r;

	if (dir && !S_ISDIR(dir->m.mode))
		return -ENOTDIR;
	n = names_find(&v->upper.names, parent, name, len);
	if (n) {
		if (n->ino == 0)
			return -ENOENT;
		*ret_ino = n->ino;
		return 0;
	}
	if (!v->upper.base || parent == 0 || parent > v->upper.base_inodes)
		return dir ? -ENOENT : -ESTALE;
	r = catalog_lookup(v->upper.base, (uint32_t)parent, name, len, &ino,
			   NULL);
	if (r < 0)
		return r == -EBADMSG ? -EIO : r;
	*ret_ino = ino;
	return 0;
}

int view_lookup(struct view *v, uint64_t parent, const char *name, size_t len,
		struct view_attr *ret_attr)
{
	struct meta m;
	uint64_t ino;
	int r;

	r = view_check_name(name, len);
	if (r < 0)
		return r;
	READ_SCOPE(v);
	r = view_child(v, parent, name, len, &ino);
	if (r == 0)
		r = view_load(v, ino, &m);
	if (r < 0)
		return r;
	view_fill_attr(v, &m, ret_attr);
	view_ref(v, ino);
	return 0;
}

void view_put_name(struct view *v, uint64_t parent, const char *name,
		   size_t len, uint64_t ino)
{
	struct upper *u = &v->upper;
	bool override = upper_base_child(u, parent, name, len) != 0;
	const struct name *n = names_find(&u->names, parent, name, len);
	struct item item = { .type = ITEM_NAME };

	if (ino == 0 && !override)
		item.type = ITEM_NO_NAME;
	item.name = (struct item_name){ .parent = parent,
					.ino = ino,
					.epoch = u->epoch,
					.len = (uint8_t)len,
					.text = name };
	if (!override)
		item.name.seq = n ? n->seq : u->next_seq;
	item_put(&u->items, &item);
}

/* A directory that names can be put into or taken from. */
static int load_parent(const struct view *v, uint64_t ino,
		       struct meta *ret_meta)
{
	int r = view_load(v, ino, ret_meta);

	if (r < 0)
		return r;
	if (!S_ISDIR(ret_meta->mode))
		return -ENOTDIR;
	return ret_meta->nlink == 0 ? -ENOENT : 0;
}

/* Checks that (parent, name) can be made, and loads the parent. */
static int check_new(const struct view *v, uint64_t parent, const char *name,
		     size_t len, struct meta *ret_parent)
{
	uint64_t ino;
	int r;

	r = view_writable(v);
	if (r == 0)
		r = load_parent(v, parent, ret_parent);
	if (r < 0)
		return r;
	r = view_child(v, parent, name, len, &ino);
	if (r == 0)
		return -EEXIST;
	return r == -ENOENT ? 0 : r;
}

/* Owner and group as local file systems give them. */
static void inherit(struct meta *m, const struct meta *dir,
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

static int make(struct view *v, uint64_t parent, const char *name, size_t len,
		const struct meta *what, const char *target,
		const struct view_cred *cred, struct view_attr *ret_attr)
{
	struct item item = { .type = ITEM_TARGET };
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
	inherit(&m, &dir, cred);
	m.ino = v->upper.next_ino;
	view_touch(&m, &now);
	m.atime_sec = m.mtime_sec;
	m.atime_nsec = m.mtime_nsec;
	view_touch(&dir, &now);
	if (S_ISDIR(m.mode)) {
		m.parent = parent;
		dir.nlink++;
	}
	view_put_inode(v, &m);
	if (target) {
		item.blob =
			(struct item_blob){ m.ino, (uint32_t)m.size, target };
		item_put(&v->upper.items, &item);
	}
	view_put_inode(v, &dir);
	view_put_name(v, parent, name, len, m.ino);
	r = upper_append(&v->upper, NULL, 0);
	if (r < 0)
		return r;
	view_fill_attr(v, &m, ret_attr);
	view_ref(v, m.ino);
	return 0;
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
	const struct meta m = { .mode = S_IFDIR | (mode & 07777), .nlink = 2 };

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
	if (m.nlink == 0)
		return -ENOENT;
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

/* What removing a name needs: it, its parent, and that the view can change. */
static int load_old(const struct view *v, uint64_t parent, const char *name,
		    size_t len, struct meta *ret_parent, struct meta *ret_meta)
{
	uint64_t ino;
	int r;

	r = view_writable(v);
	if (r == 0)
		r = load_parent(v, parent, ret_parent);
	if (r == 0)
		r = view_child(v, parent, name, len, &ino);
	return r < 0 ? r : view_load(v, ino, ret_meta);
}

static int remove_name(struct view *v, const char *name, size_t len,
		       struct meta *dir, struct meta *m)
{
	struct timespec now = view_now();
	int r;

	if (S_ISDIR(m->mode)) {
		m->nlink = 0;
		dir->nlink--;
	} else {
		m->nlink--;
	}
	view_touch_ctime(m, &now);
	view_touch(dir, &now);
	view_put_inode(v, m);
	view_put_inode(v, dir);
	view_put_name(v, dir->ino, name, len, 0);
	r = upper_append(&v->upper, NULL, 0);
	if (r == 0)
		view_drop_unlinked(v, m->ino);
	return r;
}

int view_unlink(struct view *v, uint64_t parent, const char *name, size_t len)
{
	struct meta dir, m;
	uint64_t done;
	int r;

	r = view_check_name(name, len);
	if (r < 0)
		return r;
	WRITE_SCOPE(v);
	if (view_request_done(v, &done))
		return 0;
	r = load_old(v, parent, name, len, &dir, &m);
	if (r < 0)
		return r;
	if (S_ISDIR(m.mode))
		return -EISDIR;
	return remove_name(v, name, len, &dir, &m);
}

int view_rmdir(struct view *v, uint64_t parent, const char *name, size_t len)
{
	struct meta dir, m;
	uint64_t done;
	int r;

	r = view_check_name(name, len);
	if (r < 0)
		return r;
	WRITE_SCOPE(v);
	if (view_request_done(v, &done))
		return 0;
	r = load_old(v, parent, name, len, &dir, &m);
	if (r < 0)
		return r;
	if (!S_ISDIR(m.mode))
		return -ENOTDIR;
	if (!view_dir_empty(v, m.ino))
		return -ENOTEMPTY;
	return remove_name(v, name, len, &dir, &m);
}
