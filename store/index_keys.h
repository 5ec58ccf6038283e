/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of the index's records, for index.c only. Keys are as index.h
 * lists them. Values, little-endian:
 *	chunks	pack digest, off u32, len u32, flags u8 (1: has_dict)
 *	packs	bytes u64, chunks u32
 *	blobs	bytes u64, ino u64, mtime_ns u64, ctime_ns u64
 *	uses, pins	time in ns u64
 * Encoders append to a buffer, whose error the caller asks for; decoders give
 * -EBADMSG. No state; any thread.
 */
#ifndef LARDER_INDEX_KEYS_H
#define LARDER_INDEX_KEYS_H

#include "base/buf.h"
#include "index.h"
#include "index_db.h"

/* Each string and its NUL, up to the first NULL. A prefix of a key where the
 * strings are not all. */
void index_key_strings(struct buf *key, ...) __attribute__((sentinel));
void index_key_entry(struct buf *key, const struct entry *e);

/* `branch` is the one to file under, "" or that of `e`. */
void index_key_recency(struct buf *key, const struct entry *e,
		       const char *branch);
void index_key_blob(struct buf *key, enum index_blob kind,
		    const struct digest *blob);

/* What stands behind the first `prefix_len` bytes of a recency key. The
 * string is borrowed from `key`. */
int index_recency_decode(const struct index_bytes *key, size_t prefix_len,
			 int64_t *ret_created_ns, const char **ret_key);

/* The strings are borrowed from `key`, which must be four of them. */
int index_name_decode(const struct index_bytes *key,
		      struct index_name *ret_name);

/* -EBADMSG also for a time before 1970. */
int index_time_decode(const struct index_bytes *value, int64_t *ret_ns);

void index_loc_encode(struct buf *value, const struct pack_loc *loc);
int index_loc_decode(const struct index_bytes *value, struct pack_loc *ret_loc);
void index_stamp_encode(struct buf *value, const struct index_stamp *stamp);
int index_stamp_decode(const struct index_bytes *value,
		       struct index_stamp *ret_stamp);
void index_pack_encode(struct buf *value, uint64_t bytes, uint32_t chunks);
int index_pack_decode(const struct index_bytes *value, uint64_t *ret_bytes);

#endif
