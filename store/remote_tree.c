/* SPDX-License-Identifier: Apache-2.0 */
/* Trees as objects: lengths are looked at before memory is asked for. */
#include "remote_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/io.h"
#include "base/log.h"
#include "codec.h"

#define MAGIC "LARDTREE"
#define MAGIC_LEN 8
#define VERSION 1u
#define END_BYTES (DIGEST_LEN + 8u + PACK_TAIL_BYTES)

static void cleanup_codec(struct codec_ctx **ctx)
{
	codec_ctx_free(*ctx);
}

int remote_tree_encode(const void *catalog, size_t catalog_len,
		       const void *placement, size_t placement_len,
		       const struct remote_pack_end *ends, uint32_t n_ends,
		       struct buf *ret_data)
{
	_cleanup_(cleanup_codec) struct codec_ctx *ctx = NULL;
	_cleanup_buf_ struct buf first = BUF_INIT, second = BUF_INIT;
	int r;

	if (catalog_len > REMOTE_TREE_PART_MAX ||
	    placement_len > REMOTE_TREE_PART_MAX)
		return -EFBIG;
	r = codec_ctx_new(&ctx);
	if (r == 0)
		r = codec_compress(ctx, NULL, CODEC_LEVEL_DEFAULT, catalog,
				   catalog_len, &first);
	if (r == 0)
		r = codec_compress(ctx, NULL, CODEC_LEVEL_DEFAULT, placement,
				   placement_len, &second);
	if (r < 0)
		return r;
	buf_put(ret_data, MAGIC, MAGIC_LEN);
	buf_put_u32(ret_data, VERSION);
	buf_put_u32(ret_data, n_ends);
	buf_put_u64(ret_data, catalog_len);
	buf_put_u64(ret_data, first.len);
	buf_put_u64(ret_data, placement_len);
	buf_put_u64(ret_data, second.len);
	buf_put(ret_data, first.data, first.len);
	buf_put(ret_data, second.data, second.len);
	for (uint32_t n = 0; n < n_ends; n++) {
		buf_put(ret_data, ends[n].name.bytes, DIGEST_LEN);
		buf_put_u64(ret_data, ends[n].bytes);
		buf_put(ret_data, ends[n].tail, PACK_TAIL_BYTES);
	}
	return buf_error(ret_data);
}

/* A length, and the frame that gives so many bytes. */
struct part {
	uint64_t len, frame_len;
	const void *frame;
};

/* Leaves the cursor at the ends of packs. */
static int read_header(struct cursor *c, struct part *catalog,
		       struct part *placement, uint32_t *ret_ends)
{
	const void *magic = cursor_bytes(c, MAGIC_LEN);
	uint32_t version = cursor_u32(c), ends;

	if (cursor_error(c) || memcmp(magic, MAGIC, MAGIC_LEN) != 0)
		return -EBADMSG;
	if (version > VERSION)
		return -ESTALE;
	ends = cursor_u32(c);
	catalog->len = cursor_u64(c);
	catalog->frame_len = cursor_u64(c);
	placement->len = cursor_u64(c);
	placement->frame_len = cursor_u64(c);
	if (cursor_error(c) || version != VERSION || catalog->len == 0 ||
	    catalog->len > REMOTE_TREE_PART_MAX || placement->len == 0 ||
	    placement->len > REMOTE_TREE_PART_MAX ||
	    catalog->frame_len > cursor_left(c) ||
	    placement->frame_len > cursor_left(c) - catalog->frame_len)
		return -EBADMSG;
	catalog->frame = cursor_bytes(c, catalog->frame_len);
	placement->frame = cursor_bytes(c, placement->frame_len);
	if (cursor_error(c) || cursor_left(c) != (uint64_t)ends * END_BYTES)
		return -EBADMSG;
	*ret_ends = ends;
	return 0;
}

static int read_ends(struct cursor *c, uint32_t n, struct remote_tree *t)
{
	t->ends = calloc((size_t)n + 1, sizeof(*t->ends));
	if (!t->ends)
		return -ENOMEM;
	for (t->n_ends = 0; t->n_ends < n; t->n_ends++) {
		struct remote_pack_end *end = &t->ends[t->n_ends];
		const void *name = cursor_bytes(c, DIGEST_LEN), *tail;

		end->bytes = cursor_u64(c);
		tail = cursor_bytes(c, PACK_TAIL_BYTES);
		if (cursor_error(c))
			return -EBADMSG;
		memcpy(end->name.bytes, name, DIGEST_LEN);
		memcpy(end->tail, tail, PACK_TAIL_BYTES);
	}
	return 0;
}

static int decode_part(struct codec_ctx *ctx, const struct part *p,
		       struct buf *ret_data)
{
	void *out = buf_reserve(ret_data, p->len);
	int r;

	if (!out)
		return -ENOMEM;
	r = codec_decompress(ctx, NULL, p->frame, p->frame_len, out, p->len);
	if (r == 0)
		buf_added(ret_data, p->len);
	return r;
}

static int open_catalog(struct remote_tree *t, const struct digest *digest)
{
	struct digest got;
	int r = digest_of(t->catalog_blob.data, t->catalog_blob.len, &got);

	if (r == 0 && !digest_equal(&got, digest))
		r = -EBADMSG;
	return r < 0 ? r :
		       catalog_open_mem(t->catalog_blob.data,
					t->catalog_blob.len, CATALOG_CHECK_FULL,
					&t->catalog);
}

/* A placement is mapped from a file. */
static int open_placement(struct remote_tree *t, const struct digest *digest)
{
	_cleanup_close_ int fd = memfd_create("placement", MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = io_write(fd, t->placement_blob.data, t->placement_blob.len);
	return r < 0 ? r :
		       placement_open_fd(fd, t->catalog, digest, true,
					 &t->placement);
}

int remote_tree_decode(const void *data, size_t len,
		       const struct digest *digest,
		       struct remote_tree *ret_tree)
{
	_cleanup_(remote_tree_release) struct remote_tree t = { 0 };
	_cleanup_(cleanup_codec) struct codec_ctx *ctx = NULL;
	struct part catalog, placement;
	struct cursor c;
	uint32_t ends;
	int r;

	cursor_init(&c, data, len);
	r = read_header(&c, &catalog, &placement, &ends);
	if (r == 0)
		r = read_ends(&c, ends, &t);
	if (r == 0)
		r = codec_ctx_new(&ctx);
	if (r == 0)
		r = decode_part(ctx, &catalog, &t.catalog_blob);
	if (r == 0)
		r = open_catalog(&t, digest);
	if (r == 0)
		r = decode_part(ctx, &placement, &t.placement_blob);
	if (r == 0)
		r = open_placement(&t, digest);
	if (r < 0)
		return r;
	*ret_tree = t;
	t = (struct remote_tree){ 0 };
	return 0;
}

void remote_tree_release(struct remote_tree *t)
{
	buf_release(&t->catalog_blob);
	buf_release(&t->placement_blob);
	catalog_unref(t->catalog);
	placement_free(t->placement);
	free(t->ends);
	*t = (struct remote_tree){ 0 };
}
