/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes of the view. A set is kept and logged whole (xattrs.h). Who may
 * see and change which of them is the kernel's to decide, but for two things that it
 * leaves to file systems: which namespaces there are, and that lists hide "trusted."
 * from those who may not read it.
 *
 * POSIX ACLs are attributes too, tied to the mode: setting one sets the
 * permission bits, and one that says no more than they do is not kept.
 */
#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "acl.h"
#include "view_internal.h"
#include "view_origin.h"
#include "xattrs.h"

#define TRUSTED "trusted."

int view_xattrs(const struct view *v, uint64_t ino, const void **ret_data,
		size_t *ret_len)
{
	const struct inode *i = inodes_get(&v->upper.inodes, ino);
	int r;

	if (i && i->xattrs) {
		*ret_data = i->xattrs->data;
		*ret_len = i->xattrs->len;
		return 0;
	}
	*ret_data = NULL;
	*ret_len = 0;
	if (!v->upper.base || ino == 0 || ino > v->upper.base_inodes)
		return i ? 0 : -ESTALE;
	r = catalog_xattrs(v->upper.base, (uint32_t)ino, ret_data, ret_len);
	return r < 0 ? -EIO : 0;
}

/* -EOPNOTSUPP for a namespace that local file systems do not have, -EINVAL for
 * one without a name in it. */
static int check_name(const char *name)
{
	static const char *const spaces[] = { "user.", TRUSTED, "security." };
	size_t k, len;

	if (acl_is_name(name))
		return 0;
	for (k = 0; k < sizeof(spaces) / sizeof(spaces[0]); k++) {
		len = strlen(spaces[k]);
		if (strncmp(name, spaces[k], len) == 0)
			return name[len] ? 0 : -EINVAL;
	}
	return -EOPNOTSUPP;
}

/* Those with Larder's prefix are not anybody else's to change. */
static int check_change_name(const char *name)
{
	int r = check_name(name);

	return r == 0 && origin_is_reserved(name, strlen(name)) ? -EPERM : r;
}

/* --- the calls --- */

ssize_t view_getxattr(struct view *v, uint64_t ino, const char *name, void *buf,
		      size_t size)
{
	const void *data;
	struct xattr x;
	size_t len;
	int r = check_name(name);

	if (r < 0)
		return r;
	if (origin_is_name(name))
		return origin_get(v, ino, name, buf, size);
	READ_SCOPE(v);
	r = view_xattrs(v, ino, &data, &len);
	if (r < 0)
		return r;
	if (!xattrs_find(data, len, name, &x))
		return -ENODATA;
	if (size == 0)
		return (ssize_t)x.value_len;
	if (x.value_len > size)
		return -ERANGE;
	if (x.value_len > 0)
		memcpy(buf, x.value, x.value_len);
	return (ssize_t)x.value_len;
}

static bool is_trusted(const struct xattr *x)
{
	return x->name_len >= strlen(TRUSTED) &&
	       memcmp(x->name, TRUSTED, strlen(TRUSTED)) == 0;
}

ssize_t view_listxattr(struct view *v, uint64_t ino, bool trusted, char *buf,
		       size_t size)
{
	const void *data;
	struct cursor c;
	struct xattr x;
	size_t len, total = 0;
	int r;

	READ_SCOPE(v);
	r = view_xattrs(v, ino, &data, &len);
	if (r < 0)
		return r;
	cursor_init(&c, data, len);
	while (xattrs_next(&c, &x)) {
		if ((!trusted && is_trusted(&x)) ||
		    origin_is_reserved(x.name, x.name_len))
			continue;
		if (size > 0) {
			if (total + x.name_len + 1 > size)
				return -ERANGE;
			memcpy(buf + total, x.name, x.name_len);
			buf[total + x.name_len] = '\0';
		}
		total += x.name_len + 1;
	}
	return (ssize_t)total;
}

/* Puts the set of `ino` with one attribute changed. */
static int put_changed(struct view *v, uint64_t ino, const struct xattr *x)
{
	_cleanup_buf_ struct buf set = BUF_INIT;
	const void *data;
	size_t len;
	int r;

	r = view_xattrs(v, ino, &data, &len);
	if (r == 0)
		r = xattrs_replace(data, len, x, &set);
	if (r == 0)
		view_put_xattrs(v, ino, &set);
	return r;
}

/* Whether the change can be made. 1: there is nothing to do. */
static int check_change(const struct view *v, uint64_t ino,
			const struct xattr *x, int flags)
{
	struct xattr old;
	const void *data;
	bool there;
	size_t len;
	int r;

	r = view_xattrs(v, ino, &data, &len);
	if (r < 0)
		return r;
	there = xattrs_find(data, len, x->name, &old);
	if (there)
		return flags & XATTR_CREATE ? -EEXIST : 0;
	if (flags & XATTR_REPLACE)
		return -ENODATA;
	if (!x->value) /* an inode without an ACL has an empty one */
		return acl_is_name(x->name) ? 1 : -ENODATA;
	return 0;
}

/* What an access ACL does to the mode; one that the mode says is not kept. */
static void apply_acl(struct meta *m, struct xattr *x, int flags)
{
	m->mode = acl_mode(x->value, x->value_len, m->mode);
	if (flags & VIEW_XATTR_KILL_SGID)
		m->mode &= ~(uint32_t)S_ISGID;
	if (acl_is_mode(x->value, x->value_len))
		x->value = NULL;
}

static int change(struct view *v, uint64_t ino, struct xattr *x, int flags)
{
	struct timespec now = view_now();
	struct meta m;
	uint64_t done;
	int r;

	if (view_request_done(v, &done))
		return 0;
	r = view_writable(v);
	if (r == 0)
		r = view_load(v, ino, &m);
	if (r == 0)
		r = check_change(v, ino, x, flags);
	if (r != 0)
		return r < 0 ? r : 0;
	if (x->value && strcmp(x->name, ACL_ACCESS) == 0)
		apply_acl(&m, x, flags);
	view_touch_ctime(&m, &now);
	view_put_inode(v, &m);
	r = put_changed(v, ino, x);
	if (r < 0) {
		buf_reset(&v->upper.items);
		return r;
	}
	return upper_append(&v->upper, NULL, 0);
}

int view_setxattr(struct view *v, uint64_t ino, const char *name,
		  const void *value, size_t size, int flags)
{
	struct xattr x = { .name = name,
			   .name_len = strlen(name),
			   .value = value ? value : "",
			   .value_len = value ? size : 0 };
	int r;

	if (x.name_len == 0 || x.name_len > CATALOG_NAME_MAX)
		return -ERANGE;
	if (flags & ~(XATTR_CREATE | XATTR_REPLACE | VIEW_XATTR_KILL_SGID))
		return -EINVAL;
	if (x.value_len > CATALOG_XATTR_MAX)
		return -ENOSPC;
	r = check_change_name(name);
	if (r == 0 && acl_is_name(name))
		r = acl_check(x.value, x.value_len);
	if (r < 0)
		return r;
	WRITE_SCOPE(v);
	return change(v, ino, &x, flags);
}

int view_removexattr(struct view *v, uint64_t ino, const char *name)
{
	struct xattr x = { .name = name, .name_len = strlen(name) };
	int r = check_change_name(name);

	if (r < 0)
		return r;
	WRITE_SCOPE(v);
	return change(v, ino, &x, 0);
}
