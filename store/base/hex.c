/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hexadecimal text of byte strings, in one spelling: lower case. Names in a
 * store are compared as text, so a second spelling of a digest is refused
 * and not folded. Escapes in text are the caller's choice. No state; any
 * thread.
 */
#include "hex.h"

#include <ctype.h>
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

/* The value of the two digits behind a %, or -1; reads no further than a NUL. */
static int escaped_value(const char *p, bool fold)
{
	int high = digit_value(fold ? tolower((unsigned char)p[0]) : p[0]);
	int low;

	if (high < 0)
		return -1;
	low = digit_value(fold ? tolower((unsigned char)p[1]) : p[1]);
	return low < 0 ? -1 : high << 4 | low;
}

int hex_unescape(char *text, bool fold)
{
	char *out = text;

	for (; *text; text++) {
		int value;

		if (*text != '%') {
			*out++ = *text;
			continue;
		}
		value = escaped_value(text + 1, fold);
		if (value <= 0)
			return -EINVAL;
		*out++ = (char)value;
		text += 2;
	}
	*out = '\0';
	return 0;
}
