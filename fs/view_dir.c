/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of the view: looking up and removing. Making is in view_make.c,
 * renaming in view_rename.c. Each change is one record: the metadata of every
 * inode it touches, then its names.
 */
#include <errno.h>
#include <string.h>

#include "view_internal.h"

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

/* Loads the inode behind a name, or behind "." and "..". */
static int lookup(const struct view *v, uint64_t parent, const char *name,
		  size_t len, struct meta *ret_meta)
{
	bool dots = len > 0 && len <= 2 && memcmp(name, "..", len) == 0;
	uint64_t ino = parent;
	int r;

	r = dots ? 0 : view_check_name(name, len);
	if (r == 0 && !dots)
		r = view_child(v, parent, name, len, &ino);
	if (r == 0)
		r = view_load(v, ino, ret_meta);
	if (r < 0 || !dots || len == 1)
		return r;
	return S_ISDIR(ret_meta->mode) ?
		       view_load(v, ret_meta->parent, ret_meta) :
		       -ENOTDIR;
}

int view_lookup(struct view *v, uint64_t parent, const char *name, size_t len,
		struct view_attr *ret_attr)
{
	struct meta m;
	int r;

	READ_SCOPE(v);
	r = lookup(v, parent, name, len, &m);
	if (r < 0)
		return r;
	view_fill_attr(v, &m, ret_attr);
	view_ref(v, m.ino);
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

int view_load_dir(const struct view *v, uint64_t ino, struct meta *ret_meta)
{
	int r = view_load(v, ino, ret_meta);

	if (r < 0)
		return r;
	if (!S_ISDIR(ret_meta->mode))
		return -ENOTDIR;
	return ret_meta->nlink == 0 ? -ENOENT : 0;
}

/* What removing a name needs: it, its parent, and that the view can change. */
static int load_old(const struct view *v, uint64_t parent, const char *name,
		    size_t len, struct meta *ret_parent, struct meta *ret_meta)
{
	uint64_t ino;
	int r;

	r = view_writable(v);
	if (r == 0)
		r = view_load_dir(v, parent, ret_parent);
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
	v->upper.frees = true;
	r = upper_append(&v->upper, NULL, 0);
	if (r == 0)
		view_drop_unlinked(v, m->ino);
	return r;
}

/* Whether `m` may lose its name to unlink() or, with `dir`, to rmdir(). */
static int check_removable(const struct view *v, const struct meta *m, bool dir)
{
	if (S_ISDIR(m->mode) != dir)
		return dir ? -ENOTDIR : -EISDIR;
	return dir && !view_dir_empty(v, m->ino) ? -ENOTEMPTY : 0;
}

static int remove_old(struct view *v, uint64_t parent, const char *name,
		      size_t len, bool is_dir)
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
	if (r == 0)
		r = check_removable(v, &m, is_dir);
	return r < 0 ? r : remove_name(v, name, len, &dir, &m);
}

int view_unlink(struct view *v, uint64_t parent, const char *name, size_t len)
{
	return remove_old(v, parent, name, len, false);
}

int view_rmdir(struct view *v, uint64_t parent, const char *name, size_t len)
{
	return remove_old(v, parent, name, len, true);
}
