/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes in the view: mode, owner and the privileges that writing takes
 * away, times, extended attributes, ACLs, special files and files without a
 * name.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "view_fixture.h"

static struct fixture fx;
static const struct tree_ops *const ops = &fixture_ops;

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
	fixture_assert_replays_all(&fx);
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
	fixture_assert_replays(&fx);
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
	fixture_assert_replays_all(&fx);
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
	fixture_assert_replays_all(&fx);
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
	fixture_put(&fx, "dir/one", "x");
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
	fixture_assert_replays_all(&fx);
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
	fixture_assert_replays_all(&fx);
	v = fx.view;
	assert_int_equal(view_removexattr(v, ino, "user.a"), 0);
	assert_int_equal(view_removexattr(v, ino, "user.a"), -ENODATA);
	assert_int_equal(view_removexattr(v, ino, "user.b"), 0);
	assert_int_equal(view_removexattr(v, ino, "user.c"), 0);
	assert_int_equal(view_listxattr(v, ino, true, NULL, 0), 0);
	fixture_assert_replays_all(&fx);
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
	fixture_assert_replays_all(&fx);
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
	fixture_assert_replays(&fx);
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
	fixture_assert_replays(&fx);
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
	fixture_assert_replays(&fx);
	fixture_assert_content(&fx, "dir/kept", "kept");
	assert_int_equal(view_getattr(fx.view, lost.ino, &a), -ESTALE);
	assert_int_equal(view_tmpfile(fx.view, fixture_ino(&fx, "a"), 0666,
				      &cred, &a),
			 -ENOTDIR);
}

#define BASE(f) FIXTURE_TEST(f, fixture_setup_base, &fx)

int main(void)
{
	const struct CMUnitTest tests[] = {
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
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
