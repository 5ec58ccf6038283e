/* SPDX-License-Identifier: Apache-2.0 */
/* The method of the control server that looks at all of the store: verify. */
#include <errno.h>

#include "store/base/cleanup.h"

#include "control_internal.h"
#include "control_remote.h"

struct verification {
	struct control_call *call;
	const struct control_remote *remote;
	json_t *damaged;
};

static const char *const kinds[] = {
	[VERIFY_PACK] = "pack",
	[VERIFY_TREE] = "tree",
	[VERIFY_ENTRY] = "entry",
};

static const char *const outcomes[] = {
	[VERIFY_LEFT] = "left",
	[VERIFY_MENDED] = "mended",
	[VERIFY_SET_ASIDE] = "set_aside",
	[VERIFY_REMOVED] = "removed",
};

static void add_damage(void *arg, const struct verify_damage *d)
{
	const struct verification *vn = arg;

	json_array_append_new(vn->damaged,
			      json_pack("{s:s, s:s, s:s, s:s}", "kind",
					kinds[d->kind], "name", d->name, "what",
					d->what, "outcome",
					outcomes[d->outcome]));
}

/* What has another tree by now under the same key is not what is missing. */
static int refetch(void *arg, const struct entry *e)
{
	const struct verification *vn = arg;
	_cleanup_entry_ struct entry there = ENTRY_INIT;
	struct remote remote = vn->remote->remote;
	struct remote_result res;
	int r;

	remote.tenant = e->tenant;
	remote.namespace = e->namespace;
	r = remote_find(&remote, e->name, e->key, &there);
	if (r < 0)
		return r;
	if (!digest_equal(&there.catalog, &e->catalog))
		return -ENOENT;
	return remote_pull(&remote, &there, &res);
}

static int holds(void *arg,
		 int (*each)(void *each_arg, const struct digest *catalog),
		 void *each_arg)
{
	const struct verification *vn = arg;

	return mounts_each_tree(vn->call->config->mounts, each, each_arg);
}

static json_t *result_json(const struct verify_result *res, json_t *damaged,
			   bool repair)
{
	return json_pack(
		"{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
		"s:O}",
		"repair", repair, "packs", (json_int_t)res->packs, "chunks",
		(json_int_t)res->chunks, "bytes", (json_int_t)res->bytes,
		"trees", (json_int_t)res->trees, "entries",
		(json_int_t)res->entries, "bad_packs",
		(json_int_t)res->bad_packs, "bad_chunks",
		(json_int_t)res->bad_chunks, "bad_trees",
		(json_int_t)res->bad_trees, "bad_entries",
		(json_int_t)res->bad_entries, "bad_records",
		(json_int_t)res->bad_records, "left", (json_int_t)res->left,
		"damaged", damaged);
}

static int method_verify(struct control_call *call, json_t **ret_result)
{
	_cleanup_control_remote_ struct control_remote cr = { .chain = NULL };
	_cleanup_json_ json_t *damaged = json_array();
	struct verification vn = { call, &cr, damaged };
	struct verify_options o = {
		.repair = control_flag(call, "repair"),
		.damaged = add_damage,
		.holds = holds,
		.arg = &vn,
	};
	struct verify_result res;
	int r = control_remote_open(call, &cr);

	if (r < 0)
		return r;
	if (control_remote_can(&cr, CHAIN_READ))
		o.refetch = refetch;
	r = keeper_verify(call->config->keeper, &o, control_progress(call),
			  &res);
	if (r < 0)
		return control_fail_newer(call, r, "verifying");
	*ret_result = result_json(&res, damaged, o.repair);
	return 0;
}

const struct control_method control_verify_methods[] = {
	{ "verify", method_verify, false },
	{ NULL, NULL, false },
};
