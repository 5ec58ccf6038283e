/* SPDX-License-Identifier: Apache-2.0 */
/* What remote*.c share. Not for others. */
#ifndef LARDER_REMOTE_INTERNAL_H
#define LARDER_REMOTE_INTERNAL_H

#include "remote.h"

/* What goes with a call to a tier; `timeout_ns` 0: as long as bytes come. */
struct tier_call remote_call(const struct remote *r, int64_t timeout_ns);

/* The tree of a catalog, from the first tier that has it whole. */
struct remote_tree;
int remote_get_tree(const struct remote *r, const struct digest *catalog,
		    struct remote_tree *ret_tree);

/* Enters a pack whose chunks were all verified, and those of its chunks that
 * are in no other. */
int remote_index_pack(struct store *s, struct pack *pack);

/* Makes an entry known here, synced. */
int remote_put_entry(struct store *s, const struct entry *e);

#endif
