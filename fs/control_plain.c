/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs without a mount. The method `prepare_plain` is what such a run begins
 * with: one entry is looked up, as `prepare` does it, and written into the
 * run's directories; `import_roots` makes one entry of several of them. Files
 * are as in a run with mounts (control_files.h).
 *
 * What a directory holds already:
 *
 *	the entry found		serves, with whatever was changed in it
 *	another, unchanged	is the store's own and makes room
 *	another, changed	is the base of a run that builds; an exact entry
 *				and a run that begins with nothing are refused
 *	files of others		refused, or the base where they are adopted
 *
 * All directories are looked at before one is written. A tree that cannot be
 * written is a miss: the cache never fails a build.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/log.h"
#include "store/export.h"
#include "store/plain.h"
#include "store/roots.h"

#include "control_files.h"
#include "control_remote.h"

_Static_assert(RPC_FDS_MAX >= ROOTS_MAX, "a descriptor for each directory");

/* One directory of the run. */
struct plain_place {
	const struct control_place *at;
	int dirfd; /* borrowed; -1 where there is none */
	enum plain_state state;
	bool reused; /* what is there is the base */
};

struct plain {
	struct control_call *call;
	struct ingest_owner self;
	struct control_lookup lookup;
	struct control_found found;
	struct control_places at;
	struct plain_place places[ROOTS_MAX];
	struct control_files files;
	int made[ROOTS_MAX]; /* descriptors that are not the request's */
	size_t n_made;
};

static void plain_release(struct plain *p)
{
	while (p->n_made > 0)
		close(p->made[--p->n_made]);
	control_lookup_release(&p->lookup);
	control_found_release(&p->found);
	control_places_release(&p->at);
}

static bool is_dir(const struct plain_place *place)
{
	return control_place_form(place->at) == FORM_DIR;
}

/* A descriptor comes with each directory that is there. */
static int parse_places(struct plain *p)
{
	int r = control_places_parse(p->call, &p->at);
	unsigned n = 0;

	for (size_t i = 0; r == 0 && i < p->at.count; i++) {
		const struct control_place *at = &p->at.items[i];
		bool there = at->now == NOW_DIR || at->now == NOW_EMPTY;

		p->places[i] = (struct plain_place){ .at = at, .dirfd = -1 };
		if (there && n < p->call->nfds)
			p->places[i].dirfd = p->call->fds[n];
		n += there;
	}
	return r < 0 || n == p->call->nfds ?
		       r :
		       mounts_fail(&p->call->err, -EINVAL, 2,
				   "the request came without its descriptors");
}

static void forget_entry(struct plain *p, const char *rule, const char *reason)
{
	p->found.has_entry = false;
	p->found.outcome = "miss";
	p->found.rule = rule;
	snprintf(p->found.reason, sizeof(p->found.reason), "%s", reason);
}

static bool is_exact(const struct plain *p)
{
	return strcmp(p->found.outcome, "exact") == 0;
}

/* --- what is there --- */

/* What is there is nearer than anything in the store. Where there are several
 * places, the others may begin with the entry that was found. */
static int build_on_it(struct plain *p, struct plain_place *place)
{
	place->reused = true;
	if (p->at.count == 1)
		p->found.has_entry = false;
	p->found.outcome = "partial";
	p->found.rule = "directory";
	snprintf(p->found.reason, sizeof(p->found.reason),
		 "no entry has this key; what the directory holds is the base");
	return 0;
}

static int judge_changed(struct plain *p, struct plain_place *place)
{
	bool fresh = !p->lookup.exact && !p->lookup.restore;

	if (!is_exact(p) && !fresh)
		return build_on_it(p, place);
	return mounts_fail(&p->call->err, -ENOTEMPTY, 1,
			   "%.500s was changed since larder wrote it, and %s; "
			   "move it away or empty it",
			   place->at->dir,
			   fresh ? "this run begins with nothing" :
				   "another tree belongs there");
}

static int judge_foreign(struct plain *p, struct plain_place *place)
{
	if (control_flag(p->call, "adopt"))
		return build_on_it(p, place);
	return mounts_fail(&p->call->err, -ENOTEMPTY, 1,
			   "%.500s holds files that are not from larder; empty "
			   "it, or keep them as the base with --adopt",
			   place->at->dir);
}

static int judge(struct plain *p, struct plain_place *place)
{
	bool has_base = p->found.has_entry && place->at->has_base;
	struct digest catalog;
	int r = plain_look(p->call->config->store, place->dirfd, place->at->dir,
			   &p->self, has_base ? &place->at->base : NULL,
			   &place->state, &catalog);

	if (r < 0)
		return control_fail(p->call, r, place->at->dir);
	switch (place->state) {
	case PLAIN_EMPTY:
	case PLAIN_UNCHANGED:
		return 0;
	case PLAIN_FOREIGN:
		return judge_foreign(p, place);
	case PLAIN_WANTED:
		place->reused = true;
		return 0;
	default:
		return judge_changed(p, place);
	}
}

static int judge_all(struct plain *p)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->at.count; i++)
		if (is_dir(&p->places[i]) && p->places[i].dirfd >= 0)
			r = judge(p, &p->places[i]);
	return r;
}

/* --- writing it --- */

/* The directory of a tree that is to be written where nothing is. */
static int make_dir(struct plain *p, struct plain_place *place)
{
	const char *dir = place->at->dir;
	int fd;

	if (place->dirfd >= 0)
		return 0;
	if (mkdir(dir, 0777) < 0 && errno != EEXIST)
		return -errno;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	place->dirfd = p->made[p->n_made++] = fd;
	return 0;
}

