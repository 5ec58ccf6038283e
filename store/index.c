/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the index's records mean: entries with their recency records, their
 * last use and their pins. Chunks, packs and stamps are in index_objects.c.
 * Owns no state of its own; any thread. The database is index_db.c, the
 * records' bytes are index_keys.c. Does not serialise writers: who publishes
 * one key twice at once is the caller's business.
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
	struct index_bytes key = index_bytes_of(key_buf), value;
	int r;

	if (buf_error(key_buf))
		return buf_error(key_buf);
	r = index_db_get(ix, INDEX_CF_ENTRIES, &key, &value_buf);
	if (r < 0)
		return r;
	value = index_bytes_of(&value_buf);
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
	key = index_bytes_of(&k);
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
	key = index_bytes_of(&k);
	value = index_bytes_of(&v);
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
	key = index_bytes_of(&k);
	index_db_delete(b, INDEX_CF_ENTRIES, &key);
	index_db_delete(b, INDEX_CF_USES, &key);
	index_db_delete(b, INDEX_CF_PINS, &key);
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
	prefix = index_bytes_of(k);
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
	prefix = index_bytes_of(&k);
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
	prefix = tenant ? index_bytes_of(&k) : (struct index_bytes){ "", 0 };
	return index_db_each(ix, INDEX_CF_ENTRIES, &prefix, each_entry, &ctx);
}

struct each_record {
	int (*each)(void *arg, const struct index_name *name,
		    const struct entry *e, int err);
	void *arg;
};

static int each_record(void *arg, const struct index_bytes *key,
		       const struct index_bytes *value)
{
	struct each_record *each = arg;
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct index_name name;
	int r = index_name_decode(key, &name);

	if (r < 0)
		return each->each(each->arg, NULL, NULL, r);
	r = entry_take_record(key, value, &e);
	if (r == -ENOMEM)
		return r;
	return each->each(each->arg, &name, r < 0 ? NULL : &e, r);
}

int index_each_record(struct index *ix,
		      int (*each)(void *arg, const struct index_name *name,
				  const struct entry *e, int err),
		      void *arg)
{
	const struct index_bytes all = { "", 0 };
	struct each_record ctx = { each, arg };

	return index_db_each(ix, INDEX_CF_ENTRIES, &all, each_record, &ctx);
}

/* Times: when an entry was last used, since when it is pinned */

static int put_time(struct index_batch *b, enum index_cf cf,
		    const struct entry *e, int64_t ns)
{
	_cleanup_buf_ struct buf k = BUF_INIT, v = BUF_INIT;
	struct index_bytes key, value;

	index_key_entry(&k, e);
	buf_put_u64(&v, ns);
	if (buf_error(&k) || buf_error(&v))
		return -ENOMEM;
	key = index_bytes_of(&k);
	value = index_bytes_of(&v);
	index_db_put(b, cf, &key, &value);
	return 0;
}

static int get_time(struct index *ix, enum index_cf cf, const struct entry *e,
		    int64_t *ret_ns)
{
	_cleanup_buf_ struct buf k = BUF_INIT, v = BUF_INIT;
	struct index_bytes key, value;
	int r;

	index_key_entry(&k, e);
	if (buf_error(&k))
		return buf_error(&k);
	key = index_bytes_of(&k);
	r = index_db_get(ix, cf, &key, &v);
	if (r < 0)
		return r;
	value = index_bytes_of(&v);
	r = index_time_decode(&value, ret_ns);
	return r < 0 ? log_error(r, "index: bad time of %s@%s", e->name,
				 e->key) :
		       0;
}

int index_put_use(struct index_batch *b, const struct entry *e, int64_t used_ns)
{
	return put_time(b, INDEX_CF_USES, e, used_ns);
}

int index_get_use(struct index *ix, const struct entry *e, int64_t *ret_used_ns)
{
	return get_time(ix, INDEX_CF_USES, e, ret_used_ns);
}

int index_put_pin(struct index_batch *b, const struct entry *e, int64_t ns)
{
	return put_time(b, INDEX_CF_PINS, e, ns);
}

int index_get_pin(struct index *ix, const struct entry *e, int64_t *ret_ns)
{
	return get_time(ix, INDEX_CF_PINS, e, ret_ns);
}

int index_remove_pin(struct index_batch *b, const struct entry *e)
{
	_cleanup_buf_ struct buf k = BUF_INIT;
	struct index_bytes key;

	index_key_entry(&k, e);
	if (buf_error(&k))
		return buf_error(&k);
	key = index_bytes_of(&k);
	index_db_delete(b, INDEX_CF_PINS, &key);
	return 0;
}

static const struct index_bytes collected_key = { "collected", 9 };

int index_put_collected(struct index_batch *b, int64_t ns)
{
	_cleanup_buf_ struct buf v = BUF_INIT;
	struct index_bytes value;

	buf_put_u64(&v, ns);
	if (buf_error(&v))
		return buf_error(&v);
	value = index_bytes_of(&v);
	index_db_put(b, INDEX_CF_DEFAULT, &collected_key, &value);
	return 0;
}

int index_get_collected(struct index *ix, int64_t *ret_ns)
{
	_cleanup_buf_ struct buf v = BUF_INIT;
	struct index_bytes value;
	int r = index_db_get(ix, INDEX_CF_DEFAULT, &collected_key, &v);

	if (r < 0)
		return r;
	value = index_bytes_of(&v);
	return index_time_decode(&value, ret_ns);
}

int index_refuse_newer(const struct index_name *name)
{
	return log_error(-ESTALE,
			 "the store has an entry of a newer version of Larder "
			 "(%s@%s), which must do this",
			 name->name, name->key);
}
