/* SPDX-License-Identifier: Apache-2.0 */
/* Folded blobs: header and frame. See fold.h. */
#include "fold.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/io.h"
#include "base/log.h"
#include "codec.h"

#define MAGIC "LARDFLD"
#define VERSION 1u
#define CRC_POS (FOLD_HEADER_BYTES - 4)

/* A quarter of a second for 6 MB; level 15 takes ten times that for a tenth
 * less. */
#define LEVEL 9

static int header_decode(const uint8_t *file, struct fold_header *ret_header)
{
	struct fold_header h = { .kind = FOLD_CATALOG };
	uint32_t version, kind, zero, crc;
	const void *name, *anchor;
	struct cursor cur;

	cursor_init(&cur, file, FOLD_HEADER_BYTES);
	cursor_bytes(&cur, sizeof(MAGIC));
	version = cursor_u32(&cur);
	kind = cursor_u32(&cur);
	name = cursor_bytes(&cur, DIGEST_LEN);
	anchor = cursor_bytes(&cur, DIGEST_LEN);
	h.bytes = cursor_u64(&cur);
	zero = cursor_u32(&cur);
	crc = cursor_u32(&cur);
	if (cursor_error(&cur) || crc != crc32c(0, file, CRC_POS))
		return log_error(-EBADMSG, "folded blob: bad header");
	if (version > VERSION)
		return log_error(-ESTALE,
				 "folded blob: format %u is newer than %u",
				 version, VERSION);
	if (version == 0 || zero || h.bytes == 0 || h.bytes > FOLD_BYTES_MAX ||
	    (kind != FOLD_CATALOG && kind != FOLD_PLACEMENT))
		return log_error(-EBADMSG, "folded blob: bad header");
	h.kind = (enum fold_kind)kind;
	memcpy(&h.name, name, DIGEST_LEN);
	memcpy(&h.anchor, anchor, DIGEST_LEN);
	*ret_header = h;
	return 0;
}

int fold_read_header(int fd, struct fold_header *ret_header)
{
	uint8_t file[FOLD_HEADER_BYTES];
	ssize_t n;
	int r;

	do
		n = pread(fd, file, sizeof(file), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return log_error(-errno, "folded blob: read");
	if ((size_t)n < sizeof(MAGIC) || memcmp(file, MAGIC, sizeof(MAGIC)))
		return 0;
	if ((size_t)n < sizeof(file))
		return log_error(-EBADMSG, "folded blob: truncated");
	r = header_decode(file, ret_header);
	return r < 0 ? r : 1;
}

static void header_put(const struct fold_header *h, struct buf *b)
{
	size_t at = b->len;

	buf_put(b, MAGIC, sizeof(MAGIC));
	buf_put_u32(b, VERSION);
	buf_put_u32(b, h->kind);
	buf_put(b, &h->name, DIGEST_LEN);
	buf_put(b, &h->anchor, DIGEST_LEN);
	buf_put_u64(b, h->bytes);
	buf_put_u32(b, 0);
	if (!buf_error(b))
		buf_put_u32(b, crc32c(0, b->data + at, CRC_POS));
}

int fold_encode(const struct fold_header *header, const void *prefix,
		size_t prefix_len, const void *data, struct buf *ret_file)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	int r;

	if (header->bytes == 0 || header->bytes > FOLD_BYTES_MAX ||
	    prefix_len > FOLD_BYTES_MAX)
		return -EFBIG;
	header_put(header, &b);
	r = buf_error(&b);
	if (r == 0)
		r = codec_compress_against(prefix, prefix_len, LEVEL, data,
					   header->bytes, &b);
	if (r < 0)
		return r;
	*ret_file = b;
	b = (struct buf)BUF_INIT;
	return 0;
}

int fold_decode(const struct fold_header *header, const void *prefix,
		size_t prefix_len, const void *file, size_t len, void *out)
{
	if (len < FOLD_HEADER_BYTES)
		return log_error(-EBADMSG, "folded blob: truncated");
	return codec_decompress_against(
		prefix, prefix_len, (const uint8_t *)file + FOLD_HEADER_BYTES,
		len - FOLD_HEADER_BYTES, out, header->bytes);
}
