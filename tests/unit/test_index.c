/* SPDX-License-Identifier: Apache-2.0 */
/* The index: records of every kind, reopening, second openers, damage. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/log.h"
#include "store/index.h"
#include "store/index_db.h"

#define TENANT "local"
#define SPACE "default"

struct fixture {
	char dir[4096];
	char db[4096 + 8];
	struct index *ix;
};

static int setup_closed(void **state)
{
	const char *tmp = getenv("TMPDIR");
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "%s/test_index.XXXXXX",
		 tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->db, sizeof(f->db), "%s/db", f->dir);
	*state = f;
	return 0;
}

static int setup(void **state)
{
	struct fixture *f;

	setup_closed(state);
	f = *state;
	assert_int_equal(index_open(f->db, &f->ix), 0);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	log_set_level(LOG_LEVEL_INFO);
	index_close(f->ix);
	assert_int_equal(io_remove_tree(AT_FDCWD, f->dir), 0);
	free(f);
	return 0;
}

static void reopen(struct fixture *f)
{
	index_close(f->ix);
	f->ix = NULL;
	assert_int_equal(index_open(f->db, &f->ix), 0);
}

static struct digest digest_number(uint32_t n)
{
	struct digest d;

	assert_int_equal(digest_of(&n, sizeof(n), &d), 0);
	return d;
}

/* Strings are borrowed; the entry is not released. */
static struct entry make_entry(const char *name, const char *key,
			       const char *branch, int64_t created_ns)
{
	return (struct entry){
		.tenant = (char *)TENANT,
		.namespace = (char *)SPACE,
		.name = (char *)name,
		.key = (char *)key,
		.branch = (char *)branch,
		.creator = (char *)"me@here",
		.catalog = digest_number(created_ns),
		.files = 7,
		.created_ns = created_ns,
	};
}

static void put(struct fixture *f, const char *name, const char *key,
		const char *branch, int64_t created_ns)
{
	struct entry e = make_entry(name, key, branch, created_ns);
	struct index_batch *b;

	assert_int_equal(index_batch_begin(f->ix, &b), 0);
	assert_int_equal(index_put_entry(b, &e), 0);
	assert_int_equal(index_batch_commit(b, false), 0);
}

static void check_newest(struct fixture *f, const char *name,
			 const char *branch, const char *want_key)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	int r = index_newest_entry(f->ix, TENANT, SPACE, name, branch, &e);

	if (!want_key) {
		assert_int_equal(r, -ENOENT);
		return;
	}
	assert_int_equal(r, 0);
	assert_string_equal(e.key, want_key);
}

static void check_prefix(struct fixture *f, const char *prefix,
			 const char *want_key)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	int r = index_newest_prefix(f->ix, TENANT, SPACE, "app", prefix, &e);

	assert_int_equal(r, want_key ? 0 : -ENOENT);
	if (want_key)
		assert_string_equal(e.key, want_key);
}

static void check_find(struct fixture *f, const char *prefix, int want,
		       const char *want_key)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;

	assert_int_equal(index_find_entry(f->ix, TENANT, SPACE, "app", prefix,
					  &e),
			 want);
	if (want == 0)
		assert_string_equal(e.key, want_key);
}

static size_t count_recency(struct fixture *f);

static void test_entry_round_trip(void **state)
{
	struct fixture *f = *state;
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct digest catalog = digest_number(42);

	put(f, "app", "key-one", "main", 42);
	assert_int_equal(
		index_get_entry(f->ix, TENANT, SPACE, "app", "key-one", &e), 0);
	assert_string_equal(e.name, "app");
	assert_string_equal(e.branch, "main");
	assert_memory_equal(&e.catalog, &catalog, sizeof(catalog));
	assert_int_equal(e.files, 7);
	assert_int_equal(e.created_ns, 42);
}

