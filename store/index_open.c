/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing RocksDB with the options that a cache's index wants, and
 * the translation of its error strings. Any thread, but index_open() and
 * index_close().
 *
 * The index is small beside the packs and asked rarely, so the options favour
 * little memory and a fast open over throughput: small memtables, one small
 * block cache for all families, next to nothing in its LOG, no statistics.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/le.h"
#include "base/log.h"
#include "index_db_internal.h"

#define BLOCK_CACHE_BYTES (8u << 20)
#define MEMTABLE_BYTES (16u << 20)
#define MEMTABLE_ARENA_BYTES (64u << 10)
#define OPEN_FILES_MAX 64
#define BLOOM_BITS 10

#define INFO_LOG_FATAL 4 /* RocksDB's FATAL_LEVEL */
#define LOG_FILES_MAX 8	 /* of RocksDB's logs, above which index_close() acts */

static const char *const cf_names[INDEX_CF_COUNT] = {
	[INDEX_CF_DEFAULT] = "default", [INDEX_CF_ENTRIES] = "entries",
	[INDEX_CF_RECENCY] = "recency", [INDEX_CF_CHUNKS] = "chunks",
	[INDEX_CF_PACKS] = "packs",	[INDEX_CF_BLOBS] = "blobs",
	[INDEX_CF_USES] = "uses",	[INDEX_CF_PINS] = "pins",
};

/* The format that brought a family; 1 where it is not here. */
static const uint32_t cf_since[INDEX_CF_COUNT] = {
	[INDEX_CF_USES] = 2,
	[INDEX_CF_PINS] = 2,
};

static const char format_key[] = "format";

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
	    ends_with(text, "No space left on device"))
		return -ENOSPC;
	if (ends_with(text, "Disk quota exceeded"))
		return -EDQUOT;
	if (ends_with(text, "Too many open files"))
		return -EMFILE;
	if (begins_with(text, "Invalid argument: Column families not opened"))
		return -ESTALE;
	if (ends_with(text, "Permission denied"))
		return -EACCES;
	return -EIO;
}

int index_error(const struct index *ix, char *text)
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
		return index_error(ix, err);
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
		return index_error(ix, err);
	r = format_read(ix, db, cf, ret_format);
	rocksdb_column_family_handle_destroy(cf);
	rocksdb_close(db);
	return r;
}

static void families_options(const struct open_options *o,
			     const rocksdb_options_t *ret_each[INDEX_CF_COUNT])
{
	int i;

	for (i = 0; i < INDEX_CF_COUNT; i++)
		ret_each[i] = i == INDEX_CF_CHUNKS ? o->chunks : o->common;
}

static void open_families(struct index *ix, const struct open_options *o,
			  bool create, char **ret_err)
{
	const rocksdb_options_t *each[INDEX_CF_COUNT];

	families_options(o, each);
	rocksdb_options_set_create_missing_column_families(o->common, create);
	ix->db = rocksdb_open_column_families(o->common, ix->path,
					      INDEX_CF_COUNT, cf_names, each,
					      ix->cfs, ret_err);
}

static bool has_family(char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* Whether a database of an older format has all families that it had then. */
static bool is_older(const struct index *ix, const struct open_options *o,
		     uint32_t format)
{
	char *err = NULL, **names;
	bool whole = true;
	size_t n = 0;

	if (format == 0 || format >= INDEX_FORMAT)
		return false;
	names = rocksdb_list_column_families(o->common, ix->path, &n, &err);
	if (err) {
		index_error(ix, err);
		return false;
	}
	for (int i = 0; i < INDEX_CF_COUNT; i++)
		whole &= cf_since[i] > format ||
			 has_family(names, n, cf_names[i]);
	rocksdb_list_column_families_destroy(names, n);
	return whole;
}

/* A creation that a crash cut short leaves families missing and no format:
 * it is done again. An older format lacks the families that came later: they
 * are made. Anything else is not ours to change. */
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
	if (error_code(first_err) == -ESTALE ||
	    (format > 0 && !is_older(ix, o, format)))
		return index_error(ix, first_err);
	rocksdb_free(first_err);
	open_families(ix, o, true, &err);
	return err ? index_error(ix, err) : 0;
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
	return err ? index_error(ix, err) : 0;
}

