/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view as a whole: what it shows of a base and of nothing, its listings,
 * being read-only, reset, and the difference to its base.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/cleanup.h"

#include "view_fixture.h"

static struct fixture fx;
static const struct tree_ops *const ops = &fixture_ops;

/* --- base --- */

static void test_base_is_seen(void **state)
{
	struct view_attr a;
	char target[16];

	(void)state;
	fixture_assert_content(&fx, "a", "hello");
	fixture_assert_content(&fx, "dir/hard", "hello");
	assert_int_equal(fixture_ino(&fx, "a"), fixture_ino(&fx, "dir/hard"));
	assert_int_equal(fixture_links(&fx, "a"), 2);
	assert_int_equal(fixture_links(&fx, ""), 5);
	assert_int_equal(fixture_links(&fx, "dir"), 3);
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
	fixture_assert_absent(&fx, "nothing");
	fixture_assert_diff(fx.view, "");
	fixture_assert_replays(&fx);
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
		fixture_put(&fx, path, "");
	}
	while (list_step(&l, fixture_ino(&fx, "dir"), 3)) {
		snprintf(path, sizeof(path), "dir/x%u", step);
		if (step < 300)
			fixture_put(&fx, path, "");
		snprintf(path, sizeof(path), "dir/f%u", 2 * step + 1);
		if (step < 100)
			assert_int_equal(ops->unlink(&fx, path), 0);
		if (step == 1) {
			assert_int_equal(ops->unlink(&fx, "dir/two"), 0);
			fixture_put(&fx, "dir/two", "again");
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
	fixture_assert_replays(&fx);
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
	assert_int_equal(fixture_links(&fx, ""), 2);
	view_stats(fx.view, &stats);
	assert_false(stats.dirty);
	assert_false(view_catalog(fx.view, &d));
	fixture_dump(fx.view, &before);
	fixture_reopen(&fx);
	fixture_dump(fx.view, &after);
	fixture_assert_same(&before, &after);
	fixture_put(&fx, "f", "x");
	assert_int_equal(fixture_mkdir(&fx, "d"), 0);
	fixture_put(&fx, "d/g", "y");
	fixture_assert_diff(fx.view, "A d\nA d/g\nA f\n");
	view_stats(fx.view, &stats);
	assert_true(stats.dirty);
	fixture_assert_replays_all(&fx);
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
	fixture_put(&fx, "new", "x");
	ino = fixture_ino(&fx, "new");
	fixture_put(&fx, "a", "changed");
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
	fixture_assert_replays(&fx);
	fixture_put(&fx, "new", "y");
	assert_true(fixture_ino(&fx, "new") > ino); /* never used again */
	fixture_assert_replays_all(&fx);
}

static void test_numbers_are_not_used_again(void **state)
{
	uint64_t ino;

	(void)state;
	fixture_put(&fx, "n", "x");
	ino = fixture_ino(&fx, "n");
	assert_int_equal(ops->unlink(&fx, "n"), 0);
	fixture_reopen(&fx);
	fixture_put(&fx, "n", "x");
	assert_true(fixture_ino(&fx, "n") > ino);
	ino = fixture_ino(&fx, "n");
	assert_int_equal(ops->unlink(&fx, "n"), 0);
	fixture_force_checkpoint(&fx);
	fixture_reopen(&fx);
	fixture_put(&fx, "n", "x");
	assert_true(fixture_ino(&fx, "n") > ino);
}

static void test_diff(void **state)
{
	(void)state;
	fixture_put(&fx, "dir/one", "different");
	fixture_put(&fx, "dir/sub/new", "n");
	assert_int_equal(ops->chmod(&fx, "dir/two", 0600), 0);
	assert_int_equal(ops->unlink(&fx, "b"), 0);
	assert_int_equal(fixture_mkdir(&fx, "d"), 0);
	fixture_put(&fx, "d/x", "x");
	assert_int_equal(ops->unlink(&fx, "link"), 0);
	assert_int_equal(ops->symlink(&fx, "elsewhere", "link"), 0);
	assert_int_equal(ops->unlink(&fx, "zero"), 0);
	assert_int_equal(fixture_mkdir(&fx, "zero"), 0);
	fixture_put(&fx, "zero/in", "x");
	assert_int_equal(ops->rename(&fx, "suid", "dir/moved", 0), 0);
	assert_int_equal(ops->chmod(&fx, "empty", 0711), 0);
	fixture_assert_diff(fx.view, "D b\nA d\nA d/x\nR suid -> dir/moved\n"
				     "M dir/one\nA dir/sub/new\nP dir/two\n"
				     "P empty\nM link\nM zero\nA zero/in\n");
	fixture_assert_replays(&fx);
	fixture_assert_diff(fx.view, "D b\nA d\nA d/x\nR suid -> dir/moved\n"
				     "M dir/one\nA dir/sub/new\nP dir/two\n"
				     "P empty\nM link\nM zero\nA zero/in\n");
}

/* A changed file that has two names in the base is changed at both. */
static void test_diff_hard_link(void **state)
{
	(void)state;
	fixture_put(&fx, "a", "x");
	fixture_assert_diff(fx.view, "M a\nM dir/hard\n");
}

#define BASE(f) FIXTURE_TEST(f, fixture_setup_base, &fx)
#define EMPTY(f) FIXTURE_TEST(f, fixture_setup_empty, &fx)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BASE(test_base_is_seen),
		BASE(test_lookup_errors),
		BASE(test_readdir_while_changing),
		BASE(test_large_directory),
		BASE(test_read_only),
		EMPTY(test_empty_base),
		BASE(test_reset),
		BASE(test_numbers_are_not_used_again),
		BASE(test_diff),
		BASE(test_diff_hard_link),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
