/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upper of one mount: the inode and name tables and the log that they are
 * the index of. All state changes go one way: a caller encodes items that
 * describe the resulting state into `items`, and upper_append() makes the
 * memory, writes the record, and applies the items with the function that replay
 * uses. When it fails nothing has changed.
 *
 * Epochs: each change carries the number of the epoch it was made in. A commit
 * starts a new one, so what belongs to its snapshot is known by its number, however
 * much is changed while it runs.
 *
 * Requests: a record made for a request of the kernel names it, so that one
 * that was done and not answered when the worker died is not done twice
 * (upper_request.c).
 *
 * Space: what dies is only noted here. It goes back (log_release, trimming
 * of own files) in a reclaim, after the log that says so was synced: else a
 * power cut could bring back a synced file without its data.
 *
 * All fields are guarded by the view's lock; functions that change anything
 * want it for writing. It does not know what is allowed: see view*.c.
 */
#ifndef LARDER_FS_UPPER_H
#define LARDER_FS_UPPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/buf.h"
#include "store/store.h"

#include "inodes.h"
#include "log.h"
#include "names.h"
#include "upper_items.h"
#include "upper_loss.h"

#define UPPER_FRESH 8 /* inodes one record may add */
#define UPPER_BLOBS 4 /* targets and xattr sets one record may set */
#define UPPER_REQUESTS ITEM_REQUESTS_MAX

struct upper_tree {
	bool used;
	struct digest digest;
	struct store_tree *tree; /* NULL: empty base, or not in the store */
};

/* A source that a replayed record refers to, and that may not be on disk. */
struct upper_unsure {
	uint64_t ino;
	struct extent extent;
	struct log_pos record; /* as in struct log_replayed */
};

/* A request of the kernel that is in the log. */
struct upper_request {
	uint64_t unique;
	uint64_t ino; /* the inode that its record begins with */
};

struct upper_range {
	uint64_t ino;	    /* of the own file, where ... */
	struct log_pos pos; /* ... segment is 0 */
	uint64_t len;
};

struct upper {
	struct log *log;     /* NULL: read-only, without a state directory */
	struct store *store; /* may be NULL: no trees but the base */
	const struct catalog *base; /* of tree 0; NULL: empty */
	uint32_t base_inodes;
	struct upper_tree *trees; /* 0 is the base */
	uint32_t ntrees;

	struct inodes inodes;
	struct names names;
	uint64_t next_ino, next_seq;
	uint32_t epoch;	  /* of changes made now */
	uint32_t changed; /* of the newest change; 0: none */
	bool committed;
	uint32_t committed_tree, committed_epoch;
	bool broken; /* tables and log differ; nothing works any more */
	bool frees;  /* the record being made: it is to work on a full disk */
	bool full;   /* the last record or own file found no room */

	struct buf items; /* the record being made */

	/* What damage of the log took; NULL: there is none. `lost` is gathered
	 * while it is opened. */
	struct upper_loss *loss;
	struct upper_lost *lost;

	/* While the log is opened: the file whose checkpoint is not whole yet;
	 * from records that no sync covered. */
	uint64_t part;
	bool is_unsure; /* the record being applied */
	struct upper_unsure *unsure;
	size_t nunsure, cap_unsure;

	/* Not known to be answered. */
	struct upper_request requests[UPPER_REQUESTS];
	unsigned nrequests;

	/* Memory for the record being made. */
	struct inode *fresh[UPPER_FRESH];
	unsigned nfresh;
	struct blob *blobs[UPPER_BLOBS];
	unsigned nblobs;

	/* Dead, not yet given back. */
	struct upper_range *dead;
	size_t ndead, cap_dead;
	uint64_t dead_bytes;
	uint64_t own_bytes; /* live bytes in own files */
	unsigned pins;	    /* > 0: nothing is given back (a commit reads it) */
	uint64_t checkpoint_after; /* log bytes; put off after a failure */
};

/* What upper_open() needs. `tree` may be NULL, as may `store` where no commit
 * was made; `dirfd` -1 is an upper without a log. `adopt`: inodes without a
 * name stay until they are forgotten. */
struct upper_options {
	struct store_tree *tree; /* a reference is taken */
	struct store *store;
	int dirfd;
	bool adopt;
};

/* Replays. `u` need not be initialised; on failure nothing is to be closed. */
int upper_open(struct upper *u, const struct upper_options *opt,
	       bool *ret_damaged);
void upper_close(struct upper *u);

