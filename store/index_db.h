/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database below the index, for index.c only: byte strings in column
 * families. Opening, closing and batches are in index.h; index_open.c and
 * index_db.c implement those too. Any thread.
 */
#ifndef LARDER_INDEX_DB_H
#define LARDER_INDEX_DB_H

#include <stddef.h>

#include "base/buf.h"
#include "index.h"

enum index_cf {
	INDEX_CF_DEFAULT,
	INDEX_CF_ENTRIES,
	INDEX_CF_RECENCY,
	INDEX_CF_CHUNKS,
	INDEX_CF_PACKS,
	INDEX_CF_BLOBS,
	INDEX_CF_USES,
	INDEX_CF_PINS,
	INDEX_CF_COUNT,
};

/* A borrowed byte string. */
struct index_bytes {
	const void *data;
	size_t len;
};

static inline struct index_bytes index_bytes_of(const struct buf *b)
{
	return (struct index_bytes){ .data = b->data, .len = b->len };
}

/* The value of `key`, appended to `ret_value`. -ENOENT. */
int index_db_get(struct index *ix, enum index_cf cf,
		 const struct index_bytes *key, struct buf *ret_value);

/* Looks up `n` keys, sorted by their bytes, at once. `found` is called with
 * the number of each key that is there; what it returns below 0 ends the
 * call and is returned. */
int index_db_get_many(struct index *ix, enum index_cf cf,
		      const char *const *keys, const size_t *lens, size_t n,
		      int (*found)(void *arg, size_t i,
				   const struct index_bytes *value),
		      void *arg);

/* Calls `each` for the records whose keys begin with `prefix`, in order, as of
 * now. A non-zero return ends the walk and is returned. */
int index_db_each(struct index *ix, enum index_cf cf,
		  const struct index_bytes *prefix,
		  int (*each)(void *arg, const struct index_bytes *key,
			      const struct index_bytes *value),
		  void *arg);

struct index *index_batch_index(const struct index_batch *b);
void index_db_put(struct index_batch *b, enum index_cf cf,
		  const struct index_bytes *key,
		  const struct index_bytes *value);
void index_db_delete(struct index_batch *b, enum index_cf cf,
		     const struct index_bytes *key);

#endif
