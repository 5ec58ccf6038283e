/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hexadecimal text of byte strings, in one spelling: lower case. Names in a
 * store are compared as text, so a second spelling of a digest is refused
 * and not folded. No state; any thread.
 */
#include "hex.h"

#include <errno.h>

void hex_encode(const void *data, size_t len, char *ret_text)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;
	size_t i;

	for (i = 0; i < len; i++) {
		ret_text[2 * i] = digits[p[i] >> 4];
		ret_text[2 * i + 1] = digits[p[i] & 15];
	}
	ret_text[2 * len] = '\0';
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* The first pass stops at a NUL that comes early, so nothing behind the end
 * of a short string is read and nothing is written for a bad one. */
int hex_decode(const char *text, size_t len, void *ret_data)
{
	uint8_t *out = ret_data;
	size_t i;

	for (i = 0; i < 2 * len; i++)
		if (digit_value(text[i]) < 0)
			return -EINVAL;
	if (text[2 * len] != '\0')
		return -EINVAL;
	for (i = 0; i < len; i++)
		out[i] = digit_value(text[2 * i]) << 4 |
			 digit_value(text[2 * i + 1]);
	return 0;
}
