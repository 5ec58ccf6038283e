/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths of inodes, for messages. A file's record does not say where it is
 * named, so this searches: the name table, then the base's directories. Only for
 * what is rare.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "upper.h"
#include "view.h"

struct place {
	uint64_t parent;
	const char *text;
	size_t len;
};

/* A name of the base for `ino` that the upper left alone, in `dir`. */
static bool find_in_base(const struct upper *u, uint32_t dir, uint64_t ino,
			 struct place *ret_place)
{
	struct catalog_dirent d;
	uint32_t k;

	for (k = 0; catalog_dirent(u->base, dir, k, &d) == 0; k++) {
		if (d.ino != ino ||
		    names_find(&u->names, dir, d.name, d.name_len))
			continue;
		*ret_place = (struct place){ dir, d.name, d.name_len };
		return true;
	}
	return false;
}

/* Whether it is a directory, and which one is above it. */
static bool is_dir(const struct upper *u, uint64_t ino, uint64_t *ret_parent)
{
	const struct inode *i = inodes_get(&u->inodes, ino);
	struct catalog_inode ci;

	if (i) {
		*ret_parent = i->m.parent;
		return S_ISDIR(i->m.mode);
	}
	if (!u->base || ino > u->base_inodes ||
	    catalog_inode(u->base, (uint32_t)ino, &ci) < 0)
		return false;
	*ret_parent = ci.parent;
	return S_ISDIR(ci.mode);
}

static bool find_place(const struct upper *u, uint64_t ino,
		       struct place *ret_place)
{
	const struct name *n;
	uint64_t parent;
	size_t pos = 0;
	uint32_t dir;

	while ((n = names_next(&u->names, &pos))) {
		if (n->ino != ino)
			continue;
		*ret_place = (struct place){ n->parent, n->text, n->len };
		return true;
	}
	if (ino > u->base_inodes)
		return false;
	if (is_dir(u, ino, &parent))
		return upper_is_base_dir(u, parent) &&
		       find_in_base(u, (uint32_t)parent, ino, ret_place);
	for (dir = 1; dir <= u->base_inodes; dir++)
		if (upper_is_base_dir(u, dir) &&
		    find_in_base(u, dir, ino, ret_place))
			return true;
	return false;
}

char *upper_path(const struct upper *u, uint64_t ino)
{
	char *path = NULL, *longer;
	unsigned steps = 4096; /* deeper is cut off at the front */
	struct place p;

	while (ino != VIEW_ROOT && steps-- > 0) {
		if (!find_place(u, ino, &p))
			break;
		if (asprintf(&longer, "%.*s%s%s", (int)p.len, p.text,
			     path ? "/" : "", path ? path : "") < 0)
			break;
		free(path);
		path = longer;
		ino = p.parent;
	}
	return path;
}
