/* SPDX-License-Identifier: Apache-2.0 */
/* Copying chunks to new packs. One is open at a time. */
#include "pack_copy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "chunker.h"
#include "pack_format.h"
#include "store_internal.h"

struct pack_copy {
	struct store *store; /* constant, as the next three */
	struct codec_ctx *codec;
	uint8_t *chunk; /* CHUNK_MAX: decoded */
	uint8_t *frame; /* PACK_FRAME_MAX */

	int level;		 /* 0: frames go as they are */
	struct codec_dict *anew; /* of what is compressed anew; may be NULL */
	struct buf room;	 /* the new frame */
	uint64_t target_bytes;

	struct pack_writer *writer; /* NULL: none is open */
	struct buf dict;	    /* the writers' */
	struct digest *digests;	    /* what is in it */
	struct pack_loc *locs;
	uint32_t n, cap;

	struct store_holds made; /* the new packs */
	uint64_t made_bytes;
};

int pack_copy_new(struct store *s, struct pack_copy **ret_copy)
{
	_cleanup_pack_copy_ struct pack_copy *pc = calloc(1, sizeof(*pc));
	int r;

	if (!pc)
		return -ENOMEM;
	pc->store = pc->made.store = s;
	pc->dict = pc->room = (struct buf)BUF_INIT;
	pc->target_bytes = PACK_TARGET_BYTES;
	r = codec_ctx_new(&pc->codec);
	pc->chunk = malloc(CHUNK_MAX);
	pc->frame = malloc(PACK_FRAME_MAX);
	if (r < 0 || !pc->chunk || !pc->frame)
		return r < 0 ? r : -ENOMEM;
	*ret_copy = steal_ptr(&pc);
	return 0;
}

void pack_copy_free(struct pack_copy *pc)
{
	if (!pc)
		return;
	store_holds_release(&pc->made);
	pack_writer_free(pc->writer);
	codec_ctx_free(pc->codec);
	codec_dict_free(pc->anew);
	buf_release(&pc->room);
	buf_release(&pc->dict);
	free(pc->chunk);
	free(pc->frame);
	free(pc->digests);
	free(pc->locs);
	free(pc);
}

struct codec_ctx *pack_copy_codec(struct pack_copy *pc)
{
	return pc->codec;
}

uint64_t pack_copy_bytes(const struct pack_copy *pc)
{
	return pc->made_bytes;
}

bool pack_copy_made(const struct pack_copy *pc, const struct digest *pack)
{
	return dmap_find(&pc->made.set, pack);
}

/* ---- finishing */

static int index_pack(struct pack_copy *pc, const struct digest *name,
		      uint64_t bytes)
{
	struct index_batch *b;
	int r = fault_check("gc.rewritten");

	if (r == 0)
		r = index_batch_begin(pc->store->index, &b);
	if (r < 0)
		return r;
	r = index_put_pack(b, name, bytes, pc->n);
	if (r == 0 && pc->level > 0)
		r = index_note_pack(b, INDEX_PACK_DENSE, name);
	for (uint32_t i = 0; r == 0 && i < pc->n; i++) {
		pc->locs[i].pack = *name;
		r = index_put_chunk(b, &pc->digests[i], &pc->locs[i]);
	}
	if (r < 0) {
		index_batch_abort(b);
		return r;
	}
	return index_batch_commit(b, true);
}

/* Held before it is there. */
static int publish(struct pack_copy *pc)
{
	struct digest name;
	uint64_t bytes;
	int r = pack_writer_seal(pc->writer, &name);

	if (r == 0)
		r = store_holds_add(&pc->made, &name);
	if (r == 0)
		r = pack_writer_commit(pc->writer, &name, &bytes);
	if (r == 0)
		r = index_pack(pc, &name, bytes);
	pc->made_bytes += r == 0 ? bytes : 0;
	return r;
}

int pack_copy_finish(struct pack_copy *pc)
{
	int r;

	if (!pc->writer)
		return 0;
	r = pc->n > 0 ? publish(pc) : 0;
	pack_writer_free(steal_ptr(&pc->writer));
	pc->n = 0;
	return r;
}

/* ---- copying */

static bool same_dict(const struct pack_copy *pc, const struct buf *dict)
{
	return pc->dict.len == dict->len &&
	       (dict->len == 0 ||
		memcmp(pc->dict.data, dict->data, dict->len) == 0);
}

