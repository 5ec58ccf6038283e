/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names in the view: made, linked, removed while open, and renamed, over names
 * of the base, of the upper, of both, removed and opaque; what an adopted
 * connection still knows of them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "view_fixture.h"

static struct fixture fx;
static const struct tree_ops *const ops = &fixture_ops;

/* --- names --- */

static void test_create(void **state)
{
	struct view_attr a;

	(void)state;
	assert_int_equal(ops->create(&fx, "new", 0640), 0);
	assert_int_equal(ops->create(&fx, "new", 0640), -EEXIST);
	fixture_attr(&fx, "new", &a);
	assert_true(a.ino >= VIEW_INO_FIRST);
	assert_int_equal(a.mode, S_IFREG | 0640);
	assert_int_equal(a.nlink, 1);
	assert_int_equal(a.size, 0);
	fixture_put(&fx, "new", "text");
	fixture_assert_content(&fx, "new", "text");
	assert_int_equal(ops->create(&fx, "new/x", 0600), -ENOTDIR);
	assert_int_equal(fixture_mkdir(&fx, "d"), 0);
	assert_int_equal(fixture_links(&fx, "d"), 2);
	assert_int_equal(fixture_mkdir(&fx, "d/e"), 0);
	assert_int_equal(fixture_links(&fx, "d"), 3);
	assert_int_equal(ops->symlink(&fx, "over/there", "d/s"), 0);
	fixture_attr(&fx, "d/s", &a);
	assert_int_equal(a.size, 10);
	assert_int_equal(a.mode, S_IFLNK | 0777);
	fixture_assert_replays_all(&fx);
}

static void test_create_over_base(void **state)
{
	(void)state;
	assert_int_equal(ops->create(&fx, "a", 0600), -EEXIST);
	assert_int_equal(fixture_mkdir(&fx, "dir"), -EEXIST);
	assert_int_equal(ops->unlink(&fx, "b"), 0);
	fixture_assert_absent(&fx, "b");
	assert_int_equal(ops->unlink(&fx, "b"), -ENOENT);
	fixture_put(&fx, "b", "again");
	fixture_assert_content(&fx, "b", "again");
	assert_true(fixture_ino(&fx, "b") >= VIEW_INO_FIRST);
	fixture_assert_diff(fx.view, "M b\n");
	fixture_assert_replays_all(&fx);
}

static void test_new_directory_is_opaque(void **state)
{
	(void)state;
	assert_int_equal(ops->rmdir(&fx, "dir"), -ENOTEMPTY);
	assert_int_equal(ops->unlink(&fx, "dir/one"), 0);
	assert_int_equal(ops->unlink(&fx, "dir/two"), 0);
	assert_int_equal(ops->unlink(&fx, "dir/hard"), 0);
	assert_int_equal(ops->unlink(&fx, "dir/sub/deep"), 0);
	assert_int_equal(ops->rmdir(&fx, "dir/sub"), 0);
	assert_int_equal(fixture_links(&fx, "dir"), 2);
	assert_int_equal(ops->rmdir(&fx, "dir"), 0);
	fixture_assert_absent(&fx, "dir");
	fixture_assert_diff(fx.view, "D dir\n");
	fixture_assert_replays(&fx);
	assert_int_equal(fixture_mkdir(&fx, "dir"), 0);
	fixture_assert_absent(&fx, "dir/one");
	assert_int_equal(fixture_mkdir(&fx, "dir/sub"), 0);
	fixture_assert_absent(&fx, "dir/sub/deep");
	fixture_put(&fx, "dir/one", "new");
	fixture_assert_content(&fx, "dir/one", "new");
	fixture_assert_replays_all(&fx);
}

static void test_hard_links(void **state)
{
	(void)state;
	fixture_put(&fx, "a", "changed");
	fixture_assert_content(&fx, "dir/hard", "changed");
	assert_int_equal(ops->unlink(&fx, "a"), 0);
	assert_int_equal(fixture_links(&fx, "dir/hard"), 1);
	fixture_assert_content(&fx, "dir/hard", "changed");
	assert_int_equal(ops->link(&fx, "dir/hard", "third"), 0);
	assert_int_equal(ops->link(&fx, "dir/hard", "third"), -EEXIST);
	assert_int_equal(ops->link(&fx, "dir", "fourth"), -EPERM);
	assert_int_equal(fixture_links(&fx, "third"), 2);
	assert_int_equal(fixture_ino(&fx, "third"),
			 fixture_ino(&fx, "dir/hard"));
	/* Renaming one name over another of the same inode does nothing. */
	assert_int_equal(ops->rename(&fx, "third", "dir/hard", 0), 0);
	assert_int_equal(fixture_links(&fx, "third"), 2);
	fixture_assert_replays_all(&fx);
}

