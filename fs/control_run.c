/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The method `prepare`: what a run begins with. One entry is looked up, and
 * each of the run's directories becomes a mount of it, or stays the mount that
 * it is; its files are written. Either all directories are mounted then, or
 * none was made.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/base/log.h"

#include "control_files.h"
#include "control_remote.h"

/* One directory of the run. */
struct place {
	struct control_place *at;
	struct mount *mnt; /* NULL: not mounted yet */
	bool reused;
	bool replaced;			/* a mount that was there made room */
	bool over_files;		/* the directory holds some */
	bool adopted;			/* ... and they are the base */
	char *aside;			/* where they are until it is mounted */
	char kept_id[MOUNT_ID_LEN + 1]; /* empty: nothing was set aside */
	json_int_t kept_changes;
};

struct prepare {
	struct control_call *call;
	struct control_lookup lookup;
	struct control_found found;
	struct mounts_options options;
	struct control_places at;
	struct place places[ROOTS_MAX];
	struct control_files files;
	bool fresh; /* begin with nothing, whatever is mounted there */
};

static void prepare_release(struct prepare *p)
{
	for (size_t i = 0; i < p->at.count; i++) {
		struct place *place = &p->places[i];

		if (place->aside)
			control_move_end(place->at->dir, place->aside,
					 place->mnt != NULL);
		mount_unref(place->mnt);
		free(place->aside);
	}
	control_places_release(&p->at);
	control_lookup_release(&p->lookup);
	control_found_release(&p->found);
}

/* --- parameters --- */

static int parse(struct prepare *p)
{
	int r = control_mount_options(p->call, &p->options);

	if (r == 0)
		r = control_lookup_parse(p->call, &p->lookup);
	if (r == 0)
		r = control_places_parse(p->call, &p->at);
	for (size_t i = 0; i < p->at.count; i++)
		p->places[i].at = &p->at.items[i];
	p->fresh = !p->lookup.exact && !p->lookup.restore;
	return r;
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
	struct mounts_options opt;
	bool kept = false;
	int r;

	mount_get_options(place->mnt, &opt);
	place->over_files = opt.over_files;
	place->replaced = true;
	snprintf(id, sizeof(id), "%s", mount_id(place->mnt));
	place->kept_changes = count_changes(place->mnt);
	/* It goes with its last reference. */
	mount_unref(steal_ptr(&place->mnt));
	r = mounts_umount(p->call->config->mounts, place->at->dir, false, false,
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
	    digest_equal(&catalog, &place->at->base))
		return true;
	return current->name && strcmp(current->key, e->key) == 0 &&
	       digest_equal(&current->catalog, &place->at->base);
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

	if (mount_all(place->mnt))
		return mounts_fail(&p->call->err, -EBUSY, 8,
				   "%s shows all entries; larder umount it "
				   "first, or name another directory",
				   place->at->dir);
	if (mount_entry(place->mnt, &current) == 0 && !same_name(p, &current))
		return mounts_fail(&p->call->err, -EBUSY, 8,
				   "%s is a mount of %s@%.12s; larder umount "
				   "it first, or name another directory",
				   place->at->dir, current.name, current.key);
	if (mount_read_only(place->mnt))
		return make_room(p, place);
	if (p->fresh ? is_pristine(place, &current) :
	    exact    ? is_of_found(p, place, &current) :
		       true) {
		place->reused = true;
		mount_keep_secrets(place->mnt,
				   json_object_get(p->call->params, "tiers"));
		if (!p->fresh && !exact)
			build_on_mount(p, &current);
		return 0;
	}
	return make_room(p, place);
}

static bool is_dir(const struct place *place)
{
	return control_place_form(place->at) == FORM_DIR;
}

static int judge_places(struct prepare *p)
{
	struct mounts_error ignored;
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->at.count; i++) {
		struct place *place = &p->places[i];

		if (is_dir(place) &&
		    mounts_find(p->call->config->mounts, place->at->dir,
				&place->mnt, &ignored) == 0)
			r = judge(p, place);
	}
	return r;
}

/* --- files that are there already --- */

/* They are nearer than anything in the store. Where there are several places,
 * the others may lie on the entry that was found. */
static void build_on_files(struct prepare *p)
{
	struct control_found *f = &p->found;

	if (p->at.count == 1)
		f->has_entry = false;
	f->outcome = "partial";
	f->rule = "directory";
	snprintf(f->reason, sizeof(f->reason),
		 "no entry has this key; what the directory holds is the base");
}

/* The directory was made by the run's command, and is not to stay beneath. */
static int move_in(struct prepare *p, struct place *place)
{
	int r = control_move_in(p->call, place->at->dir, &place->at->base,
				&place->aside);

	if (r > 0)
		place->at->has_base = place->adopted = true;
	return r < 0 ? r : 0;
}

