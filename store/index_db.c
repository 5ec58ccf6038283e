/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RocksDB, and nothing else of Larder knows it: opening with the options that
 * a cache's index wants, batches, gets and walks over byte strings, and the
 * translation of RocksDB's error strings. Any thread; RocksDB locks what it
 * needs. What the records mean is index.c's.
 *
 * The index is small beside the packs and asked rarely, so the options favour
 * little memory and a fast open over throughput: small memtables, one small
 * block cache for all families, next to nothing in its LOG, no statistics.
 */
#include "index_db.h"

#include <errno.h>
#include <rocksdb/c.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/le.h"
#include "base/log.h"

#define BLOCK_CACHE_BYTES (8u << 20)
#define MEMTABLE_BYTES (16u << 20)
#define MEMTABLE_ARENA_BYTES (64u << 10)
#define OPEN_FILES_MAX 64
#define BLOOM_BITS 10
#define GET_MANY_MAX 1024 /* keys that are looked up in one call */

#define INFO_LOG_FATAL 4 /* RocksDB's FATAL_LEVEL */
#define LOG_FILES_MAX 8	 /* of RocksDB's logs, above which index_close() acts */

static const char *const cf_names[INDEX_CF_COUNT] = {
	[INDEX_CF_DEFAULT] = "default", [INDEX_CF_ENTRIES] = "entries",
	[INDEX_CF_RECENCY] = "recency", [INDEX_CF_CHUNKS] = "chunks",
	[INDEX_CF_PACKS] = "packs",	[INDEX_CF_BLOBS] = "blobs",
};

static const char format_key[] = "format";

/* Constant after index_open(). */
struct index {
	char *path;
	rocksdb_t *db;
	rocksdb_column_family_handle_t *cfs[INDEX_CF_COUNT];
	rocksdb_readoptions_t *read;
	rocksdb_writeoptions_t *write, *write_sync;
};

struct index_batch {
	struct index *ix;
	rocksdb_writebatch_t *batch;
};

/* Errors */

static bool begins_with(const char *s, const char *start)
{
	return strncmp(s, start, strlen(start)) == 0;
}

static bool ends_with(const char *s, const char *end)
{
	size_t len = strlen(s), n = strlen(end);

	return len >= n && strcmp(s + len - n, end) == 0;
}

/* RocksDB tells what happened in English only; the C interface has no codes. */
static int error_code(const char *text)
{
	if (begins_with(text, "Corruption") ||
	    begins_with(text, "Invalid argument: Column family not found"))
		return -EBADMSG;
	if (begins_with(text, "IO error: lock hold by current process") ||
	    (begins_with(text, "IO error: While lock file") &&
	     ends_with(text, "Resource temporarily unavailable")))
		return -EBUSY;
	if (begins_with(text, "IO error: No space left on device") ||
	    ends_with(text, "No space left on device") ||
	    ends_with(text, "Disk quota exceeded"))
		return -ENOSPC;
	if (begins_with(text, "Invalid argument: Column families not opened"))
		return -ESTALE;
	if (ends_with(text, "Permission denied"))
		return -EACCES;
	return -EIO;
}

/* Frees `text`; says it and gives its errno. */
static int error_take(const struct index *ix, char *text)
{
	int r = error_code(text);

	log_error(0, "index %s: %s", ix->path, text);
	rocksdb_free(text);
	return r;
}

/* Opening */

/* The option sets of one open; RocksDB copies them. */
struct open_options {
	rocksdb_options_t *common;
	rocksdb_options_t *chunks;
	rocksdb_cache_t *cache;
};

static rocksdb_options_t *options_new(rocksdb_cache_t *cache, bool bloom)
{
	rocksdb_block_based_table_options_t *table =
		rocksdb_block_based_options_create();
	rocksdb_options_t *o = rocksdb_options_create();

	rocksdb_block_based_options_set_block_cache(table, cache);
	if (bloom) /* `table` takes the filter over */
		rocksdb_block_based_options_set_filter_policy(
			table,
			rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));
	rocksdb_options_set_block_based_table_factory(o, table);
	rocksdb_block_based_options_destroy(table);

	rocksdb_options_set_create_if_missing(o, 1);
	rocksdb_options_set_write_buffer_size(o, MEMTABLE_BYTES);
	rocksdb_options_set_arena_block_size(o, MEMTABLE_ARENA_BYTES);
	rocksdb_options_set_compression(o, rocksdb_no_compression);
	rocksdb_options_set_max_open_files(o, OPEN_FILES_MAX);
	rocksdb_options_set_max_background_jobs(o, 2);
	rocksdb_options_set_max_file_opening_threads(o, 1);
	rocksdb_options_set_keep_log_file_num(o, 1);
	rocksdb_options_set_info_log_level(o, INFO_LOG_FATAL);
	rocksdb_options_set_stats_dump_period_sec(o, 0);
	rocksdb_options_set_stats_persist_period_sec(o, 0);
	rocksdb_options_set_skip_stats_update_on_db_open(o, 1);
	rocksdb_options_set_skip_checking_sst_file_sizes_on_db_open(o, 1);
	return o;
}

