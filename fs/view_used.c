/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nobody read of the base: listing it, and taking it away before a
 * commit, so that the entry and the mount stay one tree.
 *
 * One walk over all names decides. A directory goes with its files where
 * nothing else is left in it and nobody changed it; what was empty stays, since
 * nobody can tell whether it was looked at. The walk holds the read lock;
 * before a file goes it is looked at again under the write lock, so what is
 * read or changed meanwhile stays.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/log.h"

#include "view_internal.h"

/* A name in `parent`; what `path` ends with. */
struct unused {
	uint64_t parent, ino, size;
	char *path;
};

struct unused_list {
	struct unused *items;
	size_t n, cap;
};

/* A directory of the walk; those below it come behind it. */
struct walk_dir {
	struct unused name; /* of the root: without a path */
	size_t up;
	bool stays;
};

struct walk {
	struct view *view;
	struct walk_dir *dirs;
	size_t n_dirs, cap_dirs;
	struct unused_list files;
};

static void walk_release(struct walk *w)
{
	for (size_t i = 0; i < w->n_dirs; i++)
		free(w->dirs[i].name.path);
	for (size_t i = 0; i < w->files.n; i++)
		free(w->files.items[i].path);
	free(w->dirs);
	free(w->files.items);
}

/* --- the walk --- */

/* A regular file of the base that has content and is as it was. */
static bool is_unused(const struct view *v, uint64_t ino, uint64_t *ret_size)
{
	const struct upper *u = &v->upper;
	struct catalog_inode ci;

	if (!u->base || ino > u->base_inodes || used_has(v->used, ino) ||
	    inodes_get(&u->inodes, ino) ||
	    catalog_inode(u->base, (uint32_t)ino, &ci) < 0 ||
	    !S_ISREG(ci.mode) || ci.size == 0)
		return false;
	*ret_size = ci.size;
	return true;
}

static char *path_below(const char *dir, const struct view_name *name)
{
	char *path;

	if (asprintf(&path, "%s%s%.*s", dir ? dir : "", dir ? "/" : "",
		     (int)name->len, name->text) < 0)
		return NULL;
	return path;
}

/* The list with room for one more, `bytes` each; NULL when memory is short. */
static void *grown(void *list, size_t n, size_t *cap, size_t bytes)
{
	size_t more = *cap ? *cap * 2 : 256;

	if (n < *cap)
		return list;
	list = reallocarray(list, more, bytes);
	if (list)
		*cap = more;
	return list;
}

static int add_file(struct walk *w, size_t dir, const struct view_name *name,
		    uint64_t size)
{
	struct unused_list *l = &w->files;
	struct unused *items = grown(l->items, l->n, &l->cap, sizeof(*items));
	char *path;

	if (!items)
		return -ENOMEM;
	l->items = items;
	path = path_below(w->dirs[dir].name.path, name);
	if (!path)
		return -ENOMEM;
	l->items[l->n++] =
		(struct unused){ w->dirs[dir].name.ino, name->ino, size, path };
	return 0;
}

static int add_dir(struct walk *w, size_t up, const struct view_name *name)
{
	const struct upper *u = &w->view->upper;
	struct walk_dir *dirs =
		grown(w->dirs, w->n_dirs, &w->cap_dirs, sizeof(*dirs));
	char *path;

	if (!dirs)
		return -ENOMEM;
	w->dirs = dirs;
	path = path_below(w->dirs[up].name.path, name);
	if (!path)
		return -ENOMEM;
	w->dirs[w->n_dirs++] = (struct walk_dir){
		.name = { w->dirs[up].name.ino, name->ino, 0, path },
		.up = up,
		.stays = name->ino > u->base_inodes ||
			 inodes_get(&u->inodes, name->ino) ||
			 view_dir_empty(w->view, name->ino),
	};
	return 0;
}

static int add_name(struct walk *w, size_t dir, const struct view_name *name)
{
	uint64_t size;
	struct meta m;
	int r;

	if (is_unused(w->view, name->ino, &size))
		return add_file(w, dir, name, size);
	r = view_load(w->view, name->ino, &m);
	if (r == 0 && S_ISDIR(m.mode))
		return add_dir(w, dir, name);
	w->dirs[dir].stays = true;
	return r;
}

static int walk_dirs(struct walk *w)
{
	struct view_name name;
	int r = 0;

	w->dirs = grown(NULL, 0, &w->cap_dirs, sizeof(*w->dirs));
	if (!w->dirs)
		return -ENOMEM;
	w->dirs[0] = (struct walk_dir){ .name.ino = VIEW_ROOT, .stays = true };
	w->n_dirs = 1;
	for (size_t i = 0; r == 0 && i < w->n_dirs; i++) {
		uint64_t cookie = 2, ino = w->dirs[i].name.ino;

		while (r == 0 && view_dir_next(w->view, ino, &cookie, &name))
			r = add_name(w, i, &name);
	}
	for (size_t i = w->n_dirs; r == 0 && i-- > 1;)
		if (w->dirs[i].stays)
			w->dirs[w->dirs[i].up].stays = true;
	return r;
}

static int walk(struct walk *w, struct view *v)
{
	if (!v->upper.base)
		return 0;
	if (!v->used || !used_is_known(v->used))
		return -ENODATA;
	w->view = v;
	READ_SCOPE(v);
	return walk_dirs(w);
}

/* --- listing --- */

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct unused *)a)->path,
		      ((const struct unused *)b)->path);
}

