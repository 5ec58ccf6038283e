/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes. A file's list and values are read twice when they
 * grow in between. No state.
 */
#include "xattr_codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "catalog.h"

#define READ_ATTEMPTS 8

struct xattr_item {
	char *name;
	uint8_t *value;
	size_t name_len, value_len;
};

void xattr_set_release(struct xattr_set *set)
{
	size_t i;

	for (i = 0; i < set->count; i++) {
		free(set->items[i].name);
		free(set->items[i].value);
	}
	free(set->items);
	*set = (struct xattr_set)XATTR_SET_INIT;
}

static int set_grow(struct xattr_set *set)
{
	size_t cap = set->cap ? set->cap * 2 : 4;
	struct xattr_item *items;

	if (set->count < set->cap)
		return 0;
	items = realloc(set->items, cap * sizeof(*items));
	if (!items)
		return -ENOMEM;
	set->items = items;
	set->cap = cap;
	return 0;
}

int xattr_set_add(struct xattr_set *set, const char *name, size_t name_len,
		  const void *value, size_t value_len)
{
	struct xattr_item it = { .name_len = name_len, .value_len = value_len };
	size_t i;

	if (name_len == 0 || name_len > XATTR_NAME_LEN_MAX ||
	    memchr(name, '\0', name_len))
		return -EINVAL;
	for (i = 0; i < set->count; i++)
		if (set->items[i].name_len == name_len &&
		    memcmp(set->items[i].name, name, name_len) == 0)
			return -EEXIST;
	if (value_len > CATALOG_XATTR_MAX ||
	    set->bytes + 6 + name_len + value_len > CATALOG_XATTR_MAX)
		return -EFBIG;
	if (set_grow(set) < 0)
		return -ENOMEM;
	it.name = strndup(name, name_len);
	it.value = malloc(value_len + 1);
	if (!it.name || !it.value) {
		free(it.name);
		free(it.value);
		return -ENOMEM;
	}
	if (value_len > 0)
		memcpy(it.value, value, value_len);
	set->items[set->count++] = it;
	set->bytes += 6 + name_len + value_len;
	return 0;
}

static int item_cmp(const void *a, const void *b)
{
	const struct xattr_item *x = a, *y = b;

	return strcmp(x->name, y->name);
}

int xattr_set_encode(struct xattr_set *set, struct buf *out)
{
	size_t i;

	if (set->count > 0)
		qsort(set->items, set->count, sizeof(*set->items), item_cmp);
	for (i = 0; i < set->count; i++) {
		const struct xattr_item *it = &set->items[i];

		buf_put_u16(out, it->name_len);
		buf_put_u32(out, it->value_len);
		buf_put(out, it->name, it->name_len);
		buf_put(out, it->value, it->value_len);
	}
	return buf_error(out);
}

bool xattr_is_kept(const char *name, bool privileged)
{
	if (strncmp(name, "user.", 5) == 0 ||
	    strncmp(name, "system.posix_acl_", 17) == 0)
		return true;
	return privileged && (strncmp(name, "trusted.", 8) == 0 ||
			      strcmp(name, "security.capability") == 0);
}

/* A file, named one way or the other. */
struct target {
	const char *path; /* or NULL */
	int fd;
};

static ssize_t target_list(const struct target *t, char *buf, size_t len)
{
	ssize_t n = t->path ? llistxattr(t->path, buf, len) :
			      flistxattr(t->fd, buf, len);

	return n < 0 ? -errno : n;
}

static ssize_t target_get(const struct target *t, const char *name, void *buf,
			  size_t len)
{
	ssize_t n = t->path ? lgetxattr(t->path, name, buf, len) :
			      fgetxattr(t->fd, name, buf, len);

	return n < 0 ? -errno : n;
}

/* ERANGE after a size was asked for: it grew. */
static int read_names(const struct target *t, char **ret_names, size_t *ret_len)
{
	_cleanup_free_ char *names = NULL;
	unsigned i;

	for (i = 0; i < READ_ATTEMPTS; i++) {
		ssize_t n = target_list(t, NULL, 0);

		if (n <= 0)
			return n;
		free(names);
		names = malloc(n);
		if (!names)
			return -ENOMEM;
		n = target_list(t, names, n);
		if (n >= 0) {
			*ret_names = steal_ptr(&names);
			*ret_len = n;
			return 0;
		}
		if (n != -ERANGE)
			return n;
	}
	return -EBUSY;
}