static void test_absent(void **state)
{
	struct fixture *f = *state;
	struct entry e = ENTRY_INIT;
	struct index_stamp stamp;
	struct digest d = digest_number(1);
	struct index_stats stats;

	assert_int_equal(index_get_entry(f->ix, TENANT, SPACE, "app", "key",
					 &e),
			 -ENOENT);
	assert_int_equal(index_newest_entry(f->ix, TENANT, SPACE, "app", "",
					    &e),
			 -ENOENT);
	assert_int_equal(index_get_stamp(f->ix, INDEX_BLOB_CATALOG, &d, &stamp),
			 -ENOENT);
	assert_int_equal(index_stats(f->ix, &stats), 0);
	assert_int_equal(stats.entries, 0);
	assert_int_equal(stats.packs, 0);
	assert_null(e.key);
}

static void test_entries_are_kept_apart(void **state)
{
	struct fixture *f = *state;
	struct entry e = ENTRY_INIT;

	put(f, "app", "key-one", "", 1);
	assert_int_equal(index_get_entry(f->ix, "other", SPACE, "app",
					 "key-one", &e),
			 -ENOENT);
	assert_int_equal(index_get_entry(f->ix, TENANT, "other", "app",
					 "key-one", &e),
			 -ENOENT);
	assert_int_equal(index_get_entry(f->ix, TENANT, SPACE, "ap", "key-one",
					 &e),
			 -ENOENT);
	assert_int_equal(index_get_entry(f->ix, TENANT, SPACE, "app", "key-on",
					 &e),
			 -ENOENT);
}

static void test_bad_entry_is_refused(void **state)
{
	struct fixture *f = *state;
	struct entry e = make_entry("app", "not a key", "", 1);
	struct index_batch *b;

	log_set_level(0);
	assert_int_equal(index_batch_begin(f->ix, &b), 0);
	assert_int_equal(index_put_entry(b, &e), -EINVAL);
	index_batch_abort(b);
	index_batch_abort(NULL);
}

static void test_prefixes(void **state)
{
	struct fixture *f = *state;

	put(f, "app", "abcdef0123", "", 1);
	put(f, "app", "abcdef0199", "", 2);
	put(f, "app", "abcdef", "", 3);
	put(f, "app", "v1", "", 4);
	put(f, "app", "v2-long", "", 5);
	put(f, "app2", "zzzzzz99", "", 6);
	check_find(f, "abcdef012", 0, "abcdef0123");
	check_find(f, "abcdef01", -ENOTUNIQ, NULL);
	check_find(f, "abcdef0123", 0, "abcdef0123");
	check_find(f, "abcdef", 0, "abcdef"); /* whole keys win */
	check_find(f, "v1", 0, "v1");
	check_find(f, "v2-lo", -ENOENT, NULL); /* too short for a prefix */
	check_find(f, "v2-lon", 0, "v2-long");
	check_find(f, "abcdef01234", -ENOENT, NULL);
	check_find(f, "zzzzzz", -ENOENT, NULL); /* another name's */
}

static void test_newest_of_a_prefix(void **state)
{
	struct fixture *f = *state;

	check_prefix(f, "npm", NULL);
	put(f, "app", "npm-linux-1", "main", 30);
	put(f, "app", "npm-linux-2", "", 10);
	put(f, "app", "npm-mac-1", "main", 40);
	put(f, "other", "npm-linux-3", "main", 50);
	check_prefix(f, "npm-", "npm-mac-1");
	check_prefix(f, "npm-linux-", "npm-linux-1");
	check_prefix(f, "npm-linux-2", "npm-linux-2");
	check_prefix(f, "npm-linux-3", NULL);
	check_prefix(f, "linux", NULL);
}

static void test_newest(void **state)
{
	struct fixture *f = *state;

	put(f, "app", "key-a", "main", 100);
	put(f, "app", "key-b", "dev", 300);
	put(f, "app", "key-c", "main", 200);
	put(f, "app", "key-d", "", 256);
	put(f, "app", "key-e", "mai", INT64_MAX);
	put(f, "other", "key-f", "main", 900);
	check_newest(f, "app", "main", "key-c");
	check_newest(f, "app", "dev", "key-b");
	check_newest(f, "app", "", "key-e");
	check_newest(f, "app", "ma", NULL);
	check_newest(f, "none", "", NULL);
}

static int count_one(void *arg, const struct index_bytes *key,
		     const struct index_bytes *value)
{
	size_t *count = arg;

	(void)key;
	(void)value;
	(*count)++;
	return 0;
}

