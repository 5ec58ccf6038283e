/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model: nodes with names, bytes and attributes, as simple as a file
 * system can be, and the random tester. Errors are those that Linux gives,
 * in the order in which it finds them.
 */
#include "tree_model.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define XATTRS 3
#define NAMES 7
#define IO_MAX (192u << 10)

struct node;

struct entry {
	char name[16];
	struct node *node;
};

struct xattr {
	bool set;
	uint8_t value[8];
	size_t len;
};

struct node {
	uint32_t mode, nlink;
	struct node *parent; /* directories */
	struct entry *entries;
	size_t n;
	uint8_t *data; /* files: bytes; symlinks: target */
	uint64_t size;
	struct xattr xattrs[XATTRS];
};

struct tree_model {
	struct node *root;
	uint64_t rng;
	uint64_t max_file;
	uint64_t step;
	uint8_t *buf; /* of max_file + 1 bytes */
};

static uint64_t rnd(struct tree_model *m, uint64_t below)
{
	/* xorshift64* */
	m->rng ^= m->rng >> 12;
	m->rng ^= m->rng << 25;
	m->rng ^= m->rng >> 27;
	return (m->rng * UINT64_C(2685821657736338717) >> 11) % below;
}

static struct node *node_new(uint32_t mode)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		abort();
	n->mode = mode;
	n->nlink = S_ISDIR(mode) ? 2 : 0;
	return n;
}

static void node_unref(struct node *n)
{
	if (n->nlink > 0)
		return;
	free(n->entries);
	free(n->data);
	free(n);
}

static void node_free_all(struct node *n)
{
	size_t i;

	if (S_ISDIR(n->mode)) {
		for (i = 0; i < n->n; i++)
			node_free_all(n->entries[i].node);
		n->nlink = 0;
	} else {
		n->nlink--;
	}
	node_unref(n);
}

struct tree_model *tree_model_new(uint64_t seed, uint64_t max_file)
{
	struct tree_model *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->rng = seed * 2 + 1;
	m->max_file = max_file;
	m->root = node_new(S_IFDIR | 0755);
	m->buf = malloc(max_file + 1);
	return m;
}

void tree_model_free(struct tree_model *m)
{
	if (!m)
		return;
	node_free_all(m->root);
	free(m->buf);
	free(m);
}

/* --- names --- */

static struct entry *find(struct node *dir, const char *name)
{
	size_t i;

	for (i = 0; i < dir->n; i++)
		if (strcmp(dir->entries[i].name, name) == 0)
			return &dir->entries[i];
	return NULL;
}

static void add(struct node *dir, const char *name, struct node *n)
{
	struct entry *e;

	dir->entries = reallocarray(dir->entries, dir->n + 1, sizeof(*e));
	if (!dir->entries)
		abort();
	e = &dir->entries[dir->n++];
	snprintf(e->name, sizeof(e->name), "%s", name);
	e->node = n;
	if (S_ISDIR(n->mode)) {
		n->parent = dir;
		dir->nlink++;
	} else {
		n->nlink++;
	}
}

static struct node *cut(struct node *dir, const char *name)
{
	struct entry *e = find(dir, name);
	struct node *n = e->node;

	*e = dir->entries[--dir->n];
	if (S_ISDIR(n->mode))
		dir->nlink--;
	else
		n->nlink--;
	return n;
}

/* The directory of a path and its last name. */
static struct node *walk(struct tree_model *m, const char *path,
			 const char **ret_name)
{
	struct node *dir = m->root;
	const char *slash;
	char part[64];

	while ((slash = strchr(path, '/'))) {
		snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
		dir = find(dir, part)->node;
		path = slash + 1;
	}
	*ret_name = path;
	return dir;
}

static struct node *resolve(struct tree_model *m, const char *path)
{
	const char *name;
	struct node *dir = walk(m, path, &name);
	struct entry *e;

	if (*name == '\0')
		return dir;
	e = find(dir, name);
	return e ? e->node : NULL;
}

/* --- what operations do to the model --- */

static int model_make(struct tree_model *m, const char *path, uint32_t mode,
		      const char *target)
{
	const char *name;
	struct node *dir = walk(m, path, &name);
	struct node *n;

	if (find(dir, name))
		return -EEXIST;
	n = node_new(mode);
	if (target) {
		n->data = (uint8_t *)strdup(target);
		n->size = strlen(target);
	}
	add(dir, name, n);
	return 0;
}

