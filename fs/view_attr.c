/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing attributes: mode, owner, size and times, with the rules of local
 * file systems for ctime and for suid and sgid.
 */
#include <errno.h>

#include "view_internal.h"

#define ATTRS                                                           \
	(VIEW_SET_MODE | VIEW_SET_UID | VIEW_SET_GID | VIEW_SET_SIZE |  \
	 VIEW_SET_ATIME | VIEW_SET_MTIME | VIEW_SET_CTIME |             \
	 VIEW_SET_ATIME_NOW | VIEW_SET_MTIME_NOW | VIEW_SET_KILL_PRIV | \
	 VIEW_SET_KILL_SGID)

static void set_owner(struct meta *m, unsigned set,
		      const struct view_attr *attr)
{
	if (set & VIEW_SET_UID)
		m->uid = attr->uid;
	if (set & VIEW_SET_GID)
		m->gid = attr->gid;
}

/* A change of owner takes them whoever makes it; a mode that comes with it is
 * the kernel's own doing and wins. */
static void kill_priv(struct meta *m, unsigned set)
{
	const unsigned kill = VIEW_SET_KILL_PRIV | VIEW_SET_UID | VIEW_SET_GID;

	if (set & VIEW_SET_KILL_SGID)
		view_kill_priv(m, VIEW_KILL_SGID);
	else if (set & kill)
		view_kill_priv(m, VIEW_KILL_PRIV);
}

static void set_times(struct meta *m, unsigned set,
		      const struct view_attr *attr, const struct timespec *now)
{
	view_touch_ctime(m, now);
	if (set & (VIEW_SET_SIZE | VIEW_SET_MTIME_NOW))
		view_touch(m, now);
	if (set & VIEW_SET_ATIME_NOW) {
		m->atime_sec = now->tv_sec;
		m->atime_nsec = (uint32_t)now->tv_nsec;
	} else if (set & VIEW_SET_ATIME) {
		m->atime_sec = attr->atime.tv_sec;
		m->atime_nsec = (uint32_t)attr->atime.tv_nsec;
	}
	if ((set & VIEW_SET_MTIME) && !(set & VIEW_SET_MTIME_NOW)) {
		m->mtime_sec = attr->mtime.tv_sec;
		m->mtime_nsec = (uint32_t)attr->mtime.tv_nsec;
	}
	if (set & VIEW_SET_CTIME)
		view_touch_ctime(m, &attr->ctime);
}

static int check_times(unsigned set, const struct view_attr *attr)
{
	const struct timespec *t[] = {
		set & VIEW_SET_ATIME ? &attr->atime : NULL,
		set & VIEW_SET_MTIME ? &attr->mtime : NULL,
		set & VIEW_SET_CTIME ? &attr->ctime : NULL,
	};
	size_t k;

	for (k = 0; k < sizeof(t) / sizeof(t[0]); k++)
		if (t[k] && (t[k]->tv_nsec < 0 || t[k]->tv_nsec > 999999999))
			return -EINVAL;
	return 0;
}

static int check_size(const struct meta *m, unsigned set,
		      const struct view_attr *attr)
{
	if (!(set & VIEW_SET_SIZE))
		return 0;
	if (S_ISDIR(m->mode))
		return -EISDIR;
	if (!S_ISREG(m->mode))
		return -EINVAL;
	return attr->size > INT64_MAX ? -EFBIG : 0;
}

static int set_locked(struct view *v, struct meta *m, unsigned set,
		      const struct view_attr *attr)
{
	struct item item = { .type = ITEM_HOLE };
	struct timespec now = view_now();
	bool caps = set & (VIEW_SET_UID | VIEW_SET_GID | VIEW_SET_SIZE);
	bool shrink = false;
	int r;

	kill_priv(m, set);
	set_owner(m, set, attr);
	if (set & VIEW_SET_MODE)
		m->mode = (m->mode & S_IFMT) | (attr->mode & 07777);
	if (set & VIEW_SET_SIZE) {
		shrink = attr->size < m->size;
		m->size = attr->size;
	}
	set_times(m, set, attr, &now);
	view_put_inode(v, m);
	if (shrink) {
		item.range = (struct item_range){ .ino = m->ino,
						  .off = m->size,
						  .len = UINT64_MAX };
		item_put(&v->upper.items, &item);
	}
	r = view_put_xattrs_of_change(v, m, caps && !S_ISDIR(m->mode),
				      set & VIEW_SET_MODE);
	if (r < 0) {
		buf_reset(&v->upper.items);
		return r;
	}
	v->upper.frees = shrink;
	return upper_append(&v->upper, NULL, 0);
}

int view_setattr(struct view *v, uint64_t ino, unsigned set,
		 const struct view_attr *attr, struct view_attr *ret_attr)
{
	struct meta m;
	uint64_t done;
	int r;

	if (set & ~(unsigned)ATTRS)
		return -EINVAL;
	r = check_times(set, attr);
	if (r < 0)
		return r;
	WRITE_SCOPE(v);
	if (view_request_done(v, &done))
		set = 0;
	r = view_writable(v);
	if (r == 0)
		r = view_load(v, ino, &m);
	if (r == 0)
		r = check_size(&m, set, attr);
	if (r == 0 && set != 0)
		r = set_locked(v, &m, set, attr);
	if (r < 0)
		return r;
	view_fill_attr(v, &m, ret_attr);
	return 0;
}
