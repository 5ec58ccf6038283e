/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts are compared by their subject: what they are of, whatever it looks
 * like. Both sides are sorted by it and merged; of one subject there may be
 * several parts (salts), of which equal ones are passed over and the rest
 * paired as they come.
 */
#include "compare.h"

#include <stdlib.h>
#include <string.h>

#include "fs/rpc.h"
#include "store/base/cleanup.h"

struct side {
	const struct key_part **parts;
	size_t count, pos;
};

/* The kinds that one path may have in turn count as one. */
static const char *subject_kind(const struct key_part *p)
{
	static const char *const of_git[] = { "git-file", "git-exec",
					      "git-link", "git-gone" };

	if (strcmp(p->kind, "link") == 0)
		return "file";
	for (size_t i = 0; i < sizeof(of_git) / sizeof(*of_git); i++)
		if (strcmp(p->kind, of_git[i]) == 0)
			return of_git[0];
	return p->kind;
}

/* A platform's name is its value. */
static const char *subject_name(const struct key_part *p)
{
	return strcmp(p->kind, "platform") == 0 ? "" : p->name;
}

static int subject_order(const struct key_part *a, const struct key_part *b)
{
	int r = strcmp(subject_kind(a), subject_kind(b));

	return r ? r : strcmp(subject_name(a), subject_name(b));
}

static int value_order(const struct key_part *a, const struct key_part *b)
{
	int r = memcmp(a->digest.bytes, b->digest.bytes, DIGEST_LEN);

	return r ? r : strcmp(a->kind, b->kind);
}

static int part_order(const void *va, const void *vb)
{
	const struct key_part *a = *(const struct key_part *const *)va;
	const struct key_part *b = *(const struct key_part *const *)vb;
	int r = subject_order(a, b);

	return r ? r : value_order(a, b);
}

static int side_init(struct side *s, const struct key_parts *parts)
{
	s->parts = calloc(parts->count + 1, sizeof(struct key_part *));
	if (!s->parts)
		return -ENOMEM;
	s->count = parts->count;
	for (size_t i = 0; i < parts->count; i++)
		s->parts[i] = &parts->items[i];
	if (s->count > 0)
		qsort(s->parts, s->count, sizeof(struct key_part *),
		      part_order);
	return 0;
}

static void side_release(struct side *s)
{
	free(s->parts);
}

/* Drops from both what both have. */
static void drop_common(struct side *a, struct side *b)
{
	size_t i = 0, j = 0, na = 0, nb = 0;

	while (i < a->count || j < b->count) {
		int order =
			i == a->count ? 1 :
			j == b->count ? -1 :
					part_order(&a->parts[i], &b->parts[j]);

		if (order == 0)
			i++, j++;
		else if (order < 0)
			a->parts[na++] = a->parts[i++];
		else
			b->parts[nb++] = b->parts[j++];
	}
	a->count = na;
	b->count = nb;
}

static json_t *digest_json(const struct key_part *p)
{
	char hex[DIGEST_HEX_LEN + 1];

	if (!p)
		return json_null();
	digest_hex(&p->digest, hex);
	return json_string(hex);
}

static json_t *change_json(const struct key_part *was,
			   const struct key_part *is)
{
	const struct key_part *p = is ? is : was;
	json_t *c = json_pack("{s:s, s:s, s:o, s:o, s:o}", "change",
			      !was ? "added" :
			      !is  ? "removed" :
				     "changed",
			      "kind", p->kind, "name",
			      rpc_string(p->name, strlen(p->name)), "was",
			      digest_json(was), "is", digest_json(is));

	if (c && was && is && strcmp(was->kind, is->kind) != 0)
		json_object_set_new(c, "was_kind", json_string(was->kind));
	return c;
}

static json_t *merge(struct side *a, struct side *b)
{
	json_t *changes = json_array();

	while (a->pos < a->count || b->pos < b->count) {
		const struct key_part *was = NULL, *is = NULL;
		int order =
			a->pos == a->count ? 1 :
			b->pos == b->count ? -1 :
					     subject_order(a->parts[a->pos],
							   b->parts[b->pos]);

		if (order <= 0)
			was = a->parts[a->pos++];
		if (order >= 0)
			is = b->parts[b->pos++];
		json_array_append_new(changes, change_json(was, is));
	}
	return changes;
}

json_t *compare_parts(const struct key_parts *was, const struct key_parts *is)
{
	_cleanup_(side_release) struct side a = { 0 }, b = { 0 };

	if (side_init(&a, was) < 0 || side_init(&b, is) < 0)
		return NULL;
	drop_common(&a, &b);
	return merge(&a, &b);
}
