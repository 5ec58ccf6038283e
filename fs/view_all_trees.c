/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trees of the view of all entries: one for each entry that was looked up,
 * numbered, and open as long as the kernel has references of its root or a
 * call uses it. An entry whose key gets another tree is another one here. Two
 * entries with one tree have a number each, since a directory has one name.
 *
 * References. The kernel counts, for each inode, the answers by which it got
 * it (LOOKUP), from whatever worker they came, and when it drops the inode it
 * gives all of them back at once (FORGET). An answer may overtake a FORGET,
 * so that one that comes late does not mean that the kernel has nothing: only
 * the sum tells. The sum that the table has (`refs`) is never less than the
 * kernel's, since
 *
 *	- a reference is written before it is given, and
 *	- one that was given back is taken off after that was read.
 *
 * A kill between two such steps leaves a reference too many, and never one too
 * few: a tree in use is not closed, whatever the order. What is too many goes
 * with the oracle of view_all_tidy.c, since no count can tell. A request
 * that names a tree without references (which cannot be, unless the oracle
 * was wrong) gives it one again, for the oracle to judge.
 *
 * Directories and files below a root need no counts: an inode has a dentry or
 * an open file, which has one, and a dentry has its parent, up to the root.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/clock.h"
#include "store/base/log.h"
#include "store/gc.h"

#include "view_all_internal.h"

/* --- the table of them --- */

static uint64_t name_hash(const char *namespace, const char *name,
			  const char *key)
{
	uint64_t h = map_hash_bytes(namespace, strlen(namespace), 1);

	h = map_hash_bytes(name, strlen(name), h);
	return map_hash_bytes(key, strlen(key), h);
}

static uint64_t record_hash(const struct all_record *r)
{
	return name_hash(r->namespace, r->name, r->key);
}

static struct all_tree *tree_of_number(const struct view_all *a,
				       uint32_t number)
{
	return map_get(&a->trees, number);
}

static struct all_tree *tree_of_entry(const struct view_all *a,
				      const struct entry *e)
{
	struct all_tree *t = map_get(&a->trees_by_name,
				     name_hash(e->namespace, e->name, e->key));

	for (; t; t = t->same)
		if (strcmp(t->record.namespace, e->namespace) == 0 &&
		    strcmp(t->record.name, e->name) == 0 &&
		    strcmp(t->record.key, e->key) == 0 &&
		    digest_equal(&t->record.catalog, &e->catalog))
			return t;
	return NULL;
}

static void tree_free(struct all_tree *t)
{
	if (t->view)
		view_close(t->view);
	store_tree_unref(t->tree);
	all_record_release(&t->record);
	free(t);
}

/* With the lock. Takes the record over, also where it fails. */
static int add_tree(struct view_all *a, struct all_record *r,
		    struct all_tree **ret_tree)
{
	struct all_tree *t = calloc(1, sizeof(*t));
	uint64_t hash = record_hash(r);
	int err;

	if (!t) {
		all_record_release(r);
		return -ENOMEM;
	}
	t->record = *r;
	*r = (struct all_record){ .number = 0 };
	t->used_ns = clock_mono_ns();
	t->same = map_get(&a->trees_by_name, hash);
	err = map_put(&a->trees, t->record.number, t);
	if (err == 0) {
		err = map_put(&a->trees_by_name, hash, t);
		if (err < 0)
			map_remove(&a->trees, t->record.number);
	}
	if (err < 0) {
		tree_free(t);
		return err;
	}
	*ret_tree = t;
	return 0;
}

/* --- the closed ones --- */

static bool is_closed(const struct all_tree *t)
{
	return t->record.refs == 0 && t->pins == 0;
}

static void list_append(struct view_all *a, struct all_tree *t)
{
	t->before = a->last_closed;
	t->after = NULL;
	if (t->before)
		t->before->after = t;
	else
		a->first_closed = t;
	a->last_closed = t;
	a->closed_count++;
}