int view_unused(struct view *v,
		int (*each)(void *arg, const char *path, uint64_t size),
		void *arg)
{
	_cleanup_(walk_release) struct walk w = { .view = v };
	int r = walk(&w, v);

	if (r == 0 && w.files.n > 0)
		qsort(w.files.items, w.files.n, sizeof(*w.files.items),
		      by_path);
	for (size_t i = 0; r == 0 && i < w.files.n; i++)
		r = each(arg, w.files.items[i].path, w.files.items[i].size);
	return r;
}

/* --- counting anew --- */

struct restart {
	struct view *view;
	view_invalidate_fn invalidate;
	void *arg;
};

/* What was changed is no candidate, and may be dirty. */
static bool is_changed(struct view *v, uint64_t ino)
{
	READ_SCOPE(v);
	return inodes_get(&v->upper.inodes, ino);
}

static void restart_inode(void *arg, uint64_t ino)
{
	const struct restart *r = arg;

	if (r->invalidate && !is_changed(r->view, ino))
		r->invalidate(r->arg, ino, NULL, 0);
}

void view_used_restart(struct view *v, view_invalidate_fn invalidate, void *arg)
{
	struct restart r = { v, invalidate, arg };

	if (v->used)
		used_restart(v->used, restart_inode, &r);
}

/* --- leaving out --- */

static int by_ino(const void *a, const void *b)
{
	const struct unused *x = a, *y = b;

	return (x->ino > y->ino) - (x->ino < y->ino);
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Whether the name is still the inode's. */
static bool is_there(const struct view *v, const struct unused *name)
{
	const char *text = last_part(name->path);
	uint64_t ino;

	return view_child(v, name->parent, text, strlen(text), &ino) == 0 &&
	       ino == name->ino;
}

/* As unlink() and rmdir() do it, but without a trace in the directory's times:
 * nobody worked there. */
static int take_name(struct view *v, const struct unused *name)
{
	const char *text = last_part(name->path);
	struct meta m, dir;
	int r = view_load(v, name->ino, &m);

	if (r == 0)
		r = view_load(v, name->parent, &dir);
	if (r < 0)
		return r;
	if (S_ISDIR(m.mode)) {
		m.nlink = 0;
		dir.nlink--;
		view_put_inode(v, &dir);
	} else {
		m.nlink--;
	}
	view_put_inode(v, &m);
	view_put_name(v, name->parent, text, strlen(text), 0);
	v->upper.frees = true;
	return upper_append(&v->upper, NULL, 0);
}

/* All names of one file, or none. */
static int take_file(struct view *v, const struct unused *names, size_t n,
		     struct view_left_out *out)
{
	uint64_t size;
	int r;

	WRITE_SCOPE(v);
	r = view_writable(v);
	if (r < 0 || !is_unused(v, names[0].ino, &size))
		return r;
	for (size_t i = 0; i < n; i++)
		if (!is_there(v, &names[i]))
			return 0;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = take_name(v, &names[i]);
	if (r < 0)
		return r;
	view_drop_unlinked(v, names[0].ino);
	out->files += n;
	out->bytes += size;
	return 1;
}

static int take_dir(struct view *v, const struct unused *name)
{
	int r;

	WRITE_SCOPE(v);
	r = view_writable(v);
	if (r < 0 || !is_there(v, name) || !view_dir_empty(v, name->ino))
		return r;
	r = take_name(v, name);
	if (r == 0)
		view_drop_unlinked(v, name->ino);
	return r < 0 ? r : 1;
}

static void tell(const struct unused *name, view_invalidate_fn invalidate,
		 void *arg)
{
	const char *text = last_part(name->path);

	if (invalidate)
		invalidate(arg, name->parent, text, strlen(text));
}

static int take_files(struct walk *w, view_invalidate_fn invalidate, void *arg,
		      struct view_left_out *out)
{
	const struct unused *files = w->files.items;
	int r = 0;

	for (size_t i = 0, n; r >= 0 && i < w->files.n; i += n) {
		for (n = 1; i + n < w->files.n; n++)
			if (files[i + n].ino != files[i].ino)
				break;
		r = take_file(w->view, files + i, n, out);
		for (size_t k = i; r > 0 && k < i + n; k++)
			tell(&files[k], invalidate, arg);
	}
	return r < 0 ? r : 0;
}

static int take_dirs(struct walk *w, view_invalidate_fn invalidate, void *arg)
{
	int r = 0;

	for (size_t i = w->n_dirs; r >= 0 && i-- > 1;) {
		if (w->dirs[i].stays)
			continue;
		r = take_dir(w->view, &w->dirs[i].name);
		if (r > 0)
			tell(&w->dirs[i].name, invalidate, arg);
	}
	return r < 0 ? r : 0;
}

int view_leave_out(struct view *v, view_invalidate_fn invalidate, void *arg,
		   struct view_left_out *ret_out)
{
	_cleanup_(walk_release) struct walk w = { .view = v };
	struct view_left_out out = { 0, 0 };
	int r = walk(&w, v);

	if (r == 0 && w.files.n > 0) {
		qsort(w.files.items, w.files.n, sizeof(*w.files.items), by_ino);
		r = take_files(&w, invalidate, arg, &out);
	}
	if (r == 0)
		r = take_dirs(&w, invalidate, arg);
	if (r == 0)
		*ret_out = out;
	return r;
}
