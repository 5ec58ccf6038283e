/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changes of other things do to an inode's attributes: chmod changes its
 * ACL, new content or owners take its capabilities, and a new inode gets the
 * ACLs that its directory has for it. All here only adds to the record that
 * the caller makes, under the view's write lock.
 */
#include <errno.h>

#include "acl.h"
#include "view_internal.h"
#include "xattrs.h"

#define CAPS "security.capability"

void view_put_xattrs(struct view *v, uint64_t ino, const struct buf *set)
{
	struct item item = { .type = ITEM_XATTRS };

	item.blob = (struct item_blob){ ino, (uint32_t)set->len, set->data };
	item_put(&v->upper.items, &item);
}

/* --- a change of the inode --- */

/* The value lies in `set` and keeps its length. */
static void acl_follow_mode(const struct buf *set, uint32_t mode)
{
	struct xattr x;

	if (xattrs_find(set->data, set->len, ACL_ACCESS, &x) &&
	    acl_check(x.value, x.value_len) == 0)
		acl_set_mode(set->data + ((const uint8_t *)x.value - set->data),
			     x.value_len, mode);
}

int view_put_xattrs_of_change(struct view *v, const struct meta *m,
			      bool drop_caps, bool new_mode)
{
	struct xattr caps = { .name = CAPS, .name_len = sizeof(CAPS) - 1 };
	_cleanup_buf_ struct buf set = BUF_INIT;
	struct xattr x;
	const void *data;
	size_t len;
	int r;

	r = view_xattrs(v, m->ino, &data, &len);
	if (r < 0 || len == 0)
		return r;
	drop_caps = drop_caps && xattrs_find(data, len, CAPS, &x);
	new_mode = new_mode && xattrs_find(data, len, ACL_ACCESS, &x);
	if (!drop_caps && !new_mode)
		return 0;
	if (drop_caps)
		r = xattrs_replace(data, len, &caps, &set);
	else
		buf_put(&set, data, len);
	if (r == 0)
		r = buf_error(&set);
	if (r < 0)
		return r;
	if (new_mode)
		acl_follow_mode(&set, m->mode);
	view_put_xattrs(v, m->ino, &set);
	return 0;
}

/* --- a new inode --- */

/* Adds the attribute; `set` holds the ones so far. */
static int add(struct buf *set, const char *name, const void *value, size_t len)
{
	const struct xattr x = { name, strlen(name), value, len };
	_cleanup_buf_ struct buf next = BUF_INIT;
	int r = xattrs_replace(set->data, set->len, &x, &next);

	if (r < 0)
		return r;
	buf_reset(set);
	buf_put(set, next.data, next.len);
	return buf_error(set);
}

/* Of a default ACL: the access ACL, and for a directory also the default one.
 * A mode says all of what an ACL without names does. */
static int inherit(const struct xattr *dflt, uint32_t *mode, struct buf *set)
{
	_cleanup_buf_ struct buf acl = BUF_INIT;
	int r;

	buf_put(&acl, dflt->value, dflt->value_len);
	r = buf_error(&acl);
	if (r < 0)
		return r;
	acl_inherit(acl.data, acl.len, mode);
	if (!acl_is_mode(acl.data, acl.len))
		r = add(set, ACL_ACCESS, acl.data, acl.len);
	if (r == 0 && S_ISDIR(*mode))
		r = add(set, ACL_DEFAULT, dflt->value, dflt->value_len);
	return r;
}

int view_inherit_acls(const struct view *v, uint64_t dir, uint32_t umask,
		      uint32_t *mode, struct buf *set)
{
	struct xattr dflt;
	const void *data;
	size_t len;
	int r;

	r = view_xattrs(v, dir, &data, &len);
	if (r < 0)
		return r;
	if (len > 0 && xattrs_find(data, len, ACL_DEFAULT, &dflt) &&
	    acl_check(dflt.value, dflt.value_len) == 0)
		return inherit(&dflt, mode, set);
	*mode &= ~(umask & 0777u);
	return 0;
}
