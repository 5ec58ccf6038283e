/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The remote tiers of a mount: where chunks of its tree may be had when nobody
 * has said so yet, as in a new worker or at a resume, and the secrets that go
 * with them. Those come from files and commands that the tiers name, from the
 * request that made the mount, or from the environment of the daemon; the
 * second are with the supervisor for as long as the mount is (vault.h). State is
 * the mount's; any thread.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/log.h"
#include "store/lazy_remote.h"

#include "json_scope.h"
#include "mounts_internal.h"

static const char *owner_name(const struct mount *mnt,
			      char ret_owner[TIERS_OWNER_MAX])
{
	snprintf(ret_owner, TIERS_OWNER_MAX, TIERS_OWNER_MOUNT "%s",
		 mnt->state.id);
	return ret_owner;
}

/* --- where chunks are --- */

static int make_source(const struct mount *mnt, const struct entry *e,
		       struct lazy_source **ret_source)
{
	_cleanup_json_ json_t *list = json_loads(mnt->state.tiers, 0, NULL);
	char fault[TIERS_FAULT_MAX], owner[TIERS_OWNER_MAX];
	struct chain *chain = NULL;
	int r;

	if (!list)
		return -EBADMSG;
	r = tiers_get_kept(mnt->mounts->config.tiers, owner_name(mnt, owner),
			   list, fault, &chain);
	if (r < 0)
		return log_error(r, "%s: %s", mnt->state.dir, fault);
	r = lazy_remote_new(chain, e->tenant, e->namespace, ret_source);
	chain_unref(chain);
	return r;
}

void mount_offer_tiers(const struct mount *mnt, const struct entry *e)
{
	struct store *s = mnt->mounts->config.store;
	struct lazy_source *src = store_find_source(s, &e->catalog);

	if (!src && mnt->state.tiers && make_source(mnt, e, &src) == 0)
		(void)store_offer_source(s, &e->catalog, src);
	lazy_source_unref(src);
}

/* --- secrets --- */

void mount_keep_secrets(struct mount *mnt, const json_t *tiers)
{
	_cleanup_json_ json_t *own =
		mnt->state.tiers ? json_loads(mnt->state.tiers, 0, NULL) : NULL;
	_cleanup_json_ json_t *named = tiers ? tiers_public(tiers) : NULL;
	char owner[TIERS_OWNER_MAX];

	if (json_equal(own, named))
		tiers_keep(mnt->mounts->config.tiers, owner_name(mnt, owner),
			   tiers);
}

json_t *mount_secrets(const struct mount *mnt)
{
	char owner[TIERS_OWNER_MAX];

	return tiers_kept(mnt->mounts->config.tiers, owner_name(mnt, owner));
}

void mount_forget_secrets(const struct mount *mnt)
{
	char owner[TIERS_OWNER_MAX];

	tiers_forget(mnt->mounts->config.tiers, owner_name(mnt, owner));
}
