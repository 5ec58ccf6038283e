/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries in remote tiers: where their objects lie, how one is found, brought
 * here and put there. Below a tier's root, for each tenant and namespace:
 *
 *	v1/<tenant>/<namespace>/
 *		packs/<hh>/<hex>	a pack, named by the SHA-256 of its bytes
 *		trees/<hh>/<hex>	catalog and placement (remote_tree.h),
 *					named by the catalog's digest
 *		records/<hh>/<hex>	what runs read first of a catalog
 *		entries/<name>/<key>	an entry, as entry_encode() gives it
 *		latest/<name>/<hh>/<hex>	the key of the newest entry of a
 *					branch (hex: SHA-256 of its name; of ""
 *					for any), for tiers that cannot list
 *
 * They are put in the order packs, tree, entry, latest, so that an entry which
 * can be seen is complete; meanwhile a hold (remote_hold.h) keeps collections
 * (remote_gc.h) from removing what is already there. What comes from a tier is believed of nothing
 * before it was checked: an entry is what it was asked for and signed where it
 * has to be, a catalog has its digest, a placement is a hint, a chunk has its
 * digest. A pointer is a hint, too: what it leads to is an entry like any other,
 * of the name and branch that were asked for, if perhaps not the newest. Where
 * entries are signed, no tier can put an older one in the place of one that was
 * here before (seen.h).
 *
 * Any thread; a struct remote is the caller's.
 */
#ifndef LARDER_REMOTE_H
#define LARDER_REMOTE_H

#include "chain.h"
#include "entry.h"
#include "progress.h"
#include "store.h"
#include "trust.h"

#define REMOTE_ENTRY_MAX (64u << 20)

struct remote_pace; /* remote_hold.h */

enum remote_kind { REMOTE_PACK, REMOTE_TREE, REMOTE_RECORD, REMOTE_KINDS };

/* What goes with the calls below; all of it borrowed. */
struct remote {
	struct store *store;
	struct chain *chain;
	const char *tenant, *namespace;
	const struct trust *trust; /* NULL: entries need no signature */
	struct progress *progress; /* NULL: none, and not to be ended by it */
	const atomic_bool *cancelled; /* NULL: never */
	bool background;
	unsigned *from; /* NULL, or the number of the tier that has an entry */
	char *why; /* NULL, or TIER_WHY_MAX bytes for the cause of a failure */
	const struct remote_pace *pace; /* NULL: the usual one; for tests */
};

/* Paths of objects, for tiers: TIER_PATH_MAX + 1 bytes are enough. */
void remote_path(const char *tenant, const char *namespace,
		 enum remote_kind kind, const struct digest *digest,
		 char ret_path[TIER_PATH_MAX + 1]);
void remote_entry_path(const char *tenant, const char *namespace,
		       const char *name, const char *key,
		       char ret_path[TIER_PATH_MAX + 1]);
int remote_latest_path(const char *tenant, const char *namespace,
		       const char *name, const char *branch,
		       char ret_path[TIER_PATH_MAX + 1]);

/* --- remote_find.c, remote_list.c --- */

/*
 * The entry of a key, and the newest of a branch ("": of any) as far as the
 * tiers tell, from the first tier that has it; nothing of its tree is looked
 * at. Where the entry that a pointer names is gone, tiers that can list are
 * asked for the newest of the others. -ENOENT; where there is one that is
 * refused, -EKEYREJECTED, signed by nobody who is trusted, or -EKEYEXPIRED, older
 * than one that was here before (seen.h); -EIO and others where a tier that
 * failed may have it.
 */
int remote_find(const struct remote *r, const char *name, const char *key,
		struct entry *ret_entry);
int remote_find_latest(const struct remote *r, const char *name,
		       const char *branch, struct entry *ret_entry);

/* The newest whose key begins with `prefix`, as far as the first tier that has
 * one tells: where it cannot list, the newest of the name, if that serves. */
int remote_find_prefix(const struct remote *r, const char *name,
		       const char *prefix, struct entry *ret_entry);

/* As store_find_entry(). An abbreviated key is found in tiers that can
 * list. */
int remote_find_ref(const struct remote *r, const struct entry_ref *ref,
		    struct entry *ret_entry);

/* All entries (of `name` only, where not NULL) of one tier. -EOPNOTSUPP where
 * it cannot list. One that is damaged, or not to be trusted, is passed over. */
int remote_each(const struct remote *r, unsigned i, const char *name,
		int (*each)(void *arg, const struct entry *e), void *arg);

/* --- remote_pull.c --- */

struct remote_result {
	uint32_t packs;	      /* of the tree */
	uint32_t packs_moved; /* of them, those that were not there yet */
	uint64_t bytes_moved; /* in all */
};

/* Brings the tree of `e` here, with all that it needs and is not here yet, and
 * then the entry itself. -ENOENT: objects of it are in no tier; -EBADMSG: no
 * tier has them undamaged. */
int remote_pull(const struct remote *r, const struct entry *e,
		struct remote_result *ret_result);

/* --- remote_push.c --- */

/* Puts an entry of the store and its tree into tier `i`. Packs that are there
 * are not put again, unless `force`; those that are not here come from the
 * tiers that may be read. Packs that hold what other namespaces
 * own are not put: what the tree needs of them goes into new ones. */
int remote_push(const struct remote *r, unsigned i, const struct entry *e,
		bool force, struct remote_result *ret_result);

/* Removes the entry of a key from tier `i`. Its objects may be another's too
 * and stay. -ENOENT. */
int remote_remove(const struct remote *r, unsigned i, const char *name,
		  const char *key);

#endif
