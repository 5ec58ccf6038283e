/* SPDX-License-Identifier: Apache-2.0 */
/* The model's nodes, names and attributes; see model.h. */
#include "model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char *copy_text(const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		abort();
	return copy;
}

/* --- nodes --- */

struct model_node *model_node_new(uint32_t mode)
{
	struct model_node *n = calloc(1, sizeof(*n));

	if (!n)
		abort();
	n->mode = mode;
	n->nlink = S_ISDIR(mode) ? 2 : 0;
	return n;
}

static void node_free(struct model_node *n)
{
	while (n->n_xattrs > 0)
		model_remove_xattr(n, &n->xattrs[0]);
	free(n->xattrs);
	free(n->names);
	free(n->target);
	content_release(&n->content);
	free(n);
}

static void free_if_unused(struct model_node *n)
{
	if (n->nlink == 0 && n->opens == 0)
		node_free(n);
}

static struct model_node *cut(struct model_node *dir, struct model_name *e)
{
	struct model_node *n = e->node;

	free(e->name);
	*e = dir->names[--dir->n];
	if (S_ISDIR(n->mode))
		dir->nlink--;
	else
		n->nlink--;
	return n;
}

static void free_tree(struct model_node *dir)
{
	while (dir->n > 0) {
		struct model_node *n = cut(dir, &dir->names[dir->n - 1]);

		if (S_ISDIR(n->mode))
			free_tree(n);
		else
			free_if_unused(n);
	}
	node_free(dir);
}

void model_init(struct model *m, uint32_t uid, uint32_t gid)
{
	*m = (struct model){ .uid = uid, .gid = gid };
	m->root = model_node_new(S_IFDIR | 0755);
}

void model_release(struct model *m)
{
	unsigned i;

	for (i = 0; i < TREE_SLOTS; i++)
		model_drop(m, i);
	free_tree(m->root);
	*m = (struct model){ 0 };
}

void model_each(struct model_node *dir,
		void (*each)(void *arg, struct model_node *n), void *arg)
{
	size_t i;

	each(arg, dir);
	for (i = 0; i < dir->n; i++) {
		struct model_node *n = dir->names[i].node;

		if (S_ISDIR(n->mode))
			model_each(n, each, arg);
		else
			each(arg, n);
	}
}

/* --- times --- */

void model_time_set(struct model_time *t, int64_t at)
{
	*t = (struct model_time){ .at = at, .known = true };
}

void model_time_changed(const struct model *m, struct model_time *t)
{
	*t = (struct model_time){ .low = m->now };
}

void model_time_may_change(const struct model *m, struct model_time *t)
{
	if (t->maybe || !t->known)
		return;
	t->maybe = true;
	t->low = m->now;
}

void model_time_unknown(struct model_time *t)
{
	*t = (struct model_time){ .low = INT64_MIN };
}

void model_modified(const struct model *m, struct model_node *n)
{
	model_time_changed(m, &n->mtime);
	model_time_changed(m, &n->ctime);
}

void model_changed(const struct model *m, struct model_node *n)
{
	model_time_changed(m, &n->ctime);
}

/* --- names --- */

struct model_name *model_name(const struct model_node *dir, const char *name)
{
	size_t i;

	for (i = 0; i < dir->n; i++)
		if (strcmp(dir->names[i].name, name) == 0)
			return &dir->names[i];
	return NULL;
}

void model_add(struct model_node *dir, const char *name, struct model_node *n)
{
	struct model_name *e;

	if (dir->n == dir->cap) {
		dir->cap = dir->cap ? dir->cap * 2 : 8;
		dir->names = reallocarray(dir->names, dir->cap, sizeof(*e));
		if (!dir->names)
			abort();
	}
	e = &dir->names[dir->n++];
	e->name = copy_text(name);
	e->node = n;
	if (S_ISDIR(n->mode)) {
		n->parent = dir;
		dir->nlink++;
	} else {
		n->nlink++;
	}
}

struct model_slot *model_slot(struct model *m, const char *path)
{
	if (path[0] != '@' || path[1] < '0' || path[1] >= '0' + TREE_SLOTS ||
	    path[2] != '\0')
		return NULL;
	return &m->slots[path[1] - '0'];
}

/* A name as it may be looked up; *ret_name is NULL where there is none. */
static int look(const struct model_node *dir, const char *name,
		struct model_name **ret_name)
{
	if (strlen(name) > MODEL_NAME_MAX)
		return -ENAMETOOLONG;
	*ret_name = model_name(dir, name);
	return 0;
}

