/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view over a base and over nothing: each operation on names of the base,
 * of the upper, of both, removed, opaque, renamed and hard-linked; the same
 * tree again after a replay of the log and of a checkpoint; the random tester.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/log.h"

#include "view_fixture.h"

static struct fixture fx;
static const struct tree_ops *const ops = &fixture_ops;

/* Enough records that closing writes a checkpoint. */
static void force_checkpoint(void)
{
	unsigned i;

	for (i = 0; i < 1100; i++)
		assert_int_equal(ops->chmod(&fx, "", i % 2 ? 0755 : 0700), 0);
}

/* The tree is the same after a replay. */
static void assert_replays(void)
{
	_cleanup_buf_ struct buf before = BUF_INIT, after = BUF_INIT;

	fixture_dump(fx.view, &before);
	fixture_reopen(&fx);
	fixture_dump(fx.view, &after);
	fixture_assert_same(&before, &after);
}

/* ... and again from a checkpoint. */
static void assert_replays_all(void)
{
	assert_replays();
	force_checkpoint();
	assert_replays();
	assert_replays();
}

static void put(const char *path, const char *text)
{
	assert_int_equal(fixture_write(&fx, path, text), 0);
}

static uint32_t links(const char *path)
{
	struct view_attr a;

	fixture_attr(&fx, path, &a);
	return a.nlink;
}

static void assert_absent(const char *path)
{
	assert_int_equal(fixture_ino(&fx, path), 0);
}

/* --- base --- */

static void test_base_is_seen(void **state)
{
	struct view_attr a;
	char target[16];

	(void)state;
	fixture_assert_content(&fx, "a", "hello");
	fixture_assert_content(&fx, "dir/hard", "hello");
	assert_int_equal(fixture_ino(&fx, "a"), fixture_ino(&fx, "dir/hard"));
	assert_int_equal(links("a"), 2);
	assert_int_equal(links(""), 5);
	assert_int_equal(links("dir"), 3);
	fixture_attr(&fx, "suid", &a);
	assert_int_equal(a.mode, S_IFREG | 04755);
	assert_int_equal(a.uid, 0);
	assert_int_equal(ops->readlink(&fx, "link", target, sizeof(target)), 7);
	assert_memory_equal(target, "dir/one", 7);
	fixture_attr(&fx, "link", &a);
	assert_int_equal(a.size, 7);
	fixture_attr(&fx, "sparse", &a);
	assert_int_equal(a.size, 9000004);
	assert_true(a.blocks * 512 < a.size);
	assert_absent("nothing");
	fixture_assert_diff(fx.view, "");
	assert_replays();
}

static void test_lookup_errors(void **state)
{
	struct view_attr a;
	char longer[257];

	(void)state;
	memset(longer, 'x', sizeof(longer));
	assert_int_equal(view_lookup(fx.view, VIEW_ROOT, longer, 256, &a),
			 -ENAMETOOLONG);
	assert_int_equal(view_lookup(fx.view, VIEW_ROOT, longer, 255, &a),
			 -ENOENT);
	assert_int_equal(view_lookup(fx.view, VIEW_ROOT, "", 0, &a), -EINVAL);
	assert_int_equal(view_lookup(fx.view, fixture_ino(&fx, "a"), "..", 2,
				     &a),
			 -ENOTDIR);
	assert_int_equal(view_lookup(fx.view, fixture_ino(&fx, "a"), "x", 1,
				     &a),
			 -ENOTDIR);
	assert_int_equal(view_lookup(fx.view, VIEW_INO_FIRST, "x", 1, &a),
			 -ESTALE);
	assert_int_equal(view_getattr(fx.view, VIEW_INO_FIRST, &a), -ESTALE);
	assert_int_equal(view_getattr(fx.view, 0, &a), -ESTALE);
}

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
	put("new", "text");
	fixture_assert_content(&fx, "new", "text");
	assert_int_equal(ops->create(&fx, "new/x", 0600), -ENOTDIR);
	assert_int_equal(fixture_mkdir(&fx, "d"), 0);
	assert_int_equal(links("d"), 2);
	assert_int_equal(fixture_mkdir(&fx, "d/e"), 0);
	assert_int_equal(links("d"), 3);
	assert_int_equal(ops->symlink(&fx, "over/there", "d/s"), 0);
	fixture_attr(&fx, "d/s", &a);
	assert_int_equal(a.size, 10);
	assert_int_equal(a.mode, S_IFLNK | 0777);
	assert_replays_all();
}

static void test_create_over_base(void **state)
{
	(void)state;
	assert_int_equal(ops->create(&fx, "a", 0600), -EEXIST);
	assert_int_equal(fixture_mkdir(&fx, "dir"), -EEXIST);
	assert_int_equal(ops->unlink(&fx, "b"), 0);
	assert_absent("b");
	assert_int_equal(ops->unlink(&fx, "b"), -ENOENT);
	put("b", "again");
	fixture_assert_content(&fx, "b", "again");
	assert_true(fixture_ino(&fx, "b") >= VIEW_INO_FIRST);
	fixture_assert_diff(fx.view, "M b\n");
	assert_replays_all();
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
	assert_int_equal(links("dir"), 2);
	assert_int_equal(ops->rmdir(&fx, "dir"), 0);
	assert_absent("dir");
	fixture_assert_diff(fx.view, "D dir\n");
	assert_replays();
	assert_int_equal(fixture_mkdir(&fx, "dir"), 0);
	assert_absent("dir/one");
	assert_int_equal(fixture_mkdir(&fx, "dir/sub"), 0);
	assert_absent("dir/sub/deep");
	put("dir/one", "new");
	fixture_assert_content(&fx, "dir/one", "new");
	assert_replays_all();
}

