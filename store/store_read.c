/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading chunks of a tree. The way that is gone all the time takes no lock:
 * placement, pack, frame. Only when that copy is damaged or missing is the
 * index asked for another one, whose bytes are then checked against the
 * digest, and then the tree's source, if it has one (lazy.h). Any thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "catalog_path.h"
#include "lazy_internal.h"
#include "store_tree.h"

int store_tree_locate(const struct store_tree *t, uint32_t chunk,
		      struct pack_loc *ret_loc)
{
	struct placement_loc loc;
	const struct digest *name;
	int r;

	r = placement_find(t->placement, chunk, &loc);
	if (r < 0)
		return r;
	name = placement_pack(t->placement, loc.pack);
	if (!name)
		return -EBADMSG;
	*ret_loc = (struct pack_loc){
		.pack = *name,
		.off = loc.off,
		.len = loc.len,
		.has_dict = loc.has_dict,
	};
	return 0;
}

int store_tree_open_pack(struct store_tree *t, uint32_t n,
			 struct pack **ret_pack)
{
	const struct digest *name = placement_pack(t->placement, n);
	struct pack *expected = NULL;
	struct pack *p;
	int r;

	if (!name)
		return -EBADMSG;
	r = pack_cache_get(t->store->packs, name, &p);
	if (r < 0)
		return r;
	if (!atomic_compare_exchange_strong(&t->packs[n], &expected, p)) {
		pack_cache_put(t->store->packs, p);
		p = expected;
	}
	*ret_pack = p;
	return 0;
}

static int read_placed(struct store_tree *t, struct codec_ctx *ctx,
		       uint32_t chunk, unsigned flags, void *out, uint32_t size)
{
	struct placement_loc loc;
	struct pack *p;
	int r;

	r = placement_find(t->placement, chunk, &loc);
	if (r < 0)
		return r;
	if (loc.pack >= placement_packs(t->placement))
		return -EBADMSG;
	p = atomic_load_explicit(&t->packs[loc.pack], memory_order_acquire);
	if (!p) {
		/* Opening reads from the disk. */
		if (flags & PACK_READ_NOWAIT)
			return -EAGAIN;
		r = store_tree_open_pack(t, loc.pack, &p);
		if (r < 0)
			return r;
	}
	return pack_read(p, ctx, loc.off, loc.len, loc.has_dict, flags, out,
			 size);
}

static int check_digest(const struct digest *digest, const void *data,
			uint32_t size)
{
	struct digest got;
	int r = digest_of(data, size, &got);

	if (r < 0)
		return r;
	return digest_equal(&got, digest) ? 0 : -EBADMSG;
}

/*
 * The pack is opened anew and not taken from the cache: it may have been put
 * in the place of a damaged one since.
 */
int store_read_indexed(struct store *s, struct codec_ctx *ctx,
		       const struct digest *digest, void *out, uint32_t size)
{
	struct pack_loc loc;
	struct pack *p;
	bool found;
	int r;

	r = index_get_chunks(s->index, digest, 1, &loc, &found);
	if (r < 0)
		return r;
	if (!found)
		return -ENOENT;
	r = pack_cache_open_now(s->packs, &loc.pack, &p);
	if (r < 0)
		return r;
	r = pack_read(p, ctx, loc.off, loc.len, loc.has_dict, 0, out, size);
	pack_unref(p);
	return r < 0 ? r : check_digest(digest, out, size);
}

/* The search for a path is worth it. */
void store_say_damage(const struct store_tree *t, uint32_t chunk,
		      const struct digest *digest, int err, const char *what)
{
	_cleanup_free_ char *path = NULL;
	char hex[DIGEST_HEX_LEN + 1];
	uint32_t others;

	digest_hex(digest, hex);
	path = catalog_chunk_path(t->catalog, chunk, &others);
	if (others > 0)
		log_error(err,
			  "%s and %u other files cannot be read: chunk %s %s",
			  path ? path : "a file", others, hex, what);
	else
		log_error(err, "%s cannot be read: chunk %s %s",
			  path ? path : "a file", hex, what);
}

static int read_other(struct store_tree *t, struct codec_ctx *ctx,
		      uint32_t chunk, const struct digest *digest, void *out,
		      uint32_t size)
{
	int r = store_read_indexed(t->store, ctx, digest, out, size);
	struct lazy_tree *lt;

	if (r == 0)
		return 0;
	if (store_tree_make_lazy(t, &lt) == 0)
		return lazy_chunk_read(lt, ctx, chunk, 0, out);
	if (!store_damage_known(t->store, digest))
		store_say_damage(t, chunk, digest, r, "is damaged or missing");
	return -EIO;
}

int store_chunk_read(struct store_tree *t, struct codec_ctx *ctx,
		     uint32_t chunk, unsigned flags, void *out)
{
	struct lazy_tree *lt =
		atomic_load_explicit(&t->lazy, memory_order_acquire);
	const struct digest *digest;
	uint32_t size;
	int r;

	if (lt)
		return lazy_chunk_read(lt, ctx, chunk, flags, out);
	r = catalog_chunk(t->catalog, chunk, &digest, &size);
	if (r < 0)
		return r == -ENOENT ? -EBADMSG : r;
	r = read_placed(t, ctx, chunk, flags, out, size);
	if (r == 0 && t->foreign)
		r = check_digest(digest, out, size);
	if (r != -EBADMSG && r != -ENOENT && r != -EIO)
		return r;
	if (flags & PACK_READ_NOWAIT)
		return -EAGAIN;
	return read_other(t, ctx, chunk, digest, out, size);
}

/* A part of a piece: decoded in place where the caller wants all of it. */
static int piece_read(struct store_tree *t, struct codec_ctx *ctx,
		      const struct catalog_piece *piece, uint64_t skip,
		      void *buf, size_t len)
{
	_cleanup_free_ uint8_t *whole = NULL;
	const struct digest *digest;
	uint32_t size;
	int r;

	if (piece->chunk == CATALOG_HOLE) {
		memset(buf, 0, len);
		return 0;
	}
	r = catalog_chunk(t->catalog, piece->chunk, &digest, &size);
	if (r < 0)
		return r;
	if (size != piece->len)
		return -EBADMSG;
	if (len == size)
		return store_chunk_read(t, ctx, piece->chunk, 0, buf);
	whole = malloc(size);
	if (!whole)
		return -ENOMEM;
	r = store_chunk_read(t, ctx, piece->chunk, 0, whole);
	if (r < 0)
		return r;
	memcpy(buf, whole + skip, len);
	return 0;
}

ssize_t store_file_read(struct store_tree *t, struct codec_ctx *ctx,
			uint32_t ino, void *buf, size_t len, uint64_t off)
{
	struct catalog_piece piece;
	size_t done = 0;

	while (done < len) {
		uint64_t skip, n;
		int r = catalog_piece_at(t->catalog, ino, off + done, &piece);

		if (r == -ENOENT)
			break;
		if (r < 0)
			return r;
		skip = off + done - piece.off;
		n = piece.len - skip < len - done ? piece.len - skip :
						    len - done;
		r = piece_read(t, ctx, &piece, skip, (uint8_t *)buf + done, n);
		if (r < 0)
			return r;
		done += n;
	}
	return done;
}
