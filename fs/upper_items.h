/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Items: what a record of the upper log says. Each describes a resulting
 * state and no operation, so that applying one needs nothing but the tables.
 * Pure encoding and decoding; what an item means is upper_apply.c's.
 *
 * An item is a type byte and its fields, little-endian, without padding:
 *
 *	INODE	   ino, parent, size u64; atime, mtime, ctime: i64 seconds, u32
 *		   nanoseconds; mode, uid, gid, nlink, rdev, epoch u32: the
 *		   whole metadata. New below VIEW_INO_FIRST: with the base's content
 *	NAME	   parent, ino (0: gone), seq u64; epoch u32; u8 length, name
 *	NO_NAME	   parent u64; u8 length, name: no override any more
 *	DATA	   ino, off, len u64; crc u32: the data of this record
 *	OWN	   ino, off, len u64; crc u32; place u64: the bytes lie there in the
 *		   own file
 *	HOLE	   ino, off, len u64: no extents there, zeros
 *	EXTENT	   ino u64; an extent (checkpoints)
 *	TARGET	   ino u64; u16 length, target of a symlink
 *	XATTRS	   ino u64; u32 length, all of them, as catalog_xattrs() gives
 *	CONTENT	   ino u64; tree, number in its catalog u32: nothing but that
 *	TREE	   number u32; digest of its catalog
 *	EPOCH	   u32: changes from now on belong to this epoch
 *	COMMITTED  tree, epoch u32: what changed up to the epoch is in the tree
 *	STATE	   next_ino, next_seq u64; epoch, changed u32 (checkpoints)
 *	PART	   ino u64: more of this file is in the next record; 0: the file is
 *		   whole now (checkpoints)
 *	REQUESTS   u8 count, then unique, ino u64 of each: all that are in the log
 *		   and may not be answered
 */
#ifndef LARDER_FS_UPPER_ITEMS_H
#define LARDER_FS_UPPER_ITEMS_H

#include <stdint.h>

#include "store/base/buf.h"
#include "store/base/cursor.h"
#include "store/digest.h"

#include "extents.h"
#include "inodes.h"

enum item_type {
	ITEM_INODE = 1,
	ITEM_NAME,
	ITEM_NO_NAME,
	ITEM_DATA,
	ITEM_OWN,
	ITEM_HOLE,
	ITEM_EXTENT,
	ITEM_TARGET,
	ITEM_XATTRS,
	ITEM_CONTENT,
	ITEM_TREE,
	ITEM_EPOCH,
	ITEM_COMMITTED,
	ITEM_STATE,
	ITEM_REQUESTS,
	ITEM_PART,
};

#define ITEM_REQUESTS_MAX 64
#define ITEM_REQUEST_BYTES 16

struct item_name {
	uint64_t parent, ino, seq;
	uint32_t epoch;
	uint8_t len;
	const char *text; /* borrowed */
};

struct item_range {
	uint64_t ino, off, len;
	uint32_t crc;	/* DATA and OWN */
	uint64_t place; /* OWN: in the own file */
};

struct item_extent {
	uint64_t ino;
	struct extent extent;
};

struct item_blob {
	uint64_t ino;
	uint32_t len;
	const void *data; /* borrowed */
};

struct item_content {
	uint64_t ino;
	uint32_t tree, number;
};

struct item_tree {
	uint32_t number;
	struct digest digest;
};

struct item_committed {
	uint32_t tree, epoch;
};

struct item_state {
	uint64_t next_ino, next_seq;
	uint32_t epoch, changed;
};

struct item_requests {
	uint8_t count;	  /* at most ITEM_REQUESTS_MAX */
	const void *list; /* borrowed; ITEM_REQUEST_BYTES each, as encoded */
};

struct item {
	enum item_type type;
	union {
		struct meta inode;
		struct item_name name;	 /* NAME, NO_NAME */
		struct item_range range; /* DATA, OWN, HOLE */
		struct item_extent extent;
		struct item_blob blob; /* TARGET, XATTRS */
		struct item_content content;
		struct item_tree tree;
		uint32_t epoch;
		struct item_committed committed;
		struct item_state state;
		struct item_requests requests;
		uint64_t part;
	};
};

/* Appends one item; failures are sticky in `b`. */
void item_put(struct buf *b, const struct item *item);

/*
 * Takes the next item. 1; 0 at the end; -EBADMSG for bytes that are no item
 * or whose fields are outside their limits whatever the tables hold (types, names,
 * nanoseconds, ranges, the shape of an xattr set).
 */
int item_take(struct cursor *c, struct item *ret_item);

#endif