static void test_hard_links(void **state)
{
	(void)state;
	put("a", "changed");
	fixture_assert_content(&fx, "dir/hard", "changed");
	assert_int_equal(ops->unlink(&fx, "a"), 0);
	assert_int_equal(links("dir/hard"), 1);
	fixture_assert_content(&fx, "dir/hard", "changed");
	assert_int_equal(ops->link(&fx, "dir/hard", "third"), 0);
	assert_int_equal(ops->link(&fx, "dir/hard", "third"), -EEXIST);
	assert_int_equal(ops->link(&fx, "dir", "fourth"), -EPERM);
	assert_int_equal(links("third"), 2);
	assert_int_equal(fixture_ino(&fx, "third"),
			 fixture_ino(&fx, "dir/hard"));
	/* Renaming one name over another of the same inode does nothing. */
	assert_int_equal(ops->rename(&fx, "third", "dir/hard", 0), 0);
	assert_int_equal(links("third"), 2);
	assert_replays_all();
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
	assert_absent("b");

	/* A new file: gone for good when it is forgotten. */
	assert_int_equal(view_mknod(fx.view, VIEW_ROOT, "t", 1, S_IFREG | 0600,
				    0, &(struct view_cred){ 0 }, &a),
			 0);
	assert_int_equal(ops->unlink(&fx, "t"), 0);
	assert_int_equal(view_getattr(fx.view, a.ino, &a), 0);
	view_forget(fx.view, a.ino, 1);
	assert_int_equal(view_getattr(fx.view, a.ino, &a), -ESTALE);
	assert_replays_all();
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
	assert_absent("empty");
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
	put("t", "kept");
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
	put("t", "kept");
	put("u", "also");
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
	assert_absent("dir");
	assert_int_equal(fixture_ino(&fx, "other/moved"), ino);
	assert_int_equal(fixture_ino(&fx, "other/moved/sub/deep"), deep);
	fixture_assert_content(&fx, "other/moved/sub/deep", "deep");
	assert_int_equal(links(""), 4);
	assert_int_equal(links("other"), 3);
	fixture_assert_diff(fx.view, "R dir -> other/moved\n");
	assert_int_equal(ops->rename(&fx, "other", "other/moved/sub/x", 0),
			 -EINVAL);
	put("other/moved/one", "changed");
	assert_int_equal(ops->unlink(&fx, "other/moved/two"), 0);
	put("other/moved/sub/new", "n");
	fixture_assert_diff(fx.view, "R dir -> other/moved\n"
				     "M other/moved/one\n"
				     "A other/moved/sub/new\n"
				     "D other/moved/two\n");
	assert_replays_all();
	assert_int_equal(ops->rename(&fx, "other/moved", "dir", 0), 0);
	fixture_assert_diff(fx.view, "M dir/one\nA dir/sub/new\nD dir/two\n");
	assert_replays_all();
}

static void test_rename_over(void **state)
{
	(void)state;
	put("new", "new");
	assert_int_equal(ops->rename(&fx, "new", "a", 0), 0);
	fixture_assert_content(&fx, "a", "new");
	fixture_assert_content(&fx, "dir/hard", "hello");
	assert_int_equal(links("dir/hard"), 1);
	assert_int_equal(ops->rename(&fx, "b", "dir/two", 0), 0);
	fixture_assert_content(&fx, "dir/two", "world");
	fixture_assert_diff(fx.view, "M a\nR b -> dir/two\n");
	assert_replays();
	assert_int_equal(ops->rename(&fx, "a", "dir", 0), -EISDIR);
	assert_int_equal(ops->rename(&fx, "dir", "a", 0), -ENOTDIR);
	assert_int_equal(ops->rename(&fx, "other", "dir", 0), -ENOTEMPTY);
	assert_int_equal(ops->rename(&fx, "dir/sub", "dir", 0), -ENOTEMPTY);
	assert_int_equal(ops->rename(&fx, "none", "a", 0), -ENOENT);
	assert_int_equal(ops->rename(&fx, "other", "empty", 0), 0);
	fixture_assert_content(&fx, "empty/o", "o");
	assert_absent("other");
	assert_int_equal(links(""), 4);
	assert_replays_all();
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
	assert_int_equal(links("dir"), 2);
	assert_int_equal(links(""), 6);
	assert_int_equal(ops->rename(&fx, "n", "n/deep", RENAME_EXCHANGE),
			 -EINVAL);
	assert_replays_all();
}

static void test_rename_swap_of_base(void **state)
{
	(void)state;
	assert_int_equal(ops->rename(&fx, "a", "t", 0), 0);
	assert_int_equal(ops->rename(&fx, "b", "a", 0), 0);
	assert_int_equal(ops->rename(&fx, "t", "b", 0), 0);
	fixture_assert_content(&fx, "a", "world");
	fixture_assert_content(&fx, "b", "hello");
	assert_replays_all();
}

/* --- content --- */

static void test_write_base_file(void **state)
{
	char buf[16];
	struct view_attr a;
	uint64_t ino = fixture_ino(&fx, "big");
	uint8_t *old = malloc(5000000), *now = malloc(5000000);

	(void)state;
	assert_true(old && now);
	assert_int_equal(ops->read(&fx, "big", old, 5000000, 0), 5000000);
	assert_int_equal(ops->write(&fx, "big", "xyz", 3, 100000), 3);
	memcpy(old + 100000, "xyz", 3);
	assert_int_equal(ops->write(&fx, "big", "end", 3, 4999998), 3);
	memcpy(old + 4999998, "en", 2);
	assert_int_equal(ops->read(&fx, "big", now, 5000000, 0), 5000000);
	assert_memory_equal(old, now, 5000000);
	assert_int_equal(fixture_ino(&fx, "big"), ino);
	fixture_attr(&fx, "big", &a);
	assert_int_equal(a.size, 5000001);
	assert_int_equal(ops->read(&fx, "big", buf, 16, 4999998), 3);
	assert_memory_equal(buf, "end", 3);
	fixture_assert_diff(fx.view, "M big\n");
	assert_replays_all();
	free(old);
	free(now);
}

static void test_truncate(void **state)
{
	const struct view_attr none = { .size = 0 };
	struct view_attr a;
	char buf[16];

	(void)state;
	assert_int_equal(ops->truncate(&fx, "a", 2), 0);
	assert_int_equal(ops->truncate(&fx, "a", 6), 0);
	assert_int_equal(ops->read(&fx, "a", buf, 16, 0), 6);
	assert_memory_equal(buf, "he\0\0\0\0", 6);
	assert_int_equal(ops->truncate(&fx, "dir", 0), -EISDIR);
	assert_int_equal(view_setattr(fx.view, fixture_ino(&fx, "link"),
				      VIEW_SET_SIZE, &none, &a),
			 -EINVAL);
	assert_replays();
	assert_int_equal(ops->truncate(&fx, "zero", INT64_MAX), 0);
	assert_int_equal(ops->truncate(&fx, "zero", UINT64_MAX), -EFBIG);
	assert_int_equal(ops->write(&fx, "zero", "xy", 2, INT64_MAX - 1),
			 -EFBIG);
	assert_int_equal(ops->truncate(&fx, "zero", 0), 0);
	assert_replays_all();
}

