/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directories above the trees: the root, namespaces, and the names in them,
 * as the index has them at the moment. Those that the kernel holds are in a
 * table; one that it has from an earlier worker is found by looking through
 * the entries.
 *
 * A listing goes by a hash of the names, so that one that goes on gives each
 * name that stays once, whatever comes and goes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/buf.h"
#include "store/index.h"

#include "view_all_internal.h"

#define COOKIE_FIRST 3u /* behind "." and ".." */

void all_place_release(struct all_place *p)
{
	free(p->namespace);
	free(p->name);
	*p = (struct all_place){ NULL, NULL };
}

static void dir_free(struct all_dir *d)
{
	if (!d)
		return;
	free(d->namespace);
	free(d->name);
	free(d);
}

void all_dirs_release(struct view_all *a)
{
	struct all_dir *d;
	size_t pos = 0;

	while ((d = map_next(&a->dirs, &pos, NULL)))
		dir_free(d);
	map_release(&a->dirs);
	free(a->listing.items);
}

/* --- their nodes --- */

static int name_hash(const struct view_all *a, const char *namespace,
		     const char *name, struct all_hash *ret_hash)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	buf_put_u8(&b, 'd');
	buf_put_str16(&b, namespace);
	if (name)
		buf_put_str16(&b, name);
	return buf_error(&b) ? buf_error(&b) :
			       all_hash_of(a, b.data, b.len, ret_hash);
}

int all_dir_node(const struct view_all *a, const char *namespace,
		 const char *name, uint64_t *ret_node)
{
	struct all_hash h;
	int r = name_hash(a, namespace, name, &h);

	if (r == 0)
		*ret_node = ALL_NODE_DIR | h.id;
	return r;
}

static int dup_place(const char *namespace, const char *name,
		     struct all_place *ret_place)
{
	struct all_place p = { strdup(namespace), name ? strdup(name) : NULL };

	if (!p.namespace || (name && !p.name)) {
		all_place_release(&p);
		return -ENOMEM;
	}
	*ret_place = p;
	return 0;
}

/* Which of all namespaces and names has the node. */
struct search {
	struct view_all *a;
	uint64_t node;
	struct all_place found;
};

/* 1: it is the one. */
static int compare(struct search *s, const char *namespace, const char *name)
{
	uint64_t node = 0;
	int r = all_dir_node(s->a, namespace, name, &node);

	if (r < 0 || node != s->node)
		return r;
	r = dup_place(namespace, name, &s->found);
	return r < 0 ? r : 1;
}

static int compare_entry(void *arg, const struct entry *e)
{
	struct search *s = arg;
	int r;

	if (strcmp(e->tenant, s->a->tenant) != 0)
		return 0;
	r = compare(s, e->namespace, NULL);
	return r ? r : compare(s, e->namespace, e->name);
}

static int search(struct view_all *a, uint64_t node,
		  struct all_place *ret_place)
{
	struct search s = { .a = a, .node = node };
	int r;

	fetch_may_block();
	r = index_each_entry(store_index(a->opt.store), NULL, NULL, NULL,
			     compare_entry, &s);
	if (r <= 0)
		return r < 0 ? r : -ESTALE;
	*ret_place = s.found;
	return 0;
}

/* Whether the table has it; then 1. */
static int find_known(struct view_all *a, uint64_t node,
		      struct all_place *ret_place)
{
	const struct all_dir *d;
	int r;
	LOCK_SCOPE(&a->lock);

	d = map_get(&a->dirs, node);
	if (!d)
		return 0;
	r = dup_place(d->namespace, d->name, ret_place);
	return r < 0 ? r : 1;
}

int all_dir_find(struct view_all *a, uint64_t node, struct all_place *ret_place)
{
	int r;

	*ret_place = (struct all_place){ NULL, NULL };
	if (node == VIEW_ROOT)
		return 0;
	r = find_known(a, node, ret_place);
	if (r)
		return r < 0 ? r : 0;
	return search(a, node, ret_place);
}

/* --- looking up --- */

static int is_there(void *arg, const struct entry *e)
{
	(void)arg;
	(void)e;
	return 1;
}

static int ref_dir(struct view_all *a, uint64_t node, const char *namespace,
		   const char *name)
{
	struct all_dir *d;
	struct all_place p;
	int r;
	LOCK_SCOPE(&a->lock);

	d = map_get(&a->dirs, node);
	if (d) {
		d->lookups++;
		return 0;
	}
	r = dup_place(namespace, name, &p);
	if (r < 0)
		return r;
	d = calloc(1, sizeof(*d));
	if (!d || map_put(&a->dirs, node, d) < 0) {
		free(d);
		all_place_release(&p);
		return -ENOMEM;
	}
	*d = (struct all_dir){ p.namespace, p.name, 1 };
	return 0;
}

int all_dir_lookup(struct view_all *a, const struct all_place *parent,
		   const char *name, uint64_t *ret_node)
{
	const char *ns = parent->namespace ? parent->namespace : name;
	const char *in = parent->namespace ? name : NULL;
	int r;

	fetch_may_block();
	r = index_each_entry(store_index(a->opt.store), a->tenant, ns, in,
			     is_there, NULL);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	r = all_dir_node(a, ns, in, ret_node);
	return r < 0 ? r : ref_dir(a, *ret_node, ns, in);
}

void all_dir_forget(struct view_all *a, uint64_t node, uint64_t count)
{
	struct all_dir *d;
	LOCK_SCOPE(&a->lock);

	d = map_get(&a->dirs, node);
	if (!d)
		return;
	d->lookups -= count < d->lookups ? count : d->lookups;
	if (d->lookups == 0)
		dir_free(map_remove(&a->dirs, node));
}

