/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries that are not named by their keys: the newest of a branch, to which a
 * pointer leads; and what a list of a tier has, all of them, those that begin
 * with something, the newest of those.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "remote_internal.h"
#include "seen.h"

/* --- lists --- */

/* Paths of entries, collected before any of them is read. */
struct names {
	const char *prefix; /* of a path; what follows has `slashes` */
	unsigned slashes;
	const char *begins; /* of the key; "" for any */
	char **paths;	    /* what follows the prefix */
	size_t count, room;
};

#define NAMES_MAX 1000000
#define LIST_TIMEOUT_NS INT64_C(120000000000)

static void names_release(struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->paths[i]);
	free(n->paths);
}

static bool is_entry_path(const struct names *n, const char *rest)
{
	unsigned slashes = 0;

	for (const char *c = rest; *c; c++)
		slashes += *c == '/';
	return slashes == n->slashes &&
	       strncmp(rest, n->begins, strlen(n->begins)) == 0;
}

static int add_name(void *arg, const struct tier_object *o)
{
	struct names *n = arg;
	size_t len = strlen(n->prefix);
	const char *path = o->path;

	if (strncmp(path, n->prefix, len) != 0 || path[len] != '/' ||
	    !is_entry_path(n, path + len + 1))
		return 0;
	if (n->count == NAMES_MAX)
		return -EFBIG;
	if (n->count == n->room) {
		size_t room = n->room ? n->room * 2 : 64;
		char **more = realloc(n->paths, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		n->paths = more;
		n->room = room;
	}
	n->paths[n->count] = strdup(path + len + 1);
	return n->paths[n->count] ? (n->count++, 0) : -ENOMEM;
}

static int list(const struct remote *r, unsigned i, struct names *n)
{
	struct tier_call call = remote_call(r, LIST_TIMEOUT_NS);

	return chain_list_at(r->chain, i, &call, n->prefix, add_name, n);
}

/* `path`: NAME/KEY. */
static int each_of(const struct remote *r, unsigned i, const char *path,
		   int (*each)(void *arg, const struct entry *e), void *arg)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	const char *slash = strchr(path, '/');
	char name[KEY_MAX + 1];
	int err;

	if (slash - path > KEY_MAX)
		return 0;
	snprintf(name, sizeof(name), "%.*s", (int)(slash - path), path);
	if (!key_is_valid(name) || !key_is_valid(slash + 1))
		return 0;
	err = remote_find_at(r, i, name, slash + 1, &e);
	if (err == -ENOENT || err == -EBADMSG || chain_is_refused(err))
		return 0;
	return err < 0 ? err : each(arg, &e);
}

int remote_each(const struct remote *r, unsigned i, const char *name,
		int (*each)(void *arg, const struct entry *e), void *arg)
{
	_cleanup_(names_release) struct names n = { .slashes = 1 };
	char prefix[TIER_PATH_MAX + 1], begins[KEY_MAX + 2] = "";
	int err;

	snprintf(prefix, sizeof(prefix), "v1/%s/%s/entries", r->tenant,
		 r->namespace);
	if (name)
		snprintf(begins, sizeof(begins), "%s/", name);
	n.prefix = prefix;
	n.begins = begins;
	err = list(r, i, &n);
	for (size_t at = 0; err == 0 && at < n.count; at++)
		err = each_of(r, i, n.paths[at], each, arg);
	return err;
}

/* The only key of a tier that begins so. */
static int find_prefix_at(const struct remote *r, unsigned i,
			  const struct entry_ref *ref, struct entry *ret_entry)
{
	_cleanup_(names_release) struct names n = { .begins = ref->arg };
	char prefix[TIER_PATH_MAX + 1];
	int err;

	snprintf(prefix, sizeof(prefix), "v1/%s/%s/entries/%s", r->tenant,
		 r->namespace, ref->name);
	n.prefix = prefix;
	err = list(r, i, &n);
	if (err < 0)
		return err;
	if (n.count != 1 || !key_is_valid(n.paths[0]))
		return n.count > 1 ? -ENOTUNIQ : -ENOENT;
	return remote_find_at(r, i, ref->name, n.paths[0], ret_entry);
}

