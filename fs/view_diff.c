/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the upper changed, against the base or, after a commit, against the
 * last commit's tree. Only directories below which something changed are compared
 * with the old tree ("touched": every change of a name bumps its directory's
 * record), so the cost follows the change. The one exception is a base file
 * that was changed in place: its directories are found by one pass over the
 * base's names, some milliseconds for 100,000 of them.
 *
 * An inode of the base that has another name than there was renamed. Numbers
 * tell that, and a commit's tree has numbers of its own, so after a commit renames
 * show as a removal and an addition.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/base/log.h"

#include "view_diff.h"

static void diff_release(struct diff *d)
{
	size_t k;

	for (k = 0; k < d->n; k++) {
		free(d->changes[k].path);
		free(d->changes[k].from);
	}
	for (k = 0; k < d->n_todo; k++)
		free(d->todo[k].path);
	free(d->changes);
	free(d->todo);
	free(d->parents);
	map_release(&d->touched);
	map_release(&d->moved);
}

/* --- what was touched --- */

static int touch(struct diff *d, uint64_t dir)
{
	struct meta m;
	int r;

	while (!map_get(&d->touched, dir)) {
		r = map_put(&d->touched, dir, d);
		if (r < 0)
			return r;
		if (dir == VIEW_ROOT || view_load(d->v, dir, &m) < 0)
			break;
		dir = m.parent;
	}
	return 0;
}

static bool changed_file(const struct diff *d, uint64_t ino)
{
	const struct inode *i = inodes_get(&d->v->upper.inodes, ino);

	return i && !S_ISDIR(i->m.mode) && i->m.nlink > 0 &&
	       i->m.epoch > d->baseline;
}

/* Directories, by their own records. */
static int touch_dirs(struct diff *d, bool *ret_base_files)
{
	const struct upper *u = &d->v->upper;
	const struct inode *i;
	size_t pos = 0;
	int r = 0;

	*ret_base_files = false;
	while (r == 0 && (i = inodes_next(&u->inodes, &pos))) {
		if (i->m.epoch <= d->baseline || i->m.nlink == 0)
			continue;
		if (S_ISDIR(i->m.mode))
			r = touch(d, i->m.ino);
		else if (i->m.ino <= u->base_inodes)
			*ret_base_files = true;
	}
	return r;
}

/* Directories of changed files, by names of the upper. */
static int touch_by_names(struct diff *d)
{
	const struct upper *u = &d->v->upper;
	const struct name *n;
	size_t pos = 0;
	int r = 0;

	while (r == 0 && (n = names_next(&u->names, &pos)))
		if (n->epoch > d->baseline || changed_file(d, n->ino))
			r = touch(d, n->parent);
	return r;
}

/* ... and by names of the base. */
static int touch_by_base(struct diff *d)
{
	const struct upper *u = &d->v->upper;
	struct catalog_dirent de;
	uint32_t dir, k;
	int r = 0;

	for (dir = 1; r == 0 && dir <= u->base_inodes; dir++) {
		if (!upper_is_base_dir(u, dir))
			continue;
		for (k = 0; catalog_dirent(u->base, dir, k, &de) == 0; k++) {
			if (!changed_file(d, de.ino) ||
			    names_find(&u->names, dir, de.name, de.name_len))
				continue;
			r = touch(d, dir);
			break;
		}
	}
	return r;
}

static int find_touched(struct diff *d)
{
	bool base_files;
	int r;

	r = touch_dirs(d, &base_files);
	if (r == 0)
		r = touch_by_names(d);
	if (r == 0 && base_files)
		r = touch_by_base(d);
	return r;
}

/* Base inodes that have one name, and that not where the base has it. */
static int find_moved(struct diff *d)
{
	const struct upper *u = &d->v->upper;
	struct catalog_inode ci;
	const struct inode *i;
	struct name *n;
	size_t pos = 0;
	int r = 0;

	if (!d->by_number)
		return 0;
	while (r == 0 && (n = names_next(&u->names, &pos))) {
		if (n->ino == 0 || n->ino > u->base_inodes ||
		    upper_base_child(u, n->parent, n->text, n->len) == n->ino)
			continue;
		i = inodes_get(&u->inodes, n->ino);
		if (!i || catalog_inode(u->base, (uint32_t)n->ino, &ci) < 0)
			continue;
		if (S_ISDIR(ci.mode) || (ci.nlink == 1 && i->m.nlink == 1))
			r = map_put(&d->moved, n->ino, n);
	}
	return r;
}

