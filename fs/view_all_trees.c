/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trees of the view of all entries: one for each entry that was looked up,
 * numbered for good, and open as long as the kernel knows its root or a call
 * uses it. An entry whose key gets another tree is another one here. Two
 * entries with one tree have a number each, since a directory has one name.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

/* Takes the record over, also where it fails. */
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

/* A new number, which another worker will know before the kernel does. */
static int number_tree(struct view_all *a, const struct entry *e,
		       struct all_tree **ret_tree)
{
	struct all_record r = { .number = a->next, .catalog = e->catalog };
	int err;

	if (a->next > ALL_NUMBER_MAX)
		return log_error(-ENFILE,
				 "a mount of all entries has had %u: "
				 "mount it anew",
				 ALL_NUMBER_MAX);
	r.namespace = strdup(e->namespace);
	r.name = strdup(e->name);
	r.key = strdup(e->key);
	err = r.namespace && r.name && r.key ? all_table_add(a->table_fd, &r) :
					       -ENOMEM;
	if (err < 0) {
		all_record_release(&r);
		return log_error(err, "numbering %s@%s", e->name, e->key);
	}
	a->next++;
	return add_tree(a, &r, ret_tree);
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

/* Where it is gone and was closed, nobody can ask for its number again. */
static bool is_needed(const struct view_all *a, const struct all_record *r)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;

	return r->open ||
	       (get_entry(a, r->namespace, r->name, r->key, &e) == 0 &&
		digest_equal(&e.catalog, &r->catalog));
}

static void drop_unneeded(const struct view_all *a, struct all_table *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->count; i++) {
		if (is_needed(a, &t->records[i]))
			t->records[n++] = t->records[i];
		else
			all_record_release(&t->records[i]);
	}
	t->count = n;
}

static int load_table(const struct view_all *a, struct all_table *ret_table)
{
	int r;

	if (!a->opt.adopt)
		return all_table_init(ret_table);
	/* Without it, numbers that the kernel has would be given again. */
	r = all_table_load(a->dirfd, ret_table);
	if (r == 0)
		drop_unneeded(a, ret_table);
	return r;
}

int all_trees_load(struct view_all *a)
{
	_cleanup_all_table_ struct all_table t = { .next = 1 };
	struct all_tree *tree;
	int r = load_table(a, &t);

	if (r == 0)
		r = all_table_save(a->dirfd, &t, &a->table_fd);
	memcpy(a->seed, t.seed, sizeof(a->seed));
	a->next = t.next;
	for (size_t i = 0; r == 0 && i < t.count; i++) {
		r = add_tree(a, &t.records[i], &tree);
		if (r == 0)
			tree->adopted = tree->record.open;
	}
	return r;
}

void all_trees_release(struct view_all *a)
{
	struct all_tree *t;
	size_t pos = 0;

	while ((t = map_next(&a->trees, &pos, NULL)))
		tree_free(t);
	map_release(&a->trees);
	map_release(&a->trees_by_name);
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

/* With the lock; what was opened becomes the tree's, unless somebody else was
 * faster. */
static int install(struct view_all *a, struct all_tree *t, struct opened *o)
{
	int r = 0;

	if (t->view)
		return 0;
	if (!t->record.open)
		r = all_table_mark(a->table_fd, t->record.number, true);
	if (r < 0)
		return log_error(r, "noting that %s@%s is used", t->record.name,
				 t->record.key);
	t->record.open = true;
	t->view = steal_ptr(&o->view);
	t->tree = steal_ptr(&o->tree);
	return 0;
}

static bool is_open(struct view_all *a, const struct all_tree *t)
{
	LOCK_SCOPE(&a->lock);
	return t->view != NULL;
}

/* `t` is pinned; `e`: its entry, where there is one. */
static int tree_open(struct view_all *a, struct all_tree *t,
		     const struct entry *e)
{
	_cleanup_(close_view) struct opened o = { NULL, NULL };
	int r;

	if (is_open(a, t))
		return 0;
	if (e && a->opt.offer)
		a->opt.offer(a->opt.arg, e);
	r = open_view(a, t, &o);
	if (r < 0)
		return r;
	if (e)
		gc_entry_used(a->opt.store, e);
	LOCK_SCOPE(&a->lock);
	return install(a, t, &o);
}

static int open_pinned(struct view_all *a, struct all_tree *t,
		       const struct entry *e, struct all_tree **ret_tree)
{
	int r = tree_open(a, t, e);

	if (r < 0)
		all_tree_unpin(a, t);
	else
		*ret_tree = t;
	return r;
}

int all_tree_get(struct view_all *a, const char *namespace, const char *name,
		 const char *key, struct all_tree **ret_tree)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct all_tree *t;
	int r;

	fetch_may_block();
	r = get_entry(a, namespace, name, key, &e);
	if (r < 0)
		return r;
	pthread_mutex_lock(&a->lock);
	t = tree_of_entry(a, &e);
	if (!t)
		r = number_tree(a, &e, &t);
	if (r == 0)
		t->pins++;
	pthread_mutex_unlock(&a->lock);
	if (r < 0)
		return r;
	r = open_pinned(a, t, &e, ret_tree);
	return r == -ENOMEM || r == 0 ? r : -EIO;
}