static void test_holes(void **state)
{
	struct view_attr a;
	uint64_t off, ino;
	char buf[8];

	(void)state;
	assert_int_equal(ops->create(&fx, "h", 0600), 0);
	assert_int_equal(ops->write(&fx, "h", "data", 4, 5000000000), 4);
	ino = fixture_ino(&fx, "h");
	fixture_attr(&fx, "h", &a);
	assert_int_equal(a.size, 5000000004);
	assert_true(a.blocks <= 8);
	assert_int_equal(view_lseek(fx.view, ino, 0, SEEK_DATA, &off), 0);
	assert_int_equal(off, 5000000000);
	assert_int_equal(view_lseek(fx.view, ino, 0, SEEK_HOLE, &off), 0);
	assert_int_equal(off, 0);
	assert_int_equal(
		view_lseek(fx.view, ino, off + 5000000001, SEEK_HOLE, &off), 0);
	assert_int_equal(off, 5000000004);
	assert_int_equal(view_lseek(fx.view, ino, off, SEEK_DATA, &off),
			 -ENXIO);
	assert_int_equal(fixture_punch(&fx, "h", 5000000001, 2), 0);
	assert_int_equal(ops->read(&fx, "h", buf, 8, 5000000000), 4);
	assert_memory_equal(buf, "d\0\0a", 4);
	assert_int_equal(ops->truncate(&fx, "h", 10), 0);
	assert_int_equal(view_lseek(fx.view, ino, 0, SEEK_DATA, &off), -ENXIO);

	/* The base's holes are holes. */
	ino = fixture_ino(&fx, "sparse");
	assert_int_equal(view_lseek(fx.view, ino, 0, SEEK_DATA, &off), 0);
	assert_int_equal(off, 0);
	assert_int_equal(ops->write(&fx, "sparse", "mid", 3, 5000000), 3);
	assert_int_equal(fixture_punch(&fx, "sparse", 0, 4), 0);
	assert_int_equal(ops->read(&fx, "sparse", buf, 4, 0), 4);
	assert_memory_equal(buf, "\0\0\0\0", 4);
	assert_replays_all();
}

static void test_fallocate(void **state)
{
	struct view_attr a;
	uint64_t ino = fixture_ino(&fx, "a");

	(void)state;
	assert_int_equal(view_fallocate(fx.view, ino, 0, 0, 100), 0);
	fixture_attr(&fx, "a", &a);
	assert_int_equal(a.size, 100);
	assert_int_equal(
		view_fallocate(fx.view, ino, FALLOC_FL_KEEP_SIZE, 0, 1000), 0);
	fixture_attr(&fx, "a", &a);
	assert_int_equal(a.size, 100);
	assert_int_equal(view_fallocate(fx.view, ino, FALLOC_FL_COLLAPSE_RANGE,
					0, 10),
			 -EOPNOTSUPP);
	assert_int_equal(view_fallocate(fx.view, ino, FALLOC_FL_PUNCH_HOLE, 0,
					10),
			 -EOPNOTSUPP);
	assert_int_equal(view_fallocate(fx.view, ino, 0, 0, 0), -EINVAL);
	assert_int_equal(view_fallocate(fx.view, ino, 0, 0, UINT64_C(1) << 60),
			 -ENOSPC);
	assert_replays();
}

/* Writing what the upper has already goes to the own file, in all mixtures. */
static void test_rewriting(void **state)
{
	uint8_t want[300000] = { 0 }, got[300000];
	char chunk[64];
	unsigned i;

	(void)state;
	assert_int_equal(ops->create(&fx, "f", 0600), 0);
	for (i = 0; i < 2000; i++) {
		size_t off = i * 7919u % (sizeof(want) - sizeof(chunk));

		memset(chunk, 'a' + (int)(i % 26), sizeof(chunk));
		assert_int_equal(ops->write(&fx, "f", chunk, sizeof(chunk),
					    off),
				 sizeof(chunk));
		memcpy(want + off, chunk, sizeof(chunk));
	}
	assert_int_equal(ops->truncate(&fx, "f", sizeof(want)), 0);
	assert_int_equal(ops->read(&fx, "f", got, sizeof(got), 0), sizeof(got));
	assert_memory_equal(got, want, sizeof(want));
	assert_replays_all();
	assert_int_equal(ops->read(&fx, "f", got, sizeof(got), 0), sizeof(got));
	assert_memory_equal(got, want, sizeof(want));
}

/* --- attributes --- */

static void test_setattr(void **state)
{
	struct view_attr a = { .mode = 0600, .uid = 7, .gid = 8 }, got;
	uint64_t ino = fixture_ino(&fx, "suid");

	(void)state;
	assert_int_equal(view_setattr(fx.view, ino, VIEW_SET_UID, &a, &got), 0);
	assert_int_equal(got.mode, S_IFREG | 0755);
	assert_int_equal(got.uid, 7);
	assert_int_equal(got.gid, 0);
	a.mtime = (struct timespec){ 123, 456789 };
	a.atime = (struct timespec){ -5, 1 };
	assert_int_equal(view_setattr(fx.view, ino,
				      VIEW_SET_MTIME | VIEW_SET_ATIME, &a,
				      &got),
			 0);
	assert_int_equal(got.mtime.tv_sec, 123);
	assert_int_equal(got.mtime.tv_nsec, 456789);
	assert_int_equal(got.atime.tv_sec, -5);
	assert_true(got.ctime.tv_sec > 1000);
	a.mtime.tv_nsec = 1000000000;
	assert_int_equal(view_setattr(fx.view, ino, VIEW_SET_MTIME, &a, &got),
			 -EINVAL);
	fixture_assert_diff(fx.view, "P suid\n");
	assert_replays_all();
}

static void test_privileges_are_cleared(void **state)
{
	struct view_attr a = { .mode = 06775 }, got;
	uint64_t ino = fixture_ino(&fx, "a");
	char cap[20];

	(void)state;
	assert_int_equal(view_setattr(fx.view, ino, VIEW_SET_MODE, &a, &got),
			 0);
	assert_int_equal(view_write(fx.view, ino, "x", 1, 0, false), 1);
	fixture_attr(&fx, "a", &got);
	assert_int_equal(got.mode, S_IFREG | 06775);
	assert_int_equal(view_setxattr(fx.view, ino, "security.capability", "c",
				       1, 0),
			 0);
	assert_int_equal(view_setxattr(fx.view, ino, "user.u", "u", 1, 0), 0);
	assert_int_equal(view_write(fx.view, ino, "x", 1, 0, true), 1);
	fixture_attr(&fx, "a", &got);
	assert_int_equal(got.mode, S_IFREG | 0775);
	assert_int_equal(view_getxattr(fx.view, ino, "security.capability", cap,
				       sizeof(cap)),
			 -ENODATA);
	assert_int_equal(
		view_getxattr(fx.view, ino, "user.u", cap, sizeof(cap)), 1);
	a.mode = 02644; /* no group execution: mandatory locking, it stays */
	view_setattr(fx.view, ino, VIEW_SET_MODE, &a, &got);
	assert_int_equal(
		view_setattr(fx.view, ino, VIEW_SET_KILL_PRIV, &a, &got), 0);
	assert_int_equal(got.mode, S_IFREG | 02644);
	assert_replays();
}

static void test_setgid_directory(void **state)
{
	const struct view_cred cred = { .uid = 5, .gid = 6 };
	struct view_attr a = { .mode = 02775, .gid = 42 }, got;
	uint64_t dir = fixture_ino(&fx, "empty");

	(void)state;
	view_setattr(fx.view, dir, VIEW_SET_MODE | VIEW_SET_GID, &a, &got);
	assert_int_equal(got.mode, S_IFDIR | 02775);
	assert_int_equal(view_mkdir(fx.view, dir, "d", 1, 0755, &cred, &got),
			 0);
	assert_int_equal(got.mode, S_IFDIR | 02755);
	assert_int_equal(got.gid, 42);
	assert_int_equal(got.uid, 5);
	assert_int_equal(view_mknod(fx.view, dir, "f", 1, S_IFREG | 0644, 0,
				    &cred, &got),
			 0);
	assert_int_equal(got.mode, S_IFREG | 0644);
	assert_int_equal(got.gid, 42);
	assert_int_equal(view_mknod(fx.view, VIEW_ROOT, "f", 1, S_IFREG | 0644,
				    0, &cred, &got),
			 0);
	assert_int_equal(got.gid, 6);
	assert_replays_all();
}

