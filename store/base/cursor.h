/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bounded cursor: the only way in which Larder decodes bytes that come
 * from a disk, a socket or a peer. It never reads outside [data, data+len).
 * A read past the end gives zero and makes the error sticky, so a decoder
 * reads a whole record and asks cursor_error() once before it uses any of it.
 */
#ifndef LARDER_BASE_CURSOR_H
#define LARDER_BASE_CURSOR_H

#include <stddef.h>
#include <stdint.h>

struct cursor {
	const uint8_t *data; /* borrowed */
	size_t len;
	size_t pos;
	int err; /* 0, -EBADMSG or (cursor_str16) -ENOMEM; sticky */
};

void cursor_init(struct cursor *c, const void *data, size_t len);
int cursor_error(const struct cursor *c);
size_t cursor_left(const struct cursor *c);

uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c); /* little-endian, as all below */
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);

/* Borrows `len` bytes; NULL (and the sticky error) when fewer are left. */
const void *cursor_bytes(struct cursor *c, size_t len);

/* A u16 length and so many bytes, copied out as a NUL-terminated string that
 * the caller frees. A NUL inside, or more than `max` bytes, is an error.
 * NULL on error. */
char *cursor_str16(struct cursor *c, size_t max);

#endif