int all_tree_pin(struct view_all *a, uint32_t number,
		 struct all_tree **ret_tree)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct all_tree *t;
	bool open = false, is_entry;

	pthread_mutex_lock(&a->lock);
	t = tree_of_number(a, number);
	if (t) {
		t->pins++;
		open = t->view != NULL;
	}
	pthread_mutex_unlock(&a->lock);
	if (!t)
		return -ESTALE;
	if (open) {
		*ret_tree = t;
		return 0;
	}
	fetch_may_block();
	is_entry = get_entry(a, t->record.namespace, t->record.name,
			     t->record.key, &e) == 0 &&
		   digest_equal(&e.catalog, &t->record.catalog);
	if (open_pinned(a, t, is_entry ? &e : NULL, ret_tree) < 0)
		return -ESTALE;
	return 0;
}

/* --- closing --- */

/* With the lock: gives the view of a tree that nobody needs any more; it has
 * none where only an earlier worker's kernel references kept it. Where that
 * cannot be noted, another worker opens it once more. */
static void take_unused(struct view_all *a, struct all_tree *t,
			struct opened *ret_opened)
{
	if (!t->record.open || t->pins > 0 || t->lookups > 0 || t->adopted)
		return;
	ret_opened->view = steal_ptr(&t->view);
	ret_opened->tree = steal_ptr(&t->tree);
	t->indexed = false;
	t->record.open = false;
	(void)all_table_mark(a->table_fd, t->record.number, false);
	all_files_leave(a, t->record.number);
}

void all_tree_unpin(struct view_all *a, struct all_tree *t)
{
	_cleanup_(close_view) struct opened o = { NULL, NULL };
	LOCK_SCOPE(&a->lock);

	t->pins--;
	take_unused(a, t, &o);
}

void all_tree_ref(struct view_all *a, struct all_tree *t)
{
	LOCK_SCOPE(&a->lock);
	t->lookups++;
}

/* The kernel gives all of its references back at once, also those of an
 * earlier worker. */
void all_tree_forget(struct view_all *a, uint32_t number, uint64_t count)
{
	_cleanup_(close_view) struct opened o = { NULL, NULL };
	struct all_tree *t;
	LOCK_SCOPE(&a->lock);

	t = tree_of_number(a, number);
	if (!t)
		return;
	t->adopted = false;
	t->lookups -= count < t->lookups ? count : t->lookups;
	take_unused(a, t, &o);
}

int all_trees_unindexed(struct view_all *a, uint32_t **ret_numbers,
			size_t *ret_count)
{
	struct all_tree *t;
	size_t pos = 0, n = 0;
	uint32_t *numbers;
	LOCK_SCOPE(&a->lock);

	numbers = calloc(a->trees.count + 1, sizeof(*numbers));
	if (!numbers)
		return -ENOMEM;
	while ((t = map_next(&a->trees, &pos, NULL)))
		if ((t->view || t->adopted) && !t->indexed)
			numbers[n++] = t->record.number;
	*ret_numbers = numbers;
	*ret_count = n;
	return 0;
}
