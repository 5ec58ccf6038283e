/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view of all entries: opening it, and its operations, each of which finds
 * out what a node is and asks the directory or the entry's own view.
 */
#include "view_all.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/le.h"
#include "store/key.h"

#include "view_all_internal.h"
#include "view_origin.h"

#define HASH_ID_MASK (ALL_NODE_DIR - 1)

int all_hash_of(const struct view_all *a, const void *data, size_t len,
		struct all_hash *ret_hash)
{
	uint8_t keyed[ALL_SEED_LEN + DIGEST_LEN];
	struct digest inner, d;
	int r = digest_of(data, len, &inner);

	memcpy(keyed, a->table.seed, ALL_SEED_LEN);
	memcpy(keyed + ALL_SEED_LEN, inner.bytes, DIGEST_LEN);
	if (r == 0)
		r = digest_of(keyed, sizeof(keyed), &d);
	if (r < 0)
		return r;
	ret_hash->id = le64_get(d.bytes) & HASH_ID_MASK;
	ret_hash->check = le64_get(d.bytes + 8);
	return 0;
}

/* --- opening --- */

static int init(struct view_all *a, const struct view_all_options *opt)
{
	a->tenant = strdup(opt->tenant);
	if (!a->tenant)
		return -ENOMEM;
	a->dirfd = fcntl(opt->dirfd, F_DUPFD_CLOEXEC, 3);
	return a->dirfd < 0 ? -errno : all_trees_load(a);
}

static void init_locks(struct view_all *a)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&a->lock, NULL);
	pthread_mutex_init(&a->tidy_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&a->unused, &attr);
	pthread_condattr_destroy(&attr);
}

int view_all_open(const struct view_all_options *opt, struct view_all **ret_all)
{
	struct view_all *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	a->opt = *opt;
	a->dirfd = a->table.fd = -1;
	init_locks(a);
	r = init(a, opt);
	if (r < 0) {
		view_all_close(a);
		return r;
	}
	*ret_all = a;
	return 0;
}

void view_all_close(struct view_all *a)
{
	if (!a)
		return;
	all_trees_release(a);
	all_files_release(a);
	all_dirs_release(a);
	cleanup_close(&a->dirfd);
	pthread_mutex_destroy(&a->lock);
	pthread_mutex_destroy(&a->tidy_lock);
	pthread_cond_destroy(&a->unused);
	free(a->tenant);
	free(a);
}

void view_all_stats(struct view_all *a, struct view_all_stats *ret_stats)
{
	const struct all_tree *t;
	size_t pos = 0;
	LOCK_SCOPE(&a->lock);

	*ret_stats = (struct view_all_stats){ .files = a->files.count };
	while ((t = map_next(&a->trees, &pos, NULL)))
		ret_stats->entries += t->record.refs > 0;
}

/* --- what a node is --- */

/* An inode of an entry's view, which is pinned while it is used. */
struct at {
	struct view_all *a;
	struct all_tree *tree;
	uint32_t ino;
};

static void at_release(struct at *at)
{
	if (at->tree)
		all_tree_unpin(at->a, at->tree);
}

#define _cleanup_at_ _cleanup_(at_release)

static int at_find(struct view_all *a, uint64_t node, struct at *ret_at)
{
	ret_at->a = a;
	ret_at->tree = NULL;
	if (node & ALL_NODE_FILE)
		return all_file_find(a, node, &ret_at->tree, &ret_at->ino);
	if (all_is_dir(node))
		return -EISDIR;
	ret_at->ino = (uint32_t)node;
	return all_tree_pin(a, (uint32_t)(node >> 32), &ret_at->tree);
}

/* --- looking up --- */

/* The root of an entry's tree. */
static int lookup_entry(struct view_all *a, const struct all_place *place,
			const char *key, struct view_attr *ret_attr)
{
	_cleanup_at_ struct at at = { .a = a };
	int r = all_tree_get(a, place->namespace, place->name, key, &at.tree);

	if (r < 0)
		return r;
	r = view_getattr(at.tree->view, VIEW_ROOT, ret_attr);
	if (r < 0) {
		all_tree_forget(a, at.tree->record.number, 1);
		return r;
	}
	ret_attr->ino = all_tree_node(at.tree, VIEW_ROOT);
	return 0;
}

static int lookup_in_dir(struct view_all *a, uint64_t parent, const char *name,
			 struct view_attr *ret_attr,
			 enum view_all_term *ret_term)
{
	_cleanup_(all_place_release) struct all_place place;
	uint64_t node;
	int r = all_dir_find(a, parent, &place);

	*ret_term = VIEW_ALL_DIR;
	if (r == -ESTALE) /* the last of its entries is gone */
		return -ENOENT;
	if (r < 0)
		return r;
	if (!key_is_valid(name))
		return -ENOENT;
	if (place.name) {
		r = lookup_entry(a, &place, name, ret_attr);
		if (r == 0)
			*ret_term = VIEW_ALL_ENTRY;
		return r;
	}
	r = all_dir_lookup(a, &place, name, &node);
	if (r == 0)
		all_dir_attr(a, node, ret_attr);
	return r;
}

