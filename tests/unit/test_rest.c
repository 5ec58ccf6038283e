/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folding what rests: no version loses a byte, whatever happens to the files,
 * and no more than two of them are needed for one. With kills at every point and system
 * calls that fail; the child that is killed is this program again.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "child.h"
#include "gc_fixture.h"
#include "store/base/clock.h"
#include "store/base/crc32c.h"
#include "store/base/le.h"
#include "store/base/log.h"
#include "store/gc.h"
#include "store/object_files.h"
#include "store/rest.h"
#include "store/store_tree.h"
#include "store/tree_blobs.h"
#include "store/verify.h"
#include "sysfault.h"

#define CHILD_STORE "LARDER_TEST_REST_STORE"
#define FILES 120
#define VERSIONS 5
#define STEP 13 /* a prime: most calls come in turn with few others */

static const char *const keys[VERSIONS] = { "v1", "v2", "v3", "v4", "v5" };

/* ---- versions */

static void change(int from, unsigned version)
{
	char name[32];

	snprintf(name, sizeof(name), "m%04u.js", 10 * version);
	write_text(from, name, 1000 + version, 50);
}

/* Versions of one tree, each with one file changed. */
static void import_versions(struct fixture *f)
{
	int from = make_dir(f, "from");

	make_text_files(from, FILES);
	for (unsigned i = 0; i < VERSIONS; i++) {
		change(from, i);
		import_dir(f, from, keys[i]);
	}
	close(from);
}

static const struct rest_options newest_stay = { 0 };

static struct rest_result rest_with(struct fixture *f,
				    const struct rest_options *o)
{
	struct rest_result res;

	assert_int_equal(rest_run(f->store, o, NULL, &res), 0);
	return res;
}

static struct rest_result rest(struct fixture *f)
{
	return rest_with(f, &newest_stay);
}

static void catalog_path(struct fixture *f, const char *what, const char *key,
			 char *path, size_t room)
{
	_cleanup_entry_ struct entry e = get_entry(f, key);
	char below[STORE_PATH_LEN + 1];

	store_path(&e.catalog, below);
	snprintf(path, room, "%s/store/v1/%s/%s", f->dir, what, below);
}

/* 1, 0: folded or not. */
static int read_header(struct fixture *f, const char *what, const char *key,
		       struct fold_header *h)
{
	char path[400];
	int fd, r;

	catalog_path(f, what, key, path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = fold_read_header(fd, h);
	close(fd);
	return r;
}

static bool is_folded(struct fixture *f, const char *what, const char *key)
{
	struct fold_header h;
	int r = read_header(f, what, key, &h);

	assert_true(r >= 0);
	return r > 0;
}

/* Whose catalog it is folded against. */
static struct digest anchor_of(struct fixture *f, const char *key)
{
	struct fold_header h;

	assert_int_equal(read_header(f, "catalogs", key, &h), 1);
	return h.anchor;
}

static struct digest digest_of_key(struct fixture *f, const char *key)
{
	_cleanup_entry_ struct entry e = get_entry(f, key);

