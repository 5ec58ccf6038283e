/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Searching a catalog for names. Directories know their parent, so only the
 * last name of a file's path takes a search through all directories.
 */
#include "catalog_path.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/io.h"

#define DEPTH_MAX 4096 /* deeper is cut off at the front */

/* The name of `ino` in the directory. */
static bool name_in(const struct catalog *c, uint32_t dir, uint32_t ino,
		    struct catalog_dirent *ret_dirent)
{
	uint32_t k;

	for (k = 0; catalog_dirent(c, dir, k, ret_dirent) == 0; k++)
		if (ret_dirent->ino == ino)
			return true;
	return false;
}

static bool name_of(const struct catalog *c, uint32_t ino, uint32_t *ret_dir,
		    struct catalog_dirent *ret_dirent)
{
	struct catalog_inode i;
	uint32_t dir;

	if (catalog_inode(c, ino, &i) < 0)
		return false;
	*ret_dir = i.parent;
	if (S_ISDIR(i.mode))
		return name_in(c, i.parent, ino, ret_dirent);
	for (dir = CATALOG_ROOT; catalog_inode(c, dir, &i) == 0; dir++) {
		if (!S_ISDIR(i.mode) || !name_in(c, dir, ino, ret_dirent))
			continue;
		*ret_dir = dir;
		return true;
	}
	return false;
}

char *catalog_path(const struct catalog *c, uint32_t ino)
{
	unsigned steps = DEPTH_MAX;
	struct catalog_dirent d;
	char *path = NULL;
	uint32_t dir;

	while (ino != CATALOG_ROOT && steps-- > 0 &&
	       name_of(c, ino, &dir, &d)) {
		char *longer = io_path("%.*s%s%s", (int)d.name_len, d.name,
				       path ? "/" : "", path ? path : "");

		free(path);
		path = longer;
		if (!path)
			break;
		ino = dir;
	}
	return path;
}

static bool has_chunk(const struct catalog *c, uint32_t ino, uint32_t chunk)
{
	struct catalog_piece p;
	uint32_t n;

	for (n = 0; catalog_piece(c, ino, n, &p) == 0; n++)
		if (p.chunk == chunk)
			return true;
	return false;
}

char *catalog_chunk_path(const struct catalog *c, uint32_t chunk,
			 uint32_t *ret_others)
{
	uint32_t ino, first = 0, files = 0;
	struct catalog_inode i;

	for (ino = CATALOG_ROOT; catalog_inode(c, ino, &i) == 0; ino++) {
		if (!S_ISREG(i.mode) || !has_chunk(c, ino, chunk))
			continue;
		if (files++ == 0)
			first = ino;
	}
	*ret_others = files > 0 ? files - 1 : 0;
	return first ? catalog_path(c, first) : NULL;
}