/* The directory of a path and its last name, which is "" for the root. */
static int walk(struct model *m, const char *path, struct model_node **ret_dir,
		const char **ret_name)
{
	struct model_node *dir = m->root;
	const char *slash;
	char part[1024];
	int r;

	while ((slash = strchr(path, '/'))) {
		struct model_name *e;

		snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
		r = look(dir, part, &e);
		if (r < 0)
			return r;
		if (!e)
			return -ENOENT;
		dir = e->node;
		if (S_ISLNK(dir->mode))
			return -ELOOP;
		if (!S_ISDIR(dir->mode))
			return -ENOTDIR;
		path = slash + 1;
	}
	*ret_dir = dir;
	*ret_name = path;
	return 0;
}

int model_find(struct model *m, const char *path, struct model_node **ret_node)
{
	const struct model_slot *slot = model_slot(m, path);
	struct model_node *dir;
	struct model_name *e;
	const char *name;
	int r;

	if (slot) {
		*ret_node = slot->node;
		return slot->node ? 0 : -EBADF;
	}
	r = walk(m, path, &dir, &name);
	if (r == 0 && *name == '\0') {
		*ret_node = dir;
		return 0;
	}
	if (r == 0)
		r = look(dir, name, &e);
	if (r < 0)
		return r;
	if (!e)
		return -ENOENT;
	*ret_node = e->node;
	return 0;
}

int model_find_file(struct model *m, const char *path,
		    struct model_node **ret_node)
{
	struct model_node *n;
	int r = model_find(m, path, &n);

	if (r < 0)
		return r;
	if (S_ISDIR(n->mode))
		return -EISDIR;
	if (S_ISLNK(n->mode))
		return -ELOOP;
	*ret_node = n;
	return 0;
}

/* --- what operations do --- */

static void own(const struct model *m, const struct model_node *dir,
		struct model_node *n)
{
	n->uid = m->uid;
	n->gid = m->gid;
	if (dir->mode & S_ISGID) {
		n->gid = dir->gid;
		if (S_ISDIR(n->mode))
			n->mode |= S_ISGID;
	}
	model_time_changed(m, &n->atime);
	model_modified(m, n);
}

int model_make(struct model *m, const char *path, uint32_t mode,
	       const char *target)
{
	struct model_node *dir, *n;
	struct model_name *e;
	const char *name;
	int r = walk(m, path, &dir, &name);

	if (r == 0)
		r = look(dir, name, &e);
	if (r < 0)
		return r;
	if (e || *name == '\0')
		return -EEXIST;
	n = model_node_new(mode);
	if (target)
		n->target = copy_text(target);
	own(m, dir, n);
	model_add(dir, name, n);
	model_modified(m, dir);
	return 0;
}

int model_link(struct model *m, const char *from, const char *to)
{
	struct model_node *n, *dir;
	struct model_name *e;
	const char *name;
	int r = model_find(m, from, &n);

	if (r == 0)
		r = walk(m, to, &dir, &name);
	if (r == 0)
		r = look(dir, name, &e);
	if (r < 0)
		return r;
	if (e)
		return -EEXIST;
	if (S_ISDIR(n->mode))
		return -EPERM;
	if (n->nlink == 0 && !n->linkable)
		return -ENOENT;
	n->linkable = false;
	model_add(dir, name, n);
	model_modified(m, dir);
	model_changed(m, n);
	return 0;
}

/* The node lost a name, or, as a directory, its only one. */
static void lost_name(const struct model *m, struct model_node *n)
{
	if (S_ISDIR(n->mode))
		n->nlink = 0;
	model_changed(m, n);
	free_if_unused(n);
}

int model_remove(struct model *m, const char *path, bool rmdir)
{
	struct model_node *dir;
	struct model_name *e;
	const char *name;
	int r = walk(m, path, &dir, &name);

	if (r == 0)
		r = look(dir, name, &e);
	if (r < 0)
		return r;
	if (!e)
		return -ENOENT;
	if (rmdir && !S_ISDIR(e->node->mode))
		return -ENOTDIR;
	if (!rmdir && S_ISDIR(e->node->mode))
		return -EISDIR;
	if (e->node->n > 0)
		return -ENOTEMPTY;
	model_modified(m, dir);
	lost_name(m, cut(dir, e));
	return 0;
}

static bool above(const struct model_node *n, const struct model_node *dir)
{
	for (; dir; dir = dir->parent)
		if (dir == n)
			return true;
	return false;
}

