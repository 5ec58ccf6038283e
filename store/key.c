/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys: the parts they are computed from, and their fingerprint. A
 * fingerprint is the SHA-256 of a text that `sort` and `sha256sum` can make
 * too, see key.h; parts are sorted as the lines of that text. Owns nothing
 * but the platform's name; a set of parts belongs to one thread. Which files
 * match a pattern is key_glob.c's.
 */
#include "key.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/buf.h"
#include "base/cleanup.h"

#define KEY_VERSION 2
#define PARTS_CAP_MIN 16

/* Parts */

static void part_release(struct key_part *part)
{
	free(part->kind);
	free(part->name);
}

void key_parts_release(struct key_parts *p)
{
	size_t i;

	for (i = 0; i < p->count; i++)
		part_release(&p->items[i]);
	free(p->items);
	*p = (struct key_parts)KEY_PARTS_INIT;
}

bool key_part_is_valid(const char *kind, const char *name)
{
	size_t len = strspn(kind, "abcdefghijklmnopqrstuvwxyz-");

	return len > 0 && len <= KEY_KIND_MAX && kind[len] == '\0' &&
	       strlen(name) <= KEY_PART_NAME_MAX;
}

static int parts_grow(struct key_parts *p)
{
	size_t cap = p->cap ? 2 * p->cap : PARTS_CAP_MIN;
	struct key_part *items;

	if (p->count < p->cap)
		return 0;
	items = reallocarray(p->items, cap, sizeof(*items));
	if (!items)
		return -ENOMEM;
	p->items = items;
	p->cap = cap;
	return 0;
}

int key_parts_add(struct key_parts *p, const char *kind, const char *name,
		  const struct digest *digest)
{
	struct key_part part = { .digest = *digest };
	int r;

	if (!key_part_is_valid(kind, name))
		return -EINVAL;
	r = parts_grow(p);
	if (r < 0)
		return r;
	part.kind = strdup(kind);
	part.name = strdup(name);
	if (!part.kind || !part.name) {
		part_release(&part);
		return -ENOMEM;
	}
	p->items[p->count++] = part;
	return 0;
}

/* Byte `i` of what a character of a name is written as; 0 behind its end. */
static unsigned char escaped_byte(char c, int i)
{
	if (c != '\n' && c != '\\')
		return i == 0 ? c : 0;
	if (i == 0)
		return '\\';
	return c == '\n' ? 'n' : '\\';
}

/* Compares names as they are written. Up to the first difference both are
 * the same, so only that character's escaping matters. */
static int name_order(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	if (escaped_byte(*a, 0) != escaped_byte(*b, 0))
		return escaped_byte(*a, 0) < escaped_byte(*b, 0) ? -1 : 1;
	return escaped_byte(*a, 1) - escaped_byte(*b, 1);
}

/* A kind is followed by a blank, which sorts before all that a kind has. */
static int part_order(const void *va, const void *vb)
{
	const struct key_part *a = va, *b = vb;
	int r = strcmp(a->kind, b->kind);

	if (r == 0)
		r = memcmp(a->digest.bytes, b->digest.bytes, DIGEST_LEN);
	if (r == 0)
		r = name_order(a->name, b->name);
	return r;
}

void key_parts_sort(struct key_parts *p)
{
	size_t i, kept = 0;

	if (p->count == 0)
		return;
	qsort(p->items, p->count, sizeof(*p->items), part_order);
	for (i = 1; i < p->count; i++) {
		if (part_order(&p->items[kept], &p->items[i]) == 0)
			part_release(&p->items[i]);
		else
			p->items[++kept] = p->items[i];
	}
	p->count = kept + 1;
}

/* A value in the environment may be a secret: only its digest is kept. */
int key_add_env(struct key_parts *p, const char *var)
{
	struct digest digest = { { 0 } };
	const char *value;
	int r;

	if (!*var || strchr(var, '='))
		return -EINVAL;
	value = getenv(var);
	if (value) {
		r = digest_of(value, strlen(value), &digest);
		if (r < 0)
			return r;
	}
	return key_parts_add(p, "env", var, &digest);
}

static int add_text(struct key_parts *p, const char *kind, const char *name,
		    const char *text)
{
	struct digest digest;
	int r = digest_of(text, strlen(text), &digest);

	return r < 0 ? r : key_parts_add(p, kind, name, &digest);
}

int key_add_salt(struct key_parts *p, const char *salt)
{
	return add_text(p, "salt", "", salt);
}

int key_add_platform(struct key_parts *p)
{
	return add_text(p, "platform", key_platform(), key_platform());
}

/* Fingerprint */

static void put_escaped(struct buf *b, const char *name)
{
	for (; *name; name++) {
		buf_put_u8(b, escaped_byte(*name, 0));
		if (escaped_byte(*name, 1))
			buf_put_u8(b, escaped_byte(*name, 1));
	}
}

static void put_part(struct buf *b, const struct key_part *part)
{
	char hex[DIGEST_HEX_LEN + 1];

	digest_hex(&part->digest, hex);
	buf_printf(b, "%s %s ", part->kind, hex);
	put_escaped(b, part->name);
	buf_put_u8(b, '\n');
}

int key_fingerprint(struct key_parts *p, struct digest *ret_digest)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	size_t i;

	if (p->count == 0)
		return -EINVAL;
	key_parts_sort(p);
	buf_printf(&text, "larder-key %d\n", KEY_VERSION);
	for (i = 0; i < p->count; i++)
		put_part(&text, &p->items[i]);
	if (buf_error(&text))
		return buf_error(&text);
	return digest_of(text.data, text.len, ret_digest);
}

/* Alphabet and platform */

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	       (c >= 'a' && c <= 'z');
}

bool key_is_valid(const char *key)
{
	size_t i;

	if (!is_alnum(key[0]))
		return false;
	for (i = 1; key[i]; i++)
		if (i >= KEY_MAX || !(is_alnum(key[i]) || key[i] == '.' ||
				      key[i] == '_' || key[i] == '-'))
			return false;
	return true;
}

static char platform[2 * sizeof(((struct utsname *)0)->machine)];
static pthread_once_t platform_once = PTHREAD_ONCE_INIT;

/* Not tolower(), which the locale changes. */
static void platform_load(void)
{
	struct utsname u;
	char *c;

	uname(&u); /* fails for a bad pointer only */
	snprintf(platform, sizeof(platform), "%s-%s", u.sysname, u.machine);
	for (c = platform; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c += 'a' - 'A';
}

const char *key_platform(void)
{
	pthread_once(&platform_once, platform_load);
	return platform;
}
