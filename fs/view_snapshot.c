/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking a snapshot of the merged tree, and reading the content of its files
 * afterwards. It runs over the whole tree under the read lock, so it does no
 * more per name than a catalog record and the builder cost.
 */
#include "view_snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "store/base/log.h"

/* A directory whose names are still to be listed. */
struct snapshot_dir {
	uint64_t ino;
	uint32_t node;
};

void snapshot_release(struct snapshot *s)
{
	size_t k;

	for (k = 0; k < s->n; k++)
		free(s->files[k].extents);
	free(s->files);
	free(s->file_of);
	free(s->dirs);
	map_release(&s->links);
}

/* --- taking it --- */

static uint32_t self(uint32_t id, uint32_t own)
{
	return id == own ? CATALOG_OWNER_SELF : id;
}

static int meta_of(const struct view *v, const struct meta *m,
		   struct catalog_meta *ret_meta)
{
	int r;

	*ret_meta = (struct catalog_meta){ .mode = m->mode,
					   .uid = self(m->uid, v->uid),
					   .gid = self(m->gid, v->gid),
					   .rdev = m->rdev,
					   .mtime_sec = m->mtime_sec,
					   .mtime_nsec = m->mtime_nsec };
	if (S_ISLNK(m->mode)) {
		r = view_target(v, m->ino, &ret_meta->target,
				&ret_meta->target_len);
		if (r < 0)
			return r;
	}
	return view_xattrs(v, m->ino, &ret_meta->xattrs, &ret_meta->xattrs_len);
}

int snapshot_root(const struct view *v, struct catalog_meta *ret_meta)
{
	struct meta m;
	int r = view_load(v, VIEW_ROOT, &m);

	return r < 0 ? r : meta_of(v, &m, ret_meta);
}

static void *grown(void *list, size_t n, size_t *cap, size_t bytes)
{
	size_t more;

	if (n < *cap)
		return list;
	more = *cap ? *cap * 2 : 1024;
	list = reallocarray(list, more, bytes);
	if (list)
		*cap = more;
	return list;
}

static int file_of_set(struct snapshot *s, uint32_t node, uint32_t value)
{
	size_t nodes = s->nodes ? s->nodes : 1024;
	uint32_t *list;

	while (nodes <= node)
		nodes *= 2;
	if (nodes > s->nodes) {
		list = reallocarray(s->file_of, nodes, sizeof(*list));
		if (!list)
			return -ENOMEM;
		memset(list + s->nodes, 0, (nodes - s->nodes) * sizeof(*list));
		s->file_of = list;
		s->nodes = nodes;
	}
	s->file_of[node] = value;
	return 0;
}

/* The parts of the file that its size covers; all extents are. */
static int file_extents(struct snapshot *s, struct snapshot_file *f,
			const struct meta *m, const struct extents *e)
{
	f->in_tree = view_in_tree(s->view, m, e, &f->tree, &f->number);
	if (f->in_tree)
		return 0;
	if (e->count > 0) {
		f->extents = reallocarray(NULL, e->count, sizeof(*e->list));
		if (!f->extents)
			return -ENOMEM;
		memcpy(f->extents, e->list, e->count * sizeof(*e->list));
	}
	f->count = e->count;
	if (m->size > 0 && e->count > 0) {
		s->load_files++;
		s->load_bytes += m->size;
	}
	return 0;
}

static int add_file(struct snapshot *s, const struct meta *m, uint32_t node)
{
	struct snapshot_file *f, *files;
	struct view_extents tmp;

	files = grown(s->files, s->n, &s->cap, sizeof(*files));
	if (!files)
		return -ENOMEM;
	s->files = files;
	f = &files[s->n];
	*f = (struct snapshot_file){ .ino = m->ino, .size = m->size };
	s->n++; /* from here on _release frees it */
	if (file_of_set(s, node, (uint32_t)s->n) < 0)
		return -ENOMEM;
	return file_extents(s, f, m, view_extents(s->view, m->ino, &tmp));
}

static int add_dir(struct snapshot *s, uint64_t ino, uint32_t node)
{
	struct snapshot_dir *dirs;

	dirs = grown(s->dirs, s->n_dirs, &s->cap_dirs, sizeof(*dirs));
	if (!dirs)
		return -ENOMEM;
	s->dirs = dirs;
	dirs[s->n_dirs++] = (struct snapshot_dir){ ino, node };
	return 0;
}