static void test_special_files(void **state)
{
	const struct view_cred cred = { 0 };
	struct view_attr a;

	(void)state;
	assert_int_equal(view_mknod(fx.view, VIEW_ROOT, "p", 1, S_IFIFO | 0600,
				    9, &cred, &a),
			 0);
	assert_int_equal(a.rdev, 0);
	assert_int_equal(view_mknod(fx.view, VIEW_ROOT, "c", 1, S_IFCHR | 0600,
				    0x103, &cred, &a),
			 0);
	assert_int_equal(a.rdev, 0x103);
	assert_int_equal(view_mknod(fx.view, VIEW_ROOT, "s", 1, S_IFSOCK | 0600,
				    0, &cred, &a),
			 0);
	assert_int_equal(view_mknod(fx.view, VIEW_ROOT, "x", 1, S_IFDIR | 0600,
				    0, &cred, &a),
			 -EINVAL);
	assert_int_equal(view_write(fx.view, fixture_ino(&fx, "p"), "x", 1, 0,
				    false),
			 -EINVAL);
	assert_replays_all();
}

/* The times that each operation changes. */
static void test_times(void **state)
{
	const struct timespec old = { 1000, 5 };
	struct view_attr a = { .mtime = old, .ctime = old }, dir, file;
	const unsigned both = VIEW_SET_MTIME | VIEW_SET_CTIME;

	(void)state;
#define OLD(path)                                                            \
	assert_int_equal(view_setattr(fx.view, fixture_ino(&fx, path), both, \
				      &a, &file),                            \
			 0)
#define ASSERT_TIMES(path, m, c)                                \
	do {                                                    \
		fixture_attr(&fx, path, &file);                 \
		assert_int_equal(file.mtime.tv_sec != 1000, m); \
		assert_int_equal(file.ctime.tv_sec != 1000, c); \
	} while (0)
	OLD("dir");
	OLD("dir/one");
	fixture_attr(&fx, "dir", &dir);
	assert_int_equal(dir.mtime.tv_sec, 1000);
	/* Content of a child is not the directory's matter. */
	put("dir/one", "x");
	ASSERT_TIMES("dir", false, false);
	ASSERT_TIMES("dir/one", true, true);
	OLD("dir/one");
	assert_int_equal(ops->chmod(&fx, "dir/one", 0600), 0);
	ASSERT_TIMES("dir/one", false, true);
	OLD("dir/one");
	assert_int_equal(ops->truncate(&fx, "dir/one", 1), 0);
	ASSERT_TIMES("dir/one", true, true);
	OLD("dir/one");
	assert_int_equal(ops->link(&fx, "dir/one", "dir/l"), 0);
	ASSERT_TIMES("dir/one", false, true);
	ASSERT_TIMES("dir", true, true);
	OLD("dir");
	OLD("dir/one");
	assert_int_equal(ops->unlink(&fx, "dir/l"), 0);
	ASSERT_TIMES("dir/one", false, true);
	ASSERT_TIMES("dir", true, true);
	OLD("dir");
	OLD("other");
	OLD("dir/one");
	assert_int_equal(ops->rename(&fx, "dir/one", "other/one", 0), 0);
	ASSERT_TIMES("dir", true, true);
	ASSERT_TIMES("other", true, true);
	ASSERT_TIMES("other/one", false, true);
	OLD("other/one");
	assert_int_equal(ops->setxattr(&fx, "other/one", "user.a", "b", 1, 0),
			 0);
	ASSERT_TIMES("other/one", false, true);
	assert_replays_all();
}

static void test_xattrs(void **state)
{
	uint64_t ino = fixture_ino(&fx, "a");
	struct view *v = fx.view;
	char buf[64];
	char *large = calloc(1, 65536);

	(void)state;
	assert_non_null(large);
	assert_int_equal(view_listxattr(v, ino, true, NULL, 0), 0);
	assert_int_equal(view_setxattr(v, ino, "user.b", "2", 1, 0), 0);
	assert_int_equal(view_setxattr(v, ino, "user.a", "11", 2, XATTR_CREATE),
			 0);
	assert_int_equal(view_setxattr(v, ino, "user.a", "x", 1, XATTR_CREATE),
			 -EEXIST);
	assert_int_equal(view_setxattr(v, ino, "user.c", "x", 1, XATTR_REPLACE),
			 -ENODATA);
	assert_int_equal(view_setxattr(v, ino, "user.c", NULL, 0, 0), 0);
	assert_int_equal(view_listxattr(v, ino, true, NULL, 0), 21);
	assert_int_equal(view_listxattr(v, ino, true, buf, 20), -ERANGE);
	assert_int_equal(view_listxattr(v, ino, true, buf, sizeof(buf)), 21);
	assert_memory_equal(buf, "user.a\0user.b\0user.c", 21);
	assert_int_equal(view_getxattr(v, ino, "user.a", buf, 0), 2);
	assert_int_equal(view_getxattr(v, ino, "user.a", buf, 1), -ERANGE);
	assert_int_equal(view_getxattr(v, ino, "user.a", buf, 9), 2);
	assert_int_equal(view_getxattr(v, ino, "user.c", buf, 9), 0);
	assert_int_equal(view_getxattr(v, ino, "user.d", buf, 9), -ENODATA);
	assert_int_equal(view_setxattr(v, ino, "user.l", large, 65536, 0),
			 -ENOSPC);
	assert_replays_all();
	v = fx.view;
	assert_int_equal(view_removexattr(v, ino, "user.a"), 0);
	assert_int_equal(view_removexattr(v, ino, "user.a"), -ENODATA);
	assert_int_equal(view_removexattr(v, ino, "user.b"), 0);
	assert_int_equal(view_removexattr(v, ino, "user.c"), 0);
	assert_int_equal(view_listxattr(v, ino, true, NULL, 0), 0);
	assert_replays_all();
	free(large);
}

/* The base's attributes, and taking the last one away. */
static void test_base_xattrs(void **state)
{
	uint64_t ino = fixture_ino(&fx, "b");
	char buf[16];

	(void)state;
	if (view_getxattr(fx.view, ino, "user.k", buf, sizeof(buf)) < 0)
		skip(); /* the test's file system has none */
	assert_memory_equal(buf, "value", 5);
	assert_int_equal(view_setxattr(fx.view, ino, "user.a", "z", 1, 0), 0);
	assert_int_equal(
		view_getxattr(fx.view, ino, "user.k", buf, sizeof(buf)), 5);
	assert_int_equal(view_removexattr(fx.view, ino, "user.a"), 0);
	assert_int_equal(view_removexattr(fx.view, ino, "user.k"), 0);
	assert_int_equal(view_listxattr(fx.view, ino, true, NULL, 0), 0);
	fixture_assert_diff(fx.view, "P b\n");
	assert_replays_all();
	assert_int_equal(view_listxattr(fx.view, ino, true, NULL, 0), 0);
}