/* Writes u->items, with `data` for its DATA item, and applies them. Errors
 * of log_append(), -ENOMEM, -EIO when broken. u->items is empty afterwards. */
int upper_append(struct upper *u, const void *data, size_t len);

/* Applies items without a log (replay; views that have none). */
int upper_apply(struct upper *u, const void *items, size_t items_len,
		struct log_pos data, uint64_t data_len);

/* upper_check.c: looks at what unsure records of a replay refer to. 1: some of
 * it is not there, and the log was cut off before it, so all is to be opened
 * again; 0. What it needed is freed. */
int upper_unsure_add(struct upper *u, uint64_t ino, const struct extent *x,
		     struct log_pos record);
int upper_unsure_check(struct upper *u);

/* The path of an inode's first name below the root, for messages; the caller
 * frees. NULL when it has none or memory is short. */
char *upper_path(const struct upper *u, uint64_t ino);

/* Takes an inode without a name out of the tables; its space dies. */
void upper_drop(struct upper *u, struct inode *i);

/* True where `ino` is a directory of the base. */
bool upper_is_base_dir(const struct upper *u, uint64_t ino);

/* The base's inode behind (parent, name); 0: none. */
uint32_t upper_base_child(const struct upper *u, uint64_t parent,
			  const char *text, size_t len);

/* The bytes of all of an extent's source, src_len. -EBADMSG: they are not
 * there or not what was written. Any lock. */
int upper_read_source(const struct upper *u, uint64_t ino,
		      const struct extent *x, void *buf);

/* Bytes of a log or own extent: [off, off + len) of the file, inside it.
 * -EBADMSG when the log's bytes do not match their CRC. Any lock. */
int upper_read(const struct upper *u, uint64_t ino, const struct extent *x,
	       uint64_t off, void *buf, size_t len);

/* A number for a tree that a commit made; the reference is taken over on
 * success. It counts once a TREE item says so. */
int upper_tree_add(struct upper *u, struct store_tree *tree,
		   uint32_t *ret_number);

/* Whether anything changed since the start or the last commit, and the
 * epoch behind which changes count. */
bool upper_dirty(const struct upper *u);
uint32_t upper_baseline(const struct upper *u);

/* Writes the whole state. */
int upper_checkpoint(struct upper *u);

/* Where the log grew so much that it pays; failure is only logged. */
void upper_checkpoint_if_due(struct upper *u);

/* Empties the tables and the log; numbers go on. */
int upper_clear(struct upper *u);

/*
 * Giving space back, in three steps:  _begin (write lock; 0: nothing to do),
 * log_sync (no lock), _end (write lock; `synced` false keeps all for later).
 */
struct upper_reclaim {
	struct upper_range *dead;
	size_t ndead;
};
int upper_reclaim_begin(struct upper *u, struct upper_reclaim *ret_job);
void upper_reclaim_end(struct upper *u, struct upper_reclaim *job, bool synced);

/*
 * upper_request.c. The calling thread works for the kernel's request `unique`
 * (0: for none) from here on, and no longer once it is answered: _end (write
 * lock), wanted where _recorded. `resent`: an earlier worker may have done it.
 */
void upper_request_begin(uint64_t unique, bool resent);
bool upper_request_recorded(void);
void upper_request_end(struct upper *u);

/* Whether the thread's request is in the log from an earlier worker: it is to
 * be answered and not done again. *ret_ino: what it made or linked. Says so
 * once. Write lock. */
bool upper_request_done(struct upper *u, uint64_t *ret_ino);

/* For upper*.c: the list as an item; the same with the thread's request in
 * it, where it works for one, and what became of that record. */
void upper_requests_put(const struct upper *u, struct buf *items);
void upper_request_put(struct upper *u);
void upper_request_put_done(struct upper *u, bool written);
void upper_requests_apply(struct upper *u, const struct item_requests *list);

/* upper_space.c. After a replay: the log's books are made, and what died and
 * is still there goes. Failure is only logged. */
void upper_space_begin(struct upper *u);
void upper_note_dead(struct upper *u, uint64_t ino, struct log_pos pos,
		     uint64_t len);

/* For upper_apply.c and upper_checkpoint.c. */
int upper_tree_set(struct upper *u, uint32_t number,
		   const struct digest *digest, struct store_tree *tree);
bool *upper_trees_used(const struct upper *u); /* the caller frees */
void upper_trees_trim(struct upper *u, const bool *used);
int upper_reserve(struct upper *u, const void *items, size_t items_len);
void upper_drop_spares(struct upper *u);

#endif