static int model_link(struct tree_model *m, const char *from, const char *to)
{
	struct node *n = resolve(m, from);
	const char *name;
	struct node *dir = walk(m, to, &name);

	if (!n)
		return -ENOENT;
	if (find(dir, name))
		return -EEXIST;
	if (S_ISDIR(n->mode))
		return -EPERM;
	add(dir, name, n);
	return 0;
}

static int model_remove(struct tree_model *m, const char *path, bool rmdir)
{
	const char *name;
	struct node *dir = walk(m, path, &name);
	struct entry *e = find(dir, name);
	struct node *n;

	if (!e)
		return -ENOENT;
	if (rmdir && !S_ISDIR(e->node->mode))
		return -ENOTDIR;
	if (!rmdir && S_ISDIR(e->node->mode))
		return -EISDIR;
	if (e->node->n > 0)
		return -ENOTEMPTY;
	n = cut(dir, name);
	if (rmdir)
		n->nlink = 0;
	node_unref(n);
	return 0;
}

static bool above(const struct node *n, const struct node *dir)
{
	for (; dir; dir = dir->parent)
		if (dir == n)
			return true;
	return false;
}

static int rename_check(struct node *n, struct node *target, struct node *from,
			struct node *to, unsigned flags)
{
	if (target && (flags & RENAME_NOREPLACE))
		return -EEXIST;
	if (!target && (flags & RENAME_EXCHANGE))
		return -ENOENT;
	if (above(n, to))
		return -EINVAL;
	if (target && above(target, from))
		return flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
	if (!target || (flags & RENAME_EXCHANGE))
		return 0;
	if (n == target)
		return 0;
	if (S_ISDIR(n->mode) && !S_ISDIR(target->mode))
		return -ENOTDIR;
	if (!S_ISDIR(n->mode) && S_ISDIR(target->mode))
		return -EISDIR;
	return target->n > 0 ? -ENOTEMPTY : 0;
}

static int model_rename(struct tree_model *m, const char *from, const char *to,
			unsigned flags)
{
	const char *name, *new_name;
	struct node *a = walk(m, from, &name);
	struct node *b = walk(m, to, &new_name);
	struct entry *e = find(a, name), *f = find(b, new_name);
	struct node *n, *target = f ? f->node : NULL;
	int r;

	if (!e)
		return -ENOENT;
	n = e->node;
	r = rename_check(n, target, a, b, flags);
	if (r < 0 || n == target)
		return r;
	cut(a, name);
	if (target)
		cut(b, new_name);
	add(b, new_name, n);
	if (target && (flags & RENAME_EXCHANGE)) {
		add(a, name, target);
	} else if (target) {
		if (S_ISDIR(target->mode))
			target->nlink = 0;
		node_unref(target);
	}
	return 0;
}

static void resize(struct node *n, uint64_t size)
{
	if (size > n->size) {
		n->data = realloc(n->data, size);
		if (!n->data)
			abort();
		memset(n->data + n->size, 0, size - n->size);
	}
	n->size = size;
}

static void model_write(struct node *n, const void *buf, size_t len,
			uint64_t off)
{
	if (off + len > n->size)
		resize(n, off + len);
	memcpy(n->data + off, buf, len);
}

static void model_zero(struct node *n, uint64_t off, uint64_t len, bool grow)
{
	if (grow && off + len > n->size)
		resize(n, off + len);
	if (off >= n->size)
		return;
	memset(n->data + off, 0, len < n->size - off ? len : n->size - off);
}

/* --- random choices --- */

/* A path in a random directory; its last name may be anything. */
static void any_path(struct tree_model *m, char *path, size_t size)
{
	struct node *dir = m->root;
	size_t len = 0;

	*path = '\0';
	while (dir->n > 0 && len < 60 && rnd(m, 3) > 0) {
		const struct entry *e = &dir->entries[rnd(m, dir->n)];

		if (!S_ISDIR(e->node->mode))
			continue;
		len += (size_t)snprintf(path + len, size - len, "%s/", e->name);
		dir = e->node;
	}
	if (dir->n > 0 && rnd(m, 2))
		snprintf(path + len, size - len, "%s",
			 dir->entries[rnd(m, dir->n)].name);
	else
		snprintf(path + len, size - len, "n%u",
			 (unsigned)rnd(m, NAMES));
}

/* A path of a file, or false. */
static bool file_path(struct tree_model *m, char *path, size_t size)
{
	const struct node *n;
	int tries;

	for (tries = 0; tries < 20; tries++) {
		any_path(m, path, size);
		n = resolve(m, path);
		if (n && S_ISREG(n->mode))
			return true;
	}
	return false;
}

