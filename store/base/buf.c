/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The growable byte buffer. Memory doubles, so appending is linear in total;
 * the first failure is remembered and everything after it is a no-op. Does
 * not shrink and does not limit: limits are the encoder's.
 */
#include "buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "le.h"

#define BUF_CAP_MIN 256

void buf_release(struct buf *b)
{
	free(b->data);
	*b = (struct buf)BUF_INIT;
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->err = 0;
}

int buf_error(const struct buf *b)
{
	return b->err;
}

static int buf_grow(struct buf *b, size_t need)
{
	size_t cap = b->cap ? b->cap : BUF_CAP_MIN;
	uint8_t *data;

	while (cap < need) {
		if (cap > SIZE_MAX / 2)
			return -ENOMEM;
		cap *= 2;
	}
	data = realloc(b->data, cap);
	if (!data)
		return -ENOMEM;
	b->data = data;
	b->cap = cap;
	return 0;
}

void *buf_reserve(struct buf *b, size_t len)
{
	if (b->err)
		return NULL;
	if (len > SIZE_MAX - b->len) {
		b->err = -ENOMEM;
		return NULL;
	}
	if (!b->data || len > b->cap - b->len) {
		b->err = buf_grow(b, b->len + len);
		if (b->err)
			return NULL;
	}
	return b->data + b->len;
}

void buf_added(struct buf *b, size_t len)
{
	b->len += len;
}

void buf_put(struct buf *b, const void *data, size_t len)
{
	void *room = buf_reserve(b, len);

	if (!room || len == 0)
		return;
	memcpy(room, data, len);
	b->len += len;
}

void buf_put_zero(struct buf *b, size_t len)
{
	void *room = buf_reserve(b, len);

	if (!room)
		return;
	memset(room, 0, len);
	b->len += len;
}

void buf_put_u8(struct buf *b, uint8_t v)
{
	buf_put(b, &v, sizeof(v));
}

void buf_put_u16(struct buf *b, uint16_t v)
{
	uint8_t bytes[sizeof(v)];

	le16_put(bytes, v);
	buf_put(b, bytes, sizeof(bytes));
}

void buf_put_u32(struct buf *b, uint32_t v)
{
	uint8_t bytes[sizeof(v)];

	le32_put(bytes, v);
	buf_put(b, bytes, sizeof(bytes));
}

void buf_put_u64(struct buf *b, uint64_t v)
{
	uint8_t bytes[sizeof(v)];

	le64_put(bytes, v);
	buf_put(b, bytes, sizeof(bytes));
}

void buf_put_str16(struct buf *b, const char *s)
{
	size_t len = strlen(s);

	if (len > UINT16_MAX) {
		if (!b->err)
			b->err = -EOVERFLOW;
		return;
	}
	buf_put_u16(b, len);
	buf_put(b, s, len);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	char *room;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0) {
		if (!b->err)
			b->err = -EOVERFLOW;
		return;
	}

	room = buf_reserve(b, (size_t)n + 1);
	if (!room)
		return;
	va_start(ap, fmt);
	vsnprintf(room, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += n;
}

uint8_t *buf_take(struct buf *b, size_t *ret_len)
{
	uint8_t *data = b->data;

	*ret_len = b->len;
	*b = (struct buf)BUF_INIT;
	return data;
}
