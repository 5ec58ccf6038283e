/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A replay under way, shared by log_replay.c, which reads and delivers, and
 * log_tail.c, which decides what the end of the log is. Private to these two;
 * one thread.
 */
#ifndef LARDER_FS_LOG_REPLAY_H
#define LARDER_FS_LOG_REPLAY_H

#include "log_reader.h"

enum head_state {
	HEAD_UNREAD, /* the checkpoint covers the segment */
	HEAD_GOOD,
	HEAD_UNWRITTEN, /* too short, or zeros */
	HEAD_BAD,
};

struct head {
	enum head_state state;
	uint64_t size;
	struct log_header header; /* of HEAD_GOOD */
};

struct replay {
	struct log *log;
	log_replay_fn fn;
	void *arg;
	bool have_checkpoint;
	bool have_first; /* its first segment is there, and empty */
	bool this_boot;	 /* a segment was begun since the machine started */
	const struct log_header *last; /* of the last segment that has one */
	uint64_t durable;   /* the newest number that a record knows as such */
	struct head *heads; /* one a segment; owned */
};

/* Whether two segments are known to have been begun in different boots. */
bool log_boots_differ(const struct log_header *a, const struct log_header *b);

/*
 * log_tail.c: what to make of a place where the log does not go on. 0: its
 * end is there; it was torn, which is said, and is cut off, so the table may
 * have lost segment `index` and has lost those behind it. 1: damage, which is
 * said; nothing is changed.
 */
int log_tail_record(struct replay *rp, size_t index, struct log_reader *rd,
		    uint64_t off, const struct log_record *bad);

/* Segment `index` has no valid header. */
int log_tail_header(struct replay *rp, size_t index);

/* Segment `index`, or the table's end, is where `number` should be. */
int log_tail_missing(struct replay *rp, size_t index, uint32_t number);

/* The owner refused the record at `off`: always damage. */
int log_tail_refused(struct replay *rp, size_t index, struct log_reader *rd,
		     uint64_t off);

/* log_lost.c: tells the owner of what is behind the damage that was found. */
void log_lost_tell(struct replay *rp);

#endif
