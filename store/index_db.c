/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and writing RocksDB: batches, gets and walks over byte strings. Any
 * thread; RocksDB locks what it needs. What the records mean is index.c's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "index_db_internal.h"

#define GET_MANY_MAX 1024 /* keys that are looked up in one call */

struct index_batch {
	struct index *ix;
	rocksdb_writebatch_t *batch;
	int err;      /* sticky */
	bool entries; /* changes some */
};

/* Reading */

int index_db_get(struct index *ix, enum index_cf cf,
		 const struct index_bytes *key, struct buf *ret_value)
{
	rocksdb_pinnableslice_t *slice;
	const char *value;
	char *err = NULL;
	size_t len;

	INDEX_SCOPE(ix);
	slice = rocksdb_get_pinned_cf(ix->db, ix->read, ix->cfs[cf], key->data,
				      key->len, &err);
	if (err)
		return index_error(ix, err);
	if (!slice)
		return -ENOENT;
	value = rocksdb_pinnableslice_value(slice, &len);
	buf_put(ret_value, value, len);
	rocksdb_pinnableslice_destroy(slice);
	return buf_error(ret_value);
}

/* One value of a lookup of many: frees what RocksDB gave. */
static int take_one(struct index *ix, size_t i, rocksdb_pinnableslice_t *slice,
		    char *err, int before,
		    int (*found)(void *arg, size_t i,
				 const struct index_bytes *value),
		    void *arg)
{
	struct index_bytes value;
	int r = before;

	if (err && r == 0)
		return index_error(ix, err);
	rocksdb_free(err);
	if (!slice)
		return r;
	if (r == 0) {
		value.data = rocksdb_pinnableslice_value(slice, &value.len);
		r = found(arg, i, &value);
	}
	rocksdb_pinnableslice_destroy(slice);
	return r < 0 ? r : 0;
}

int index_db_get_many(struct index *ix, enum index_cf cf,
		      const char *const *keys, const size_t *lens, size_t n,
		      int (*found)(void *arg, size_t i,
				   const struct index_bytes *value),
		      void *arg)
{
	rocksdb_pinnableslice_t *slices[GET_MANY_MAX];
	char *errs[GET_MANY_MAX];
	size_t start, i;
	int r = 0;

	INDEX_SCOPE(ix);
	for (start = 0; start < n && r == 0; start += GET_MANY_MAX) {
		size_t count = n - start;

		if (count > GET_MANY_MAX)
			count = GET_MANY_MAX;
		rocksdb_batched_multi_get_cf(ix->db, ix->read, ix->cfs[cf],
					     count, keys + start, lens + start,
					     slices, errs, true);
		for (i = 0; i < count; i++)
			r = take_one(ix, start + i, slices[i], errs[i], r,
				     found, arg);
	}
	return r;
}

static bool has_prefix(const struct index_bytes *key,
		       const struct index_bytes *prefix)
{
	return key->len >= prefix->len &&
	       (prefix->len == 0 ||
		memcmp(key->data, prefix->data, prefix->len) == 0);
}

static int walk(rocksdb_iterator_t *it, const struct index_bytes *prefix,
		int (*each)(void *arg, const struct index_bytes *key,
			    const struct index_bytes *value),
		void *arg)
{
	int r;

	for (; rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
		struct index_bytes key, value;

		key.data = rocksdb_iter_key(it, &key.len);
		if (!has_prefix(&key, prefix))
			return 0;
		value.data = rocksdb_iter_value(it, &value.len);
		r = each(arg, &key, &value);
		if (r)
			return r;
	}
	return 0;
}

int index_db_each(struct index *ix, enum index_cf cf,
		  const struct index_bytes *prefix,
		  int (*each)(void *arg, const struct index_bytes *key,
			      const struct index_bytes *value),
		  void *arg)
{
	rocksdb_iterator_t *it;
	char *err = NULL;
	int r;

	INDEX_SCOPE(ix);
	it = rocksdb_create_iterator_cf(ix->db, ix->read, ix->cfs[cf]);
	rocksdb_iter_seek(it, prefix->data, prefix->len);
	r = walk(it, prefix, each, arg);
	rocksdb_iter_get_error(it, &err);
	rocksdb_iter_destroy(it);
	if (err && r == 0)
		return index_error(ix, err);
	rocksdb_free(err);
	return r;
}

/* Batches */

int index_batch_begin(struct index *ix, struct index_batch **ret_batch)
{
	struct index_batch *b = malloc(sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->ix = ix;
	b->err = 0;
	b->entries = false;
	b->batch = rocksdb_writebatch_create();
	*ret_batch = b;
	return 0;
}

static int write_once(struct index_batch *b, bool sync,
		      unsigned *ret_generation)
{
	struct index *ix = b->ix;
	char *err = NULL;

	INDEX_SCOPE(ix);
	*ret_generation = ix->generation;
	rocksdb_write(ix->db, sync ? ix->write_sync : ix->write, b->batch,
		      &err);
	return err ? index_error(ix, err) : 0;
}

/* Later than any change before, whatever the clock says. */
static void note_change(struct index *ix)
{
	int64_t now = clock_wall_ns(), last;

	last = atomic_load(&ix->entries_changed_ns);
	do {
		if (now <= last)
			now = last + 1;
	} while (!atomic_compare_exchange_weak(&ix->entries_changed_ns, &last,
					       now));
}

int64_t index_entries_changed_ns(struct index *ix)
{
	return atomic_load(&ix->entries_changed_ns);
}

int index_batch_commit(struct index_batch *b, bool sync)
{
	unsigned generation = 0;
	int r = b->err;

	if (r == 0)
		r = fault_check("index.commit");
	if (r == 0) {
		r = write_once(b, sync, &generation);
		/* The cause may be of long ago, and gone. */
		if (r < 0 && index_reopen(b->ix, generation) == 0)
			r = write_once(b, sync, &generation);
	}
	if (r == 0 && b->entries)
		note_change(b->ix);
	index_batch_abort(b);
	return r;
}

void index_batch_abort(struct index_batch *b)
{
	if (!b)
		return;
	rocksdb_writebatch_destroy(b->batch);
	free(b);
}

struct index *index_batch_index(const struct index_batch *b)
{
	return b->ix;
}

/* Families are what the lock guards, too. */
static bool batch_use(struct index_batch *b)
{
	if (b->err == 0)
		b->err = index_use(b->ix);
	return b->err == 0;
}

void index_db_put(struct index_batch *b, enum index_cf cf,
		  const struct index_bytes *key,
		  const struct index_bytes *value)
{
	if (!batch_use(b))
		return;
	rocksdb_writebatch_put_cf(b->batch, b->ix->cfs[cf], key->data, key->len,
				  value->data, value->len);
	b->entries |= cf == INDEX_CF_ENTRIES;
	index_unuse(&b->ix);
}

void index_db_delete(struct index_batch *b, enum index_cf cf,
		     const struct index_bytes *key)
{
	if (!batch_use(b))
		return;
	rocksdb_writebatch_delete_cf(b->batch, b->ix->cfs[cf], key->data,
				     key->len);
	b->entries |= cf == INDEX_CF_ENTRIES;
	index_unuse(&b->ix);
}
