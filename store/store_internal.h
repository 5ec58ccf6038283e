/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What store*.c and ingest*.c share of an open store. Not for others.
 */
#ifndef LARDER_STORE_INTERNAL_H
#define LARDER_STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "digest_map.h"
#include "pack_cache.h"
#include "store.h"

struct lazy;

struct store_growth; /* lazy.h */

/* Catalogs that stay unfolded for a while (unfold.c). */
#define STORE_UNFOLDED 4
struct store_unfolded {
	struct digest digest;
	struct index_stamp stamp; /* of the folded file */
	struct catalog *catalog;  /* NULL: none */
};

struct store {
	char *dir; /* constant, as the next ten */
	int fd;	   /* v1/ */
	int owner_fd;
	int packs_fd, catalogs_fd, placements_fd, plain_fd;
	int sparse_fd, records_fd;
	struct index *index;
	struct pack_cache *packs;

	/* Of lazy trees: who wants to know (NULL: nobody), and bytes since he
	 * was told. */
	_Atomic(const struct store_growth *) growth;
	atomic_ullong grown_bytes;

	pthread_mutex_t lock; /* guards all below */
	struct dmap trees;    /* open struct store_tree, not referenced */
	struct dmap damaged;  /* chunks that were complained about */
	struct dmap sources;  /* of catalogs (store_source.c) */
	struct lazy *lazy;    /* NULL until a tree is lazy */
	struct store_unfolded unfolded[STORE_UNFOLDED]; /* newest first */
	struct dmap held; /* store_hold.c, as all below */
	struct dmap condemned;
	bool collecting; /* what is given back stays needed */
	bool unsure;	 /* it is not known what is needed */
	bool excluding;	 /* no publication may begin */
	unsigned publishing;
	pthread_cond_t published; /* one of the last two changed */
};

/* "<hh>/<hex>" of an object below its root. */
#define STORE_PATH_LEN (2 + 1 + DIGEST_HEX_LEN)
void store_path(const struct digest *digest, char ret_path[STORE_PATH_LEN + 1]);

struct stat;
void store_stamp(const struct stat *st, struct index_stamp *ret_stamp);

/* Moves a damaged file to v1/quarantine/<kind>-<hex> and says so. Returns
 * -EBADMSG. */
int store_quarantine(struct store *s, int rootfd, const char *kind,
		     const struct digest *digest);

/* Publishes a pack whose bytes are in the file that `p` has open, below
 * packs_fd. */
struct publish;
int store_put_pack(struct store *s, const struct digest *name,
		   struct publish *p);

/* Records that a blob was checked whole. A stamp that is not kept costs a
 * check at the next open, so this cannot fail. */
void store_put_stamp(struct store *s, enum index_blob kind,
		     const struct digest *blob,
		     const struct index_stamp *stamp);

/* ---- store_hold.c */

void store_hold_free(struct dmap_node *n);

/* Before an object is published, and before the packs are used that it needs:
 * nothing of it goes until store_release(). _use is for what is there: -ENOENT
 * where it is about to go. */
int store_hold(struct store *s, const struct digest *object);
int store_use(struct store *s, const struct digest *object);
void store_release(struct store *s, const struct digest *object);

/* What one piece of work holds, each object once, until it ends. Not locked. */
struct store_holds {
	struct store *store; /* constant */
	struct dmap set;
};
int store_holds_add(struct store_holds *h, const struct digest *object);
int store_holds_use(struct store_holds *h, const struct digest *object);
void store_holds_release(struct store_holds *h);

/* Releases a pack that was held and published. Two ingests may make the same
 * one, so the file of one that is not kept is removed only when no other
 * holds it and the index does not point to it. `chunk` is any chunk of it. */
void store_pack_settle(struct store *s, const struct digest *pack,
		       const struct digest *chunk, bool keep);

/* Around the write that makes an entry visible, and what is read to decide on
 * it. Not nested. */
void store_publish_begin(struct store *s);
void store_publish_end(struct store *s);

/* Calls `change` with no publication under way and the lock held: it may read
 * the index and write to it unsynced, and call the _locked functions. */
int store_exclude(struct store *s, int (*change)(void *arg), void *arg);

/* One collection at a time: -EBUSY. */
int store_collect_begin(struct store *s);
void store_collect_end(struct store *s);

/* Whether somebody needs it now, or did since the collection began. */
bool store_is_needed(struct store *s, const struct digest *catalog);
bool store_pack_is_needed(struct store *s, const struct digest *pack);

/* Condemns what nobody needs; false where somebody does. */
bool store_condemn_catalog(struct store *s, const struct digest *catalog);
bool store_condemn_pack(struct store *s, const struct digest *pack);

bool store_is_condemned(struct store *s, const struct digest *object);
bool store_is_condemned_locked(struct store *s, const struct digest *object);

/* Removes the file of an object that is condemned still: 1, or 0 where it has
 * been published again. */
int store_unlink_condemned(struct store *s, int rootfd,
			   const struct digest *object);

/* Gives the name of an object's file in `dirfd` to the synced file that `p` has
 * open: 1, or 0 where somebody needs the object and may be replacing the file
 * himself. */
struct publish;
int store_replace_resting(struct store *s, int dirfd,
			  const struct digest *object, struct publish *p);

/* Removes what is here of a sparse pack, unless an open tree reads it. Who
 * opens such a tree later begins it anew. */
int store_remove_sparse(struct store *s, const struct digest *pack);

/* With the lock held. A tree that is closed; and, for one that is being
 * opened: -ENOENT: it is condemned, -EAGAIN: a pack of it is, which its
 * placement does not name any more. */
struct store_tree;
void store_tree_was_open(struct store *s, const struct digest *catalog);
int store_tree_check_condemned(struct store *s, const struct store_tree *t);

/* At the end. */
void store_release_sources(struct store *s);

/* Whether every pack that the tree needs is there to be read. */
bool store_tree_is_whole(struct store_tree *t);

/* Whether `chunk` was complained about before; from now on it was. */
bool store_damage_known(struct store *s, const struct digest *chunk);

#endif