static void options_init(struct open_options *o)
{
	o->cache = rocksdb_cache_create_lru(BLOCK_CACHE_BYTES);
	o->common = options_new(o->cache, false);
	o->chunks = options_new(o->cache, true);
}

static void options_release(struct open_options *o)
{
	rocksdb_options_destroy(o->common);
	rocksdb_options_destroy(o->chunks);
	rocksdb_cache_destroy(o->cache);
}

/* 0 where there is none, as in a database whose creation did not get that
 * far. */
static int format_read(const struct index *ix, rocksdb_t *db,
		       rocksdb_column_family_handle_t *cf, uint32_t *ret_format)
{
	_cleanup_free_ char *value = NULL;
	char *err = NULL;
	size_t len;

	value = rocksdb_get_cf(db, ix->read, cf, format_key, strlen(format_key),
			       &len, &err);
	if (err)
		return error_take(ix, err);
	if (value && len != sizeof(*ret_format))
		return log_error(-EBADMSG, "index %s: bad format record",
				 ix->path);
	*ret_format = value ? le32_get(value) : 0;
	return 0;
}

static int format_check(const struct index *ix, uint32_t format)
{
	if (format > INDEX_FORMAT)
		return log_error(-ESTALE, "index %s: format %u, known up to %u",
				 ix->path, format, INDEX_FORMAT);
	return 0;
}

/* Reads the format version of a database whose families are not ours,
 * without writing to it. */
static int format_probe(const struct index *ix, const struct open_options *o,
			uint32_t *ret_format)
{
	const char *name = cf_names[INDEX_CF_DEFAULT];
	const rocksdb_options_t *options = o->common;
	rocksdb_column_family_handle_t *cf;
	char *err = NULL;
	rocksdb_t *db;
	int r;

	db = rocksdb_open_for_read_only_column_families(
		o->common, ix->path, 1, &name, &options, &cf, 0, &err);
	if (err)
		return error_take(ix, err);
	r = format_read(ix, db, cf, ret_format);
	rocksdb_column_family_handle_destroy(cf);
	rocksdb_close(db);
	return r;
}

static void open_families(struct index *ix, const struct open_options *o,
			  bool create, char **ret_err)
{
	const rocksdb_options_t *each[INDEX_CF_COUNT];
	int i;

	for (i = 0; i < INDEX_CF_COUNT; i++)
		each[i] = i == INDEX_CF_CHUNKS ? o->chunks : o->common;
	rocksdb_options_set_create_missing_column_families(o->common, create);
	ix->db = rocksdb_open_column_families(o->common, ix->path,
					      INDEX_CF_COUNT, cf_names, each,
					      ix->cfs, ret_err);
}

/* A creation that a crash cut short leaves families missing and no format:
 * it is done again. Anything else is not ours to change. */
static int open_unusual(struct index *ix, const struct open_options *o,
			char *first_err)
{
	uint32_t format;
	char *err = NULL;
	int r;

	r = format_probe(ix, o, &format);
	if (r == 0)
		r = format_check(ix, format);
	if (r < 0) {
		rocksdb_free(first_err);
		return r;
	}
	if (format > 0 || error_code(first_err) == -ESTALE)
		return error_take(ix, first_err);
	rocksdb_free(first_err);
	open_families(ix, o, true, &err);
	return err ? error_take(ix, err) : 0;
}

static bool families_differ(const char *err)
{
	return begins_with(err, "Invalid argument: Column famil");
}

static int open_with(struct index *ix, const struct open_options *o)
{
	_cleanup_free_ char *current = io_path("%s/CURRENT", ix->path);
	char *err = NULL;

	if (!current)
		return -ENOMEM;
	open_families(ix, o, access(current, F_OK) < 0 && errno == ENOENT,
		      &err);
	if (err && families_differ(err))
		return open_unusual(ix, o, err);
	return err ? error_take(ix, err) : 0;
}

static int format_write(struct index *ix)
{
	uint8_t value[sizeof(uint32_t)];
	char *err = NULL;

	le32_put(value, INDEX_FORMAT);
	rocksdb_put_cf(ix->db, ix->write_sync, ix->cfs[INDEX_CF_DEFAULT],
		       format_key, strlen(format_key), (const char *)value,
		       sizeof(value), &err);
	return err ? error_take(ix, err) : 0;
}

