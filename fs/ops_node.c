/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on one inode's metadata: lookup and forget, attributes, symlink
 * targets, statfs. Translation only; no state.
 */
#include "ops.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

void ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct view_attr attr;
	int r = view_lookup(ops_view(req), parent, name, strlen(name), &attr);

	/* Only a success with inode 0 is cached as a missing name. */
	if (r == -ENOENT) {
		struct fuse_entry_param e = { .entry_timeout = OPS_TIMEOUT };

		fuse_reply_entry(req, &e);
		return;
	}
	ops_reply_entry(req, r, &attr);
}

void ops_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	view_forget(ops_view(req), ino, count);
	fuse_reply_none(req);
}

void ops_forget_multi(fuse_req_t req, size_t count,
		      struct fuse_forget_data *forgets)
{
	struct view *view = ops_view(req);
	size_t i;

	for (i = 0; i < count; i++)
		view_forget(view, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

void ops_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct view_attr attr;
	int r = view_getattr(ops_view(req), ino, &attr);

	(void)fi;
	ops_reply_attr(req, r, &attr);
}

static const struct {
	int fuse;
	enum view_set view;
} set_bits[] = {
	{ FUSE_SET_ATTR_MODE, VIEW_SET_MODE },
	{ FUSE_SET_ATTR_UID, VIEW_SET_UID },
	{ FUSE_SET_ATTR_GID, VIEW_SET_GID },
	{ FUSE_SET_ATTR_SIZE, VIEW_SET_SIZE },
	{ FUSE_SET_ATTR_CTIME, VIEW_SET_CTIME },
};

/* Of a time, the kernel sends the bit of the time itself, too, where it wants
 * the present. */
static unsigned set_time(int to_set, int time, int now, unsigned view_time,
			 unsigned view_now)
{
	if (to_set & now)
		return view_now;
	return to_set & time ? view_time : 0;
}

static unsigned set_from_fuse(int to_set)
{
	unsigned set = 0;
	size_t i;

	for (i = 0; i < sizeof(set_bits) / sizeof(set_bits[0]); i++)
		if (to_set & set_bits[i].fuse)
			set |= set_bits[i].view;
	set |= set_time(to_set, FUSE_SET_ATTR_ATIME, FUSE_SET_ATTR_ATIME_NOW,
			VIEW_SET_ATIME, VIEW_SET_ATIME_NOW);
	set |= set_time(to_set, FUSE_SET_ATTR_MTIME, FUSE_SET_ATTR_MTIME_NOW,
			VIEW_SET_MTIME, VIEW_SET_MTIME_NOW);
	/* Where only the times change that the kernel does not send, it is a
	 * chown(2) to nobody, or the caller may not keep suid and sgid. */
	if (ops_extra()->kill_priv || set == 0)
		set |= VIEW_SET_KILL_PRIV;
	return set;
}

/* Of a truncation the kernel says whether the caller may keep sgid; of all
 * else root is taken to. */
static unsigned set_kill(fuse_req_t req, fuse_ino_t ino, unsigned set)
{
	const unsigned any = VIEW_SET_KILL_PRIV | VIEW_SET_UID | VIEW_SET_GID;
	const unsigned told = VIEW_SET_KILL_PRIV | VIEW_SET_SIZE;

	if (!(set & any) ||
	    (fuse_req_ctx(req)->uid == 0 && (set & told) != told))
		return 0;
	return ops_kill(req, ino) == VIEW_KILL_SGID ? VIEW_SET_KILL_SGID : 0;
}

void ops_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
		 struct fuse_file_info *fi)
{
	struct view_attr attr = {
		.ino = ino,
		.mode = st->st_mode,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.size = st->st_size,
		.atime = st->st_atim,
		.mtime = st->st_mtim,
		.ctime = st->st_ctim,
	};
	unsigned set = set_from_fuse(to_set);
	struct view_attr now;
	int r;

	(void)fi;
	set |= set_kill(req, ino, set);
	r = OPS_MAKE_ROOM(ops_view(req),
			  view_setattr(ops_view(req), ino, set, &attr, &now));
	ops_reply_attr(req, r, &now);
}

void ops_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char target[PATH_MAX];
	ssize_t n;

	n = view_readlink(ops_view(req), ino, target, sizeof(target) - 1);
	if (n < 0) {
		ops_reply(req, n);
		return;
	}
	if ((size_t)n >= sizeof(target)) {
		ops_reply(req, -ENAMETOOLONG);
		return;
	}
	target[n] = '\0';
	fuse_reply_readlink(req, target);
}

void ops_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;
	int r = view_statfs(ops_view(req), &st);

	(void)ino;
	if (r < 0)
		ops_reply(req, r);
	else
		fuse_reply_statfs(req, &st);
}