/* --- old paths --- */

static int parents_make(struct diff *d)
{
	const struct upper *u = &d->v->upper;
	struct catalog_dirent de;
	uint32_t dir, k;

	d->parents = calloc((size_t)u->base_inodes + 1, sizeof(*d->parents));
	if (!d->parents)
		return -ENOMEM;
	for (dir = 1; dir <= u->base_inodes; dir++) {
		if (!upper_is_base_dir(u, dir))
			continue;
		for (k = 0; catalog_dirent(u->base, dir, k, &de) == 0; k++)
			d->parents[de.ino] = dir;
	}
	return 0;
}

/* Puts the name of `ino` in its base directory in front of *path. */
static int old_name(struct diff *d, uint32_t ino, char **path)
{
	const struct catalog *c = d->v->upper.base;
	struct catalog_dirent de;
	char *longer;
	uint32_t k;

	for (k = 0; catalog_dirent(c, d->parents[ino], k, &de) == 0; k++)
		if (de.ino == ino)
			break;
	if (de.ino != ino)
		return -EIO;
	if (asprintf(&longer, "%.*s%s%s", (int)de.name_len, de.name,
		     *path ? "/" : "", *path ? *path : "") < 0)
		return -ENOMEM;
	free(*path);
	*path = longer;
	return 0;
}

int diff_old_path(struct diff *d, uint32_t ino, char **ret_path)
{
	uint32_t steps = d->v->upper.base_inodes;
	char *path = NULL;
	int r = d->parents ? 0 : parents_make(d);

	while (r == 0 && ino != CATALOG_ROOT) {
		if (steps-- == 0 || d->parents[ino] == 0)
			r = -EIO;
		else
			r = old_name(d, ino, &path);
		ino = d->parents[ino];
	}
	if (r < 0) {
		free(path);
		return r;
	}
	*ret_path = path;
	return 0;
}

static int diff_init(struct diff *d, struct view *v)
{
	const struct upper *u = &v->upper;
	const struct upper_tree *t;

	d->v = v;
	d->baseline = upper_baseline(u);
	d->old_tree = u->committed ? u->committed_tree : 0;
	d->by_number = !u->committed && u->base;
	t = &u->trees[d->old_tree];
	if (d->old_tree > 0 && !t->tree)
		return log_error(-EIO, "the tree of the last commit is no "
				       "longer in the store");
	if (t->tree)
		d->old = store_tree_catalog(t->tree);
	return 0;
}

static int diff_run(struct diff *d, struct view *v)
{
	struct pair p;
	int r;

	READ_SCOPE(v);
	r = diff_init(d, v);
	if (r == 0)
		r = find_touched(d);
	if (r == 0)
		r = find_moved(d);
	if (r == 0)
		r = diff_compare_root(d);
	while (r == 0 && d->n_todo > 0) {
		p = d->todo[--d->n_todo];
		r = diff_compare_dir(d, &p);
		free(p.path);
	}
	return r;
}

static int by_path(const void *a, const void *b)
{
	const struct change *x = a, *y = b;
	int cmp = strcmp(x->path, y->path);

	/* A rename before what else happened to the file. */
	return cmp ? cmp : (int)y->change - (int)x->change;
}

int view_diff(struct view *v,
	      int (*each)(void *arg, const struct view_diff_item *item),
	      void *arg)
{
	_cleanup_(diff_release) struct diff d = { 0 };
	size_t k;
	int r;

	r = diff_run(&d, v);
	if (r < 0)
		return r;
	if (d.n > 0)
		qsort(d.changes, d.n, sizeof(*d.changes), by_path);
	for (k = 0; r == 0 && k < d.n; k++) {
		const struct view_diff_item item = {
			.change = d.changes[k].change,
			.path = d.changes[k].path,
			.from = d.changes[k].from,
			.size = d.changes[k].size,
			.mode = d.changes[k].mode,
		};

		r = each(arg, &item);
	}
	return r;
}
