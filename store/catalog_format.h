/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a catalog, and the rules that its reader, its checker and its
 * builder share. Private to store/catalog*.c. Pure functions; any thread.
 *
 * All integers are little-endian; every byte that is not named is zero. A
 * header of 128 bytes is followed by eight sections, always in this order,
 * each at the next multiple of 8; the blob ends at a multiple of 8. Where a
 * section lies follows from the counts in the header, so no two can overlap.
 *
 *	inodes	64 bytes each. Number n is record n-1. Breadth first: the
 *		root is 1, and a child gets the next number when its first
 *		name is met, directories in the order of their numbers and
 *		names in byte order.
 *	dirents	12 bytes each: the names of directory 1, then of the next
 *		directory, and so on, without gaps. Within a directory
 *		strictly ascending by memcmp(), a prefix before the longer.
 *	pieces	16 bytes each, of the files that have more than one piece, in
 *		the order of inodes: where the piece ends in the file, and its
 *		chunk. No two holes are neighbours.
 *	chunks	36 bytes each: digest and size of every different chunk, in
 *		the order in which the inodes, and in them the pieces, name
 *		them first.
 *	xattrs	8 bytes each: where a set of extended attributes lies in its
 *		heap. Every different set once, in the order in which the
 *		inodes name it first.
 *	names	heap of the different names, in the order of their first
 *		dirents. Equal names share their bytes.
 *	targets	heap of the symlinks' targets, in the order of inodes.
 *	xattr bytes	heap of the sets, encoded as catalog_xattrs() says.
 *
 * An inode record has three words whose meaning depends on the type:
 *
 *	type		a		b			c
 *	directory	parent		first dirent		dirents
 *	file, 0 pieces	0		0			0
 *	file, 1 piece	1		chunk or hole		0
 *	file, n pieces	n		first piece		0
 *	symlink		offset of target	0		0
 *	device		rdev		0			0
 *	fifo, socket	0		0			0
 *
 * `size` is 0 but for files and symlinks. `nlink` is 2 and the number of
 * subdirectories for a directory, the number of names for all others.
 *
 * The same tree gives the same bytes, since no order and no offset is left
 * to choose. The checker proves all of the above but what would need a hash
 * table and no reader relies on: that names and xattr sets are different where
 * they lie apart, that a name met again begins where it began before, and that
 * no two chunks have the same digest.
 */
#ifndef LARDER_CATALOG_FORMAT_H
#define LARDER_CATALOG_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "base/le.h"
#include "catalog.h"

#define CATALOG_MAGIC "LARDCAT" /* with its NUL: 8 bytes */
#define CATALOG_VERSION 1u
#define CATALOG_HEADER_BYTES 128u

struct catalog_header_rec {
	uint8_t magic[8];
	uint8_t version[4];
	uint8_t inodes[4];
	uint8_t dirents[4];
	uint8_t pieces[4];
	uint8_t chunks[4];
	uint8_t xattrs[4];
	uint8_t names_bytes[4];
	uint8_t targets_bytes[4];
	uint8_t xattrs_bytes[4];
	uint8_t files[4];
	uint8_t dirs[4];
	uint8_t symlinks[4];
	uint8_t others[4];
	uint8_t zero[4];
	uint8_t bytes[8]; /* sum of the sizes of files */
	uint8_t total[8]; /* length of the blob */
	uint8_t reserved[48];
};
_Static_assert(sizeof(struct catalog_header_rec) == CATALOG_HEADER_BYTES,
	       "catalog header");

struct catalog_inode_rec {
	uint8_t mode[4];
	uint8_t nlink[4];
	uint8_t uid[4];
	uint8_t gid[4];
	uint8_t size[8];
	uint8_t mtime_sec[8];
	uint8_t mtime_nsec[4];
	uint8_t xattrs[4]; /* number of the set, from 1; 0: none */
	uint8_t a[4];
	uint8_t b[4];
	uint8_t c[4];
	uint8_t reserved[12];
};
_Static_assert(sizeof(struct catalog_inode_rec) == 64, "catalog inode");

struct catalog_dirent_rec {
	uint8_t name[4]; /* offset in the heap */
	uint8_t name_len[1];
	uint8_t zero[3];
	uint8_t ino[4];
};
_Static_assert(sizeof(struct catalog_dirent_rec) == 12, "catalog dirent");

struct catalog_piece_rec {
	uint8_t end[8];	  /* offset in the file of the first byte behind */
	uint8_t chunk[4]; /* or CATALOG_HOLE */
	uint8_t zero[4];
};
_Static_assert(sizeof(struct catalog_piece_rec) == 16, "catalog piece");

struct catalog_chunk_rec {
	uint8_t digest[DIGEST_LEN];
	uint8_t size[4];
};
_Static_assert(sizeof(struct catalog_chunk_rec) == 36, "catalog chunk");
_Static_assert(_Alignof(struct digest) == 1, "digests are borrowed in place");

struct catalog_xattr_rec {
	uint8_t off[4];
	uint8_t len[4];
};
_Static_assert(sizeof(struct catalog_xattr_rec) == 8, "catalog xattrs");

/* The header as numbers. */
struct catalog_header {
	uint32_t inodes, dirents, pieces, chunks, xattrs;
	uint32_t names_bytes, targets_bytes, xattrs_bytes;
	uint32_t files, dirs, symlinks, others;
	uint64_t bytes;
	uint64_t total;
};

/* Where each section begins. */
struct catalog_layout {
	uint64_t inodes, dirents, pieces, chunks, xattrs;
	uint64_t names, targets, xattr_bytes;
	uint64_t total;
};

/* A blob whose header was decoded: all of its sections are inside. */
struct catalog_blob {
	const uint8_t *data;
	struct catalog_header h;
	const struct catalog_inode_rec *inodes;
	const struct catalog_dirent_rec *dirents;
	const struct catalog_piece_rec *pieces;
	const struct catalog_chunk_rec *chunks;
	const struct catalog_xattr_rec *xattrs;
	const char *names;
	const char *targets;
	const uint8_t *xattr_bytes;
};

/* Reads only the counts of `h`. Cannot overflow. */
void catalog_layout_of(const struct catalog_header *h,
		       struct catalog_layout *ret_layout);

void catalog_header_encode(const struct catalog_header *h,
			   struct catalog_header_rec *ret_rec);

/* Checks the header, and the length against it. -EBADMSG, -ESTALE, logged. */
int catalog_blob_init(const void *data, size_t len,
		      struct catalog_blob *ret_blob);

/* Checks everything else. -EBADMSG, logged; -ENOMEM. */
int catalog_check(const struct catalog_blob *b);

bool catalog_valid_mode(uint32_t mode);
bool catalog_valid_name(const char *name, size_t len);
bool catalog_valid_target(const char *target, size_t len);
bool catalog_valid_xattrs(const void *data, size_t len);

/* The order of names: bytes as numbers, a prefix first. */
static inline int catalog_name_cmp(const char *a, size_t a_len, const char *b,
				   size_t b_len)
{
	int cmp = memcmp(a, b, a_len < b_len ? a_len : b_len);

	if (cmp)
		return cmp;
	return a_len < b_len ? -1 : a_len > b_len;
}

#endif