static size_t count_recency(struct fixture *f)
{
	const struct index_bytes all = { "", 0 };
	size_t count = 0;

	assert_int_equal(index_db_each(f->ix, INDEX_CF_RECENCY, &all, count_one,
				       &count),
			 0);
	return count;
}

static void test_replacement(void **state)
{
	struct fixture *f = *state;
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct index_stats stats;

	put(f, "app", "key-a", "main", 100);
	put(f, "app", "key-b", "main", 200);
	assert_int_equal(count_recency(f), 4);
	put(f, "app", "key-a", "dev", 300);
	assert_int_equal(count_recency(f), 4);
	check_newest(f, "app", "", "key-a");
	check_newest(f, "app", "main", "key-b");
	check_newest(f, "app", "dev", "key-a");
	/* Also when the clock went back. */
	put(f, "app", "key-a", "", 50);
	assert_int_equal(count_recency(f), 3);
	check_newest(f, "app", "", "key-b");
	check_newest(f, "app", "dev", NULL);
	assert_int_equal(
		index_get_entry(f->ix, TENANT, SPACE, "app", "key-a", &e), 0);
	assert_int_equal(e.created_ns, 50);
	assert_int_equal(index_stats(f->ix, &stats), 0);
	assert_int_equal(stats.entries, 2);
}

static void test_removal(void **state)
{
	struct fixture *f = *state;
	struct entry e = make_entry("app", "key-b", "", 0);
	struct index_batch *b;

	put(f, "app", "key-a", "main", 100);
	put(f, "app", "key-b", "main", 200);
	assert_int_equal(index_batch_begin(f->ix, &b), 0);
	assert_int_equal(index_remove_entry(b, &e), 0);
	assert_int_equal(index_batch_commit(b, true), 0);
	assert_int_equal(count_recency(f), 2);
	check_newest(f, "app", "main", "key-a");
	check_newest(f, "app", "", "key-a");
	check_find(f, "key-b", -ENOENT, NULL);
}

/* Recency records that point to nothing, or to what was replaced. */
static void test_dangling_recency(void **state)
{
	struct fixture *f = *state;
	static const char stale[] = "local\0default\0app\0\0"
				    "\x00\x00\x00\x00\x00\x00\x00\x00"
				    "key-a";
	static const char gone[] = "local\0default\0app\0\0"
				   "\x00\x00\x00\x00\x00\x00\x00\x01"
				   "key-gone";
	static const char cut[] = "local\0default\0app\0\0\0\0";
	const struct index_bytes keys[] = {
		{ stale, sizeof(stale) },
		{ gone, sizeof(gone) },
		{ cut, sizeof(cut) - 1 },
	};
	const struct index_bytes empty = { "", 0 };
	struct index_batch *b;
	int i;

	put(f, "app", "key-a", "", 100);
	assert_int_equal(index_batch_begin(f->ix, &b), 0);
	for (i = 0; i < 3; i++)
		index_db_put(b, INDEX_CF_RECENCY, &keys[i], &empty);
	assert_int_equal(index_batch_commit(b, false), 0);
	assert_int_equal(count_recency(f), 4);
	check_newest(f, "app", "", "key-a");
}

static int collect(void *arg, const struct entry *e)
{
	char *text = arg;

	strcat(text, e->name);
	strcat(text, "@");
	strcat(text, e->key);
	strcat(text, " ");
	return strcmp(e->key, "key-stop") == 0 ? 17 : 0;
}

static void check_each(struct fixture *f, const char *name, const char *want,
		       int want_return)
{
	char text[512] = "";

	assert_int_equal(index_each_entry(f->ix, TENANT, SPACE, name, collect,
					  text),
			 want_return);
	assert_string_equal(text, want);
}

static void test_each(void **state)
{
	struct fixture *f = *state;

	check_each(f, NULL, "", 0);
	put(f, "b", "key-1", "", 1);
	put(f, "app", "key-2", "", 2);
	put(f, "app", "key-1", "", 3);
	put(f, "app-x", "key-3", "", 4);
	check_each(f, NULL, "app@key-1 app@key-2 app-x@key-3 b@key-1 ", 0);
	check_each(f, "app", "app@key-1 app@key-2 ", 0);
	check_each(f, "nope", "", 0);
	put(f, "app", "key-stop", "", 5);
	check_each(f, NULL, "app@key-1 app@key-2 app@key-stop ", 17);
}

