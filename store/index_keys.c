/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoding of the index's records. Pure functions over buffers and bounded
 * cursors; the formats are in index.h and index_keys.h.
 */
#include "index_keys.h"

#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/cursor.h"

#define LOC_HAS_DICT 1u

static void put_string(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s) + 1);
}

void index_key_strings(struct buf *key, ...)
{
	const char *s;
	va_list ap;

	va_start(ap, key);
	while ((s = va_arg(ap, const char *)))
		put_string(key, s);
	va_end(ap);
}

void index_key_entry(struct buf *key, const struct entry *e)
{
	index_key_strings(key, e->tenant, e->namespace, e->name, e->key, NULL);
}

/* The complement makes the newest the first. Times are not negative: entries
 * with such are not encoded. */
void index_key_recency(struct buf *key, const struct entry *e,
		       const char *branch)
{
	uint64_t order = htobe64(~(uint64_t)e->created_ns);

	index_key_strings(key, e->tenant, e->namespace, e->name, branch, NULL);
	buf_put(key, &order, sizeof(order));
	put_string(key, e->key);
}

void index_key_blob(struct buf *key, enum index_blob kind,
		    const struct digest *blob)
{
	buf_put_u8(key, kind);
	buf_put(key, blob->bytes, DIGEST_LEN);
}

int index_recency_decode(const struct index_bytes *key, size_t prefix_len,
			 int64_t *ret_created_ns, const char **ret_key)
{
	struct cursor c;
	const void *order;
	const char *text;
	uint64_t v;
	size_t len;

	cursor_init(&c, key->data, key->len);
	cursor_bytes(&c, prefix_len);
	order = cursor_bytes(&c, sizeof(v));
	len = cursor_left(&c);
	text = cursor_bytes(&c, len);
	if (cursor_error(&c) || len == 0 ||
	    memchr(text, '\0', len) != text + len - 1)
		return -EBADMSG;
	memcpy(&v, order, sizeof(v));
	*ret_created_ns = ~be64toh(v);
	*ret_key = text;
	return 0;
}

/* All bytes used, and none missing. */
static int decode_end(const struct cursor *c)
{
	return cursor_error(c) || cursor_left(c) ? -EBADMSG : 0;
}

static const char *take_string(struct cursor *c)
{
	size_t left = cursor_left(c);
	const char *text = (const char *)c->data + c->pos;
	const char *end = left ? memchr(text, '\0', left) : NULL;

	return end ? cursor_bytes(c, (size_t)(end - text) + 1) : NULL;
}

int index_name_decode(const struct index_bytes *key,
		      struct index_name *ret_name)
{
	struct index_name name;
	struct cursor c;

	cursor_init(&c, key->data, key->len);
	name.tenant = take_string(&c);
	name.namespace = name.tenant ? take_string(&c) : NULL;
	name.name = name.namespace ? take_string(&c) : NULL;
	name.key = name.name ? take_string(&c) : NULL;
	if (!name.key || decode_end(&c) < 0)
		return -EBADMSG;
	*ret_name = name;
	return 0;
}

int index_time_decode(const struct index_bytes *value, int64_t *ret_ns)
{
	struct cursor c;
	uint64_t ns;

	cursor_init(&c, value->data, value->len);
	ns = cursor_u64(&c);
	if (decode_end(&c) < 0 || ns > INT64_MAX)
		return -EBADMSG;
	*ret_ns = (int64_t)ns;
	return 0;
}

void index_loc_encode(struct buf *value, const struct pack_loc *loc)
{
	buf_put(value, loc->pack.bytes, DIGEST_LEN);
	buf_put_u32(value, loc->off);
	buf_put_u32(value, loc->len);
	buf_put_u8(value, loc->has_dict ? LOC_HAS_DICT : 0);
}

int index_loc_decode(const struct index_bytes *value, struct pack_loc *ret_loc)
{
	struct pack_loc loc;
	const void *pack;
	struct cursor c;
	uint8_t flags;

	cursor_init(&c, value->data, value->len);
	pack = cursor_bytes(&c, DIGEST_LEN);
	loc.off = cursor_u32(&c);
	loc.len = cursor_u32(&c);
	flags = cursor_u8(&c);
	if (decode_end(&c) < 0 || (flags & ~LOC_HAS_DICT))
		return -EBADMSG;
	memcpy(loc.pack.bytes, pack, DIGEST_LEN);
	loc.has_dict = flags & LOC_HAS_DICT;
	*ret_loc = loc;
	return 0;
}

void index_stamp_encode(struct buf *value, const struct index_stamp *stamp)
{
	buf_put_u64(value, stamp->bytes);
	buf_put_u64(value, stamp->ino);
	buf_put_u64(value, stamp->mtime_ns);
	buf_put_u64(value, stamp->ctime_ns);
}

int index_stamp_decode(const struct index_bytes *value,
		       struct index_stamp *ret_stamp)
{
	struct index_stamp stamp;
	struct cursor c;

	cursor_init(&c, value->data, value->len);
	stamp.bytes = cursor_u64(&c);
	stamp.ino = cursor_u64(&c);
	stamp.mtime_ns = cursor_u64(&c);
	stamp.ctime_ns = cursor_u64(&c);
	if (decode_end(&c) < 0)
		return -EBADMSG;
	*ret_stamp = stamp;
	return 0;
}

void index_pack_encode(struct buf *value, uint64_t bytes, uint32_t chunks)
{
	buf_put_u64(value, bytes);
	buf_put_u32(value, chunks);
}

int index_pack_decode(const struct index_bytes *value, uint64_t *ret_bytes)
{
	struct cursor c;
	uint64_t bytes;

	cursor_init(&c, value->data, value->len);
	bytes = cursor_u64(&c);
	cursor_u32(&c);
	if (decode_end(&c) < 0)
		return -EBADMSG;
	*ret_bytes = bytes;
	return 0;
}
