/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index's records of objects: where chunks lie, which packs there are, and
 * the stat data of blob files when they were last checked. Any thread; no
 * state. Entries are in index.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "index_db.h"
#include "index_keys.h"

int index_put_chunk(struct index_batch *b, const struct digest *chunk,
		    const struct pack_loc *loc)
{
	_cleanup_buf_ struct buf v = BUF_INIT;
	struct index_bytes key = { chunk->bytes, DIGEST_LEN }, value;

	index_loc_encode(&v, loc);
	if (buf_error(&v))
		return buf_error(&v);
	value = index_bytes_of(&v);
	index_db_put(b, INDEX_CF_CHUNKS, &key, &value);
	return 0;
}

int index_put_pack(struct index_batch *b, const struct digest *pack,
		   uint64_t bytes, uint32_t chunks)
{
	_cleanup_buf_ struct buf v = BUF_INIT;
	struct index_bytes key = { pack->bytes, DIGEST_LEN }, value;

	index_pack_encode(&v, bytes, chunks);
	if (buf_error(&v))
		return buf_error(&v);
	value = index_bytes_of(&v);
	index_db_put(b, INDEX_CF_PACKS, &key, &value);
	return 0;
}

int index_put_stamp(struct index_batch *b, enum index_blob kind,
		    const struct digest *blob, const struct index_stamp *stamp)
{
	_cleanup_buf_ struct buf k = BUF_INIT, v = BUF_INIT;
	struct index_bytes key, value;

	index_key_blob(&k, kind, blob);
	index_stamp_encode(&v, stamp);
	if (buf_error(&k) || buf_error(&v))
		return -ENOMEM;
	key = index_bytes_of(&k);
	value = index_bytes_of(&v);
	index_db_put(b, INDEX_CF_BLOBS, &key, &value);
	return 0;
}

int index_get_stamp(struct index *ix, enum index_blob kind,
		    const struct digest *blob, struct index_stamp *ret_stamp)
{
	_cleanup_buf_ struct buf k = BUF_INIT, v = BUF_INIT;
	struct index_bytes key, value;
	int r;

	index_key_blob(&k, kind, blob);
	if (buf_error(&k))
		return buf_error(&k);
	key = index_bytes_of(&k);
	r = index_db_get(ix, INDEX_CF_BLOBS, &key, &v);
	if (r < 0)
		return r;
	value = index_bytes_of(&v);
	r = index_stamp_decode(&value, ret_stamp);
	if (r < 0)
		return log_error(r, "index: bad stamp record");
	return 0;
}

/* Notes share the family and the keys of stamps. */
int index_note_pack(struct index_batch *b, enum index_note note,
		    const struct digest *pack)
{
	const struct index_stamp nothing = { 0 };

	return index_put_stamp(b, (enum index_blob)note, pack, &nothing);
}

