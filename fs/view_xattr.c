/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes of the view. A set is kept and logged whole, encoded as
 * catalogs have it: for each, sorted by name bytes, u16 length of the name,
 * u32 length of the value, name, value.
 *
 * POSIX ACLs are attributes too ("system.posix_acl_access"), tied to the mode:
 * setting one sets the permission bits, and chmod changes its entries. An
 * encoded ACL is u32 version 2, then entries of u16 tag, u16 permissions, u32
 * id, all little-endian (the kernel's form).
 */
#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "store/base/le.h"

#include "view_internal.h"

#define CAPS "security.capability"
#define ACL_ACCESS "system.posix_acl_access"

#define ACL_VERSION 2u
#define ACL_ENTRY_BYTES 8u

enum acl_tag {
	ACL_USER_OBJ = 0x01,
	ACL_GROUP_OBJ = 0x04,
	ACL_MASK = 0x10,
	ACL_OTHER = 0x20,
};

struct xattr {
	const char *name; /* not NUL-terminated */
	size_t name_len;
	const void *value;
	size_t value_len;
};

static bool next_xattr(struct cursor *c, struct xattr *ret_x)
{
	if (cursor_left(c) == 0)
		return false;
	ret_x->name_len = cursor_u16(c);
	ret_x->value_len = cursor_u32(c);
	ret_x->name = cursor_bytes(c, ret_x->name_len);
	ret_x->value = cursor_bytes(c, ret_x->value_len);
	return cursor_error(c) == 0;
}

static void put_xattr(struct buf *b, const struct xattr *x)
{
	buf_put_u16(b, (uint16_t)x->name_len);
	buf_put_u32(b, (uint32_t)x->value_len);
	buf_put(b, x->name, x->name_len);
	buf_put(b, x->value, x->value_len);
}

static int name_cmp(const struct xattr *a, const struct xattr *b)
{
	size_t len = a->name_len < b->name_len ? a->name_len : b->name_len;
	int cmp = memcmp(a->name, b->name, len);

	if (cmp)
		return cmp;
	return a->name_len < b->name_len ? -1 : a->name_len > b->name_len;
}

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

static bool find_in(const void *data, size_t len, const char *name,
		    struct xattr *ret_x)
{
	size_t name_len = strlen(name);
	struct cursor c;

	cursor_init(&c, data, len);
	while (next_xattr(&c, ret_x))
		if (ret_x->name_len == name_len &&
		    memcmp(ret_x->name, name, name_len) == 0)
			return true;
	return false;
}

/* The set with `x` in it (value NULL: without it), sorted. */
static int replaced(const void *data, size_t len, const struct xattr *x,
		    struct buf *out)
{
	bool done = !x->value;
	struct xattr old;
	struct cursor c;
	int cmp;

	cursor_init(&c, data, len);
	while (next_xattr(&c, &old)) {
		cmp = name_cmp(&old, x);
		if (cmp > 0 && !done) {
			put_xattr(out, x);
			done = true;
		}
		if (cmp != 0)
			put_xattr(out, &old);
	}
	if (!done)
		put_xattr(out, x);
	if (buf_error(out))
		return buf_error(out);
	return out->len > CATALOG_XATTR_MAX ? -ENOSPC : 0;
}

static void put_set(struct view *v, uint64_t ino, const struct buf *set)
{
	struct item item = { .type = ITEM_XATTRS };

	item.blob = (struct item_blob){ ino, (uint32_t)set->len, set->data };
	item_put(&v->upper.items, &item);
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
		r = replaced(data, len, x, &set);
	if (r == 0)
		put_set(v, ino, &set);
	return r;
}

/* --- ACLs --- */

static unsigned acl_count(size_t len)
{
	return len < 4 ? 0 : (unsigned)((len - 4) / ACL_ENTRY_BYTES);
}

static int acl_check(const void *acl, size_t len)
{
	if (len < 4 || (len - 4) % ACL_ENTRY_BYTES ||
	    le32_get(acl) != ACL_VERSION)
		return -EINVAL;
	return 0;
}

static const uint8_t *acl_entry(const void *acl, size_t len, uint16_t tag)
{
	const uint8_t *e = (const uint8_t *)acl + 4;
	unsigned k;

	for (k = 0; k < acl_count(len); k++, e += ACL_ENTRY_BYTES)
		if (le16_get(e) == tag)
			return e;
	return NULL;
}

/* The permission bits that an ACL stands for. */
static void mode_from_acl(struct meta *m, const void *acl, size_t len)
{
	static const struct {
		uint16_t tag;
		unsigned shift;
	} classes[] = { { ACL_USER_OBJ, 6 },
			{ ACL_GROUP_OBJ, 3 },
			{ ACL_MASK, 3 }, /* wins over the group's */
			{ ACL_OTHER, 0 } };
	const uint8_t *e;
	size_t k;

	for (k = 0; k < sizeof(classes) / sizeof(classes[0]); k++) {
		e = acl_entry(acl, len, classes[k].tag);
		if (!e)
			continue;
		m->mode &= ~(7u << classes[k].shift);
		m->mode |= (le16_get(e + 2) & 7u) << classes[k].shift;
	}
}

/* Gives the entries of `acl` the permissions of `mode`. */
static void acl_from_mode(uint8_t *acl, size_t len, uint32_t mode)
{
	bool mask = acl_entry(acl, len, ACL_MASK);
	uint8_t *e = acl + 4;
	unsigned k;

	for (k = 0; k < acl_count(len); k++, e += ACL_ENTRY_BYTES) {
		uint16_t tag = le16_get(e);

		if (tag == ACL_USER_OBJ)
			le16_put(e + 2, (mode >> 6) & 7);
		else if (tag == (mask ? ACL_MASK : ACL_GROUP_OBJ))
			le16_put(e + 2, (mode >> 3) & 7);
		else if (tag == ACL_OTHER)
			le16_put(e + 2, mode & 7);
	}
}

static int without_caps(struct buf *set)
{
	const struct xattr none = { .name = CAPS, .name_len = strlen(CAPS) };
	_cleanup_buf_ struct buf next = BUF_INIT;
	int r;

	r = replaced(set->data, set->len, &none, &next);
	if (r < 0)
		return r;
	buf_reset(set);
	buf_put(set, next.data, next.len);
	return buf_error(set);
}

/* The value lies in `set` and keeps its length. */
static void with_mode(const struct buf *set, uint32_t mode)
{
	struct xattr x;

	if (find_in(set->data, set->len, ACL_ACCESS, &x) &&
	    acl_check(x.value, x.value_len) == 0)
		acl_from_mode(set->data +
				      ((const uint8_t *)x.value - set->data),
			      x.value_len, mode);
}

int view_put_xattrs_of_change(struct view *v, const struct meta *m,
			      bool drop_caps, bool new_mode)
{
	_cleanup_buf_ struct buf set = BUF_INIT;
	struct xattr x;
	const void *data;
	size_t len;
	int r;

	r = view_xattrs(v, m->ino, &data, &len);
	if (r < 0 || len == 0)
		return r;
	drop_caps = drop_caps && find_in(data, len, CAPS, &x);
	new_mode = new_mode && find_in(data, len, ACL_ACCESS, &x);
	if (!drop_caps && !new_mode)
		return 0;
	buf_put(&set, data, len);
	r = buf_error(&set);
	if (r == 0 && drop_caps)
		r = without_caps(&set);
	if (r < 0)
		return r;
	if (new_mode)
		with_mode(&set, m->mode);
	put_set(v, m->ino, &set);
	return 0;
}

/* --- the calls --- */

ssize_t view_getxattr(struct view *v, uint64_t ino, const char *name, void *buf,
		      size_t size)
{
	const void *data;
	struct xattr x;
	size_t len;
	int r;

	READ_SCOPE(v);
	r = view_xattrs(v, ino, &data, &len);
	if (r < 0)
		return r;
	if (!find_in(data, len, name, &x))
		return -ENODATA;
	if (size == 0)
		return (ssize_t)x.value_len;
	if (x.value_len > size)
		return -ERANGE;
	if (x.value_len > 0)
		memcpy(buf, x.value, x.value_len);
	return (ssize_t)x.value_len;
}

ssize_t view_listxattr(struct view *v, uint64_t ino, char *buf, size_t size)
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
	while (next_xattr(&c, &x)) {
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

static int change(struct view *v, uint64_t ino, const struct xattr *x,
		  int flags)
{
	struct timespec now = view_now();
	struct xattr old;
	const void *data;
	struct meta m;
	uint64_t done;
	bool there;
	size_t len;
	int r;

	if (view_request_done(v, &done))
		return 0;
	r = view_writable(v);
	if (r == 0)
		r = view_load(v, ino, &m);
	if (r == 0)
		r = view_xattrs(v, ino, &data, &len);
	if (r < 0)
		return r;
	there = find_in(data, len, x->name, &old);
	if (there && (flags & XATTR_CREATE))
		return -EEXIST;
	if (!there && ((flags & XATTR_REPLACE) || !x->value))
		return -ENODATA;
	if (x->value && strcmp(x->name, ACL_ACCESS) == 0)
		mode_from_acl(&m, x->value, x->value_len);
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
	const struct xattr x = { .name = name,
				 .name_len = strlen(name),
				 .value = value ? value : "",
				 .value_len = value ? size : 0 };

	if (x.name_len == 0 || x.name_len > CATALOG_NAME_MAX)
		return -ERANGE;
	if (flags & ~(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	if (x.value_len > CATALOG_XATTR_MAX)
		return -ENOSPC;
	if (strcmp(name, ACL_ACCESS) == 0 && acl_check(x.value, x.value_len))
		return -EINVAL;
	WRITE_SCOPE(v);
	return change(v, ino, &x, flags);
}

int view_removexattr(struct view *v, uint64_t ino, const char *name)
{
	const struct xattr x = { .name = name, .name_len = strlen(name) };

	WRITE_SCOPE(v);
	return change(v, ino, &x, 0);
}
