/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk whose power can be cut: all that the recording thread does below one
 * directory is noted, and the directory can be built again as a power cut at
 * any moment might have left it. What was synced is there; of what was not,
 * each write, change of size and change of a name may be missing by itself, and
 * a write may be there in some of its sectors only.
 *
 * It stands in for the C library's calls (openat, pwrite, pwritev, write,
 * ftruncate, fallocate, fsync, fdatasync, renameat, unlinkat, mkdirat), so it
 * is linked into the one program that wants that. One thread records.
 */
#ifndef LARDER_TESTS_DISK_RECORD_H
#define LARDER_TESTS_DISK_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* From an empty directory on. `root` is absolute, without symbolic links. */
void disk_record_start(const char *root);
void disk_record_stop(void);

/* How much was noted so far. */
size_t disk_record_count(void);

/* What becomes of what was not synced. */
enum disk_loss {
	DISK_ALL_LOST,
	DISK_NONE_LOST,
	DISK_DATA_LOST, /* names are kept */
	DISK_NAMES_LOST,
	DISK_ANY_LOST, /* each by chance, and sectors of writes */
};

/* Builds the directory as of the first `count` notes in the empty `dirfd`.
 * Segments of a log look as if they were written before the last start. */
void disk_record_build(int dirfd, size_t count, enum disk_loss loss,
		       uint64_t seed);

#endif
