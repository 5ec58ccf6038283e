/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parameters, errors, progress and JSON forms that the control server's
 * methods share.
 */
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/log.h"
#include "store/lazy_remote.h"

#include "control_remote.h"
#include "control_trust.h"

#define PART_ITEMS 4096u

int control_string(struct control_call *call, const char *name,
		   const char **ret_value)
{
	const char *value =
		json_string_value(json_object_get(call->params, name));

	if (!value)
		return mounts_fail(&call->err, -EINVAL, 2,
				   "the request lacks \"%s\"", name);
	*ret_value = value;
	return 0;
}

int control_bytes(struct control_call *call, const char *name, char **ret_value)
{
	json_t *value = json_object_get(call->params, name);
	char *bytes = json_is_string(value) ? rpc_bytes(value, NULL) : NULL;

	if (!bytes)
		return mounts_fail(&call->err, -EINVAL, 2,
				   "the request lacks \"%s\"", name);
	*ret_value = bytes;
	return 0;
}

bool control_flag(const struct control_call *call, const char *name)
{
	return json_is_true(json_object_get(call->params, name));
}

int control_name(struct control_call *call, const json_t *object,
		 const char *field, const char **ret_value)
{
	const char *value = json_string_value(json_object_get(object, field));

	if (!value || !key_is_valid(value))
		return mounts_fail(
			&call->err, -EINVAL, 2,
			"the %s \"%.200s\" is not valid; it takes 1 "
			"to %d letters, digits, '.', '_' and '-', and "
			"begins with a letter or digit",
			field, value ? value : "", KEY_MAX);
	*ret_value = value;
	return 0;
}

int control_scope(struct control_call *call, const char **ret_tenant,
		  const char **ret_namespace)
{
	int r = 0;

	*ret_tenant = ENTRY_TENANT_LOCAL;
	*ret_namespace = ENTRY_NAMESPACE_DEFAULT;
	if (json_object_get(call->params, "tenant"))
		r = control_name(call, call->params, "tenant", ret_tenant);
	if (r == 0 && json_object_get(call->params, "namespace"))
		r = control_name(call, call->params, "namespace",
				 ret_namespace);
	return r;
}

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
 * the chain, and here it is a miss; -EKEYREJECTED is none. */
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
		return r == -ECANCELED || r == -EKEYREJECTED ? r : -ENOENT;
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
	else if (r == -EKEYREJECTED)
		return control_fail_untrusted(call, entry_param(call));
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

static int report(void *arg, const char *phase, uint64_t done_files,
		  uint64_t all_files, uint64_t done_bytes, uint64_t all_bytes)
{
	struct control_call *call = arg;
	_cleanup_json_ json_t *note = NULL;

	if (rpc_peer_gone(call->rpc))
		return -ECANCELED;
	if (!call->wants_progress)
		return 0;
	note = json_pack("{s:s, s:s, s:{s:s, s:I, s:I, s:I, s:I}}", "jsonrpc",
			 "2.0", "method", "progress", "params", "phase", phase,
			 "files", (json_int_t)done_files, "all_files",
			 (json_int_t)all_files, "bytes", (json_int_t)done_bytes,
			 "all_bytes", (json_int_t)all_bytes);
	return rpc_send(call->rpc, note, NULL, 0) < 0 ? -ECANCELED : 0;
}

struct progress *control_progress(struct control_call *call)
{
	call->progress.report = report;
	call->progress.arg = call;
	return &call->progress;
}

/* Items [from, to). Halved where they are too long for one line. */
static int send_items(struct control_call *call, const char *name,
		      const json_t *list, size_t from, size_t to)
{
	_cleanup_json_ json_t *items = json_array();
	_cleanup_json_ json_t *note = json_pack("{s:s, s:s, s:{s:O}}",
						"jsonrpc", "2.0", "method",
						"part", "params", name, items);
	size_t middle = from + (to - from) / 2;
	int r;

	for (size_t i = from; i < to; i++)
		json_array_append(items, json_array_get(list, i));
	if (!note || json_array_size(items) != to - from)
		return -ENOMEM;
	r = rpc_send(call->rpc, note, NULL, 0);
	if (r != -EMSGSIZE || to - from == 1)
		return r;
	r = send_items(call, name, list, from, middle);
	return r < 0 ? r : send_items(call, name, list, middle, to);
}

int control_send_part(struct control_call *call, const char *name, json_t *list)
{
	size_t n = json_array_size(list);
	int r;

	if (n < PART_ITEMS || !control_flag(call, "in_parts"))
		return 0;
	r = send_items(call, name, list, 0, n);
	return r < 0 ? r : json_array_clear(list);
}

