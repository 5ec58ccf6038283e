/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs of an ingest's pool: a batch of items, what is known about each, and
 * the work on them (ingest_work.c). The driving thread fills a job and takes
 * it back (ingest_pipeline.c); in between it belongs to one of the pool's
 * threads.
 */
#ifndef LARDER_INGEST_JOB_H
#define LARDER_INGEST_JOB_H

#include "ingest_internal.h"

#define BATCH_ITEMS 64

enum item_state {
	ITEM_LOADED, /* `data` is there, nothing known about it yet */
	ITEM_EMPTY,  /* a file of no bytes */
	ITEM_CUT,    /* a file that grew, or has holes: to be read again */
	ITEM_HOLE,   /* nothing but zeros */
	ITEM_STORED, /* the store has it at `loc` */
	ITEM_SEEN,   /* came back before */
	ITEM_RAW,    /* new, and the dictionary is not decided on */
	ITEM_FRAME,  /* new and compressed */
};

struct ingest_item {
	enum item_state state;
	uint32_t node;

	const struct ingest_loader *loader; /* NULL: no file */
	void *loader_ctx;
	uint64_t cookie;
	uint64_t size; /* of the file, as expected */

	const uint8_t *data; /* `owned`, or good during the work only */
	uint8_t *owned;
	uint64_t len;
	struct digest digest;
	struct pack_loc loc;
	size_t frame_off, frame_len;
};

struct ingest_job {
	unsigned n;
	size_t bytes;
	size_t file_bytes; /* room that the files need */
	struct buf frames;
	struct ingest_item items[BATCH_ITEMS];
};

struct ingest_thread {
	struct codec_ctx *codec;
	uint8_t *room; /* files of the batch being worked on */
	size_t room_bytes;
};

/* NULL when memory is short; `ctx` is not used. */
void *ingest_thread_init(void *ctx);
void ingest_thread_free(void *state); /* NULL is fine */

/* Reads, hashes, looks up and compresses all items of a job. `ctx`: the
 * ingest, of which only the constant and locked parts are used. */
int ingest_work(void *ctx, void *thread_state, void *job);

#endif
