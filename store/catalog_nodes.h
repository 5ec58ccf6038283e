/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the catalog builder, shared by its three parts:
 * catalog_build.c takes nodes, names and pieces, catalog_order.c sorts, and
 * catalog_write.c numbers and writes. Private to them. One thread.
 *
 * Everything is an array in a struct buf, and refers to other things by
 * index: a node costs 64 bytes, a name 12 and its bytes once, a piece 16, a
 * chunk 40, and nothing is allocated by itself.
 */
#ifndef LARDER_CATALOG_NODES_H
#define LARDER_CATALOG_NODES_H

#include <stdint.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "catalog_build.h"
#include "catalog_format.h"
#include "intern.h"

#define NONE UINT32_MAX

struct build_node {
	int64_t mtime_sec;
	uint64_t size; /* of files and symlinks, as in the catalog */
	uint32_t mode, uid, gid;
	uint32_t mtime_nsec;
	uint32_t xattrs; /* index in `xattrs`, or NONE */
	uint32_t names;	 /* links to it */
	uint32_t name;	 /* after ordering: its first link */
	uint32_t ino;	 /* after finishing; else 0 */
	union {
		struct {
			uint32_t first; /* after ordering: link */
			uint32_t count; /* links in it */
			uint32_t subdirs;
		} dir;
		struct {
			uint32_t first, last; /* pieces */
			uint32_t count;
		} file;
		uint32_t target; /* offset in `targets` */
		uint32_t rdev;
	};
};

struct build_link {
	uint32_t parent;
	uint32_t name; /* offset in `names` of a struct build_name */
	uint32_t node;
};

/* A different name, followed by its bytes; not aligned. */
struct build_name {
	uint8_t at[4]; /* its offset in the catalog's heap, or NONE */
	uint8_t len;
	char bytes[];
};

struct build_piece {
	uint64_t len;
	uint32_t chunk; /* index in `chunks`, or CATALOG_HOLE */
	uint32_t next;	/* piece of the same file, or NONE */
};

struct build_chunk {
	struct digest digest;
	uint32_t size;
	uint32_t number; /* in the catalog, or NONE */
};

struct build_xattrs {
	uint32_t off, len; /* in `xattr_bytes` */
	uint32_t number;   /* in the catalog, or NONE */
};

enum build_state {
	BUILD_OPEN,
	BUILD_SEALED, /* ordering has begun, and failed if it is not over */
	BUILD_ORDERED,
	BUILD_FINISHED,
};

struct catalog_build {
	enum build_state state;
	struct buf nodes, links, names, targets;
	struct buf pieces, chunks, xattrs, xattr_bytes;
	struct intern name_ids, chunk_ids, xattr_ids;
	struct buf files; /* uint32_t: handles in tree order */
	uint32_t n_nodes, n_links, n_names;
	uint32_t n_pieces, n_chunks, n_xattrs;
	uint32_t n_files, n_dirs, n_symlinks;
	uint64_t bytes; /* sum of the files' sizes */
};

static inline struct build_node *build_node(const struct catalog_build *b,
					    uint32_t i)
{
	return (struct build_node *)(void *)b->nodes.data + i;
}

static inline struct build_link *build_link(const struct catalog_build *b,
					    uint32_t i)
{
	return (struct build_link *)(void *)b->links.data + i;
}

static inline struct build_name *build_name(const struct catalog_build *b,
					    uint32_t off)
{
	return (struct build_name *)(void *)(b->names.data + off);
}

static inline struct build_piece *build_piece(const struct catalog_build *b,
					      uint32_t i)
{
	return (struct build_piece *)(void *)b->pieces.data + i;
}

static inline struct build_chunk *build_chunk(const struct catalog_build *b,
					      uint32_t i)
{
	return (struct build_chunk *)(void *)b->chunks.data + i;
}

static inline struct build_xattrs *build_xattrs(const struct catalog_build *b,
						uint32_t i)
{
	return (struct build_xattrs *)(void *)b->xattrs.data + i;
}

static inline uint32_t build_type(const struct build_node *n)
{
	return n->mode & S_IFMT;
}

#endif
