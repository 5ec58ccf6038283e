/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An encoded set of extended attributes, as catalogs have it: for each, sorted
 * by name bytes, u16 length of the name, u32 length of the value, name, value.
 * A set is never changed in place but made anew. Pure functions; any thread.
 *
 * Sets were validated when they came in (catalog, upper_items.c), so there is
 * no error here: what does not decode is the end.
 */
#ifndef LARDER_FS_XATTRS_H
#define LARDER_FS_XATTRS_H

#include <stdbool.h>
#include <stddef.h>

#include "store/base/buf.h"
#include "store/base/cursor.h"

struct xattr {
	const char *name; /* not NUL-terminated */
	size_t name_len;
	const void *value; /* NULL: take it out */
	size_t value_len;
};

/* The next one, borrowed; false at the end. */
bool xattrs_next(struct cursor *c, struct xattr *ret_x);

/* The one of a NUL-terminated name, borrowed. */
bool xattrs_find(const void *data, size_t len, const char *name,
		 struct xattr *ret_x);

/* Appends the set with `x` in it. -ENOSPC above CATALOG_XATTR_MAX, -ENOMEM. */
int xattrs_replace(const void *data, size_t len, const struct xattr *x,
		   struct buf *out);

#endif
