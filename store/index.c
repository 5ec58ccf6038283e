/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the index's records mean: entries with their recency records, chunk
 * locations, packs and stamps. Owns no state of its own; any thread. The
 * database is index_db.c, the records' bytes are index_keys.c. Does not
 * serialise writers: who publishes one key twice at once is the caller's
 * business.
 */
#include "index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "index_db.h"
#include "index_keys.h"

static struct index_bytes bytes_of(const struct buf *b)
{
	return (struct index_bytes){ .data = b->data, .len = b->len };
}

/* Entries */

/* A record that cannot be used, which decoding has said: damaged, or written
 * by a newer version. */
static bool is_unusable(int err)
{
	return err == -EBADMSG || err == -ESTALE;
}

/* Decodes a record and compares the entry with the key it was found under. */
static int entry_take_record(const struct index_bytes *key,
			     const struct index_bytes *value,
			     struct entry *ret_entry)
{
	_cleanup_buf_ struct buf own = BUF_INIT;
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	int r;

	r = entry_decode(value->data, value->len, &e);
	if (r < 0)
		return r;
	index_key_entry(&own, &e);
	if (buf_error(&own))
		return buf_error(&own);
	if (own.len != key->len || memcmp(own.data, key->data, own.len) != 0)
		return log_error(-EBADMSG, "entry %s@%s under another's key",
				 e.name, e.key);
	*ret_entry = e;
	e = (struct entry)ENTRY_INIT;
	return 0;
}

static int entry_get(struct index *ix, const struct buf *key_buf,
		     struct entry *ret_entry)
{
	_cleanup_buf_ struct buf value_buf = BUF_INIT;
	struct index_bytes key = bytes_of(key_buf), value;
	int r;

	if (buf_error(key_buf))
		return buf_error(key_buf);
	r = index_db_get(ix, INDEX_CF_ENTRIES, &key, &value_buf);
	if (r < 0)
		return r;
	value = bytes_of(&value_buf);
	return entry_take_record(&key, &value, ret_entry);
}

int index_get_entry(struct index *ix, const char *tenant, const char *namespace,
		    const char *name, const char *key, struct entry *ret_entry)
{
	_cleanup_buf_ struct buf k = BUF_INIT;

	index_key_strings(&k, tenant, namespace, name, key, NULL);
	return entry_get(ix, &k, ret_entry);
}

/* The recency records of `e`, put or deleted. */
static int change_recency(struct index_batch *b, const struct entry *e,
			  const char *branch, bool put)
{
	_cleanup_buf_ struct buf k = BUF_INIT;
	struct index_bytes key, empty = { "", 0 };

	index_key_recency(&k, e, branch);
	if (buf_error(&k))
		return buf_error(&k);
	key = bytes_of(&k);
	if (put)
		index_db_put(b, INDEX_CF_RECENCY, &key, &empty);
	else
		index_db_delete(b, INDEX_CF_RECENCY, &key);
	return 0;
}

static int change_recencies(struct index_batch *b, const struct entry *e,
			    bool put)
{
	int r = change_recency(b, e, "", put);

	if (r < 0 || !e->branch || !*e->branch)
		return r;
	return change_recency(b, e, e->branch, put);
}

/* Deletes the recency records of what is stored under a key. One that does
 * not decode leaves records that point to nothing, which readers skip. */
static int forget_stored(struct index_batch *b, const struct buf *key)
{
	_cleanup_entry_ struct entry old = ENTRY_INIT;
	int r = entry_get(index_batch_index(b), key, &old);

	if (r == -ENOENT || is_unusable(r))
		return 0;
	if (r < 0)
		return r;
	return change_recencies(b, &old, false);
}

int index_put_entry(struct index_batch *b, const struct entry *e)
{
	_cleanup_buf_ struct buf k = BUF_INIT, v = BUF_INIT;
	struct index_bytes key, value;
	int r;

	r = entry_encode(e, &v);
	if (r < 0)
		return r;
	index_key_entry(&k, e);
	r = forget_stored(b, &k);
	if (r < 0)
		return r;
	r = change_recencies(b, e, true);
	if (r < 0)
		return r;
	key = bytes_of(&k);
	value = bytes_of(&v);
	index_db_put(b, INDEX_CF_ENTRIES, &key, &value);
	return 0;
}

int index_remove_entry(struct index_batch *b, const struct entry *e)
{
	_cleanup_buf_ struct buf k = BUF_INIT;
	struct index_bytes key;
	int r;

	index_key_entry(&k, e);
	r = forget_stored(b, &k);
	if (r < 0)
		return r;
	key = bytes_of(&k);
	index_db_delete(b, INDEX_CF_ENTRIES, &key);
	return 0;
}

struct find {
	struct entry *entry;
	unsigned count;
};

static int find_each(void *arg, const struct index_bytes *key,
		     const struct index_bytes *value)
{
	struct find *find = arg;

	if (find->count++ > 0)
		return -ENOTUNIQ;
	return entry_take_record(key, value, find->entry);
}

static int find_by_prefix(struct index *ix, struct buf *k,
			  struct entry *ret_entry)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct find find = { .entry = &e };
	struct index_bytes prefix;
	int r;

	if (buf_error(k))
		return buf_error(k);
	prefix = bytes_of(k);
	r = index_db_each(ix, INDEX_CF_ENTRIES, &prefix, find_each, &find);
	if (r < 0)
		return r;
	if (find.count == 0)
		return -ENOENT;
	*ret_entry = e;
	e = (struct entry)ENTRY_INIT;
	return 0;
}