static int adopt(struct prepare *p, struct place *place)
{
	bool exact = strcmp(p->found.outcome, "exact") == 0;
	int r = exact ? mount_check_dir(place->at->dir, true, &p->call->err) :
			control_adopt(p->call, place->at->dir,
				      &place->at->base);

	if (r <= 0)
		return r;
	place->over_files = true;
	if (exact)
		return 0;
	place->at->has_base = place->adopted = true;
	build_on_files(p);
	return 0;
}

static int adopt_places(struct prepare *p)
{
	bool move = control_flag(p->call, "move");
	int r = 0;

	if (!move && !control_flag(p->call, "adopt"))
		return 0;
	for (size_t i = 0; r == 0 && i < p->at.count; i++) {
		struct place *place = &p->places[i];

		if (is_dir(place) && !place->mnt && !place->replaced)
			r = move ? move_in(p, place) : adopt(p, place);
	}
	return r;
}

/* --- the mounts --- */

/* The mount stands for its part of the entry: the entry with the root's own
 * catalog. */
static int mount_place(struct prepare *p, struct place *place)
{
	struct entry part = p->found.entry; /* borrowed strings */
	_cleanup_free_ char *tiers = control_tiers_text(p->call);
	struct mounts_options opt = p->options;
	bool of_entry = p->found.has_entry && !place->adopted;

	if (place->at->now == NOW_NONE && mkdir(place->at->dir, 0777) < 0 &&
	    errno != EEXIST)
		return control_fail(p->call, -errno, place->at->dir);
	part.catalog = place->at->base;
	opt.over_files = place->over_files;
	opt.tiers = tiers;
	opt.secrets = json_object_get(p->call->params, "tiers");
	opt.base = place->adopted ? &place->at->base : NULL;
	return mounts_mount(p->call->config->mounts, place->at->dir,
			    of_entry && place->at->has_base ? &part : NULL,
			    &opt, &place->mnt, &p->call->err);
}

/* Takes those away that were made here; nothing was written to them. */
static void undo(struct prepare *p)
{
	struct mounts_error ignored;
	bool kept;

	for (size_t i = 0; i < p->at.count; i++) {
		struct place *place = &p->places[i];

		if (!place->mnt || place->reused)
			continue;
		mount_unref(steal_ptr(&place->mnt));
		(void)mounts_umount(p->call->config->mounts, place->at->dir,
				    true, false, &kept, &ignored);
	}
}

static int mount_places(struct prepare *p)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->at.count; i++)
		if (is_dir(&p->places[i]) && !p->places[i].mnt)
			r = mount_place(p, &p->places[i]);
	if (r < 0)
		undo(p);
	return r;
}

/* What a mount that serves was read before is not this run's. */
static void count_anew(struct prepare *p)
{
	for (size_t i = 0; i < p->at.count; i++)
		if (p->places[i].reused && control_flag(p->call, "count_anew"))
			control_count_anew(p->places[i].mnt);
}

/* --- the answer --- */

static json_t *place_json(const struct place *place)
{
	json_t *j = json_pack("{s:s, s:o, s:b}", "kind", "dir", "mount",
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
	json_t *mounts = json_array(), *result;

	for (size_t i = 0; mounted && i < p->at.count; i++)
		json_array_append_new(mounts,
				      is_dir(&p->places[i]) ?
					      place_json(&p->places[i]) :
					      control_file_json(&p->files, i));
	result = json_pack("{s:s, s:s, s:o, s:o, s:o}", "outcome", f->outcome,
			   "rule", f->rule, "reason",
			   rpc_string(f->reason, strlen(f->reason)), "entry",
			   f->has_entry ? control_entry_json(&f->entry, false) :
					  json_null(),
			   "mounts", mounts);
	control_found_add(f, result);
	return result;
}

static int method_prepare(struct control_call *call, json_t **ret_result)
{
	_cleanup_(prepare_release) struct prepare p = { .call = call };
	int r = parse(&p);

	if (r < 0)
		return r;
	control_places_look_up(&p.at, &p.lookup, &p.found);
	if (control_flag(call, "only_exact") &&
	    strcmp(p.found.outcome, "exact") != 0) {
		*ret_result = answer(&p, false);
		return 0;
	}
	r = control_files_judge(&p.at, &p.lookup, &p.found, &p.files);
	if (r == 0)
		r = judge_places(&p);
	if (r == 0)
		r = adopt_places(&p);
	if (r == 0)
		r = mount_places(&p);
	if (r == 0)
		r = control_files_put(&p.files, &p.found);
	if (r == 0)
		count_anew(&p);
	if (r == 0)
		*ret_result = answer(&p, true);
	return r;
}

const struct control_method control_run_methods[] = {
	{ "prepare", method_prepare, false },
	{ NULL, NULL, false },
};
