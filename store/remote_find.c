/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding entries in remote tiers. An entry counts where it is the one that
 * was asked for: tenant, namespace, name and key in it are those of its path,
 * so that nobody can put one in another's place; and where there are keys to be
 * trusted, one of them has signed just that.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "remote_internal.h"

/* How long looking for something small may take, with all tiers. */
#define FIND_TIMEOUT_NS INT64_C(15000000000)
#define LIST_TIMEOUT_NS INT64_C(120000000000)

struct tier_call remote_call(const struct remote *r, int64_t timeout_ns)
{
	return (struct tier_call){
		.deadline_ns = timeout_ns ? clock_mono_ns() + timeout_ns : 0,
		.cancelled = r->cancelled,
		.background = r->background,
		.why = r->why,
	};
}

/* An entry that is wanted, and then what a tier gave. */
struct wanted {
	const struct remote *remote;
	const char *name, *key;
	struct entry entry;
};

static bool is_wanted(const struct wanted *w, const struct entry *e)
{
	return strcmp(e->tenant, w->remote->tenant) == 0 &&
	       strcmp(e->namespace, w->remote->namespace) == 0 &&
	       strcmp(e->name, w->name) == 0 && strcmp(e->key, w->key) == 0;
}

static int check_entry(void *arg, const void *data, size_t len)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct wanted *w = arg;
	int r = entry_decode(data, len, &e);

	if (r == -ENOMEM)
		return r;
	/* One of a newer version is as good as none. */
	if (r < 0)
		return -EBADMSG;
	/* Whatever its signature says, it says it of something else. */
	if (!is_wanted(w, &e))
		return w->remote->trust ? -EKEYREJECTED : -EBADMSG;
	r = trust_check(w->remote->trust, &e, NULL);
	if (r < 0)
		return r;
	entry_release(&w->entry);
	w->entry = e;
	e = (struct entry)ENTRY_INIT;
	return 0;
}

int remote_find(const struct remote *r, const char *name, const char *key,
		struct entry *ret_entry)
{
	struct tier_call call = remote_call(r, FIND_TIMEOUT_NS);
	struct wanted w = { .remote = r, .name = name, .key = key };
	_cleanup_buf_ struct buf data = BUF_INIT;
	char path[TIER_PATH_MAX + 1];
	int err;

	remote_entry_path(r->tenant, r->namespace, name, key, path);
	err = chain_read(r->chain, &call, path, REMOTE_ENTRY_MAX, check_entry,
			 &w, &data, NULL);
	if (err < 0) {
		entry_release(&w.entry);
		return err;
	}
	*ret_entry = w.entry;
	return 0;
}

/* --- the newest --- */

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

int remote_find_latest(const struct remote *r, const char *name,
		       const char *branch, struct entry *ret_entry)
{
	struct tier_call call = remote_call(r, FIND_TIMEOUT_NS);
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	_cleanup_buf_ struct buf data = BUF_INIT;
	char path[TIER_PATH_MAX + 1], key[KEY_MAX + 1];
	int err;

	err = remote_latest_path(r->tenant, r->namespace, name, branch, path);
	if (err < 0)
		return err;
	err = chain_read(r->chain, &call, path, KEY_MAX, check_key, key, &data,
			 NULL);
	if (err == 0)
		err = remote_find(r, name, key, &e);
	if (err < 0)
		return err;
	/* The key may have been put again from another branch. */
	if (*branch && strcmp(e.branch, branch) != 0)
		return -ENOENT;
	*ret_entry = e;
	e = (struct entry)ENTRY_INIT;
	return 0;
}

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

static int add_name(void *arg, const char *path, uint64_t size)
{
	struct names *n = arg;
	size_t len = strlen(n->prefix);

	(void)size;
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

static int read_at(const struct remote *r, unsigned i, const char *name,
		   const char *key, struct entry *ret_entry)
{
	struct tier_call call = remote_call(r, FIND_TIMEOUT_NS);
	struct wanted w = { .remote = r, .name = name, .key = key };
	_cleanup_buf_ struct buf data = BUF_INIT;
	char path[TIER_PATH_MAX + 1];
	int err;

	remote_entry_path(r->tenant, r->namespace, name, key, path);
	err = chain_read_from(r->chain, i, &call, path, REMOTE_ENTRY_MAX,
			      &data);
	if (err == 0)
		err = check_entry(&w, data.data, data.len);
	if (err == -EBADMSG)
		chain_damaged(r->chain, i, path);
	if (err == -EKEYREJECTED)
		chain_untrusted(r->chain, i, path);
	if (err < 0)
		return err;
	*ret_entry = w.entry;
	return 0;
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
	err = read_at(r, i, name, slash + 1, &e);
	if (err == -ENOENT || err == -EBADMSG || err == -EKEYREJECTED)
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
	if (n.count != 1)
		return n.count ? -ENOTUNIQ : -ENOENT;
	return read_at(r, i, ref->name, n.paths[0], ret_entry);
}

static int find_prefix(const struct remote *r, const struct entry_ref *ref,
		       struct entry *ret_entry)
{
	bool rejected = false;

	for (unsigned i = 0; i < chain_count(r->chain); i++) {
		int err;

		if (!(chain_access(r->chain, i) & CHAIN_READ))
			continue;
		err = find_prefix_at(r, i, ref, ret_entry);
		if (err == 0 || err == -ENOTUNIQ || err == -ECANCELED)
			return err;
		rejected |= err == -EKEYREJECTED;
	}
	return rejected ? -EKEYREJECTED : -ENOENT;
}

int remote_find_ref(const struct remote *r, const struct entry_ref *ref,
		    struct entry *ret_entry)
{
	int err;

	if (ref->kind == ENTRY_REF_LATEST)
		return remote_find_latest(r, ref->name, "", ret_entry);
	if (ref->kind == ENTRY_REF_BRANCH)
		return remote_find_latest(r, ref->name, ref->arg, ret_entry);
	err = remote_find(r, ref->name, ref->arg, ret_entry);
	if (err != -ENOENT || strlen(ref->arg) < KEY_PREFIX_MIN)
		return err;
	return find_prefix(r, ref, ret_entry);
}

int remote_remove(const struct remote *r, unsigned i, const char *name,
		  const char *key)
{
	struct tier_call call = remote_call(r, FIND_TIMEOUT_NS);
	char path[TIER_PATH_MAX + 1];

	remote_entry_path(r->tenant, r->namespace, name, key, path);
	return chain_delete_at(r->chain, i, &call, path);
}
