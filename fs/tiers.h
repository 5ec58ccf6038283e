/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chains of remote tiers that requests name. Requests that name the same
 * tiers, with the same credentials, share one, so that what is known of a tier
 * (connections, failures, counters) outlives a request. A few that are not in
 * use are kept.
 *
 * A tier, as the protocol has it: {"name","url","access"} and what
 * store/tier_open.h lists, its secrets in "secrets". Those are in memory only.
 * Any thread.
 */
#ifndef LARDER_FS_TIERS_H
#define LARDER_FS_TIERS_H

#include <jansson.h>

#include "store/chain.h"

#define TIERS_FAULT_MAX 640

struct tiers;

int tiers_new(struct tiers **ret_tiers);
void tiers_free(struct tiers *t); /* NULL is fine; chains may be in use */

/* The chain of an array of tiers; a reference. -EINVAL with one sentence in
 * ret_fault (TIERS_FAULT_MAX bytes). */
int tiers_get(struct tiers *t, const json_t *list, char *ret_fault,
	      struct chain **ret_chain);

/* The same for tiers that were kept without their secrets: those of the daemon's
 * environment are theirs. */
int tiers_get_kept(struct tiers *t, const json_t *list, char *ret_fault,
		   struct chain **ret_chain);

/* All chains, those used last first; `list` is what each was made from. The
 * callback gets no reference. */
int tiers_each(struct tiers *t,
	       int (*each)(void *arg, struct chain *c, const json_t *list),
	       void *arg);

/* A copy of a tier without its secrets. NULL: out of memory. */
json_t *tiers_public(const json_t *tier);

#endif