/* An ACL of rw- for the owner, r-- for a user, --- for the group, a mask of
 * r-x and --- for others. */
static const uint8_t acl[] = {
	2, 0, 0,   0,	0x01, 0,    6,	  0, 255, 255, 255, 255, 0x02, 0,    4,
	0, 9, 0,   0,	0,    0x04, 0,	  0, 0,	  255, 255, 255, 255,  0x10, 0,
	5, 0, 255, 255, 255,  255,  0x20, 0, 0,	  0,   255, 255, 255,  255,
};

static void test_acl_and_mode(void **state)
{
	static const char name[] = "system.posix_acl_access";
	uint64_t ino = fixture_ino(&fx, "a");
	uint8_t got[sizeof(acl)];
	struct view_attr a;

	(void)state;
	assert_int_equal(view_setxattr(fx.view, ino, name, acl, 3, 0), -EINVAL);
	assert_int_equal(view_setxattr(fx.view, ino, name, acl, sizeof(acl), 0),
			 0);
	fixture_attr(&fx, "a", &a);
	assert_int_equal(a.mode, S_IFREG | 0650);
	assert_int_equal(ops->chmod(&fx, "a", 0741), 0);
	assert_int_equal(view_getxattr(fx.view, ino, name, got, sizeof(got)),
			 sizeof(got));
	assert_int_equal(got[6], 7);
	assert_int_equal(got[4 + 8 + 2], 4);	 /* the user's stays */
	assert_int_equal(got[4 + 2 * 8 + 2], 0); /* the group's too */
	assert_int_equal(got[4 + 3 * 8 + 2], 4);
	assert_int_equal(got[4 + 4 * 8 + 2], 1);
	assert_replays();
}

/* The directory's default ACL in place of the umask, for what it applies to. */
static void test_acl_inheritance(void **state)
{
	static const char dflt[] = "system.posix_acl_default";
	static const char access[] = "system.posix_acl_access";
	const struct view_cred cred = { .umask = 077 };
	uint8_t got[sizeof(acl)];
	struct view_attr dir, a;

	(void)state;
	fixture_attr(&fx, "dir", &dir);
	assert_int_equal(
		view_setxattr(fx.view, dir.ino, dflt, acl, sizeof(acl), 0), 0);
	fixture_attr(&fx, "dir", &a);
	assert_int_equal(a.mode, dir.mode);

	assert_int_equal(view_mknod(fx.view, dir.ino, "f", 1, S_IFREG | 0466, 0,
				    &cred, &a),
			 0);
	assert_int_equal(a.mode, S_IFREG | 0440);
	assert_int_equal(view_getxattr(fx.view, a.ino, access, got,
				       sizeof(got)),
			 sizeof(got));
	assert_int_equal(got[6], 4);
	assert_int_equal(got[4 + 8 + 2], 4);
	assert_int_equal(got[4 + 3 * 8 + 2], 4);
	assert_int_equal(view_getxattr(fx.view, a.ino, dflt, got, sizeof(got)),
			 -ENODATA);

	assert_int_equal(view_mkdir(fx.view, dir.ino, "d", 1, 0777, &cred, &a),
			 0);
	assert_int_equal(a.mode, S_IFDIR | 0650);
	assert_int_equal(view_getxattr(fx.view, a.ino, dflt, got, sizeof(got)),
			 sizeof(got));
	assert_memory_equal(got, acl, sizeof(acl));

	assert_int_equal(view_symlink(fx.view, dir.ino, "l", 1, "f", &cred, &a),
			 0);
	assert_int_equal(view_listxattr(fx.view, a.ino, true, NULL, 0), 0);
	assert_int_equal(
		view_mkdir(fx.view, VIEW_ROOT, "u", 1, 0777, &cred, &a), 0);
	assert_int_equal(a.mode, S_IFDIR | 0700);
	assert_replays();
}

/* A file without a name is in no directory, and is lost with its last
 * reference or the daemon; a link keeps it. */
static void test_tmpfile(void **state)
{
	const struct view_cred cred = { .uid = 5, .gid = 6, .umask = 027 };
	struct view_attr dir, lost, kept, a;

	(void)state;
	fixture_attr(&fx, "dir", &dir);
	assert_int_equal(view_tmpfile(fx.view, dir.ino, 0666, &cred, &lost), 0);
	assert_int_equal(lost.nlink, 0);
	assert_int_equal(lost.mode, S_IFREG | 0640);
	assert_int_equal(lost.uid, 5);
	assert_int_equal(view_tmpfile(fx.view, dir.ino, 0666, &cred, &kept), 0);
	assert_int_equal(view_write(fx.view, kept.ino, "kept", 4, 0, false), 4);
	fixture_attr(&fx, "dir", &a);
	assert_int_equal(a.mtime.tv_sec, dir.mtime.tv_sec);
	assert_int_equal(a.nlink, dir.nlink);

	view_forget(fx.view, lost.ino, 1);
	assert_int_equal(view_getattr(fx.view, lost.ino, &a), -ESTALE);
	assert_int_equal(view_link(fx.view, kept.ino, dir.ino, "kept", 4, &a),
			 0);
	assert_int_equal(a.nlink, 1);
	view_forget(fx.view, kept.ino, 2);
	assert_int_equal(view_tmpfile(fx.view, dir.ino, 0666, &cred, &lost), 0);
	assert_replays();
	fixture_assert_content(&fx, "dir/kept", "kept");
	assert_int_equal(view_getattr(fx.view, lost.ino, &a), -ESTALE);
	assert_int_equal(view_tmpfile(fx.view, fixture_ino(&fx, "a"), 0666,
				      &cred, &a),
			 -ENOTDIR);
}

/* --- readdir --- */

struct listing {
	struct buf names; /* text, ended by '\n' each */
	uint64_t next;
	unsigned room;
};

static int list_some(void *arg, const char *name, size_t len,
		     const struct view_attr *attr, uint64_t next)
{
	struct listing *l = arg;

	(void)attr;
	if (l->room == 0)
		return 1;
	l->room--;
	l->next = next;
	buf_printf(&l->names, "%.*s\n", (int)len, name);
	return 0;
}

/* Reads on in steps of `step` names; false at the end. */
static bool list_step(struct listing *l, uint64_t dir, unsigned step)
{
	uint64_t before = l->next;

	l->room = step;
	assert_int_equal(
		view_readdir(fx.view, dir, l->next, false, list_some, l), 0);
	return l->next != before;
}

