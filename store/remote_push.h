/* SPDX-License-Identifier: Apache-2.0 */
/* What remote_push.c and remote_foreign.c share. Not for others. */
#ifndef LARDER_REMOTE_PUSH_H
#define LARDER_REMOTE_PUSH_H

#include "remote_hold.h"
#include "store_tree.h"

struct push {
	const struct remote *remote;
	unsigned tier;
	bool force;
	struct store_tree *tree;
	struct remote_result *result;
	uint32_t done, all; /* packs */
	struct hold hold;   /* of all that the entry needs there */

	struct buf ends; /* struct remote_pack_end, of packs that are here */

	/* By pack of the placement; NULL: all are ours. */
	bool *foreign;
	/* By chunk; length 0: it stays where it is. NULL: all do. */
	struct pack_loc *moved;
};

/* Puts a pack that is below `packs_dirfd`, unless the tier has it. */
int push_pack(struct push *p, int packs_dirfd, const struct digest *name);

/* --- remote_foreign.c --- */

/* Finds the packs that hold what another namespace owns. */
int push_find_foreign(struct push *p);

/* Puts what the tree needs of them, in packs made for it. */
int push_foreign(struct push *p);

#endif
