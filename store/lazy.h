/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lazy trees: trees of which not all chunks are on this machine. A chunk that
 * is absent is fetched by range from the tree's source when it is read, with
 * its neighbours in the pack; requests for one chunk are joined. What has
 * arrived stays in sparse packs (sparse.h), which become packs like any other
 * once all of one is there.
 *
 * Every chunk is compared with its digest before anybody sees it: when it
 * arrives, and, where it was here before, when the tree first reads it. So
 * neither a source that lies about bytes, nor one that lies about where they
 * are, nor a power cut can show wrong ones.
 *
 * Requests have a priority: what a reader waits for, then readahead, then what
 * earlier runs read (record.h), then the rest (a fill). A few threads of the
 * store carry them out, of which some are kept for readers.
 *
 * The trees themselves are opened and read through store.h. Any thread.
 */
#ifndef LARDER_LAZY_H
#define LARDER_LAZY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "chain.h"
#include "digest.h"
#include "store.h"

/*
 * Where absent chunks come from: one or several tiers, for one tenant and
 * namespace. Shared and counted; implemented by lazy_remote.c.
 */
struct lazy_source;

struct lazy_source_ops {
	/* The pack's length, as the `nth` tier has it; -ENOENT behind the
	 * last. */
	int (*size)(struct lazy_source *src, const struct tier_call *call,
		    const struct digest *pack, unsigned nth,
		    uint64_t *ret_bytes);
	/* Exactly `len` bytes of a pack (chain_get()). */
	int (*get)(struct lazy_source *src, const struct tier_call *call,
		   const struct digest *pack, uint64_t off, uint32_t len,
		   const struct chain_want *want);
	/* The learned record of a catalog, at most `max` bytes, of which
	 * `check` says what chain_read() wants to know. */
	int (*record)(struct lazy_source *src, const struct tier_call *call,
		      const struct digest *catalog, size_t max,
		      int (*check)(void *arg, const void *data, size_t len),
		      void *arg);
	/* The names of the tiers that are asked, in their order, with commas
	 * between, appended. */
	int (*names)(const struct lazy_source *src, struct buf *out);
	/* Whether both stand for the same place. */
	bool (*same)(const struct lazy_source *a, const struct lazy_source *b);
	void (*free)(struct lazy_source *src);
};

struct lazy_source {
	const struct lazy_source_ops *ops; /* constant */
	atomic_uint refs;
};

struct lazy_source *lazy_source_ref(struct lazy_source *src);
void lazy_source_unref(struct lazy_source *src); /* NULL is fine */

/* How long a reader waits for a chunk. */
#define LAZY_DEADLINE_MS 30000

/*
 * Says where the chunks of a catalog's tree may be had. From then on
 * store_tree_open() makes the tree lazy where a pack of it is not here, or its
 * placement was made elsewhere; one that is here stays a tree like any other,
 * until a chunk turns out to be damaged. The last offer counts, for trees that
 * are opened after it. What an ingest makes on top of such a tree gets its
 * source. Nothing of this outlives the process.
 */
int store_offer_source(struct store *s, const struct digest *catalog,
		       struct lazy_source *src);

/* The source that was offered, a reference, or NULL. */
struct lazy_source *store_find_source(struct store *s,
				      const struct digest *catalog);

/* Publishes the placement of a catalog that was made elsewhere: what it says is
 * believed of no chunk before its digest was compared. */
int store_put_foreign_placement(struct store *s, const struct digest *catalog,
				const void *data, size_t len);
bool store_tree_is_foreign(const struct store_tree *t);

/* How a pack ends that is not here: its length and last PACK_TAIL_BYTES, as
 * somebody says. It saves who first wants a part of it from asking; where it is
 * wrong, they are asked for. Forgotten with the process. */
void store_hint_pack(struct store *s, const struct digest *pack, uint64_t bytes,
		     const void *tail);

/* Borrowed, or NULL. */
struct lazy_source *store_tree_source(const struct store_tree *t);

/* What a thread's reads of lazy trees wait for besides the chunk: they end with
 * -EINTR soon after *interrupted is set. NULL: nothing. Thread-local. */
void lazy_set_interrupt(const atomic_bool *interrupted);

/* What the calling thread's reads of lazy trees do not find on this machine, for
 * who wants to know: the thread sets it and clears it. NULL: nobody does.
 * Thread-local. */
struct lazy_served {
	uint64_t waited_ns;	       /* added up */
	bool remote;		       /* bytes came that were waited for */
	char tier[CHAIN_NAME_MAX + 1]; /* from this tier, the latest of them */
};
void lazy_set_served(struct lazy_served *served);

/*
 * Who wants to know that what is fetched has made the store larger: called, on
 * a thread of the store's, after each LAZY_GROWTH_BYTES or so. Borrowed until
 * the store is closed; NULL: nobody.
 */
#define LAZY_GROWTH_BYTES (4u << 20)
struct store_growth {
	void (*grown)(void *arg);
	void *arg;
};

void store_set_growth(struct store *s, const struct store_growth *growth);

/* Milliseconds that reads of the tree wait at most before they give -EIO; and
 * those of trees that become lazy from now on. */
void lazy_set_deadline(struct store_tree *t, unsigned ms);
void lazy_set_default_deadline(unsigned ms);

/* 1 where all of a regular file's chunks are known to be on this machine, 0
 * where not, or a negative errno. Without reading any; looks at packs. */
int lazy_has_file(struct store_tree *t, uint32_t ino);

/* From now on, until the tree is closed, fetches what is absent at the lowest
 * priority. */
void lazy_fill(struct store_tree *t);

/* Waits until a fill has been through the whole tree; `each` is called now and
 * then, and ends the waiting with a negative errno. -EIO where chunks could
 * not be had; the reason is logged. A tree that is not lazy is filled. */
int lazy_wait_filled(struct store_tree *t,
		     int (*each)(void *arg, uint64_t done_bytes,
				 uint64_t all_bytes),
		     void *arg);

enum lazy_priority {
	LAZY_WANTED, /* a reader waits */
	LAZY_AHEAD,
	LAZY_LEARNT,
	LAZY_FILL,
	LAZY_PRIORITIES,
};

#define LAZY_BUCKETS \
	24 /* the n-th counts below 2^n microseconds, the last all */

struct lazy_stats {
	uint64_t chunks, chunks_here;	   /* known to be on this machine */
	uint64_t stored_bytes, here_bytes; /* the same, of their frames */
	uint64_t fetched_bytes;		   /* that came from the source */
	uint64_t requests[LAZY_PRIORITIES];
	uint64_t failures;	      /* requests that failed */
	uint64_t reads, reads_waited; /* first reads of a chunk */
	uint64_t reads_kept;	      /* of those, answered from memory */
	uint64_t waits[LAZY_BUCKETS]; /* of those that waited, by time */
	uint64_t waits_sum_us;
	bool filling, filled;
};

/* False, and all zero, for a tree that is not lazy. */
bool lazy_get_stats(struct store_tree *t, struct lazy_stats *ret_stats);

/* What was fetched and read, of all trees since the store was opened, also
 * those that are closed; what of them is here is not told. */
void lazy_totals(struct store *s, struct lazy_stats *ret_stats);

#endif
