/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a collection, shared by gc*.c: what files there are
 * (gc_files.c), what is needed of them (gc_mark.c), which entries go
 * (gc_plan.c), writing packs anew (gc_rewrite.c, gc_reshape.c), and removing
 * (gc_sweep.c). repack.c is built of the same parts. One thread.
 */
#ifndef LARDER_GC_INTERNAL_H
#define LARDER_GC_INTERNAL_H

#include "gc.h"
#include "store_tree.h"

/* What a chunk takes in a pack beside its frame. */
#define GC_RECORD_BYTES 48u

/* A pack, on disk or in a placement. */
struct gc_pack {
	struct dmap_node node;	    /* first */
	bool on_disk, sparse;	    /* whole, and in part */
	uint64_t disk_bytes, bytes; /* what it takes; its length */
	uint64_t sparse_bytes;	    /* what its sparse pack takes */
	int64_t mtime_ns;

	/* Frames that are needed, by their offsets: a hash set with 0 for a
	 * free slot (no frame begins there), at most 3/4 full. */
	uint32_t *offs;
	uint32_t count, cap;
	uint64_t live_bytes; /* with their records */
	bool rewrite;	     /* to be written anew */
	bool dense; /* it was (repack.h), and serves if unneeded, too */
	bool fixed; /* a protected entry needs it */
};

/* A catalog, its placement, and the record of how it is read. */
struct gc_blob {
	struct dmap_node node;		 /* first */
	bool catalog, placement, record; /* on disk */
	uint64_t disk_bytes;		 /* of all */
	bool live;
	bool anchor; /* a live catalog is folded against it */
};

struct gc_entry {
	struct entry entry; /* without parts */
	int64_t used_ns;
	bool protected;
	bool unreadable;
	bool goes;
};

struct gc {
	struct store *store;
	const struct gc_options *options;
	struct progress *progress;
	struct gc_result result;
	int64_t now_ns;

	struct dmap packs, blobs; /* struct gc_pack, struct gc_blob */
	struct dmap holds;	  /* catalogs that options->holds names */
	uint64_t other_bytes;	  /* on disk, of what is no object */
	struct gc_entry *entries;
	size_t n_entries, cap_entries;

	/* Sparse packs go, unless somebody has them open or a protected entry
	 * needs them: they can be fetched again. */
	bool drop_sparse;

	/* Of what is marked. */
	bool fixing; /* what is marked now is `fixed` */
	uint64_t live_bytes, live_objects;
	bool blocked; /* a tree that is needed cannot be read */
};

/* gc_files.c */

/* Notes all files of the store; may be called again, for packs that came. */
int gc_scan(struct gc *g);
int gc_find_pack(struct gc *g, const struct digest *name,
		 struct gc_pack **ret_pack); /* added where it is missing */
int gc_find_blob(struct gc *g, const struct digest *name,
		 struct gc_blob **ret_blob);
void gc_files_release(struct gc *g);

/* gc_mark.c */

void gc_mark_none(struct gc *g);

/* Marks a tree with all that it needs: its packs, and its roots' own trees.
 * What cannot be read is counted in `blocked`, unless it is `needed` by
 * somebody who holds what he needs himself. */
int gc_mark(struct gc *g, const struct digest *catalog, bool needed);

/* Whether a catalog's file is folded against another one: 1, 0 or an errno. */
int gc_is_anchored(struct gc *g, const struct digest *catalog);

/* Marks what is held. */
int gc_mark_holds(struct gc *g);

/* Marks a frame. 1: it was not marked before. */
int gc_mark_frame(struct gc_pack *p, uint32_t off, uint32_t len);
bool gc_frame_is_live(const struct gc_pack *p, uint32_t off);

/* gc.c: all of the above, what the store takes first, up to the plan. */
int gc_look(struct gc *g);

/* gc_plan.c: reads the entries, and sets `goes`. */
int gc_plan(struct gc *g);
void gc_plan_release(struct gc *g);

/* gc_rewrite.c: writes what is needed of packs that are mostly dead to new
 * ones, and makes the placements of all trees that need it anew. What is
 * marked is of no use afterwards where *ret_any. */
int gc_rewrite(struct gc *g, bool *ret_any);
uint64_t gc_rewrite_gain(struct gc *g); /* bytes, of what it would do */

/* gc_reshape.c: moves what is marked of these packs, which have `rewrite` set,
 * to new ones, and makes the placements of all trees that need it anew. One
 * that cannot be read stays, and has `rewrite` cleared. -ECANCELED where the
 * progress says so: nothing has moved yet, but what was done is not lost. */
struct pack_copy;
int gc_reshape(struct gc *g, struct pack_copy *copy, const char *phase,
	       struct gc_pack *const *packs, size_t n);

/* Whether what is here of a sparse pack is to go, as far as marks tell. */
static inline bool gc_sparse_goes(const struct gc *g, const struct gc_pack *p)
{
	return p->sparse && (p->count == 0 || (g->drop_sparse && !p->fixed));
}

/* gc_sweep.c */

/* Removes the entries that go, and clears `goes` of one that was saved. */
int gc_sweep_entries(struct gc *g);

/* Removes what is not marked and what nobody needs. */
int gc_sweep(struct gc *g);

#endif
