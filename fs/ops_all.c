/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on a mount of all entries: as those of ops_node.c, ops_file.c and
 * ops_xattr.c, for what view_all.h shows. What may come and go at any time the
 * kernel believes for a second, and that something is missing above the trees not
 * at all, so that an entry is there when whoever made it says so. What is
 * below a key it believes for good. Translation only; no state.
 */
#include "ops.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>

#include "acl.h"
#include "fetch.h"
#include "view_all.h"

#define BRIEF 1.0 /* seconds */

static struct view_all *all(fuse_req_t req)
{
	return ops_env(req)->all;
}

static void all_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	enum view_all_term term = VIEW_ALL_FIXED;
	struct fuse_entry_param e = { .ino = 0 };
	struct view_all *a = all(req); /* the reply frees the request */
	struct view_attr attr;
	int r = view_all_lookup(a, parent, name, strlen(name), &attr, &term);

	if (r == -ENOENT) {
		e.entry_timeout = term == VIEW_ALL_DIR ? 0 : OPS_TIMEOUT;
		fuse_reply_entry(req, &e);
		return;
	}
	if (r < 0) {
		ops_reply(req, r);
		return;
	}
	ops_entry(&attr, &e);
	if (term != VIEW_ALL_FIXED)
		e.entry_timeout = BRIEF;
	if (term == VIEW_ALL_DIR)
		e.attr_timeout = BRIEF;
	if (fuse_reply_entry(req, &e) < 0)
		view_all_forget(a, attr.ino, 1);
}

static void all_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	view_all_forget(all(req), ino, count);
	fuse_reply_none(req);
}

static void all_forget_multi(fuse_req_t req, size_t count,
			     struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		view_all_forget(all(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void all_getattr(fuse_req_t req, fuse_ino_t ino,
			struct fuse_file_info *fi)
{
	enum view_all_term term;
	struct view_attr attr;
	struct stat st;
	int r = view_all_getattr(all(req), ino, &attr, &term);

	(void)fi;
	if (r < 0) {
		ops_reply(req, r);
		return;
	}
	ops_stat(&attr, &st);
	fuse_reply_attr(req, &st, term == VIEW_ALL_DIR ? BRIEF : OPS_TIMEOUT);
}

static void all_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char target[PATH_MAX];
	ssize_t n =
		view_all_readlink(all(req), ino, target, sizeof(target) - 1);

	if (n >= (ssize_t)sizeof(target))
		n = -ENAMETOOLONG;
	if (n < 0) {
		ops_reply(req, n);
		return;
	}
	target[n] = '\0';
	fuse_reply_readlink(req, target);
}

static void all_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	const struct ops_env *env = ops_env(req);
	char *buf = ops_buffer();
	atomic_bool flag = false;
	struct trace_span span;
	ssize_t n = -ENOMEM;
	bool traced;

	(void)fi;
	if (buf) {
		traced = trace_begin(env->trace, &span, ino, (uint64_t)off);
		ops_interrupt_begin(req, &flag);
		n = view_all_read(all(req), ino, buf,
				  size < OPS_DATA_MAX ? size : OPS_DATA_MAX,
				  off);
		ops_interrupt_end(req);
		if (traced)
			trace_span_end(&span, n);
		session_counts_read(env->counts, n);
	}
	if (n < 0)
		ops_reply(req, n);
	else
		fuse_reply_buf(req, buf, n);
}

static void all_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
		      struct fuse_file_info *fi)
{
	uint64_t found;
	int r = view_all_lseek(all(req), ino, off, whence, &found);

	(void)fi;
	if (r < 0)
		ops_reply(req, r);
	else
		fuse_reply_lseek(req, found);
}

static void all_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			 size_t size)
{
	size_t room = size < OPS_DATA_MAX ? size : OPS_DATA_MAX;
	char *buf = size > 0 ? ops_buffer() : NULL;

	if (acl_is_name(name) && !ops_env(req)->posix_acl)
		ops_reply(req, -EOPNOTSUPP);
	else if (size > 0 && !buf)
		ops_reply(req, -ENOMEM);
	else
		ops_reply_value(
			req, view_all_getxattr(all(req), ino, name, buf, room),
			buf, size);
}

static void all_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	size_t room = size < OPS_DATA_MAX ? size : OPS_DATA_MAX;
	char *buf = size > 0 ? ops_buffer() : NULL;
	bool trusted = fuse_req_ctx(req)->uid == 0;

	if (size > 0 && !buf)
		ops_reply(req, -ENOMEM);
	else
		ops_reply_value(req,
				view_all_listxattr(all(req), ino, trusted, buf,
						   room),
				buf, size);
}

/* The mount is read-only, which the kernel watches over. */
struct fuse_lowlevel_ops ops_table_all(void)
{
	struct fuse_lowlevel_ops ops = {
		.lookup = all_lookup,
		.forget = all_forget,
		.forget_multi = all_forget_multi,
		.getattr = all_getattr,
		.readlink = all_readlink,
		.statfs = ops_statfs,
		.opendir = ops_opendir,
		.readdir = ops_readdir,
		.readdirplus = ops_readdirplus,
		.open = ops_open,
		.read = all_read,
		.lseek = all_lseek,
		.getxattr = all_getxattr,
		.listxattr = all_listxattr,
	};

	return ops;
}
