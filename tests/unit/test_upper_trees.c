/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a log tells without being opened: the trees that it needs, and whether
 * anything was changed. It must never call clean what is not.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/upper_trees.h"
#include "store/base/cleanup.h"

#include "view_fixture.h"

static struct fixture fx;
static const struct tree_ops *const ops = &fixture_ops;

static bool dirty(void)
{
	struct view_stats stats;

	view_stats(fx.view, &stats);
	return stats.dirty;
}

/* The view knows; the log says the same while it is in use, and closed. */
static void assert_clean(bool clean)
{
	assert_int_equal(dirty(), !clean);
	assert_int_equal(upper_is_clean(fx.state), clean);
	fixture_reopen(&fx);
	assert_int_equal(dirty(), !clean);
	assert_int_equal(upper_is_clean(fx.state), clean);
}

static void put(const char *path, const char *text)
{
	assert_int_equal(fixture_write(&fx, path, text), 0);
}

static void commit(const char *key, struct ingest_result *ret_result)
{
	assert_int_equal(fixture_commit(&fx, key, ret_result), 0);
}

static void test_clean(void **state)
{
	struct ingest_result r;

	(void)state;
	assert_clean(true);
	put("new", "new");
	assert_clean(false);
	commit("one", &r);
	assert_clean(true);
	assert_int_equal(ops->unlink(&fx, "a"), 0);
	assert_clean(false);
	commit("two", &r);
	assert_clean(true);
	assert_int_equal(ops->rename(&fx, "dir", "moved", 0), 0);
	assert_clean(false);
	commit("three", &r);
	assert_int_equal(ops->chmod(&fx, "b", 0600), 0);
	assert_clean(false);
}

/* What a checkpoint says counts as what the records before it said. */
static void test_checkpoints(void **state)
{
	struct ingest_result r;
	unsigned i;

	(void)state;
	for (i = 0; i < 1100; i++)
		assert_int_equal(ops->chmod(&fx, "", i % 2 ? 0755 : 0700), 0);
	assert_clean(false);
	commit("one", &r);
	assert_clean(true);
	for (i = 0; i < 1100; i++)
		assert_int_equal(ops->chmod(&fx, "", i % 2 ? 0755 : 0700), 0);
	assert_clean(false);
}

static void test_reset(void **state)
{
	(void)state;
	put("new", "new");
	assert_int_equal(view_reset(fx.view, NULL, NULL), 0);
	assert_false(dirty());
	put("again", "x");
	assert_clean(false);
}

/* It is only known to be clean where all of it can be read. */
static void test_damaged(void **state)
{
	struct ingest_result r;
	struct stat st;
	uint8_t byte;
	int fd;

	(void)state;
	put("new", "new");
	commit("one", &r);
	fixture_view_close(&fx);
	assert_true(upper_is_clean(fx.state));
	fd = openat(fx.state, "log-00000001", O_RDWR);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(pread(fd, &byte, 1, st.st_size - 9), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, st.st_size - 9), 1);
	assert_false(upper_is_clean(fx.state));
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, st.st_size - 9), 1);
	assert_int_equal(ftruncate(fd, st.st_size - 9), 0);
	close(fd);
	assert_false(upper_is_clean(fx.state));
	fixture_view_open(&fx);
}

static int note_tree(void *arg, const struct digest *catalog)
{
	struct digest *seen = arg;

	*seen = *catalog;
	return 0;
}

static void test_trees(void **state)
{
	struct digest seen = { 0 };
	struct ingest_result r;

	(void)state;
	put("new", "new");
	assert_int_equal(upper_trees(fx.state, note_tree, &seen), 0);
	assert_true(digest_is_zero(&seen));
	commit("one", &r);
	assert_int_equal(upper_trees(fx.state, note_tree, &seen), 0);
	assert_true(digest_equal(&seen, &r.catalog));
}

#define BASE(f) FIXTURE_TEST(f, fixture_setup_base, &fx)
#define EMPTY(f) FIXTURE_TEST(f, fixture_setup_empty, &fx)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BASE(test_clean),    EMPTY(test_checkpoints), BASE(test_reset),
		EMPTY(test_damaged), EMPTY(test_trees),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
