/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Methods of the control server that concern remote tiers: push, pull,
 * list_remote, rm_remote; and the tiers of a call.
 */
#include "control_remote.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/log.h"

#include "control_again.h"
#include "control_trust.h"

/* --- the tiers of a call --- */

int control_remote_open(struct control_call *call,
			struct control_remote *ret_remote)
{
	struct control_remote cr = {
		.tiers = json_object_get(call->params, "tiers"),
		.remote = { .store = call->config->store,
			    .progress = control_progress(call) },
	};
	char fault[TIERS_FAULT_MAX];
	int r = control_scope(call, &cr.remote.tenant, &cr.remote.namespace);

	if (r == 0)
		r = control_trust_open(call, &cr.trust);
	if (r < 0)
		return r;
	if (json_array_size(cr.tiers) > 0) {
		r = tiers_get(call->config->tiers, cr.tiers, fault, &cr.chain);
		if (r < 0) {
			control_remote_release(&cr);
			return mounts_fail(&call->err, r, r == -EINVAL ? 2 : 1,
					   "%s", fault);
		}
	}
	cr.remote.chain = cr.chain;
	cr.remote.trust = cr.trust;
	*ret_remote = cr;
	return 0;
}

void control_remote_release(struct control_remote *cr)
{
	chain_unref(cr->chain);
	trust_free(cr->trust);
}

bool control_remote_can(const struct control_remote *cr, unsigned access)
{
	for (unsigned i = 0; cr->chain && i < chain_count(cr->chain); i++)
		if (chain_access(cr->chain, i) & access)
			return true;
	return false;
}

char *control_tiers_text(struct control_call *call)
{
	const json_t *list = json_object_get(call->params, "tiers");
	_cleanup_json_ json_t *public = NULL;

	if (json_array_size(list) == 0)
		return NULL;
	public = tiers_public(list);
	return public ? json_dumps(public, JSON_COMPACT) : NULL;
}

/* For a method that does nothing else. */
static int open_for(struct control_call *call, unsigned access,
		    struct control_remote *ret_remote)
{
	int r = control_remote_open(call, ret_remote);

	if (r < 0 || control_remote_can(ret_remote, access))
		return r;
	return mounts_fail(&call->err, -EINVAL, 2,
			   "there is no remote tier to %s; name one in "
			   "config.yml (larder-config(5)) or with --tiers",
			   access == CHAIN_READ ? "read from" : "write to");
}

/* What a tier failed with, as the error of the call. */
static int fail(struct control_call *call, int err, const char *tier,
		const char *what, const char *why)
{
	int exit = err == -ENOENT ? 3 : err == -EBADMSG ? 7 : 6;

	if (chain_is_refused(err))
		return control_fail_refused(call, what, err);
	if (err == -ECANCELED || err == -ENOMEM)
		return control_fail(call, err, what);
	return mounts_fail(&call->err, err, exit, "%s: %s%s%s", what,
			   tier ? tier : "", tier ? ": " : "",
			   why && *why	   ? why :
			   err == -ENOENT  ? "no tier has it" :
			   err == -EBADMSG ? "what the tiers have is damaged" :
					     strerror(-err));
}

/* --- push --- */

/* `arg`: the call that waits. */
static int tell(void *arg, uint64_t packs, uint64_t all_packs, uint64_t bytes)
{
	return progress_tick(control_progress(arg), "push", packs, all_packs,
			     bytes, 0);
}

static json_t *upload_result(const char *tier, int err,
			     const struct upload_outcome *o)
{
	const struct remote_result *res = &o->result;

	return json_pack("{s:s, s:i, s:i, s:I, s:s?, s:b}", "tier", tier,
			 "packs", (int)res->packs, "packs_moved",
			 (int)res->packs_moved, "bytes_moved",
			 (json_int_t)res->bytes_moved, "error",
			 err < 0 ? o->why : NULL, "given_up", o->given_up);
}

/* Appends what became of the upload to tier `i`. */
static int upload_to(struct control_call *call, const struct control_remote *cr,
		     unsigned i, const struct entry *e, bool wait, json_t *list)
{
	struct uploads *u = call->config->uploads;
	const char *name = chain_name(cr->chain, i);
	struct upload_outcome o = { .why = "the upload queue cannot be written",
				    .given_up = true };
	uint64_t id;
	int r = uploads_add(u, e, cr->chain, i, cr->tiers,
			    control_flag(call, "force"), &id);

	if (r == 0 && !wait) {
		json_array_append_new(list, json_pack("{s:s, s:b}", "tier",
						      name, "queued", 1));
		return 0;
	}
	if (r == 0)
		r = uploads_wait(u, id, tell, call, &o);
	json_array_append_new(list, upload_result(name, r, &o));
	return r;
}

