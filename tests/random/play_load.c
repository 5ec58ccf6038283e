/* SPDX-License-Identifier: Apache-2.0 */
/* Taking over a tree into an empty model; see play.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "play.h"
#include "play_internal.h"

#define PATH_SIZE 4096

struct load {
	struct play *p;
	const struct tree_ops *ops;
	void *fs;
	struct model_node **linked; /* files with several names */
	size_t n_linked;
	/* Of the directory being read. */
	struct model_node *dir;
	char *path;
	int err;
};

static int load_content(struct load *l, struct model_node *n, uint64_t size)
{
	uint64_t off = 0;
	ssize_t got;

	while (off < size) {
		got = l->ops->read(l->fs, l->path, l->p->buf, PLAY_IO_MAX, off);
		if (got <= 0)
			return got < 0 ? (int)got : -EIO;
		content_write(&n->content, l->p->buf, (size_t)got, off);
		off += (uint64_t)got;
		if (off < size &&
		    l->ops->lseek(l->fs, l->path, off, SEEK_DATA, &off) < 0)
			off = size;
	}
	content_resize(&n->content, size);
	return 0;
}

static int load_target(struct load *l, struct model_node *n)
{
	ssize_t len = l->ops->readlink(l->fs, l->path, (char *)l->p->buf,
				       PLAY_IO_MAX);

	if (len < 0)
		return (int)len;
	n->target = strndup((char *)l->p->buf, (size_t)len);
	return n->target ? 0 : -ENOMEM;
}

static int load_xattrs(struct load *l, struct model_node *n)
{
	char names[4096];
	ssize_t len = l->ops->listxattr(l->fs, l->path, names, sizeof(names));
	const char *name;
	ssize_t got;

	for (name = names; len > 0 && name < names + len;
	     name += strlen(name) + 1) {
		if (strncmp(name, "user.", 5) != 0 &&
		    strncmp(name, "trusted.", 8) != 0)
			continue;
		got = l->ops->getxattr(l->fs, l->path, name, l->p->buf,
				       PLAY_IO_MAX);
		if (got < 0)
			return (int)got;
		model_set_xattr(n, name, l->p->buf, (size_t)got);
	}
	return len == -EOPNOTSUPP || len >= 0 ? 0 : (int)len;
}

static struct model_node *find_linked(const struct load *l, uint64_t ino)
{
	size_t i;

	for (i = 0; i < l->n_linked; i++)
		if (l->linked[i]->ino == ino)
			return l->linked[i];
	return NULL;
}

static void note_linked(struct load *l, struct model_node *n)
{
	l->linked = reallocarray(l->linked, l->n_linked + 1,
				 sizeof(struct model_node *));
	if (!l->linked)
		abort();
	l->linked[l->n_linked++] = n;
}

static void take_stat(struct model_node *n, const struct tree_stat *st)
{
	n->mode = st->mode;
	n->uid = st->uid;
	n->gid = st->gid;
	n->ino = st->ino; /* until the end of the load */
	model_time_set(&n->mtime, play_ns(&st->mtime));
}

static int load_names(struct load *l, struct model_node *dir);

/* What is at l->path. */
static int load_node(struct load *l, const struct tree_stat *st,
		     struct model_node *n)
{
	int r = 0;

	take_stat(n, st);
	if (S_ISREG(st->mode))
		r = load_content(l, n, st->size);
	else if (S_ISLNK(st->mode))
		r = load_target(l, n);
	if (r == 0)
		r = load_xattrs(l, n);
	if (r == 0 && S_ISDIR(st->mode))
		r = load_names(l, n);
	return r;
}

static int load_name(struct load *l, struct model_node *dir, const char *name)
{
	struct model_node *n;
	struct tree_stat st;
	int r = l->ops->stat(l->fs, l->path, &st);

	if (r < 0)
		return r;
	n = S_ISDIR(st.mode) || st.nlink == 1 ? NULL : find_linked(l, st.ino);
	if (n) {
		model_add(dir, name, n);
		return 0;
	}
	n = model_node_new(st.mode);
	model_add(dir, name, n);
	if (!S_ISDIR(st.mode) && st.nlink > 1)
		note_linked(l, n);
	return load_node(l, &st, n);
}

static void each_name(void *arg, const char *name, size_t len)
{
	struct load *l = arg;
	size_t at = strlen(l->path);
	char text[MODEL_NAME_MAX + 1];

	if (l->err < 0)
		return;
	snprintf(text, sizeof(text), "%.*s", (int)len, name);
	snprintf(l->path + at, PATH_SIZE - at, "%s%s", at ? "/" : "", text);
	l->err = load_name(l, l->dir, text);
	l->path[at] = '\0';
}

static int load_names(struct load *l, struct model_node *dir)
{
	struct model_node *above = l->dir;
	int r;

	l->dir = dir;
	r = l->ops->list(l->fs, l->path, each_name, l);
	l->dir = above;
	return r < 0 ? r : l->err;
}

int play_load(struct play *p, const struct tree_ops *ops, void *fs)
{
	char path[PATH_SIZE] = "";
	struct load l = { .p = p, .ops = ops, .fs = fs, .path = path };
	struct tree_stat st;
	int r = ops->stat(fs, "", &st);

	if (r == 0)
		r = load_node(&l, &st, p->model.root);
	free(l.linked);
	play_new_mount(p);
	return r;
}