static void test_removed_while_open(void **state)
{
	struct view_attr a;
	char buf[16];
	uint64_t ino;

	(void)state;
	assert_int_equal(view_lookup(fx.view, VIEW_ROOT, "b", 1, &a), 0);
	ino = a.ino;
	assert_int_equal(ops->unlink(&fx, "b"), 0);
	assert_int_equal(view_getattr(fx.view, ino, &a), 0);
	assert_int_equal(a.nlink, 0);
	assert_int_equal(view_read(fx.view, ino, buf, sizeof(buf), 0), 5);
	assert_int_equal(view_write(fx.view, ino, "W", 1, 0, false), 1);
	assert_int_equal(view_read(fx.view, ino, buf, sizeof(buf), 0), 5);
	assert_memory_equal(buf, "World", 5);
	view_forget(fx.view, ino, 1);
	fixture_assert_absent(&fx, "b");

	/* A new file: gone for good when it is forgotten. */
	assert_int_equal(view_mknod(fx.view, VIEW_ROOT, "t", 1, S_IFREG | 0600,
				    0, &(struct view_cred){ 0 }, &a),
			 0);
	assert_int_equal(ops->unlink(&fx, "t"), 0);
	assert_int_equal(view_getattr(fx.view, a.ino, &a), 0);
	view_forget(fx.view, a.ino, 1);
	assert_int_equal(view_getattr(fx.view, a.ino, &a), -ESTALE);
	fixture_assert_replays_all(&fx);
}

/* A removed directory takes no names. */
static void test_removed_directory(void **state)
{
	struct view_attr a, b;

	(void)state;
	assert_int_equal(view_lookup(fx.view, VIEW_ROOT, "empty", 5, &a), 0);
	assert_int_equal(ops->rmdir(&fx, "empty"), 0);
	assert_int_equal(view_mkdir(fx.view, a.ino, "x", 1, 0700,
				    &(struct view_cred){ 0 }, &b),
			 -ENOENT);
	view_forget(fx.view, a.ino, 1);
	fixture_assert_absent(&fx, "empty");
}

static void adopt(void)
{
	const struct view_options opt = { .dirfd = fx.state,
					  .store = fx.store,
					  .adopt = true };

	fixture_view_close(&fx);
	assert_int_equal(
		view_open(fx.base, fx.fetch, &opt, &fx.view, &fx.damaged), 0);
}

static void test_adopted_orphans(void **state)
{
	struct view_attr a;
	char buf[8];

	(void)state;
	fixture_put(&fx, "t", "kept");
	assert_int_equal(view_lookup(fx.view, VIEW_ROOT, "t", 1, &a), 0);
	assert_int_equal(ops->unlink(&fx, "t"), 0);
	adopt();
	assert_int_equal(view_read(fx.view, a.ino, buf, sizeof(buf), 0), 4);
	view_forget(fx.view, a.ino, 1);
	assert_int_equal(view_getattr(fx.view, a.ino, &a), -ESTALE);
}

/* What the kernel looked up in an earlier view it does not look up again: it
 * removes and replaces names, and goes on with the files. */
static void test_adopted_names(void **state)
{
	struct view_attr t, u;
	char buf[8];

	(void)state;
	fixture_put(&fx, "t", "kept");
	fixture_put(&fx, "u", "also");
	assert_int_equal(view_lookup(fx.view, VIEW_ROOT, "t", 1, &t), 0);
	assert_int_equal(view_lookup(fx.view, VIEW_ROOT, "u", 1, &u), 0);
	adopt();
	assert_int_equal(view_unlink(fx.view, VIEW_ROOT, "t", 1), 0);
	assert_int_equal(view_rename(fx.view, VIEW_ROOT, "a", 1, VIEW_ROOT, "u",
				     1, 0),
			 0);
	assert_int_equal(view_read(fx.view, t.ino, buf, sizeof(buf), 0), 4);
	assert_int_equal(view_write(fx.view, u.ino, "A", 1, 0, false), 1);
	view_forget(fx.view, t.ino, 1);
	view_forget(fx.view, u.ino, 1);
	assert_int_equal(view_getattr(fx.view, t.ino, &t), -ESTALE);
	assert_int_equal(view_getattr(fx.view, u.ino, &u), -ESTALE);
}

/* --- rename --- */

