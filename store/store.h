/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: entries, catalogs, placements and packs below one directory.
 *
 *	v1/db/			RocksDB (index.h)
 *	v1/packs/<hh>/<hex>	packs
 *	v1/catalogs/<hh>/<hex>	catalogs, by digest
 *	v1/placements/<hh>/<hex>	placements, by the digest of their catalog
 *	v1/plain/<dev>-<ino>	manifests of plain directories (manifest.h)
 *	v1/owner		pid of the process that has it open
 *	v1/CACHEDIR.TAG
 *
 * Catalogs and placements are files and not RocksDB values so that a mount
 * maps them: opening a tree costs the same for a thousand files and for a
 * million. A file that was checked whole before (index stamps) is not checked
 * again.
 *
 * One process has a store open. Any thread.
 */
#ifndef LARDER_STORE_H
#define LARDER_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "catalog.h"
#include "codec.h"
#include "entry.h"
#include "index.h"
#include "pack.h"
#include "placement.h"

struct store;

/* Opens or creates the store in `dir` (the directory that holds v1). -EBUSY
 * when another process has it and does not end within 3 s (said with its
 * pid), -ESTALE for a newer format. */
int store_open(const char *dir, struct store **ret_store);
void store_close(struct store *s);
const char *store_dir(const struct store *s);
struct index *store_index(struct store *s);   /* borrowed */
int store_packs_dirfd(const struct store *s); /* borrowed */

/* A tree ready for reading: catalog, placement and the packs it needs. */
struct store_tree;

/* -ENOENT, -EBADMSG (said, and the damaged file set aside), -ESTALE. */
int store_tree_open(struct store *s, const struct digest *catalog,
		    struct store_tree **ret_tree);
struct store_tree *store_tree_ref(struct store_tree *t);
void store_tree_unref(struct store_tree *t); /* NULL is fine */
const struct catalog *store_tree_catalog(const struct store_tree *t);
const struct digest *store_tree_digest(const struct store_tree *t);
struct store *store_tree_store(const struct store_tree *t);

/* Where a chunk of the tree lies, with the pack's name. */
int store_tree_locate(const struct store_tree *t, uint32_t chunk,
		      struct pack_loc *ret_loc);

/*
 * Reads one whole chunk (its size: catalog_chunk()) into `out`. `flags`:
 * PACK_READ_NOWAIT. Frame checksums are checked; a damaged or missing copy is
 * looked for in the index's other location once. -EAGAIN, -EIO (said once with
 * digest), -EBADMSG.
 */
int store_chunk_read(struct store_tree *t, struct codec_ctx *ctx,
		     uint32_t chunk, unsigned flags, void *out);

/* Reads `len` bytes of a regular file at `off`; fewer at the end. For
 * commands (cat, export, materialize); the daemon reads through fs/fetch.
 * The number of bytes, or an errno. */
ssize_t store_file_read(struct store_tree *t, struct codec_ctx *ctx,
			uint32_t ino, void *buf, size_t len, uint64_t off);

/* Publishes a blob file by digest (catalogs, placements). */
int store_put_catalog(struct store *s, const struct digest *digest,
		      const void *data, size_t len,
		      struct index_stamp *ret_stamp);
int store_put_placement(struct store *s, const struct digest *catalog,
			const void *data, size_t len,
			struct index_stamp *ret_stamp);

/* Looks an ENTRY reference up. -ENOENT, -ENOTUNIQ. */
int store_find_entry(struct store *s, const char *tenant, const char *namespace,
		     const struct entry_ref *ref, struct entry *ret_entry);

/* Signs an entry that is stored, durably; *ret_entry is what is stored now: `e`
 * with the signature, or what has replaced it meanwhile, unsigned. -ENOENT;
 * -EFBIG as of entry_sign(). */
int store_sign_entry(struct store *s, const struct entry *e,
		     const struct sign_key *key, struct entry *ret_entry);

static inline void cleanup_tree(struct store_tree **t)
{
	store_tree_unref(*t);
}

#define _cleanup_tree_ __attribute__((cleanup(cleanup_tree)))

#endif
