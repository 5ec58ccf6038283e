/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view of all entries, with no mount: the test is the kernel, which holds
 * nodes and forgets them. A new worker is a view that is opened anew on the
 * same state; everything that the kernel holds must go on meaning the same.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "view_all_fixture.h"

#include "fs/view_paths.h"

/* --- nodes --- */

static void test_equal_files(void **state)
{
	struct all *x = *state;
	uint64_t one = entry_root(x, "one"), two = entry_root(x, "two");
	uint64_t d1 = lookup(x, one, "d"), d2 = lookup(x, two, "d");

	assert_true(one != two && d1 != d2);
	assert_true(lookup(x, one, "same") == lookup(x, two, "same"));
	assert_true(lookup(x, one, "big") == lookup(x, two, "big"));
	assert_true(lookup(x, d1, "deep") == lookup(x, d2, "deep"));
	assert_true(lookup(x, one, "own") != lookup(x, two, "own"));
	/* Which files are one is said by their nodes. */
	assert_true(lookup(x, one, "pair") == lookup(x, d1, "pair"));
	assert_true(lookup(x, one, "pair") != lookup(x, two, "pair"));
	assert_int_equal(getattr(x, lookup(x, one, "pair")).nlink, 2);
	assert_int_equal(getattr(x, lookup(x, two, "big")).size, BIG);
	assert_content(x, lookup(x, one, "own"), "one");
	assert_content(x, lookup(x, two, "own"), "two");
	assert_content(x, lookup(x, d2, "deep"), "deep");
}

/* A change of anything that stat(2) shows makes it another file. */
static void test_unequal_attributes(void **state)
{
	struct all *x = *state;
	uint64_t one = entry_root(x, "one"), other;
	_cleanup_close_ int fd = make_dir(x->f, "three");

	make_tree(fd, "one");
	assert_int_equal(fchmodat(fd, "same", 0600, 0), 0);
	set_time(fd, "own", 1000, 5);
	import_dir(x->f, fd, "three");
	other = entry_root(x, "three");
	assert_true(lookup(x, one, "same") != lookup(x, other, "same"));
	assert_true(lookup(x, one, "own") != lookup(x, other, "own"));
	assert_true(lookup(x, one, "big") == lookup(x, other, "big"));
}

static void test_missing(void **state)
{
	struct all *x = *state;
	uint64_t one = entry_root(x, "one"), node;

	assert_int_equal(try_lookup(x, VIEW_ROOT, "no", &node), -ENOENT);
	assert_int_equal(try_lookup(x, VIEW_ROOT, "..", &node), -ENOENT);
	assert_int_equal(try_lookup(x, name_dir(x), "no", &node), -ENOENT);
	assert_int_equal(try_lookup(x, one, "no", &node), -ENOENT);
	assert_int_equal(try_lookup(x, lookup(x, one, "own"), "x", &node),
			 -ENOTDIR);
	assert_int_equal(view_all_read(x->all, one, NULL, 0, 0), -EISDIR);
	assert_int_equal(view_all_read(x->all, VIEW_ROOT, NULL, 0, 0), -EISDIR);
	assert_int_equal(view_all_read(x->all, UINT64_C(99) << 32 | 1, NULL, 0,
				       0),
			 -ESTALE);
	assert_int_equal(view_all_read(x->all, UINT64_C(1) << 62 | 5, NULL, 0,
				       0),
			 -ESTALE);
}

/* --- entries that come and go --- */

static void test_new_and_replaced(void **state)
{
	struct all *x = *state;
	uint64_t dir = name_dir(x), one = entry_root(x, "one"), again;
	int64_t before = (int64_t)getattr(x, dir).mtime.tv_sec * 1000000000 +
			 getattr(x, dir).mtime.tv_nsec;
	_cleanup_close_ int fd = make_dir(x->f, "again");
	struct view_attr after;

	import(x, "three", "three");
	after = getattr(x, dir);
	assert_true((int64_t)after.mtime.tv_sec * 1000000000 +
			    after.mtime.tv_nsec >
		    before);
	assert_content(x, lookup(x, entry_root(x, "three"), "own"), "three");

	/* Another tree under the same key is another directory; the old one
	 * stays for who has it. */
	make_tree(fd, "again");
	import_dir(x->f, fd, "one");
	again = entry_root(x, "one");
	assert_true(again != one);
	assert_content(x, lookup(x, again, "own"), "again");
	assert_content(x, lookup(x, one, "own"), "one");
}

static void test_removed_in_use(void **state)
{
	struct all *x = *state;
	uint64_t one = entry_root(x, "one"), own = lookup(x, one, "own"), node;

	remove_entry(x->f, "one");
	assert_int_equal(try_lookup(x, name_dir(x), "one", &node), -ENOENT);
	(void)collect(x->f, 0);
	assert_content(x, own, "one");
	assert_content(x, lookup(x, one, "same"), "same");
	assert_int_equal(open_entries(x), 1);
	view_all_forget(x->all, own, 1);
	view_all_forget(x->all, lookup(x, one, "same"), 2);
	assert_int_equal(files(x), 0);
	view_all_forget(x->all, one, 1);
	assert_int_equal(open_entries(x), 0);
}