/* One link is what file systems say that do not count subdirectories. */
void all_dir_attr(struct view_all *a, uint64_t node, struct view_attr *ret_attr)
{
	int64_t ns = index_entries_changed_ns(store_index(a->opt.store));
	struct timespec time = { ns / 1000000000, ns % 1000000000 };

	*ret_attr = (struct view_attr){ .ino = node,
					.mode = S_IFDIR | 0555,
					.nlink = 1,
					.uid = a->opt.uid,
					.gid = a->opt.gid,
					.size = 4096,
					.blocks = 8,
					.atime = time,
					.mtime = time,
					.ctime = time };
}

/* --- listing --- */

struct collect {
	struct view_all *a;
	const struct all_place *place;
	struct all_listing *list;
};

static int listing_add(struct all_listing *l, const char *name, uint64_t cookie)
{
	size_t cap = l->cap ? l->cap * 2 : 64;
	struct all_listed *grown;

	if (l->count == l->cap) {
		grown = reallocarray(l->items, cap, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		l->items = grown;
		l->cap = cap;
	}
	grown = &l->items[l->count++];
	*grown = (struct all_listed){ .cookie = cookie };
	memccpy(grown->name, name, '\0', sizeof(grown->name) - 1);
	return 0;
}

static const char *name_below(const struct all_place *place,
			      const struct entry *e)
{
	return place->name ? e->key : place->namespace ? e->name : e->namespace;
}

/* Entries come in the order of their names, so that equal ones follow each
 * other. */
static int collect_entry(void *arg, const struct entry *e)
{
	struct collect *c = arg;
	const char *name = name_below(c->place, e);
	const struct all_listing *l = c->list;
	struct all_hash h;
	int r;

	if (strcmp(e->tenant, c->a->tenant) != 0 ||
	    (l->count > 0 && strcmp(l->items[l->count - 1].name, name) == 0))
		return 0;
	r = name_hash(c->a, name, NULL, &h);
	if (r < 0)
		return r;
	return listing_add(c->list, name, COOKIE_FIRST + h.id);
}

static int by_cookie(const void *a, const void *b)
{
	const struct all_listed *x = a, *y = b;

	return (x->cookie > y->cookie) - (x->cookie < y->cookie);
}

static int collect(struct view_all *a, uint64_t node,
		   struct all_listing *ret_list)
{
	struct all_place place;
	struct collect c = { .a = a, .place = &place, .list = ret_list };
	int r = all_dir_find(a, node, &place);

	if (r < 0)
		return r;
	fetch_may_block();
	ret_list->dir = node;
	ret_list->changed_ns =
		index_entries_changed_ns(store_index(a->opt.store));
	r = index_each_entry(store_index(a->opt.store),
			     place.namespace ? a->tenant : NULL,
			     place.namespace, place.name, collect_entry, &c);
	all_place_release(&place);
	if (r == 0 && ret_list->count > 0)
		qsort(ret_list->items, ret_list->count,
		      sizeof(ret_list->items[0]), by_cookie);
	return r;
}

/* One listing is remembered, for who goes on with it; anybody else's takes its
 * place, and then the names are looked for once more. So they are where entries
 * have changed: the kernel keeps a listing for as long as the directory has the
 * time that it had when that began, which may be later than what somebody else
 * has left here. */
static int take_listing(struct view_all *a, uint64_t node, uint64_t off,
			struct all_listing *ret_list)
{
	int64_t changed = index_entries_changed_ns(store_index(a->opt.store));

	*ret_list = (struct all_listing){ .dir = 0 };
	pthread_mutex_lock(&a->lock);
	if (off >= COOKIE_FIRST && a->listing.dir == node &&
	    a->listing.changed_ns == changed) {
		*ret_list = a->listing;
		a->listing = (struct all_listing){ .dir = 0 };
	}
	pthread_mutex_unlock(&a->lock);
	return ret_list->dir ? 0 : collect(a, node, ret_list);
}

static void keep_listing(struct view_all *a, struct all_listing *l)
{
	struct all_listing old;

	pthread_mutex_lock(&a->lock);
	old = a->listing;
	a->listing = *l;
	pthread_mutex_unlock(&a->lock);
	free(old.items);
}

/* Those behind `off`; whether all of them were taken. */
static bool give(const struct all_listing *l, uint64_t off, view_dir_fn add,
		 void *arg)
{
	struct view_attr attr = { .mode = S_IFDIR | 0555 };

	for (size_t i = 0; i < l->count; i++) {
		const struct all_listed *item = &l->items[i];

		if (item->cookie <= off)
			continue;
		if (add(arg, item->name, strlen(item->name), &attr,
			item->cookie))
			return false;
	}
	return true;
}

int all_dir_list(struct view_all *a, uint64_t node, uint64_t off,
		 view_dir_fn add, void *arg)
{
	struct view_attr dot = { .mode = S_IFDIR };
	struct all_listing l;
	int r = take_listing(a, node, off, &l);

	if (r < 0 && r != -ESTALE) { /* which has nothing in it any more */
		free(l.items);
		return r;
	}
	if ((off < 1 && add(arg, ".", 1, &dot, 1)) ||
	    (off < 2 && add(arg, "..", 2, &dot, 2)) || !give(&l, off, add, arg))
		keep_listing(a, &l);
	else
		free(l.items);
	return 0;
}