static void put_raw_entry(struct fixture *f, const char *key, size_t key_len,
			  const void *value, size_t len)
{
	const struct index_bytes k = { key, key_len }, v = { value, len };
	struct index_batch *b;

	assert_int_equal(index_batch_begin(f->ix, &b), 0);
	index_db_put(b, INDEX_CF_ENTRIES, &k, &v);
	assert_int_equal(index_batch_commit(b, false), 0);
}

static void test_damaged_entry(void **state)
{
	struct fixture *f = *state;
	static const char key[] = "local\0default\0app\0key-b";
	struct entry e = ENTRY_INIT;

	log_set_level(0);
	put(f, "app", "key-a", "main", 100);
	put(f, "app", "key-b", "main", 200);
	put_raw_entry(f, key, sizeof(key), "garbage", 7);
	assert_int_equal(index_get_entry(f->ix, TENANT, SPACE, "app", "key-b",
					 &e),
			 -EBADMSG);
	check_newest(f, "app", "main", "key-a");
	check_each(f, NULL, "app@key-a ", 0);
	/* It can be replaced, and what it left behind does no harm. */
	put(f, "app", "key-b", "main", 300);
	check_newest(f, "app", "main", "key-b");
	check_each(f, NULL, "app@key-a app@key-b ", 0);
}

static void test_entry_under_another_key(void **state)
{
	struct fixture *f = *state;
	static const char key[] = "local\0default\0app\0key-c";
	_cleanup_buf_ struct buf blob = BUF_INIT;
	struct entry other = make_entry("app", "key-a", "", 1), e = ENTRY_INIT;

	log_set_level(0);
	assert_int_equal(entry_encode(&other, &blob), 0);
	put_raw_entry(f, key, sizeof(key), blob.data, blob.len);
	assert_int_equal(index_get_entry(f->ix, TENANT, SPACE, "app", "key-c",
					 &e),
			 -EBADMSG);
}

static struct pack_loc loc_number(uint32_t n)
{
	return (struct pack_loc){
		.pack = digest_number(n / 1000),
		.off = 16 + n,
		.len = 100 + n,
		.has_dict = n % 2,
	};
}

static void put_chunks(struct fixture *f, uint32_t from, uint32_t to)
{
	struct index_batch *b;
	uint32_t i;

	assert_int_equal(index_batch_begin(f->ix, &b), 0);
	for (i = from; i < to; i++) {
		struct digest d = digest_number(i);
		struct pack_loc loc = loc_number(i);

		assert_int_equal(index_put_chunk(b, &d, &loc), 0);
	}
	assert_int_equal(index_batch_commit(b, false), 0);
}

/* Every third is there; so are repeated ones, in any order. */
static void check_chunks(struct fixture *f, uint32_t n)
{
	_cleanup_free_ struct digest *d = calloc(n, sizeof(*d));
	_cleanup_free_ struct pack_loc *locs = calloc(n, sizeof(*locs));
	_cleanup_free_ bool *found = calloc(n, sizeof(*found));
	uint32_t i;

	for (i = 0; i < n; i++)
		d[i] = digest_number(i % 3 ? 1000000 + i : i / 2);
	assert_int_equal(index_get_chunks(f->ix, d, n, locs, found), 0);
	for (i = 0; i < n; i++) {
		struct pack_loc want = loc_number(i / 2);

		assert_int_equal(found[i], i % 3 == 0);
		if (!found[i])
			continue;
		assert_memory_equal(&locs[i].pack, &want.pack,
				    sizeof(want.pack));
		assert_int_equal(locs[i].off, want.off);
		assert_int_equal(locs[i].len, want.len);
		assert_int_equal(locs[i].has_dict, want.has_dict);
	}
}

static void test_chunks(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(index_get_chunks(f->ix, NULL, 0, NULL, NULL), 0);
	put_chunks(f, 0, 3000);
	check_chunks(f, 1);
	check_chunks(f, 5000);
	reopen(f);
	check_chunks(f, 5000);
}