static void fill(struct tree_model *m, uint8_t *buf, size_t len)
{
	uint64_t word = m->rng | 1;
	size_t i;

	for (i = 0; i < len; i++) {
		word = word * UINT64_C(6364136223846793005) + 1;
		buf[i] = (uint8_t)(word >> 56);
	}
	rnd(m, 2);
}

/* Offsets of all sizes, now and then at the end of the file or a block. */
static uint64_t any_off(struct tree_model *m, const struct node *n,
			uint64_t below)
{
	uint64_t off = rnd(m, rnd(m, 4) ? 8192 : below);

	if (rnd(m, 4) == 0)
		off = n->size;
	if (rnd(m, 4) == 0)
		off &= ~UINT64_C(4095);
	return off < below ? off : below - 1;
}

static size_t any_len(struct tree_model *m, uint64_t room)
{
	uint64_t len = 1 + rnd(m, rnd(m, 4) ? 5000 : IO_MAX);

	return len < room ? len : room;
}

static bool same(struct tree_model *m, const char *what, const char *path,
		 long want, long got)
{
	if (want == got)
		return true;
	fprintf(stderr, "step %" PRIu64 ": %s %s: %ld, expected %ld\n", m->step,
		what, path, got, want);
	return false;
}

/* --- steps --- */

#define PATH_LEN 128

static bool step_make(struct tree_model *m, const struct tree_ops *ops,
		      void *fs)
{
	char path[PATH_LEN];
	int want, got;

	any_path(m, path, sizeof(path));
	switch (rnd(m, 4)) {
	case 0:
		want = model_make(m, path, S_IFDIR | 0750, NULL);
		got = ops->mkdir(fs, path, 0750);
		return same(m, "mkdir", path, want, got);
	case 1:
		want = model_make(m, path, S_IFLNK | 0777, "no/where");
		got = ops->symlink(fs, "no/where", path);
		return same(m, "symlink", path, want, got);
	default:
		want = model_make(m, path, S_IFREG | 0640, NULL);
		got = ops->create(fs, path, 0640);
		return same(m, "create", path, want, got);
	}
}

static bool step_names(struct tree_model *m, const struct tree_ops *ops,
		       void *fs)
{
	static const unsigned flags[] = { 0, 0, 0, RENAME_NOREPLACE,
					  RENAME_EXCHANGE };
	char path[PATH_LEN], to[PATH_LEN], what[3 * PATH_LEN];
	unsigned flag = flags[rnd(m, 5)];

	any_path(m, path, sizeof(path));
	any_path(m, to, sizeof(to));
	snprintf(what, sizeof(what), "%s to %s (%u)", path, to, flag);
	switch (rnd(m, 6)) {
	case 0:
		return same(m, "link", what, model_link(m, path, to),
			    ops->link(fs, path, to));
	case 1:
	case 2:
		return same(m, "unlink", path, model_remove(m, path, false),
			    ops->unlink(fs, path));
	case 3:
		return same(m, "rmdir", path, model_remove(m, path, true),
			    ops->rmdir(fs, path));
	default:
		return same(m, "rename", what, model_rename(m, path, to, flag),
			    ops->rename(fs, path, to, flag));
	}
}

static bool step_write(struct tree_model *m, const struct tree_ops *ops,
		       void *fs, const char *path)
{
	struct node *n = resolve(m, path);
	uint64_t off = any_off(m, n, m->max_file);
	size_t len = any_len(m, m->max_file - off);

	fill(m, m->buf, len);
	model_write(n, m->buf, len, off);
	return same(m, "write", path, (long)len,
		    ops->write(fs, path, m->buf, len, off));
}

static bool step_copy(struct tree_model *m, const struct tree_ops *ops,
		      void *fs, const char *path)
{
	struct node *from = resolve(m, path), *to;
	char other[PATH_LEN];
	uint64_t from_off, to_off, len;

	if (!file_path(m, other, sizeof(other)))
		return true;
	to = resolve(m, other);
	from_off = any_off(m, from, m->max_file);
	to_off = any_off(m, to, m->max_file);
	len = any_len(m, m->max_file - to_off);
	if (from == to || from_off >= from->size)
		return true;
	if (len > from->size - from_off)
		len = from->size - from_off;
	memcpy(m->buf, from->data + from_off, len);
	model_write(to, m->buf, len, to_off);
	return same(m, "copy", other, (long)len,
		    ops->copy(fs, path, from_off, other, to_off, len));
}

