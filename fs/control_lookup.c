/* SPDX-License-Identifier: Apache-2.0 */
/* The restore order, and the method `resolve` that tells what it finds. */
#include "control_lookup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/lazy_remote.h"

#include "control_remote.h"

/* --- what is looked for --- */

static bool flag_or(const struct control_call *call, const char *name,
		    bool fallback)
{
	const json_t *value = json_object_get(call->params, name);

	return value ? json_is_true(value) : fallback;
}

static int parse_branch(struct control_call *call, char **ret_branch)
{
	const json_t *j = json_object_get(call->params, "branch");
	char *branch = json_is_string(j) ? rpc_bytes(j, NULL) : strdup("");

	if (!branch)
		return control_fail(call, -ENOMEM, "the branch");
	*ret_branch = branch;
	return 0;
}

/* A prefix has a key's alphabet, and may be as long as one. */
static int check_prefixes(struct control_call *call, const json_t *prefixes)
{
	size_t i;
	json_t *p;

	if (json_array_size(prefixes) > LOOKUP_PREFIXES_MAX)
		return mounts_fail(&call->err, -EFBIG, 2,
				   "more than %d prefixes to restore by",
				   LOOKUP_PREFIXES_MAX);
	json_array_foreach(prefixes, i, p)
	{
		if (!json_is_string(p) || !key_is_valid(json_string_value(p)))
			return mounts_fail(
				&call->err, -EINVAL, 2,
				"prefix %zu to restore by is not the "
				"beginning of a key",
				i + 1);
	}
	return 0;
}

int control_lookup_parse(struct control_call *call,
			 struct control_lookup *ret_lookup)
{
	struct control_lookup l = {
		.prefixes = json_object_get(call->params, "prefixes"),
		.exact = flag_or(call, "exact", true),
		.restore = flag_or(call, "restore", true),
		.no_local = control_flag(call, "no_local"),
	};
	int r;

	r = control_scope(call, &l.tenant, &l.namespace);
	if (r == 0)
		r = control_name(call, call->params, "name", &l.name);
	if (r == 0)
		r = control_name(call, call->params, "key", &l.key);
	if (r == 0)
		r = check_prefixes(call, l.prefixes);
	if (r == 0)
		r = parse_branch(call, &l.branch);
	if (r == 0)
		*ret_lookup = l;
	return r;
}

void control_lookup_release(struct control_lookup *l)
{
	free(l->branch);
}

/* --- the order --- */

struct search {
	struct control_call *call;
	struct index *ix;
	const struct remote *remote; /* NULL: the store alone */
	const struct control_remote *tiers;
	const struct control_lookup *l;
	struct control_found *found;
	unsigned from; /* the tier that had what was found last */
};

/* Takes what a rule has found (`r`) where it serves. 0: it does; -ENOENT: the
 * next rule's turn. */
static int take(struct search *s, int r, const char *outcome, const char *rule)
{
	struct control_found *f = s->found;

	if (r == 0 && s->remote)
		r = control_offer(s->tiers, &f->entry);
	if (r == 0 && s->l->accept) {
		r = s->l->accept(s->l->arg, &f->entry,
				 strcmp(outcome, "exact") == 0);
		if (r < 0)
			entry_release(&f->entry);
	}
	if (r < 0)
		return r;
	f->has_entry = true;
	f->outcome = outcome;
	f->rule = rule;
	return 0;
}

/* What a tier has (`r`) is brought here before it is looked at; where that
 * fails, it is none. */
static int take_remote(struct search *s, int r, const char *outcome,
		       const char *rule)
{
	struct entry *e = &s->found->entry;

	if (r == 0 && !s->l->only_look) {
		r = lazy_remote_bring(s->remote, e);
		if (r < 0)
			entry_release(e);
		else
			control_fill_above(s->call, s->tiers, s->from, e);
	}
	if (r < 0)
		return r == -ECANCELED ? r : -ENOENT;
	return take(s, 0, outcome, rule);
}

static int by_key(struct search *s)
{
	const struct control_lookup *l = s->l;
	int r;

	if (!l->exact)
		return -ENOENT;
	r = l->no_local ? -ENOENT :
			  index_get_entry(s->ix, l->tenant, l->namespace,
					  l->name, l->key, &s->found->entry);
	snprintf(s->found->reason, sizeof(s->found->reason),
		 "the key is the same");
	r = take(s, r, "exact", "key");
	if (r != -ENOENT || !s->remote)
		return r;
	r = remote_find(s->remote, l->name, l->key, &s->found->entry);
	s->found->refused = chain_is_refused(r) ? r : 0;
	return take_remote(s, r, "exact", "key");
}