static void test_damaged_records(void **state)
{
	struct fixture *f = *state;
	struct digest d = digest_number(1);
	uint8_t blob_key[1 + DIGEST_LEN] = { INDEX_BLOB_CATALOG };
	const struct index_bytes key = { d.bytes, DIGEST_LEN };
	const struct index_bytes stamp_key = { blob_key, sizeof(blob_key) };
	const struct index_bytes bad = { "0123456789012345678901234567890"
					 "1234567890",
					 41 };
	struct index_stamp stamp;
	struct index_stats stats;
	struct index_batch *b;
	struct pack_loc loc;
	bool found;

	log_set_level(0);
	memcpy(blob_key + 1, d.bytes, DIGEST_LEN);
	assert_int_equal(index_batch_begin(f->ix, &b), 0);
	index_db_put(b, INDEX_CF_CHUNKS, &key, &bad); /* unknown flags */
	index_db_put(b, INDEX_CF_PACKS, &key, &bad);
	index_db_put(b, INDEX_CF_BLOBS, &stamp_key, &bad);
	assert_int_equal(index_batch_commit(b, false), 0);
	assert_int_equal(index_get_chunks(f->ix, &d, 1, &loc, &found),
			 -EBADMSG);
	assert_int_equal(index_stats(f->ix, &stats), -EBADMSG);
	assert_int_equal(index_get_stamp(f->ix, INDEX_BLOB_CATALOG, &d, &stamp),
			 -EBADMSG);
}

static void test_stamps_and_packs(void **state)
{
	struct fixture *f = *state;
	const struct index_stamp want = { 1, 1ull << 63, -5, INT64_MAX };
	struct digest a = digest_number(1), b = digest_number(2);
	struct index_stats stats;
	struct index_stamp got;
	struct index_batch *batch;

	assert_int_equal(index_batch_begin(f->ix, &batch), 0);
	assert_int_equal(index_put_stamp(batch, INDEX_BLOB_CATALOG, &a, &want),
			 0);
	assert_int_equal(index_put_pack(batch, &a, 1000, 3), 0);
	assert_int_equal(index_put_pack(batch, &b, 1ull << 40, 4), 0);
	assert_int_equal(index_batch_commit(batch, true), 0);
	reopen(f);
	assert_int_equal(index_get_stamp(f->ix, INDEX_BLOB_CATALOG, &a, &got),
			 0);
	assert_memory_equal(&got, &want, sizeof(want));
	assert_int_equal(index_get_stamp(f->ix, INDEX_BLOB_PLACEMENT, &a, &got),
			 -ENOENT);
	assert_int_equal(index_stats(f->ix, &stats), 0);
	assert_int_equal(stats.packs, 2);
	assert_int_equal(stats.pack_bytes, (1ull << 40) + 1000);
}

static void test_abort_writes_nothing(void **state)
{
	struct fixture *f = *state;
	struct entry e = make_entry("app", "key-a", "", 1);
	struct index_batch *b;

	assert_int_equal(index_batch_begin(f->ix, &b), 0);
	assert_int_equal(index_put_entry(b, &e), 0);
	index_batch_abort(b);
	check_find(f, "key-a", -ENOENT, NULL);
	assert_int_equal(count_recency(f), 0);
}

static void test_reopen(void **state)
{
	struct fixture *f = *state;

	put(f, "app", "key-a", "main", 100);
	index_flush(f->ix);
	put(f, "app", "key-b", "main", 200);
	reopen(f);
	check_newest(f, "app", "main", "key-b");
	put(f, "app", "key-c", "main", 300);
	reopen(f);
	check_each(f, NULL, "app@key-a app@key-b app@key-c ", 0);
}

static unsigned count_files(struct fixture *f)
{
	_cleanup_closedir_ DIR *dir = opendir(f->db);
	unsigned count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	return count;
}

static void test_files_do_not_pile_up(void **state)
{
	struct fixture *f = *state;
	int i;

	put(f, "app", "key-a", "main", 100);
	for (i = 0; i < 40; i++)
		reopen(f);
	assert_in_range(count_files(f), 1, 40);
	check_find(f, "key-a", 0, "key-a");
}