static int add_node(struct snapshot *s, const struct meta *m,
		    uint32_t *ret_node)
{
	struct catalog_meta cm;
	uint32_t node = 0;
	int r;

	r = meta_of(s->view, m, &cm);
	if (r == 0)
		r = catalog_build_node(s->build, &cm, &node);
	if (r == 0 && S_ISREG(m->mode))
		r = add_file(s, m, node);
	if (r == 0 && S_ISDIR(m->mode))
		r = add_dir(s, m->ino, node);
	if (r == 0)
		*ret_node = node;
	return r;
}

/* The node of an inode, made at its first name. */
static int node_of(struct snapshot *s, const struct meta *m, uint32_t *ret_node)
{
	uintptr_t known;
	uint32_t node = 0;
	int r;

	if (m->nlink == 1 || S_ISDIR(m->mode))
		return add_node(s, m, ret_node);
	known = (uintptr_t)map_get(&s->links, m->ino);
	if (known) {
		*ret_node = (uint32_t)(known - 1);
		return 0;
	}
	r = add_node(s, m, &node);
	if (r == 0)
		r = map_put(&s->links, m->ino, (void *)((uintptr_t)node + 1));
	if (r == 0)
		*ret_node = node;
	return r;
}

static int add_name(struct snapshot *s, uint32_t parent,
		    const struct view_name *name)
{
	struct meta m;
	uint32_t node = 0;
	int r;

	r = view_load(s->view, name->ino, &m);
	if (r < 0)
		return r;
	if (S_ISSOCK(m.mode)) {
		s->sockets++;
		return 0;
	}
	r = node_of(s, &m, &node);
	if (r == 0)
		r = catalog_build_link(s->build, parent, name->text, name->len,
				       node);
	if (r < 0)
		log_error(r, "commit: %.*s (inode %" PRIu64 ") cannot be kept",
			  (int)name->len, name->text, name->ino);
	return r;
}

int snapshot_take(struct snapshot *s, struct view *v,
		  struct catalog_build *build)
{
	struct snapshot_dir dir;
	struct view_name name;
	uint64_t cookie;
	int r;

	s->view = v;
	s->build = build;
	r = add_dir(s, VIEW_ROOT, CATALOG_BUILD_ROOT);
	while (r == 0 && s->n_dirs > 0) {
		dir = s->dirs[--s->n_dirs];
		cookie = 2;
		while (r == 0 && view_dir_next(v, dir.ino, &cookie, &name))
			r = add_name(s, dir.node, &name);
	}
	return r;
}

/* --- reading it --- */

struct handle {
	struct snapshot *snapshot;
	const struct snapshot_file *file;
};

static int loader_open(void *ctx, uint64_t cookie, void **ret_handle)
{
	struct snapshot *s = ctx;
	struct handle *h = malloc(sizeof(*h));

	if (!h)
		return -ENOMEM;
	*h = (struct handle){ .snapshot = s,
			      .file = snapshot_file_of(s, (uint32_t)cookie) };
	*ret_handle = h;
	return 0;
}

static ssize_t loader_read(void *handle, void *buf, size_t len, uint64_t off)
{
	_cleanup_(view_plan_release) struct view_plan plan;
	const struct handle *h = handle;
	const struct snapshot_file *f = h->file;
	const struct extents e = { .list = f->extents, .count = f->count };
	int r;

	plan.parts = plan.few;
	plan.n = 0;
	if (off >= f->size)
		return 0;
	if (len > f->size - off)
		len = f->size - off;
	r = view_plan_read(h->snapshot->view, f->ino, &e, buf, len, off, &plan);
	if (r == 0)
		r = view_plan_finish(h->snapshot->view, &plan);
	return r < 0 ? r : (ssize_t)len;
}

static uint64_t loader_hole(void *handle, uint64_t off)
{
	const struct handle *h = handle;
	const struct snapshot_file *f = h->file;
	const struct extents e = { .list = f->extents, .count = f->count };
	uint64_t data;

	if (off >= f->size)
		return 0;
	if (view_seek_data(h->snapshot->view, &e, off, f->size, &data) < 0)
		data = f->size;
	return data - off;
}

static int loader_close(void *ctx, uint64_t cookie, void *handle, uint64_t got)
{
	(void)ctx;
	(void)cookie;
	(void)got;
	free(handle);
	return 0;
}

const struct ingest_loader snapshot_loader = {
	.open = loader_open,
	.read = loader_read,
	.hole = loader_hole,
	.close = loader_close,
};
