/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of a mount of all entries (view_all.h): the numbers of entries
 * that were looked up in it, which are part of the node ids that the kernel
 * has, and how many references to each one's root the kernel has at most. It
 * is what another worker goes on with, and what keeps collections from what
 * the kernel holds. The file `entries` of the mount's state directory, slots
 * of 512 bytes, integers little-endian; slot 0 is the head:
 *
 *	0	"LARDALL2"
 *	8	the mount's secret for the ids that are made by hashing
 *	24	the number from which on none was given, u32
 *	28	CRC32C of bytes 0 to 27
 *
 * and every other one is free (number 0) or a record:
 *
 *	0	references, u64
 *	8	CRC32C of bytes 12 to 511
 *	12	number, u32
 *	16	digest of the catalog
 *	48	namespace, name and key: each a u16 length and its bytes
 *
 * A slot is written by one pwrite(2), and references by one of 8 bytes. None
 * of them crosses a page, so being killed leaves either what was there or
 * what was to be there. Slots are used again, numbers are not. Room for new
 * ones is allocated in steps, so that changing what is there needs no space
 * on the disk, and given back when none of the last steps is used. Not
 * synced: no connection outlives the machine.
 *
 * The caller serialises; all_table_each_held() may run at any time.
 */
#ifndef LARDER_FS_ALL_TABLE_H
#define LARDER_FS_ALL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/digest.h"

#define ALL_SEED_LEN 16
#define ALL_NUMBER_MAX ((UINT32_C(1) << 28) - 1) /* the first is 1 */
#define ALL_SLOT_STEP 128u
#define ALL_SLOTS_MAX (UINT32_C(1) << 20) /* at one time */
#define ALL_REFS_MAX (UINT64_C(1) << 62)

struct all_record {
	uint32_t number, slot; /* all_table_add() gives them */
	uint64_t refs;
	struct digest catalog;
	char *namespace, *name, *key; /* owned */
};

struct all_table {
	int fd; /* -1: closed */
	uint8_t seed[ALL_SEED_LEN];
	uint32_t next;	    /* not given yet, nor any above */
	uint32_t slots;	    /* in the file, with the head */
	uint32_t free_hint; /* none below it is free */
	bool *used;	    /* which slots */
};

void all_record_release(struct all_record *r);

/* A new table, in place of any that is there. -EIO, -ENOSPC, -ENOMEM */
int all_table_create(int dirfd, struct all_table *ret_table);

/* That of an earlier worker: calls `each` for its records, which may take the
 * strings over (and sets them to NULL); what it returns ends the reading.
 * Writes nothing. -ENOENT; -EBADMSG (said); -ENOMEM. */
int all_table_open(int dirfd, struct all_table *ret_table,
		   int (*each)(void *arg, struct all_record *r), void *arg);
void all_table_close(struct all_table *t);

/* Gives the record its number and writes it, with its references. -ENFILE: all
 * numbers were given, or all slots are taken; -ENOSPC, -EDQUOT: there is no
 * free slot, and no room for more; -EINVAL: names that are none. */
int all_table_add(struct all_table *t, struct all_record *r);

/* Writes the references of a record that is in the table. */
int all_table_set_refs(const struct all_table *t, const struct all_record *r);
int all_table_remove(struct all_table *t, const struct all_record *r);

/* Calls `each` for the catalogs of those in the table of `dirfd` that have
 * references; where there is no table, for none. -EBADMSG: a record was
 * damaged, and those that are not were given. */
int all_table_each_held(int dirfd,
			int (*each)(void *arg, const struct digest *catalog),
			void *arg);

#define _cleanup_all_record_ __attribute__((cleanup(all_record_release)))
#define _cleanup_all_table_ __attribute__((cleanup(all_table_close)))

#endif
