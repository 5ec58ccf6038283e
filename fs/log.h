/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upper log: everything a mount's users changed, in one append-only log
 * under <state>/larder/mounts/<id>/.
 *
 *	log-<n>		segments of about 64 MiB, n in 8 hex digits from 1
 *	checkpoint	the whole state as of a position, in the same records
 *	data/<ino>	own files of large inodes (16 hex digits)
 *
 * A record is one change, whole or not at all: a header (magic, lengths,
 * CRC32C of header and items, sequence number), items (upper_items.h), and the
 * data of its DATA item, written together with one pwritev before the request
 * is answered. The log does not know what items mean; upper.c encodes them and
 * applies them, with the same function when they are new and when they are
 * replayed.
 *
 * A torn tail, which is what a killed writer leaves of a change it had not
 * answered, or a power cut of changes that were not synced, is cut off at open
 * and said once. Any other bad record is damage (log_format.h tells how one is
 * known from the other): what precedes is kept, nothing is changed on disk,
 * what was lost is said, and log_open() says so through ret_damaged: the log
 * is then read-only (-EROFS). Data carry a CRC32C in their item, which their reader checks.
 *
 * Locking: the owner (struct upper) serialises all calls but log_read(),
 * log_sync() and log_own_*(), which may run at any time beside the others
 * and beside each other.
 */
#ifndef LARDER_FS_LOG_H
#define LARDER_FS_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct log;

/* Where a record's data lie. segment 0 is no segment. */
struct log_pos {
	uint32_t segment;
	uint64_t off;
};

struct log_replayed {
	const void *items; /* borrowed */
	size_t items_len;
	struct log_pos data; /* where its data lie; segment 0: a checkpoint's */
	uint64_t data_len;   /* 0: none */
	bool unsure;	     /* a power cut may have taken what it refers to */
	bool lost;	     /* behind damage: it is only told of */
};

/* Where a log is damaged, and how much of it is lost as far as can be told. */
struct log_damage {
	uint32_t segment; /* 0: the checkpoint */
	uint64_t off;	  /* in that file */
	uint64_t changes; /* of segments, behind it, and all of them lost */
};
void log_damage_file(const struct log_damage *d, char ret_name[16]);

/* Replay: called for each record, checkpoint first, in order. -EBADMSG ends
 * the replay as damage at this record; any other error is log_open()'s. When
 * there is damage, it is called once more for each whole record that is found
 * behind it (`lost`), and what it returns does not matter. */
typedef int (*log_replay_fn)(void *arg, const struct log_replayed *rec);

/* `dirfd` is the mount's directory, duplicated. Creates what is missing.
 * -EBADMSG is not returned for damage in records (see above) but for a
 * directory that is no log; -ESTALE: another version wrote it. *ret_damaged:
 * records were lost that are no torn tail. */
int log_open(int dirfd, log_replay_fn replay, void *arg, struct log **ret_log,
	     bool *ret_damaged);
void log_close(struct log *l); /* NULL is fine; syncs nothing */

/* NULL where there is none. */
const struct log_damage *log_get_damage(const struct log *l);

/* After log_open() and before anything else: what an unsure record refers to
 * is not there. It and all behind it are cut off, as a torn tail is, and the
 * log is to be closed and opened again. `data` is the record's. */
int log_cut(struct log *l, struct log_pos data);

/* Appends one record; on success it survives SIGKILL of this process.
 * *ret_data: where `data` lie. On failure (-ENOSPC, -EDQUOT, -EIO) nothing of
 * it will be replayed. */
int log_append(struct log *l, const void *items, size_t items_len,
	       const void *data, size_t data_len, struct log_pos *ret_data);

/* For the next log_append() only: its record gives space back, so it may take
 * the bytes that every other record leaves for such, and files can be removed
 * from a full disk. */
void log_use_reserve(struct log *l);

/* Exactly `len` bytes. */
int log_read(struct log *l, struct log_pos pos, void *buf, size_t len);

/* Makes all that was appended before the call survive power loss, and the own
 * files that it refers to (first, so the log never knows more). Blocks;
 * call it with no lock held. When the device failed, all later calls fail
 * too, since what it dropped is not known; a new log_open() finds out. */
int log_sync(struct log *l);

/*
 * A checkpoint: `write` calls log_checkpoint_put() with records that rebuild
 * the present state (they carry no data; data stay in the segments). It is
 * published whole; segments before the current one stay while they hold live
 * data. The log switches to a new segment first.
 */
struct log_checkpoint;
int log_checkpoint(struct log *l,
		   int (*write)(void *arg, struct log_checkpoint *c),
		   void *arg);
int log_checkpoint_put(struct log_checkpoint *c, const void *items,
		       size_t items_len);

/* Bytes appended since the last checkpoint, for the owner's policy. */
uint64_t log_bytes_since_checkpoint(const struct log *l);
uint64_t log_records_since_checkpoint(const struct log *l);

/* Of what is in the segments since then, the bytes that a checkpoint makes
 * unnecessary: all but live data and what was punched. */
uint64_t log_stale_bytes(const struct log *l);

/*
 * Live-data accounting. The owner says when data become referenced (after
 * append or replay) and when they are no longer, which it may say only when
 * the record that made it so is synced: a power cut would bring back the
 * reference without the data. Space of dead data is given
 * back: whole segments once a checkpoint covers them, else by punching holes
 * of whole 4 KiB blocks, in batches (log_reclaim(), called when idle or when
 * much is dead).
 */
void log_retain(struct log *l, struct log_pos pos, uint64_t len);
void log_release(struct log *l, struct log_pos pos, uint64_t len);
int log_reclaim(struct log *l);
uint64_t log_dead_bytes(const struct log *l); /* not yet given back */
uint64_t log_disk_bytes(const struct log *l); /* what segments take on disk */

/* Empties the log: a new empty state replaces all (reset). On failure nothing
 * has changed. */
int log_clear(struct log *l);

/*
 * Own files of large inodes. The owner writes new bytes behind all that is
 * there (_size tells its end), and records them afterwards, so what a record
 * refers to is never written to again. What punch and remove take away must
 * be dead as log_release() wants it. Numbers are not 0.
 */
#define LOG_OWN_BLOCK UINT64_C(4096) /* what can be given back */
static inline uint64_t log_own_block(uint64_t off)
{
	return off & ~(LOG_OWN_BLOCK - 1);
}
int log_own_write(struct log *l, uint64_t ino, const void *buf, size_t len,
		  uint64_t off);
int log_own_read(struct log *l, uint64_t ino, void *buf, size_t len,
		 uint64_t off); /* zeros in holes and beyond the end; -ENOENT */
int log_own_punch(struct log *l, uint64_t ino, uint64_t off, uint64_t len);
/* *ret_end: behind the last byte; *ret_disk: bytes that it takes there.
 * `create`: makes an empty one where there is none; else -ENOENT. */
int log_own_size(struct log *l, uint64_t ino, bool create, uint64_t *ret_end,
		 uint64_t *ret_disk);
int log_own_sync(struct log *l, uint64_t ino);	 /* 0: all */
int log_own_remove(struct log *l, uint64_t ino); /* absent is no error */

/* Removes own files for which `keep` says no (after replay); all where it is
 * NULL. Calls log_sync() first where there is anything to remove. */
int log_own_sweep(struct log *l, bool (*keep)(void *arg, uint64_t ino),
		  void *arg);

#endif
