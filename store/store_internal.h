/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What store*.c and ingest*.c share of an open store. Not for others.
 */
#ifndef LARDER_STORE_INTERNAL_H
#define LARDER_STORE_INTERNAL_H

#include <pthread.h>

#include "digest_map.h"
#include "pack_cache.h"
#include "store.h"

struct lazy;

struct store {
	char *dir; /* constant, as the next ten */
	int fd;	   /* v1/ */
	int owner_fd;
	int packs_fd, catalogs_fd, placements_fd, plain_fd;
	int sparse_fd, records_fd;
	struct index *index;
	struct pack_cache *packs;

	pthread_mutex_t lock; /* guards all below */
	struct dmap trees;    /* open struct store_tree, not referenced */
	struct dmap damaged;  /* chunks that were complained about */
	struct dmap pending;  /* packs of ingests under way */
	struct lazy *lazy;    /* NULL until a tree is lazy */
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

/*
 * Packs that an ingest published and that no index record points to yet.
 * Two ingests may make the same pack, so _settle removes the file only when
 * no other ingest claims it and the index does not know it. `chunk` is any
 * chunk of the pack. -EIO from _claim when the file was removed meanwhile.
 */
int store_pack_claim(struct store *s, const struct digest *pack);
void store_pack_settle(struct store *s, const struct digest *pack,
		       const struct digest *chunk, bool keep);

/* Whether every pack that the tree needs is there to be read. */
bool store_tree_is_whole(struct store_tree *t);

/* Whether `chunk` was complained about before; from now on it was. */
bool store_damage_known(struct store *s, const struct digest *chunk);

#endif
