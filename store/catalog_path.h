/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where something of a catalog is named, for messages. A record does not say
 * where its names are, so this searches the whole catalog: only for what is
 * rare. Any thread; no state.
 */
#ifndef LARDER_CATALOG_PATH_H
#define LARDER_CATALOG_PATH_H

#include "catalog.h"

/* The path of an inode's first name, relative to the root; the caller frees.
 * NULL where it has none (the root, bad bytes) or memory is short. */
char *catalog_path(const struct catalog *c, uint32_t ino);

/* The path of the first file with the chunk as a piece, as above;
 * *ret_others: how many other files have it. */
char *catalog_chunk_path(const struct catalog *c, uint32_t chunk,
			 uint32_t *ret_others);

#endif
