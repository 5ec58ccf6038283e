/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commits of files that are mostly holes, dozens of gigabytes of them: what
 * is read is what is there, be the hole the upper's or the base's.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "store/base/cleanup.h"

#include "view_fixture.h"

#define FILES 12
#define FILE_BYTES (UINT64_C(3500) << 20)
#define READ_MAX (UINT64_C(20) << 20) /* of one file */

static struct fixture fx;
static const struct tree_ops *const ops = &fixture_ops;

static const char *name_of(unsigned n)
{
	static char name[16];

	snprintf(name, sizeof(name), "sparse%u", n);
	return name;
}

static void assert_bytes(struct view *v, const char *name, const char *want,
			 uint64_t off)
{
	char got[16];
	size_t len = strlen(want);
	struct view_attr a;

	assert_int_equal(view_lookup(v, VIEW_ROOT, name, strlen(name), &a), 0);
	assert_int_equal(view_read(v, a.ino, got, len, off), len);
	assert_memory_equal(got, want, len);
	view_forget(v, a.ino, 1);
}

/* Beside the bytes there are zeros, up to the next of them. */
static void assert_entry_file(const struct digest *catalog, unsigned n,
			      const char *end)
{
	const struct view_options opt = { .read_only = true, .dirfd = -1 };
	struct store_tree *tree = fixture_tree(&fx, catalog);
	struct view_attr a;
	struct view *v;
	bool damaged;
	uint64_t off;

	assert_int_equal(view_open(tree, fx.fetch, &opt, &v, &damaged), 0);
	assert_int_equal(view_lookup(v, VIEW_ROOT, name_of(n),
				     strlen(name_of(n)), &a),
			 0);
	assert_int_equal(a.size, FILE_BYTES);
	assert_int_equal(view_lseek(v, a.ino, 0, SEEK_DATA, &off), 0);
	assert_true(off > FILE_BYTES / 2 - READ_MAX);
	assert_bytes(v, name_of(n), "middle", FILE_BYTES / 2 + n);
	assert_bytes(v, name_of(n), end, FILE_BYTES - 3);
	view_forget(v, a.ino, 1);
	view_close(v);
	store_tree_unref(tree);
}

static void test_holes_are_not_read(void **state)
{
	static const char zeros[3];
	struct ingest_result res;
	unsigned n;

	(void)state;
	for (n = 0; n < FILES; n++) {
		assert_int_equal(ops->create(&fx, name_of(n), 0600), 0);
		assert_int_equal(ops->write(&fx, name_of(n), "middle", 6,
					    FILE_BYTES / 2 + n),
				 6);
		assert_int_equal(ops->truncate(&fx, name_of(n), FILE_BYTES), 0);
	}
	assert_int_equal(fixture_commit(&fx, "one", &res), 0);
	assert_int_equal(res.bytes, FILES * FILE_BYTES);
	assert_true(res.read_bytes < FILES * READ_MAX);
	assert_entry_file(&res.catalog, 7, zeros);

	/* The holes are a tree's now, around what is written. */
	fixture_reopen(&fx);
	for (n = 0; n < FILES; n++)
		assert_int_equal(ops->write(&fx, name_of(n), "end", 3,
					    FILE_BYTES - 3),
				 3);
	assert_int_equal(fixture_commit(&fx, "two", &res), 0);
	assert_int_equal(res.bytes, FILES * FILE_BYTES);
	assert_true(res.read_bytes > 0);
	assert_true(res.read_bytes < FILES * 2 * READ_MAX);
	assert_entry_file(&res.catalog, 7, "end");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_holes_are_not_read, fixture_setup_empty, &fx),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
