/* SPDX-License-Identifier: Apache-2.0 */
/* Paths of many files at once: of the base, of what was changed, and of what
 * has no name any more. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/view_paths.h"
#include "store/base/io.h"
#include "store/catalog_path.h"
#include "store/catalog_places.h"
#include "view_fixture.h"

static void put_file(int dirfd, const char *path)
{
	int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL, 0644);

	assert_true(fd >= 0);
	assert_int_equal(io_write(fd, path, strlen(path)), 0);
	close(fd);
}

static void make_base(int dirfd)
{
	assert_int_equal(mkdirat(dirfd, "a", 0755), 0);
	assert_int_equal(mkdirat(dirfd, "a/b", 0755), 0);
	assert_int_equal(mkdirat(dirfd, "c", 0755), 0);
	put_file(dirfd, "top");
	put_file(dirfd, "a/one");
	put_file(dirfd, "a/b/two");
	put_file(dirfd, "c/three");
	assert_int_equal(linkat(dirfd, "top", dirfd, "c/top too", 0), 0);
}

static int setup(void **state)
{
	static struct fixture fx;

	memset(&fx, 0, sizeof(fx));
	fixture_open(&fx, make_base);
	*state = &fx;
	return 0;
}

static int teardown(void **state)
{
	fixture_close(*state);
	return 0;
}

static int move(struct fixture *fx, const char *from_dir, const char *from,
		const char *to_dir, const char *to)
{
	uint64_t a = *from_dir ? fixture_ino(fx, from_dir) : VIEW_ROOT;
	uint64_t b = *to_dir ? fixture_ino(fx, to_dir) : VIEW_ROOT;

	return view_rename(fx->view, a, from, strlen(from), b, to, strlen(to),
			   0);
}

/* Each number gets the path that it was found by; of several, all at once. */
static void assert_paths(struct fixture *fx, const char *const *paths, size_t n)
{
	struct view_paths *p;
	uint64_t numbers[16];
	char *found[16];

	for (size_t i = 0; i < n; i++) {
		numbers[i] = fixture_ino(fx, paths[i]);
		assert_true(numbers[i] != 0);
	}
	assert_int_equal(view_paths_new(fx->view, &p), 0);
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(view_paths_find(p, numbers, n, found), 0);
		for (size_t i = 0; i < n; i++) {
			assert_non_null(found[i]);
			assert_string_equal(found[i], paths[i]);
			free(found[i]);
		}
	}
	view_paths_free(p);
}

static void test_base(void **state)
{
	static const char *const paths[] = { "top",	"a/one", "a/b/two",
					     "c/three", "a/b",	 "a/one" };

	assert_paths(*state, paths, 6);
}

static void test_catalog(void **state)
{
	struct fixture *fx = *state;
	const struct catalog *c = store_tree_catalog(fx->base);
	struct catalog_places *p;
	struct catalog_info info;

	catalog_info(c, &info);
	assert_int_equal(catalog_places_new(c, &p), 0);
	for (uint32_t ino = 0; ino <= info.inodes + 1; ino++) {
		char *want = catalog_path(c, ino);
		char *got = catalog_places_path(p, ino);

		assert_true(!want == !got);
		if (want)
			assert_string_equal(got, want);
		free(want);
		free(got);
	}
	catalog_places_free(p);
}

/* Directories that were moved, made, and filled with what was there before. */
static void test_changed(void **state)
{
	static const char *const paths[] = { "made/deep/new", "made/deep/b/two",
					     "made/one more", "top",
					     "c/three",	      "made/deep" };
	struct fixture *fx = *state;

	assert_int_equal(fixture_mkdir(fx, "made"), 0);
	assert_int_equal(fixture_mkdir(fx, "made/deep"), 0);
	fixture_put(fx, "made/deep/new", "new");
	assert_int_equal(move(fx, "a", "b", "made/deep", "b"), 0);
	assert_int_equal(move(fx, "a", "one", "made", "one more"), 0);
	assert_paths(fx, paths, 6);
}

static void test_no_name(void **state)
{
	struct fixture *fx = *state;
	uint64_t numbers[4] = { fixture_ino(fx, "a/one"), VIEW_ROOT, 999999,
				fixture_ino(fx, "c/three") };
	struct view_attr attr;
	struct view_paths *p;
	char *found[4];

	/* The kernel still has it open. */
	assert_int_equal(view_lookup(fx->view, fixture_ino(fx, "a"), "one", 3,
				     &attr),
			 0);
	assert_int_equal(view_unlink(fx->view, fixture_ino(fx, "a"), "one", 3),
			 0);
	assert_int_equal(view_paths_new(fx->view, &p), 0);
	assert_int_equal(view_paths_find(p, numbers, 4, found), 0);
	assert_null(found[0]);
	assert_null(found[1]);
	assert_null(found[2]);
	assert_string_equal(found[3], "c/three");
	free(found[3]);
	assert_int_equal(view_paths_find(p, numbers, 0, found), 0);
	view_paths_free(p);
	view_forget(fx->view, attr.ino, 1);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_base),
		TEST(test_catalog),
		TEST(test_changed),
		TEST(test_no_name),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
