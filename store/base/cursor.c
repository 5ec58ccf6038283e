/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bounded cursor. Every read goes through cursor_bytes(), which holds
 * the only bounds check: one place to get right. Once the error is set all
 * reads give zero, also those that would still fit.
 */
#include "cursor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "le.h"

void cursor_init(struct cursor *c, const void *data, size_t len)
{
	*c = (struct cursor){ .data = data, .len = len };
}

int cursor_error(const struct cursor *c)
{
	return c->err;
}

size_t cursor_left(const struct cursor *c)
{
	return c->err ? 0 : c->len - c->pos;
}

const void *cursor_bytes(struct cursor *c, size_t len)
{
	static const uint8_t nothing[1];
	const uint8_t *p;

	if (c->err)
		return NULL;
	if (len > c->len - c->pos) {
		c->err = -EBADMSG;
		return NULL;
	}
	if (len == 0)
		return c->data ? c->data + c->pos : nothing;
	p = c->data + c->pos;
	c->pos += len;
	return p;
}

uint8_t cursor_u8(struct cursor *c)
{
	const uint8_t *p = cursor_bytes(c, sizeof(*p));

	return p ? *p : 0;
}

uint16_t cursor_u16(struct cursor *c)
{
	const void *p = cursor_bytes(c, sizeof(uint16_t));

	return p ? le16_get(p) : 0;
}

uint32_t cursor_u32(struct cursor *c)
{
	const void *p = cursor_bytes(c, sizeof(uint32_t));

	return p ? le32_get(p) : 0;
}

uint64_t cursor_u64(struct cursor *c)
{
	const void *p = cursor_bytes(c, sizeof(uint64_t));

	return p ? le64_get(p) : 0;
}

char *cursor_str16(struct cursor *c, size_t max)
{
	size_t len = cursor_u16(c);
	const void *p = cursor_bytes(c, len);
	char *s;

	if (!p)
		return NULL;
	if (len > max || memchr(p, '\0', len)) {
		c->err = -EBADMSG;
		return NULL;
	}
	s = malloc(len + 1);
	if (!s) {
		c->err = -ENOMEM;
		return NULL;
	}
	memcpy(s, p, len);
	s[len] = '\0';
	return s;
}
