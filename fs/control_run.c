/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The method `prepare`: what a run begins with. One entry is looked up, and
 * each of the run's directories becomes a mount of it, or stays the mount that
 * it is. Either all of them are mounted then, or none was made.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/log.h"
#include "store/roots.h"

#include "control_lookup.h"

/* One directory of the run. */
struct place {
	char *dir;
	const char *root;   /* its name in the entry; NULL: is all of it */
	struct digest base; /* of the entry that was found, where has_base */
	bool has_base;
	struct mount *mnt; /* NULL: not mounted yet */
	bool reused;
	char kept_id[MOUNT_ID_LEN + 1]; /* empty: nothing was set aside */
	json_int_t kept_changes;
};

struct prepare {
	struct control_call *call;
	struct control_lookup lookup;
	struct control_found found;
	struct mounts_options options;
	struct place places[ROOTS_MAX];
	size_t count;
	bool fresh;   /* begin with nothing, whatever is mounted there */
	bool damaged; /* an entry was passed over; so is the next */
	bool other_roots;
};

static void prepare_release(struct prepare *p)
{
	for (size_t i = 0; i < p->count; i++) {
		mount_unref(p->places[i].mnt);
		free(p->places[i].dir);
	}
	control_lookup_release(&p->lookup);
	control_found_release(&p->found);
}

/* --- parameters --- */

static int parse_place(struct prepare *p, const json_t *root)
{
	struct place *place = &p->places[p->count];
	int r = control_root(p->call, root, &place->dir, &place->root);

	if (r == 0)
		p->count++;
	return r;
}

static int parse_places(struct prepare *p)
{
	const json_t *roots = json_object_get(p->call->params, "roots");
	size_t i;
	json_t *root;

	if (json_array_size(roots) == 0 || json_array_size(roots) > ROOTS_MAX)
		return mounts_fail(&p->call->err, -EINVAL, 2,
				   "a run has 1 to %d directories", ROOTS_MAX);
	json_array_foreach(roots, i, root)
	{
		int r = parse_place(p, root);

		if (r < 0)
			return r;
	}
	return 0;
}

static int parse(struct prepare *p)
{
	int r = control_mount_options(p->call, &p->options);

	if (r == 0)
		r = control_lookup_parse(p->call, &p->lookup);
	if (r == 0)
		r = parse_places(p);
	p->fresh = !p->lookup.exact && !p->lookup.restore;
	return r;
}

/* --- the entry --- */

/* What each place would be a mount of; how many there are. */
static int find_bases(struct prepare *p, const struct entry *e,
		      size_t *ret_found)
{
	*ret_found = 0;
	for (size_t i = 0; i < p->count; i++) {
		struct place *place = &p->places[i];
		int r = roots_extract(p->call->config->store, &e->catalog,
				      place->root, &place->base);

		place->has_base = r == 0;
		*ret_found += place->has_base;
		if (r < 0 && r != -ENOENT)
			return r;
	}
	return 0;
}

static bool is_there(struct prepare *p, const struct entry *e)
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
	struct prepare *p = arg;
	size_t found = 0;
	int r = is_there(p, e) ? find_bases(p, e, &found) : -EBADMSG;

	if (r == 0 && (exact ? found == p->count : found > 0))
		return 0;
	for (size_t i = 0; i < p->count; i++)
		p->places[i].has_base = false;
	if (r < 0) {
		log_warn(r, "%s@%s cannot be mounted", e->name, e->key);
		p->damaged = true;
	} else {
		p->other_roots = true;
	}
	return -ENOENT;
}

/* A cache fault is a miss, said once. */
static void look_up(struct prepare *p)
{
	struct control_found *f = &p->found;
	int r;

	p->lookup.accept = serves;
	p->lookup.arg = p;
	r = control_lookup(p->call, &p->lookup, f);
	if (r == 0 && (f->has_entry || (!p->damaged && !p->other_roots)))
		return;
	if (r < 0)
		log_warn(r, "looking up %s@%s", p->lookup.name, p->lookup.key);
	f->has_entry = false;
	f->outcome = "miss";
	f->rule = "none";
	snprintf(f->reason, sizeof(f->reason), "%s",
		 r < 0	    ? "the store's index cannot be read" :
		 p->damaged ? "the stored tree is damaged or gone" :
			      "there are only entries of other directories");
}

/* --- what is mounted there already --- */

static int count_change(void *arg, const struct view_diff_item *item)
{
	json_int_t *count = arg;

	(void)item;
	(*count)++;
	return 0;
}

/* For the user's information only: what goes wrong here keeps nothing from
 * going on. */
static json_int_t count_changes(struct mount *mnt)
{
	struct mounts_error ignored;
	json_int_t count = 0;
	int r;

	if (mount_acquire(mnt, "diff", &ignored) < 0)
		return 0;
	r = view_diff(mount_view(mnt), count_change, &count);
	mount_release(mnt);
	if (r < 0)
		log_warn(r, "counting the changes of %s", mount_dir(mnt));
	return count;
}

/* Takes the mount at the place away so that another tree may be mounted
 * there; its changes are kept. */
static int make_room(struct prepare *p, struct place *place)
{
	char id[MOUNT_ID_LEN + 1];
	bool kept = false;
	int r;

	snprintf(id, sizeof(id), "%s", mount_id(place->mnt));
	place->kept_changes = count_changes(place->mnt);
	/* It goes with its last reference. */
	mount_unref(steal_ptr(&place->mnt));
	r = mounts_umount(p->call->config->mounts, place->dir, false, false,
			  &kept, &p->call->err);
	if (r == -ENOENT) { /* another command has, meanwhile */
		p->call->err.message[0] = '\0';
		return 0;
	}
	if (r == 0 && kept)
		memcpy(place->kept_id, id, sizeof(id));
	return r;
}