int remote_find_unique(const struct remote *r, const struct entry_ref *ref,
		       struct entry *ret_entry)
{
	int all = -ENOENT;

	for (unsigned i = 0; i < chain_count(r->chain); i++) {
		int err;

		if (!(chain_access(r->chain, i) & CHAIN_READ))
			continue;
		err = find_prefix_at(r, i, ref, ret_entry);
		if (err == 0 || err == -ENOTUNIQ || err == -ECANCELED)
			return err;
		if (chain_is_refused(err))
			all = err;
	}
	return all;
}

/* --- the newest --- */

struct newest {
	const char *branch; /* "" for any */
	struct entry best;
	bool found;
	int refused; /* 0, or why an entry was */
};

/* 0 also where the entry cannot be had. */
static int newest_take(const struct remote *r, unsigned i, const char *name,
		       const char *key, struct newest *n)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT, old = n->best;
	int err = key_is_valid(key) ? remote_find_at(r, i, name, key, &e) :
				      -ENOENT;

	n->best = (struct entry)ENTRY_INIT;
	if (chain_is_refused(err))
		n->refused = err;
	if (err == 0 && (!*n->branch || strcmp(e.branch, n->branch) == 0) &&
	    (!n->found || e.created_ns > old.created_ns)) {
		n->best = e;
		e = (struct entry)ENTRY_INIT;
		n->found = true;
	} else {
		n->best = old;
		old = (struct entry)ENTRY_INIT;
	}
	return err == -ECANCELED || err == -ENOMEM ? err : 0;
}

/* Of those of a tier whose keys begin so; when the time is up, of those that
 * were read until then. */
static int newest_at(const struct remote *r, unsigned i, const char *name,
		     const char *branch, const char *begins,
		     struct entry *ret_entry)
{
	_cleanup_(names_release) struct names names = { .begins = begins };
	int64_t until = clock_mono_ns() + REMOTE_FIND_TIMEOUT_NS;
	struct newest n = { .branch = branch };
	char prefix[TIER_PATH_MAX + 1];
	int err;

	snprintf(prefix, sizeof(prefix), "v1/%s/%s/entries/%s", r->tenant,
		 r->namespace, name);
	names.prefix = prefix;
	err = list(r, i, &names);
	for (size_t at = 0; err == 0 && at < names.count; at++)
		if (clock_mono_ns() < until)
			err = newest_take(r, i, name, names.paths[at], &n);
	if (err == 0 && !n.found)
		err = n.refused ? n.refused : -ENOENT;
	if (err < 0) {
		entry_release(&n.best);
		return err;
	}
	*ret_entry = n.best;
	return 0;
}

/* What a pointer says, which is a key and may be of an entry that is gone. */
static int check_key(void *arg, const void *data, size_t len)
{
	char *key = arg;

	if (len == 0 || len > KEY_MAX || memchr(data, '\0', len))
		return -EBADMSG;
	memcpy(key, data, len);
	key[len] = '\0';
	return key_is_valid(key) ? 0 : -EBADMSG;
}

/* Whether an entry that tier `i` has for the newest of a branch may be that. */
static int check_newest(const struct remote *r, unsigned i, const char *branch,
			const struct entry *e)
{
	char path[TIER_PATH_MAX + 1];
	int err = seen_check_newest(store_index(r->store), r->trust, e, branch);

	if (err != -EKEYEXPIRED)
		return err;
	remote_entry_path(r->tenant, r->namespace, e->name, e->key, path);
	chain_untrusted(r->chain, i, path, err);
	return err;
}

/* The entry of a key, where it is of the branch and may be its newest. */
static int find_of_branch(const struct remote *r, const char *name,
			  const char *key, const char *branch,
			  struct entry *ret_entry)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct remote asking = *r;
	unsigned from = 0;
	int err;

	asking.from = &from;
	err = remote_find(&asking, name, key, &e);
	if (err < 0)
		return err;
	/* The key may have been put again from another branch. */
	if (*branch && strcmp(e.branch, branch) != 0)
		return -ENOENT;
	err = check_newest(r, from, branch, &e);
	if (err < 0)
		return err;
	if (r->from)
		*r->from = from;
	*ret_entry = e;
	e = (struct entry)ENTRY_INIT;
	return 0;
}

