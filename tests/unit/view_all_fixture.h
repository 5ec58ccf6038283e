/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the view of all entries share: a store with two entries,
 * the view of it on a state directory, and what the kernel does with it. A new
 * worker is a view that is opened anew on the same state. Header-only; include
 * it behind cmocka.h.
 */
#ifndef LARDER_TESTS_VIEW_ALL_FIXTURE_H
#define LARDER_TESTS_VIEW_ALL_FIXTURE_H

#include "gc_fixture.h"

#include "fs/all_table.h"
#include "fs/view_all.h"

#define BIG 3000000u /* several chunks */

struct all {
	struct fixture *f;
	struct fetch *fetch;
	struct view_all *all;
	int state;
};

static UNUSED void open_all(struct all *x, bool adopt)
{
	const struct view_all_options o = { .tenant = ENTRY_TENANT_LOCAL,
					    .store = x->f->store,
					    .fetch = x->fetch,
					    .uid = geteuid(),
					    .gid = getegid(),
					    .dirfd = x->state,
					    .adopt = adopt };

	assert_int_equal(view_all_open(&o, &x->all), 0);
}

static UNUSED void restart(struct all *x)
{
	view_all_close(x->all);
	open_all(x, true);
}

/* Two entries: "one" and "two" share same, big and d/deep; d and pair are of
 * their own. */
static UNUSED void make_tree(int fd, const char *own)
{
	write_file(fd, "same", "same", 4);
	write_noise(fd, "big", BIG, 1);
	assert_int_equal(mkdirat(fd, "d", 0755), 0);
	write_file(fd, "d/deep", "deep", 4);
	write_file(fd, "own", own, strlen(own));
	write_file(fd, "pair", "pair", 4);
	assert_int_equal(linkat(fd, "pair", fd, "d/pair", 0), 0);
	assert_int_equal(symlinkat("same", fd, "link"), 0);
	set_time(fd, "same", 1000, 1);
	set_time(fd, "big", 1000, 2);
	set_time(fd, "d/deep", 1000, 3);
	set_time(fd, "own", 1000, 4);
	set_time(fd, "pair", 1000, 5);
}

static UNUSED void import(struct all *x, const char *key, const char *own)
{
	_cleanup_close_ int fd = make_dir(x->f, key);

	make_tree(fd, own);
	import_dir(x->f, fd, key);
}

static UNUSED int setup(void **state)
{
	struct all *x = calloc(1, sizeof(*x));

	assert_non_null(x);
	assert_int_equal(fixture_setup((void **)&x->f), 0);
	assert_int_equal(fetch_new(1u << 20, &x->fetch), 0);
	x->state = make_dir(x->f, "state");
	import(x, "one", "one");
	import(x, "two", "two");
	open_all(x, false);
	*state = x;
	return 0;
}

static UNUSED int teardown(void **state)
{
	struct all *x = *state;

	view_all_close(x->all);
	close(x->state);
	fetch_free(x->fetch);
	fixture_teardown((void **)&x->f);
	free(x);
	return 0;
}

/* --- the kernel --- */

static UNUSED int try_lookup(struct all *x, uint64_t parent, const char *name,
			     uint64_t *ret_node)
{
	enum view_all_term term;
	struct view_attr attr;
	int r = view_all_lookup(x->all, parent, name, strlen(name), &attr,
				&term);

	if (r == 0)
		*ret_node = attr.ino;
	return r;
}

static UNUSED uint64_t lookup(struct all *x, uint64_t parent, const char *name)
{
	uint64_t node = 0;

	assert_int_equal(try_lookup(x, parent, name, &node), 0);
	assert_true(node != 0);
	return node;
}

static UNUSED uint64_t name_dir(struct all *x)
{
	return lookup(x, lookup(x, VIEW_ROOT, "default"), "test");
}

static UNUSED uint64_t entry_root(struct all *x, const char *key)
{
	return lookup(x, name_dir(x), key);
}

static UNUSED struct view_attr getattr(struct all *x, uint64_t node)
{
	enum view_all_term term;
	struct view_attr attr;

	assert_int_equal(view_all_getattr(x->all, node, &attr, &term), 0);
	assert_int_equal(attr.ino, node);
	return attr;
}

static UNUSED void assert_content(struct all *x, uint64_t node,
				  const char *text)
{
	char buf[16];
	ssize_t n = view_all_read(x->all, node, buf, sizeof(buf), 0);

	assert_int_equal(n, (ssize_t)strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

static UNUSED uint64_t open_entries(struct all *x)
{
	struct view_all_stats stats;

	view_all_stats(x->all, &stats);
	return stats.entries;
}

static UNUSED uint64_t files(struct all *x)
{
	struct view_all_stats stats;

	view_all_stats(x->all, &stats);
	return stats.files;
}

#endif
