/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Methods of the control server that decide what stays in the store: gc, rm,
 * pin, unpin.
 */
#include <errno.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"

#include "control_again.h"

/* ---- gc */

static json_t *usage_json(const struct gc_usage *u)
{
	return json_pack("{s:I, s:I, s:I, s:b}", "bytes", (json_int_t)u->bytes,
			 "objects", (json_int_t)u->objects, "free_bytes",
			 (json_int_t)u->free_bytes, "over", u->over);
}

json_t *control_limit_json(const struct gc_usage *u)
{
	return u->limit_bytes > INT64_MAX ?
		       json_null() :
		       json_integer((json_int_t)u->limit_bytes);
}

static void add_removed(void *arg, const struct entry *e, int64_t used_ns,
			enum gc_reason reason)
{
	json_t *j = control_entry_json(e, false);

	json_object_set_new(j, "used", control_time(used_ns));
	json_object_set_new(j, "reason",
			    json_string(reason == GC_UNREADABLE ? "unreadable" :
								  "unused"));
	json_array_append_new(arg, j);
}

/* What is done before the collection. */
struct before {
	bool repack;
	struct repack_result repacked;
	struct rest_result rested;
	uint64_t bytes; /* of the store, before all of it */
};

static json_t *repacked_json(const struct before *before)
{
	const struct repack_result *r = &before->repacked;

	if (!before->repack)
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "packs",
			 (json_int_t)r->packs, "before_bytes",
			 (json_int_t)r->before_bytes, "after_bytes",
			 (json_int_t)r->after_bytes, "in_use",
			 (json_int_t)r->in_use, "sent", (json_int_t)r->sent,
			 "no_gain", (json_int_t)r->no_gain);
}

static json_t *gc_json(const struct gc_result *res, const struct before *before,
		       json_t *removed, bool dry_run)
{
	return json_pack(
		"{s:b, s:I, s:I, s:O, s:I, s:I, s:I, s:I, s:o, s:I, s:o, s:o, "
		"s:o}",
		"dry_run", dry_run, "entries", (json_int_t)res->entries,
		"protected", (json_int_t)res->kept_entries, "removed", removed,
		"removed_packs", (json_int_t)res->removed_packs,
		"rewritten_packs", (json_int_t)res->rewritten_packs,
		"removed_catalogs", (json_int_t)res->removed_catalogs,
		"folded_catalogs", (json_int_t)before->rested.catalogs,
		"repacked", repacked_json(before), "unreadable",
		(json_int_t)res->unreadable, "limit_bytes",
		control_limit_json(&res->before), "before",
		usage_json(&res->before), "after", usage_json(&res->after));
}

int control_fail_newer(struct control_call *call, int err, const char *what)
{
	if (err != -ESTALE)
		return control_fail(call, err, what);
	return mounts_fail(&call->err, err, 1,
			   "the store or kept changes were written by a newer "
			   "version of Larder; use that one");
}

/* Where these have no room, collecting makes some. */
static bool may_go_on(int r)
{
	return r == 0 || r == -ENOSPC || r == -EDQUOT;
}

/* What repacking leaves is folded, and its garbage collected, behind it. Who
 * asks for repacking wants the store small: the newest are folded, too. */
static int prepare(struct control_call *call, struct before *b)
{
	const struct rest_options o = {
		.unused_since_ns = b->repack ? clock_wall_ns() : 0,
	};
	struct keeper *k = call->config->keeper;
	struct gc_usage u;
	int r = keeper_usage(k, &u);

	if (r < 0)
		return r;
	b->bytes = u.bytes;
	if (b->repack)
		r = keeper_repack(k, control_progress(call), &b->repacked);
	return may_go_on(r) ?
		       keeper_rest(k, &o, control_progress(call), &b->rested) :
		       r;
}

