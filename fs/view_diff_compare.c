/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparing a view with an old tree: one inode with one, one name with one,
 * the names of a directory in byte order with those of the old one.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "view_diff.h"

/* --- results --- */

static int add_change(struct diff *d, enum view_change change, const char *path,
		      char *from, uint64_t size, uint32_t mode)
{
	struct change *grown;
	char *copy;
	size_t cap;

	if (d->n == d->cap) {
		cap = d->cap ? d->cap * 2 : 64;
		grown = reallocarray(d->changes, cap, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		d->changes = grown;
		d->cap = cap;
	}
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	d->changes[d->n++] = (struct change){ change, copy, from, size, mode };
	return 0;
}

static int add_meta(struct diff *d, enum view_change change, const char *path,
		    const struct meta *m)
{
	return add_change(d, change, path, NULL, S_ISDIR(m->mode) ? 0 : m->size,
			  m->mode);
}

static int add_todo(struct diff *d, uint64_t dir, uint32_t old,
		    const char *path)
{
	struct pair *grown;
	char *copy;
	size_t cap;

	if (d->n_todo == d->cap_todo) {
		cap = d->cap_todo ? d->cap_todo * 2 : 64;
		grown = reallocarray(d->todo, cap, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		d->todo = grown;
		d->cap_todo = cap;
	}
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	d->todo[d->n_todo++] = (struct pair){ dir, old, copy };
	return 0;
}

/* --- comparing one inode --- */

static bool same_pieces(const struct catalog *a, uint32_t a_ino,
			const struct catalog *b, uint32_t b_ino)
{
	const struct digest *da, *db;
	struct catalog_piece pa, pb;
	uint32_t n, size;
	int ra, rb;

	for (n = 0;; n++) {
		ra = catalog_piece(a, a_ino, n, &pa);
		rb = catalog_piece(b, b_ino, n, &pb);
		if (ra < 0 || rb < 0)
			return ra == -ENOENT && rb == -ENOENT;
		if (pa.len != pb.len ||
		    (pa.chunk == CATALOG_HOLE) != (pb.chunk == CATALOG_HOLE))
			return false;
		if (pa.chunk == CATALOG_HOLE)
			continue;
		if (catalog_chunk(a, pa.chunk, &da, &size) < 0 ||
		    catalog_chunk(b, pb.chunk, &db, &size) < 0 ||
		    !digest_equal(da, db))
			return false;
	}
}

static bool same_file(const struct diff *d, const struct meta *m,
		      const struct catalog_inode *ci)
{
	const struct view *v = d->v;
	struct view_extents tmp;
	const struct extents *e = view_extents(v, m->ino, &tmp);
	uint32_t tree, number;

	if (m->size != ci->size)
		return false;
	if (m->size == 0)
		return true;
	if (!view_in_tree(v, m, e, &tree, &number))
		return false;
	if (tree == d->old_tree && number == ci->ino)
		return true;
	return same_pieces(store_tree_catalog(v->upper.trees[tree].tree),
			   number, d->old, ci->ino);
}

static bool same_target(const struct diff *d, const struct meta *m,
			const struct catalog_inode *ci)
{
	const char *a, *b;
	size_t a_len, b_len;

	return view_target(d->v, m->ino, &a, &a_len) == 0 &&
	       catalog_readlink(d->old, ci->ino, &b, &b_len) == 0 &&
	       a_len == b_len && memcmp(a, b, a_len) == 0;
}

static bool same_content(const struct diff *d, const struct meta *m,
			 const struct catalog_inode *ci)
{
	if ((m->mode ^ ci->mode) & S_IFMT)
		return false;
	if (S_ISREG(m->mode))
		return same_file(d, m, ci);
	if (S_ISLNK(m->mode))
		return same_target(d, m, ci);
	return m->rdev == ci->rdev;
}

static uint32_t owner(uint32_t id, uint32_t self)
{
	return id == CATALOG_OWNER_SELF ? self : id;
}

static bool same_meta(const struct diff *d, const struct meta *m,
		      const struct catalog_inode *ci)
{
	const void *a = NULL, *b = NULL;
	size_t a_len = 0, b_len = 0;

	if (m->mode != ci->mode || m->uid != owner(ci->uid, d->v->uid) ||
	    m->gid != owner(ci->gid, d->v->gid))
		return false;
	if (!S_ISDIR(m->mode) &&
	    (m->mtime_sec != ci->mtime_sec || m->mtime_nsec != ci->mtime_nsec))
		return false;
	if (view_xattrs(d->v, m->ino, &a, &a_len) < 0 ||
	    catalog_xattrs(d->old, ci->ino, &b, &b_len) < 0)
		return false;
	return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

/* Content and metadata of what has the same place (or was moved there). */
static int compare(struct diff *d, const struct meta *m,
		   const struct catalog_inode *ci, const char *path,
		   bool report_meta)
{
	if (!same_content(d, m, ci))
		return add_meta(d, VIEW_MODIFIED, path, m);
	if (report_meta && !same_meta(d, m, ci))
		return add_meta(d, VIEW_META, path, m);
	return 0;
}

/* --- comparing one name --- */

/* A name that is new at `path`. */
static int new_name(struct diff *d, const struct meta *m, const char *path)
{
	int r;

	r = add_meta(d, VIEW_ADDED, path, m);
	if (r == 0 && S_ISDIR(m->mode))
		r = add_todo(d, m->ino, 0, path);
	return r;
}

static int moved_name(struct diff *d, const struct meta *m, const char *path)
{
	struct catalog_inode ci;
	char *from;
	int r;

	r = diff_old_path(d, (uint32_t)m->ino, &from);
	if (r < 0)
		return r;
	r = add_change(d, VIEW_RENAMED, path, from,
		       S_ISDIR(m->mode) ? 0 : m->size, m->mode);
	if (r < 0) {
		free(from);
		return r;
	}
	if (catalog_inode(d->old, (uint32_t)m->ino, &ci) < 0)
		return -EIO;
	if (!S_ISDIR(m->mode))
		return compare(d, m, &ci, path, false);
	return map_get(&d->touched, m->ino) ?
		       add_todo(d, m->ino, ci.ino, path) :
		       0;
}

static int gone_name(struct diff *d, uint32_t old, const char *path)
{
	struct catalog_inode ci;

	if (d->by_number && map_get(&d->moved, old))
		return 0; /* said where it is now */
	if (catalog_inode(d->old, old, &ci) < 0)
		return -EIO;
	return add_change(d, VIEW_REMOVED, path, NULL, ci.size, ci.mode);
}

/* Whether the name means the inode that it meant in the old tree. */
static bool same_inode(const struct diff *d, uint64_t dir,
		       const struct view_name *name, uint32_t old)
{
	const struct name *n;

	if (d->by_number)
		return name->ino == old;
	n = names_find(&d->v->upper.names, dir, name->text, name->len);
	return !n || n->epoch <= d->baseline;
}

static int both_names(struct diff *d, uint64_t dir,
		      const struct view_name *name, uint32_t old,
		      const struct meta *m, const char *path)
{
	bool same = same_inode(d, dir, name, old);
	const struct inode *i = inodes_get(&d->v->upper.inodes, name->ino);
	struct catalog_inode ci;
	int r;

	if (same && !S_ISDIR(m->mode) && (!i || i->m.epoch <= d->baseline))
		return 0;
	if (catalog_inode(d->old, old, &ci) < 0)
		return -EIO;
	if ((m->mode ^ ci.mode) & S_IFMT) {
		r = add_meta(d, VIEW_MODIFIED, path, m);
		if (r == 0 && S_ISDIR(m->mode))
			r = add_todo(d, m->ino, 0, path);
		return r;
	}
	r = compare(d, m, &ci, path, true);
	if (r < 0 || !S_ISDIR(m->mode) ||
	    (same && !map_get(&d->touched, m->ino)))
		return r;
	return add_todo(d, m->ino, old, path);
}

static int compare_name(struct diff *d, const struct pair *p,
			const struct view_name *name,
			const struct catalog_dirent *old)
{
	const char *text = name ? name->text : old->name;
	size_t len = name ? name->len : old->name_len;
	_cleanup_free_ char *path = NULL;
	const struct name *moved;
	struct meta m;
	int r;

	if (asprintf(&path, "%s%s%.*s", p->path, *p->path ? "/" : "", (int)len,
		     text) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	if (!name)
		return gone_name(d, old->ino, path);
	r = view_load(d->v, name->ino, &m);
	if (r < 0)
		return r;
	moved = map_get(&d->moved, name->ino);
	if (moved && moved->parent == p->dir && moved->len == len &&
	    memcmp(moved->text, text, len) == 0)
		return moved_name(d, &m, path);
	if (!old)
		return new_name(d, &m, path);
	return both_names(d, p->dir, name, old->ino, &m, path);
}

/* --- comparing one directory --- */

static int by_text(const void *a, const void *b)
{
	const struct view_name *x = a, *y = b;
	size_t len = x->len < y->len ? x->len : y->len;
	int cmp = memcmp(x->text, y->text, len);

	if (cmp)
		return cmp;
	return x->len < y->len ? -1 : x->len > y->len;
}

static int list_names(const struct view *v, uint64_t dir,
		      struct view_name **ret_names, size_t *ret_n)
{
	_cleanup_free_ struct view_name *names = NULL;
	struct view_name *grown, name;
	uint64_t cookie = 2;
	size_t n = 0, cap = 0;

	while (view_dir_next(v, dir, &cookie, &name)) {
		if (n == cap) {
			cap = cap ? cap * 2 : 64;
			grown = reallocarray(names, cap, sizeof(*grown));
			if (!grown)
				return -ENOMEM;
			names = grown;
		}
		names[n++] = name;
	}
	if (n > 0)
		qsort(names, n, sizeof(*names), by_text);
	*ret_names = steal_ptr(&names);
	*ret_n = n;
	return 0;
}

int diff_compare_dir(struct diff *d, const struct pair *p)
{
	_cleanup_free_ struct view_name *names = NULL;
	struct catalog_dirent old;
	size_t n = 0, i = 0;
	uint32_t k = 0;
	bool more;
	int cmp, r;

	r = list_names(d->v, p->dir, &names, &n);
	while (r == 0) {
		more = p->old && catalog_dirent(d->old, p->old, k, &old) == 0;
		if (i == n && !more)
			break;
		cmp = i == n ? 1 :
		      !more  ? -1 :
			       by_text(&names[i],
				       &(struct view_name){ old.name,
							    old.name_len, 0 });
		r = compare_name(d, p, cmp <= 0 ? &names[i] : NULL,
				 cmp >= 0 ? &old : NULL);
		i += cmp <= 0;
		k += cmp >= 0;
	}
	return r;
}

int diff_compare_root(struct diff *d)
{
	struct catalog_inode ci;
	struct meta m;
	int r;

	if (!map_get(&d->touched, VIEW_ROOT))
		return 0;
	r = view_load(d->v, VIEW_ROOT, &m);
	if (r < 0 || !d->old)
		return r < 0 ? r : add_todo(d, VIEW_ROOT, 0, "");
	if (catalog_inode(d->old, CATALOG_ROOT, &ci) < 0)
		return -EIO;
	r = compare(d, &m, &ci, ".", true);
	return r < 0 ? r : add_todo(d, VIEW_ROOT, CATALOG_ROOT, "");
}
