/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths in a view. What is asked for, and the directories above it, are put
 * into a map, level by level: first what the base names and the upper has left
 * there, then, with one look through the upper's names, the rest. So a call
 * looks through these as often as directories that the upper made lie in one
 * another, at most.
 */
#include "view_paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/map.h"
#include "store/catalog_places.h"

#include "view_internal.h"

#define DEPTH_MAX 4096 /* deeper has no path */

/* Where an inode is named. */
struct place {
	uint64_t parent; /* 0: nowhere, or not found yet */
	bool looked_for;
	size_t len;
	char *text; /* owned */
};

struct view_paths {
	struct view *view;	     /* constant */
	struct catalog_places *base; /* NULL: not made yet, or no base */
	struct map places;	     /* of the call */
};

int view_paths_new(struct view *v, struct view_paths **ret_paths)
{
	struct view_paths *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->view = v;
	*ret_paths = p;
	return 0;
}

static void drop_places(struct view_paths *p)
{
	struct place *place;
	size_t pos = 0;

	while ((place = map_next(&p->places, &pos, NULL))) {
		free(place->text);
		free(place);
	}
	map_release(&p->places);
	p->places = (struct map)MAP_INIT;
}

void view_paths_free(struct view_paths *p)
{
	if (!p)
		return;
	drop_places(p);
	catalog_places_free(p->base);
	free(p);
}

/* --- finding, under the view's lock --- */

static int want(struct view_paths *p, uint64_t ino)
{
	struct place *place;
	int r;

	if (ino == 0 || ino == VIEW_ROOT || map_get(&p->places, ino))
		return 0;
	place = calloc(1, sizeof(*place));
	if (!place)
		return -ENOMEM;
	r = map_put(&p->places, ino, place);
	if (r < 0)
		free(place);
	return r;
}

static int set_place(struct place *place, uint64_t parent, const char *text,
		     size_t len)
{
	place->text = malloc(len + 1);
	if (!place->text)
		return -ENOMEM;
	memcpy(place->text, text, len);
	place->len = len;
	place->parent = parent;
	return 0;
}

/* The base's name of it, unless the upper says something of that name. */
static int find_in_base(const struct view_paths *p, uint64_t ino,
			struct place *place)
{
	const struct upper *u = &p->view->upper;
	struct catalog_dirent d;
	uint32_t dir;

	if (!p->base || ino > u->base_inodes ||
	    !catalog_places_find(p->base, (uint32_t)ino, &dir, &d) ||
	    names_find(&u->names, dir, d.name, d.name_len))
		return 0;
	return set_place(place, dir, d.name, d.name_len);
}

static int find_in_upper(struct view_paths *p, size_t missing)
{
	const struct names *names = &p->view->upper.names;
	const struct name *n;
	size_t pos = 0;
	int r = 0;

	while (r == 0 && missing > 0 && (n = names_next(names, &pos))) {
		struct place *place = n->ino ? map_get(&p->places, n->ino) :
					       NULL;

		if (!place || place->parent)
			continue;
		r = set_place(place, n->parent, n->text, n->len);
		missing--;
	}
	return r;
}

/* Of all that is new in the map. *ret_parents: what these are named in; the
 * caller frees. 1 where there is any. */
static int find_level(struct view_paths *p, uint64_t **ret_parents,
		      size_t *ret_count)
{
	uint64_t *parents = calloc(p->places.count + 1, sizeof(*parents));
	struct place *place;
	size_t pos = 0, missing = 0, n = 0;
	uint64_t ino;
	int r = parents ? 0 : -ENOMEM;

	while (r == 0 && (place = map_next(&p->places, &pos, &ino))) {
		if (!place->looked_for)
			r = find_in_base(p, ino, place);
		missing += !place->looked_for && !place->parent;
	}
	if (r == 0)
		r = find_in_upper(p, missing);
	pos = 0;
	while (r == 0 && (place = map_next(&p->places, &pos, NULL))) {
		if (!place->looked_for && place->parent)
			parents[n++] = place->parent;
		place->looked_for = true;
	}
	*ret_parents = parents;
	*ret_count = n;
	return r;
}

static int find_all(struct view_paths *p, const uint64_t *numbers, size_t n)
{
	size_t before;
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = want(p, numbers[i]);
	do {
		_cleanup_free_ uint64_t *parents = NULL;
		size_t n_parents = 0;

		before = p->places.count;
		if (r == 0)
			r = find_level(p, &parents, &n_parents);
		for (size_t i = 0; r == 0 && i < n_parents; i++)
			r = want(p, parents[i]);
	} while (r == 0 && p->places.count > before);
	return r;
}

static int find_places(struct view_paths *p, const uint64_t *numbers, size_t n)
{
	READ_SCOPE(p->view);
	return find_all(p, numbers, n);
}

/* --- what was found --- */

/* The length of a path with its final NUL; 0: there is none. */
static size_t path_len(const struct view_paths *p, uint64_t ino)
{
	const struct place *place;
	unsigned steps = DEPTH_MAX;
	size_t len = 0;

	for (; ino != VIEW_ROOT; ino = place->parent) {
		place = map_get(&p->places, ino);
		if (!place || !place->parent || steps-- == 0)
			return 0;
		len += place->len + 1;
	}
	return len;
}

static int path_of(const struct view_paths *p, uint64_t ino, char **ret_path)
{
	size_t at = path_len(p, ino);
	const struct place *place;
	char end = '\0';

	*ret_path = NULL;
	if (at == 0)
		return 0;
	*ret_path = malloc(at);
	if (!*ret_path)
		return -ENOMEM;
	for (; ino != VIEW_ROOT; ino = place->parent) {
		place = map_get(&p->places, ino);
		(*ret_path)[--at] = end;
		at -= place->len;
		memcpy(*ret_path + at, place->text, place->len);
		end = '/';
	}
	return 0;
}

/* A base never changes. */
static int make_table(struct view_paths *p)
{
	const struct catalog *base = p->view->upper.base;

	return base && !p->base ? catalog_places_new(base, &p->base) : 0;
}

int view_paths_find(struct view_paths *p, const uint64_t *numbers, size_t n,
		    char **ret_paths)
{
	size_t done = 0;
	int r = make_table(p);

	if (r == 0)
		r = find_places(p, numbers, n);
	for (; r == 0 && done < n; done++)
		r = path_of(p, numbers[done], &ret_paths[done]);
	drop_places(p);
	while (r < 0 && done > 0)
		free(steal_ptr(&ret_paths[--done]));
	return r;
}
