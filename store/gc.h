/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeping a store within its bounds. A collection
 *
 *	1. decides which entries go, where the store is over its limits: those
 *	   that were used least recently, as few as bring it below nine tenths
 *	   of the limit;
 *	2. removes them from the index;
 *	3. writes what is still needed of half-dead packs anew;
 *	4. removes the files that nothing needs: of removed and replaced
 *	   entries, and what crashes have left.
 *
 * Never removed are entries that are pinned, younger than the grace time or in
 * use: with an open tree, or with a catalog that `holds` names. What they need
 * stays in any case, and so do packs of open trees, half-dead or not. Imports,
 * commits, mounts and reads go on meanwhile (store_hold.c says how).
 *
 * A collection may be killed anywhere: what it leaves is garbage, which the
 * next one finds. Any thread; one collection at a time.
 */
#ifndef LARDER_GC_H
#define LARDER_GC_H

#include <stdbool.h>
#include <stdint.h>

#include "progress.h"
#include "store.h"

#define GC_GRACE_NS (INT64_C(3600) * 1000000000)

/* Limits; 0: none. */
struct gc_limits {
	uint64_t max_bytes;	 /* of all files below v1, on disk */
	uint64_t max_objects;	 /* packs, catalogs and placements */
	uint64_t min_free_bytes; /* that the file system is to have left */
};

/* What a store takes, on disk. */
struct gc_usage {
	uint64_t bytes, objects;
	uint64_t free_bytes;  /* left for this user on the file system */
	uint64_t disk_bytes;  /* of the file system */
	uint64_t limit_bytes; /* what the limits come to now; UINT64_MAX: all */
	bool over;	      /* a limit is exceeded */
};

/* A look at the files; costs a few system calls an object. */
int gc_usage(struct store *s, const struct gc_limits *limits,
	     struct gc_usage *ret_usage);

enum gc_reason {
	GC_UNUSED,     /* least recently used */
	GC_UNREADABLE, /* its tree cannot be read: the first to go */
};

struct gc_options {
	struct gc_limits limits;
	int64_t grace_ns;
	bool dry_run; /* nothing is removed or written */

	/* Calls `each` for every catalog that is needed although no entry may
	 * name it; may be NULL. An error ends the collection. */
	int (*holds)(void *arg,
		     int (*each)(void *each_arg, const struct digest *catalog),
		     void *each_arg);
	/* Told of each entry that goes; may be NULL. */
	void (*removed)(void *arg, const struct entry *e, int64_t used_ns,
			enum gc_reason reason);
	void *arg; /* of both */
};

struct gc_result {
	struct gc_usage before, after; /* `after` a dry run: an estimate */
	uint64_t entries, removed_entries, kept_entries; /* kept: protected */
	uint64_t removed_packs, rewritten_packs, removed_catalogs;
	/* Trees that should be there and cannot be read, while their chunks
	 * may be in some pack: then no pack is removed. */
	uint64_t unreadable;
};

/* -EBUSY: another collection runs. -ESTALE (said): the store has entries of a
 * newer version, and is left alone. */
int gc_run(struct store *s, const struct gc_options *options,
	   struct progress *progress, struct gc_result *ret_result);

/* Removes one entry, if it is still the one that `e` was looked up as; its
 * data go with the next collection. -ENOENT, -ESTALE: it is another one now,
 * -EPERM: it is pinned. */
int gc_remove_entry(struct store *s, const struct entry *e);

/* Notes that an entry was used now. That it is not noted costs it its place
 * in the order, so this cannot fail. */
void gc_entry_used(struct store *s, const struct entry *e);

#endif
