/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations that make, remove and move names. Translation only; no state.
 */
#include "ops.h"

#include <errno.h>
#include <string.h>

/* With zero-message open the kernel is sent to MKNOD, whose file it then opens
 * without a word: a file made by CREATE counts as open afterwards, has no
 * handle, and costs a RELEASE. */
void ops_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		mode_t mode, struct fuse_file_info *fi)
{
	struct view *view = ops_view(req);
	struct view_cred cred = ops_cred(req);
	struct fuse_entry_param e;
	struct view_attr attr;
	int r;

	if (ops_env(req)->no_open && !ops_extra()->tmpfile) {
		ops_reply(req, -ENOSYS);
		return;
	}
	if (ops_extra()->tmpfile)
		r = OPS_MAKE_ROOM(view, view_tmpfile(view, parent, mode, &cred,
						     &attr));
	else
		r = OPS_MAKE_ROOM(view,
				  view_mknod(view, parent, name, strlen(name),
					     S_IFREG | (mode & ALLPERMS), 0,
					     &cred, &attr));
	if (r < 0) {
		ops_reply(req, r);
		return;
	}
	ops_entry(&attr, &e);
	fi->fh = 0;
	fi->keep_cache = 1;
	if (fuse_reply_create(req, &e, fi) < 0)
		view_forget(view, attr.ino, 1);
}

void ops_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       dev_t rdev)
{
	struct view_cred cred = ops_cred(req);
	struct view_attr attr;
	int r;

	r = OPS_MAKE_ROOM(ops_view(req),
			  view_mknod(ops_view(req), parent, name, strlen(name),
				     mode, rdev, &cred, &attr));
	ops_reply_entry(req, r, &attr);
}

void ops_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct view_cred cred = ops_cred(req);
	struct view_attr attr;
	int r;

	r = OPS_MAKE_ROOM(ops_view(req),
			  view_mkdir(ops_view(req), parent, name, strlen(name),
				     mode, &cred, &attr));
	ops_reply_entry(req, r, &attr);
}

void ops_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		 const char *name)
{
	struct view_cred cred = ops_cred(req);
	struct view_attr attr;
	int r;

	r = OPS_MAKE_ROOM(ops_view(req),
			  view_symlink(ops_view(req), parent, name,
				       strlen(name), target, &cred, &attr));
	ops_reply_entry(req, r, &attr);
}

void ops_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
	      const char *name)
{
	struct view_attr attr;
	int r;

	r = OPS_MAKE_ROOM(ops_view(req), view_link(ops_view(req), ino, parent,
						   name, strlen(name), &attr));
	ops_reply_entry(req, r, &attr);
}

void ops_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	ops_reply(req, OPS_MAKE_ROOM(ops_view(req),
				     view_unlink(ops_view(req), parent, name,
						 strlen(name))));
}

void ops_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	ops_reply(req,
		  OPS_MAKE_ROOM(ops_view(req), view_rmdir(ops_view(req), parent,
							  name, strlen(name))));
}

void ops_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		fuse_ino_t new_parent, const char *new_name, unsigned flags)
{
	ops_reply(req,
		  OPS_MAKE_ROOM(ops_view(req),
				view_rename(ops_view(req), parent, name,
					    strlen(name), new_parent, new_name,
					    strlen(new_name), flags)));
}