static void list_remove(struct view_all *a, struct all_tree *t)
{
	if (t->before)
		t->before->after = t->after;
	else
		a->first_closed = t->after;
	if (t->after)
		t->after->before = t->before;
	else
		a->last_closed = t->before;
	t->before = t->after = NULL;
	a->closed_count--;
}

static void unhash(struct view_all *a, struct all_tree *t)
{
	uint64_t hash = record_hash(&t->record);
	struct all_tree *first = map_get(&a->trees_by_name, hash), *p = first;

	map_remove(&a->trees, t->record.number);
	if (first == t && t->same)
		(void)map_put(&a->trees_by_name, hash, t->same); /* replaces */
	else if (first == t)
		map_remove(&a->trees_by_name, hash);
	while (p && p->same != t)
		p = p->same;
	if (p)
		p->same = t->same;
}

/* Forgets the one that was closed longest ago. What cannot be noted is found
 * by another worker, which forgets it later. */
static void drop_oldest(struct view_all *a)
{
	struct all_tree *t = a->first_closed;
	int r = all_table_remove(&a->table, &t->record);

	if (r < 0)
		log_warn(r, "removing %s@%s from the table of entries",
			 t->record.name, t->record.key);
	list_remove(a, t);
	unhash(a, t);
	tree_free(t);
}

/* Every pin and reference goes by this: with the lock, before it is taken. */
static void reopen(struct view_all *a, struct all_tree *t)
{
	if (is_closed(t))
		list_remove(a, t);
	t->used_ns = clock_mono_ns();
}

/* --- references --- */

/* The file has them before the kernel has, and no longer than it. */
static int set_refs(struct view_all *a, struct all_tree *t, uint64_t refs)
{
	uint64_t before = t->record.refs;
	int r;

	t->asked = false;
	t->absent_ns = 0;
	t->record.refs = refs;
	r = all_table_set_refs(&a->table, &t->record);
	if (r < 0 && refs > before)
		t->record.refs = before;
	return r < 0 ? log_error(r, "noting who uses %s@%s", t->record.name,
				 t->record.key) :
		       0;
}

/* A new number, which another worker will know before the kernel does. On a
 * full disk, the place of one that nobody uses. */
static int number_tree(struct view_all *a, const struct entry *e,
		       struct all_tree **ret_tree)
{
	_cleanup_all_record_ struct all_record r = { .catalog = e->catalog };
	int err;

	r.namespace = strdup(e->namespace);
	r.name = strdup(e->name);
	r.key = strdup(e->key);
	if (!r.namespace || !r.name || !r.key)
		return -ENOMEM;
	err = all_table_add(&a->table, &r);
	if ((err == -ENOSPC || err == -EDQUOT) && a->first_closed) {
		drop_oldest(a);
		err = all_table_add(&a->table, &r);
	}
	if (err < 0)
		return log_error(err, "numbering %s@%s", e->name, e->key);
	err = add_tree(a, &r, ret_tree);
	if (err == 0)
		list_append(a, *ret_tree);
	return err;
}

/* --- loading --- */

static int get_entry(const struct view_all *a, const char *namespace,
		     const char *name, const char *key, struct entry *ret_entry)
{
	int r = index_get_entry(store_index(a->opt.store), a->tenant, namespace,
				name, key, ret_entry);

	/* One that cannot be used is none, as for all others who look. */
	return r == -EBADMSG || r == -ESTALE ? -ENOENT : r;
}

bool all_tree_is_entry(struct view_all *a, const struct all_tree *t,
		       struct entry *ret_entry)
{
	return get_entry(a, t->record.namespace, t->record.name, t->record.key,
			 ret_entry) == 0 &&
	       digest_equal(&ret_entry->catalog, &t->record.catalog);
}

/* What the worker before had noted. It may have died between noting a
 * reference and giving it, or between reading that one is given back and
 * noting it: there may be fewer. */