static unsigned count_name(const struct listing *l, const char *name)
{
	_cleanup_free_ char *copy =
		strndup((char *)l->names.data, l->names.len);
	char *rest = copy, *line;
	unsigned n = 0;

	while ((line = strsep(&rest, "\n")))
		n += strcmp(line, name) == 0;
	return n;
}

/* Names that stay are given once, whatever is made and removed meanwhile. */
static void test_readdir_while_changing(void **state)
{
	struct listing l = { .names = BUF_INIT };
	char path[32];
	unsigned i, step = 0;

	(void)state;
	for (i = 0; i < 200; i++) {
		snprintf(path, sizeof(path), "dir/f%u", i);
		put(path, "");
	}
	while (list_step(&l, fixture_ino(&fx, "dir"), 3)) {
		snprintf(path, sizeof(path), "dir/x%u", step);
		if (step < 300)
			put(path, "");
		snprintf(path, sizeof(path), "dir/f%u", 2 * step + 1);
		if (step < 100)
			assert_int_equal(ops->unlink(&fx, path), 0);
		if (step == 1) {
			assert_int_equal(ops->unlink(&fx, "dir/two"), 0);
			put("dir/two", "again");
		}
		if (step == 20)
			fixture_reopen(&fx);
		step++;
	}
	for (i = 0; i < 200; i += 2) {
		snprintf(path, sizeof(path), "f%u", i);
		assert_int_equal(count_name(&l, path), 1);
	}
	assert_int_equal(count_name(&l, "."), 1);
	assert_int_equal(count_name(&l, ".."), 1);
	assert_int_equal(count_name(&l, "one"), 1);
	assert_int_equal(count_name(&l, "sub"), 1);
	assert_int_equal(count_name(&l, "hard"), 1);
	buf_release(&l.names);
}

static int count_all(void *arg, const char *name, size_t len,
		     const struct view_attr *attr, uint64_t next)
{
	(void)name;
	(void)len;
	(void)attr;
	(void)next;
	++*(unsigned *)arg;
	return 0;
}

static void test_large_directory(void **state)
{
	char path[32];
	unsigned i, n = 0;
	uint64_t dir;

	(void)state;
	assert_int_equal(fixture_mkdir(&fx, "d"), 0);
	for (i = 0; i < 20000; i++) {
		snprintf(path, sizeof(path), "d/%u", i);
		assert_int_equal(ops->create(&fx, path, 0600), 0);
	}
	dir = fixture_ino(&fx, "d");
	assert_int_equal(view_readdir(fx.view, dir, 0, false, count_all, &n),
			 0);
	assert_int_equal(n, 20002);
	for (i = 0; i < 20000; i++) {
		snprintf(path, sizeof(path), "d/%u", i);
		assert_int_equal(ops->unlink(&fx, path), 0);
	}
	assert_int_equal(ops->rmdir(&fx, "d"), 0);
	assert_replays();
}

/* --- the whole --- */

static void test_read_only(void **state)
{
	const struct view_options opt = { .read_only = true, .dirfd = -1 };
	struct view_stats stats;
	struct view_attr a = { .mode = 0600 }, got;
	struct view *keep = fx.view;

	(void)state;
	assert_int_equal(
		view_open(fx.base, fx.fetch, &opt, &fx.view, &fx.damaged), 0);
	fixture_assert_content(&fx, "a", "hello");
	assert_int_equal(ops->create(&fx, "n", 0600), -EROFS);
	assert_int_equal(ops->unlink(&fx, "a"), -EROFS);
	assert_int_equal(ops->write(&fx, "a", "x", 1, 0), -EROFS);
	assert_int_equal(ops->rename(&fx, "a", "n", 0), -EROFS);
	assert_int_equal(ops->setxattr(&fx, "a", "user.a", "b", 1, 0), -EROFS);
	assert_int_equal(view_setattr(fx.view, VIEW_ROOT, VIEW_SET_MODE, &a,
				      &got),
			 -EROFS);
	assert_int_equal(view_reset(fx.view, NULL, NULL), -EROFS);
	assert_int_equal(view_fsync(fx.view, 0), 0);
	view_stats(fx.view, &stats);
	assert_true(stats.read_only);
	assert_false(stats.dirty);
	view_close(fx.view);
	fx.view = keep;
}

static void test_empty_base(void **state)
{
	_cleanup_buf_ struct buf before = BUF_INIT, after = BUF_INIT;
	struct view_stats stats;
	struct digest d;

	(void)state;
	assert_int_equal(links(""), 2);
	view_stats(fx.view, &stats);
	assert_false(stats.dirty);
	assert_false(view_catalog(fx.view, &d));
	fixture_dump(fx.view, &before);
	fixture_reopen(&fx);
	fixture_dump(fx.view, &after);
	fixture_assert_same(&before, &after);
	put("f", "x");
	assert_int_equal(fixture_mkdir(&fx, "d"), 0);
	put("d/g", "y");
	fixture_assert_diff(fx.view, "A d\nA d/g\nA f\n");
	view_stats(fx.view, &stats);
	assert_true(stats.dirty);
	assert_replays_all();
}

struct invalidated {
	unsigned names, inodes;
};

static void invalidate(void *arg, uint64_t ino, const char *name, size_t len)
{
	struct invalidated *inv = arg;

	(void)ino;
	assert_int_equal(len > 0, name != NULL);
	if (name)
		inv->names++;
	else
		inv->inodes++;
}

static void test_reset(void **state)
{
	_cleanup_buf_ struct buf before = BUF_INIT, after = BUF_INIT;
	struct invalidated inv = { 0 };
	struct view_stats stats;
	uint64_t ino;

	(void)state;
	fixture_dump(fx.view, &before);
	put("new", "x");
	ino = fixture_ino(&fx, "new");
	put("a", "changed");
	assert_int_equal(ops->unlink(&fx, "b"), 0);
	assert_int_equal(ops->rename(&fx, "dir", "moved", 0), 0);
	assert_int_equal(view_reset(fx.view, invalidate, &inv), 0);
	assert_int_equal(inv.names, 4);
	assert_true(inv.inodes >= 4);
	fixture_dump(fx.view, &after);
	fixture_assert_same(&before, &after);
	view_stats(fx.view, &stats);
	assert_false(stats.dirty);
	assert_int_equal(stats.upper_names, 0);
	assert_replays();
	put("new", "y");
	assert_true(fixture_ino(&fx, "new") > ino); /* never used again */
	assert_replays_all();
}

static void test_numbers_are_not_used_again(void **state)
{
	uint64_t ino;

	(void)state;
	put("n", "x");
	ino = fixture_ino(&fx, "n");
	assert_int_equal(ops->unlink(&fx, "n"), 0);
	fixture_reopen(&fx);
	put("n", "x");
	assert_true(fixture_ino(&fx, "n") > ino);
	ino = fixture_ino(&fx, "n");
	assert_int_equal(ops->unlink(&fx, "n"), 0);
	force_checkpoint();
	fixture_reopen(&fx);
	put("n", "x");
	assert_true(fixture_ino(&fx, "n") > ino);
}

