/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's index: what is in the store, in RocksDB. The only owner of
 * RocksDB; its error strings are translated here. Any thread.
 *
 * Column families and their keys (strings NUL-terminated, integers big-endian
 * so that byte order is numeric order):
 *	default	  "format" -> u32; "collected" -> time of the last collection;
 *		  "seen" ... -> signed entries that were here (index_seen.c)
 *	entries	  tenant namespace name key -> entry blob
 *	recency	  tenant namespace name branch ~created_ns key -> empty
 *		  (each entry twice where it has a branch: once under "")
 *	chunks	  digest -> pack digest, off u32, len u32, flags u8
 *	packs	  digest -> bytes u64, chunks u32
 *	blobs	  kind u8, digest -> stamp (struct index_stamp)
 *		  (zeros where the record's being there is all it says)
 *	uses	  as entries -> when it was last used (none: never but made)
 *	pins	  as entries -> since when it is pinned
 *
 * Format 2 has the families uses and pins, which are made where a store of
 * format 1 is opened. Format 3 says that catalogs and placements may be folded
 * (fold.h), which an older version would take for damage.
 */
#ifndef LARDER_INDEX_H
#define LARDER_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "digest.h"
#include "entry.h"
#include "pack.h"

#define INDEX_FORMAT 3u

struct index;
struct index_batch;

/* Stat data of a blob file when it was last checked whole. */
struct index_stamp {
	uint64_t bytes;
	uint64_t ino;
	int64_t mtime_ns;
	int64_t ctime_ns;
};

enum index_blob {
	INDEX_BLOB_CATALOG = 1,
	INDEX_BLOB_PLACEMENT = 2,
	/* Present where a catalog's placement was made elsewhere, at least in
	 * part, and is not to be believed; the stamp itself says nothing. */
	INDEX_BLOB_FOREIGN = 3,
};

/* What is noted of a pack, in the family of blobs, and goes with its record. A
 * version that does not know of it leaves such a note behind. */
enum index_note {
	/* It was sent to a remote tier, or came from one. */
	INDEX_PACK_SENT = 4,
	/* It was repacked, or found not to be worth it. */
	INDEX_PACK_DENSE = 5,
};

/* Opens or creates. -EBUSY when another process has it open, -ESTALE when its
 * format is newer than INDEX_FORMAT, -EBADMSG when RocksDB finds damage,
 * -ENOSPC, -EACCES, -EIO. */
int index_open(const char *path, struct index **ret_index);
void index_close(struct index *ix); /* flushes; NULL is fine */

/* Starts writing memtables out, so that the next open replays little. Does
 * not wait. */
void index_flush(struct index *ix);

/* One atomic write. _commit with `sync` waits until it survives power loss;
 * it and _abort free the batch. A write that failed may yet be found when the
 * database is opened again, which the next one does where it has to; then it
 * works as soon as its cause is gone. -ENOSPC, -EDQUOT, -EMFILE, -EIO. */
int index_batch_begin(struct index *ix, struct index_batch **ret_batch);
int index_batch_commit(struct index_batch *b, bool sync);
void index_batch_abort(struct index_batch *b); /* NULL is fine */

/* Replaces an entry of the same key; its recency records go in the same
 * batch. */
int index_put_entry(struct index_batch *b, const struct entry *e);
int index_put_chunk(struct index_batch *b, const struct digest *chunk,
		    const struct pack_loc *loc);
int index_put_pack(struct index_batch *b, const struct digest *pack,
		   uint64_t bytes, uint32_t chunks);
int index_put_stamp(struct index_batch *b, enum index_blob kind,
		    const struct digest *blob, const struct index_stamp *stamp);
int index_note_pack(struct index_batch *b, enum index_note note,
		    const struct digest *pack);
int index_remove_chunk(struct index_batch *b, const struct digest *chunk);
int index_remove_pack(struct index_batch *b, const struct digest *pack);
int index_remove_stamp(struct index_batch *b, enum index_blob kind,
		       const struct digest *blob);

/* With its recency records, its last use and its pin. */
int index_remove_entry(struct index_batch *b, const struct entry *e);

/* When an entry was last used, and since when it is pinned (ns since 1970).
 * Both belong to the key: an entry that replaces another has them too. The
 * _get functions give -ENOENT where there is none. */
int index_put_use(struct index_batch *b, const struct entry *e,
		  int64_t used_ns);
int index_get_use(struct index *ix, const struct entry *e,
		  int64_t *ret_used_ns);
int index_put_pin(struct index_batch *b, const struct entry *e, int64_t ns);
int index_get_pin(struct index *ix, const struct entry *e, int64_t *ret_ns);
int index_remove_pin(struct index_batch *b, const struct entry *e);

/* -ENOENT; -EBADMSG for a record that does not decode, -ESTALE for one of a
 * newer version. The functions that look at several entries pass over both. */
int index_get_entry(struct index *ix, const char *tenant, const char *namespace,
		    const char *name, const char *key, struct entry *ret_entry);

/* The only entry whose key begins with `prefix`; -ENOTUNIQ for several. An
 * entry whose whole key is `prefix` wins, and is all that is looked for where
 * `prefix` is shorter than KEY_PREFIX_MIN. */
int index_find_entry(struct index *ix, const char *tenant,
		     const char *namespace, const char *name,
		     const char *prefix, struct entry *ret_entry);

/* The newest of `branch` ("": of any branch). */
int index_newest_entry(struct index *ix, const char *tenant,
		       const char *namespace, const char *name,
		       const char *branch, struct entry *ret_entry);

/* The newest, of any branch, whose key begins with `key_prefix`. Looks at the
 * newer ones of the name one by one. */
int index_newest_prefix(struct index *ix, const char *tenant,
			const char *namespace, const char *name,
			const char *key_prefix, struct entry *ret_entry);

/* All entries of a namespace (of `name` only, where not NULL; of all tenants
 * where `tenant` is NULL, as the rest then) in key order.
 * A non-zero return of `each` ends the walk and is returned; it may read the
 * index, but not write to it. */
int index_each_entry(struct index *ix, const char *tenant,
		     const char *namespace, const char *name,
		     int (*each)(void *arg, const struct entry *e), void *arg);

/* When the store was last collected (ns since 1970). -ENOENT: never. */
int index_put_collected(struct index_batch *b, int64_t ns);
int index_get_collected(struct index *ix, int64_t *ret_ns);

/* When an entry was added, replaced or removed last, or the index opened (ns
 * since 1970); two changes never have the same. */
int64_t index_entries_changed_ns(struct index *ix);

/* --- index_seen.c --- */

/* What is remembered of signed entries that were here (seen.h): of a key, or of
 * a branch, "" for any; borrowed strings. */
enum index_seen_kind { INDEX_SEEN_KEY = 'k', INDEX_SEEN_BRANCH = 'b' };

struct index_seen_of {
	enum index_seen_kind kind;
	const char *tenant, *namespace, *name;
	const char *what; /* the key, or the branch */
};

struct index_seen {
	int64_t created_ns;	      /* when the entry was made */
	int64_t seen_ns;	      /* when it was here */
	const char *key;	      /* borrowed */
	uint8_t signer[SIGN_KEY_LEN]; /* the key that signed it */
};

/* Takes the place of what is older and of the same signer; of what is newer,
 * not. */
int index_put_seen(struct index_batch *b, const struct index_seen_of *of,
		   const struct index_seen *seen);

/* The newest first. A non-zero return ends the walk and is returned. */
int index_each_seen(struct index *ix, const struct index_seen_of *of,
		    int (*each)(void *arg, const struct index_seen *seen),
		    void *arg);

/* Removes all whose seen_ns is less. */
int index_prune_seen(struct index *ix, int64_t before_ns);

/* What an entry's record is filed under; borrowed strings. */
struct index_name {
	const char *tenant, *namespace, *name, *key;
};

/* Every record of an entry, of whatever tenant. `e` is NULL, and `err` says
 * why, for one that cannot be used (-EBADMSG, -ESTALE: a newer version);
 * `name` is NULL where not even its key is one. As index_each_entry(). */
int index_each_record(struct index *ix,
		      int (*each)(void *arg, const struct index_name *name,
				  const struct entry *e, int err),
		      void *arg);

/* For who must know all entries: logs that this one is of a newer version;
 * -ESTALE. */
int index_refuse_newer(const struct index_name *name);

/* The records of all chunks whose digest begins with the byte `first`; `loc`
 * is NULL for one that does not decode. And those of all packs; `bytes` is 0
 * for such a one. */
int index_each_chunk(struct index *ix, uint8_t first,
		     int (*each)(void *arg, const struct digest *chunk,
				 const struct pack_loc *loc),
		     void *arg);
int index_each_pack(struct index *ix,
		    int (*each)(void *arg, const struct digest *pack,
				uint64_t bytes),
		    void *arg);

/* Looks up `n` chunks at once; found[i] says whether locs[i] was filled. */
int index_get_chunks(struct index *ix, const struct digest *chunks, size_t n,
		     struct pack_loc *ret_locs, bool *ret_found);
int index_get_stamp(struct index *ix, enum index_blob kind,
		    const struct digest *blob, struct index_stamp *ret_stamp);

/* 1 or 0. */
int index_pack_has(struct index *ix, enum index_note note,
		   const struct digest *pack);

struct index_stats {
	uint64_t entries, packs, pack_bytes;
};
int index_stats(struct index *ix, struct index_stats *ret_stats);

#endif
