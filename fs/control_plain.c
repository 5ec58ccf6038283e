/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The method `prepare_plain`: what a run without a mount begins with. One entry
 * is looked up, as `prepare` does it, and written into the run's directory.
 *
 * What the directory holds already:
 *
 *	the entry found		serves, with whatever was changed in it
 *	another, unchanged	is the store's own and makes room
 *	another, changed	is the base of a run that builds; an exact entry
 *				and a run that begins with nothing are refused
 *	files of others		refused, or the base where they are adopted
 *
 * A tree that cannot be written is a miss: the cache never fails a build.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/log.h"
#include "store/export.h"
#include "store/plain.h"
#include "store/roots.h"

#include "control_lookup.h"

struct plain {
	struct control_call *call;
	struct ingest_owner self;
	struct control_lookup lookup;
	struct control_found found;
	char *label;
	int dirfd;
	enum plain_state state;
	struct digest catalog; /* where it was an entry's */
	bool reused;	       /* what is there is the base */
};

static void plain_release(struct plain *p)
{
	control_lookup_release(&p->lookup);
	control_found_release(&p->found);
	free(p->label);
}

static int parse(struct plain *p)
{
	int r;

	if (p->call->nfds < 1)
		return mounts_fail(&p->call->err, -EINVAL, 2,
				   "the request came without its descriptor");
	p->dirfd = p->call->fds[0];
	r = control_bytes(p->call, "label", &p->label);
	return r < 0 ? r : control_lookup_parse(p->call, &p->lookup);
}

static void forget_entry(struct plain *p, const char *rule, const char *reason)
{
	p->found.has_entry = false;
	p->found.outcome = "miss";
	p->found.rule = rule;
	snprintf(p->found.reason, sizeof(p->found.reason), "%s", reason);
}

/* A directory can hold the tree of one, and not that of several. A damaged
 * one is found out when it is written. */
static int is_of_one(void *arg, const struct entry *e, bool exact)
{
	struct plain *p = arg;
	struct digest catalog;
	int r = roots_extract(p->call->config->store, &e->catalog, NULL,
			      &catalog);

	(void)exact;
	return r == -ENOENT ? r : 0;
}

static void look_up(struct plain *p)
{
	int r;

	p->lookup.accept = is_of_one;
	p->lookup.arg = p;
	r = control_lookup(p->call, &p->lookup, &p->found);
	if (r < 0) {
		log_warn(r, "looking up %s@%s", p->lookup.name, p->lookup.key);
		forget_entry(p, "none", "the store's index cannot be read");
	}
}

static bool is_exact(const struct plain *p)
{
	return strcmp(p->found.outcome, "exact") == 0;
}

/* --- what is there --- */

/* What is there is nearer than anything in the store. */
static int build_on_it(struct plain *p)
{
	p->reused = true;
	forget_entry(p, "directory",
		     "no entry has this key; what the directory holds is the "
		     "base");
	p->found.outcome = "partial";
	return 0;
}

static int judge_changed(struct plain *p)
{
	bool fresh = !p->lookup.exact && !p->lookup.restore;

	if (!is_exact(p) && !fresh)
		return build_on_it(p);
	return mounts_fail(&p->call->err, -ENOTEMPTY, 1,
			   "%s was changed since larder wrote it, and %s; move "
			   "it away or empty it",
			   p->label,
			   fresh ? "this run begins with nothing" :
				   "another tree belongs there");
}

static int judge_foreign(struct plain *p)
{
	if (control_flag(p->call, "adopt"))
		return build_on_it(p);
	return mounts_fail(&p->call->err, -ENOTEMPTY, 1,
			   "%s holds files that are not from larder; empty it, "
			   "or keep them as the base with --adopt",
			   p->label);
}

static int judge(struct plain *p)
{
	int r = plain_look(p->call->config->store, p->dirfd, p->label, &p->self,
			   &p->state, &p->catalog);

	if (r < 0)
		return control_fail(p->call, r, p->label);
	if (p->state == PLAIN_EMPTY)
		return 0;
	if (p->state == PLAIN_FOREIGN)
		return judge_foreign(p);
	if (p->found.has_entry &&
	    digest_equal(&p->catalog, &p->found.entry.catalog)) {
		p->reused = true;
		return 0;
	}
	return p->state == PLAIN_UNCHANGED ? 0 : judge_changed(p);
}

/* --- writing it --- */

static int write_entry(struct plain *p)
{
	_cleanup_tree_ struct store_tree *t = NULL;
	int r = store_tree_open(p->call->config->store, &p->found.entry.catalog,
				&t);

	if (r == 0)
		r = export_dir(t, p->dirfd, &p->self,
			       control_progress(p->call));
	return r;
}

static int fill(struct plain *p)
{
	int r = p->reused ? 0 : plain_clear(p->dirfd);

	if (r < 0)
		return control_fail(p->call, r, p->label);
	if (p->reused || !p->found.has_entry)
		return 0;
	r = write_entry(p);
	if (r == 0)
		return 0;
	log_warn(r, "%s: cannot write %s@%s", p->label, p->found.entry.name,
		 p->found.entry.key);
	if (plain_clear(p->dirfd) < 0 || r == -ECANCELED)
		return control_fail(p->call, r, p->label);
	forget_entry(p, "none", "the stored tree cannot be written here");
	return 0;
}

static int method_prepare_plain(struct control_call *call, json_t **ret_result)
{
	_cleanup_(plain_release) struct plain p = {
		.call = call,
		.self = { call->uid, call->gid },
	};
	const struct control_found *f = &p.found;
	bool refused;
	int r = parse(&p);

	if (r < 0)
		return r;
	look_up(&p);
	refused = control_flag(call, "only_exact") && !is_exact(&p);
	if (!refused)
		r = judge(&p);
	if (r == 0 && !refused)
		r = fill(&p);
	if (r < 0)
		return r;
	*ret_result =
		json_pack("{s:s, s:s, s:o, s:o, s:b}", "outcome", f->outcome,
			  "rule", f->rule, "reason",
			  rpc_string(f->reason, strlen(f->reason)), "entry",
			  f->has_entry ? control_entry_json(&f->entry, false) :
					 json_null(),
			  "reused", p.reused);
	return 0;
}

const struct control_method control_plain_methods[] = {
	{ "prepare_plain", method_prepare_plain },
	{ NULL, NULL },
};