static void test_diff(void **state)
{
	(void)state;
	put("dir/one", "different");
	put("dir/sub/new", "n");
	assert_int_equal(ops->chmod(&fx, "dir/two", 0600), 0);
	assert_int_equal(ops->unlink(&fx, "b"), 0);
	assert_int_equal(fixture_mkdir(&fx, "d"), 0);
	put("d/x", "x");
	assert_int_equal(ops->unlink(&fx, "link"), 0);
	assert_int_equal(ops->symlink(&fx, "elsewhere", "link"), 0);
	assert_int_equal(ops->unlink(&fx, "zero"), 0);
	assert_int_equal(fixture_mkdir(&fx, "zero"), 0);
	put("zero/in", "x");
	assert_int_equal(ops->rename(&fx, "suid", "dir/moved", 0), 0);
	assert_int_equal(ops->chmod(&fx, "empty", 0711), 0);
	fixture_assert_diff(fx.view, "D b\nA d\nA d/x\nR suid -> dir/moved\n"
				     "M dir/one\nA dir/sub/new\nP dir/two\n"
				     "P empty\nM link\nM zero\nA zero/in\n");
	assert_replays();
	fixture_assert_diff(fx.view, "D b\nA d\nA d/x\nR suid -> dir/moved\n"
				     "M dir/one\nA dir/sub/new\nP dir/two\n"
				     "P empty\nM link\nM zero\nA zero/in\n");
}

/* A changed file that has two names in the base is changed at both. */
static void test_diff_hard_link(void **state)
{
	(void)state;
	put("a", "x");
	fixture_assert_diff(fx.view, "M a\nM dir/hard\n");
}

/* --- the random tester --- */

static void run_random(uint64_t seed, unsigned steps, unsigned reopen)
{
	struct fixture_random w;
	unsigned i;

	print_message("# seed %" PRIu64 "\n", seed);
	fixture_random_init(&w, &fx, seed, 700000);
	for (i = 1; i <= steps; i++) {
		if (!fixture_random_step(&w))
			fail_msg("step %u", i);
		if (i % reopen)
			continue;
		play_close_all(&w.play);
		assert_replays();
		fixture_random_assert_same(&w);
	}
	fixture_random_assert_same(&w);
	play_close_all(&w.play);
	fixture_random_release(&w);
}

static uint64_t seed_or(uint64_t value)
{
	const char *text = getenv("LARDER_TEST_SEED");

	return text ? strtoull(text, NULL, 10) : value;
}

static unsigned steps_or(unsigned value)
{
	const char *text = getenv("LARDER_TEST_STEPS");

	return text ? (unsigned)strtoul(text, NULL, 10) : value;
}

static void test_random_empty(void **state)
{
	(void)state;
	run_random(seed_or(11), steps_or(4000), 400);
}

/* A replay after every single operation. */
static void test_replay_each_step(void **state)
{
	(void)state;
	run_random(seed_or(13), 250, 1);
}

static void random_base(int dirfd)
{
	static const char *const names[] = { "n0", "n1", "n0/n2", "n0/n2/n3",
					     "n0/n4" };
	char path[64];
	unsigned i;
	int fd;

	for (i = 0; i < 5; i++) {
		assert_int_equal(mkdirat(dirfd, names[i], 0755), 0);
		snprintf(path, sizeof(path), "%s/n5", names[i]);
		fd = openat(dirfd, path, O_CREAT | O_WRONLY, 0644);
		assert_true(fd >= 0);
		assert_int_equal(pwrite(fd, path, 1 + i, 90000 * i), 1 + i);
		close(fd);
		assert_int_equal(fchmodat(dirfd, path, 0644, 0), 0);
		assert_int_equal(fchmodat(dirfd, names[i], 0755, 0), 0);
		snprintf(path, sizeof(path), "%s/n6", names[i]);
		assert_int_equal(symlinkat("t", dirfd, path), 0);
	}
}

static int setup_random_base(void **state)
{
	fixture_open(*state, random_base);
	return 0;
}

static void test_random_base(void **state)
{
	(void)state;
	run_random(seed_or(12), steps_or(4000), 400);
}

/* --- failures --- */

#define FAILING "LARDER_TEST_APPEND"

/* Runs in a process of its own, in which the N-th append fails: the operation
 * that fails leaves the view as it was, and the next one works. */
static void test_failing_append(void **state)
{
	_cleanup_buf_ struct buf before = BUF_INIT, after = BUF_INIT;
	unsigned i, failed = 0;
	int r;

	(void)state;
	for (i = 0; i < 12; i++) {
		buf_reset(&before);
		buf_reset(&after);
		fixture_dump(fx.view, &before);
		switch (i) {
		case 0:
			r = ops->create(&fx, "f", 0600);
			break;
		case 1:
			r = (int)ops->write(&fx, "a", "xy", 2, 0);
			break;
		case 2:
			r = (int)ops->write(&fx, "big", "xy", 2, 3000000);
			break;
		case 3:
			r = (int)ops->write(&fx, "big", "yz", 2, 3000000);
			break;
		case 4:
			r = ops->mkdir(&fx, "m", 0700);
			break;
		case 5:
			r = ops->rename(&fx, "dir", "m/dir", 0);
			break;
		case 6:
			r = ops->unlink(&fx, "b");
			break;
		case 7:
			r = ops->truncate(&fx, "big", 10);
			break;
		case 8:
			r = ops->setxattr(&fx, "a", "user.q", "1", 1, 0);
			break;
		case 9:
			r = ops->link(&fx, "a", "l");
			break;
		case 10:
			r = ops->rmdir(&fx, "empty");
			break;
		default:
			r = ops->symlink(&fx, "t", "s");
			break;
		}
		if (r >= 0 || r == -ENOENT)
			continue;
		assert_int_equal(r, -ENOSPC);
		failed++;
		fixture_dump(fx.view, &after);
		fixture_assert_same(&before, &after);
		fixture_reopen(&fx);
		buf_reset(&after);
		fixture_dump(fx.view, &after);
		fixture_assert_same(&before, &after);
	}
	assert_int_equal(failed, 1);
}

static void run_failing(const char *point, unsigned n)
{
	char rule[64];

	snprintf(rule, sizeof(rule), "%s:%u:ENOSPC", point, n);
	setenv("LARDER_FAULT", rule, 1);
	setenv(FAILING, "1", 1);
	if (freopen("/dev/null", "w", stdout))
		execl("/proc/self/exe", "test_view", (char *)NULL);
	_exit(127);
}

static void assert_survives(const char *point, unsigned n)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		run_failing(point, n);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_append_failure(void **state)
{
	unsigned n;

	(void)state;
	for (n = 1; n <= 12; n++)
		assert_survives("log.append", n);
	assert_survives("log.own", 1);
}

/* --- damage --- */

static void corrupt(const char *name, off_t off, bool cut)
{
	_cleanup_close_ int fd = openat(fx.state, name, O_RDWR);
	uint8_t byte;

	assert_true(fd >= 0);
	if (cut) {
		assert_int_equal(ftruncate(fd, off), 0);
		return;
	}
	assert_int_equal(pread(fd, &byte, 1, off), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, off), 1);
}