/* --- what the kernel forgets --- */

static void test_forgotten(void **state)
{
	struct all *x = *state;
	uint64_t one = entry_root(x, "one");

	assert_true(entry_root(x, "one") == one);
	assert_int_equal(open_entries(x), 1);
	view_all_forget(x->all, one, 1);
	assert_int_equal(open_entries(x), 1);
	view_all_forget(x->all, one, 1);
	assert_int_equal(open_entries(x), 0);
	/* The same number again. */
	assert_true(entry_root(x, "one") == one);
	view_all_forget(x->all, one, 5);
	assert_int_equal(open_entries(x), 0);
}

/* A file of two entries is read from the other one when the first is gone. */
static void test_leaves_first(void **state)
{
	struct all *x = *state;
	uint64_t one = entry_root(x, "one"), two = entry_root(x, "two");
	uint64_t same = lookup(x, one, "same"), own = lookup(x, two, "own");

	assert_true(lookup(x, two, "same") == same);
	view_all_forget(x->all, same, 1); /* by the way of one */
	view_all_forget(x->all, one, 1);
	remove_entry(x->f, "one");
	(void)collect(x->f, 0);
	assert_content(x, same, "same");
	assert_int_equal(open_entries(x), 1);
	assert_content(x, own, "two");
	view_all_forget(x->all, same, 1);
	view_all_forget(x->all, own, 1);
	view_all_forget(x->all, two, 1);
	assert_int_equal(open_entries(x), 0);
	assert_int_equal(files(x), 0);
}

/* --- another worker --- */

static void test_adopted(void **state)
{
	struct all *x = *state;
	uint64_t dir = name_dir(x), ns = lookup(x, VIEW_ROOT, "default");
	uint64_t one = entry_root(x, "one"), two = entry_root(x, "two");
	uint64_t same = lookup(x, two, "same"), big = lookup(x, two, "big");
	uint64_t deep = lookup(x, lookup(x, one, "d"), "deep");
	uint64_t pair = lookup(x, one, "pair");
	char *bytes = malloc(BIG), *again = malloc(BIG);

	assert_non_null(bytes);
	assert_non_null(again);
	assert_int_equal(view_all_read(x->all, big, bytes, BIG, 0), BIG);
	restart(x);
	/* Both are open, although nobody has asked for anything. */
	assert_int_equal(open_entries(x), 2);
	assert_content(x, deep, "deep");
	assert_content(x, same, "same");
	assert_content(x, pair, "pair");
	assert_int_equal(view_all_read(x->all, big, again, BIG, 0), BIG);
	assert_memory_equal(bytes, again, BIG);
	assert_int_equal(getattr(x, one).mode & S_IFMT, S_IFDIR);
	assert_true(lookup(x, two, "same") == same);
	assert_true(lookup(x, ns, "test") == dir);
	assert_true(lookup(x, dir, "one") == one);
	restart(x);
	assert_true(lookup(x, dir, "two") == two);
	view_all_forget(x->all, one, 7);
	view_all_forget(x->all, two, 7);
	assert_int_equal(open_entries(x), 0);
	assert_int_equal(files(x), 0);
	restart(x);
	assert_int_equal(open_entries(x), 0);
	free(bytes);
	free(again);
}

/* A root that the new worker was never asked for is forgotten, too. */
/* Of two trees that have a file, the one goes by which it was found again: the
 * kernel has it by the other. */
static void test_adopted_by_the_other(void **state)
{
	struct all *x = *state;
	uint64_t one = entry_root(x, "one"), two = entry_root(x, "two");
	uint64_t same = lookup(x, one, "same");

	assert_true(lookup(x, two, "same") == same);
	restart(x);
	assert_content(x, same, "same");
	view_all_forget(x->all, one, 1);
	assert_content(x, same, "same");
	restart(x);
	assert_content(x, same, "same");
	view_all_forget(x->all, two, 1);
	assert_int_equal(open_entries(x), 0);
}

static void test_adopted_and_forgotten(void **state)
{
	struct all *x = *state;
	uint64_t one = entry_root(x, "one");

	restart(x);
	view_all_forget(x->all, one, 1);
	assert_int_equal(open_entries(x), 0);
	restart(x);
	assert_int_equal(open_entries(x), 0);
}

static int name_catalog(void *arg, const struct digest *catalog)
{
	struct digest *seen = arg;

	*seen = *catalog;
	return 0;
}

/* What the kernel holds of an earlier worker is kept from collections by the
 * table alone. */
static void test_held(void **state)
{
	struct all *x = *state;
	_cleanup_entry_ struct entry e = get_entry(x->f, "one");
	struct digest seen = { 0 };

	(void)entry_root(x, "one");
	assert_int_equal(all_table_each_held(x->state, name_catalog, &seen), 0);
	assert_true(digest_equal(&seen, &e.catalog));
}

/* --- listings --- */

struct names {
	char text[4096];
	unsigned max, count;
	uint64_t last;
};

