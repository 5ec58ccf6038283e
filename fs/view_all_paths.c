/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths in a view of all entries: the entry's names, then the path in its
 * tree. Nodes of one tree are taken together, so that a call makes one table of
 * names a tree; that of the latest is kept. A tree that the kernel has
 * forgotten meanwhile is not opened for this: its files have no path then.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/io.h"
#include "store/catalog_places.h"

#include "view_all_internal.h"
#include "view_paths.h"

struct view_all_paths {
	struct view_all *all; /* constant */
	uint32_t number;      /* of the tree of the next two; 0: none */
	struct store_tree *tree;
	struct catalog_places *names;
};

/* A file in its tree. */
struct place {
	uint32_t number; /* 0: nowhere */
	uint32_t ino;
};

int view_all_paths_new(struct view_all *a, struct view_all_paths **ret_paths)
{
	struct view_all_paths *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->all = a;
	*ret_paths = p;
	return 0;
}

static void drop_tree(struct view_all_paths *p)
{
	catalog_places_free(steal_ptr(&p->names));
	store_tree_unref(steal_ptr(&p->tree));
	p->number = 0;
}

void view_all_paths_free(struct view_all_paths *p)
{
	if (!p)
		return;
	drop_tree(p);
	free(p);
}

static struct place place_of(struct view_all *a, uint64_t node)
{
	const struct all_file *f;
	struct place at = { 0, 0 };
	LOCK_SCOPE(&a->lock);

	f = node & ALL_NODE_FILE ? map_get(&a->files, node) : NULL;
	if (f)
		at = (struct place){ f->tree, f->ino };
	else if (!(node & (ALL_NODE_FILE | ALL_NODE_DIR)))
		at = (struct place){ (uint32_t)(node >> 32), (uint32_t)node };
	return at;
}

/* The table of a tree's names. */
static int take_names(struct view_all_paths *p, const struct all_tree *t)
{
	int r;

	if (p->number == t->record.number)
		return 0;
	drop_tree(p);
	r = catalog_places_new(store_tree_catalog(t->tree), &p->names);
	if (r < 0)
		return r;
	p->tree = store_tree_ref(t->tree);
	p->number = t->record.number;
	return 0;
}

/* Of a tree that is pinned. */
static int path_in(struct view_all_paths *p, const struct all_tree *t,
		   const struct place *at, char **ret_path)
{
	const struct all_record *rec = &t->record;
	_cleanup_free_ char *path = NULL;
	int r = take_names(p, t);

	if (r < 0)
		return r;
	path = catalog_places_path(p->names, at->ino);
	if (!path)
		return 0;
	*ret_path = io_path("%s/%s/%s/%s", rec->namespace, rec->name, rec->key,
			    path);
	return *ret_path ? 0 : -ENOMEM;
}

/* 0 also where the tree is not open. */
static int path_of(struct view_all_paths *p, const struct place *at,
		   char **ret_path)
{
	struct all_tree *t = all_tree_pin_open(p->all, at->number);
	int r;

	if (!t)
		return 0;
	r = path_in(p, t, at, ret_path);
	all_tree_unpin(p->all, t);
	return r;
}

static int find(struct view_all_paths *p, struct place *places, size_t n,
		char **ret_paths)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		uint32_t number = places[i].number;

		for (size_t k = i; r == 0 && number && k < n; k++) {
			if (places[k].number != number)
				continue;
			r = path_of(p, &places[k], &ret_paths[k]);
			places[k].number = 0;
		}
	}
	return r;
}

int view_all_paths_find(struct view_all_paths *p, const uint64_t *nodes,
			size_t n, char **ret_paths)
{
	_cleanup_free_ struct place *places = calloc(n + 1, sizeof(*places));
	int r;

	if (!places)
		return -ENOMEM;
	memset(ret_paths, 0, n * sizeof(*ret_paths));
	for (size_t i = 0; i < n; i++)
		places[i] = place_of(p->all, nodes[i]);
	r = find(p, places, n, ret_paths);
	for (size_t i = 0; r < 0 && i < n; i++)
		free(steal_ptr(&ret_paths[i]));
	return r;
}