static int by_prefix(struct search *s)
{
	const struct control_lookup *l = s->l;
	size_t i;
	json_t *p;

	json_array_foreach(l->prefixes, i, p)
	{
		const char *prefix = json_string_value(p);
		int r = l->no_local ?
				-ENOENT :
				index_newest_prefix(s->ix, l->tenant,
						    l->namespace, l->name,
						    prefix, &s->found->entry);

		snprintf(s->found->reason, sizeof(s->found->reason),
			 "no entry has this key; this is the newest whose key "
			 "begins with %s",
			 prefix);
		r = take(s, r, "partial", "prefix");
		if (r == -ENOENT && s->remote) {
			r = remote_find_prefix(s->remote, l->name, prefix,
					       &s->found->entry);
			r = take_remote(s, r, "partial", "prefix");
		}
		if (r != -ENOENT)
			return r;
	}
	return -ENOENT;
}

static int newest(struct search *s, const char *branch)
{
	const struct control_lookup *l = s->l;

	return l->no_local ?
		       -ENOENT :
		       index_newest_entry(s->ix, l->tenant, l->namespace,
					  l->name, branch, &s->found->entry);
}

static int by_branch(struct search *s)
{
	const struct control_lookup *l = s->l;
	int r;

	if (!l->restore || !*l->branch)
		return -ENOENT;
	r = newest(s, l->branch);
	snprintf(s->found->reason, sizeof(s->found->reason),
		 "no entry has this key; this is the newest of branch %s",
		 l->branch);
	r = take(s, r, "partial", "branch");
	if (r != -ENOENT || !s->remote)
		return r;
	r = remote_find_latest(s->remote, l->name, l->branch, &s->found->entry);
	return take_remote(s, r, "partial", "branch");
}

static int by_name(struct search *s)
{
	const struct control_lookup *l = s->l;
	int r;

	if (!l->restore)
		return -ENOENT;
	r = newest(s, "");
	snprintf(s->found->reason, sizeof(s->found->reason),
		 "no entry has this key; this is the newest of %s on any "
		 "branch",
		 l->name);
	r = take(s, r, "partial", "name");
	if (r != -ENOENT || !s->remote)
		return r;
	r = remote_find_latest(s->remote, l->name, "", &s->found->entry);
	return take_remote(s, r, "partial", "name");
}

int control_lookup(struct control_call *call, const struct control_lookup *l,
		   struct control_found *ret_found)
{
	static int (*const rules[])(struct search * s) = { by_key, by_prefix,
							   by_branch, by_name };
	_cleanup_control_remote_ struct control_remote cr = { .chain = NULL };
	struct search s = { .call = call,
			    .ix = store_index(call->config->store),
			    .tiers = &cr,
			    .l = l,
			    .found = ret_found };
	int r;

	*ret_found =
		(struct control_found){ .outcome = "miss", .rule = "none" };
	r = control_remote_open(call, &cr);
	if (r < 0)
		return r;
	cr.remote.from = &s.from;
	if (control_remote_can(&cr, CHAIN_READ))
		s.remote = &cr.remote;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		r = rules[i](&s);
		if (r != -ENOENT)
			return r;
	}
	if (ret_found->refused)
		snprintf(ret_found->reason, sizeof(ret_found->reason),
			 "a remote tier has an entry with this key, but %s",
			 ret_found->refused == -EKEYEXPIRED ?
				 "an older one than was here before" :
				 "signed by no key of trusted-keys");
	else if (!l->exact && !l->restore)
		snprintf(ret_found->reason, sizeof(ret_found->reason),
			 "no entry was looked for");
	else
		snprintf(ret_found->reason, sizeof(ret_found->reason),
			 "there is no entry of %s%s", l->name,
			 l->restore ? "" : " with this key");
	return 0;
}

void control_found_release(struct control_found *f)
{
	entry_release(&f->entry);
}

void control_found_add(const struct control_found *f, json_t *result)
{
	json_object_set_new(result, "untrusted", json_boolean(f->refused));
}

/* --- the method --- */

static int method_resolve(struct control_call *call, json_t **ret_result)
{
	_cleanup_(control_lookup_release) struct control_lookup l = { 0 };
	_cleanup_(control_found_release) struct control_found f = { 0 };
	int r = control_lookup_parse(call, &l);

	if (r < 0)
		return r;
	l.only_look = true;
	r = control_lookup(call, &l, &f);
	if (r < 0)
		return call->err.message[0] ? r : control_fail(call, r, l.name);
	*ret_result = json_pack(
		"{s:s, s:s, s:o, s:o}", "outcome", f.outcome, "rule", f.rule,
		"entry",
		f.has_entry ? control_entry_json(&f.entry, false) : json_null(),
		"reason", rpc_string(f.reason, strlen(f.reason)));
	control_found_add(&f, *ret_result);
	return 0;
}

const struct control_method control_lookup_methods[] = {
	{ "resolve", method_resolve, false },
	{ NULL, NULL, false },
};