static int read_value(const struct target *t, const char *name,
		      struct xattr_set *set)
{
	_cleanup_free_ uint8_t *value = NULL;
	unsigned i;

	for (i = 0; i < READ_ATTEMPTS; i++) {
		ssize_t n = target_get(t, name, NULL, 0);

		if (n == -ENODATA)
			return 0; /* removed since it was listed */
		if (n < 0)
			return n;
		if ((size_t)n > CATALOG_XATTR_MAX)
			return -EFBIG;
		free(value);
		value = malloc(n + 1);
		if (!value)
			return -ENOMEM;
		n = target_get(t, name, value, n);
		if (n >= 0)
			return xattr_set_add(set, name, strlen(name), value, n);
		if (n != -ERANGE && n != -ENODATA)
			return n;
	}
	return -EBUSY;
}

static int target_read(const struct target *t, bool privileged, struct buf *out)
{
	_cleanup_(xattr_set_release) struct xattr_set set = XATTR_SET_INIT;
	_cleanup_free_ char *names = NULL;
	const char *name;
	size_t len = 0;
	int r;

	r = read_names(t, &names, &len);
	if (r == -EOPNOTSUPP || r == -ENOSYS)
		return 0;
	if (r < 0)
		return r;
	for (name = names; len > 0 && name < names + len;
	     name += strlen(name) + 1) {
		if (!xattr_is_kept(name, privileged))
			continue;
		r = read_value(t, name, &set);
		if (r < 0)
			return r;
	}
	return xattr_set_encode(&set, out);
}

int xattr_read_path(const char *path, bool privileged, struct buf *out)
{
	const struct target t = { .path = path, .fd = -1 };

	return target_read(&t, privileged, out);
}

int xattr_read_fd(int fd, bool privileged, struct buf *out)
{
	const struct target t = { .fd = fd };

	return target_read(&t, privileged, out);
}

int xattr_next(struct cursor *c, struct xattr_view *ret_view)
{
	uint16_t name_len;
	uint32_t value_len;
	const void *name, *value;

	if (cursor_error(c))
		return cursor_error(c);
	if (cursor_left(c) == 0)
		return 0;
	name_len = cursor_u16(c);
	value_len = cursor_u32(c);
	name = cursor_bytes(c, name_len);
	value = cursor_bytes(c, value_len);
	if (cursor_error(c))
		return cursor_error(c);
	if (name_len == 0 || name_len > XATTR_NAME_LEN_MAX)
		return -EBADMSG;
	memcpy(ret_view->name, name, name_len);
	ret_view->name[name_len] = '\0';
	ret_view->value = value;
	ret_view->value_len = value_len;
	return 1;
}

static int target_set(const struct target *t, const struct xattr_view *v)
{
	int r = t->path ?
			lsetxattr(t->path, v->name, v->value, v->value_len, 0) :
			fsetxattr(t->fd, v->name, v->value, v->value_len, 0);

	return r < 0 ? -errno : 0;
}

static int target_write(const struct target *t, const void *data, size_t len,
			unsigned *ret_refused)
{
	struct xattr_view v;
	unsigned refused = 0;
	struct cursor c;
	int r;

	cursor_init(&c, data, len);
	while ((r = xattr_next(&c, &v)) > 0) {
		r = target_set(t, &v);
		if (r == -EOPNOTSUPP || r == -EPERM || r == -EACCES)
			refused++;
		else if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	*ret_refused = refused;
	return 0;
}

int xattr_write_fd(int fd, const void *data, size_t len, unsigned *ret_refused)
{
	const struct target t = { .fd = fd };

	return target_write(&t, data, len, ret_refused);
}

int xattr_write_path(const char *path, const void *data, size_t len,
		     unsigned *ret_refused)
{
	const struct target t = { .path = path, .fd = -1 };

	return target_write(&t, data, len, ret_refused);
}
