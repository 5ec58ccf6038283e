/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries that a request makes or names: what is said of a new one, and how one
 * is found, here first and then through the chain of tiers.
 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/lazy_remote.h"

#include "control_remote.h"
#include "control_trust.h"

static int parts_parse(struct control_call *call, struct key_parts *ret_parts)
{
	json_t *list = json_object_get(call->params, "parts"), *item;
	size_t i;
	int r = 0;

	if (json_array_size(list) > ENTRY_PARTS_MAX)
		return mounts_fail(&call->err, -EFBIG, 2,
				   "the key has more than %d parts",
				   ENTRY_PARTS_MAX);
	json_array_foreach(list, i, item)
	{
		_cleanup_free_ char *name =
			rpc_bytes(json_object_get(item, "name"), NULL);
		const char *kind =
			json_string_value(json_object_get(item, "kind"));
		const char *hex =
			json_string_value(json_object_get(item, "digest"));
		struct digest digest;

		if (!name || !kind || !hex || digest_parse(hex, &digest) < 0)
			return mounts_fail(&call->err, -EINVAL, 2,
					   "part %zu of the key is not valid",
					   i);
		r = key_parts_add(ret_parts, kind, name, &digest);
		if (r < 0)
			return control_fail(call, r, "the key's parts");
	}
	return r;
}

static char *creator(uid_t uid)
{
	char host[64] = "", *text = NULL;
	struct passwd pw, *found = NULL;
	char buf[1024];

	gethostname(host, sizeof(host) - 1);
	getpwuid_r(uid, &pw, buf, sizeof(buf), &found);
	if (found ? asprintf(&text, "%s@%s", pw.pw_name, host) < 0 :
		    asprintf(&text, "%u@%s", (unsigned)uid, host) < 0)
		return NULL;
	return text;
}

int control_new_entry(struct control_call *call, struct entry *ret_entry)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	const char *tenant, *ns, *name, *key, *parent_key = "";
	json_t *branch = json_object_get(call->params, "branch");
	json_t *parent = json_object_get(call->params, "parent");
	int r;

	r = control_scope(call, &tenant, &ns);
	if (r == 0)
		r = control_name(call, call->params, "name", &name);
	if (r == 0)
		r = control_name(call, call->params, "key", &key);
	if (r == 0)
		r = parts_parse(call, &e.parts);
	if (r == 0 && json_is_string(parent))
		r = control_name(call, call->params, "parent", &parent_key);
	if (r < 0)
		return r;
	e.tenant = strdup(tenant);
	e.namespace = strdup(ns);
	e.name = strdup(name);
	e.key = strdup(key);
	e.branch = json_is_string(branch) ? rpc_bytes(branch, NULL) :
					    strdup("");
	e.parent = strdup(parent_key);
	e.creator = creator(call->uid);
	if (!e.tenant || !e.namespace || !e.name || !e.key || !e.branch ||
	    !e.parent || !e.creator)
		return control_fail(call, -ENOMEM, "the entry");
	if (strlen(e.branch) > ENTRY_BRANCH_MAX || strchr(e.branch, '\n'))
		return mounts_fail(&call->err, -EINVAL, 2,
				   "the branch name is longer than %d bytes or "
				   "has a line break",
				   ENTRY_BRANCH_MAX);
	*ret_entry = e;
	e = (struct entry)ENTRY_INIT;
	return 0;
}

int control_entry_ref(struct control_call *call, struct entry_ref *ret_ref,
		      const char **ret_text)
{
	int r = control_string(call, "entry", ret_text);

	if (r < 0)
		return r;
	if (entry_ref_parse(*ret_text, ret_ref) < 0)
		return mounts_fail(&call->err, -EINVAL, 2,
				   "\"%.200s\" names no entry; write NAME@KEY "
				   "(%d or more characters of the key), "
				   "NAME@latest or NAME@branch:BRANCH",
				   *ret_text, KEY_PREFIX_MIN);
	return 0;
}