int control_fail(struct control_call *call, int err, const char *what)
{
	switch (err) {
	case -ECANCELED:
		return mounts_fail(&call->err, err, 1,
				   "%s: given up, nothing was changed", what);
	case -ENOSPC:
	case -EDQUOT:
		return mounts_fail(&call->err, err, 1,
				   "%s: no space left under %s or %s; free "
				   "some and try again",
				   what, store_dir(call->config->store),
				   call->config->state_dir);
	case -EDEADLK:
		return mounts_fail(&call->err, err, 1,
				   "%s: this is inside a mount of Larder, "
				   "which the daemon cannot read by itself; "
				   "larder commit stores what is mounted",
				   what);
	case -EBADMSG:
		return mounts_fail(&call->err, err, 7,
				   "%s: the stored data are damaged (the "
				   "daemon's log names them)",
				   what);
	default:
		return mounts_fail(&call->err, err, 1, "%s: %s", what,
				   strerror(-err));
	}
}

json_t *control_time(int64_t ns)
{
	int64_t sec = ns / 1000000000, rest = ns % 1000000000;
	time_t t;
	struct tm tm;
	char text[80];
	size_t n;

	if (rest < 0) {
		rest += 1000000000;
		sec--;
	}
	t = (time_t)sec;
	if (!gmtime_r(&t, &tm))
		return json_null();
	n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%09" PRId64 "Z", rest);
	return json_string(text);
}

static json_t *parts_json(const struct key_parts *parts)
{
	json_t *list = json_array();

	for (size_t i = 0; i < parts->count; i++) {
		const struct key_part *p = &parts->items[i];
		char hex[DIGEST_HEX_LEN + 1];

		digest_hex(&p->digest, hex);
		json_array_append_new(
			list,
			json_pack("{s:s, s:o, s:s}", "kind", p->kind, "name",
				  rpc_string(p->name, strlen(p->name)),
				  "digest", hex));
	}
	return list;
}

/* Who says to have signed it. */
static json_t *signed_by(const struct entry *e)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < e->signature_count; i++)
		json_array_append_new(list, json_string(e->signatures[i].key));
	return list;
}

json_t *control_entry_json(const struct entry *e, bool with_parts)
{
	char catalog[DIGEST_HEX_LEN + 1], parent[DIGEST_HEX_LEN + 1];
	json_t *j;

	digest_hex(&e->catalog, catalog);
	digest_hex(&e->parent_catalog, parent);
	j = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:s}", "tenant",
		      e->tenant, "namespace", e->namespace, "name", e->name,
		      "key", e->key, "branch",
		      rpc_string(e->branch, strlen(e->branch)), "creator",
		      rpc_string(e->creator, strlen(e->creator)), "catalog",
		      catalog, "parent_catalog", parent);
	if (!j)
		return NULL;
	if (digest_is_zero(&e->parent_catalog))
		json_object_set_new(j, "parent_catalog", json_null());
	json_object_set_new(j, "signed_by", signed_by(e));
	json_object_set_new(j, "parent",
			    e->parent[0] ? json_string(e->parent) :
					   json_null());
	json_object_set_new(j, "files", json_integer((json_int_t)e->files));
	json_object_set_new(j, "dirs", json_integer((json_int_t)e->dirs));
	json_object_set_new(j, "bytes", json_integer((json_int_t)e->bytes));
	json_object_set_new(j, "new_files",
			    json_integer((json_int_t)e->new_files));
	json_object_set_new(j, "new_bytes",
			    json_integer((json_int_t)e->new_bytes));
	json_object_set_new(j, "stored_bytes",
			    json_integer((json_int_t)e->stored_bytes));
	json_object_set_new(j, "created", control_time(e->created_ns));
	json_object_set_new(j, "created_ns",
			    json_integer((json_int_t)e->created_ns));
	if (with_parts)
		json_object_set_new(j, "parts", parts_json(&e->parts));
	return j;
}

json_t *control_result_json(const struct ingest_result *r)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "files",
			 (json_int_t)r->files, "dirs", (json_int_t)r->dirs,
			 "bytes", (json_int_t)r->bytes, "read_bytes",
			 (json_int_t)r->read_bytes, "new_chunks",
			 (json_int_t)r->new_chunks, "new_bytes",
			 (json_int_t)r->new_bytes, "stored_bytes",
			 (json_int_t)r->stored_bytes, "new_files",
			 (json_int_t)r->new_files);
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