static int format_write(struct index *ix)
{
	uint8_t value[sizeof(uint32_t)];
	char *err = NULL;

	le32_put(value, INDEX_FORMAT);
	rocksdb_put_cf(ix->db, ix->write_sync, ix->cfs[INDEX_CF_DEFAULT],
		       format_key, strlen(format_key), (const char *)value,
		       sizeof(value), &err);
	return err ? index_error(ix, err) : 0;
}

static int open_format(struct index *ix)
{
	rocksdb_column_family_handle_t *cf = ix->cfs[INDEX_CF_DEFAULT];
	uint32_t format;
	int r;

	r = format_read(ix, ix->db, cf, &format);
	if (r < 0)
		return r;
	if (format >= INDEX_FORMAT)
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
	pthread_rwlock_init(&ix->lock, NULL);
	ix->read = rocksdb_readoptions_create();
	ix->write = rocksdb_writeoptions_create();
	ix->write_sync = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(ix->write_sync, 1);
	return ix;
}

static void db_close(struct index *ix)
{
	int i;

	for (i = 0; ix->db && i < INDEX_CF_COUNT; i++)
		rocksdb_column_family_handle_destroy(ix->cfs[i]);
	if (ix->db)
		rocksdb_close(ix->db);
	ix->db = NULL;
}

static void index_free(struct index *ix)
{
	db_close(ix);
	pthread_rwlock_destroy(&ix->lock);
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
	atomic_store(&ix->entries_changed_ns, clock_wall_ns());
	*ret_index = ix;
	return 0;
}

/* Opening anew */

static void open_read_only(struct index *ix, const struct open_options *o)
{
	const rocksdb_options_t *each[INDEX_CF_COUNT];
	char *err = NULL;

	families_options(o, each);
	ix->db = rocksdb_open_for_read_only_column_families(o->common, ix->path,
							    INDEX_CF_COUNT,
							    cf_names, each,
							    ix->cfs, 0, &err);
	if (err)
		index_error(ix, err);
}

static int reopen_locked(struct index *ix)
{
	struct open_options o;
	int r;

	db_close(ix);
	options_init(&o);
	r = open_with(ix, &o);
	if (r < 0)
		open_read_only(ix, &o);
	options_release(&o);
	ix->read_only = r < 0;
	ix->generation++;
	return r;
}

int index_reopen(struct index *ix, unsigned generation)
{
	int r = 0;

	pthread_rwlock_wrlock(&ix->lock);
	if (ix->generation == generation)
		r = reopen_locked(ix);
	pthread_rwlock_unlock(&ix->lock);
	return r;
}

int index_use(struct index *ix)
{
	unsigned generation;
	int r;

	pthread_rwlock_rdlock(&ix->lock);
	if (ix->db)
		return 0;
	generation = ix->generation;
	pthread_rwlock_unlock(&ix->lock);
	r = index_reopen(ix, generation);
	pthread_rwlock_rdlock(&ix->lock);
	if (ix->db)
		return 0;
	pthread_rwlock_unlock(&ix->lock);
	return r < 0 ? r : -EIO;
}

/* Closing */

static void flush_families(struct index *ix, bool wait)
{
	rocksdb_flushoptions_t *o = rocksdb_flushoptions_create();
	int i;

	rocksdb_flushoptions_set_wait(o, wait);
	for (i = 0; i < INDEX_CF_COUNT; i++) {
		char *err = NULL;

		rocksdb_flush_cf(ix->db, o, ix->cfs[i], &err);
		if (err) /* nothing is lost: it is in RocksDB's log */
			index_error(ix, err);
	}
	rocksdb_flushoptions_destroy(o);
}

void index_flush(struct index *ix)
{
	pthread_rwlock_rdlock(&ix->lock);
	if (ix->db && !ix->read_only)
		flush_families(ix, false);
	pthread_rwlock_unlock(&ix->lock);
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
	if (ix->db && !ix->read_only) {
		if (logs_pile_up(ix))
			format_write(ix);
		flush_families(ix, true);
	}
	index_free(ix);
}