static int method_gc(struct control_call *call, json_t **ret_result)
{
	_cleanup_json_ json_t *removed = json_array();
	bool dry_run = control_flag(call, "dry_run");
	struct before before = { .repack = control_flag(call, "repack") };
	struct keeper *k = call->config->keeper;
	struct gc_result res;
	int r = 0;

	if (dry_run && before.repack)
		return mounts_fail(&call->err, -EINVAL, 2,
				   "what repacking would give is not known "
				   "before; leave --dry-run or --repack out");
	if (!dry_run)
		r = prepare(call, &before);
	if (may_go_on(r))
		r = keeper_collect(k, dry_run, control_progress(call),
				   add_removed, removed, &res);
	if (r < 0)
		return control_fail_newer(call, r, "collecting");
	if (!dry_run)
		res.before.bytes = before.bytes;
	*ret_result = gc_json(&res, &before, removed, dry_run);
	return 0;
}

/* ---- entries */

static json_t *entry_result(const struct entry *e)
{
	return json_pack("{s:o}", "entry", control_entry_json(e, false));
}

static int method_rm(struct control_call *call, json_t **ret_result)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	json_t *gone;
	int r = control_find_entry(call, &e);

	if (r == -ENOENT && control_again_removed(call, &gone)) {
		*ret_result = json_pack("{s:o}", "entry", gone);
		return 0;
	}
	if (r == 0)
		r = control_again_rm(call, &e);
	if (r < 0)
		return r;
	r = gc_remove_entry(call->config->store, &e);
	if (r == -EPERM)
		return mounts_fail(&call->err, r, 8,
				   "%s@%s is pinned; larder unpin it first",
				   e.name, e.key);
	if (r == -ESTALE || r == -ENOENT)
		return mounts_fail(&call->err, -EBUSY, 8,
				   "%s@%s was replaced or removed meanwhile",
				   e.name, e.key);
	if (r < 0)
		return control_fail(call, r, e.name);
	keeper_note_removal(call->config->keeper);
	*ret_result = entry_result(&e);
	return 0;
}

static int put_pin(struct index *ix, const struct entry *e, bool pinned)
{
	struct index_batch *b;
	int r = index_batch_begin(ix, &b);

	if (r < 0)
		return r;
	r = pinned ? index_put_pin(b, e, clock_wall_ns()) :
		     index_remove_pin(b, e);
	if (r < 0) {
		index_batch_abort(b);
		return r;
	}
	return index_batch_commit(b, true);
}

/* A collection that removes the entry looks for a pin in the same write, so
 * an entry that is there once the pin is, stays. */
static int set_pin(struct control_call *call, bool pinned, json_t **ret_result)
{
	struct index *ix = store_index(call->config->store);
	_cleanup_entry_ struct entry e = ENTRY_INIT, now = ENTRY_INIT;
	int r = control_find_entry(call, &e);

	if (r < 0)
		return r;
	r = put_pin(ix, &e, pinned);
	if (r == 0 && pinned)
		r = index_get_entry(ix, e.tenant, e.namespace, e.name, e.key,
				    &now);
	if (r == -ENOENT) {
		put_pin(ix, &e, false);
		return mounts_fail(&call->err, r, 3,
				   "%s@%s was removed meanwhile", e.name,
				   e.key);
	}
	if (r < 0)
		return control_fail(call, r, e.name);
	*ret_result = entry_result(&e);
	return 0;
}

static int method_pin(struct control_call *call, json_t **ret_result)
{
	return set_pin(call, true, ret_result);
}

static int method_unpin(struct control_call *call, json_t **ret_result)
{
	return set_pin(call, false, ret_result);
}

void control_add_times(struct control_call *call, const struct entry *e,
		       json_t *object)
{
	struct index *ix = store_index(call->config->store);
	int64_t used_ns = e->created_ns, ns;

	if (index_get_use(ix, e, &ns) == 0 && ns > used_ns)
		used_ns = ns;
	json_object_set_new(object, "used", control_time(used_ns));
	json_object_set_new(object, "pinned",
			    json_boolean(index_get_pin(ix, e, &ns) == 0));
}

const struct control_method control_gc_methods[] = {
	{ "gc", method_gc, false },   { "rm", method_rm, false },
	{ "pin", method_pin, false }, { "unpin", method_unpin, false },
	{ NULL, NULL, false },
};
