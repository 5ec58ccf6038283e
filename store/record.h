/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Learned records: which chunks of a tree earlier runs read, in the order of
 * the first reads. A record is a hint and may be lost, wrong or made up: what it
 * names is fetched early, no more. It is kept by the digest of the catalog, in
 * v1/records/<hh>/<hex> and under the same name in a tier. Little-endian:
 *
 *	magic		8 bytes, "LARDREC" and a NUL
 *	version, count	u32 each
 *	catalog		digest
 *	chunks		u32 each, numbers of the catalog
 *	CRC32C		u32, of all that precedes
 */
#ifndef LARDER_RECORD_H
#define LARDER_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "store.h"

#define RECORD_VERSION 1u

/* Of a catalog of `chunks` chunks. */
size_t record_bytes_max(uint32_t chunks);

/* Appends. */
int record_encode(const struct digest *catalog, const uint32_t *chunks,
		  uint32_t n, struct buf *ret_data);

/* The chunks, each once; the caller frees *ret_chunks. -EBADMSG for what is no
 * record of this catalog, -ESTALE for a newer format. */
int record_decode(const void *data, size_t len, const struct digest *catalog,
		  uint32_t catalog_chunks, uint32_t **ret_chunks,
		  uint32_t *ret_n);

/* The store's record of a catalog: its bytes, appended; -ENOENT. What is read
 * in a mount since the last save is in it only after the mount's end, or
 * store_record_flush(). */
int store_record_get(struct store *s, const struct digest *catalog,
		     struct buf *ret_data);
int store_record_put(struct store *s, const struct digest *catalog,
		     const void *data, size_t len);

/* Saves what was read of an open tree up to now, if it is one that learns. */
void store_record_flush(struct store *s, const struct digest *catalog);

/* After a commit: what is known of `from` is known of the chunks that `to`, a
 * catalog of the store, has as well. */
void store_record_carry(struct store *s, const struct digest *from,
			const struct digest *to);

#endif
