/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a file of the upper log, record by record: bytes in, checked records
 * out. Private to log_replay.c. All lengths are checked against the file and
 * the format's limits before anything is allocated or used.
 */
#ifndef LARDER_FS_LOG_READER_H
#define LARDER_FS_LOG_READER_H

#include "log_format.h"

struct log_reader {
	int fd; /* borrowed */
	uint64_t size;
	uint32_t seed;	 /* of record CRCs; set by the caller */
	uint8_t *window; /* owned: `len` bytes of the file from `start` */
	size_t cap, len;
	uint64_t start;
};

struct log_record {
	uint32_t items_len;
	uint64_t data_len;
	uint64_t seq;
	uint64_t synced_seq;
	const uint8_t *items; /* borrowed until the next read */
	uint64_t bytes;	      /* with header and padding */
	bool cut; /* with -EBADMSG: what may be the front of a record */
};

int log_reader_init(struct log_reader *rd, int fd);
void log_reader_release(struct log_reader *rd);

/* Borrows `len` bytes until the next call; -ENODATA when the file ends
 * before. */
int log_reader_get(struct log_reader *rd, uint64_t off, size_t len,
		   const uint8_t **ret_data);

/* -ENODATA at the very end of the file, -EBADMSG for what is no whole, valid
 * record of this file, -EIO. */
int log_reader_record(struct log_reader *rd, uint64_t off,
		      struct log_record *ret_record);

/* What a file holds from an offset on, at any multiple of 8. */
struct log_scan {
	uint64_t count;	  /* valid records with a number above `after` */
	uint64_t durable; /* the newest number one of them knew as durable */

	/* Gets each valid record, whatever its number; may be NULL. */
	void (*each)(void *arg, const struct log_record *rec);
	void *arg;
};

/* Adds to *scan. Where the bytes are made to take forever, one more record is
 * counted that knows everything as durable: nothing is then cut off. */
int log_reader_scan(struct log_reader *rd, uint64_t off, uint64_t after,
		    struct log_scan *scan);

#endif
