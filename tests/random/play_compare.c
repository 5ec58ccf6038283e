/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparing the model's tree with a file system's, and taking one over; see
 * play.h. Content is read where the model or the file system has data, so
 * that large holes cost nothing; what both call a hole is not read.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"

#include "play.h"
#include "play_internal.h"

#define PATH_SIZE 4096
#define XATTR_LIST 4096

/* --- attributes --- */

static bool compare_time(struct play *p, const struct model_node *n,
			 struct model_time *t, const char *what,
			 const char *path, const struct timespec *ts)
{
	const int64_t got = play_ns(ts);
	struct timespec clock;
	bool new_time;

	clock_gettime(CLOCK_REALTIME, &clock);
	new_time = got >= t->low &&
		   (t->low == INT64_MIN || got <= play_ns(&clock));
	if (t->known && got != t->at && !(t->maybe && new_time))
		return play_fail(p, what, path,
				 "%" PRId64 " ns, expected %" PRId64 " ns%s",
				 got, t->at,
				 t->maybe ? " or a time since" : "");
	if (!t->known && !new_time)
		return play_fail(p, what, path,
				 "%" PRId64 " ns, expected %" PRId64
				 " ns or later",
				 got, t->low);
	model_time_set(t, got);
	if (n->floating)
		model_time_may_change(&p->model, t);
	return true;
}

static bool compare_number(struct play *p, struct model_node *n,
			   const char *path, uint64_t got)
{
	if (n->ino == 0)
		n->ino = got;
	return play_same(p, "number", path, (int64_t)n->ino, (int64_t)got);
}

bool play_compare_stat(struct play *p, struct model_node *n, const char *path)
{
	struct tree_stat st;
	uint64_t size = S_ISLNK(n->mode) ? strlen(n->target) : n->content.size;
	int r = p->ops->stat(p->fs, path, &st);

	if (r < 0)
		return play_fail(p, "stat", path, "%s", strerror(-r));
	if (n->mode != st.mode)
		return play_fail(p, "mode", path, "%o, expected %o", st.mode,
				 n->mode);
	return play_same(p, "link count", path, n->nlink, st.nlink) &&
	       play_same(p, "owner", path, n->uid, st.uid) &&
	       play_same(p, "group", path, n->gid, st.gid) &&
	       (S_ISDIR(n->mode) || S_ISFIFO(n->mode) ||
		play_same(p, "size", path, (int64_t)size, (int64_t)st.size)) &&
	       compare_number(p, n, path, st.ino) &&
	       compare_time(p, n, &n->mtime, "mtime", path, &st.mtime) &&
	       compare_time(p, n, &n->ctime, "ctime", path, &st.ctime) &&
	       compare_time(p, n, &n->atime, "atime", path, &st.atime);
}

/* Those that a user, or root, sets; not the file system's own. */
static bool is_set_by_users(const char *name)
{
	return strncmp(name, "user.", 5) == 0 ||
	       strncmp(name, "trusted.", 8) == 0;
}

static bool compare_xattr(struct play *p, struct model_node *n,
			  const char *path, const char *name)
{
	const struct model_xattr *x = model_xattr(n, name);
	ssize_t len;

	if (!x)
		return play_fail(p, "attribute", path, "%s is not expected",
				 name);
	len = p->ops->getxattr(p->fs, path, name, p->buf, PLAY_IO_MAX);
	if (!play_same(p, name, path, (int64_t)x->len, len))
		return false;
	if (memcmp(x->value, p->buf, x->len) != 0)
		return play_fail(p, "attribute", path, "%s has another value",
				 name);
	return true;
}

bool play_compare_xattrs(struct play *p, struct model_node *n, const char *path)
{
	char names[XATTR_LIST];
	ssize_t len = p->ops->listxattr(p->fs, path, names, sizeof(names));
	const char *name;
	size_t count = 0;

	if (len < 0)
		return play_fail(p, "attributes", path, "%s",
				 strerror((int)-len));
	for (name = names; name < names + len; name += strlen(name) + 1) {
		if (!is_set_by_users(name))
			continue;
		if (!compare_xattr(p, n, path, name))
			return false;
		count++;
	}
	return play_same(p, "number of attributes", path, (int64_t)n->n_xattrs,
			 (int64_t)count);
}

bool play_compare_target(struct play *p, struct model_node *n, const char *path)
{
	size_t want = strlen(n->target);
	ssize_t len =
		p->ops->readlink(p->fs, path, (char *)p->buf, PLAY_IO_MAX);

	model_time_may_change(&p->model, &n->atime);
	if (!play_same(p, "length of target", path, (int64_t)want, len))
		return false;
	if (memcmp(p->buf, n->target, want) != 0)
		return play_fail(p, "target", path, "expected %s", n->target);
	return true;
}

/* --- content --- */

ssize_t play_read(struct play *p, const char *path, size_t len, uint64_t off,
		  bool cold)
{
	if (cold && p->ops->read_cold)
		return p->ops->read_cold(p->fs, path, p->buf, len, off);
	return p->ops->read(p->fs, path, p->buf, len, off);
}

static bool compare_range(struct play *p, struct model_node *n,
			  const char *path, uint64_t off, size_t len)
{
	size_t want = content_read(&n->content, p->want, len, off);
	ssize_t got = play_read(p, path, len, off, true);

	return play_same(p, "read length", path, (int64_t)want, got) &&
	       play_same_bytes(p, path, want, off);
}