static bool same_name(const struct prepare *p, const struct entry *e)
{
	return strcmp(e->name, p->lookup.name) == 0 &&
	       strcmp(e->namespace, p->lookup.namespace) == 0 &&
	       strcmp(e->tenant, p->lookup.tenant) == 0;
}

/* Whether the mount is of the entry that was found. Changes made since do not
 * make it another entry's mount. */
static bool is_of_found(const struct prepare *p, const struct place *place,
			const struct entry *current)
{
	const struct entry *e = &p->found.entry;
	struct digest catalog;

	if (view_catalog(mount_view(place->mnt), &catalog) &&
	    digest_equal(&catalog, &place->base))
		return true;
	return current->name && strcmp(current->key, e->key) == 0 &&
	       digest_equal(&current->catalog, &place->base);
}

/* What is there is nearer than anything in the store. */
static void build_on_mount(struct prepare *p, struct entry *current)
{
	struct control_found *f = &p->found;

	entry_release(&f->entry);
	f->entry = *current;
	*current = (struct entry)ENTRY_INIT;
	f->has_entry = f->entry.name != NULL;
	f->outcome = f->has_entry ? "partial" : "miss";
	f->rule = "mount";
	snprintf(f->reason, sizeof(f->reason),
		 "no entry has this key; the tree that is mounted there is the "
		 "base");
}

static bool is_pristine(const struct place *place, const struct entry *current)
{
	struct view_stats stats;
	struct digest base;

	view_stats(mount_view(place->mnt), &stats);
	return !current->name && !mount_base(place->mnt, &base) &&
	       !stats.dirty && !stats.damaged;
}

/* Decides what becomes of a mount that is there: it serves, or makes room, or
 * the run is refused. */
static int judge(struct prepare *p, struct place *place)
{
	_cleanup_entry_ struct entry current = ENTRY_INIT;
	bool exact = strcmp(p->found.outcome, "exact") == 0;

	if (mount_entry(place->mnt, &current) == 0 && !same_name(p, &current))
		return mounts_fail(&p->call->err, -EBUSY, 8,
				   "%s is a mount of %s@%.12s; larder umount "
				   "it first, or name another directory",
				   place->dir, current.name, current.key);
	if (mount_read_only(place->mnt))
		return make_room(p, place);
	if (p->fresh ? is_pristine(place, &current) :
	    exact    ? is_of_found(p, place, &current) :
		       true) {
		place->reused = true;
		if (!p->fresh && !exact)
			build_on_mount(p, &current);
		return 0;
	}
	return make_room(p, place);
}

static int judge_places(struct prepare *p)
{
	struct mounts_error ignored;
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->count; i++) {
		struct place *place = &p->places[i];

		if (mounts_find(p->call->config->mounts, place->dir,
				&place->mnt, &ignored) == 0)
			r = judge(p, place);
	}
	return r;
}

/* --- the mounts --- */

/* The mount stands for its part of the entry: the entry with the root's own
 * catalog. */
static int mount_place(struct prepare *p, struct place *place)
{
	struct entry part = p->found.entry; /* borrowed strings */

	part.catalog = place->base;
	return mounts_mount(p->call->config->mounts, place->dir,
			    p->found.has_entry && place->has_base ? &part :
								    NULL,
			    &p->options, &place->mnt, &p->call->err);
}

/* Takes those away that were made here; nothing was written to them. */
static void undo(struct prepare *p)
{
	struct mounts_error ignored;
	bool kept;

	for (size_t i = 0; i < p->count; i++) {
		struct place *place = &p->places[i];

		if (!place->mnt || place->reused)
			continue;
		mount_unref(steal_ptr(&place->mnt));
		(void)mounts_umount(p->call->config->mounts, place->dir, true,
				    false, &kept, &ignored);
	}
}

static int mount_places(struct prepare *p)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->count; i++)
		if (!p->places[i].mnt)
			r = mount_place(p, &p->places[i]);
	if (r < 0)
		undo(p);
	return r;
}

/* --- the answer --- */

static json_t *place_json(const struct place *place)
{
	json_t *j = json_pack("{s:o, s:b}", "mount",
			      control_mount_json(place->mnt), "reused",
			      place->reused);

	if (j && place->kept_id[0])
		json_object_set_new(j, "kept",
				    json_pack("{s:s, s:I}", "id",
					      place->kept_id, "changes",
					      place->kept_changes));
	return j;
}

static json_t *answer(const struct prepare *p, bool mounted)
{
	const struct control_found *f = &p->found;
	json_t *mounts = json_array();

	for (size_t i = 0; mounted && i < p->count; i++)
		json_array_append_new(mounts, place_json(&p->places[i]));
	return json_pack("{s:s, s:s, s:o, s:o, s:o}", "outcome", f->outcome,
			 "rule", f->rule, "reason",
			 rpc_string(f->reason, strlen(f->reason)), "entry",
			 f->has_entry ? control_entry_json(&f->entry, false) :
					json_null(),
			 "mounts", mounts);
}

static int method_prepare(struct control_call *call, json_t **ret_result)
{
	_cleanup_(prepare_release) struct prepare p = { .call = call };
	int r = parse(&p);

	if (r < 0)
		return r;
	look_up(&p);
	if (control_flag(call, "only_exact") &&
	    strcmp(p.found.outcome, "exact") != 0) {
		*ret_result = answer(&p, false);
		return 0;
	}
	r = judge_places(&p);
	if (r == 0)
		r = mount_places(&p);
	if (r == 0)
		*ret_result = answer(&p, true);
	return r;
}

const struct control_method control_run_methods[] = {
	{ "prepare", method_prepare },
	{ NULL, NULL },
};
