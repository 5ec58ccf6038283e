/* SPDX-License-Identifier: Apache-2.0 */
/* Encoded sets of extended attributes. No state. */
#include "xattrs.h"

#include <errno.h>
#include <string.h>

#include "store/catalog.h"

bool xattrs_next(struct cursor *c, struct xattr *ret_x)
{
	if (cursor_left(c) == 0)
		return false;
	ret_x->name_len = cursor_u16(c);
	ret_x->value_len = cursor_u32(c);
	ret_x->name = cursor_bytes(c, ret_x->name_len);
	ret_x->value = cursor_bytes(c, ret_x->value_len);
	return cursor_error(c) == 0;
}

static void put(struct buf *b, const struct xattr *x)
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

bool xattrs_find(const void *data, size_t len, const char *name,
		 struct xattr *ret_x)
{
	size_t name_len = strlen(name);
	struct cursor c;

	cursor_init(&c, data, len);
	while (xattrs_next(&c, ret_x))
		if (ret_x->name_len == name_len &&
		    memcmp(ret_x->name, name, name_len) == 0)
			return true;
	return false;
}

int xattrs_replace(const void *data, size_t len, const struct xattr *x,
		   struct buf *out)
{
	bool done = !x->value;
	size_t before = out->len;
	struct xattr old;
	struct cursor c;
	int cmp;

	cursor_init(&c, data, len);
	while (xattrs_next(&c, &old)) {
		cmp = name_cmp(&old, x);
		if (cmp > 0 && !done) {
			put(out, x);
			done = true;
		}
		if (cmp != 0)
			put(out, &old);
	}
	if (!done)
		put(out, x);
	if (buf_error(out))
		return buf_error(out);
	return out->len - before > CATALOG_XATTR_MAX ? -ENOSPC : 0;
}