/* Where data begins at or behind `off`, for the model or the file system. */
static uint64_t next_data(struct play *p, const struct model_node *n,
			  const char *path, uint64_t off)
{
	uint64_t nonzero = content_nonzero(&n->content, off), at;

	if (p->ops->lseek(p->fs, path, off, SEEK_DATA, &at) == 0 &&
	    at < nonzero)
		return at;
	return nonzero;
}

static bool compare_content(struct play *p, struct model_node *n,
			    const char *path)
{
	uint64_t off = 0, size = n->content.size;

	model_time_may_change(&p->model, &n->atime);
	while (off < size) {
		size_t len = PLAY_IO_MAX;

		if (size - off < len)
			len = (size_t)(size - off);
		if (!compare_range(p, n, path, off, len))
			return false;
		off += len;
		if (size > PLAY_IO_MAX && off < size)
			off = next_data(p, n, path, off);
	}
	return true;
}

/* --- directories --- */

struct names {
	struct play *p;
	struct model_node *dir;
	const char *path;
	uint8_t *seen;
	size_t n;
};

static void compare_name(void *arg, const char *name, size_t len)
{
	struct names *names = arg;
	char text[MODEL_NAME_MAX + 1];
	struct model_name *e;

	snprintf(text, sizeof(text), "%.*s", (int)len, name);
	e = model_name(names->dir, text);
	if (!e)
		play_fail(names->p, "name", names->path, "%s is not expected",
			  text);
	else if (names->seen[e - names->dir->names]++)
		play_fail(names->p, "name", names->path, "%s comes twice",
			  text);
	names->n++;
}

bool play_compare_names(struct play *p, struct model_node *dir,
			const char *path)
{
	_cleanup_free_ uint8_t *seen = calloc(dir->n + 1, 1);
	struct names names = { p, dir, path, seen, 0 };
	int r;

	if (!seen)
		abort();
	r = p->ops->list(p->fs, path, compare_name, &names);
	model_time_may_change(&p->model, &dir->atime);
	if (r < 0)
		return play_fail(p, "names", path, "%s", strerror(-r));
	return !p->failed && play_same(p, "number of names", path,
				       (int64_t)dir->n, (int64_t)names.n);
}

static bool compare_node(struct play *p, struct model_node *n, const char *path)
{
	if (!play_compare_stat(p, n, path))
		return false;
	if (S_ISREG(n->mode) && !compare_content(p, n, path))
		return false;
	if (S_ISLNK(n->mode) && !play_compare_target(p, n, path))
		return false;
	return play_compare_xattrs(p, n, path);
}

static bool compare_dir(struct play *p, struct model_node *dir, char *path)
{
	size_t len = strlen(path), i;
	bool same = compare_node(p, dir, path) &&
		    play_compare_names(p, dir, path);

	for (i = 0; i < dir->n && same; i++) {
		struct model_node *n = dir->names[i].node;

		snprintf(path + len, PATH_SIZE - len, "%s%s", len ? "/" : "",
			 dir->names[i].name);
		same = S_ISDIR(n->mode) ? compare_dir(p, n, path) :
					  compare_node(p, n, path);
		path[len] = '\0';
	}
	return same;
}

static bool compare_slots(struct play *p)
{
	char path[3] = "@0";
	unsigned i;

	for (i = 0; i < TREE_SLOTS; i++) {
		path[1] = (char)('0' + i);
		if (p->model.slots[i].node &&
		    S_ISREG(p->model.slots[i].node->mode) &&
		    !compare_node(p, p->model.slots[i].node, path))
			return false;
	}
	return true;
}

/* --- numbers: two inodes never have the same --- */

struct numbers {
	struct model_node **nodes;
	size_t n, cap;
};

static void add_number(void *arg, struct model_node *n)
{
	struct numbers *all = arg;

	if (all->n == all->cap) {
		all->cap = all->cap ? all->cap * 2 : 256;
		all->nodes =
			reallocarray(all->nodes, all->cap, sizeof(*all->nodes));
		if (!all->nodes)
			abort();
	}
	all->nodes[all->n++] = n;
}

static int by_number(const void *a, const void *b)
{
	const struct model_node *const *n = a, *const *m = b;

	return (*n)->ino < (*m)->ino ? -1 : (*n)->ino > (*m)->ino;
}

static bool compare_numbers(struct play *p)
{
	struct numbers all = { 0 };
	bool same = true;
	size_t i;

	model_each(p->model.root, add_number, &all);
	qsort(all.nodes, all.n, sizeof(struct model_node *), by_number);
	for (i = 1; i < all.n && same; i++)
		if (all.nodes[i]->ino == all.nodes[i - 1]->ino &&
		    all.nodes[i] != all.nodes[i - 1])
			same = play_fail(p, "number", "",
					 "%" PRIu64 " is of two inodes",
					 all.nodes[i]->ino);
	free(all.nodes);
	return same;
}

bool play_compare_tree(struct play *p)
{
	char path[PATH_SIZE] = "";

	return compare_dir(p, p->model.root, path) && compare_numbers(p);
}

bool play_compare(struct play *p)
{
	return play_compare_tree(p) && compare_slots(p);
}
