/* SPDX-License-Identifier: Apache-2.0 */
/*
 * On-disk layout of the upper log; private to log*.c and their tests.
 * Integers are little-endian.
 *
 * Segment: a 48-byte header, then records, each padded to 8 bytes:
 *
 *	 0  8  magic "LARDSEG\1"
 *	 8  4  format version
 *	12  4  segment number, 1 .. LOG_SEGMENT_LAST
 *	16 16  boot id of the machine when the segment was begun; zero: unknown
 *	32  8  salt, random
 *	40  4  CRC32C of bytes 0..39
 *	44  4  zero
 *
 * Record: a 40-byte header, items, data, padding.
 *
 *	 0  4  magic
 *	 4  4  length of the items
 *	 8  8  length of the data
 *	16  8  sequence number, from 1, without gaps
 *	24  8  sequence number up to which all was durable when this was written
 *	32  4  CRC32C of the file's salt, bytes 0..31 and the items
 *	36  4  zero
 *
 * Checkpoint: a segment header whose number is that of the first segment to
 * replay behind it, records without data and with sequence number 0, and an
 * end record (no items), whose sequence number is the one before the first
 * record of that segment. Nothing follows it.
 *
 * The salt makes a record valid in its own file only: neither blocks of a
 * removed segment that the disk gives out again, nor a file with the bytes of
 * a log that a user stores in the mount, can pass for records.
 *
 * A bad record ends the replay; what it is depends on whether the machine has
 * restarted since it was written, which the boot ids tell:
 *
 * - It has not (some segment has this boot's id). Then the page cache holds
 *   all that was written, in order, and a killed writer leaves nothing but the
 *   front part of one record at the very end. All else is damage.
 * - It may have. Writes that were never synced reach the disk in any order, so
 *   the log ends at the bad record, unless a valid record behind it knows it
 *   to have been durable, or a later segment was begun in another boot, which
 *   replayed it whole.
 *
 * A torn tail is cut off, and the cut is synced before anything is written
 * behind it. Damage changes nothing on disk.
 */
#ifndef LARDER_FS_LOG_FORMAT_H
#define LARDER_FS_LOG_FORMAT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/map.h"

#include "boot.h"
#include "log.h"

#define LOG_FORMAT 2u
#define LOG_SEGMENT_MAGIC "LARDSEG\1"
#define LOG_RECORD_MAGIC 0x4352444cu
#define LOG_SEGMENT_HEADER 48u
#define LOG_RECORD_HEADER 40u
#define LOG_SEGMENT_BYTES (64u << 20)
#define LOG_RESERVE_BYTES (64u << 10) /* for records that free space */
#define LOG_RESERVE_STEP_BYTES \
	(1u << 20)		     /* taken at once, where there is room */
#define LOG_SEGMENT_LAST 0x7fffffffu /* extents.h has a use for bit 31 */
#define LOG_ITEMS_MAX (16u << 20)
#define LOG_DATA_MAX (64u << 20)
#define LOG_BOOT_ID BOOT_ID_BYTES
#define LOG_SALT 8u
#define LOG_CHECKPOINT_NAME "checkpoint"
#define LOG_DATA_DIR "data"

/* A segment's open file. The table holds one reference, whoever reads or
 * syncs it another, so a segment can be dropped beside them. */
struct log_file {
	int fd;
	atomic_uint refs;
};

struct log_segment {
	uint32_t number;
	uint32_t seed;	       /* of record CRCs, from the salt */
	struct log_file *file; /* owned: one reference */
	uint64_t end;	       /* where the next record goes */
	uint64_t live;	       /* bytes of referenced data */
	uint64_t punched;      /* bytes given back since the log was opened */
	uint64_t reserved;     /* blocks are there up to here, at least */
};

struct log_range {
	struct log_pos pos;
	uint64_t len;
};

/* One own file that is open. Guarded by own_lock. */
struct log_own {
	uint64_t ino; /* 0: free slot */
	int fd;
	unsigned refs;
	uint64_t used; /* tick of the last use */
	bool removed;  /* nobody finds it; closed with its last reference */
};

#define LOG_OWN_OPEN 128

struct log {
	int dirfd;  /* constant after init, as all down to the lock */
	int datafd; /* LOG_DATA_DIR */
	uint8_t boot_id[LOG_BOOT_ID]; /* zero: unknown */
	bool read_only;		      /* damage was found */
	struct log_damage damage;     /* where */
	bool current;	   /* the last segment is of this boot; the owner's */
	uint64_t open_seq; /* the last record that the replay found */
	uint64_t segment_bytes; /* a segment that is as long is full */

