/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that a pattern names, and their digests.
 *
 * A pattern is cut at '/' into components. At each directory of the walk a
 * set says which components may come next (bit i: all before component i is
 * matched): a small non-deterministic automaton, so that each directory is
 * read once and each file found once however many "**" there are. Names are
 * bytes, compared in the C locale, and visited in byte order, so neither the
 * order of a directory on disk nor a user's locale changes anything.
 *
 * Nothing outside the root is reached: no symbolic link is followed, also
 * not by a component without wildcards, and "..", absolute patterns, other
 * file systems and ".git" are left out. One walk is one thread's.
 */
#include "key.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "key_content.h"

#define COMPONENTS_MAX 63 /* bits of a set, less one for the end */

struct glob {
	char *text; /* the pattern, cut */
	char *components[COMPONENTS_MAX];
	unsigned count;
	bool wild; /* has a `*`, `?` or `[` */

	struct key_parts *parts;
	dev_t dev;	 /* of the root */
	struct buf path; /* of the directory being walked: "" or "a/b/" */
	const struct key_place *place;
	struct key_content *content;
	size_t matched;
	char *bad;
};

struct name {
	char *text;
	unsigned char type; /* DT_*, DT_UNKNOWN where not told */
};

struct names {
	struct name *items;
	size_t count;
	size_t cap;
};

/* Patterns */

static bool is_any_depth(const char *component)
{
	return strcmp(component, "**") == 0;
}

static bool is_literal(const char *component)
{
	return !strpbrk(component, "*?[\\");
}

static int glob_parse(struct glob *g, const char *pattern)
{
	size_t len = strlen(pattern);
	char *rest, *part;

	if (len == 0 || pattern[0] == '/' || pattern[len - 1] == '/')
		return -EINVAL;
	g->text = strdup(pattern);
	if (!g->text)
		return -ENOMEM;
	rest = g->text;
	while ((part = strsep(&rest, "/"))) {
		if (!*part || strcmp(part, ".") == 0)
			continue;
		if (strcmp(part, "..") == 0 || g->count == COMPONENTS_MAX)
			return -EINVAL;
		g->components[g->count++] = part;
	}
	return g->count > 0 ? 0 : -EINVAL;
}

/* "**" also stands for no directory at all. */
static uint64_t set_close(const struct glob *g, uint64_t set)
{
	unsigned i;

	for (i = 0; i + 1 < g->count; i++)
		if ((set >> i & 1) && is_any_depth(g->components[i]))
			set |= UINT64_C(1) << (i + 1);
	return set;
}

/* Steps over `name`: the set for the directory of that name, and whether a
 * file of that name matches. */
static uint64_t set_step(const struct glob *g, uint64_t set, const char *name,
			 bool *ret_hit)
{
	uint64_t next = 0;
	bool hit = false;
	unsigned i;

	for (i = 0; i < g->count; i++) {
		const char *component = g->components[i];
		bool last = i + 1 == g->count;

		if (!(set >> i & 1))
			continue;
		if (is_any_depth(component)) {
			if (name[0] == '.')
				continue;
			next |= UINT64_C(1) << i;
			hit |= last;
		} else if (fnmatch(component, name, FNM_PERIOD) == 0) {
			next |= last ? 0 : UINT64_C(1) << (i + 1);
			hit |= last;
		}
	}
	*ret_hit = hit;
	return set_close(g, next);
}

/* The one name that can match, where wildcards leave no choice. */
static const char *set_literal(const struct glob *g, uint64_t set)
{
	const char *component;

	if (set & (set - 1))
		return NULL;
	component = g->components[__builtin_ctzll(set)];
	return is_literal(component) ? component : NULL;
}

/* Names of a directory */

static void names_release(struct names *n)
{
	size_t i;

	for (i = 0; i < n->count; i++)
		free(n->items[i].text);
	free(n->items);
}

static int names_add(struct names *n, const char *text, unsigned char type)
{
	struct name *items;

	if (n->count == n->cap) {
		n->cap = n->cap ? 2 * n->cap : 64;
		items = reallocarray(n->items, n->cap, sizeof(*items));
		if (!items)
			return -ENOMEM;
		n->items = items;
	}
	n->items[n->count].text = strdup(text);
	if (!n->items[n->count].text)
		return -ENOMEM;
	n->items[n->count++].type = type;
	return 0;
}

static int name_order(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->text,
		      ((const struct name *)b)->text);
}

static int names_read(struct names *n, int dirfd)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *de;
	int r;

	r = io_opendir_at(dirfd, ".", &dir);
	if (r < 0)
		return r;
	while ((errno = 0, de = readdir(dir))) {
		if (io_is_dot(de->d_name))
			continue;
		r = names_add(n, de->d_name, de->d_type);
		if (r < 0)
			return r;
	}
	if (errno)
		return -errno;
	if (n->count > 0)
		qsort(n->items, n->count, sizeof(*n->items), name_order);
	return 0;
}

/* Parts */

/* The path of `name`, in the buffer behind the directory's, which is what
 * remains when the caller cuts it off again. */
