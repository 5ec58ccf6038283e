/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where each inode of a catalog is named, for who asks for many of them: a
 * table of 8 bytes an inode, made by one pass over all names. For one, the
 * search of catalog_path.h is cheaper. Immutable once made; any thread.
 */
#ifndef LARDER_CATALOG_PLACES_H
#define LARDER_CATALOG_PLACES_H

#include "catalog.h"

struct catalog_places;

/* `c` is borrowed. -ENOMEM, -EBADMSG. */
int catalog_places_new(const struct catalog *c,
		       struct catalog_places **ret_places);
void catalog_places_free(struct catalog_places *p); /* NULL is fine */

/* The first name of `ino`, and the directory that it is in. False: it has none,
 * as the root. */
bool catalog_places_find(const struct catalog_places *p, uint32_t ino,
			 uint32_t *ret_dir, struct catalog_dirent *ret_dirent);

/* As catalog_path(). */
char *catalog_places_path(const struct catalog_places *p, uint32_t ino);

#endif