	return e.catalog;
}

static void assert_anchor(struct fixture *f, const char *key,
			  const char *anchor)
{
	struct digest is = anchor_of(f, key), want = { { 0 } };

	if (anchor)
		want = digest_of_key(f, anchor);
	assert_true(digest_equal(&is, &want));
}

/* Every version, by a process that has nothing in memory. */
static void assert_all_read(struct fixture *f)
{
	reopen_store(f);
	for (unsigned i = 0; i < VERSIONS; i++)
		assert_int_equal(read_entry(f, keys[i]), 0);
}

static int check_chain(void *arg, const struct digest *name,
		       const struct stat *st)
{
	struct fixture *f = arg;
	struct index_stamp stamp;
	struct fold_header h;
	int fd = tree_blob_open(f->store->catalogs_fd, name, &stamp);

	(void)st;
	assert_true(fd >= 0);
	if (fold_read_header(fd, &h) > 0 && !digest_is_zero(&h.anchor)) {
		struct fold_header of;
		int anchor = tree_blob_open(f->store->catalogs_fd, &h.anchor,
					    &stamp);

		assert_true(anchor >= 0);
		assert_true(fold_read_header(anchor, &of) == 0 ||
			    digest_is_zero(&of.anchor));
		close(anchor);
	}
	close(fd);
	return 0;
}

static void assert_chains_are_short(struct fixture *f)
{
	assert_int_equal(
		object_files_each(f->store->catalogs_fd, check_chain, f), 0);
}

/* ---- what is folded */

static void older_versions_are_folded(void **state)
{
	struct fixture *f = *state;
	struct rest_result res;
	uint64_t before;

	import_versions(f);
	before = bytes_now(f);
	res = rest(f);
	assert_int_equal(res.catalogs, VERSIONS - 1);
	assert_int_equal(res.placements, 0); /* a block each as it is */
	assert_true(bytes_now(f) < before);
	assert_true(res.after_bytes < res.before_bytes);
	assert_false(is_folded(f, "catalogs", "v5"));
	assert_anchor(f, "v1", NULL);
	for (unsigned i = 1; i < VERSIONS - 1; i++)
		assert_anchor(f, keys[i], "v1");
	assert_all_read(f);
	res = rest(f);
	assert_int_equal(res.catalogs, 0);
	assert_int_equal(res.before_bytes, 0);
}

static void the_newest_is_folded_when_nobody_uses_it(void **state)
{
	struct rest_options o = { .unused_since_ns = clock_wall_ns() };
	struct fixture *f = *state;

	import_versions(f);
	{
		_cleanup_entry_ struct entry e = get_entry(f, "v5");

		gc_entry_used(f->store, &e);
	}
	assert_int_equal(rest_with(f, &o).catalogs, VERSIONS - 1);
	assert_false(is_folded(f, "catalogs", "v5"));
	o.unused_since_ns = INT64_MAX;
	assert_int_equal(rest_with(f, &o).catalogs, 1);
	assert_anchor(f, "v5", "v1");
	assert_all_read(f);
}

/* They have more than a block to give back from some 340 chunks on. */
static void placements_are_folded(void **state)
{
	struct fixture *f = *state;
	int from = make_dir(f, "many");
	char name[32];
	struct rest_result res;

	for (unsigned i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		write_noise(from, name, 20 + i % 50, i + 1);
	}
	import_dir(f, from, "v1");
	write_noise(from, "n7", 60, 1000);
	import_dir(f, from, "v2");
	close(from);
	res = rest(f);
	assert_int_equal(res.catalogs, 1);
	assert_int_equal(res.placements, 1);
	assert_true(is_folded(f, "placements", "v1"));
	assert_false(is_folded(f, "placements", "v2"));
	reopen_store(f);
	assert_int_equal(read_entry(f, "v1"), 0);
	/* A damaged one is made again. */
	char path[400];

	catalog_path(f, "placements", "v1", path, sizeof(path));
	flip_byte(path, FOLD_HEADER_BYTES + 200);
	reopen_store(f);
	log_set_level(0);
	assert_int_equal(read_entry(f, "v1"), 0);
	assert_false(is_folded(f, "placements", "v1"));
	res = rest(f);
	assert_int_equal(res.placements, 1);
	assert_int_equal(read_entry(f, "v1"), 0);
}

static void what_is_open_stays(void **state)
{
	struct fixture *f = *state;
	struct digest d;
	struct store_tree *t;

	import_versions(f);
	d = digest_of_key(f, "v2");
	t = open_tree(f, &d);
	assert_int_equal(rest(f).catalogs, VERSIONS - 2);
	assert_false(is_folded(f, "catalogs", "v2"));
	store_tree_unref(t);
	assert_int_equal(rest(f).catalogs, 1);
	assert_anchor(f, "v2", "v1");
	assert_all_read(f);
}

/* Republishes an entry with another time or branch. */
static void put_entry(struct fixture *f, const char *key, const char *branch,
		      int64_t created_ns)
{
	_cleanup_entry_ struct entry e = get_entry(f, key);
	struct index_batch *b;

	free(e.branch);
	e.branch = strdup(branch);
	e.created_ns = created_ns;
	assert_int_equal(index_batch_begin(store_index(f->store), &b), 0);
	assert_int_equal(index_put_entry(b, &e), 0);
	assert_int_equal(index_batch_commit(b, true), 0);
}

static void the_newest_of_a_branch_stays(void **state)
{
	struct fixture *f = *state;

	import_versions(f);
	put_entry(f, "v3", "other", 3);
	rest(f);
	assert_false(is_folded(f, "catalogs", "v3"));
	assert_false(is_folded(f, "catalogs", "v5"));
	assert_true(is_folded(f, "catalogs", "v4"));
	assert_all_read(f);
}

/* The one in the middle is an anchor, and then one comes that is older. */
static void chains_stay_short(void **state)
{
	struct fixture *f = *state;
	struct digest d;
	struct store_tree *t;

	import_versions(f);
	d = digest_of_key(f, "v1");
	put_entry(f, "v5", "main", 1);
	t = open_tree(f, &d);
	/* v5 is the oldest, and v4 the newest. */
	rest(f);
	assert_anchor(f, "v5", NULL);
	assert_anchor(f, "v2", "v5");
	assert_chains_are_short(f);
	store_tree_unref(t);
	put_entry(f, "v1", "main", 0);
	put_entry(f, "v5", "main", INT64_C(1) << 61);
	rest(f);
	assert_anchor(f, "v1", NULL);
	assert_anchor(f, "v4", "v1");
	assert_anchor(f, "v2", "v5");
	assert_chains_are_short(f);
	assert_all_read(f);
}

/* ---- what becomes of it when the anchor goes */

struct refetch {
	struct fixture *f;
	char anchor[400], backup[200]; /* files */
	unsigned calls;
};

/* Only the anchor's own entry can be had again. */
static int bring_anchor(void *arg, const struct entry *e)
{
	struct refetch *rf = arg;
	char command[700];

	rf->calls++;
	if (strcmp(e->key, "v5") != 0)
		return -ENOENT;
	snprintf(command, sizeof(command), "cp %s %s", rf->backup, rf->anchor);
	return system(command) == 0 ? 0 : -EIO;
}

/* The anchor's entry is looked at after those that need it. */
static void a_repair_fetches_before_it_removes(void **state)
{
	struct refetch rf = { .f = *state };
	const struct verify_options o = { .repair = true,
					  .refetch = bring_anchor,
					  .arg = &rf };
	struct fixture *f = *state;
	struct verify_result res;
	char command[1100];

	import_versions(f);
	put_entry(f, "v5", "main", 1);
	rest(f);
	assert_anchor(f, "v2", "v5");
	catalog_path(f, "catalogs", "v5", rf.anchor, sizeof(rf.anchor));
	snprintf(rf.backup, sizeof(rf.backup), "%s/backup", f->dir);
	snprintf(command, sizeof(command), "cp %s %s && echo x >%s", rf.anchor,
		 rf.backup, rf.anchor);
	assert_int_equal(system(command), 0);
	reopen_store(f);
	assert_int_equal(verify_run(f->store, &o, NULL, &res), 0);
	assert_true(res.bad_entries >= 4);
	assert_int_equal(rf.calls, res.bad_entries);
	assert_int_equal(res.left, 0);
	assert_all_read(f);
}

/* Who opens a tree that a collection is removing finds it gone, and not
 * damaged. */
static void what_is_being_removed_is_gone(void **state)
{
	struct fixture *f = *state;
	struct digest anchor, d;
	struct store_tree *t;

	import_versions(f);
	rest(f);
	assert_anchor(f, "v2", "v1");
	anchor = digest_of_key(f, "v1");
	d = digest_of_key(f, "v2");
	reopen_store(f);
	assert_int_equal(store_collect_begin(f->store), 0);
	assert_true(store_condemn_catalog(f->store, &anchor));
	assert_true(store_condemn_catalog(f->store, &d));
	assert_int_equal(store_unlink_condemned(f->store, f->store->catalogs_fd,
						&anchor),
			 1);
	assert_int_equal(store_tree_open(f->store, &d, &t), -ENOENT);
	assert_int_equal(store_tree_load(f->store, &d, &t), -ENOENT);
	store_collect_end(f->store);
	/* What is lost otherwise is damage. */
	assert_int_equal(store_tree_open(f->store, &d, &t), -EBADMSG);
}

/* ---- more of what is folded */

static void what_differs_is_the_next_anchor(void **state)
{
	struct fixture *f = *state;
	int from;

	import_versions(f);
	from = make_dir(f, "other");
	for (unsigned i = 0; i < FILES; i++) {
		char name[32];

		snprintf(name, sizeof(name), "x%04u.c", i);
		write_text(from, name, 5000 + i, 20);
	}
	import_dir(f, from, "w1");
	write_text(from, "x0001.c", 1, 20);
	import_dir(f, from, "w2");
	write_text(from, "x0002.c", 2, 20);
	import_dir(f, from, "w3");
	close(from);
	rest(f);
	assert_anchor(f, "v5", "v1");
	assert_anchor(f, "w1", NULL);
	assert_anchor(f, "w2", "w1");
	assert_false(is_folded(f, "catalogs", "w3"));
	assert_chains_are_short(f);
	assert_all_read(f);
	assert_int_equal(read_entry(f, "w1"), 0);
	assert_int_equal(read_entry(f, "w2"), 0);
}

/* ---- collections */

static void a_collection_keeps_anchors(void **state)
{
	struct fixture *f = *state;
	struct gc_result res;
	char path[400];

	import_versions(f);
	rest(f);
	catalog_path(f, "catalogs", "v1", path, sizeof(path));
	remove_entry(f, "v1");
	res = collect(f, 0);
	assert_int_equal(res.removed_catalogs, 0);
	assert_int_equal(res.unreadable, 0);
	assert_int_equal(access(path, F_OK), 0);
	reopen_store(f);
	for (unsigned i = 1; i < VERSIONS; i++)
		assert_int_equal(read_entry(f, keys[i]), 0);
	/* When nothing is folded against it any more, it goes. */
	for (unsigned i = 1; i < VERSIONS - 1; i++)
		remove_entry(f, keys[i]);
	res = collect(f, 0);
	assert_int_equal(res.removed_catalogs, VERSIONS - 1);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(count_objects(f, "catalogs", NULL, 0), 1);
	assert_int_equal(read_entry(f, "v5"), 0);
}

/* One that somebody has open while its entry goes needs its anchor, too. */
static void an_open_tree_keeps_its_anchor(void **state)
{
	struct fixture *f = *state;
	struct gc_result res;
	struct store_tree *t;
	struct digest d;

	import_versions(f);
	rest(f);
	reopen_store(f);
	d = digest_of_key(f, "v3");
	t = open_tree(f, &d);
	for (unsigned i = 0; i < VERSIONS - 1; i++)
		remove_entry(f, keys[i]);
	res = collect(f, 0);
	assert_int_equal(res.removed_catalogs, VERSIONS - 3);
	store_tree_unref(t);
	reopen_store(f);
	assert_int_equal(read_tree(f->store, &d), 0);
}

static void not_while_a_collection_runs(void **state)
{
	struct fixture *f = *state;
	struct rest_result res;

	import_versions(f);
	assert_int_equal(store_collect_begin(f->store), 0);
	assert_int_equal(rest_run(f->store, &newest_stay, NULL, &res), -EBUSY);
	store_collect_end(f->store);
	assert_int_equal(rest(f).catalogs, VERSIONS - 1);
}

/* ---- damage */

/* What is folded against it cannot be read until it is there again. */
static void a_lost_anchor_may_come_back(void **state)
{
	struct fixture *f = *state;
	struct digest anchor;
	struct index_stamp stamp;
	struct catalog *c;
	struct digest none;
	char path[400];

	import_versions(f);
	rest(f);
	anchor = digest_of_key(f, "v1");
	assert_int_equal(tree_load_catalog(f->store, &anchor, true, &c, &none),
			 0);
	catalog_path(f, "catalogs", "v1", path, sizeof(path));
	assert_int_equal(unlink(path), 0);
	reopen_store(f);
	log_set_level(0);
	assert_int_equal(read_entry(f, "v1"), -ENOENT);
	assert_int_equal(read_entry(f, "v2"), -EBADMSG);
	assert_true(is_folded(f, "catalogs", "v2"));
	assert_int_equal(read_entry(f, "v5"), 0);
	size_t len;
	const void *bytes = catalog_bytes(c, &len);

	assert_int_equal(
		store_put_catalog(f->store, &anchor, bytes, len, &stamp), 0);
	catalog_unref(c);
	assert_all_read(f);
}

/* All of the header, and some of the frame. What is damaged is set aside. */
static void any_damage_of_a_file_is_seen(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ uint8_t *good = NULL;
	struct digest d;
	char path[400];
	size_t len, at;

	import_versions(f);
	rest(f);
	log_set_level(0);
	catalog_path(f, "catalogs", "v2", path, sizeof(path));
	d = digest_of_key(f, "v2");
	assert_int_equal(io_read_file(AT_FDCWD, path, 1 << 20, &good, &len), 0);
	for (at = 0; at < len; at += at < FOLD_HEADER_BYTES + 8 ? 3 : 61) {
		struct store_tree *t = NULL;
		int r;

		flip_byte(path, at);
		r = store_tree_open(f->store, &d, &t);
		/* Some bits of zstd's own header mean nothing. */
		if (at < FOLD_HEADER_BYTES ? r != -EBADMSG :
					     r != -EBADMSG && r != 0)
			fail_msg("byte %zu: %d", at, r);
		store_tree_unref(t);
		if (r < 0)
			assert_int_equal(access(path, F_OK), -1);
		write_file(AT_FDCWD, path, good, len);
	}
	assert_int_equal(read_tree(f->store, &d), 0);
}

static void a_newer_format_is_left_alone(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ uint8_t *file = NULL;
	char path[400];
	size_t len;

	import_versions(f);
	rest(f);
	log_set_level(0);
	catalog_path(f, "catalogs", "v2", path, sizeof(path));
	assert_int_equal(io_read_file(AT_FDCWD, path, 1 << 20, &file, &len), 0);
	le32_put(file + 8, 2);
	le32_put(file + FOLD_HEADER_BYTES - 4,
		 crc32c(0, file, FOLD_HEADER_BYTES - 4));
	write_file(AT_FDCWD, path, file, len);
	assert_int_equal(read_entry(f, "v2"), -ESTALE);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(collect(f, 0).unreadable, 1);
}

/* Whoever has it as an anchor of an anchor has made it so by hand. */
static void a_chain_of_two_is_refused(void **state)
{
	struct fixture *f = *state;
	struct digest d2, d3, none;
	struct fold_header h = { .kind = FOLD_CATALOG };
	_cleanup_buf_ struct buf file = BUF_INIT;
	struct catalog *c2, *c3;
	const void *prefix, *data;
	size_t prefix_len, len;
	char path[400];

	import_versions(f);
	rest(f);
	d2 = digest_of_key(f, "v2");
	d3 = digest_of_key(f, "v3");
	assert_int_equal(tree_load_catalog(f->store, &d2, false, &c2, &none),
			 0);
	assert_int_equal(tree_load_catalog(f->store, &d3, false, &c3, &none),
			 0);
	prefix = catalog_bytes(c2, &prefix_len);
	data = catalog_bytes(c3, &len);
	h.name = d3;
	h.anchor = d2;
	h.bytes = len;
	assert_int_equal(fold_encode(&h, prefix, prefix_len, data, &file), 0);
	catalog_path(f, "catalogs", "v3", path, sizeof(path));
	write_file(AT_FDCWD, path, file.data, file.len);
	catalog_unref(c2);
	catalog_unref(c3);
	reopen_store(f);
	log_set_level(0);
	assert_int_equal(read_entry(f, "v3"), -EBADMSG);
}

/* ---- killing and failing */

static void child(void **state)
{
	struct rest_result res;
	struct store *s;

	(void)state;
	assert_int_equal(store_open(getenv(CHILD_STORE), &s), 0);
	assert_int_equal(rest_run(s, &newest_stay, NULL, &res), 0);
	store_close(s);
}

static void run_child(struct fixture *f, const char *rule)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/store", f->dir);
	setenv("LARDER_FAULT", rule, 1);
	setenv(CHILD_STORE, path, 1);
	child_exec("test_rest");
}