static int write_tree(struct plain *p, const struct plain_place *place)
{
	_cleanup_tree_ struct store_tree *t = NULL;
	int r;

	gc_entry_used(p->call->config->store, &p->found.entry);
	r = store_tree_open(p->call->config->store, &place->at->base, &t);

	if (r == 0)
		r = export_dir(t, place->dirfd, &p->self,
			       control_progress(p->call));
	return r;
}

static int clear(struct plain *p, const struct plain_place *place)
{
	bool clears = is_dir(place) && !place->reused && place->dirfd >= 0;
	int r = clears ? plain_clear(place->dirfd) : 0;

	return r < 0 ? control_fail(p->call, r, place->at->dir) : 0;
}

static int clear_all(struct plain *p)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->at.count; i++)
		r = clear(p, &p->places[i]);
	return r;
}

static int write_all(struct plain *p)
{
	for (size_t i = 0; i < p->at.count; i++) {
		struct plain_place *place = &p->places[i];
		int r;

		if (!is_dir(place) || place->reused || !place->at->has_base)
			continue;
		r = make_dir(p, place);
		if (r == 0)
			r = write_tree(p, place);
		if (r < 0) {
			log_warn(r, "%s: cannot write %s@%s", place->at->dir,
				 p->found.entry.name, p->found.entry.key);
			return r;
		}
	}
	return 0;
}

static int fill(struct plain *p)
{
	int r = clear_all(p), written;

	if (r < 0 || !p->found.has_entry)
		return r;
	written = write_all(p);
	if (written == 0)
		return 0;
	r = clear_all(p);
	if (r == 0 && written == -ECANCELED)
		r = control_fail(p->call, written, p->found.entry.name);
	if (r == 0)
		forget_entry(p, "none",
			     "the stored tree cannot be written here");
	return r;
}

/* --- prepare_plain --- */

static bool all_reused(const struct plain *p)
{
	for (size_t i = 0; i < p->at.count; i++)
		if (is_dir(&p->places[i]) ?
			    !p->places[i].reused :
			    control_place_form(&p->at.items[i]) == FORM_FILE &&
				    !control_file_reused(&p->files, i))
			return false;
	return true;
}

static int method_prepare_plain(struct control_call *call, json_t **ret_result)
{
	_cleanup_(plain_release) struct plain p = {
		.call = call,
		.self = { call->uid, call->gid },
	};
	const struct control_found *f = &p.found;
	bool refused, had_entry;
	int r = control_lookup_parse(call, &p.lookup);

	if (r == 0)
		r = parse_places(&p);
	if (r < 0)
		return r;
	control_places_look_up(&p.at, &p.lookup, &p.found);
	refused = control_flag(call, "only_exact") && !is_exact(&p);
	if (!refused)
		r = control_files_judge(&p.at, &p.lookup, &p.found, &p.files);
	if (r == 0 && !refused)
		r = judge_all(&p);
	had_entry = f->has_entry;
	if (r == 0 && !refused)
		r = fill(&p);
	if (r == 0 && !refused && had_entry == f->has_entry)
		r = control_files_put(&p.files, &p.found);
	if (r < 0)
		return r;
	*ret_result =
		json_pack("{s:s, s:s, s:o, s:o, s:b}", "outcome", f->outcome,
			  "rule", f->rule, "reason",
			  rpc_string(f->reason, strlen(f->reason)), "entry",
			  f->has_entry ? control_entry_json(&f->entry, false) :
					 json_null(),
			  "reused", all_reused(&p));
	control_found_add(f, *ret_result);
	return 0;
}

/* --- import_roots --- */

static int import_dir(struct plain *p, const struct plain_place *place,
		      struct ingest_result *ret_result)
{
	int r = ingest_dir(p->call->config->store, place->dirfd, place->at->dir,
			   &p->self, control_flag(p->call, "reread"),
			   control_progress(p->call), NULL, ret_result);

	return r < 0 ? control_fail(p->call, r, place->at->dir) : 0;
}

/* What a root is, its place says: nothing is not stored. */
static int import_all(struct plain *p, struct control_join *join)
{
	for (size_t i = 0; i < p->at.count; i++) {
		const struct plain_place *place = &p->places[i];
		enum control_now now = place->at->now;
		struct ingest_result result;
		int r = 0;

		if (!place->at->root)
			return mounts_fail(&p->call->err, -EINVAL, 2,
					   "a root of an entry has no name");
		if (now == NOW_FILE)
			r = control_file_ingest(p->call, place->at->dir,
						&result);
		else if (now != NOW_NONE)
			r = import_dir(p, place, &result);
		if (r < 0)
			return r;
		control_join_add(join, place->at->root, control_now_kind(now),
				 now == NOW_NONE ? NULL : &result);
	}
	return 0;
}

static int method_import_roots(struct control_call *call, json_t **ret_result)
{
	_cleanup_(plain_release) struct plain p = {
		.call = call,
		.self = { call->uid, call->gid },
	};
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct control_join join = { .count = 0 };
	int64_t start = clock_mono_ns();
	int r = control_new_entry(call, &e);

	if (r == 0 && control_is_taken(call, &e, ret_result))
		return 0;
	if (r == 0)
		r = parse_places(&p);
	if (r == 0)
		r = import_all(&p, &join);
	if (r == 0)
		r = control_join(call, &join, &e);
	if (r < 0)
		return r;
	*ret_result =
		control_join_json(&join, &e, !join.result.published, start);
	control_upload(call, &e, *ret_result);
	return 0;
}

const struct control_method control_plain_methods[] = {
	{ "prepare_plain", method_prepare_plain, false },
	{ "import_roots", method_import_roots, true },
	{ NULL, NULL, false },
};