static int load_record(void *arg, struct all_record *r)
{
	struct view_all *a = arg;
	struct all_tree *t;
	int err = add_tree(a, r, &t);

	if (err < 0)
		return err;
	t->unsure = t->record.refs > 0;
	if (is_closed(t))
		list_append(a, t);
	return 0;
}

/* Without its table, numbers that the kernel has would be given again. */
int all_trees_load(struct view_all *a)
{
	return a->opt.adopt ?
		       all_table_open(a->dirfd, &a->table, load_record, a) :
		       all_table_create(a->dirfd, &a->table);
}

void all_trees_release(struct view_all *a)
{
	struct all_tree *t;
	size_t pos = 0;

	while ((t = map_next(&a->trees, &pos, NULL))) {
		all_missing_drop(a, t);
		tree_free(t);
	}
	map_release(&a->trees);
	map_release(&a->trees_by_name);
	all_table_close(&a->table);
}

/* --- opening --- */

/* A view of an entry's tree, and the tree with a reference. */
struct opened {
	struct store_tree *tree;
	struct view *view;
};

static int open_view(const struct view_all *a, const struct all_tree *t,
		     struct opened *ret_opened)
{
	struct view_options vo = { .read_only = true,
				   .uid = a->opt.uid,
				   .gid = a->opt.gid,
				   .dirfd = -1,
				   .key = t->record.key,
				   .store = a->opt.store };
	_cleanup_tree_ struct store_tree *tree = NULL;
	bool damaged;
	int r;

	r = store_tree_open(a->opt.store, &t->record.catalog, &tree);
	if (r == 0)
		r = view_open(tree, a->opt.fetch, &vo, &ret_opened->view,
			      &damaged);
	if (r == 0)
		ret_opened->tree = steal_ptr(&tree);
	return r;
}

static void close_view(struct opened *o)
{
	if (o->view)
		view_close(o->view);
	store_tree_unref(o->tree);
}

/* Unless somebody else was faster. */
static void install(struct view_all *a, struct all_tree *t, struct opened *o)
{
	LOCK_SCOPE(&a->lock);

	if (t->view)
		return;
	t->view = steal_ptr(&o->view);
	t->tree = steal_ptr(&o->tree);
}

static bool is_open(struct view_all *a, const struct all_tree *t)
{
	LOCK_SCOPE(&a->lock);
	return t->view != NULL;
}

/* `e`: its entry, where there is one. */
static int open_of(struct view_all *a, struct all_tree *t,
		   const struct entry *e, bool use)
{
	_cleanup_(close_view) struct opened o = { NULL, NULL };
	int r;

	if (e && a->opt.offer)
		a->opt.offer(a->opt.arg, e);
	r = open_view(a, t, &o);
	if (r < 0)
		return r;
	if (e && use)
		gc_entry_used(a->opt.store, e);
	install(a, t, &o);
	return 0;
}

int all_tree_open(struct view_all *a, struct all_tree *t, bool use)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;

	if (is_open(a, t))
		return 0;
	fetch_may_block();
	return open_of(a, t, all_tree_is_entry(a, t, &e) ? &e : NULL, use);
}

/* A reference, and a pin, of the entry's tree. */
static int take(struct view_all *a, const struct entry *e,
		struct all_tree **ret_tree)
{
	struct all_tree *t;
	int r = 0;
	LOCK_SCOPE(&a->lock);

	t = tree_of_entry(a, e);
	if (!t)
		r = number_tree(a, e, &t);
	if (r < 0)
		return r;
	reopen(a, t);
	t->pins++;
	*ret_tree = t;
	return set_refs(a, t, t->record.refs + 1);
}

int all_tree_get(struct view_all *a, const char *namespace, const char *name,
		 const char *key, struct all_tree **ret_tree)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct all_tree *t = NULL;
	int r;

	fetch_may_block();
	r = get_entry(a, namespace, name, key, &e);
	if (r < 0)
		return r;
	r = take(a, &e, &t);
	if (r == 0) {
		r = is_open(a, t) ? 0 : open_of(a, t, &e, true);
		if (r < 0)
			all_tree_forget(a, t->record.number, 1);
	}
	if (r < 0 && t)
		all_tree_unpin(a, t);
	if (r == 0)
		*ret_tree = t;
	return r == -ENOMEM || r == 0 ? r : -EIO;
}