static bool step_content(struct tree_model *m, const struct tree_ops *ops,
			 void *fs)
{
	char path[PATH_LEN];
	struct node *n;
	uint64_t off, len;

	if (!file_path(m, path, sizeof(path)))
		return true;
	n = resolve(m, path);
	off = any_off(m, n, m->max_file);
	len = any_len(m, m->max_file - off);
	switch (rnd(m, 8)) {
	case 0:
		off = rnd(m, 3) ? off : 0;
		resize(n, off);
		return same(m, "truncate", path, 0,
			    ops->truncate(fs, path, off));
	case 1:
		model_zero(n, off, len, false);
		return same(m, "punch", path, 0,
			    ops->punch(fs, path, off, len));
	case 2:
		model_zero(n, off, len, true);
		return same(m, "zero", path, 0, ops->zero(fs, path, off, len));
	case 3:
		return step_copy(m, ops, fs, path);
	default:
		return step_write(m, ops, fs, path);
	}
}

static bool step_attrs(struct tree_model *m, const struct tree_ops *ops,
		       void *fs)
{
	char path[PATH_LEN], name[16];
	unsigned k = (unsigned)rnd(m, XATTRS);
	struct xattr *x;
	struct node *n;
	int want = 0;

	if (!file_path(m, path, sizeof(path)))
		return true;
	n = resolve(m, path);
	x = &n->xattrs[k];
	snprintf(name, sizeof(name), "user.x%u", k);
	switch (rnd(m, 3)) {
	case 0:
		n->mode = S_IFREG | (uint32_t)rnd(m, 01000);
		return same(m, "chmod", path, 0,
			    ops->chmod(fs, path, n->mode & 07777));
	case 1:
		x->set = true;
		x->len = rnd(m, sizeof(x->value) + 1);
		fill(m, x->value, x->len);
		return same(m, "setxattr", path, 0,
			    ops->setxattr(fs, path, name, x->value, x->len));
	default:
		want = x->set ? 0 : -ENODATA;
		x->set = false;
		return same(m, "removexattr", path, want,
			    ops->removexattr(fs, path, name));
	}
}

static bool step_read(struct tree_model *m, const struct tree_ops *ops,
		      void *fs)
{
	char path[PATH_LEN];
	struct node *n;
	uint64_t off, want;
	size_t len;
	ssize_t got;

	if (!file_path(m, path, sizeof(path)))
		return true;
	n = resolve(m, path);
	off = any_off(m, n, m->max_file);
	len = any_len(m, m->max_file);
	want = off >= n->size ? 0 : n->size - off;
	if (want > len)
		want = len;
	got = ops->read(fs, path, m->buf, len, off);
	if (!same(m, "read", path, (long)want, got))
		return false;
	return want == 0 || same(m, "bytes of", path, 0,
				 memcmp(m->buf, n->data + off, want) != 0);
}

bool tree_model_step(struct tree_model *m, const struct tree_ops *ops, void *fs)
{
	m->step++;
	switch (rnd(m, 10)) {
	case 0:
	case 1:
		return step_make(m, ops, fs);
	case 2:
	case 3:
		return step_names(m, ops, fs);
	case 4:
		return step_attrs(m, ops, fs);
	case 5:
	case 6:
		return step_read(m, ops, fs);
	default:
		return step_content(m, ops, fs);
	}
}

/* --- comparing --- */

struct compare {
	struct tree_model *m;
	const struct tree_ops *ops;
	void *fs;
	struct node *dir;
	const char *path;
	size_t n;
	bool ok;
};

static void compare_name(void *arg, const char *name, size_t len)
{
	struct compare *c = arg;
	char text[64];
	struct entry *e;

	snprintf(text, sizeof(text), "%.*s", (int)len, name);
	e = find(c->dir, text);
	c->n++;
	if (e)
		return;
	fprintf(stderr, "%s: the name %s should not be there\n", c->path, text);
	c->ok = false;
}

static bool compare_xattrs(struct compare *c, const struct node *n,
			   const char *path)
{
	char name[16];
	uint8_t value[64];
	unsigned k;
	ssize_t len;

	for (k = 0; k < XATTRS; k++) {
		const struct xattr *x = &n->xattrs[k];

		snprintf(name, sizeof(name), "user.x%u", k);
		len = c->ops->getxattr(c->fs, path, name, value, sizeof(value));
		if (!same(c->m, name, path, x->set ? (long)x->len : -ENODATA,
			  len))
			return false;
		if (x->set && memcmp(value, x->value, x->len) != 0)
			return same(c->m, name, path, 0, 1);
	}
	return true;
}