	/* Held while a file is synced, and by nothing else; taken before the
	 * other two. */
	pthread_mutex_t sync_lock;

	/* The owner's serialised calls write these, and may read them without
	 * the lock; it guards them against log_read() and log_sync(). */
	pthread_mutex_t lock;
	struct log_segment *segments; /* ascending numbers */
	size_t nsegments, cap_segments;
	uint64_t next_seq;
	uint64_t dir_changes; /* names made in dirfd, counted */

	/* log_sync() writes these under the lock; synced_seq is read with
	 * __atomic_load_n() where the lock is not held. */
	uint64_t synced_seq;
	uint64_t dir_synced;	 /* dir_changes that are durable */
	uint32_t first_unsynced; /* number: segments before it are durable */
	int sync_error;		 /* a failed sync is never forgotten */

	/* The owner's only. */
	uint32_t replay_from; /* first segment that the checkpoint leaves */
	bool tail_dirty;      /* bytes of a failed append behind the end */
	bool use_reserve;     /* see log_use_reserve() */
	uint64_t bytes_since, records_since;
	struct log_range *dead;
	size_t ndead, cap_dead;
	uint64_t dead_bytes;

	pthread_mutex_t own_lock; /* never taken together with `lock` */
	struct log_own own[LOG_OWN_OPEN];
	uint64_t own_tick;
	/* ino -> number of its last write (a pointer's worth), while that is
	 * not known to be durable; LOG_OWN_LOST: a sync failed. */
	struct map own_dirty;
	uintptr_t own_writes;
	bool own_unknown; /* own_dirty is not complete */
	uint64_t own_dir_changes, own_dir_synced;
};

#define LOG_OWN_LOST ((void *)UINTPTR_MAX)

struct log_header {
	uint32_t number;
	uint8_t boot_id[LOG_BOOT_ID];
	uint32_t seed;
};

/* log.c */
void log_set_segment_bytes(struct log *l, uint64_t bytes); /* for tests */

/* The next segment, or the last one while nothing is in it. -EFBIG when
 * numbers are used up. */
int log_switch(struct log *l);

/* log_segment.c */
void log_segment_name(uint32_t number, char ret_name[16]);
void log_segment_header_make(const struct log *l, uint32_t number,
			     uint8_t ret_header[LOG_SEGMENT_HEADER]);

/* -EBADMSG; -ESTALE: another format. */
int log_segment_header_check(const uint8_t header[LOG_SEGMENT_HEADER],
			     struct log_header *ret_header);
uint32_t log_segment_seed(const uint8_t header[LOG_SEGMENT_HEADER]);
void log_record_header_make(uint32_t seed, uint64_t seq, uint64_t synced_seq,
			    const void *items, size_t items_len,
			    uint64_t data_len,
			    uint8_t ret_header[LOG_RECORD_HEADER]);
struct log_segment *log_segment_find(struct log *l, uint32_t number);
int log_segment_new(struct log *l, uint32_t number);

/* Opens all segments that are there. The seeds are set by the replay. */
int log_segments_load(struct log *l);

/* Takes a segment out of the table; _drop unlinks it first, or fails. */
void log_segment_forget(struct log *l, size_t index);
int log_segment_drop(struct log *l, size_t index);

/* The file of the first segment with a number in [from, to]; NULL: none. */
struct log_file *log_file_get(struct log *l, uint32_t from, uint32_t to,
			      uint32_t *ret_number);
void log_file_put(struct log_file *f); /* NULL is fine */

/* log_replay.c: fills the table's seeds and ends, cuts a torn tail.
 * *ret_current: the last segment was begun in this boot. */
int log_replay(struct log *l, log_replay_fn replay, void *arg,
	       bool *ret_damaged, bool *ret_current);

/* log_own.c */
int log_own_init(struct log *l); /* all own files count as not yet synced */
void log_own_release(struct log *l);

/* Takes a reference on the open file. With `write`, it is made if it is
 * absent and marked as written, so that log_own_put() finds the memory. */
int log_own_get(struct log *l, uint64_t ino, bool write,
		struct log_own **ret_own);
void log_own_put(struct log *l, struct log_own *o, bool wrote);

/* Calls `each` for all own files that are there, until it returns non-zero. */
int log_own_each(struct log *l, int (*each)(void *arg, uint64_t ino),
		 void *arg);

/* log_own_sync.c: `ino` is written to. Called with own_lock held. Where memory
 * is short, all files count as written from then on. */
int log_own_mark(struct log *l, uint64_t ino);

#endif