static off_t size_of(const char *name);

enum { PIECES = 12000, PIECE_STEP = 8192 };

static void put_pieces(void)
{
	uint32_t piece[16];
	unsigned k, i;

	for (k = 0; k < PIECES; k++) {
		for (i = 0; i < 16; i++)
			piece[i] = k + 1;
		assert_int_equal(ops->write(&fx, "big", piece, sizeof(piece),
					    (uint64_t)k * PIECE_STEP),
				 sizeof(piece));
	}
}

/* A file of so many pieces that it takes several records of a checkpoint. */
static void test_checkpoint_of_many_pieces(void **state)
{
	uint32_t got[16];
	unsigned k, turn;

	(void)state;
	put_pieces();
	for (turn = 0; turn < 2; turn++) {
		fixture_view_close(&fx);
		assert_true(size_of("checkpoint") > 2 * (256 << 10));
		fixture_view_open(&fx);
		assert_false(fx.damaged);
		for (k = 0; k < PIECES; k++) {
			assert_int_equal(ops->read(&fx, "big", got, sizeof(got),
						   (uint64_t)k * PIECE_STEP),
					 sizeof(got));
			assert_int_equal(got[0], k + 1);
			assert_int_equal(got[15], k + 1);
		}
		force_checkpoint();
	}
}

static void assert_no_zeros(void)
{
	uint32_t got[16];
	unsigned k;

	for (k = 0; k < PIECES; k++)
		if (ops->read(&fx, "big", got, sizeof(got),
			      (uint64_t)k * PIECE_STEP) > 0)
			assert_int_not_equal(got[0], 0);
}

/* The same, damaged in any of these records: none of it is shown as zeros.
 * The base has the name, so the file is found. */
static void test_flipped_checkpoint(void **state)
{
	unsigned parts = 12, k;
	off_t at;

	(void)state;
	log_set_level((enum log_level)0);
	put_pieces();
	for (k = 1; k < parts; k++) {
		fixture_view_close(&fx);
		at = size_of("checkpoint") / parts * k;
		corrupt("checkpoint", at, false);
		fixture_view_open(&fx);
		assert_true(fx.damaged);
		assert_no_zeros();
		fixture_view_close(&fx);
		corrupt("checkpoint", at, false); /* as it was */
		fixture_view_open(&fx);
		assert_false(fx.damaged);
	}
	log_set_level(LOG_LEVEL_INFO);
}

static off_t size_of(const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(fx.state, name, &st, 0), 0);
	return st.st_size;
}

/* What is readable is what was written, or an error: never another byte. */
static void assert_no_wrong_byte(void)
{
	char name[16], want[64], got[64];
	unsigned i;
	ssize_t n;

	for (i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		snprintf(want, sizeof(want), "content of file number %u", i);
		if (fixture_ino(&fx, name) == 0)
			continue;
		n = ops->read(&fx, name, got, sizeof(got), 0);
		if (n <= 0)
			continue; /* -EIO, or not yet written */
		assert_int_equal(n, strlen(want));
		assert_memory_equal(got, want, (size_t)n);
	}
}

static void write_twenty(void)
{
	char name[16], text[64];
	unsigned i;

	for (i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		snprintf(text, sizeof(text), "content of file number %u", i);
		put(name, text);
	}
}

static void run_damage(bool cut)
{
	off_t size, off;

	/* Each damage is said, which is right and not wanted here. */
	log_set_level((enum log_level)0);
	write_twenty();
	fixture_view_close(&fx);
	size = size_of("log-00000001");
	for (off = size - 1; off > 48; off -= cut ? 97 : 61) {
		corrupt("log-00000001", off, cut);
		fixture_view_open(&fx);
		assert_no_wrong_byte();
		fixture_view_close(&fx);
		if (!cut)
			corrupt("log-00000001", off, false);
	}
	log_set_level(LOG_LEVEL_INFO);
}

static void test_truncated_log(void **state)
{
	(void)state;
	run_damage(true);
}

static void test_flipped_log(void **state)
{
	(void)state;
	run_damage(false);
}

/* Space of what is removed comes back. */
static void test_space_comes_back(void **state)
{
	_cleanup_free_ char *buf = calloc(1, 100000);
	struct view_stats full, empty;
	char name[16];
	unsigned i;

	(void)state;
	assert_non_null(buf);
	memset(buf, 'x', 100000);
	for (i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(ops->create(&fx, name, 0600), 0);
		assert_int_equal(ops->write(&fx, name, buf, 100000, 0), 100000);
	}
	assert_int_equal(ops->create(&fx, "own", 0600), 0);
	for (i = 0; i < 100; i++)
		assert_int_equal(ops->write(&fx, "own", buf, 100000,
					    i * UINT64_C(100000)),
				 100000);
	view_stats(fx.view, &full);
	assert_true(full.upper_bytes >= 40000000);
	for (i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(ops->unlink(&fx, name), 0);
	}
	assert_int_equal(ops->truncate(&fx, "own", 0), 0);
	fixture_reopen(&fx);
	fixture_reopen(&fx);
	view_stats(fx.view, &empty);
	assert_true(empty.upper_bytes < full.upper_bytes / 10);
}

#define BASE(f) FIXTURE_TEST(f, fixture_setup_base, &fx)
#define EMPTY(f) FIXTURE_TEST(f, fixture_setup_empty, &fx)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BASE(test_base_is_seen),
		BASE(test_lookup_errors),
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
		BASE(test_write_base_file),
		BASE(test_truncate),
		BASE(test_holes),
		BASE(test_fallocate),
		BASE(test_rewriting),
		BASE(test_setattr),
		BASE(test_privileges_are_cleared),
		BASE(test_setgid_directory),
		BASE(test_special_files),
		BASE(test_times),
		BASE(test_xattrs),
		BASE(test_base_xattrs),
		BASE(test_acl_and_mode),
		BASE(test_acl_inheritance),
		BASE(test_tmpfile),
		BASE(test_readdir_while_changing),
		BASE(test_large_directory),
		BASE(test_read_only),
		EMPTY(test_empty_base),
		BASE(test_reset),
		BASE(test_numbers_are_not_used_again),
		BASE(test_diff),
		BASE(test_diff_hard_link),
		EMPTY(test_random_empty),
		FIXTURE_TEST(test_random_base, setup_random_base, &fx),
		FIXTURE_TEST(test_replay_each_step, setup_random_base, &fx),
		cmocka_unit_test(test_append_failure),
		EMPTY(test_truncated_log),
		EMPTY(test_flipped_log),
		BASE(test_checkpoint_of_many_pieces),
		BASE(test_flipped_checkpoint),
		EMPTY(test_space_comes_back),
	};

	const struct CMUnitTest failing[] = { BASE(test_failing_append) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (getenv(FAILING))
		return cmocka_run_group_tests(failing, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