int control_find_here(struct control_call *call, struct entry *ret_entry)
{
	const char *tenant, *ns, *text = NULL;
	struct entry_ref ref;
	int r;

	r = control_scope(call, &tenant, &ns);
	if (r == 0)
		r = control_entry_ref(call, &ref, &text);
	if (r < 0)
		return r;
	r = store_find_entry(call->config->store, tenant, ns, &ref, ret_entry);
	if (r == -ENOENT)
		return mounts_fail(&call->err, r, 3,
				   "there is no entry %.200s; larder list "
				   "shows what there is",
				   text);
	if (r == -ENOTUNIQ)
		return mounts_fail(&call->err, r, 2,
				   "several entries begin with %.200s; give "
				   "more of the key",
				   text);
	return r < 0 ? control_fail(call, r, text) : 0;
}

/* What the store does not have, and a tier has. A failure of a tier is told by
 * the chain, and here it is a miss; an entry that is refused is none. */
static int find_there(struct control_call *call, struct entry *ret_entry)
{
	_cleanup_control_remote_ struct control_remote cr = { .chain = NULL };
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct entry_ref ref;
	unsigned from = 0;
	const char *text;
	int r = control_remote_open(call, &cr);

	if (r == 0)
		r = control_entry_ref(call, &ref, &text);
	if (r < 0 || !control_remote_can(&cr, CHAIN_READ))
		return r < 0 ? r : -ENOENT;
	cr.remote.from = &from;
	r = remote_find_ref(&cr.remote, &ref, &e);
	if (r == 0)
		r = lazy_remote_bring(&cr.remote, &e);
	if (r < 0)
		return r == -ECANCELED || chain_is_refused(r) ? r : -ENOENT;
	control_fill_above(call, &cr, from, &e);
	*ret_entry = e;
	e = (struct entry)ENTRY_INIT;
	return 0;
}

int control_offer(const struct control_remote *cr, const struct entry *e)
{
	_cleanup_lazy_source_ struct lazy_source *src = NULL;
	int r;

	if (!control_remote_can(cr, CHAIN_READ))
		return 0;
	r = lazy_remote_new(cr->chain, e->tenant, e->namespace, &src);
	return r < 0 ? r :
		       store_offer_source(cr->remote.store, &e->catalog, src);
}

/* Also what is here may lack some chunks. */
static int offer_tiers(struct control_call *call, const struct entry *e)
{
	_cleanup_control_remote_ struct control_remote cr = { .chain = NULL };
	int r = control_remote_open(call, &cr);

	return r < 0 ? r : control_offer(&cr, e);
}

static const char *entry_param(const struct control_call *call)
{
	const char *text =
		json_string_value(json_object_get(call->params, "entry"));

	return text ? text : "";
}

static int find_anywhere(struct control_call *call, struct entry *ret_entry)
{
	int r = control_find_here(call, ret_entry);
	struct mounts_error missed;

	if (r != -ENOENT)
		return r;
	missed = call->err;
	r = find_there(call, ret_entry);
	if (r == -ENOENT)
		call->err = missed;
	else if (r == 0)
		call->err = (struct mounts_error){ 0 };
	else if (chain_is_refused(r))
		return control_fail_refused(call, entry_param(call), r);
	else if (r == -ECANCELED)
		return control_fail(call, r, "the entry");
	return r;
}

int control_find_entry(struct control_call *call, struct entry *ret_entry)
{
	int r = find_anywhere(call, ret_entry);

	if (r == 0)
		r = offer_tiers(call, ret_entry);
	return r;
}

int control_open_tree(struct control_call *call, const struct entry *e,
		      struct store_tree **ret_tree)
{
	int r = store_tree_open(call->config->store, &e->catalog, ret_tree);

	if (r == -EBADMSG || r == -ENOENT)
		return mounts_fail(&call->err, r, r == -EBADMSG ? 7 : 3,
				   "the stored tree of %s@%s is %s; build the "
				   "entry again",
				   e->name, e->key,
				   r == -EBADMSG ? "damaged and was set aside" :
						   "not in the store any more");
	return r < 0 ? control_fail(call, r, e->name) : 0;
}

bool control_is_taken(struct control_call *call, const struct entry *e,
		      json_t **ret_result)
{
	_cleanup_entry_ struct entry stored = ENTRY_INIT;

	if (!control_flag(call, "only_new") ||
	    index_get_entry(store_index(call->config->store), e->tenant,
			    e->namespace, e->name, e->key, &stored) < 0)
		return false;
	*ret_result = json_pack("{s:o, s:b}", "entry",
				control_entry_json(&stored, false), "published",
				0);
	return true;
}
