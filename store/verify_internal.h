/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a verification, shared by verify*.c: packs and what is good in
 * them (verify_packs.c), trees (verify_trees.c), mending (verify_repair.c).
 * One thread.
 */
#ifndef LARDER_VERIFY_INTERNAL_H
#define LARDER_VERIFY_INTERNAL_H

#include "digest_map.h"
#include "roots.h"
#include "store_tree.h"
#include "verify.h"

struct verify_pack {
	struct dmap_node node; /* first */
	bool present;
	bool unreadable; /* not even its index can be read */
	bool misnamed;	 /* its bytes are not those of its name */
	uint32_t chunks, bad;
	bool looked_at; /* and counted */
	bool aside;	/* repaired: it is in quarantine */
};

struct verify_tree {
	struct dmap_node node; /* first */
	int err;	       /* it cannot be opened */
	uint32_t chunks, bad;  /* of its own */
	bool looked_at, told;
	bool touches; /* a damaged pack */
	struct digest roots[ROOTS_MAX];
	unsigned n_roots;
};

struct verify {
	struct store *store;
	const struct verify_options *options;
	struct progress *progress;
	struct codec_ctx *codec;
	uint8_t *chunk; /* CHUNK_MAX: decoded */
	uint64_t all_packs;
	struct verify_result result;

	struct dmap packs, trees; /* struct verify_pack, struct verify_tree */
	struct map good;	  /* frames, by frame_key() */
};

/* verify_packs.c */

/* Looks at a pack once, whenever it is first asked for. */
int verify_get_pack(struct verify *v, const struct digest *name,
		    struct verify_pack **ret_pack);

/* Looks again at those that were set aside: others may have come. */
int verify_look_again(struct verify *v);

/* Whether there is a good frame of this chunk at that place, in a pack that is
 * there now. */
int verify_is_good(struct verify *v, const struct digest *pack, uint32_t off,
		   const struct digest *chunk, bool *ret_good);

static inline bool verify_pack_is_bad(const struct verify_pack *p)
{
	return p->present && (p->unreadable || p->misnamed || p->bad > 0);
}

/* verify_trees.c */

/* Looks at a tree once; again with `anew`. */
int verify_get_tree(struct verify *v, const struct digest *catalog, bool anew,
		    struct verify_tree **ret_tree);

/* Whether all is there of a tree and of its roots. */
int verify_tree_is_whole(struct verify *v, const struct digest *catalog,
			 bool anew, bool *ret_whole);

/* verify_repair.c: all but entries. `left` is not counted. */
int verify_repair(struct verify *v);

/* For an entry whose tree was not whole: looks again, and fetches what is
 * missing, where that can be done. */
int verify_fetch_entry(struct verify *v, const struct entry *e,
		       bool *ret_whole);

/* The last step, where that did not help: looks once more, since what others
 * have brought may serve it, too, and removes it. */
int verify_repair_entry(struct verify *v, const struct entry *e,
			enum verify_outcome *ret_outcome);

/* The records of chunks that are wrong are counted and, with `forget`,
 * removed. */
int verify_records(struct verify *v, bool forget);

#endif
