/* SPDX-License-Identifier: Apache-2.0 */
/* What remote*.c share. Not for others. */
#ifndef LARDER_REMOTE_INTERNAL_H
#define LARDER_REMOTE_INTERNAL_H

#include "remote.h"

/* How long looking for something small may take, with all tiers. */
#define REMOTE_FIND_TIMEOUT_NS INT64_C(15000000000)

/* What goes with a call to a tier; `timeout_ns` 0: as long as bytes come. */
struct tier_call remote_call(const struct remote *r, int64_t timeout_ns);

/* The entry of a key, as tier `i` has it; errors as of remote_find(). */
int remote_find_at(const struct remote *r, unsigned i, const char *name,
		   const char *key, struct entry *ret_entry);

/* The only entry whose key begins as the reference says, from the first tier
 * that has one and can list. -ENOTUNIQ. */
int remote_find_unique(const struct remote *r, const struct entry_ref *ref,
		       struct entry *ret_entry);

/* The tree of a catalog, from the first tier that has it whole. */
struct remote_tree;
int remote_get_tree(const struct remote *r, const struct digest *catalog,
		    struct remote_tree *ret_tree);

/* Enters a pack whose chunks were all verified, and those of its chunks that
 * are in no other. */
int remote_index_pack(struct store *s, struct pack *pack);

/* Makes an entry known here, synced, and that it was here. */
int remote_put_entry(const struct remote *r, const struct entry *e);

#endif
