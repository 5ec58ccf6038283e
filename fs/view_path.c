/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths of inodes, for messages. A file's record does not say where it is
 * named, so this searches: the name table, then the base's directories. Only for
 * what is rare.
 */
#include <stdio.h>
#include <string.h>

#include "view_internal.h"

struct place {
	uint64_t parent;
	const char *text;
	size_t len;
};

/* A name of the base for `ino` that the upper left alone, in `dir`. */
static bool find_in_base(const struct view *v, uint32_t dir, uint64_t ino,
			 struct place *ret_place)
{
	const struct upper *u = &v->upper;
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

static bool find_place(const struct view *v, const struct meta *m,
		       struct place *ret_place)
{
	const struct upper *u = &v->upper;
	const struct name *n;
	size_t pos = 0;
	uint32_t dir;

	while ((n = names_next(&u->names, &pos))) {
		if (n->ino != m->ino)
			continue;
		*ret_place = (struct place){ n->parent, n->text, n->len };
		return true;
	}
	if (m->ino > u->base_inodes)
		return false;
	if (S_ISDIR(m->mode))
		return upper_is_base_dir(u, m->parent) &&
		       find_in_base(v, (uint32_t)m->parent, m->ino, ret_place);
	for (dir = 1; dir <= u->base_inodes; dir++)
		if (upper_is_base_dir(u, dir) &&
		    find_in_base(v, dir, m->ino, ret_place))
			return true;
	return false;
}

char *view_path(const struct view *v, uint64_t ino)
{
	char *path = NULL, *longer;
	unsigned steps = 4096; /* deeper is cut off at the front */
	struct place p;
	struct meta m;

	while (ino != VIEW_ROOT && steps-- > 0) {
		if (view_load(v, ino, &m) < 0 || !find_place(v, &m, &p))
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
