/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of a mount of all entries (view_all.h): the numbers of the entries
 * that were looked up in it, which are part of the node ids that the kernel
 * has, so that another worker knows them too; and which of them the kernel
 * holds, so that a collection does. The file `entries` of the mount's state
 * directory, text:
 *
 *	larder-entries 1 SEED NEXT		first line
 *	entry NUMBER CATALOG NAMESPACE NAME KEY	a new number
 *	open NUMBER				the kernel holds something of it
 *	close NUMBER				no more
 *
 * Lines are appended before anybody gets what they say; the last one counts
 * where it is whole. Not synced: no connection outlives the machine. SEED (32
 * hex digits) is the mount's secret for the ids that are made by hashing, NEXT the
 * number from which on none was given when the file was written.
 *
 * Functions over a directory; the caller is the only one who appends.
 */
#ifndef LARDER_FS_ALL_TABLE_H
#define LARDER_FS_ALL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/digest.h"

#define ALL_SEED_LEN 16
#define ALL_NUMBER_MAX ((UINT32_C(1) << 28) - 1) /* the first is 1 */

struct all_record {
	uint32_t number;
	bool open;
	struct digest catalog;
	char *namespace, *name, *key; /* owned */
};

struct all_table {
	uint8_t seed[ALL_SEED_LEN];
	uint32_t next; /* not given yet, nor any above */
	struct all_record *records;
	size_t count;
};

void all_record_release(struct all_record *r);
void all_table_release(struct all_table *t);

/* An empty table with a seed of its own. -EIO */
int all_table_init(struct all_table *ret_table);

/* -ENOENT; -EBADMSG (said); -ENOMEM. */
int all_table_load(int dirfd, struct all_table *ret_table);

/* Writes the whole table and gives the file, open for appending. */
int all_table_save(int dirfd, const struct all_table *t, int *ret_fd);

/* Append a line. */
int all_table_add(int fd, const struct all_record *r);
int all_table_mark(int fd, uint32_t number, bool open);

/* Calls `each` for the catalogs of the open entries in the table of `dirfd`;
 * where there is none, for none. */
int all_table_each_open(int dirfd,
			int (*each)(void *arg, const struct digest *catalog),
			void *arg);

#define _cleanup_all_table_ __attribute__((cleanup(all_table_release)))

#endif
