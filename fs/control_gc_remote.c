/* SPDX-License-Identifier: Apache-2.0 */
/* The method of the control server that collects a remote tier: gc_remote. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/remote_gc.h"

#include "control_internal.h"
#include "control_remote.h"

#define SECOND_NS INT64_C(1000000000)
#define DAY_S 86400

/* ---- parameters */

/* A number of units of `unit_s` seconds; `preset` where there is none. */
static int take_time(struct control_call *call, const char *name,
		     int64_t unit_s, int64_t preset_ns, int64_t *ret_ns)
{
	const json_t *value = json_object_get(call->params, name);
	int64_t n = json_integer_value(value);

	*ret_ns = preset_ns;
	if (!value)
		return 0;
	if (!json_is_integer(value) || n < 0 ||
	    n > INT64_MAX / 2 / SECOND_NS / unit_s)
		return mounts_fail(&call->err, -EINVAL, 2,
				   "\"%s\" is no such number", name);
	*ret_ns = n * unit_s * SECOND_NS;
	return 0;
}

static int take_last(struct control_call *call, unsigned *ret_last)
{
	const json_t *value = json_object_get(call->params, "keep_last");
	json_int_t n = json_integer_value(value);

	if (value && (!json_is_integer(value) || n < 1 || n > INT_MAX))
		return mounts_fail(&call->err, -EINVAL, 2,
				   "\"keep_last\" is no number from 1 on");
	*ret_last = (unsigned)n;
	return 0;
}

static int take_size(struct control_call *call, uint64_t *ret_bytes)
{
	const json_t *value = json_object_get(call->params, "max_size");
	struct keeper_size size = { 0, 0 };

	if (value && (!json_is_string(value) ||
		      keeper_size_parse(json_string_value(value), &size) < 0 ||
		      size.percent))
		return mounts_fail(&call->err, -EINVAL, 2,
				   "the size of a tier is a number of bytes, "
				   "with K, M, G or T behind it");
	*ret_bytes = size.bytes;
	return 0;
}

static int take_options(struct control_call *call, struct remote_gc_options *o)
{
	int r = take_time(call, "keep_days", DAY_S, 0, &o->keep_ns);

	if (r == 0)
		r = take_time(call, "grace", 1, REMOTE_GC_GRACE_NS,
			      &o->grace_ns);
	if (r == 0)
		r = take_last(call, &o->keep_last);
	if (r == 0)
		r = take_size(call, &o->max_bytes);
	o->dry_run = control_flag(call, "dry_run");
	return r;
}

/* The one that is named, or the only one that may be written to. */
static int choose(struct control_call *call, const struct control_remote *cr,
		  unsigned *ret_tier)
{
	const char *name =
		json_string_value(json_object_get(call->params, "tier"));
	unsigned found = 0, count = cr->chain ? chain_count(cr->chain) : 0;

	for (unsigned i = 0; i < count; i++) {
		if (!(chain_access(cr->chain, i) & CHAIN_WRITE) ||
		    (name && strcmp(chain_name(cr->chain, i), name) != 0))
			continue;
		*ret_tier = i;
		found++;
	}
	if (found == 1)
		return 0;
	if (found > 1)
		return mounts_fail(&call->err, -EINVAL, 2,
				   "there are several remote tiers to write "
				   "to; name the one that is to be collected");
	return mounts_fail(&call->err, -EINVAL, 2,
			   "there is no remote tier%s%.200s to write to; name "
			   "one in config.yml (larder-config(5)) or with "
			   "--tiers",
			   name ? " " : "", name ? name : "");
}

/* ---- the answer */

static void add_removed(void *arg, const struct entry *e, int64_t put_ns,
			enum remote_gc_reason reason)
{
	json_t *j = control_entry_json(e, false);

	if (!j)
		return;
	json_object_set_new(j, "put", control_time(put_ns));
	json_object_set_new(j, "put_ns", json_integer(put_ns));
	json_object_set_new(
		j, "reason",
		json_string(reason == REMOTE_GC_OLD ? "old" : "unreadable"));
	json_array_append_new(arg, j);
}

static json_t *result_json(const char *tier, const struct remote_gc_result *res,
			   json_t *removed, bool dry_run)
{
	return json_pack(
		"{s:s, s:b, s:I, s:I, s:O, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
		"s:I, s:I, s:b}",
		"tier", tier, "dry_run", dry_run, "entries",
		(json_int_t)res->entries, "protected",
		(json_int_t)res->kept_entries, "removed", removed,
		"removed_packs", (json_int_t)res->removed[REMOTE_PACK],
		"removed_trees", (json_int_t)res->removed[REMOTE_TREE],
		"removed_records", (json_int_t)res->removed[REMOTE_RECORD],
		"removed_bytes", (json_int_t)res->removed_bytes, "objects",
		(json_int_t)res->objects, "bytes", (json_int_t)res->bytes,
		"waiting", (json_int_t)res->waiting, "waiting_bytes",
		(json_int_t)res->waiting_bytes, "unreadable",
		(json_int_t)res->unreadable, "over", res->over);
}

static int fail(struct control_call *call, int err, const char *tier,
		const char *why)
{
	if (err == -ECANCELED)
		return mounts_fail(&call->err, err, 1,
				   "%s: given up; what was removed until then "
				   "was needed by nothing",
				   tier);
	if (err == -ESTALE)
		return mounts_fail(&call->err, err, 1,
				   "%s: a newer version of Larder uses this "
				   "tier; collect it with that one",
				   tier);
	return mounts_fail(&call->err, err,
			   err == -EBUSY			? 8 :
			   err == -EOPNOTSUPP || err == -ENOMEM ? 1 :
								  6,
			   "%s: %s", tier, *why ? why : strerror(-err));
}

static int method_gc_remote(struct control_call *call, json_t **ret_result)
{
	_cleanup_control_remote_ struct control_remote cr = { .chain = NULL };
	_cleanup_json_ json_t *removed = json_array();
	struct remote_gc_options o = { .removed = add_removed, .arg = removed };
	struct remote_gc_result res = { 0 };
	char why[TIER_WHY_MAX] = "";
	const char *tier;
	unsigned i = 0;
	int r = take_options(call, &o);

	if (r == 0)
		r = control_remote_open(call, &cr);
	if (r == 0)
		r = choose(call, &cr, &i);
	if (r < 0)
		return r;
	cr.remote.why = why;
	tier = chain_name(cr.chain, i);
	r = remote_gc(&cr.remote, i, &o, &res);
	if (r < 0)
		return fail(call, r, tier, why);
	*ret_result = result_json(tier, &res, removed, o.dry_run);
	return 0;
}

const struct control_method control_gc_remote_methods[] = {
	{ "gc_remote", method_gc_remote, false },
	{ NULL, NULL, false },
};
