/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two blobs of a tree, its catalog and its placement: opening their files
 * with what has to be checked of them, plain or folded (fold.h), and making a
 * placement anew. What store_tree.c and rest.c share; not for others. Any
 * thread.
 */
#ifndef LARDER_TREE_BLOBS_H
#define LARDER_TREE_BLOBS_H

#include "fold.h"
#include "store_internal.h"

/* The file of a blob below `rootfd`, and its stat data; -ENOENT. */
int tree_blob_open(int rootfd, const struct digest *digest,
		   struct index_stamp *ret_stamp);

/* Whether the file is the one that was checked. */
bool tree_blob_is_known(struct store *s, enum index_blob kind,
			const struct digest *digest,
			const struct index_stamp *now);

/*
 * A catalog; with `full`, its digest is compared in any case. *ret_anchor is
 * the one that it is folded against, or zeros. -ENOENT; -EBADMSG: damaged (it
 * is set aside then), or its anchor is damaged or gone (it stays then).
 */
int tree_load_catalog(struct store *s, const struct digest *digest, bool full,
		      struct catalog **ret_catalog, struct digest *ret_anchor);

/* A placement, made anew where it is missing or damaged. With `full`, its
 * checksum is compared in any case. -ENOENT: the index does not have all
 * chunks. */
int tree_load_placement(struct store *s, const struct digest *digest,
			const struct catalog *c, bool full,
			struct placement **ret_placement);
int tree_remake_placement(struct store *s, const struct digest *digest,
			  const struct catalog *c);

/* ---- unfold.c */

/*
 * What is folded becomes a file without a name, which is mapped like any other
 * blob and goes with the mapping. -EBADMSG: not what the header says.
 */
int unfold_catalog(struct store *s, int fd, const struct fold_header *h,
		   const struct index_stamp *stamp,
		   const struct catalog *anchor, bool known,
		   struct catalog **ret_catalog);
int unfold_placement(struct store *s, int fd, const struct fold_header *h,
		     const struct index_stamp *stamp, const struct catalog *c,
		     bool full, struct placement **ret_placement);

/* The bytes of a folded file, in memory that is the caller's. */
int unfold_bytes(int fd, const struct fold_header *h,
		 const struct index_stamp *stamp, const void *prefix,
		 size_t prefix_len, uint8_t **ret_data);

/* A few catalogs stay mapped, so that trees that are opened again and again,
 * and the anchor of many, are unfolded once. NULL: not there. */
struct catalog *unfolded_find(struct store *s, const struct digest *digest,
			      const struct index_stamp *stamp);
void unfolded_keep(struct store *s, const struct digest *digest,
		   const struct index_stamp *stamp, struct catalog *c);
void unfolded_release(struct store *s); /* at the end */

#endif