static int upload_all(struct control_call *call,
		      const struct control_remote *cr, const struct entry *e,
		      bool wait, json_t *list)
{
	int all = 0;

	for (unsigned i = 0; i < chain_count(cr->chain); i++) {
		int r;

		if (!(chain_access(cr->chain, i) & CHAIN_WRITE))
			continue;
		r = upload_to(call, cr, i, e, wait, list);
		if (r == -ECANCELED)
			return r;
		if (r < 0 && all == 0)
			all = r;
	}
	return all;
}

/* An entry that cannot be signed is an entry all the same. */
static void sign_published(struct control_call *call, struct entry *e,
			   json_t *result)
{
	struct mounts_error before = call->err;

	if (control_sign(call, e) < 0) {
		json_object_set_new(result, "sign_error",
				    json_string(call->err.message));
		call->err = before;
	}
	json_object_set_new(result, "entry", control_entry_json(e, false));
}

void control_upload(struct control_call *call, struct entry *e, json_t *result)
{
	_cleanup_control_remote_ struct control_remote cr = { .chain = NULL };
	_cleanup_json_ json_t *list = json_array();
	struct mounts_error before = call->err;

	sign_published(call, e, result);
	if (control_remote_open(call, &cr) < 0) {
		json_object_set_new(result, "upload_error",
				    json_string(call->err.message));
		call->err = before;
		return;
	}
	if (!control_remote_can(&cr, CHAIN_WRITE))
		return;
	(void)upload_all(call, &cr, e, control_flag(call, "wait"), list);
	json_object_set(result, "uploads", list);
}

void control_fill_above(struct control_call *call,
			const struct control_remote *cr, unsigned from,
			const struct entry *e)
{
	const unsigned both = CHAIN_READ | CHAIN_WRITE;

	for (unsigned i = 0; i < from && i < chain_count(cr->chain); i++) {
		uint64_t id;
		int r;

		if ((chain_access(cr->chain, i) & both) != both)
			continue;
		r = uploads_add(call->config->uploads, e, cr->chain, i,
				cr->tiers, false, &id);
		if (r < 0)
			log_warn(r, "%s@%s is not put into tier %s", e->name,
				 e->key, chain_name(cr->chain, i));
	}
}

static int method_push(struct control_call *call, json_t **ret_result)
{
	_cleanup_control_remote_ struct control_remote cr = { .chain = NULL };
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	_cleanup_json_ json_t *list = json_array();
	int r = open_for(call, CHAIN_WRITE, &cr);

	if (r == 0)
		r = control_find_here(call, &e);
	if (r == 0)
		r = control_sign(call, &e);
	if (r < 0)
		return r;
	r = upload_all(call, &cr, &e, control_flag(call, "wait"), list);
	if (r == -ECANCELED)
		return mounts_fail(&call->err, r, 1,
				   "the upload goes on in the background; "
				   "larder status shows it");
	*ret_result = json_pack("{s:o, s:O}", "entry",
				control_entry_json(&e, false), "uploads", list);
	return 0;
}

/* --- pull --- */

/* The entry that `entry` names, as the tiers have it. */
static int find_remote(struct control_call *call,
		       const struct control_remote *cr, struct entry *ret_entry)
{
	struct entry_ref ref;
	const char *text;
	int r = control_entry_ref(call, &ref, &text);

	if (r < 0)
		return r;
	r = remote_find_ref(&cr->remote, &ref, ret_entry);
	if (r == -ENOTUNIQ)
		return mounts_fail(&call->err, r, 2,
				   "several entries begin with %.200s; give "
				   "more of the key",
				   text);
	return r < 0 ? fail(call, r, NULL, text, cr->remote.why) : 0;
}

