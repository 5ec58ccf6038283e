/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files of a mount's base were read through it: a bit for each inode of
 * the base, in the file `used` of the mount's state directory, mapped and
 * shared, so that marking is a store to memory and outlives the worker.
 *
 *	 0  8  magic "LARDUSE\1"
 *	 8  4  number of inodes, little-endian
 *	12  4  zero
 *	16 16  boot id of the machine when the mount was made; zero: unknown
 *	32     bit n%8 of byte n/8: inode n
 *
 * Nothing of it is ever synced, so it counts in the boot that it was made in
 * only: where it is of another one, missing or not valid, what was read is not
 * known. The kernel does not ask again for what it has in its page cache, but
 * that belongs to one mount, so what it has was read while that was there.
 *
 * Any thread.
 */
#ifndef LARDER_FS_USED_H
#define LARDER_FS_USED_H

#include <stdbool.h>
#include <stdint.h>

struct used;

/*
 * In the state directory `dirfd`; `fresh`: of a mount that is just being made,
 * of which nothing was read. Without the file all is as if everything had
 * been read, and used_is_known() is false; that is no error, and is logged.
 * NULL when memory is short.
 */
struct used *used_open(int dirfd, uint32_t inodes, bool fresh);
void used_close(struct used *u); /* NULL is fine */

/*
 * From here on nothing was read. `each` is told of every inode that was, after
 * it counts as not read: what the kernel has of it in its page cache must go,
 * or nobody would hear that it is read again.
 */
void used_restart(struct used *u, void (*each)(void *arg, uint64_t ino),
		  void *arg);

/* An inode beyond the base is ignored. */
void used_mark(struct used *u, uint64_t ino);

bool used_is_known(const struct used *u);
bool used_has(const struct used *u, uint64_t ino); /* true if unknown */

#endif