static void test_rename_base_directory(void **state)
{
	uint64_t ino = fixture_ino(&fx, "dir"),
		 deep = fixture_ino(&fx, "dir/sub/deep");

	(void)state;
	assert_int_equal(ops->rename(&fx, "dir", "other/moved", 0), 0);
	fixture_assert_absent(&fx, "dir");
	assert_int_equal(fixture_ino(&fx, "other/moved"), ino);
	assert_int_equal(fixture_ino(&fx, "other/moved/sub/deep"), deep);
	fixture_assert_content(&fx, "other/moved/sub/deep", "deep");
	assert_int_equal(fixture_links(&fx, ""), 4);
	assert_int_equal(fixture_links(&fx, "other"), 3);
	fixture_assert_diff(fx.view, "R dir -> other/moved\n");
	assert_int_equal(ops->rename(&fx, "other", "other/moved/sub/x", 0),
			 -EINVAL);
	fixture_put(&fx, "other/moved/one", "changed");
	assert_int_equal(ops->unlink(&fx, "other/moved/two"), 0);
	fixture_put(&fx, "other/moved/sub/new", "n");
	fixture_assert_diff(fx.view, "R dir -> other/moved\n"
				     "M other/moved/one\n"
				     "A other/moved/sub/new\n"
				     "D other/moved/two\n");
	fixture_assert_replays_all(&fx);
	assert_int_equal(ops->rename(&fx, "other/moved", "dir", 0), 0);
	fixture_assert_diff(fx.view, "M dir/one\nA dir/sub/new\nD dir/two\n");
	fixture_assert_replays_all(&fx);
}

static void test_rename_over(void **state)
{
	(void)state;
	fixture_put(&fx, "new", "new");
	assert_int_equal(ops->rename(&fx, "new", "a", 0), 0);
	fixture_assert_content(&fx, "a", "new");
	fixture_assert_content(&fx, "dir/hard", "hello");
	assert_int_equal(fixture_links(&fx, "dir/hard"), 1);
	assert_int_equal(ops->rename(&fx, "b", "dir/two", 0), 0);
	fixture_assert_content(&fx, "dir/two", "world");
	fixture_assert_diff(fx.view, "M a\nR b -> dir/two\n");
	fixture_assert_replays(&fx);
	assert_int_equal(ops->rename(&fx, "a", "dir", 0), -EISDIR);
	assert_int_equal(ops->rename(&fx, "dir", "a", 0), -ENOTDIR);
	assert_int_equal(ops->rename(&fx, "other", "dir", 0), -ENOTEMPTY);
	assert_int_equal(ops->rename(&fx, "dir/sub", "dir", 0), -ENOTEMPTY);
	assert_int_equal(ops->rename(&fx, "none", "a", 0), -ENOENT);
	assert_int_equal(ops->rename(&fx, "other", "empty", 0), 0);
	fixture_assert_content(&fx, "empty/o", "o");
	fixture_assert_absent(&fx, "other");
	assert_int_equal(fixture_links(&fx, ""), 4);
	fixture_assert_replays_all(&fx);
}

static void test_rename_flags(void **state)
{
	uint64_t a = fixture_ino(&fx, "a"), sub = fixture_ino(&fx, "dir/sub");

	(void)state;
	assert_int_equal(ops->rename(&fx, "a", "b", RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(ops->rename(&fx, "a", "n", RENAME_EXCHANGE), -ENOENT);
	assert_int_equal(ops->rename(&fx, "a", "n", 8), -EINVAL);
	assert_int_equal(ops->rename(&fx, "a", "n", RENAME_NOREPLACE), 0);
	assert_int_equal(ops->rename(&fx, "n", "dir/sub", RENAME_EXCHANGE), 0);
	assert_int_equal(fixture_ino(&fx, "n"), sub);
	assert_int_equal(fixture_ino(&fx, "dir/sub"), a);
	fixture_assert_content(&fx, "n/deep", "deep");
	assert_int_equal(fixture_links(&fx, "dir"), 2);
	assert_int_equal(fixture_links(&fx, ""), 6);
	assert_int_equal(ops->rename(&fx, "n", "n/deep", RENAME_EXCHANGE),
			 -EINVAL);
	fixture_assert_replays_all(&fx);
}

static void test_rename_swap_of_base(void **state)
{
	(void)state;
	assert_int_equal(ops->rename(&fx, "a", "t", 0), 0);
	assert_int_equal(ops->rename(&fx, "b", "a", 0), 0);
	assert_int_equal(ops->rename(&fx, "t", "b", 0), 0);
	fixture_assert_content(&fx, "a", "world");
	fixture_assert_content(&fx, "b", "hello");
	fixture_assert_replays_all(&fx);
}

#define BASE(f) FIXTURE_TEST(f, fixture_setup_base, &fx)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BASE(test_create),
		BASE(test_create_over_base),
		BASE(test_new_directory_is_opaque),
		BASE(test_hard_links),
		BASE(test_removed_while_open),
		BASE(test_removed_directory),
		BASE(test_adopted_orphans),
		BASE(test_adopted_names),
		BASE(test_rename_base_directory),
		BASE(test_rename_over),
		BASE(test_rename_flags),
		BASE(test_rename_swap_of_base),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