static bool was_killed(struct fixture *f, const char *rule)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		run_child(f, rule);
	return child_was_killed(pid);
}

/* Keeps the store that all of these begin with as "template". */
static void make_template(struct fixture *f)
{
	char command[300];

	import_versions(f);
	store_close(f->store);
	f->store = NULL;
	snprintf(command, sizeof(command), "cp -a %s/store %s/template", f->dir,
		 f->dir);
	assert_int_equal(system(command), 0);
}

static void copy_template(struct fixture *f)
{
	char command[300];

	snprintf(command, sizeof(command),
		 "rm -rf %s/store && cp -a %s/template %s/store", f->dir,
		 f->dir, f->dir);
	assert_int_equal(system(command), 0);
}

/* What was broken off, and what the next one makes of it. */
static void check(struct fixture *f)
{
	assert_chains_are_short(f);
	assert_all_read(f);
	assert_int_equal(collect(f, 0).unreadable, 0);
	rest(f);
	for (unsigned i = 0; i < VERSIONS - 1; i++)
		assert_true(is_folded(f, "catalogs", keys[i]));
	assert_chains_are_short(f);
	assert_all_read(f);
	assert_int_equal(count_objects(f, "catalogs", NULL, 0), VERSIONS);
}

static void killed_anywhere(void **state)
{
	static const char *const points[] = { "rest.replace", "publish.open",
					      "publish.sync", "publish.rename",
					      "publish.dirsync" };
	struct fixture *f = *state;
	char rule[100];

	make_template(f);
	for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++)
		for (unsigned at = 1; at <= VERSIONS - 1; at += 2) {
			copy_template(f);
			snprintf(rule, sizeof(rule), "%s:%u:kill", points[i],
				 at);
			assert_true(was_killed(f, rule));
			reopen_store(f);
			check(f);
			store_close(f->store);
			f->store = NULL;
		}
	copy_template(f);
	assert_false(was_killed(f, "rest.replace:5:kill"));
}

