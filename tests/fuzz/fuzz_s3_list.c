/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: any bytes as the answer to ListObjectsV2. Keys and the token are
 * within their limits and hold no NUL; written out again as S3 does, they are
 * read as the same. One thread.
 */
#include <errno.h>

#include "fuzz.h"
#include "store/base/buf.h"
#include "store/base/cleanup.h"
#include "store/s3_list.h"

#define WORDS                                                         \
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"                \
	"<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-" \
	"03-01/\">"

static void put_text(struct buf *b, const char *text)
{
	for (; *text; text++)
		if (strchr("&<>\"'", *text))
			buf_printf(b, "&#%d;", *text);
		else
			buf_put(b, text, 1);
}

static int write_object(void *arg, const struct s3_object *o)
{
	struct buf *b = arg;

	must(strlen(o->key) <= S3_KEY_MAX);
	buf_printf(b, "<Contents><Key>");
	put_text(b, o->key);
	buf_printf(b, "</Key><Size>%llu</Size></Contents>",
		   (unsigned long long)o->size);
	return 0;
}

static void write_end(struct buf *b, const char *token)
{
	must(strlen(token) <= S3_TOKEN_MAX);
	if (*token) {
		buf_printf(b, "<NextContinuationToken>");
		put_text(b, token);
		buf_printf(b, "</NextContinuationToken>");
	}
	buf_printf(b, "<IsTruncated>%s</IsTruncated></ListBucketResult>",
		   *token ? "true" : "false");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct buf first = BUF_INIT, second = BUF_INIT;
	/* Of exactly this size, so that a sanitizer sees a byte more. */
	_cleanup_free_ char *text = malloc(size + !size);
	char token[S3_TOKEN_MAX + 1];
	int r;

	must(text);
	memcpy(text, data, size);
	buf_printf(&first, WORDS);
	buf_printf(&second, WORDS);
	r = s3_list_parse(text, size, write_object, &first, token);
	must(r == 0 || r == -EBADMSG);
	if (r < 0)
		return 0;
	write_end(&first, token);
	must(s3_list_parse((char *)first.data, first.len, write_object, &second,
			   token) == 0);
	write_end(&second, token);
	must(first.len == second.len &&
	     memcmp(first.data, second.data, first.len) == 0);
	return 0;
}
