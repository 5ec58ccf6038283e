/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Own files as they were when a commit took its snapshot. Their bytes are
 * overwritten in place, so whoever writes while a commit runs first saves what
 * was there, a block at a time and each block once, in a file without a name;
 * the commit reads saved blocks from there and the others where they are. So
 * a commit ends however busily its files are rewritten, and all of its content is of
 * one moment. The file is at most as long as the own files were.
 *
 * A block that cannot be saved fails the commit and not the write: see
 * frozen_read().
 *
 * Guarded by the view's lock: _save wants it held for writing, _add and _read for
 * reading. One thread calls _add; it has ended before anyone calls _read.
 */
#ifndef LARDER_FS_FROZEN_H
#define LARDER_FS_FROZEN_H

#include <stddef.h>
#include <stdint.h>

#include "log.h"

struct frozen;

/* `log` and `dirfd` are borrowed; the latter is a directory on the log's file
 * system. Nothing is on disk before the first block is saved. -ENOMEM. */
int frozen_new(struct log *log, int dirfd, struct frozen **ret_frozen);
void frozen_free(struct frozen *fz); /* NULL is fine */

/* The first `size` bytes of the own file are wanted as they are now. */
int frozen_add(struct frozen *fz, uint64_t ino, uint64_t size);

/* Called before the range of the own file is written. A file that was not
 * added is none of its business. */
void frozen_save(struct frozen *fz, uint64_t ino, uint64_t off, uint64_t len);

/* Puts what was saved of the range over `buf`, which holds the bytes of the
 * own file as they are now. The error of a block that could not be saved:
 * -ENOSPC, -EDQUOT, -EMFILE, -EIO, -ENOMEM. */
int frozen_read(const struct frozen *fz, uint64_t ino, void *buf, size_t len,
		uint64_t off);

#endif
