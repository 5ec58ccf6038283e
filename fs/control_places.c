/* SPDX-License-Identifier: Apache-2.0 */
/* What an entry has for the directories of a run. */
#include "control_places.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/base/log.h"

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
	}
	return 0;
}

void control_places_release(struct control_places *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->items[i].dir);
}

/* What each place would be; how many there are. */
static int find_bases(struct control_places *p, const struct entry *e,
		      size_t *ret_found)
{
	*ret_found = 0;
	for (size_t i = 0; i < p->count; i++) {
		struct control_place *place = &p->items[i];
		int r = roots_extract(p->call->config->store, &e->catalog,
				      place->root, &place->base);

		place->has_base = r == 0;
		*ret_found += place->has_base;
		if (r < 0 && r != -ENOENT)
			return r;
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
