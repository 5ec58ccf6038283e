/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scanner for the few elements that are of interest. It goes from tag to tag
 * and keeps the depth and what it is inside of; everything it does not know it
 * passes over.
 */
#include "s3_list.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEPTH_MAX 16
#define NAME_LEN 64
#define TIME_MAX 40
#define NS INT64_C(1000000000)

struct scan {
	const char *at, *end;
	int (*each)(void *arg, const struct s3_object *o);
	void *arg;
	char path[DEPTH_MAX][NAME_LEN + 1]; /* names of what is open */
	unsigned depth;
	bool truncated;
	char *token; /* S3_TOKEN_MAX + 1 */
	char key[S3_KEY_MAX + 1];
	uint64_t size;
	int64_t mtime_ns;
	bool has_key, has_size;
};

/* --- text --- */

static int entity_code(const char *name, size_t len)
{
	static const struct {
		const char *name;
		char c;
	} entities[] = { { "amp", '&' },
			 { "lt", '<' },
			 { "gt", '>' },
			 { "quot", '"' },
			 { "apos", '\'' } };
	char digits[8];
	char *end;
	long code;

	for (unsigned i = 0; i < 5; i++)
		if (strlen(entities[i].name) == len &&
		    memcmp(entities[i].name, name, len) == 0)
			return entities[i].c;
	if (len < 2 || len >= sizeof(digits) || name[0] != '#')
		return -1;
	memcpy(digits, name + 1, len - 1);
	digits[len - 1] = '\0';
	code = digits[0] == 'x' ? strtol(digits + 1, &end, 16) :
				  strtol(digits, &end, 10);
	/* Objects of ours have names in ASCII. */
	return *end == '\0' && code > 0 && code < 128 ? (int)code : -1;
}

static int decode(const char *text, size_t len, char *out, size_t max)
{
	size_t used = 0;

	for (size_t i = 0; i < len; i++) {
		int c = (unsigned char)text[i];

		if (c == '&') {
			const char *semi = memchr(text + i, ';', len - i);

			if (!semi)
				return -EBADMSG;
			c = entity_code(text + i + 1, semi - (text + i + 1));
			i = semi - text;
		}
		if (c <= 0 || used == max)
			return -EBADMSG;
		out[used++] = (char)c;
	}
	out[used] = '\0';
	return 0;
}

static int decode_size(const char *text, size_t len, uint64_t *ret_size)
{
	uint64_t size = 0;

	if (len == 0 || len > 18)
		return -EBADMSG;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EBADMSG;
		size = size * 10 + (text[i] - '0');
	}
	*ret_size = size;
	return 0;
}

/* "2024-02-03T04:05:06.000Z", or without the fraction. What is written otherwise
 * is not told. */
static int64_t decode_time(const char *text, size_t len)
{
	char copy[TIME_MAX + 1];
	struct tm tm = { 0 };
	const char *rest;
	time_t t;

	if (len > TIME_MAX || memchr(text, '\0', len))
		return 0;
	memcpy(copy, text, len);
	copy[len] = '\0';
	rest = strptime(copy, "%Y-%m-%dT%H:%M:%S", &tm);
	if (rest && *rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	if (!rest || strcmp(rest, "Z") != 0)
		return 0;
	t = timegm(&tm);
	return t > 0 && t < INT64_MAX / NS ? t * NS : 0;
}

/* --- elements --- */

static bool is_inside(const struct scan *s, const char *a, const char *b)
{
	return s->depth == (b ? 3u : 2u) &&
	       strcmp(s->path[0], "ListBucketResult") == 0 &&
	       strcmp(s->path[1], a) == 0 && (!b || strcmp(s->path[2], b) == 0);
}

/* The text in front of an end tag, where the element is of interest. */
static int take_text(struct scan *s, const char *text, size_t len)
{
	if (is_inside(s, "IsTruncated", NULL)) {
		s->truncated = len == 4 && memcmp(text, "true", 4) == 0;
		return 0;
	}
	if (is_inside(s, "NextContinuationToken", NULL))
		return decode(text, len, s->token, S3_TOKEN_MAX);
	if (is_inside(s, "Contents", "Key")) {
		s->has_key = true;
		return decode(text, len, s->key, S3_KEY_MAX);
	}
	if (is_inside(s, "Contents", "LastModified")) {
		s->mtime_ns = decode_time(text, len);
		return 0;
	}
	if (is_inside(s, "Contents", "Size")) {
		s->has_size = true;
		return decode_size(text, len, &s->size);
	}
	return 0;
}

static int close_element(struct scan *s, const char *name, size_t len)
{
	bool is_object = is_inside(s, "Contents", NULL);
	struct s3_object o;

	if (s->depth == 0 || strlen(s->path[s->depth - 1]) != len ||
	    memcmp(s->path[s->depth - 1], name, len) != 0)
		return -EBADMSG;
	s->depth--;
	if (!is_object)
		return 0;
	if (!s->has_key || !s->has_size)
		return -EBADMSG;
	o = (struct s3_object){ s->key, s->size, s->mtime_ns };
	s->has_key = s->has_size = false;
	s->mtime_ns = 0;
	return s->each(s->arg, &o);
}

static int open_element(struct scan *s, const char *name, size_t len)
{
	if (s->depth == DEPTH_MAX || len == 0 || len > NAME_LEN)
		return -EBADMSG;
	memcpy(s->path[s->depth], name, len);
	s->path[s->depth][len] = '\0';
	s->depth++;
	return 0;
}

/* What stands between '<' and '>'. */
static int take_tag(struct scan *s, const char *tag, size_t len)
{
	size_t name;
	int r;

	if (len > 0 && tag[0] == '?' && s->depth == 0)
		return 0;
	if (len == 0 || tag[0] == '!' || tag[0] == '?')
		return -EBADMSG;
	if (tag[0] == '/')
		return close_element(s, tag + 1, len - 1);
	for (name = 0; name < len && tag[name] != ' ' && tag[name] != '/' &&
		       tag[name] != '\n' && tag[name] != '\t';)
		name++;
	r = open_element(s, tag, name);
	if (r == 0 && tag[len - 1] == '/')
		r = close_element(s, tag, name);
	return r;
}

static int step(struct scan *s)
{
	const char *open = memchr(s->at, '<', s->end - s->at);
	const char *close = open ? memchr(open, '>', s->end - open) : NULL;
	int r = 0;

	if (!close)
		return -EBADMSG;
	if (open[1] == '/')
		r = take_text(s, s->at, open - s->at);
	if (r == 0)
		r = take_tag(s, open + 1, close - open - 1);
	s->at = close + 1;
	return r;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

int s3_list_parse(const char *text, size_t len,
		  int (*each)(void *arg, const struct s3_object *o), void *arg,
		  char ret_token[S3_TOKEN_MAX + 1])
{
	struct scan s = { .at = text,
			  .end = text + len,
			  .each = each,
			  .arg = arg,
			  .token = ret_token };
	int r = 0;

	ret_token[0] = '\0';
	while (s.end > s.at && is_space(s.end[-1]))
		s.end--;
	if (s.at == s.end)
		return -EBADMSG;
	while (r == 0 && s.at < s.end)
		r = step(&s);
	if (r)
		return r;
	if (s.depth > 0 || strcmp(s.path[0], "ListBucketResult") != 0 ||
	    s.truncated != (ret_token[0] != '\0'))
		return -EBADMSG;
	return 0;
}