/* Runs `child` in a process of its own; its return is the exit status. */
static int in_child(struct fixture *f, int (*child)(struct fixture *f))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(child(f));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int child_opens(struct fixture *f)
{
	struct index *ix;

	log_set_level(0);
	return -index_open(f->db, &ix);
}

static void test_second_opener(void **state)
{
	struct fixture *f = *state;
	struct index *ix;

	log_set_level(0);
	assert_int_equal(in_child(f, child_opens), EBUSY);
	assert_int_equal(index_open(f->db, &ix), -EBUSY);
	/* The first one does not mind. */
	put(f, "app", "key-a", "", 1);
	check_find(f, "key-a", 0, "key-a");
}

static int child_dies(struct fixture *f)
{
	if (index_open(f->db, &f->ix) < 0)
		return 1;
	put(f, "app", "key-a", "main", 100);
	put_chunks(f, 0, 3000);
	return 0; /* by _exit(): nothing is closed or flushed */
}

static void test_process_that_died(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(in_child(f, child_dies), 0);
	assert_int_equal(index_open(f->db, &f->ix), 0);
	check_newest(f, "app", "main", "key-a");
	check_chunks(f, 5000);
}

static void put_format(struct fixture *f, uint8_t format, size_t len)
{
	const uint8_t value[5] = { format };
	const struct index_bytes k = { "format", 6 }, v = { value, len };
	struct index_batch *b;

	assert_int_equal(index_batch_begin(f->ix, &b), 0);
	index_db_put(b, INDEX_CF_DEFAULT, &k, &v);
	assert_int_equal(index_batch_commit(b, true), 0);
}

static void test_newer_format(void **state)
{
	struct fixture *f = *state;

	put_format(f, INDEX_FORMAT + 1, 4);
	index_close(f->ix);
	f->ix = NULL;
	log_set_level(0);
	assert_int_equal(index_open(f->db, &f->ix), -ESTALE);
	assert_null(f->ix);
}

static void put_times(struct fixture *f, const struct entry *e)
{
	struct index_batch *b;

	assert_int_equal(index_batch_begin(f->ix, &b), 0);
	assert_int_equal(index_put_use(b, e, 5), 0);
	assert_int_equal(index_put_pin(b, e, 6), 0);
	assert_int_equal(index_put_collected(b, 7), 0);
	assert_int_equal(index_batch_commit(b, false), 0);
}

/* They belong to the key, and go with its entry. */
static void test_times(void **state)
{
	struct fixture *f = *state;
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct index_batch *b;
	int64_t ns = 0;

	put(f, "app", "key-a", "", 1);
	assert_int_equal(
		index_get_entry(f->ix, TENANT, SPACE, "app", "key-a", &e), 0);
	assert_int_equal(index_get_use(f->ix, &e, &ns), -ENOENT);
	assert_int_equal(index_get_pin(f->ix, &e, &ns), -ENOENT);
	assert_int_equal(index_get_collected(f->ix, &ns), -ENOENT);
	put_times(f, &e);
	put(f, "app", "key-a", "", 2);
	assert_int_equal(index_get_use(f->ix, &e, &ns), 0);
	assert_int_equal(ns, 5);
	assert_int_equal(index_get_pin(f->ix, &e, &ns), 0);
	assert_int_equal(ns, 6);
	assert_int_equal(index_get_collected(f->ix, &ns), 0);
	assert_int_equal(ns, 7);
	assert_int_equal(index_batch_begin(f->ix, &b), 0);
	assert_int_equal(index_remove_entry(b, &e), 0);
	assert_int_equal(index_batch_commit(b, false), 0);
	assert_int_equal(index_get_use(f->ix, &e, &ns), -ENOENT);
	assert_int_equal(index_get_pin(f->ix, &e, &ns), -ENOENT);
}