static int lookup_in_tree(struct view_all *a, uint64_t parent, const char *name,
			  size_t len, struct view_attr *ret_attr)
{
	_cleanup_at_ struct at at;
	uint64_t node;
	int r = at_find(a, parent, &at);

	if (r == 0)
		r = view_lookup(at.tree->view, at.ino, name, len, ret_attr);
	if (r == -ENOENT)
		all_missing_note(a, at.tree, at.ino, name, len);
	if (r < 0)
		return r;
	r = all_file_node(a, at.tree, (uint32_t)ret_attr->ino, true, &node);
	ret_attr->ino = node;
	return r;
}

int view_all_lookup(struct view_all *a, uint64_t parent, const char *name,
		    size_t len, struct view_attr *ret_attr,
		    enum view_all_term *ret_term)
{
	if (all_is_dir(parent))
		return lookup_in_dir(a, parent, name, ret_attr, ret_term);
	*ret_term = VIEW_ALL_FIXED;
	return lookup_in_tree(a, parent, name, len, ret_attr);
}

void view_all_forget(struct view_all *a, uint64_t node, uint64_t count)
{
	if (node & ALL_NODE_FILE)
		all_file_forget(a, node, count);
	else if (all_is_dir(node))
		all_dir_forget(a, node, count);
	else if ((uint32_t)node == VIEW_ROOT)
		all_tree_forget(a, (uint32_t)(node >> 32), count);
}

int view_all_getattr(struct view_all *a, uint64_t node,
		     struct view_attr *ret_attr, enum view_all_term *ret_term)
{
	_cleanup_at_ struct at at = { .tree = NULL };
	int r;

	*ret_term = all_is_dir(node) ? VIEW_ALL_DIR : VIEW_ALL_FIXED;
	if (all_is_dir(node)) {
		all_dir_attr(a, node, ret_attr);
		return 0;
	}
	r = at_find(a, node, &at);
	if (r == 0)
		r = view_getattr(at.tree->view, at.ino, ret_attr);
	ret_attr->ino = node;
	return r;
}

/* --- listing --- */

/* Gives what the entry's view gives with the nodes that it has here. */
struct translation {
	struct view_all *a;
	struct all_tree *tree;
	view_dir_fn add;
	void *arg;
	bool plus;
	int err;
};

static bool is_dots(const char *name, size_t len)
{
	return len <= 2 && memcmp(name, "..", len) == 0;
}

static int add_translated(void *arg, const char *name, size_t len,
			  const struct view_attr *attr, uint64_t next)
{
	struct translation *t = arg;
	bool ref = t->plus && !is_dots(name, len);
	struct view_attr here = *attr;
	int r;

	t->err = all_file_node(t->a, t->tree, (uint32_t)attr->ino, ref,
			       &here.ino);
	if (t->err < 0)
		return 1;
	r = t->add(t->arg, name, len, &here, next);
	if (r && ref && (here.ino & ALL_NODE_FILE))
		all_file_forget(t->a, here.ino, 1);
	return r;
}

int view_all_readdir(struct view_all *a, uint64_t dir, uint64_t off, bool plus,
		     view_dir_fn add, void *arg)
{
	_cleanup_at_ struct at at = { .tree = NULL };
	struct translation t = { .a = a, .add = add, .arg = arg, .plus = plus };
	int r;

	if (all_is_dir(dir))
		return all_dir_list(a, dir, off, add, arg);
	r = at_find(a, dir, &at);
	t.tree = at.tree;
	if (r == 0)
		r = view_readdir(at.tree->view, at.ino, off, plus,
				 add_translated, &t);
	return r < 0 ? r : t.err;
}

/* --- the rest is the entry's view's --- */

ssize_t view_all_readlink(struct view_all *a, uint64_t node, char *buf,
			  size_t size)
{
	_cleanup_at_ struct at at;
	int r = at_find(a, node, &at);

	return r < 0 ? r : view_readlink(at.tree->view, at.ino, buf, size);
}

ssize_t view_all_read(struct view_all *a, uint64_t node, void *buf, size_t len,
		      uint64_t off)
{
	_cleanup_at_ struct at at;
	int r = at_find(a, node, &at);

	return r < 0 ? r : view_read(at.tree->view, at.ino, buf, len, off);
}

int view_all_lseek(struct view_all *a, uint64_t node, uint64_t off, int whence,
		   uint64_t *ret_off)
{
	_cleanup_at_ struct at at;
	int r = at_find(a, node, &at);

	return r < 0 ? r :
		       view_lseek(at.tree->view, at.ino, off, whence, ret_off);
}

ssize_t view_all_getxattr(struct view_all *a, uint64_t node, const char *name,
			  void *buf, size_t size)
{
	_cleanup_at_ struct at at;
	int r = at_find(a, node, &at);

	/* A file that several entries may have is of none in particular. */
	if (r == -EISDIR || (r == 0 && (node & ALL_NODE_FILE) &&
			     strcmp(name, ORIGIN_NAME_KEY) == 0))
		return -ENODATA;
	return r < 0 ? r :
		       view_getxattr(at.tree->view, at.ino, name, buf, size);
}

ssize_t view_all_listxattr(struct view_all *a, uint64_t node, bool trusted,
			   char *buf, size_t size)
{
	_cleanup_at_ struct at at;
	int r = at_find(a, node, &at);

	if (r == -EISDIR)
		return 0;
	return r < 0 ? r :
		       view_listxattr(at.tree->view, at.ino, trusted, buf,
				      size);
}