static void failed_anywhere(void **state)
{
	static const int errors[] = { ENOSPC, EIO, EMFILE };
	struct fixture *f = *state;
	const char *failed = "";
	struct rest_result res;
	unsigned long n;

	make_template(f);
	log_set_level(0);
	for (n = 1; failed; n += STEP) {
		int r;

		copy_template(f);
		reopen_store(f);
		sysfault_arm(n, errors[n % 3]);
		r = rest_run(f->store, &newest_stay, NULL, &res);
		failed = sysfault_disarm();
		assert_true(failed || r == 0);
		check(f);
		store_close(f->store);
		f->store = NULL;
	}
	assert_true(n > 20);
}

int main(void)
{
#define TEST(fn) \
	cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(older_versions_are_folded),
		TEST(the_newest_is_folded_when_nobody_uses_it),
		TEST(placements_are_folded),
		TEST(what_is_open_stays),
		TEST(the_newest_of_a_branch_stays),
		TEST(chains_stay_short),
		TEST(a_repair_fetches_before_it_removes),
		TEST(what_is_being_removed_is_gone),
		TEST(what_differs_is_the_next_anchor),
		TEST(a_collection_keeps_anchors),
		TEST(an_open_tree_keeps_its_anchor),
		TEST(not_while_a_collection_runs),
		TEST(a_lost_anchor_may_come_back),
		TEST(any_damage_of_a_file_is_seen),
		TEST(a_newer_format_is_left_alone),
		TEST(a_chain_of_two_is_refused),
		TEST(killed_anywhere),
		TEST(failed_anywhere),
	};
	const struct CMUnitTest child_tests[] = {
		cmocka_unit_test(child),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (getenv(CHILD_STORE))
		return cmocka_run_group_tests(child_tests, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