static int method_pull(struct control_call *call, json_t **ret_result)
{
	_cleanup_control_remote_ struct control_remote cr = { .chain = NULL };
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct remote_result res = { 0 };
	char why[TIER_WHY_MAX] = "";
	int64_t start = clock_mono_ns();
	unsigned from = 0;
	int r = open_for(call, CHAIN_READ, &cr);

	cr.remote.why = why;
	cr.remote.from = &from;
	if (r == 0)
		r = find_remote(call, &cr, &e);
	if (r < 0)
		return r;
	r = remote_pull(&cr.remote, &e, &res);
	if (r < 0)
		return fail(call, r, NULL, e.name, why);
	control_fill_above(call, &cr, from, &e);
	*ret_result = json_pack(
		"{s:o, s:i, s:i, s:I, s:I}", "entry",
		control_entry_json(&e, false), "packs", (int)res.packs,
		"packs_moved", (int)res.packs_moved, "bytes_moved",
		(json_int_t)res.bytes_moved, "elapsed_ms",
		(json_int_t)((clock_mono_ns() - start) / 1000000));
	return 0;
}

/* --- lists and removal --- */

struct listing {
	struct control_call *call;
	json_t *entries;
	const char *tier;
};

static int add_entry(void *arg, const struct entry *e)
{
	struct listing *l = arg;
	json_t *j = control_entry_json(e, false);

	if (j)
		json_object_set_new(j, "tier", json_string(l->tier));
	if (j)
		(void)control_add_trusted(l->call, e, j);
	return json_array_append_new(l->entries, j) < 0 ? -ENOMEM : 0;
}

static json_t *tier_failure(const char *tier, int err, const char *why)
{
	return json_pack("{s:s, s:s}", "tier", tier, "error",
			 err == -EOPNOTSUPP ? "this tier cannot be listed" :
			 *why		    ? why :
					      strerror(-err));
}

static int method_list_remote(struct control_call *call, json_t **ret_result)
{
	_cleanup_control_remote_ struct control_remote cr = { .chain = NULL };
	_cleanup_json_ json_t *entries = json_array(), *failed = json_array();
	const char *name = NULL;
	int r = open_for(call, CHAIN_READ, &cr);

	if (r == 0 && json_object_get(call->params, "name"))
		r = control_name(call, call->params, "name", &name);
	if (r < 0)
		return r;
	cr.remote.trust = NULL; /* it is told of each */
	for (unsigned i = 0; i < chain_count(cr.chain); i++) {
		struct listing l = { call, entries, chain_name(cr.chain, i) };
		char why[TIER_WHY_MAX] = "";

		if (!(chain_access(cr.chain, i) & CHAIN_READ))
			continue;
		cr.remote.why = why;
		r = remote_each(&cr.remote, i, name, add_entry, &l);
		if (r < 0)
			json_array_append_new(failed,
					      tier_failure(l.tier, r, why));
	}
	*ret_result =
		json_pack("{s:O, s:O}", "entries", entries, "failed", failed);
	return 0;
}

static int method_rm_remote(struct control_call *call, json_t **ret_result)
{
	_cleanup_control_remote_ struct control_remote cr = { .chain = NULL };
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	_cleanup_json_ json_t *tiers = json_array();
	char why[TIER_WHY_MAX] = "";
	json_t *gone;
	int r = open_for(call, CHAIN_WRITE, &cr);

	cr.remote.why = why;
	cr.remote.trust = NULL; /* what nobody has signed may go, too */
	if (r == 0)
		r = find_remote(call, &cr, &e);
	if (r == -ENOENT && control_again_removed(call, &gone)) {
		*ret_result =
			json_pack("{s:o, s:O}", "entry", gone, "tiers", tiers);
		return 0;
	}
	if (r == 0)
		r = control_again_rm(call, &e);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < chain_count(cr.chain); i++) {
		if (!(chain_access(cr.chain, i) & CHAIN_WRITE))
			continue;
		r = remote_remove(&cr.remote, i, e.name, e.key);
		if (r == -ENOENT)
			continue;
		if (r < 0)
			return fail(call, r, chain_name(cr.chain, i), e.name,
				    why);
		json_array_append_new(tiers,
				      json_string(chain_name(cr.chain, i)));
	}
	if (json_array_size(tiers) == 0)
		return mounts_fail(&call->err, -ENOENT, 3,
				   "%s@%s: no tier that may be written to has "
				   "it",
				   e.name, e.key);
	*ret_result = json_pack("{s:o, s:O}", "entry",
				control_entry_json(&e, false), "tiers", tiers);
	return 0;
}

const struct control_method control_remote_methods[] = {
	{ "push", method_push, false },
	{ "pull", method_pull, true },
	{ "list_remote", method_list_remote, false },
	{ "rm_remote", method_rm_remote, false },
	{ NULL, NULL, false },
};
