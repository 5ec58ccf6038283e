/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on extended attributes. POSIX ACLs are refused: the kernel checks
 * permissions by mode here and would not obey them. Translation only.
 */
#include "ops.h"

#include <errno.h>
#include <string.h>

#define ACL_PREFIX "system.posix_acl_"

static bool is_acl(const char *name)
{
	return strncmp(name, ACL_PREFIX, strlen(ACL_PREFIX)) == 0;
}

/* Replies to a question with `size` bytes of room; `buf` holds the answer
 * where `size` is not 0. */
static void reply_value(fuse_req_t req, ssize_t n, const char *buf, size_t size)
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
	if (is_acl(name))
		ops_reply(req, -EOPNOTSUPP);
	else
		ops_reply(req, view_setxattr(ops_view(req), ino, name, value,
					     size, flags));
}

void ops_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	char *buf = size > 0 ? ops_buffer() : NULL;
	size_t room = size < OPS_DATA_MAX ? size : OPS_DATA_MAX;

	if (is_acl(name))
		ops_reply(req, -EOPNOTSUPP);
	else if (size > 0 && !buf)
		ops_reply(req, -ENOMEM);
	else
		reply_value(req,
			    view_getxattr(ops_view(req), ino, name, buf, room),
			    buf, size);
}

void ops_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	char *buf = size > 0 ? ops_buffer() : NULL;
	size_t room = size < OPS_DATA_MAX ? size : OPS_DATA_MAX;

	if (size > 0 && !buf)
		ops_reply(req, -ENOMEM);
	else
		reply_value(req, view_listxattr(ops_view(req), ino, buf, room),
			    buf, size);
}

void ops_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	if (is_acl(name))
		ops_reply(req, -EOPNOTSUPP);
	else
		ops_reply(req, view_removexattr(ops_view(req), ino, name));
}