static bool compare_node(struct compare *c, const struct node *n,
			 const char *path)
{
	struct tree_stat st;
	uint8_t *buf = c->m->buf;
	ssize_t len;
	int r;

	r = c->ops->stat(c->fs, path, &st);
	if (!same(c->m, "stat", path, 0, r) ||
	    !same(c->m, "mode", path, n->mode, st.mode) ||
	    !same(c->m, "links", path, n->nlink, st.nlink))
		return false;
	if (S_ISDIR(n->mode))
		return true;
	if (!same(c->m, "size", path, (long)n->size, (long)st.size))
		return false;
	if (S_ISREG(n->mode))
		len = c->ops->read(c->fs, path, buf, c->m->max_file + 1, 0);
	else
		len = c->ops->readlink(c->fs, path, (char *)buf,
				       c->m->max_file);
	if (!same(c->m, "length", path, (long)n->size, len))
		return false;
	if (n->size > 0 && memcmp(buf, n->data, n->size) != 0)
		return same(c->m, "content", path, 0, 1);
	return !S_ISREG(n->mode) || compare_xattrs(c, n, path);
}

static bool compare_dir(struct compare *c, struct node *dir, const char *path)
{
	struct compare list = *c;
	char below[512];
	size_t i;
	int r;

	list.dir = dir;
	list.path = path;
	list.n = 0;
	r = c->ops->list(c->fs, path, compare_name, &list);
	if (!same(c->m, "list", path, 0, r) || !list.ok ||
	    !same(c->m, "names in", path, (long)dir->n, (long)list.n))
		return false;
	for (i = 0; i < dir->n; i++) {
		snprintf(below, sizeof(below), "%s%s%s", path, *path ? "/" : "",
			 dir->entries[i].name);
		if (!compare_node(c, dir->entries[i].node, below))
			return false;
		if (S_ISDIR(dir->entries[i].node->mode) &&
		    !compare_dir(c, dir->entries[i].node, below))
			return false;
	}
	return true;
}

bool tree_model_compare(struct tree_model *m, const struct tree_ops *ops,
			void *fs)
{
	struct compare c = { .m = m, .ops = ops, .fs = fs, .ok = true };

	return compare_dir(&c, m->root, "");
}

/* --- taking over a tree --- */

struct load {
	struct tree_model *m;
	const struct tree_ops *ops;
	void *fs;
	struct node *dir;
	const char *path;
	int err;
};

static int load_bytes(struct load *l, struct node *n, const char *path,
		      uint64_t size)
{
	ssize_t got;

	if (size > l->m->max_file)
		return -EFBIG;
	n->data = malloc(size + 1);
	if (!n->data)
		return -ENOMEM;
	if (S_ISREG(n->mode))
		got = l->ops->read(l->fs, path, n->data, size, 0);
	else
		got = l->ops->readlink(l->fs, path, (char *)n->data, size);
	n->size = size;
	return got == (ssize_t)size ? 0 : -EIO;
}

/* Hard links become files of their own: load trees without any. */
static void load_name(void *arg, const char *name, size_t len)
{
	struct load *l = arg;
	struct load below = *l;
	struct tree_stat st;
	char path[512], text[16];
	struct node *n;

	snprintf(text, sizeof(text), "%.*s", (int)len, name);
	snprintf(path, sizeof(path), "%s%s%s", l->path, *l->path ? "/" : "",
		 text);
	if (l->err == 0)
		l->err = l->ops->stat(l->fs, path, &st);
	if (l->err < 0)
		return;
	n = node_new(st.mode);
	add(l->dir, text, n);
	if (S_ISREG(st.mode) || S_ISLNK(st.mode)) {
		l->err = load_bytes(l, n, path, st.size);
	} else if (S_ISDIR(st.mode)) {
		below.dir = n;
		below.path = path;
		l->err = l->ops->list(l->fs, path, load_name, &below);
		if (below.err < 0)
			l->err = below.err;
	}
}

int tree_model_load(struct tree_model *m, const struct tree_ops *ops, void *fs)
{
	struct load l = { .m = m,
			  .ops = ops,
			  .fs = fs,
			  .dir = m->root,
			  .path = "" };
	int r = ops->list(fs, "", load_name, &l);

	return r < 0 ? r : l.err;
}
