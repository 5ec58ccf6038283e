/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chains of remote tiers that requests name. Requests that name the same
 * tiers, with the same credentials, share one, so that what is known of a tier
 * (connections, failures, counters) outlives a request. A few that are not in
 * use are kept.
 *
 * A tier, as the protocol has it: {"name","url","access"} and what
 * store/tier_open.h lists, its secrets in "secrets". Those are in memory only.
 * What goes on using tiers after a request, a mount or an upload, keeps their
 * list without secrets, and these under its own name in the vault (vault.h).
 * Any thread.
 */
#ifndef LARDER_FS_TIERS_H
#define LARDER_FS_TIERS_H

#include <jansson.h>

#include "store/chain.h"

#include "vault.h"

#define TIERS_FAULT_MAX 640

/* Owners are a mount and its id, or an upload and its number. */
#define TIERS_OWNER_MAX VAULT_OWNER_MAX
#define TIERS_OWNER_MOUNT "mount "
#define TIERS_OWNER_UPLOAD "upload "

struct tiers;
struct supervisor_link;

/* With the secrets that an earlier worker had; `link` is borrowed, NULL: there
 * is no worker before or after. */
int tiers_new(struct supervisor_link *link, struct tiers **ret_tiers);
void tiers_free(struct tiers *t); /* NULL is fine; chains may be in use */

/* The chain of an array of tiers; a reference. -EINVAL with one sentence in
 * ret_fault (TIERS_FAULT_MAX bytes). */
int tiers_get(struct tiers *t, const json_t *list, char *ret_fault,
	      struct chain **ret_chain);

/* The same for the tiers that `owner` kept without their secrets: theirs are
 * those that tiers_keep() was given for the same tiers, else those of the
 * daemon's environment. */
int tiers_get_kept(struct tiers *t, const char *owner, const json_t *list,
		   char *ret_fault, struct chain **ret_chain);

/* Keeps the secrets of a list (may be NULL) for `owner`, whatever becomes of
 * this worker, in place of those that it had; where there are none, it keeps
 * those. What cannot be kept is said. */
void tiers_keep(struct tiers *t, const char *owner, const json_t *list);
void tiers_forget(struct tiers *t, const char *owner);

/* A copy of what is kept for an owner; NULL: nothing. */
json_t *tiers_kept(struct tiers *t, const char *owner);

/* Forgets those of owners that are gone; once all that an earlier worker left
 * is there. */
void tiers_sweep(struct tiers *t, bool (*lives)(void *arg, const char *owner),
		 void *arg);

/* All chains, those used last first; `list` is what each was made from. The
 * callback gets no reference. */
int tiers_each(struct tiers *t,
	       int (*each)(void *arg, struct chain *c, const json_t *list),
	       void *arg);

/* A copy of a list of tiers without their secrets. NULL: out of memory. */
json_t *tiers_public(const json_t *list);

#endif