/* The kernel asks for what was taken for forgotten: it is not, or it was only
 * said by other trees to have a file. */
static struct all_tree *pin_named(struct view_all *a, uint32_t number)
{
	struct all_tree *t;
	LOCK_SCOPE(&a->lock);

	t = tree_of_number(a, number);
	if (!t)
		return NULL;
	reopen(a, t);
	t->pins++;
	if (t->record.refs == 0) {
		(void)set_refs(a, t, 1);
		t->unsure = true;
	}
	return t;
}

int all_tree_pin(struct view_all *a, uint32_t number,
		 struct all_tree **ret_tree)
{
	struct all_tree *t = pin_named(a, number);

	if (!t)
		return -ESTALE;
	if (all_tree_open(a, t, true) < 0) {
		all_tree_unpin(a, t);
		return -ESTALE;
	}
	*ret_tree = t;
	return 0;
}

struct all_tree *all_tree_pin_open(struct view_all *a, uint32_t number)
{
	struct all_tree *t;
	LOCK_SCOPE(&a->lock);

	t = tree_of_number(a, number);
	if (!t || !t->view)
		return NULL;
	t->pins++;
	return t;
}

int all_trees_pin_held(struct view_all *a,
		       bool (*want)(void *arg, const struct all_tree *t),
		       void *arg, struct all_tree ***ret_trees,
		       size_t *ret_count)
{
	struct all_tree *t, **trees;
	size_t pos = 0, n = 0;
	LOCK_SCOPE(&a->lock);

	trees = calloc(a->trees.count + 1, sizeof(struct all_tree *));
	if (!trees)
		return -ENOMEM;
	while ((t = map_next(&a->trees, &pos, NULL))) {
		if (t->record.refs == 0 || !want(arg, t))
			continue;
		t->pins++;
		trees[n++] = t;
	}
	*ret_trees = trees;
	*ret_count = n;
	return 0;
}

/* --- closing --- */

/* With the lock: gives the view of a tree that nobody needs any more. */
static void take_unused(struct view_all *a, struct all_tree *t,
			struct opened *ret_opened)
{
	if (!is_closed(t))
		return;
	ret_opened->view = steal_ptr(&t->view);
	ret_opened->tree = steal_ptr(&t->tree);
	t->indexed = false;
	all_missing_drop(a, t);
	list_append(a, t);
	all_files_leave(a, t->record.number);
	if (a->closed_count > ALL_CLOSED_MAX)
		drop_oldest(a);
}

void all_tree_unpin(struct view_all *a, struct all_tree *t)
{
	_cleanup_(close_view) struct opened o = { NULL, NULL };
	LOCK_SCOPE(&a->lock);

	t->pins--;
	take_unused(a, t, &o);
}

/* With the lock. */
static void give_back(struct view_all *a, struct all_tree *t, uint64_t count)
{
	uint64_t refs = t->record.refs;

	(void)set_refs(a, t, refs - (count < refs ? count : refs));
	if (t->record.refs > 0)
		return;
	t->unsure = false;
	pthread_cond_broadcast(&a->unused);
}

void all_tree_forget_all(struct view_all *a, struct all_tree *t)
{
	give_back(a, t, t->record.refs);
}

void all_tree_forget(struct view_all *a, uint32_t number, uint64_t count)
{
	_cleanup_(close_view) struct opened o = { NULL, NULL };
	struct all_tree *t;
	LOCK_SCOPE(&a->lock);

	t = tree_of_number(a, number);
	if (!t || t->record.refs == 0)
		return;
	give_back(a, t, count);
	take_unused(a, t, &o);
}
