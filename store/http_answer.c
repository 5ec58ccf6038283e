/* SPDX-License-Identifier: Apache-2.0 */
/* Heads of answers and parts of objects. */
#include "http_answer.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define DIGITS_MAX 18 /* of a position; more bytes has nothing */

bool http_header_value(const char *line, size_t len, const char *name,
		       char ret_text[HTTP_VALUE_MAX])
{
	size_t skip = strlen(name);

	if (len <= skip || len - skip >= HTTP_VALUE_MAX ||
	    strncasecmp(line, name, skip) != 0)
		return false;
	memcpy(ret_text, line + skip, len - skip);
	ret_text[len - skip] = '\0';
	return true;
}

/* The number at *text, which is left behind it. */
static bool take_number(const char **text, uint64_t *ret_number)
{
	size_t digits = strspn(*text, "0123456789");
	uint64_t number = 0;

	if (digits == 0 || digits > DIGITS_MAX)
		return false;
	for (size_t i = 0; i < digits; i++)
		number = number * 10 + (uint64_t)((*text)[i] - '0');
	*text += digits;
	*ret_number = number;
	return true;
}

/* " bytes 0-99/1234" */
static bool parse_range(const char *text, uint64_t *ret_first,
			uint64_t *ret_last)
{
	text += strspn(text, " \t");
	if (strncasecmp(text, "bytes ", 6) != 0)
		return false;
	text += 6;
	if (!take_number(&text, ret_first) || *text++ != '-' ||
	    !take_number(&text, ret_last))
		return false;
	return *text == '/' && *ret_first <= *ret_last;
}

void http_answer_header(struct http_answer *a, const char *line, size_t len)
{
	char text[HTTP_VALUE_MAX];

	if (len > 5 && strncmp(line, "HTTP/", 5) == 0)
		a->has_range = false;
	if (http_header_value(line, len, "content-range:", text))
		a->has_range =
			parse_range(text, &a->range_first, &a->range_last);
}

static bool wants_part(const struct http_answer *a)
{
	return a->off > 0 || a->len > 0;
}

int http_answer_begin(struct http_answer *a, long status)
{
	a->begun = true;
	a->is_body = a->wants_body && (status == 200 || status == 206);
	if (!a->is_body)
		return 0;
	if (status == 200) {
		a->is_whole = wants_part(a);
		a->skip = a->off;
		return 0;
	}
	if (a->has_range && wants_part(a) && a->range_first == a->off &&
	    (!a->len || a->range_last == a->off + a->len - 1))
		return 0;
	a->is_body = false;
	return -EIO;
}

static void ignore(struct http_answer *a, size_t *len)
{
	a->ignored += *len;
	a->enough = a->ignored > HTTP_IGNORED_MAX;
	*len = 0;
}

void http_answer_body(struct http_answer *a, const char **data, size_t *len)
{
	size_t skip;

	if (!a->is_body) {
		ignore(a, len);
		return;
	}
	skip = a->skip < *len ? (size_t)a->skip : *len;
	a->skip -= skip;
	*data += skip;
	*len -= skip;
	/* Behind a part that was cut out here the object goes on; behind one
	 * that the server has cut, more is an error, which the caller sees. */
	if (a->is_whole && a->len && *len > a->len - a->given) {
		*len = a->len - a->given;
		a->enough = true;
	}
	a->given += *len;
}
