/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on extended attributes. POSIX ACLs are refused where the kernel
 * would not obey them. Translation only.
 */
#include "ops.h"

#include <errno.h>
#include <string.h>

#include "acl.h"

static bool is_refused(fuse_req_t req, const char *name)
{
	return acl_is_name(name) && !ops_env(req)->posix_acl;
}

/* As chmod(2), which the kernel watches over, an ACL may keep sgid only for
 * members of the group and for root. */
static int kill_flag(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	uint32_t mode, gid;

	if (strcmp(name, ACL_ACCESS) != 0 || fuse_req_ctx(req)->uid == 0 ||
	    view_get_mode(ops_view(req), ino, &mode, &gid) < 0 ||
	    !(mode & S_ISGID) || ops_in_group(req, gid))
		return 0;
	return VIEW_XATTR_KILL_SGID;
}

void ops_reply_value(fuse_req_t req, ssize_t n, const char *buf, size_t size)
{
	if (n < 0)
		ops_reply(req, n);
	else if (size == 0)
		fuse_reply_xattr(req, n);
	else
		fuse_reply_buf(req, buf, n);
}

void ops_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		  const char *value, size_t size, int flags)
{
	if (is_refused(req, name))
		ops_reply(req, -EOPNOTSUPP);
	else
		ops_reply(req,
			  OPS_MAKE_ROOM(
				  ops_view(req),
				  view_setxattr(
					  ops_view(req), ino, name, value, size,
					  flags | kill_flag(req, ino, name))));
}

void ops_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	char *buf = size > 0 ? ops_buffer() : NULL;
	size_t room = size < OPS_DATA_MAX ? size : OPS_DATA_MAX;

	if (is_refused(req, name))
		ops_reply(req, -EOPNOTSUPP);
	else if (size > 0 && !buf)
		ops_reply(req, -ENOMEM);
	else
		ops_reply_value(
			req, view_getxattr(ops_view(req), ino, name, buf, room),
			buf, size);
}

void ops_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	char *buf = size > 0 ? ops_buffer() : NULL;
	size_t room = size < OPS_DATA_MAX ? size : OPS_DATA_MAX;
	bool trusted = fuse_req_ctx(req)->uid == 0;

	if (size > 0 && !buf)
		ops_reply(req, -ENOMEM);
	else
		ops_reply_value(req,
				view_listxattr(ops_view(req), ino, trusted, buf,
					       room),
				buf, size);
}

void ops_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	if (is_refused(req, name))
		ops_reply(req, -EOPNOTSUPP);
	else
		ops_reply(req, view_removexattr(ops_view(req), ino, name));
}
