/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growable byte buffer for encoders. Writing after a failed growth is a
 * no-op, so an encoder appends freely and asks buf_error() once at its end.
 * Not thread-safe; one owner at a time.
 */
#ifndef LARDER_BASE_BUF_H
#define LARDER_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data; /* owned; NULL while empty */
	size_t len;
	size_t cap;
	int err; /* 0, -ENOMEM or (a string too long) -EOVERFLOW; sticky */
};

#define BUF_INIT              \
	{                     \
		NULL, 0, 0, 0 \
	}

void buf_release(struct buf *b); /* frees the bytes; `b` is empty again */
void buf_reset(struct buf *b);	 /* length 0, memory kept, error cleared */
int buf_error(const struct buf *b);

/* Room for `len` more bytes, for a caller that fills it itself and then
 * calls buf_added(). NULL when memory is short (the error is sticky). */
void *buf_reserve(struct buf *b, size_t len);
void buf_added(struct buf *b, size_t len);

void buf_put(struct buf *b, const void *data, size_t len);
void buf_put_zero(struct buf *b, size_t len);
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_u16(struct buf *b, uint16_t v); /* little-endian, as all below */
void buf_put_u32(struct buf *b, uint32_t v);
void buf_put_u64(struct buf *b, uint64_t v);
void buf_put_str16(struct buf *b, const char *s); /* u16 length, bytes */
void buf_printf(struct buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3))); /* text, no terminating NUL */

/* Ownership of the bytes moves to the caller, who frees them. */
uint8_t *buf_take(struct buf *b, size_t *ret_len);

#define _cleanup_buf_ __attribute__((cleanup(buf_release)))

#endif
