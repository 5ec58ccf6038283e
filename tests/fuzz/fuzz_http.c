/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: any head and body as the answer to a request for a part of an
 * object. The caller gets bytes of an object from where it asked for them, no
 * more of a whole one than it asked for, and of a part only that part. Input:
 * offset and length, a byte each, the status, u16, the length of a piece of the
 * body, a byte; lines of the head, up to an empty one; the body. One thread.
 */
#include <errno.h>

#include "fuzz.h"
#include "store/base/buf.h"
#include "store/base/cleanup.h"
#include "store/http_answer.h"

#define FRONT 5u

/* Lines as libcurl gives them, with their ends. The body. */
static const char *read_head(struct http_answer *a, const char *at,
			     const char *end)
{
	char text[HTTP_VALUE_MAX];

	while (at < end) {
		const char *line = at;
		const char *feed = memchr(at, '\n', (size_t)(end - at));

		at = feed ? feed + 1 : end;
		http_answer_header(a, line, (size_t)(at - line));
		if (http_header_value(line, (size_t)(at - line), "date:", text))
			must(strlen(text) < HTTP_VALUE_MAX);
		if (*line == '\n')
			break;
	}
	return at;
}

static void read_body(struct http_answer *a, const char *at, const char *end,
		      size_t piece, struct buf *got)
{
	while (at < end && !a->enough) {
		size_t len = (size_t)(end - at) < piece ? (size_t)(end - at) :
							  piece;
		const char *data = at;
		size_t n = len;

		http_answer_body(a, &data, &n);
		must(n <= len && data >= at && data + n <= at + len);
		buf_put(got, data, n);
		at += len;
	}
}

static void check(const struct http_answer *a, long status, const char *body,
		  size_t size, const struct buf *got)
{
	size_t from = a->off < size ? (size_t)a->off : size;
	size_t want = size - from;

	if (!a->is_body) {
		must(got->len == 0);
		return;
	}
	if (status == 206) {
		must(a->range_first == a->off && !a->is_whole);
		must(!a->len || a->range_last - a->range_first + 1 == a->len);
		from = 0;
		want = size;
	} else if (a->len && want > a->len) {
		want = (size_t)a->len;
	}
	must(got->len == want);
	must(want == 0 || memcmp(got->data, body + from, want) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct buf got = BUF_INIT;
	_cleanup_free_ char *copy = NULL;
	struct http_answer a = { .wants_body = true };
	const char *body;
	long status;
	int r;

	if (size < FRONT)
		return 0;
	copy = malloc(size);
	must(copy);
	memcpy(copy, data, size);
	a.off = data[0];
	a.len = data[1];
	status = data[2] | data[3] << 8;
	body = read_head(&a, copy + FRONT, copy + size);
	r = http_answer_begin(&a, status);
	must(r == 0 || (r == -EIO && status == 206 && !a.is_body));
	read_body(&a, body, copy + size, data[4] + 1u, &got);
	check(&a, status, body, (size_t)(copy + size - body), &got);
	return 0;
}
