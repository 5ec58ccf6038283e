/* SPDX-License-Identifier: Apache-2.0 */
/* Holds and notices as bytes. Pure functions over memory. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/cursor.h"
#include "remote_hold.h"

#define HOLD_MAGIC "LARDHOLD"
#define NOTICE_MAGIC "LARDNOTE"
#define NOTICE_VERSION 1u
#define MAGIC_LEN 8u
#define CRC_LEN 4u

void remote_notice_path(const struct remote *r,
			char ret_path[TIER_PATH_MAX + 1])
{
	snprintf(ret_path, TIER_PATH_MAX + 1, "v1/%s/%s/gc/notice", r->tenant,
		 r->namespace);
}

static int end_with_crc(struct buf *b, size_t begin)
{
	if (!buf_error(b))
		buf_put_u32(b, crc32c(0, b->data + begin, b->len - begin));
	return buf_error(b);
}

/* A cursor over what precedes the checksum, behind magic and version. */
static int open_checked(const void *data, size_t len, const char *magic,
			uint32_t version, struct cursor *ret_cursor)
{
	struct cursor end;
	const void *got;
	uint32_t is;

	if (len < MAGIC_LEN + 4 + CRC_LEN)
		return -EBADMSG;
	cursor_init(&end, (const uint8_t *)data + len - CRC_LEN, CRC_LEN);
	if (cursor_u32(&end) != crc32c(0, data, len - CRC_LEN))
		return -EBADMSG;
	cursor_init(ret_cursor, data, len - CRC_LEN);
	got = cursor_bytes(ret_cursor, MAGIC_LEN);
	is = cursor_u32(ret_cursor);
	if (cursor_error(ret_cursor) || memcmp(got, magic, MAGIC_LEN) != 0)
		return -EBADMSG;
	return is == version ? 0 : is > version ? -ESTALE : -EBADMSG;
}

int remote_hold_encode(const struct digest *digests, size_t n,
		       struct buf *ret_data)
{
	size_t begin = ret_data->len;

	if (n > REMOTE_HOLD_MAX / DIGEST_LEN - 1)
		return -EFBIG;
	buf_put(ret_data, HOLD_MAGIC, MAGIC_LEN);
	buf_put_u32(ret_data, REMOTE_HOLD_VERSION);
	buf_put_u32(ret_data, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		buf_put(ret_data, digests[i].bytes, DIGEST_LEN);
	return end_with_crc(ret_data, begin);
}

int remote_hold_decode(const void *data, size_t len,
		       int (*each)(void *arg, const struct digest *digest),
		       void *arg)
{
	struct cursor c;
	uint32_t n;
	int r = open_checked(data, len, HOLD_MAGIC, REMOTE_HOLD_VERSION, &c);

	if (r < 0)
		return r;
	n = cursor_u32(&c);
	if (cursor_error(&c) || cursor_left(&c) != (uint64_t)n * DIGEST_LEN)
		return -EBADMSG;
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		struct digest digest;

		memcpy(digest.bytes, cursor_bytes(&c, DIGEST_LEN), DIGEST_LEN);
		r = each(arg, &digest);
	}
	return r;
}

int remote_notice_encode(const struct remote_notice *n, struct buf *ret_data)
{
	size_t begin = ret_data->len;

	buf_put(ret_data, NOTICE_MAGIC, MAGIC_LEN);
	buf_put_u32(ret_data, NOTICE_VERSION);
	buf_put_u64(ret_data, (uint64_t)n->tier_ns);
	buf_put(ret_data, n->id, REMOTE_ID_LEN);
	buf_put_u32(ret_data, n->number);
	return end_with_crc(ret_data, begin);
}

int remote_notice_decode(const void *data, size_t len,
			 struct remote_notice *ret_notice)
{
	struct remote_notice n;
	const void *id;
	struct cursor c;
	int r = open_checked(data, len, NOTICE_MAGIC, NOTICE_VERSION, &c);

	if (r < 0)
		return -EBADMSG;
	n.tier_ns = (int64_t)cursor_u64(&c);
	id = cursor_bytes(&c, REMOTE_ID_LEN);
	n.number = cursor_u32(&c);
	if (cursor_error(&c) || cursor_left(&c) > 0)
		return -EBADMSG;
	memcpy(n.id, id, REMOTE_ID_LEN);
	*ret_notice = n;
	return 0;
}
