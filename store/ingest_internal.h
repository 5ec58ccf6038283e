/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of an ingest, shared by ingest*.c. Content goes this way:
 *
 *	ingest.c		takes it: a file, a stream, what the store has
 *	ingest_cut.c		cuts what is read into holes and chunks
 *	ingest_pipeline.c	items go in batches to the pool, and results
 *				come back in order
 *	ingest_work.c		on the pool: reads, hashes, looks up, compresses
 *	ingest_dict.c		when there is enough to train a dictionary from
 *	ingest_packs.c		new chunks go into packs; full ones are synced
 *				by a thread of their own
 *	ingest_commit.c		publishes
 *
 * The dictionary is made late, from what turns out to be new: nothing is
 * trained for a tree that the store has already. Until then the small new
 * chunks are held back uncompressed. Which chunk is made with it is decided
 * where results come back in order, so the number of threads does not show in
 * the packs.
 */
#ifndef LARDER_INGEST_INTERNAL_H
#define LARDER_INGEST_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/pool.h"
#include "codec.h"
#include "chunker.h"
#include "ingest.h"
#include "store_internal.h"

/* Number of threads of ingests made from now on; -1: one for each processor,
 * 0: none (all work in the driving thread). For tests. */
extern int ingest_threads;

/* A chunk of this ingest, once it came back from the pool. */
struct ingest_chunk {
	struct dmap_node node; /* first */
	struct pack_loc loc;   /* where not fresh, and when a pack is sealed */
	uint32_t size;
	uint32_t pack; /* fresh: number in ingest.packs */
	bool fresh;    /* new in the store */
	struct ingest_chunk *next_fresh;
};

/* Chunks live as long as the ingest, and are many. */
#define INGEST_CHUNKS_AT_ONCE 512
struct ingest_chunks {
	struct ingest_chunks *next;
	unsigned used;
	struct ingest_chunk chunks[INGEST_CHUNKS_AT_ONCE];
};

/* A pack that this ingest made. */
struct ingest_pack {
	struct digest name; /* set when sealed, as the next two */
	uint64_t bytes;
	bool sealed;
	uint32_t chunks;
	struct digest first; /* some chunk of it */
};

/* A new chunk that waits for the decision on the dictionary. */
struct ingest_held {
	struct ingest_chunk *chunk;
	uint8_t *data;
	size_t len;
	bool is_frame; /* `data` is compressed already */
};

typedef int (*ingest_piece_fn)(void *ctx, uint32_t node,
			       const struct digest *chunk, uint64_t len);

struct ingest_job;
struct ingest_thread;

struct ingest {
	struct store *store; /* constant, as the next four */
	struct progress *progress;
	bool store_has_chunks;
	ingest_piece_fn piece; /* where pieces go */
	void *piece_ctx;

	/* The driving thread's, down to the next comment. */
	struct catalog_build *build;
	struct pool *pool;
	struct ingest_job *batch;   /* being filled */
	struct ingest_thread *self; /* for work outside the pool */
	uint8_t *cut_buf;	    /* of the cutter; NULL while in use */
	int err;		    /* sticky */
	uint64_t want_files, want_bytes;
	uint64_t skipped_bytes;	      /* of holes that were not read */
	struct ingest_chunks *memory; /* of `chunks`; the one in use first */
	struct digest known_pack;     /* that was used last; zeros: none */
	uint32_t known_pieces;
	uint32_t last_new_node;
	bool has_new_node;
	struct ingest_result result;

	uint8_t *samples; /* of ingest_train() */
	size_t *sample_sizes;
	unsigned sample_count;
	struct ingest_held *held;
	size_t held_count, held_cap;
	uint64_t held_bytes, held_small;

	struct pool *sealer;
	struct pack_writer *writer;
	struct ingest_pack *packs;
	uint32_t pack_count, pack_cap;
	struct ingest_chunk *fresh_first, **fresh_tail;
	bool committed;
	struct lazy_source *source; /* of a tree with known files, or NULL */
	bool foreign; /* some locations are of a foreign placement */

