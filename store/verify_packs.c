/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs, and the frames of them that are good. A good frame is remembered as
 * one number made of its pack, its place and its chunk, so that a million take
 * 32 MiB; two that have the same one are as rare as equal digests of 64 bits.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "chunker.h"
#include "verify_internal.h"

static uint64_t frame_key(const struct digest *pack, uint32_t off,
			  const struct digest *chunk)
{
	uint64_t p, c, key;

	memcpy(&p, pack->bytes, sizeof(p));
	memcpy(&c, chunk->bytes, sizeof(c));
	key = map_hash_u64(p + off) ^ c;
	return key ? key : 1;
}

/* ---- looking at one */

/* Offsets of damaged frames, in the order of the pack. */
struct bad {
	uint32_t *offs;
	uint32_t n, cap;
	bool failed;
};

static void note_bad(void *arg, const struct pack_chunk *chunk)
{
	struct bad *b = arg;

	if (b->n == b->cap) {
		uint32_t cap = b->cap ? 2 * b->cap : 64;
		uint32_t *offs = reallocarray(b->offs, cap, sizeof(*offs));

		if (!offs) {
			b->failed = true;
			return;
		}
		b->offs = offs;
		b->cap = cap;
	}
	b->offs[b->n++] = chunk->off;
}

static int note_good(struct verify *v, struct verify_pack *p, struct pack *pack,
		     const struct bad *bad)
{
	struct pack_chunk chunk;
	uint32_t i, next = 0;
	int r = 0;

	for (i = 0; r == 0 && i < pack_chunks(pack); i++) {
		r = pack_chunk_at(pack, i, &chunk);
		if (r < 0)
			break;
		if (next < bad->n && bad->offs[next] == chunk.off) {
			next++;
			continue;
		}
		r = map_put(&v->good,
			    frame_key(&p->node.digest, chunk.off,
				      &chunk.digest),
			    p);
	}
	p->chunks = pack_chunks(pack);
	p->bad = bad->n;
	return r;
}

static int look_inside(struct verify *v, struct verify_pack *p,
		       struct pack *pack)
{
	struct bad bad = { 0 };
	int r = pack_verify(pack, v->codec, note_bad, &bad), named = r;

	if (bad.failed)
		r = -ENOMEM;
	if (r == 0 || r == -EBADMSG)
		r = note_good(v, p, pack, &bad);
	p->unreadable = r == -EBADMSG || r == -EIO;
	p->misnamed = named == -EBADMSG && bad.n == 0;
	free(bad.offs);
	return p->unreadable ? 0 : r;
}

static int look_at(struct verify *v, struct verify_pack *p)
{
	bool first = !p->looked_at;
	struct pack *pack;
	int r = pack_cache_open_now(v->store->packs, &p->node.digest, &pack);

	p->looked_at = true;
	if (r == -ENOENT)
		return 0;
	p->present = true;
	p->unreadable = r == -EBADMSG || r == -EIO;
	if (r == 0) {
		if (first)
			v->result.bytes += pack_bytes(pack);
		r = look_inside(v, p, pack);
		pack_unref(pack);
	}
	if (first) {
		v->result.packs++;
		v->result.chunks += p->chunks;
		v->result.bad_chunks += p->bad;
		v->result.bad_packs += verify_pack_is_bad(p);
	}
	return p->unreadable ? 0 : r;
}

static int look_again(void *arg, struct dmap_node *n)
{
	struct verify_pack *p = (struct verify_pack *)n;
	int r;

	if (!p->aside)
		return 0;
	p->present = p->unreadable = p->misnamed = false;
	p->bad = 0;
	r = look_at(arg, p);
	p->aside = !p->present;
	return r;
}

int verify_look_again(struct verify *v)
{
	return dmap_each(&v->packs, look_again, v);
}

int verify_get_pack(struct verify *v, const struct digest *name,
		    struct verify_pack **ret_pack)
{
	int r = dmap_get(&v->packs, name, sizeof(**ret_pack),
			 (struct dmap_node **)ret_pack);

	if (r < 0 || (*ret_pack)->looked_at)
		return r;
	r = look_at(v, *ret_pack);
	if (r < 0)
		return r;
	return progress_tick(v->progress, "verify", v->result.packs,
			     v->all_packs, v->result.bytes, 0);
}

int verify_is_good(struct verify *v, const struct digest *pack, uint32_t off,
		   const struct digest *chunk, bool *ret_good)
{
	struct verify_pack *p;
	int r = verify_get_pack(v, pack, &p);

	*ret_good = r == 0 && p->present && !p->aside &&
		    map_get(&v->good, frame_key(pack, off, chunk)) == p;
	return r;
}
