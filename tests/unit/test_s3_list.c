/* SPDX-License-Identifier: Apache-2.0 */
/* The parser of S3's lists: what it takes, and what it must not take. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/buf.h"
#include "store/s3_list.h"

#define HEAD                                                                   \
	"<?xml version='1.0' encoding='UTF-8'?>\n"                             \
	"<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">" \
	"<Name>bucket</Name><Prefix>a &amp; b</Prefix>"
#define OBJECT(key, size)                                               \
	"<Contents><Key>" key "</Key><LastModified>2024</LastModified>" \
	"<Owner><ID>Key</ID></Owner><Size>" size "</Size></Contents>"
#define TAIL "</ListBucketResult>\n"

static int add(void *arg, const struct s3_object *o)
{
	buf_printf(arg, "%s %llu\n", o->key, (unsigned long long)o->size);
	return buf_error(arg);
}

static int parse(const char *text, struct buf *b, char *token)
{
	return s3_list_parse(text, strlen(text), add, b, token);
}

static void assert_list(const struct buf *b, const char *want)
{
	assert_int_equal(b->len, strlen(want));
	if (b->len > 0)
		assert_memory_equal(b->data, want, b->len);
}

static void test_pages(void **state)
{
	char token[S3_TOKEN_MAX + 1];
	struct buf b = BUF_INIT;

	(void)state;
	assert_int_equal(parse(HEAD "<KeyCount>0</KeyCount>"
				    "<IsTruncated>false</IsTruncated>" TAIL,
			       &b, token),
			 0);
	assert_string_equal(token, "");
	assert_list(&b, "");
	assert_int_equal(
		parse(HEAD
		      "<IsTruncated>true</IsTruncated>" OBJECT("p/a", "5") OBJECT(
			      "p/&lt;&#65;&#x42;&gt;",
			      "0") "<CommonPrefixes/>"
				   "<NextContinuationToken>1&amp;+/=</NextContinuationToken>" TAIL,
		      &b, token),
		0);
	assert_string_equal(token, "1&+/=");
	assert_list(&b, "p/a 5\np/<AB> 0\n");
	buf_release(&b);
}

static int stop(void *arg, const struct s3_object *o)
{
	(void)arg, (void)o;
	return 42;
}

static int add_time(void *arg, const struct s3_object *o)
{
	buf_printf(arg, "%lld ", (long long)o->mtime_ns);
	return buf_error(arg);
}

/* What is no time is not told, and none is taken for another object's. */
static void test_times(void **state)
{
#define AT(time) "<Contents><Key>k</Key><Size>1</Size>" time "</Contents>"
#define IS(time) AT("<LastModified>" time "</LastModified>")
	const char *text = HEAD IS("2024-02-03T04:05:06.789Z") AT("")
		IS("2024-02-03T04:05:06Z") IS("2024-02-03T04:05:06")
			IS("2024-02-30") IS("") IS("1960-01-01T00:00:00Z")
				IS("2024-02-03T04:05:06.000+00:00") TAIL;
	const char *want = "1706933106000000000 0 1706933106000000000 "
			   "0 0 0 0 0 ";
	char token[S3_TOKEN_MAX + 1];
	struct buf b = BUF_INIT;

	(void)state;
	assert_int_equal(s3_list_parse(text, strlen(text), add_time, &b, token),
			 0);
	assert_list(&b, want);
	buf_release(&b);
}

static void test_end(void **state)
{
	char token[S3_TOKEN_MAX + 1];
	const char *text = HEAD OBJECT("a", "1") TAIL;

	(void)state;
	assert_int_equal(s3_list_parse(text, strlen(text), stop, NULL, token),
			 42);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"   \n",
		"not xml",
		"<Error><Code>NoSuchBucket</Code></Error>",
		HEAD,
		HEAD OBJECT("a", "1"),
		HEAD OBJECT("a", "-1") TAIL,
		HEAD OBJECT("a", "") TAIL,
		HEAD OBJECT("a", "1234567890123456789") TAIL,
		HEAD OBJECT("&unknown;", "1") TAIL,
		HEAD OBJECT("&amp", "1") TAIL,
		HEAD OBJECT("&#0;", "1") TAIL,
		HEAD OBJECT("&#300;", "1") TAIL,
		HEAD "<Contents><Key>a</Key></Contents>" TAIL,
		HEAD "<Contents><Size>1</Size></Contents>" TAIL,
		HEAD "<!-- comment -->" TAIL,
		HEAD "<![CDATA[x]]>" TAIL,
		"<!DOCTYPE x [<!ENTITY e 'e'>]>" HEAD TAIL,
		HEAD "</Contents>" TAIL,
		HEAD "<a></b></a>" TAIL,
		HEAD TAIL "trailing",
		HEAD "<IsTruncated>true</IsTruncated>" TAIL,
		HEAD "<NextContinuationToken>x</NextContinuationToken>" TAIL,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char token[S3_TOKEN_MAX + 1];
		struct buf b = BUF_INIT;

		if (parse(bad[i], &b, token) != -EBADMSG)
			fail_msg("taken: %s", bad[i]);
		buf_release(&b);
	}
}

static void test_limits(void **state)
{
	char token[S3_TOKEN_MAX + 1];
	struct buf b = BUF_INIT, text = BUF_INIT;
	size_t i;

	(void)state;
	buf_printf(&text, "%s<Contents><Key>", HEAD);
	for (i = 0; i <= S3_KEY_MAX; i++)
		buf_put(&text, "k", 1);
	buf_printf(&text, "</Key><Size>1</Size></Contents>%s", TAIL);
	assert_int_equal(s3_list_parse((char *)text.data, text.len, add, &b,
				       token),
			 -EBADMSG);
	buf_reset(&text);
	buf_printf(&text, "%s", HEAD);
	for (i = 0; i < 100; i++)
		buf_printf(&text, "<a>");
	assert_int_equal(s3_list_parse((char *)text.data, text.len, add, &b,
				       token),
			 -EBADMSG);
	buf_release(&text);
	buf_release(&b);
}

/* Every beginning, and every byte changed: no crash, and no endless loop. */
static void test_damage(void **state)
{
	const char *text = HEAD "<IsTruncated>true</IsTruncated>" OBJECT(
		"p/a",
		"5") "<NextContinuationToken>1</NextContinuationToken>" TAIL;
	size_t len = strlen(text);
	char token[S3_TOKEN_MAX + 1];

	(void)state;
	for (size_t i = 0; i < len; i++) {
		char *copy = malloc(len);
		struct buf b = BUF_INIT;

		assert_non_null(copy);
		memcpy(copy, text, len);
		if (i < len - 1)
			assert_int_equal(s3_list_parse(copy, i, add, &b, token),
					 -EBADMSG);
		copy[i] = copy[i] == '<' ? '>' : '<';
		(void)s3_list_parse(copy, len, add, &b, token);
		buf_release(&b);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages),  cmocka_unit_test(test_end),
		cmocka_unit_test(test_times),  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limits), cmocka_unit_test(test_damage),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