static int rename_check(const struct model_node *n,
			const struct model_node *target,
			const struct model_node *from,
			const struct model_node *to, unsigned flags)
{
	if (target && (flags & RENAME_NOREPLACE))
		return -EEXIST;
	if (!target && (flags & RENAME_EXCHANGE))
		return -ENOENT;
	if (above(n, to))
		return -EINVAL;
	if (target && above(target, from))
		return flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
	if (!target || (flags & RENAME_EXCHANGE) || n == target)
		return 0;
	if (S_ISDIR(n->mode) && !S_ISDIR(target->mode))
		return -ENOTDIR;
	if (!S_ISDIR(n->mode) && S_ISDIR(target->mode))
		return -EISDIR;
	return target->n > 0 ? -ENOTEMPTY : 0;
}

/* Both names exist, or only the first. */
static void move(const struct model *m, struct model_node *from,
		 const char *name, struct model_node *to, const char *new_name,
		 bool exchange)
{
	struct model_node *n = cut(from, model_name(from, name));
	struct model_name *e = model_name(to, new_name);
	struct model_node *target = e ? cut(to, e) : NULL;

	model_add(to, new_name, n);
	model_changed(m, n);
	model_modified(m, from);
	model_modified(m, to);
	if (target && exchange) {
		model_add(from, name, target);
		model_changed(m, target);
	} else if (target) {
		lost_name(m, target);
	}
}

int model_rename(struct model *m, const char *from, const char *to,
		 unsigned flags)
{
	struct model_node *a, *b, *target;
	struct model_name *e, *f;
	const char *name, *new_name;
	int r = walk(m, from, &a, &name);

	if (r == 0)
		r = walk(m, to, &b, &new_name);
	if (r == 0)
		r = look(a, name, &e);
	if (r < 0)
		return r;
	if (!e)
		return -ENOENT;
	r = look(b, new_name, &f);
	if (r < 0)
		return r;
	target = f ? f->node : NULL;
	r = rename_check(e->node, target, a, b, flags);
	if (r < 0 || e->node == target)
		return r;
	move(m, a, name, b, new_name, flags & RENAME_EXCHANGE);
	return 0;
}

/* --- open files --- */

void model_hold(struct model *m, unsigned slot, struct model_node *n,
		bool append)
{
	n->opens++;
	m->slots[slot] = (struct model_slot){ n, append };
}

int model_tmpfile(struct model *m, unsigned slot, const char *dir,
		  uint32_t mode)
{
	struct model_node *d, *n;
	int r = model_find(m, dir, &d);

	if (r < 0)
		return r;
	if (S_ISLNK(d->mode))
		return -ELOOP;
	if (!S_ISDIR(d->mode))
		return -ENOTDIR;
	n = model_node_new(S_IFREG | mode);
	own(m, d, n);
	n->linkable = true;
	model_hold(m, slot, n, false);
	return 0;
}

void model_drop(struct model *m, unsigned slot)
{
	struct model_node *n = m->slots[slot].node;

	m->slots[slot] = (struct model_slot){ 0 };
	if (!n)
		return;
	n->opens--;
	free_if_unused(n);
}

/* --- attributes --- */

/* Root's chown takes the privileges off a file, too. */
void model_chown(struct model *m, struct model_node *n, uint32_t uid,
		 uint32_t gid)
{
	n->uid = uid;
	n->gid = gid;
	if (!S_ISDIR(n->mode)) {
		n->mode &= ~(uint32_t)S_ISUID;
		if (n->mode & S_IXGRP)
			n->mode &= ~(uint32_t)S_ISGID;
	}
	model_changed(m, n);
}

struct model_xattr *model_xattr(struct model_node *n, const char *name)
{
	size_t i;

	for (i = 0; i < n->n_xattrs; i++)
		if (strcmp(n->xattrs[i].name, name) == 0)
			return &n->xattrs[i];
	return NULL;
}

void model_set_xattr(struct model_node *n, const char *name, const void *value,
		     size_t len)
{
	struct model_xattr *x = model_xattr(n, name);

	if (!x) {
		n->xattrs =
			reallocarray(n->xattrs, n->n_xattrs + 1, sizeof(*x));
		if (!n->xattrs)
			abort();
		x = &n->xattrs[n->n_xattrs++];
		*x = (struct model_xattr){ .name = copy_text(name) };
	}
	free(x->value);
	x->value = malloc(len + 1);
	if (!x->value)
		abort();
	memcpy(x->value, value, len);
	x->len = len;
}

void model_remove_xattr(struct model_node *n, struct model_xattr *x)
{
	free(x->name);
	free(x->value);
	*x = n->xattrs[--n->n_xattrs];
}
