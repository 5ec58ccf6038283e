/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of files as JSON text. JSON strings are Unicode, names are bytes: a
 * byte 0xNN that is no part of valid UTF-8 becomes the private character
 * U+F7NN (U+F780 to U+F7FF). So that reading gives back what was written, the
 * UTF-8 of a character in that very range is escaped byte for byte, too.
 * jansson takes no lone surrogates, which is why these and not U+DCNN. No
 * state.
 */
#include "rpc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/buf.h"
#include "store/base/cleanup.h"

#define ESCAPE 0xF700u /* plus the byte */

/* The length of the valid UTF-8 sequence at `s`, or 0; its character. */
static size_t utf8_next(const uint8_t *s, size_t len, uint32_t *ret_char)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t c = s[0];
	size_t n;

	if (c < 0x80) {
		*ret_char = c;
		return 1;
	}
	n = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 0;
	if (n == 0 || c >= 0xF8 || n > len)
		return 0;
	c &= 0x7Fu >> n;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xC0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3F);
	}
	if (c < least[n] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
		return 0;
	*ret_char = c;
	return n;
}

static bool is_escape(uint32_t c)
{
	return c >= ESCAPE + 0x80 && c <= ESCAPE + 0xFF;
}

static void put_escaped(struct buf *b, const uint8_t *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t c = ESCAPE + s[i];

		buf_put_u8(b, (uint8_t)(0xE0 | c >> 12));
		buf_put_u8(b, (uint8_t)(0x80 | (c >> 6 & 0x3F)));
		buf_put_u8(b, (uint8_t)(0x80 | (c & 0x3F)));
	}
}

json_t *rpc_string(const char *bytes, size_t len)
{
	const uint8_t *s = (const uint8_t *)bytes;
	_cleanup_buf_ struct buf b = BUF_INIT;

	if (memchr(bytes, '\0', len))
		return NULL;
	for (size_t i = 0, n; i < len; i += n) {
		uint32_t c = 0;

		n = utf8_next(s + i, len - i, &c);
		if (n > 0 && !is_escape(c)) {
			buf_put(&b, s + i, n);
			continue;
		}
		if (n == 0)
			n = 1;
		put_escaped(&b, s + i, n);
	}
	if (buf_error(&b))
		return NULL;
	return json_stringn(b.len > 0 ? (const char *)b.data : "", b.len);
}

char *rpc_bytes(const json_t *string, size_t *ret_len)
{
	const uint8_t *s = (const uint8_t *)json_string_value(string);
	size_t len = json_string_length(string), out = 0;
	uint8_t *bytes;

	if (!s || memchr(s, '\0', len))
		return NULL;
	bytes = malloc(len + 1);
	if (!bytes)
		return NULL;
	for (size_t i = 0, n; i < len; i += n) {
		uint32_t c = 0;

		n = utf8_next(s + i, len - i, &c);
		if (n > 0 && is_escape(c)) {
			bytes[out++] = (uint8_t)(c - ESCAPE);
			continue;
		}
		if (n == 0) /* jansson lets none in */
			n = 1;
		memcpy(bytes + out, s + i, n);
		out += n;
	}
	bytes[out] = '\0';
	if (ret_len)
		*ret_len = out;
	return (char *)bytes;
}
