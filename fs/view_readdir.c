/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listing directories. Names of the base come first, at their index in the
 * base's directory, whatever the upper makes of them; names that only the
 * upper has follow in the order of their making. A cookie says how far that
 * went: 1 and 2 behind "." and "..", 3 + index, VIEW_COOKIE_UPPER + number.
 * Neither changes while a name stays, so it is given once.
 */
#include <errno.h>

#include "view_internal.h"

static bool base_next(const struct view *v, uint64_t dir, uint64_t *cookie,
		      struct view_name *ret_name)
{
	const struct upper *u = &v->upper;
	bool overrides = names_overrides(&u->names, dir) > 0;
	const struct name *n;
	struct catalog_dirent d;

	for (;;) {
		if (catalog_dirent(u->base, (uint32_t)dir,
				   (uint32_t)(*cookie - 2), &d) < 0)
			return false;
		++*cookie;
		n = overrides ? names_find(&u->names, dir, d.name, d.name_len) :
				NULL;
		if (n && n->ino == 0)
			continue;
		*ret_name = (struct view_name){ d.name, d.name_len,
						n ? n->ino : d.ino };
		return true;
	}
}

bool view_dir_next(const struct view *v, uint64_t dir, uint64_t *cookie,
		   struct view_name *ret_name)
{
	const struct upper *u = &v->upper;
	const struct name *n;

	if (*cookie < VIEW_COOKIE_UPPER) {
		if (u->base && dir <= u->base_inodes &&
		    base_next(v, dir, cookie, ret_name))
			return true;
		*cookie = VIEW_COOKIE_UPPER;
	}
	n = names_after(&u->names, dir, *cookie - VIEW_COOKIE_UPPER);
	if (!n)
		return false;
	*cookie = VIEW_COOKIE_UPPER + n->seq;
	*ret_name = (struct view_name){ n->text, n->len, n->ino };
	return true;
}

bool view_dir_empty(const struct view *v, uint64_t dir)
{
	struct view_name name;
	uint64_t cookie = 2;

	return !view_dir_next(v, dir, &cookie, &name);
}

/* "." and "..". 1: stopped. */
static int add_dots(const struct meta *m, uint64_t off, view_dir_fn add,
		    void *arg)
{
	struct view_attr attr = { .mode = S_IFDIR };

	if (off < 1) {
		attr.ino = m->ino;
		if (add(arg, ".", 1, &attr, 1))
			return 1;
	}
	if (off < 2) {
		attr.ino = m->parent;
		if (add(arg, "..", 2, &attr, 2))
			return 1;
	}
	return 0;
}

int view_readdir(struct view *v, uint64_t dir, uint64_t off, bool plus,
		 view_dir_fn add, void *arg)
{
	uint64_t cookie = off < 2 ? 2 : off;
	struct view_name name;
	struct view_attr attr;
	struct meta m;
	int r;

	READ_SCOPE(v);
	r = view_load(v, dir, &m);
	if (r < 0)
		return r;
	if (!S_ISDIR(m.mode))
		return -ENOTDIR;
	if (add_dots(&m, off, add, arg))
		return 0;
	while (view_dir_next(v, dir, &cookie, &name)) {
		r = view_load(v, name.ino, &m);
		if (r < 0)
			return r;
		attr = (struct view_attr){ .ino = m.ino, .mode = m.mode };
		if (plus)
			view_fill_attr(v, &m, &attr);
		if (add(arg, name.text, name.len, &attr, cookie))
			return 0;
		if (plus)
			view_ref(v, m.ino);
	}
	return 0;
}
