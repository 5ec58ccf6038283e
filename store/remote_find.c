/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding entries in remote tiers. An entry counts where it is the one that
 * was asked for: tenant, namespace, name and key in it are those of its path,
 * so that nobody can put one in another's place; and where there are keys to be
 * trusted, one of them has signed just that, and no newer one has been here
 * (seen.h).
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "remote_internal.h"
#include "seen.h"

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
	if (r == 0)
		r = seen_check(store_index(w->remote->store), w->remote->trust,
			       &e);
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
	struct tier_call call = remote_call(r, REMOTE_FIND_TIMEOUT_NS);
	struct wanted w = { .remote = r, .name = name, .key = key };
	_cleanup_buf_ struct buf data = BUF_INIT;
	char path[TIER_PATH_MAX + 1];
	int err;

	remote_entry_path(r->tenant, r->namespace, name, key, path);
	err = chain_read(r->chain, &call, path, REMOTE_ENTRY_MAX, check_entry,
			 &w, &data, r->from);
	if (err < 0) {
		entry_release(&w.entry);
		return err;
	}
	*ret_entry = w.entry;
	return 0;
}

int remote_find_at(const struct remote *r, unsigned i, const char *name,
		   const char *key, struct entry *ret_entry)
{
	struct tier_call call = remote_call(r, REMOTE_FIND_TIMEOUT_NS);
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
	if (chain_is_refused(err))
		chain_untrusted(r->chain, i, path, err);
	if (err < 0)
		return err;
	if (r->from)
		*r->from = i;
	*ret_entry = w.entry;
	return 0;
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
	return remote_find_unique(r, ref, ret_entry);
}

int remote_remove(const struct remote *r, unsigned i, const char *name,
		  const char *key)
{
	struct tier_call call = remote_call(r, REMOTE_FIND_TIMEOUT_NS);
	char path[TIER_PATH_MAX + 1];

	remote_entry_path(r->tenant, r->namespace, name, key, path);
	return chain_delete_at(r->chain, i, &call, path);
}