/* The newest that was here before, where a tier still has it: pointers lag
 * behind where who was the last to upload was not the last to build. */
static int find_seen(const struct remote *r, const char *name,
		     const char *branch, struct entry *ret_entry)
{
	char key[KEY_MAX + 1];
	int err = seen_newest(store_index(r->store), r->trust, r->tenant,
			      r->namespace, name, branch, key);

	return err < 0 ? err : find_of_branch(r, name, key, branch, ret_entry);
}

/* The entry that the pointer to the newest of a branch names. *ret_there: there
 * is such a pointer. */
static int follow(const struct remote *r, const char *name, const char *branch,
		  struct entry *ret_entry, bool *ret_there)
{
	struct tier_call call = remote_call(r, REMOTE_FIND_TIMEOUT_NS);
	_cleanup_buf_ struct buf data = BUF_INIT;
	char path[TIER_PATH_MAX + 1], key[KEY_MAX + 1];
	int err;

	err = remote_latest_path(r->tenant, r->namespace, name, branch, path);
	if (err == 0)
		err = chain_read(r->chain, &call, path, KEY_MAX, check_key, key,
				 &data, NULL);
	*ret_there = err == 0;
	return err < 0 ? err : find_of_branch(r, name, key, branch, ret_entry);
}

/* Of those that tier `i` lists. */
static int find_listed(const struct remote *r, unsigned i, const char *name,
		       const char *branch, struct entry *ret_entry)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	int err = newest_at(r, i, name, branch, "", &e);

	if (err == 0)
		err = check_newest(r, i, branch, &e);
	if (err < 0)
		return err;
	*ret_entry = e;
	e = (struct entry)ENTRY_INIT;
	return 0;
}

int remote_find_latest(const struct remote *r, const char *name,
		       const char *branch, struct entry *ret_entry)
{
	bool there;
	int now, err = follow(r, name, branch, ret_entry, &there);

	if (!there || (err != -ENOENT && !chain_is_refused(err)))
		return err;
	/* It leads nowhere; there may be others. */
	now = find_seen(r, name, branch, ret_entry);
	for (unsigned i = 0; now != 0 && i < chain_count(r->chain); i++) {
		if (now == -ECANCELED || now == -ENOMEM)
			return now;
		if (chain_access(r->chain, i) & CHAIN_READ)
			now = find_listed(r, i, name, branch, ret_entry);
		if (now == -EKEYEXPIRED)
			err = now;
	}
	return now == 0 ? 0 : err;
}

/* The newest of all, where its key begins so: with one request, and also from
 * tiers that cannot list. */
static int prefix_by_pointer(const struct remote *r, unsigned i,
			     const char *name, const char *prefix,
			     struct entry *ret_entry)
{
	struct tier_call call = remote_call(r, REMOTE_FIND_TIMEOUT_NS);
	_cleanup_buf_ struct buf data = BUF_INIT;
	char path[TIER_PATH_MAX + 1], key[KEY_MAX + 1];
	int err;

	err = remote_latest_path(r->tenant, r->namespace, name, "", path);
	if (err == 0)
		err = chain_read_from(r->chain, i, &call, path, KEY_MAX, &data);
	if (err == 0)
		err = check_key(key, data.data, data.len);
	if (err == 0 && strncmp(key, prefix, strlen(prefix)) != 0)
		err = -ENOENT;
	return err < 0 ? err : remote_find_at(r, i, name, key, ret_entry);
}

int remote_find_prefix(const struct remote *r, const char *name,
		       const char *prefix, struct entry *ret_entry)
{
	int all = -ENOENT;

	for (unsigned i = 0; i < chain_count(r->chain); i++) {
		int err;

		if (!(chain_access(r->chain, i) & CHAIN_READ))
			continue;
		err = prefix_by_pointer(r, i, name, prefix, ret_entry);
		if (err < 0 && err != -ECANCELED)
			err = newest_at(r, i, name, "", prefix, ret_entry);
		if (err == 0 || err == -ECANCELED || err == -ENOMEM)
			return err;
		if (chain_is_refused(err))
			all = err;
	}
	return all;
}
