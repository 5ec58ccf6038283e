/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sparse packs: local copies of packs of which only some chunks have arrived.
 * They are files of their own, so that nothing takes one for a whole pack:
 *
 *	v1/sparse/<hh>/<hex>		a file as long as the pack, with its head
 *					(header and dictionary) and its tail
 *					(footer) in place, the frames that came,
 *					and holes
 *	v1/sparse/<hh>/<hex>.map	the presence map: 16 bytes (magic and
 *					version u32, zero u32), and one bit for
 *					each 8 bytes of the pack: whether the
 *					frame that begins there is present (no
 *					frame is as short as 8 bytes)
 *
 * A bit is written behind the bytes of its frame, so that a process that is
 * killed leaves no bit too many. Nothing is synced: what a power cut made of
 * bits and bytes is found by who reads a frame first, who compares the chunk's
 * digest, and says so with sparse_drop(). A head or tail that is damaged is
 * found when the file is opened; then all of it is removed.
 *
 * Any thread. Fault points: sparse.made, sparse.write, sparse.map, sparse.whole.
 */
#ifndef LARDER_SPARSE_H
#define LARDER_SPARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "pack.h"

struct sparse;

/* `dirfd` is v1/sparse and borrowed. -ENOENT where there is none, also where
 * it was damaged and is removed now. */
int sparse_open(int dirfd, const struct digest *name,
		struct sparse **ret_sparse);

/* A new one without frames. `tail` and `head` are as pack_check_head() wants
 * them, which was asked. */
int sparse_create(int dirfd, const struct digest *name, uint64_t bytes,
		  const void *head, uint32_t head_len, const void *tail,
		  struct sparse **ret_sparse);
struct sparse *sparse_ref(struct sparse *sp);
void sparse_unref(struct sparse *sp); /* NULL is fine */

/* For pack_read() and pack_decode(); borrowed. */
struct pack *sparse_pack(const struct sparse *sp);

/* Whether a frame that begins at `off` has arrived. It may be damaged. */
bool sparse_has(const struct sparse *sp, uint32_t off);

/* Puts the bytes of one or several frames, which the caller has checked, in
 * their place; sparse_mark() then says that they are there (best of frames near
 * each other: it writes what the map has from the first to the last). -ENOSPC,
 * -EIO; -ESTALE: it is frozen. */
int sparse_put(struct sparse *sp, uint32_t off, const void *data, uint32_t len);
int sparse_mark(struct sparse *sp, const uint32_t *offs, uint32_t n);

/* A frame that is not what its chunk's digest says has not arrived. */
void sparse_drop(struct sparse *sp, uint32_t off);

/* Nothing can be put any more, by nobody who has it open, until as many have
 * thawed it: what is verified now stays so. */
void sparse_freeze(struct sparse *sp);
void sparse_thaw(struct sparse *sp);

/*
 * Syncs the file, which the caller has frozen and then verified whole
 * (pack_verify()), and moves it to `packs_dirfd`. From then on it is a pack like
 * any other, and stays frozen; `sp` goes on reading it. -ESTALE: another file
 * has its name by now.
 */
int sparse_finish(struct sparse *sp, int packs_dirfd);

/* Removes the files; `sp` may be open elsewhere and goes on working. */
int sparse_remove(int dirfd, const struct digest *name);

#endif
