/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a pack that is here is what its name and its index say: all of it is
 * read, and chunks are decoded and compared with their digests. No state; any
 * thread. What becomes of a damaged one is the caller's.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "chunker.h"
#include "pack.h"

static int verify_chunk(struct pack *p, struct codec_ctx *ctx,
			const struct pack_chunk *chunk, void *out)
{
	struct digest found;
	int r;

	r = pack_read(p, ctx, chunk->off, chunk->len, chunk->has_dict, 0, out,
		      chunk->size);
	if (r < 0)
		return r;
	r = digest_of(out, chunk->size, &found);
	if (r < 0)
		return r;
	return digest_equal(&found, &chunk->digest) ? 0 : -EBADMSG;
}

/* What a device cannot read is as lost as what it reads wrongly. */
static bool is_damage(int err)
{
	return err == -EBADMSG || err == -EIO;
}

int pack_verify(struct pack *p, struct codec_ctx *ctx,
		void (*damaged)(void *arg, const struct pack_chunk *chunk),
		void *arg)
{
	_cleanup_free_ uint8_t *out = malloc(CHUNK_MAX);
	int named = pack_check_name(p);
	struct pack_chunk chunk;
	uint32_t n, bad = 0;
	int r;

	if (!out)
		return -ENOMEM;
	if (named < 0 && !is_damage(named))
		return named;
	for (n = 0; n < pack_chunks(p); n++) {
		r = pack_chunk_at(p, n, &chunk);
		if (r < 0)
			return r;
		r = verify_chunk(p, ctx, &chunk, out);
		if (r < 0 && !is_damage(r))
			return r;
		if (r < 0 && damaged)
			damaged(arg, &chunk);
		bad += r < 0;
	}
	return bad || named < 0 ? -EBADMSG : 0;
}

int pack_verify_rest(struct pack *p, struct codec_ctx *ctx,
		     bool (*known)(void *arg, const struct pack_chunk *chunk),
		     void *arg)
{
	_cleanup_free_ uint8_t *out = malloc(CHUNK_MAX);
	int r = out ? pack_check_name(p) : -ENOMEM;
	struct pack_chunk chunk;
	uint32_t n;

	for (n = 0; r == 0 && n < pack_chunks(p); n++) {
		r = pack_chunk_at(p, n, &chunk);
		if (r == 0 && !known(arg, &chunk))
			r = verify_chunk(p, ctx, &chunk, out);
	}
	return r;
}
