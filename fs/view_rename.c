/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Renaming in the view. A directory of the base moves by one name and its
 * record, whatever is below it.
 */
#include <errno.h>
#include <stdio.h>

#include "view_internal.h"

/* One end of a rename. The two directories may be the same: then only
 * `dirs[0]` is used. */
struct rename {
	struct meta dirs[2];
	struct meta *from, *to; /* into `dirs` */
	struct meta moved;
	struct meta target;
	bool has_target;
};

/* Whether `ino` is `dir` or above it. The count guards against a damaged
 * parent chain. */
static bool is_above(const struct view *v, uint64_t ino, uint64_t dir)
{
	uint64_t steps = v->upper.base_inodes + v->upper.inodes.count + 1;
	struct meta m;

	while (steps-- > 0) {
		if (dir == ino)
			return true;
		if (dir == VIEW_ROOT || view_load(v, dir, &m) < 0)
			return false;
		dir = m.parent;
	}
	return true;
}

static int rename_load(const struct view *v, struct rename *rn, uint64_t parent,
		       const char *name, size_t len, uint64_t new_parent,
		       const char *new_name, size_t new_len)
{
	uint64_t ino;
	int r;

	r = view_load_dir(v, parent, &rn->dirs[0]);
	rn->from = rn->to = &rn->dirs[0];
	if (r == 0 && parent != new_parent) {
		rn->to = &rn->dirs[1];
		r = view_load_dir(v, new_parent, rn->to);
	}
	if (r == 0)
		r = view_child(v, parent, name, len, &ino);
	if (r == 0)
		r = view_load(v, ino, &rn->moved);
	if (r < 0)
		return r;
	r = view_child(v, new_parent, new_name, new_len, &ino);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = view_load(v, ino, &rn->target);
	rn->has_target = r == 0;
	return r;
}

static int check_replace(const struct view *v, const struct rename *rn)
{
	if (!rn->has_target)
		return 0;
	if (S_ISDIR(rn->moved.mode) && !S_ISDIR(rn->target.mode))
		return -ENOTDIR;
	if (!S_ISDIR(rn->moved.mode) && S_ISDIR(rn->target.mode))
		return -EISDIR;
	if (S_ISDIR(rn->target.mode) && !view_dir_empty(v, rn->target.ino))
		return -ENOTEMPTY;
	return 0;
}

/* In the order of the kernel. 1: there is nothing to do. */
static int check(const struct view *v, const struct rename *rn, unsigned flags)
{
	if ((flags & RENAME_NOREPLACE) && rn->has_target)
		return -EEXIST;
	if ((flags & RENAME_EXCHANGE) && !rn->has_target)
		return -ENOENT;
	if (S_ISDIR(rn->moved.mode) && is_above(v, rn->moved.ino, rn->to->ino))
		return -EINVAL;
	if (rn->has_target && S_ISDIR(rn->target.mode) &&
	    is_above(v, rn->target.ino, rn->from->ino))
		return flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
	if (rn->has_target && rn->target.ino == rn->moved.ino)
		return 1; /* two names of one inode: POSIX leaves both */
	return flags & RENAME_EXCHANGE ? 0 : check_replace(v, rn);
}

/* What the rename does to the inodes of both ends. */
static void settle(struct rename *rn, bool exchange)
{
	struct timespec now = view_now();

	view_touch(rn->from, &now);
	view_touch(rn->to, &now);
	view_touch_ctime(&rn->moved, &now);
	if (rn->has_target)
		view_touch_ctime(&rn->target, &now);
	if (S_ISDIR(rn->moved.mode)) {
		rn->from->nlink--;
		rn->to->nlink++;
		rn->moved.parent = rn->to->ino;
	}
	if (!rn->has_target)
		return;
	if (!S_ISDIR(rn->target.mode)) {
		if (!exchange)
			rn->target.nlink--;
		return;
	}
	rn->to->nlink--;
	if (exchange) {
		rn->from->nlink++;
		rn->target.parent = rn->from->ino;
	} else {
		rn->target.nlink = 0;
	}
}

static int rename_locked(struct view *v, struct rename *rn, const char *name,
			 size_t len, const char *new_name, size_t new_len,
			 unsigned flags)
{
	bool exchange = flags & RENAME_EXCHANGE;
	int r;

	r = check(v, rn, flags);
	if (r != 0)
		return r < 0 ? r : 0;
	settle(rn, exchange);
	view_put_inode(v, rn->from);
	if (rn->to != rn->from)
		view_put_inode(v, rn->to);
	view_put_inode(v, &rn->moved);
	if (rn->has_target)
		view_put_inode(v, &rn->target);
	view_put_name(v, rn->from->ino, name, len,
		      exchange ? rn->target.ino : 0);
	view_put_name(v, rn->to->ino, new_name, new_len, rn->moved.ino);
	r = upper_append(&v->upper, NULL, 0);
	if (r == 0 && rn->has_target)
		view_drop_unlinked(v, rn->target.ino);
	return r;
}

int view_rename(struct view *v, uint64_t parent, const char *name, size_t len,
		uint64_t new_parent, const char *new_name, size_t new_len,
		unsigned flags)
{
	struct rename rn = { 0 };
	uint64_t done;
	int r;

	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE) ||
	    flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	r = view_check_name(name, len);
	if (r == 0)
		r = view_check_name(new_name, new_len);
	if (r < 0)
		return r;
	WRITE_SCOPE(v);
	if (view_request_done(v, &done))
		return 0;
	r = view_writable(v);
	if (r == 0)
		r = rename_load(v, &rn, parent, name, len, new_parent, new_name,
				new_len);
	if (r < 0)
		return r;
	return rename_locked(v, &rn, name, len, new_name, new_len, flags);
}