int pack_copy_anew(struct pack_copy *pc, int level, const void *dict,
		   size_t dict_len, uint64_t target_bytes)
{
	int r = pack_copy_finish(pc);

	if (r < 0)
		return r;
	codec_dict_free(steal_ptr(&pc->anew));
	buf_reset(&pc->dict);
	buf_put(&pc->dict, dict, dict_len);
	r = buf_error(&pc->dict);
	if (r == 0 && dict_len > 0)
		r = codec_dict_new(dict, dict_len, level, &pc->anew);
	pc->level = level;
	pc->target_bytes = target_bytes;
	return r;
}

int pack_copy_begin(struct pack_copy *pc, struct pack *from)
{
	_cleanup_buf_ struct buf dict = BUF_INIT;
	int r = pc->level > 0 ? 0 : pack_read_dict(from, &dict);

	if (r < 0 || pc->level > 0 || (pc->writer && same_dict(pc, &dict)))
		return r;
	r = pack_copy_finish(pc);
	if (r < 0)
		return r;
	buf_release(&pc->dict);
	pc->dict = dict;
	dict = (struct buf)BUF_INIT;
	return 0;
}

/* One that has room. */
static int open_writer(struct pack_copy *pc)
{
	int r = 0;

	if (pc->writer && pack_writer_bytes(pc->writer) >= pc->target_bytes)
		r = pack_copy_finish(pc);
	if (r < 0 || pc->writer)
		return r;
	return pack_writer_new(pc->store->packs_fd, pc->dict.data, pc->dict.len,
			       &pc->writer);
}

static int note_chunk(struct pack_copy *pc, const struct pack_chunk *chunk,
		      uint32_t off)
{
	if (pc->n == pc->cap) {
		uint32_t cap = pc->cap ? 2 * pc->cap : 256;
		struct digest *digests =
			reallocarray(pc->digests, cap, sizeof(*digests));
		struct pack_loc *locs = NULL;

		if (digests) {
			pc->digests = digests;
			locs = reallocarray(pc->locs, cap, sizeof(*locs));
		}
		if (!locs)
			return -ENOMEM;
		pc->locs = locs;
		pc->cap = cap;
	}
	pc->digests[pc->n] = chunk->digest;
	pc->locs[pc->n++] = (struct pack_loc){ .off = off,
					       .len = chunk->len,
					       .has_dict = chunk->has_dict };
	return 0;
}

int pack_copy_check(struct pack_copy *pc, struct pack *from,
		    const struct pack_loc *loc, uint32_t size,
		    const struct digest *chunk)
{
	struct digest got;
	int r = pack_read(from, pc->codec, loc->off, loc->len, loc->has_dict, 0,
			  pc->chunk, size);

	if (r == 0)
		r = digest_of(pc->chunk, size, &got);
	if (r < 0)
		return r;
	return digest_equal(&got, chunk) ? 0 : -EBADMSG;
}

/* The frame as it is. */
static int take_frame(struct pack_copy *pc, struct pack *from,
		      const struct pack_chunk *chunk)
{
	return pack_read_frame(from, chunk->off, chunk->len, pc->frame);
}

/* A new frame in its place, which was decoded again: *chunk is its own then. */
static int make_frame(struct pack_copy *pc, struct pack *from,
		      struct pack_chunk *chunk)
{
	const struct pack_loc loc = { .off = chunk->off,
				      .len = chunk->len,
				      .has_dict = chunk->has_dict };
	const struct codec_dict *dict =
		chunk->size <= CODEC_DICT_CHUNK_MAX ? pc->anew : NULL;
	struct digest got;
	int r = pack_copy_check(pc, from, &loc, chunk->size, &chunk->digest);

	buf_reset(&pc->room);
	if (r == 0)
		r = codec_compress(pc->codec, dict, pc->level, pc->chunk,
				   chunk->size, &pc->room);
	if (r == 0)
		r = codec_decompress(pc->codec, dict, pc->room.data,
				     pc->room.len, pc->chunk, chunk->size);
	if (r == 0)
		r = digest_of(pc->chunk, chunk->size, &got);
	if (r < 0)
		return r;
	chunk->len = (uint32_t)pc->room.len;
	chunk->has_dict = dict != NULL;
	return digest_equal(&got, &chunk->digest) ? 0 : -EBADMSG;
}

int pack_copy_add(struct pack_copy *pc, struct pack *from,
		  const struct pack_chunk *chunk)
{
	struct pack_chunk c = *chunk;
	uint32_t off;
	int r = pc->level > 0 ? make_frame(pc, from, &c) :
				take_frame(pc, from, &c);

	if (r == 0)
		r = open_writer(pc);
	if (r == 0)
		r = pack_writer_add(pc->writer, &c.digest, c.size, c.has_dict,
				    pc->level > 0 ? pc->room.data : pc->frame,
				    c.len, &off);
	return r < 0 ? r : note_chunk(pc, &c, off);
}