	/* Constant once dict_decided is set. */
	uint8_t *dict_bytes;
	size_t dict_len;
	struct codec_dict *dict;
	atomic_bool dict_decided;

	pthread_mutex_t lock; /* guards `holds`, and changes of `chunks`;
			       * readers in the driving thread need none */
	struct dmap chunks;
	struct store_holds holds; /* packs that are used, and the catalog */
};

/* ingest.c */

/* An ingest whose pieces go to `piece` instead of ingest_build(). */
int ingest_new_sink(struct store *s, const struct catalog_meta *root,
		    struct progress *progress, ingest_piece_fn piece, void *ctx,
		    struct ingest **ret_ingest);

/* Replaces the builder by an empty one with another root. */
int ingest_set_root(struct ingest *in, const struct catalog_meta *root);

/* ingest_cut.c */

/* Where chunks go; `data` NULL: a hole. */
typedef int (*ingest_emit_fn)(struct ingest *in, uint32_t node,
			      const void *data, uint64_t len);

/* Reads and cuts a source to its end. */
int ingest_cut(struct ingest *in, uint32_t node,
	       const struct ingest_source *src, ingest_emit_fn emit,
	       uint64_t *ret_bytes);

/* ingest.c: reads and cuts file `cookie` of a loader. */
int ingest_cut_file(struct ingest *in, uint32_t node,
		    const struct ingest_loader *loader, void *ctx,
		    uint64_t cookie, ingest_emit_fn emit);

/* ingest_pipeline.c */
int ingest_pipeline_start(struct ingest *in);
void ingest_pipeline_free(struct ingest *in);

/* Sends one chunk (or a hole), a small file or a known piece through the
 * pool. */
int ingest_add_data(struct ingest *in, uint32_t node, const void *data,
		    uint64_t len);
int ingest_add_file(struct ingest *in, uint32_t node,
		    const struct ingest_loader *loader, void *ctx,
		    uint64_t cookie, uint64_t size);
int ingest_add_known(struct ingest *in, uint32_t node,
		     const struct digest *chunk, uint64_t len,
		     const struct pack_loc *loc);

/* A piece of a file of which nothing else goes through the pool: what is known of
 * it is all there is to do, and it may come before what was submitted
 * earlier. */
int ingest_put_known(struct ingest *in, uint32_t node,
		     const struct digest *chunk, uint64_t len,
		     const struct pack_loc *loc);

/* Waits until all content is in packs. */
int ingest_pipeline_finish(struct ingest *in);

/* ingest_dict.c: driving thread only. */

/* Keeps a new chunk until the dictionary is decided on; a copy is made. */
int ingest_hold(struct ingest *in, struct ingest_chunk *c, const void *data,
		size_t len, bool is_frame);

/* Decides, and gives all that is held to ingest_pack_add(). At the end with
 * `last`: what there is then has to do. */
int ingest_decide(struct ingest *in, bool last);
void ingest_dict_free(struct ingest *in);

/* Whether a chunk of `len` bytes is to be made with the dictionary. */
bool ingest_wants_dict(const struct ingest *in, size_t len);

/* Compresses as was decided. */
int ingest_compress(struct ingest *in, struct codec_ctx *ctx, const void *data,
		    size_t len, struct buf *out);

/* ingest_packs.c: driving thread only. */
int ingest_packs_start(struct ingest *in, unsigned nthreads);
int ingest_pack_add(struct ingest *in, struct ingest_chunk *c,
		    const void *frame, size_t frame_len);
int ingest_packs_finish(struct ingest *in); /* all are synced and named */

/* Keeps a pack that has a chunk of this tree until the ingest ends. Any thread.
 * -ENOENT where it is about to go. */
int ingest_use_pack(struct ingest *in, const struct digest *pack);

/* Releases the packs; those that are not kept are removed. */
void ingest_packs_settle(struct ingest *in, bool keep);
void ingest_packs_free(struct ingest *in);

#endif