static int add_name(void *arg, const char *name, size_t len,
		    const struct view_attr *attr, uint64_t next)
{
	struct names *n = arg;
	size_t used = strlen(n->text);

	(void)attr;
	if (n->count == n->max)
		return 1;
	n->count++;
	n->last = next;
	snprintf(n->text + used, sizeof(n->text) - used, "%.*s;", (int)len,
		 name);
	return 0;
}

/* All names, `step` at a time. */
static void list(struct all *x, uint64_t dir, unsigned step, struct names *n)
{
	unsigned before;

	*n = (struct names){ .max = step };
	do {
		before = n->count;
		assert_int_equal(view_all_readdir(x->all, dir, n->last, false,
						  add_name, n),
				 0);
		n->max = n->count + step;
	} while (n->count > before);
}

static void test_listings(void **state)
{
	struct all *x = *state;
	uint64_t dir = name_dir(x);
	struct names whole, parts;

	for (int i = 0; i < 20; i++) {
		char key[16];

		snprintf(key, sizeof(key), "more-%d", i);
		import(x, key, key);
	}
	list(x, VIEW_ROOT, 100, &whole);
	assert_string_equal(whole.text, ".;..;default;");
	list(x, lookup(x, VIEW_ROOT, "default"), 100, &whole);
	assert_string_equal(whole.text, ".;..;test;");
	list(x, dir, 100, &whole);
	assert_int_equal(whole.count, 24);
	list(x, dir, 3, &parts);
	assert_string_equal(whole.text, parts.text);
	list(x, entry_root(x, "one"), 2, &parts);
	assert_string_equal(parts.text, ".;..;big;d;link;own;pair;same;");
}

/* What stays is given once, by a listing that another one has broken into. */
static void test_listing_while_changing(void **state)
{
	struct all *x = *state;
	uint64_t dir = name_dir(x);
	struct names n = { .max = 3 }, other;

	import(x, "three", "three");
	assert_int_equal(view_all_readdir(x->all, dir, 0, false, add_name, &n),
			 0);
	import(x, "four", "four");
	list(x, VIEW_ROOT, 100, &other);
	n.max = 100;
	assert_int_equal(
		view_all_readdir(x->all, dir, n.last, false, add_name, &n), 0);
	for (const char *const *key =
		     (const char *const[]){ ";one;", ";two;", ";three;", NULL };
	     *key; key++) {
		const char *at = strstr(n.text, *key);

		assert_non_null(at);
		assert_null(strstr(at + 1, *key));
	}
}

/* Each name of a listing with attributes is a reference, but for dots and for
 * what was not taken. */
static void test_listing_with_attributes(void **state)
{
	struct all *x = *state;
	uint64_t one = entry_root(x, "one");
	struct names n = { .max = 4 };

	assert_int_equal(view_all_readdir(x->all, one, 0, true, add_name, &n),
			 0);
	assert_string_equal(n.text, ".;..;big;d;");
	assert_int_equal(files(x), 1);
	view_all_forget(x->all, lookup(x, one, "big"), 2);
	assert_int_equal(files(x), 0);
}

/* --- paths --- */

static void assert_path(struct view_all_paths *p, uint64_t node,
			const char *one, const char *two)
{
	char *path = NULL;

	assert_int_equal(view_all_paths_find(p, &node, 1, &path), 0);
	assert_non_null(path);
	assert_true(strcmp(path, one) == 0 || (two && strcmp(path, two) == 0));
	free(path);
}

static void test_paths(void **state)
{
	struct all *x = *state;
	uint64_t one = entry_root(x, "one"), two = entry_root(x, "two");
	uint64_t nodes[4] = { lookup(x, two, "own"), lookup(x, one, "own"),
			      lookup(x, two, "pair"), name_dir(x) };
	struct view_all_paths *p;
	char *paths[4];

	assert_int_equal(view_all_paths_new(x->all, &p), 0);
	assert_path(p, lookup(x, lookup(x, one, "d"), "deep"),
		    "default/test/one/d/deep", "default/test/two/d/deep");
	assert_path(p, nodes[1], "default/test/one/own", NULL);
	assert_int_equal(view_all_paths_find(p, nodes, 4, paths), 0);
	assert_string_equal(paths[0], "default/test/two/own");
	assert_string_equal(paths[1], "default/test/one/own");
	assert_string_equal(paths[2], "default/test/two/pair");
	assert_null(paths[3]);
	for (unsigned i = 0; i < 4; i++)
		free(paths[i]);
	view_all_paths_free(p);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_equal_files),
		TEST(test_unequal_attributes),
		TEST(test_missing),
		TEST(test_new_and_replaced),
		TEST(test_removed_in_use),
		TEST(test_forgotten),
		TEST(test_leaves_first),
		TEST(test_adopted),
		TEST(test_adopted_by_the_other),
		TEST(test_adopted_and_forgotten),
		TEST(test_held),
		TEST(test_listings),
		TEST(test_listing_while_changing),
		TEST(test_listing_with_attributes),
		TEST(test_paths),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
