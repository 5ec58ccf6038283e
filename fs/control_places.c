/* SPDX-License-Identifier: Apache-2.0 */
/* What an entry has for the paths of a run. */
#include "control_places.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/log.h"

int control_root_now(struct control_call *call, const json_t *root,
		     enum control_now *ret_now)
{
	static const char *const words[] = { [NOW_DIR] = "dir",
					     [NOW_EMPTY] = "empty",
					     [NOW_NONE] = "none",
					     [NOW_FILE] = "file" };
	const json_t *now = json_object_get(root, "now");

	*ret_now = NOW_DIR;
	for (unsigned i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (json_is_string(now) &&
		    strcmp(json_string_value(now), words[i]) == 0) {
			*ret_now = (enum control_now)i;
			return 0;
		}
	return now ? mounts_fail(&call->err, -EINVAL, 2,
				 "a root is now dir, empty, none or file") :
		     0;
}

enum root_kind control_now_kind(enum control_now now)
{
	return now == NOW_FILE ? ROOT_FILE :
	       now == NOW_NONE ? ROOT_ABSENT :
				 ROOT_DIR;
}

int control_places_parse(struct control_call *call,
			 struct control_places *ret_places)
{
	const json_t *roots = json_object_get(call->params, "roots");
	struct control_places *p = ret_places;
	size_t i;
	json_t *root;

	p->call = call;
	if (json_array_size(roots) == 0 || json_array_size(roots) > ROOTS_MAX)
		return mounts_fail(&call->err, -EINVAL, 2,
				   "a run has 1 to %d directories", ROOTS_MAX);
	json_array_foreach(roots, i, root)
	{
		struct control_place *place = &p->items[i];
		int r = control_root(call, root, &place->dir, &place->root);

		if (r < 0)
			return r;
		p->count++;
		r = control_root_now(call, root, &place->now);
		if (r < 0)
			return r;
	}
	return 0;
}

void control_places_release(struct control_places *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->items[i].dir);
}

enum control_form control_place_form(const struct control_place *place)
{
	if (place->now == NOW_FILE ||
	    (place->has_base && place->kind == ROOT_FILE))
		return FORM_FILE;
	return place->now == NOW_NONE && !place->has_base ? FORM_NOTHING :
							    FORM_DIR;
}

/* A directory does not make room for a file, nor a file for a directory. */
static bool fits(const struct control_place *place, enum root_kind kind)
{
	return kind == ROOT_DIR	 ? place->now != NOW_FILE :
	       kind == ROOT_FILE ? place->now != NOW_DIR :
				   true;
}

/* 1 where the entry says what the place would be. */
static int find_base(struct control_places *p, const struct entry *e,
		     struct control_place *place)
{
	struct root root;
	int r = roots_extract(p->call->config->store, &e->catalog, place->root,
			      p->count == 1, &root);

	place->has_base = false;
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (!fits(place, root.kind))
		return 0;
	place->has_base = root.kind != ROOT_ABSENT;
	place->base = root.catalog;
	place->kind = root.kind;
	return 1;
}

/* What each place would be; how many there are. */
static int find_bases(struct control_places *p, const struct entry *e,
		      size_t *ret_found)
{
	*ret_found = 0;
	for (size_t i = 0; i < p->count; i++) {
		int r = find_base(p, e, &p->items[i]);

		if (r < 0)
			return r;
		*ret_found += (size_t)r;
	}
	return 0;
}

static bool is_there(const struct control_places *p, const struct entry *e)
{
	struct store_tree *t;
	int r = store_tree_open(p->call->config->store, &e->catalog, &t);

	if (r == 0)
		store_tree_unref(t);
	return r == 0;
}

/* An entry whose tree cannot be opened is none: it is built again. One of
 * other directories is none either, but may be the base of some. */
static int serves(void *arg, const struct entry *e, bool exact)
{
	struct control_places *p = arg;
	size_t found = 0;
	int r = is_there(p, e) ? find_bases(p, e, &found) : -EBADMSG;

	if (r == 0 && (exact ? found == p->count : found > 0))
		return 0;
	for (size_t i = 0; i < p->count; i++)
		p->items[i].has_base = false;
	if (r < 0) {
		log_warn(r, "%s@%s cannot be mounted", e->name, e->key);
		p->damaged = true;
	} else {
		p->other_roots = true;
	}
	return -ENOENT;
}

void control_places_look_up(struct control_places *p, struct control_lookup *l,
			    struct control_found *ret_found)
{
	struct control_found *f = ret_found;
	int r;

	l->accept = serves;
	l->arg = p;
	r = control_lookup(p->call, l, f);
	if (r == 0 && (f->has_entry || (!p->damaged && !p->other_roots)))
		return;
	if (r < 0)
		log_warn(r, "looking up %s@%s", l->name, l->key);
	f->has_entry = false;
	f->outcome = "miss";
	f->rule = "none";
	snprintf(f->reason, sizeof(f->reason), "%s",
		 r < 0	    ? "the store's index cannot be read" :
		 p->damaged ? "the stored tree is damaged or gone" :
			      "there are only entries of other directories");
}
