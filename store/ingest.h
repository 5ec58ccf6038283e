/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ingest: a tree's content goes into packs, its metadata into a catalog, and
 * one entry is published. Serves import (a directory or a tar) and commit
 * (a view). The steps:
 *
 *	ingest_new(store, &root_meta, progress, &in)
 *	b = ingest_build(in): catalog_build_node(), catalog_build_link() ...
 *	catalog_build_order(b, &files, &n)
 *	for each file, in tree order:
 *		ingest_load(), ingest_stream() or ingest_known()
 *	ingest_commit(in, &entry, &result)
 *	ingest_free(in)
 *
 * Chunks are hashed and compressed on a pool of threads and written in the
 * order of submission, so the packs are the same bytes whatever the number
 * of threads. A chunk that the store has, or that came before, is not
 * written again. Nothing is visible before ingest_commit(): it syncs the
 * packs, then publishes catalog and placement, then chunks, packs and entry in one
 * batch. Packs of an ingest that was given up are removed by ingest_free().
 *
 * One thread drives an ingest; any number may run at once.
 */
#ifndef LARDER_INGEST_H
#define LARDER_INGEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "catalog_build.h"
#include "progress.h"
#include "store.h"

struct ingest;

/* Gives a file's content to the pool's threads. */
struct ingest_loader {
	/* Opens file `cookie`. A negative errno fails the ingest. */
	int (*open)(void *ctx, uint64_t cookie, void **ret_handle);
	/* Up to `len` bytes at `off`; 0 at the end. */
	ssize_t (*read)(void *handle, void *buf, size_t len, uint64_t off);
	/* How many bytes from `off` on are known to be zeros, inside of the
	 * file: they are not read then. 0: read to see. NULL: always 0. */
	uint64_t (*hole)(void *handle, uint64_t off);
	/* Called when all was read; may say that the file changed meanwhile
	 * (-ESTALE). `got`: bytes read in all. Frees the handle. */
	int (*close)(void *ctx, uint64_t cookie, void *handle, uint64_t got);
};

struct ingest_result {
	struct digest catalog;
	uint64_t files, dirs, bytes;		      /* of the tree */
	uint64_t read_bytes;			      /* read from the source */
	uint64_t new_chunks, new_bytes, stored_bytes; /* added to the store */
	uint64_t new_files; /* files with at least one new chunk */
	bool published; /* false: the key had an entry of this tree before */
};

/* `progress` may be NULL; borrowed. */
int ingest_new(struct store *s, const struct catalog_meta *root,
	       struct progress *progress, struct ingest **ret_ingest);
void ingest_free(struct ingest *in);		       /* NULL is fine */
struct catalog_build *ingest_build(struct ingest *in); /* borrowed */

/* Totals for progress, where they are known before. */
void ingest_expect(struct ingest *in, uint64_t files, uint64_t bytes);

/* Trains the dictionary from samples the source picked (evenly over its small
 * files; up to 8 MiB). At most once, before any content. Where it does not pay,
 * there is none, and that is no error. */
int ingest_train(struct ingest *in, const void *samples, const size_t *sizes,
		 unsigned n);

/* Content through a loader; small files are opened and read on the pool.
 * `size` is what is expected; the file is read to its end. `loader` and
 * `ctx` are borrowed until ingest_commit(). */
int ingest_load(struct ingest *in, uint32_t node,
		const struct ingest_loader *loader, void *ctx, uint64_t cookie,
		uint64_t size);

/* Content from a stream, read now, in the calling thread. Both functions are
 * as a loader's; `off` is where the last read ended, or in a hole that hole()
 * told of, or at its end. */
struct ingest_source {
	ssize_t (*read)(void *ctx, void *buf, size_t len, uint64_t off);
	uint64_t (*hole)(void *ctx, uint64_t off);
	void *ctx;
};
int ingest_stream(struct ingest *in, uint32_t node,
		  const struct ingest_source *src);

/* A piece whose chunk the store has at `loc`; NULL, NULL for a hole. */
int ingest_known(struct ingest *in, uint32_t node, const struct digest *chunk,
		 uint64_t len, const struct pack_loc *loc);

/* All of a file of a tree in the store, which must stay open until
 * ingest_commit() has returned. */
int ingest_known_file(struct ingest *in, uint32_t node,
		      const struct store_tree *tree, uint32_t ino);

/* Counts what other ingests have added to the store for this one. */
void ingest_added(struct ingest *in, const struct ingest_result *added);

/* Ends the content, publishes catalog, placement and (where `e` is not NULL) the
 * entry, whose catalog, sizes and created_ns are filled in here; all of it is
 * durable then. An entry of the same key and tree is not replaced: *e becomes
 * that one. */
int ingest_commit(struct ingest *in, struct entry *e,
		  struct ingest_result *ret_result);

/* After the commit: the pieces' inode numbers are catalog_build_ino(). */

/* The two sources of `larder import`. `dirfd`: the root of a plain tree, of
 * which only what changed since its manifest (manifest.h) is read, or all with
 * `reread`;
 * `fd`: a tar stream in any compression that libarchive reads. Owner `self`
 * becomes CATALOG_OWNER_SELF. Messages name paths below `label`. */
struct ingest_owner {
	uint32_t uid, gid;
};

int ingest_dir(struct store *s, int dirfd, const char *label,
	       const struct ingest_owner *self, bool reread,
	       struct progress *progress, struct entry *e,
	       struct ingest_result *ret_result);
int ingest_tar(struct store *s, int fd, const char *label,
	       const struct ingest_owner *self, struct progress *progress,
	       struct entry *e, struct ingest_result *ret_result);

#endif
