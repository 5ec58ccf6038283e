/* SPDX-License-Identifier: Apache-2.0 */
/* The table of places: directory and position in it, by inode number. */
#include "catalog_places.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define DEPTH_MAX 4096 /* deeper has no path */

struct place {
	uint32_t dir; /* 0: no name */
	uint32_t index;
};

struct catalog_places {
	const struct catalog *catalog; /* borrowed */
	uint32_t inodes;
	struct place *places; /* of inode n at n */
};

static int add_names(struct catalog_places *p, uint32_t dir)
{
	struct catalog_dirent d;
	uint32_t k;
	int r;

	for (k = 0; (r = catalog_dirent(p->catalog, dir, k, &d)) == 0; k++)
		if (d.ino <= p->inodes && p->places[d.ino].dir == 0)
			p->places[d.ino] = (struct place){ dir, k };
	return r == -ENOENT ? 0 : r;
}

static int add_all(struct catalog_places *p)
{
	struct catalog_inode i;
	uint32_t ino;
	int r = 0;

	for (ino = CATALOG_ROOT; r == 0 && ino <= p->inodes; ino++) {
		r = catalog_inode(p->catalog, ino, &i);
		if (r == 0 && S_ISDIR(i.mode))
			r = add_names(p, ino);
	}
	return r;
}

int catalog_places_new(const struct catalog *c,
		       struct catalog_places **ret_places)
{
	struct catalog_places *p = calloc(1, sizeof(*p));
	struct catalog_info info;
	int r = -ENOMEM;

	if (!p)
		return -ENOMEM;
	catalog_info(c, &info);
	p->catalog = c;
	p->inodes = info.inodes;
	p->places = calloc((size_t)info.inodes + 1, sizeof(*p->places));
	if (p->places)
		r = add_all(p);
	if (r < 0) {
		catalog_places_free(p);
		return r;
	}
	*ret_places = p;
	return 0;
}

void catalog_places_free(struct catalog_places *p)
{
	if (!p)
		return;
	free(p->places);
	free(p);
}

bool catalog_places_find(const struct catalog_places *p, uint32_t ino,
			 uint32_t *ret_dir, struct catalog_dirent *ret_dirent)
{
	const struct place *place = &p->places[ino <= p->inodes ? ino : 0];

	if (place->dir == 0 || catalog_dirent(p->catalog, place->dir,
					      place->index, ret_dirent) < 0)
		return false;
	*ret_dir = place->dir;
	return true;
}

/* The length of a path with its final NUL; 0: there is none. */
static size_t path_len(const struct catalog_places *p, uint32_t ino)
{
	unsigned steps = DEPTH_MAX;
	struct catalog_dirent d;
	size_t len = 0;

	for (; ino != CATALOG_ROOT; len += d.name_len + 1)
		if (steps-- == 0 || !catalog_places_find(p, ino, &ino, &d))
			return 0;
	return len;
}

char *catalog_places_path(const struct catalog_places *p, uint32_t ino)
{
	size_t at = path_len(p, ino);
	char *path = at > 0 ? malloc(at) : NULL;
	struct catalog_dirent d;
	char end = '\0';

	while (path && at > 0 && catalog_places_find(p, ino, &ino, &d)) {
		path[--at] = end;
		at -= d.name_len;
		memcpy(path + at, d.name, d.name_len);
		end = '/';
	}
	return path;
}