static int open_format(struct index *ix)
{
	rocksdb_column_family_handle_t *cf = ix->cfs[INDEX_CF_DEFAULT];
	uint32_t format;
	int r;

	r = format_read(ix, ix->db, cf, &format);
	if (r < 0)
		return r;
	if (format > 0)
		return format_check(ix, format);
	return format_write(ix);
}

static struct index *index_new(const char *path)
{
	struct index *ix = calloc(1, sizeof(*ix));

	if (!ix)
		return NULL;
	ix->path = strdup(path);
	if (!ix->path) {
		free(ix);
		return NULL;
	}
	ix->read = rocksdb_readoptions_create();
	ix->write = rocksdb_writeoptions_create();
	ix->write_sync = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(ix->write_sync, 1);
	return ix;
}

static void index_free(struct index *ix)
{
	int i;

	for (i = 0; ix->db && i < INDEX_CF_COUNT; i++)
		rocksdb_column_family_handle_destroy(ix->cfs[i]);
	if (ix->db)
		rocksdb_close(ix->db);
	rocksdb_readoptions_destroy(ix->read);
	rocksdb_writeoptions_destroy(ix->write);
	rocksdb_writeoptions_destroy(ix->write_sync);
	free(ix->path);
	free(ix);
}

int index_open(const char *path, struct index **ret_index)
{
	struct index *ix = index_new(path);
	struct open_options o;
	int r;

	if (!ix)
		return -ENOMEM;
	options_init(&o);
	r = open_with(ix, &o);
	options_release(&o);
	if (r == 0)
		r = open_format(ix);
	if (r < 0) {
		index_free(ix);
		return r;
	}
	*ret_index = ix;
	return 0;
}

static void flush_families(struct index *ix, bool wait)
{
	rocksdb_flushoptions_t *o = rocksdb_flushoptions_create();
	int i;

	rocksdb_flushoptions_set_wait(o, wait);
	for (i = 0; i < INDEX_CF_COUNT; i++) {
		char *err = NULL;

		rocksdb_flush_cf(ix->db, o, ix->cfs[i], &err);
		if (err) /* nothing is lost: it is in RocksDB's log */
			error_take(ix, err);
	}
	rocksdb_flushoptions_destroy(o);
}

void index_flush(struct index *ix)
{
	flush_families(ix, false);
}

/* Whether the database has more than LOG_FILES_MAX log files. */
static bool logs_pile_up(const struct index *ix)
{
	_cleanup_closedir_ DIR *dir = opendir(ix->path);
	struct dirent *de;
	unsigned count = 0;

	while (dir && (de = readdir(dir)))
		count += ends_with(de->d_name, ".log");
	return count > LOG_FILES_MAX;
}

/* RocksDB begins a log at each open and removes logs only when it has
 * flushed something, so a database that is opened often and never written
 * collects them. Writing what is there already gives it something. */
void index_close(struct index *ix)
{
	if (!ix)
		return;
	if (logs_pile_up(ix))
		format_write(ix);
	flush_families(ix, true);
	index_free(ix);
}

/* Reading */

int index_db_get(struct index *ix, enum index_cf cf,
		 const struct index_bytes *key, struct buf *ret_value)
{
	rocksdb_pinnableslice_t *slice;
	const char *value;
	char *err = NULL;
	size_t len;

	slice = rocksdb_get_pinned_cf(ix->db, ix->read, ix->cfs[cf], key->data,
				      key->len, &err);
	if (err)
		return error_take(ix, err);
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
		return error_take(ix, err);
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
	rocksdb_iterator_t *it =
		rocksdb_create_iterator_cf(ix->db, ix->read, ix->cfs[cf]);
	char *err = NULL;
	int r;

	rocksdb_iter_seek(it, prefix->data, prefix->len);
	r = walk(it, prefix, each, arg);
	rocksdb_iter_get_error(it, &err);
	rocksdb_iter_destroy(it);
	if (err && r == 0)
		return error_take(ix, err);
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
	b->batch = rocksdb_writebatch_create();
	*ret_batch = b;
	return 0;
}

int index_batch_commit(struct index_batch *b, bool sync)
{
	struct index *ix = b->ix;
	int r = fault_check("index.commit");
	char *err = NULL;

	if (r == 0)
		rocksdb_write(ix->db, sync ? ix->write_sync : ix->write,
			      b->batch, &err);
	index_batch_abort(b);
	return err ? error_take(ix, err) : r;
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

void index_db_put(struct index_batch *b, enum index_cf cf,
		  const struct index_bytes *key,
		  const struct index_bytes *value)
{
	rocksdb_writebatch_put_cf(b->batch, b->ix->cfs[cf], key->data, key->len,
				  value->data, value->len);
}

void index_db_delete(struct index_batch *b, enum index_cf cf,
		     const struct index_bytes *key)
{
	rocksdb_writebatch_delete_cf(b->batch, b->ix->cfs[cf], key->data,
				     key->len);
}