static const char *path_push(struct glob *g, const char *name)
{
	buf_put(&g->path, name, strlen(name) + 1);
	return buf_error(&g->path) ? NULL : (const char *)g->path.data;
}

/* Sockets, pipes and devices have no content: like directories, they do not
 * match. */
static int add_file(struct glob *g, int dirfd, const char *name)
{
	size_t len = g->path.len;
	const char *path = path_push(g, name);
	struct digest digest;
	struct stat st;
	int r;

	g->path.len = len;
	if (!path)
		return -ENOMEM;
	r = key_content_digest(g->content, dirfd, name, path, &st, &digest);
	if (r <= 0)
		return r;
	r = key_parts_add(g->parts, S_ISLNK(st.st_mode) ? "link" : "file", path,
			  &digest);
	if (r == 0)
		g->matched++;
	return r;
}

/* The walk */

/* Remembers which name failed, the innermost one. What went away since its
 * directory was read was not there. */
static int walk_failed(struct glob *g, const char *name, int err)
{
	size_t len = g->path.len;
	const char *path;

	if (err == 0 || err == -ENOENT)
		return 0;
	if (!g->bad && err != -ENOMEM) {
		path = path_push(g, name);
		g->bad = path ? strdup(path) : NULL;
		g->path.len = len;
	}
	return err;
}

static int walk_dir(struct glob *g, int dirfd, uint64_t set);

static bool is_output(struct glob *g, const char *name)
{
	size_t i, len = g->path.len;
	const char *path;

	if (g->place->noutputs == 0)
		return false;
	path = path_push(g, name);
	g->path.len = len;
	for (i = 0; path && i < g->place->noutputs; i++)
		if (strcmp(g->place->outputs[i], path) == 0)
			return true;
	return false;
}

static int walk_into(struct glob *g, int dirfd, const char *name, uint64_t set)
{
	_cleanup_close_ int fd = -1;
	size_t len = g->path.len;
	struct stat st;
	int r;

	if (strcmp(name, ".git") == 0 || is_output(g, name))
		return 0;
	fd = openat(dirfd, name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_dev != g->dev)
		return 0;
	buf_put(&g->path, name, strlen(name));
	buf_put_u8(&g->path, '/');
	r = buf_error(&g->path) ? -ENOMEM : walk_dir(g, fd, set);
	g->path.len = len;
	return r;
}

static int name_type(int dirfd, const char *name, unsigned char *ret_type)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	*ret_type = IFTODT(st.st_mode);
	return 0;
}

static int walk_name(struct glob *g, int dirfd, const struct name *name,
		     uint64_t set)
{
	unsigned char type = name->type;
	uint64_t next;
	bool hit;
	int r;

	next = set_step(g, set, name->text, &hit);
	if (!next && !hit)
		return 0;
	if (type == DT_UNKNOWN) {
		r = name_type(dirfd, name->text, &type);
		if (r < 0)
			return r;
	}
	if (type == DT_DIR)
		return next ? walk_into(g, dirfd, name->text, next) : 0;
	/* A file that is named is meant, even if it is an output, too. */
	if (!hit || (g->wild && is_output(g, name->text)))
		return 0;
	return add_file(g, dirfd, name->text);
}

static int walk_dir(struct glob *g, int dirfd, uint64_t set)
{
	_cleanup_(names_release) struct names names = { 0 };
	const char *literal = set_literal(g, set);
	size_t i;
	int r;

	r = literal ? names_add(&names, literal, DT_UNKNOWN) :
		      names_read(&names, dirfd);
	if (r < 0)
		return r;
	for (i = 0; i < names.count; i++) {
		r = walk_name(g, dirfd, &names.items[i], set);
		r = walk_failed(g, names.items[i].text, r);
		if (r < 0)
			return r;
	}
	return 0;
}

static int glob_walk(struct glob *g)
{
	struct stat st;
	int r;

	if (fstat(g->place->rootfd, &st) < 0)
		return -errno;
	g->dev = st.st_dev;
	r = walk_dir(g, g->place->rootfd, set_close(g, 1));
	if (r < 0)
		return r;
	return g->matched > 0 ? 0 : -ENOENT;
}

/* fnmatch() reads names as the thread's locale says. */
static int glob_walk_c_locale(struct glob *g)
{
	locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	locale_t before;
	int r;

	if (!c)
		return -errno;
	before = uselocale(c);
	r = glob_walk(g);
	uselocale(before);
	freelocale(c);
	return r;
}

static void glob_release(struct glob *g)
{
	free(g->text);
	key_content_free(g->content);
	free(g->bad);
	buf_release(&g->path);
}

int key_add_files(struct key_parts *p, const struct key_place *place,
		  const char *glob, char **ret_bad)
{
	_cleanup_(glob_release) struct glob g = { .parts = p, .place = place };
	int r;

	r = glob_parse(&g, glob);
	g.wild = strpbrk(glob, "*?[");
	if (r == 0)
		r = key_content_new(place->cache, &g.content);
	if (r < 0)
		return r;
	r = glob_walk_c_locale(&g);
	if (r < 0 && g.bad && ret_bad)
		*ret_bad = steal_ptr(&g.bad);
	return r;
}
