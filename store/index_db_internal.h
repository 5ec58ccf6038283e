/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database's inside, shared by index_db.c (reading and writing) and
 * index_open.c (opening, closing, errors), the two files that know RocksDB.
 *
 * RocksDB refuses all writes after one that failed, for some causes until the
 * database is opened again. So a write that fails closes and opens it and
 * is tried once more (index_reopen()); should opening fail, as on a disk that
 * is still full, it is opened to be read only, and the next write begins
 * there. Whoever uses the database holds `lock` for reading, and may take it
 * again from a callback; opening anew holds it for writing.
 */
#ifndef LARDER_INDEX_DB_INTERNAL_H
#define LARDER_INDEX_DB_INTERNAL_H

#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "index_db.h"

struct index {
	char *path; /* constant, as the next three */
	rocksdb_readoptions_t *read;
	rocksdb_writeoptions_t *write, *write_sync;

	pthread_rwlock_t lock;
	rocksdb_t *db; /* lock; NULL: could not be opened again */
	rocksdb_column_family_handle_t *cfs[INDEX_CF_COUNT]; /* lock */
	bool read_only;	     /* lock; it could not be opened for writing */
	unsigned generation; /* lock; how often it was opened again */
	_Atomic int64_t entries_changed_ns;
};

/* Frees `text`, RocksDB's; says it and gives its errno. */
int index_error(const struct index *ix, char *text);

/* Opens the database anew, unless someone did since `generation`. On failure
 * it can be read where that is possible. */
int index_reopen(struct index *ix, unsigned generation);

/* Holds the database for reading until the scope ends. index_use() opens one
 * that is closed: 0 with the lock held, or a negative errno. */
int index_use(struct index *ix);

static inline void index_unuse(struct index **ix)
{
	if (*ix)
		pthread_rwlock_unlock(&(*ix)->lock);
}

#define INDEX_SCOPE(ix)                                           \
	_cleanup_(index_unuse) struct index *scope_index_ = NULL; \
	int scope_err_ = index_use(ix);                           \
                                                                  \
	if (scope_err_ < 0)                                       \
		return scope_err_;                                \
	scope_index_ = (ix)

#endif
