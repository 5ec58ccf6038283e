/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes between files and their encoding in a catalog
 * (catalog_xattrs() describes it). Any thread.
 *
 * What is taken from a file: "user.", POSIX ACLs, and with privilege
 * "trusted." and "security.capability". The rest belongs to the machine and
 * not to the tree.
 */
#ifndef LARDER_XATTR_CODEC_H
#define LARDER_XATTR_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cursor.h"

#define XATTR_NAME_LEN_MAX 255

/* A set under construction, in any order. */
struct xattr_set {
	struct xattr_item *items;
	size_t count, cap;
	size_t bytes; /* encoded */
};

#define XATTR_SET_INIT        \
	{                     \
		NULL, 0, 0, 0 \
	}

void xattr_set_release(struct xattr_set *set);

/* Copies name and value. -EINVAL for an empty or too long name, -EEXIST for a
 * repeated one, -EFBIG when the set grows over CATALOG_XATTR_MAX. */
int xattr_set_add(struct xattr_set *set, const char *name, size_t name_len,
		  const void *value, size_t value_len);

/* Appends the encoding; nothing for an empty set. */
int xattr_set_encode(struct xattr_set *set, struct buf *out);

/* Whether a tree keeps attributes of this name (NUL-terminated). */
bool xattr_is_kept(const char *name, bool privileged);

/* Appends the encoding of a file's attributes to `out`. `path` is not
 * followed where it is a symlink. A file system without attributes gives
 * none. -EFBIG as above. */
int xattr_read_path(const char *path, bool privileged, struct buf *out);
int xattr_read_fd(int fd, bool privileged, struct buf *out);

/* One attribute of an encoding. */
struct xattr_view {
	char name[XATTR_NAME_LEN_MAX + 1];
	const void *value; /* borrowed */
	size_t value_len;
};

/* The next one: 1, or 0 at the end, or -EBADMSG. */
int xattr_next(struct cursor *c, struct xattr_view *ret_view);

/* Sets the attributes of an encoding. Those that the file system or the lack
 * of privilege refuses are left out and counted. */
int xattr_write_fd(int fd, const void *data, size_t len, unsigned *ret_refused);
int xattr_write_path(const char *path, const void *data, size_t len,
		     unsigned *ret_refused);

#endif