int index_pack_has(struct index *ix, enum index_note note,
		   const struct digest *pack)
{
	struct index_stamp nothing;
	int r = index_get_stamp(ix, (enum index_blob)note, pack, &nothing);

	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

/* A lookup of many, in the order of the keys' bytes. */
struct lookup {
	const struct digest **sorted;
	const char **keys; /* the same pointers, as RocksDB wants them */
	size_t *lens;
	const struct digest *chunks; /* the caller's order */
	struct pack_loc *locs;
	bool *found;
};

static int digest_order(const void *a, const void *b)
{
	return memcmp(*(const struct digest *const *)a,
		      *(const struct digest *const *)b, DIGEST_LEN);
}

static int lookup_found(void *arg, size_t i, const struct index_bytes *value)
{
	struct lookup *l = arg;
	size_t n = l->sorted[i] - l->chunks;
	int r = index_loc_decode(value, &l->locs[n]);

	if (r < 0)
		return log_error(r, "index: bad chunk record");
	l->found[n] = true;
	return 0;
}

static int lookup_run(struct index *ix, struct lookup *l, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		l->sorted[i] = &l->chunks[i];
	qsort(l->sorted, n, sizeof(*l->sorted), digest_order);
	for (i = 0; i < n; i++) {
		l->keys[i] = (const char *)l->sorted[i]->bytes;
		l->lens[i] = DIGEST_LEN;
	}
	return index_db_get_many(ix, INDEX_CF_CHUNKS, l->keys, l->lens, n,
				 lookup_found, l);
}

int index_get_chunks(struct index *ix, const struct digest *chunks, size_t n,
		     struct pack_loc *ret_locs, bool *ret_found)
{
	_cleanup_free_ const struct digest **sorted = NULL;
	_cleanup_free_ const char **keys = NULL;
	_cleanup_free_ size_t *lens = NULL;
	struct lookup l;

	if (n == 0)
		return 0;
	sorted = calloc(n, sizeof(*sorted));
	keys = calloc(n, sizeof(*keys));
	lens = calloc(n, sizeof(*lens));
	if (!sorted || !keys || !lens)
		return -ENOMEM;
	memset(ret_found, 0, n * sizeof(*ret_found));
	l = (struct lookup){ sorted, keys, lens, chunks, ret_locs, ret_found };
	return lookup_run(ix, &l, n);
}

/* Removing */

static int remove_record(struct index_batch *b, enum index_cf cf,
			 const struct digest *digest)
{
	struct index_bytes key = { digest->bytes, DIGEST_LEN };

	index_db_delete(b, cf, &key);
	return 0;
}

int index_remove_chunk(struct index_batch *b, const struct digest *chunk)
{
	return remove_record(b, INDEX_CF_CHUNKS, chunk);
}

int index_remove_stamp(struct index_batch *b, enum index_blob kind,
		       const struct digest *blob)
{
	_cleanup_buf_ struct buf k = BUF_INIT;
	struct index_bytes key;

	index_key_blob(&k, kind, blob);
	if (buf_error(&k))
		return buf_error(&k);
	key = index_bytes_of(&k);
	index_db_delete(b, INDEX_CF_BLOBS, &key);
	return 0;
}

int index_remove_pack(struct index_batch *b, const struct digest *pack)
{
	int r = remove_record(b, INDEX_CF_PACKS, pack);

	if (r == 0)
		r = index_remove_stamp(b, (enum index_blob)INDEX_PACK_SENT,
				       pack);
	return r < 0 ? r :
		       index_remove_stamp(b, (enum index_blob)INDEX_PACK_DENSE,
					  pack);
}

/* Walks */

struct each_chunk {
	int (*each)(void *arg, const struct digest *chunk,
		    const struct pack_loc *loc);
	void *arg;
};

static int digest_of_key(const struct index_bytes *key,
			 struct digest *ret_digest)
{
	if (key->len != DIGEST_LEN)
		return log_error(-EBADMSG,
				 "index: a record's key is no digest");
	memcpy(ret_digest->bytes, key->data, DIGEST_LEN);
	return 0;
}

static int each_chunk(void *arg, const struct index_bytes *key,
		      const struct index_bytes *value)
{
	struct each_chunk *each = arg;
	struct digest chunk;
	struct pack_loc loc;
	int r = digest_of_key(key, &chunk);

	if (r < 0)
		return 0;
	r = index_loc_decode(value, &loc);
	return each->each(each->arg, &chunk, r < 0 ? NULL : &loc);
}

int index_each_chunk(struct index *ix, uint8_t first,
		     int (*each)(void *arg, const struct digest *chunk,
				 const struct pack_loc *loc),
		     void *arg)
{
	const struct index_bytes prefix = { &first, 1 };
	struct each_chunk ctx = { each, arg };

	return index_db_each(ix, INDEX_CF_CHUNKS, &prefix, each_chunk, &ctx);
}

struct each_pack {
	int (*each)(void *arg, const struct digest *pack, uint64_t bytes);
	void *arg;
};

static int each_pack(void *arg, const struct index_bytes *key,
		     const struct index_bytes *value)
{
	struct each_pack *each = arg;
	struct digest pack;
	uint64_t bytes = 0;

	if (digest_of_key(key, &pack) < 0)
		return 0;
	if (index_pack_decode(value, &bytes) < 0)
		bytes = 0;
	return each->each(each->arg, &pack, bytes);
}

int index_each_pack(struct index *ix,
		    int (*each)(void *arg, const struct digest *pack,
				uint64_t bytes),
		    void *arg)
{
	const struct index_bytes all = { "", 0 };
	struct each_pack ctx = { each, arg };

	return index_db_each(ix, INDEX_CF_PACKS, &all, each_pack, &ctx);
}

/* Statistics */

static int stats_entry(void *arg, const struct index_bytes *key,
		       const struct index_bytes *value)
{
	struct index_stats *stats = arg;

	(void)key;
	(void)value;
	stats->entries++;
	return 0;
}

static int stats_pack(void *arg, const struct index_bytes *key,
		      const struct index_bytes *value)
{
	struct index_stats *stats = arg;
	uint64_t bytes;
	int r = index_pack_decode(value, &bytes);

	(void)key;
	if (r < 0)
		return log_error(r, "index: bad pack record");
	stats->packs++;
	stats->pack_bytes += bytes;
	return 0;
}

int index_stats(struct index *ix, struct index_stats *ret_stats)
{
	const struct index_bytes all = { "", 0 };
	struct index_stats stats = { 0 };
	int r;

	r = index_db_each(ix, INDEX_CF_ENTRIES, &all, stats_entry, &stats);
	if (r < 0)
		return r;
	r = index_db_each(ix, INDEX_CF_PACKS, &all, stats_pack, &stats);
	if (r < 0)
		return r;
	*ret_stats = stats;
	return 0;
}