int index_find_entry(struct index *ix, const char *tenant,
		     const char *namespace, const char *name,
		     const char *prefix, struct entry *ret_entry)
{
	_cleanup_buf_ struct buf k = BUF_INIT;
	int r;

	r = index_get_entry(ix, tenant, namespace, name, prefix, ret_entry);
	if (r != -ENOENT || strlen(prefix) < KEY_PREFIX_MIN)
		return r;
	index_key_strings(&k, tenant, namespace, name, NULL);
	buf_put(&k, prefix, strlen(prefix));
	return find_by_prefix(ix, &k, ret_entry);
}

struct newest {
	struct index *ix;
	const char *tenant, *namespace, *name, *branch;
	const char *key_prefix;
	size_t prefix_len;
	struct entry *ret_entry;
};

static bool newest_is(const struct newest *n, const struct entry *e,
		      int64_t created_ns)
{
	return e->created_ns == created_ns &&
	       (!*n->branch || strcmp(e->branch, n->branch) == 0);
}

/* 1 ends the walk with an entry; a record that points to no entry, or to one
 * that cannot be used, is passed over. */
static int newest_each(void *arg, const struct index_bytes *key,
		       const struct index_bytes *value)
{
	struct newest *n = arg;
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	const char *entry_key;
	int64_t created_ns;
	int r;

	(void)value;
	r = index_recency_decode(key, n->prefix_len, &created_ns, &entry_key);
	if (r == 0 && strncmp(entry_key, n->key_prefix, strlen(n->key_prefix)))
		return 0;
	if (r == 0)
		r = index_get_entry(n->ix, n->tenant, n->namespace, n->name,
				    entry_key, &e);
	if (r == -ENOENT || is_unusable(r))
		return 0;
	if (r < 0)
		return r;
	if (!newest_is(n, &e, created_ns))
		return 0;
	*n->ret_entry = e;
	e = (struct entry)ENTRY_INIT;
	return 1;
}

static int find_newest(struct newest *n)
{
	_cleanup_buf_ struct buf k = BUF_INIT;
	struct index_bytes prefix;
	int r;

	index_key_strings(&k, n->tenant, n->namespace, n->name, n->branch,
			  NULL);
	if (buf_error(&k))
		return buf_error(&k);
	prefix = bytes_of(&k);
	n->prefix_len = prefix.len;
	r = index_db_each(n->ix, INDEX_CF_RECENCY, &prefix, newest_each, n);
	if (r < 0)
		return r;
	return r > 0 ? 0 : -ENOENT;
}

int index_newest_entry(struct index *ix, const char *tenant,
		       const char *namespace, const char *name,
		       const char *branch, struct entry *ret_entry)
{
	struct newest n = { ix,	    tenant, namespace, name,
			    branch, "",	    0,	       ret_entry };

	return find_newest(&n);
}

int index_newest_prefix(struct index *ix, const char *tenant,
			const char *namespace, const char *name,
			const char *key_prefix, struct entry *ret_entry)
{
	struct newest n = { ix, tenant,	    namespace, name,
			    "", key_prefix, 0,	       ret_entry };

	return find_newest(&n);
}

struct each {
	int (*each)(void *arg, const struct entry *e);
	void *arg;
};

/* One unusable entry does not hide the others. */
static int each_entry(void *arg, const struct index_bytes *key,
		      const struct index_bytes *value)
{
	struct each *each = arg;
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	int r;

	r = entry_take_record(key, value, &e);
	if (is_unusable(r))
		return 0;
	if (r < 0)
		return r;
	return each->each(each->arg, &e);
}

int index_each_entry(struct index *ix, const char *tenant,
		     const char *namespace, const char *name,
		     int (*each)(void *arg, const struct entry *e), void *arg)
{
	_cleanup_buf_ struct buf k = BUF_INIT;
	struct each ctx = { each, arg };
	struct index_bytes prefix;

	index_key_strings(&k, tenant, namespace, name, NULL);
	if (buf_error(&k))
		return buf_error(&k);
	prefix = tenant ? bytes_of(&k) : (struct index_bytes){ "", 0 };
	return index_db_each(ix, INDEX_CF_ENTRIES, &prefix, each_entry, &ctx);
}

/* Chunks, packs, stamps */

int index_put_chunk(struct index_batch *b, const struct digest *chunk,
		    const struct pack_loc *loc)
{
	_cleanup_buf_ struct buf v = BUF_INIT;
	struct index_bytes key = { chunk->bytes, DIGEST_LEN }, value;

	index_loc_encode(&v, loc);
	if (buf_error(&v))
		return buf_error(&v);
	value = bytes_of(&v);
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
	value = bytes_of(&v);
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
	key = bytes_of(&k);
	value = bytes_of(&v);
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
	key = bytes_of(&k);
	r = index_db_get(ix, INDEX_CF_BLOBS, &key, &v);
	if (r < 0)
		return r;
	value = bytes_of(&v);
	r = index_stamp_decode(&value, ret_stamp);
	if (r < 0)
		return log_error(r, "index: bad stamp record");
	return 0;
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
