/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at all of a store, and mending what can be mended. Read and compared
 * with its digest is every chunk of every pack, and each catalog; then, whether
 * each tree finds all of its chunks where its placement says, whether each
 * entry has its tree, and whether the index tells the truth.
 *
 * Mending, in this order, each step durable before the next:
 *
 *	1. what the index says of chunks that are not there is forgotten, so
 *	   that the next import stores them anew, and what it does not know of
 *	   the packs it learns;
 *	2. what is good in damaged packs is copied to new ones;
 *	3. trees that find chunks elsewhere get a new placement;
 *	4. damaged packs are set aside, to v1/quarantine;
 *	5. entries that still miss something are fetched again, where the
 *	   caller can do that;
 *	6. those that miss something even then are removed: their next build
 *	   is a miss.
 *
 * It may be killed anywhere. Imports, commits, mounts and reads go on
 * meanwhile; collections do not. What a sparse pack lacks is not damage where
 * the tree came from elsewhere: it is fetched when it is read.
 */
#ifndef LARDER_VERIFY_H
#define LARDER_VERIFY_H

#include "progress.h"
#include "store.h"

enum verify_kind {
	VERIFY_PACK,
	VERIFY_TREE, /* of a mount or of kept changes */
	VERIFY_ENTRY,
};

enum verify_outcome {
	VERIFY_LEFT,
	VERIFY_MENDED,
	VERIFY_SET_ASIDE, /* a damaged file, which nobody needs any more */
	VERIFY_REMOVED,	  /* an entry */
};

/* Borrowed for the call. */
struct verify_damage {
	enum verify_kind kind;
	const char *name; /* a digest in hex, or NAMESPACE/NAME@KEY */
	const char *what; /* what is wrong, for a sentence behind the name */
	enum verify_outcome outcome;
};

struct verify_options {
	bool repair;
	/* Told of each damage once it is known what became of it. */
	void (*damaged)(void *arg, const struct verify_damage *d);
	/* Brings the tree of an entry here again; NULL: nowhere from. 0 or an
	 * errno. */
	int (*refetch)(void *arg, const struct entry *e);
	/* As in gc.h: trees that are needed although no entry may have them. */
	int (*holds)(void *arg,
		     int (*each)(void *each_arg, const struct digest *catalog),
		     void *each_arg);
	void *arg; /* of all three */
};

struct verify_result {
	uint64_t packs, chunks, bytes; /* looked at, and of packs */
	uint64_t trees, entries;
	uint64_t bad_packs, bad_chunks, bad_entries;
	uint64_t bad_trees;   /* held ones; others count with their entries */
	uint64_t bad_records; /* of the index: wrong or not decodable */
	uint64_t left;	      /* of all the bad ones, what still is */
};

/* 0 also where there is damage: see `left`. -EBUSY: a collection runs,
 * -ESTALE (said): something was written by a newer version, -ECANCELED. */
int verify_run(struct store *s, const struct verify_options *options,
	       struct progress *progress, struct verify_result *ret_result);

#endif