/* Makes the database what format 1 was, or less. */
static void make_older(struct fixture *f, const char *const *without, size_t n)
{
	rocksdb_column_family_handle_t *handles[16];
	const rocksdb_options_t *each[16];
	rocksdb_options_t *o = rocksdb_options_create();
	char **names, *err = NULL;
	size_t count;

	put_format(f, 1, 4);
	index_close(f->ix);
	f->ix = NULL;
	names = rocksdb_list_column_families(o, f->db, &count, &err);
	assert_null(err);
	assert_true(count <= 16);
	for (size_t i = 0; i < count; i++)
		each[i] = o;
	rocksdb_t *db = rocksdb_open_column_families(o, f->db, (int)count,
						     (const char *const *)names,
						     each, handles, &err);
	assert_null(err);
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < n; k++)
			if (strcmp(names[i], without[k]) == 0)
				rocksdb_drop_column_family(db, handles[i],
							   &err);
		assert_null(err);
		rocksdb_column_family_handle_destroy(handles[i]);
	}
	rocksdb_close(db);
	rocksdb_list_column_families_destroy(names, count);
	rocksdb_options_destroy(o);
}

static void test_older_format(void **state)
{
	static const char *const newer[] = { "uses", "pins" };
	struct fixture *f = *state;
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	int64_t ns;

	put(f, "app", "key-a", "", 1);
	make_older(f, newer, 2);
	log_set_level(0);
	assert_int_equal(index_open(f->db, &f->ix), 0);
	assert_int_equal(
		index_get_entry(f->ix, TENANT, SPACE, "app", "key-a", &e), 0);
	put_times(f, &e);
	index_close(f->ix);
	f->ix = NULL;
	assert_int_equal(index_open(f->db, &f->ix), 0);
	assert_int_equal(index_get_pin(f->ix, &e, &ns), 0);
}

/* A migration that was killed behind the first family. */
static void test_older_format_by_half(void **state)
{
	static const char *const newer[] = { "pins" };
	struct fixture *f = *state;

	make_older(f, newer, 1);
	log_set_level(0);
	assert_int_equal(index_open(f->db, &f->ix), 0);
}

/* A family that format 1 had is damage, and not made anew. */
static void test_older_format_damaged(void **state)
{
	static const char *const lost[] = { "uses", "pins", "chunks" };
	struct fixture *f = *state;

	make_older(f, lost, 3);
	log_set_level(0);
	assert_int_equal(index_open(f->db, &f->ix), -EBADMSG);
	assert_null(f->ix);
}

static void test_bad_format_record(void **state)
{
	struct fixture *f = *state;

	put_format(f, INDEX_FORMAT, 5);
	index_close(f->ix);
	f->ix = NULL;
	log_set_level(0);
	assert_int_equal(index_open(f->db, &f->ix), -EBADMSG);
}

static void overwrite(struct fixture *f, const char *name, const char *text)
{
	_cleanup_free_ char *path = io_path("%s/%s", f->db, name);
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(io_write(fd, text, strlen(text)), 0);
	close(fd);
}

static void test_damaged_database(void **state)
{
	struct fixture *f = *state;

	index_close(f->ix);
	f->ix = NULL;
	log_set_level(0);
	overwrite(f, "CURRENT", "nonsense");
	assert_int_equal(index_open(f->db, &f->ix), -EBADMSG);
}

static void test_no_parent_directory(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *path = io_path("%s/CURRENT/db", f->db);
	struct index *ix;

	log_set_level(0);
	assert_int_equal(index_open(path, &ix), -EIO);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: RocksDB's threads do not come along in a fork. */
		cmocka_unit_test_setup_teardown(test_process_that_died,
						setup_closed, teardown),
		T(test_entry_round_trip),
		T(test_absent),
		T(test_entries_are_kept_apart),
		T(test_bad_entry_is_refused),
		T(test_prefixes),
		T(test_newest),
		T(test_newest_of_a_prefix),
		T(test_replacement),
		T(test_removal),
		T(test_dangling_recency),
		T(test_each),
		T(test_damaged_entry),
		T(test_entry_under_another_key),
		T(test_chunks),
		T(test_damaged_records),
		T(test_stamps_and_packs),
		T(test_abort_writes_nothing),
		T(test_reopen),
		T(test_files_do_not_pile_up),
		T(test_second_opener),
		T(test_times),
		T(test_newer_format),
		T(test_older_format),
		T(test_older_format_by_half),
		T(test_older_format_damaged),
		T(test_bad_format_record),
		T(test_damaged_database),
		T(test_no_parent_directory),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
