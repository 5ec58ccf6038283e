/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A git work tree as parts of a key. Names are relative to its top, so that
 * the key is the same from whichever directory below it is asked for:
 *
 *	git-head    "" or "sub/"	the commit's id, filled up with zeros
 *	git-file    path		the content of a file that differs from
 *	git-exec    path		HEAD, or is untracked; one that can be
 *					executed
 *	git-link    path		the target of such a symbolic link
 *	git-gone    path		zeros: in HEAD, but not in the work tree
 *	git-sparse  "" or "sub/"	the paths that a sparse checkout leaves
 *					out
 *
 * Whether a change is staged makes no difference, nor whether a new file is
 * tracked yet. A submodule is a tree of its own, with a head of its own; so is
 * a repository that lies untracked in another. What git takes for unchanged
 * is as in HEAD, whatever line ends or filters made of it; what differs counts
 * by its bytes.
 *
 * Outputs and mounted file systems are no inputs. Git is told to ignore them,
 * or it would walk them.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "fingerprint_internal.h"
#include "git.h"
#include "git_ignored.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/key_content.h"

#define NESTED_MAX 16

struct tree {
	struct inputs *in;
	struct key_content *content;
	const char *top; /* of the outermost work tree */
	int topfd;
	struct stat_cache *cache;  /* may be NULL */
	struct digest_ctx *sparse; /* paths that are left out; NULL: none */
	bool special;		   /* a tracked path is not GIT_TRACKED */

	/* The directory of the last path, for the next. */
	int dirfd;
	char dir[PATH_MAX]; /* relative to the top, with a '/' at its end */
};

static void tree_release(struct tree *t)
{
	key_content_free(t->content);
	digest_ctx_free(t->sparse);
	cleanup_close(&t->dirfd);
	cleanup_close(&t->topfd);
}

static int failed(struct tree *t, const char *path, int r)
{
	return failure_set(t->in->failure, r, EXIT_ERROR,
			   "--key-git: cannot read %s/%s: %s", t->top, path,
			   strerror(-r));
}

/* ---- files */

/* No symbolic link is followed: what is behind one is not in the tree. */
static int open_dir(int topfd, const char *path, size_t len)
{
	_cleanup_close_ int fd = fcntl(topfd, F_DUPFD_CLOEXEC, 0);
	char name[NAME_MAX + 1];

	while (fd >= 0 && len > 0) {
		size_t n = strcspn(path, "/");
		int below;

		if (n >= sizeof(name) || n == 0)
			return -ENAMETOOLONG;
		memcpy(name, path, n);
		name[n] = '\0';
		below = openat(fd, name,
			       O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below < 0)
			return -errno;
		close(fd);
		fd = below;
		path += n + 1;
		len -= n + 1;
	}
	return fd < 0 ? -errno : steal_fd(&fd);
}

/* A descriptor of `path`'s directory, which is the tree's, and its name. */
static int parent_of(struct tree *t, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) + 1 : 0;

	*ret_name = path + len;
	if (len >= sizeof(t->dir))
		return -ENAMETOOLONG;
	if (t->dirfd >= 0 && strlen(t->dir) == len &&
	    memcmp(t->dir, path, len) == 0)
		return t->dirfd;
	cleanup_close(&t->dirfd);
	t->dirfd = open_dir(t->topfd, path, len);
	memcpy(t->dir, path, len);
	t->dir[len] = '\0';
	return t->dirfd;
}

static bool is_absence(int r)
{
	return r == -ENOENT || r == -ENOTDIR || r == -ELOOP;
}

/* 1 with what is at `path`, 0 for nothing that has content. */
static int look(struct tree *t, const char *path, struct stat *ret_st,
		struct digest *ret_digest)
{
	const char *name;
	int dirfd = parent_of(t, path, &name), r = dirfd;

	if (dirfd >= 0)
		r = key_content_digest(t->content, dirfd, name, path, ret_st,
				       ret_digest);
	return is_absence(r) ? 0 : r;
}

static const char *kind_of(mode_t mode)
{
	return S_ISLNK(mode)  ? "git-link" :
	       mode & S_IXUSR ? "git-exec" :
				"git-file";
}

/* `mode`: as git sees it, for file systems that keep no permissions; 0: as
 * the file system does. */
static int add_file(struct tree *t, const char *path, unsigned mode,
		    bool tracked)
{
	struct digest digest = { { 0 } };
	struct stat st;
	int r = look(t, path, &st, &digest);

	if (r < 0)
		return failed(t, path, r);
	if (r == 0 && !tracked)
		return 0;
	if (r > 0 && S_ISREG(mode))
		st.st_mode = mode;
	r = key_parts_add(t->in->parts,
			  r == 0 ? "git-gone" : kind_of(st.st_mode), path,
			  &digest);
	return r < 0 ? failed(t, path, r) : 0;
}

/* A million absent files are one part. */
static int add_sparse(struct tree *t, const char *path)
{
	const char *name;
	struct stat st;
	int dirfd = parent_of(t, path, &name), r = 0;

	if (dirfd >= 0 && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return add_file(t, path, 0, true);
	if (!t->sparse)
		r = digest_ctx_new(&t->sparse);
	if (r == 0)
		r = digest_ctx_update(t->sparse, path, strlen(path) + 1);
	return r < 0 ? failed(t, path, r) : 0;
}

static int end_sparse(struct tree *t, const char *prefix)
{
	struct digest digest;
	int r;

	if (!t->sparse)
		return 0;
	r = digest_ctx_final(t->sparse, &digest);
	digest_ctx_free(t->sparse);
	t->sparse = NULL;
	if (r == 0)
		r = key_parts_add(t->in->parts, "git-sparse", prefix, &digest);
	return r < 0 ? failed(t, prefix, r) : 0;
}

/* ---- a repository */

static int add_head(struct tree *t, const char *prefix,
		    const struct digest *head)
{
	int r;

	if (digest_is_zero(head) && *prefix)
		return 0; /* its files are all there is of it */
	if (digest_is_zero(head))
		return failure_set(t->in->failure, -ENOENT, EXIT_ERROR,
				   "--key-git: the repository at %s has no "
				   "commit yet; make one, or name inputs with "
				   "--key-file",
				   t->top);
	r = key_parts_add(t->in->parts, "git-head", prefix, head);
	return r < 0 ? failed(t, prefix, r) : 0;
}

/* `path` below a repository's prefix, in `ret_path`. */
static int join(struct tree *t, const char *prefix, const char *path,
		char ret_path[PATH_MAX])
{
	if (snprintf(ret_path, PATH_MAX, "%s%s", prefix, path) >= PATH_MAX)
		return failed(t, path, -ENAMETOOLONG);
	return 0;
}

static int bad_list(struct tree *t)
{
	return failure_set(t->in->failure, -EBADMSG, EXIT_ERROR,
			   "--key-git: git's list of changes in %s makes no "
			   "sense; is `git status --porcelain=v2` this git's?",
			   t->top);
}

static int add_changes(struct tree *t, const char *prefix,
		       struct git_lists *lists)
{
	struct git_change c;
	char path[PATH_MAX];
	int r, got;

	while ((got = git_next_change(lists, &c)) > 0) {
		if (c.is_head)
			r = add_head(t, prefix, &c.head);
		else
			r = join(t, prefix, c.path, path);
		if (r == 0 && !c.is_head)
			r = add_file(t, path, c.mode, true);
		if (r < 0)
			return r;
	}
	return got < 0 ? bad_list(t) : 0;
}

static int add_repository(struct tree *t, const char *prefix, unsigned depth);

/* Where there is no repository in it, a submodule was not checked out. */
static int add_nested(struct tree *t, char *path, unsigned depth)
{
	const struct digest none = { { 0 } };
	size_t len = strlen(path);
	_cleanup_close_ int fd = -1;
	int r;

	if (path[len - 1] != '/' && len + 1 < PATH_MAX)
		memcpy(path + len++, "/", 2);
	if (depth == NESTED_MAX)
		return failure_set(t->in->failure, -ELOOP, EXIT_ERROR,
				   "--key-git: %s/%s: more than %d "
				   "repositories within one another",
				   t->top, path, NESTED_MAX);
	fd = open_dir(t->topfd, path, len);
	if (fd >= 0 && faccessat(fd, ".git", F_OK, 0) == 0)
		return add_repository(t, path, depth + 1);
	if (fd < 0 && !is_absence(fd))
		return failed(t, path, fd);
	r = key_parts_add(t->in->parts, "git-gone", path, &none);
	return r < 0 ? failed(t, path, r) : 0;
}

static int add_listed(struct tree *t, const char *prefix,
		      const struct git_file *file,
		      const struct git_ignored *ignored, unsigned depth)
{
	char path[PATH_MAX];
	int r;

	if (file->state == GIT_TRACKED ||
	    (!file->tracked && git_ignored_covers(ignored, file->path)))
		return 0;
	t->special |= file->tracked;
	r = join(t, prefix, file->path, path);
	if (r < 0)
		return r;
	switch (file->state) {
	case GIT_REPOSITORY:
		return add_nested(t, path, depth);
	case GIT_SPARSE:
		return add_sparse(t, path);
	default:
		return add_file(t, path, 0, file->state == GIT_UNWATCHED);
	}
}

/* The repositories in this one come last, since they use the tree's state. */
static int add_files(struct tree *t, const char *prefix, unsigned depth,
		     const struct git_ignored *ignored, struct git_lists *lists)
{
	struct git_file file;
	int r, got;

	for (int nested = 0; nested <= 1; nested++) {
		lists->files_pos = 0;
		while ((got = git_next_file(lists, &file)) > 0) {
			if ((file.state == GIT_REPOSITORY) != nested)
				continue;
			r = add_listed(t, prefix, &file, ignored, depth);
			if (r < 0)
				return r;
		}
		if (got < 0)
			return bad_list(t);
		r = end_sparse(t, prefix);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- the index */

/*
 * Whether all tracked files are plain ones, so that they need not be listed,
 * is a property of the index, and remembered as long as that looks the same.
 * The name that it is remembered under is nobody's path.
 */
#define INDEX ".git/index"

struct index_note {
	char name[PATH_MAX + 32];
	struct stat st;
	int64_t now_ns;
	struct digest plain; /* what is remembered, where it is so */
	bool usable;
};

static void index_look(const struct tree *t, const char *prefix, int dirfd,
		       struct index_note *ret_note)
{
	static const char text[] = "all tracked files are plain";
	struct index_note *n = ret_note;

	snprintf(n->name, sizeof(n->name), "%s.git//index", prefix);
	n->now_ns = clock_wall_ns();
	n->usable = t->cache && fstatat(dirfd, INDEX, &n->st, 0) == 0 &&
		    S_ISREG(n->st.st_mode) &&
		    digest_of(text, sizeof(text), &n->plain) == 0;
}

static bool index_is_plain(const struct tree *t, const struct index_note *n)
{
	struct digest d;

	return n->usable && stat_cache_find(t->cache, n->name, &n->st, &d) &&
	       digest_equal(&d, &n->plain);
}

static int add_repository(struct tree *t, const char *prefix, unsigned depth)
{
	bool outer = t->special, plain;
	struct index_note note;
	_cleanup_git_lists_ struct git_lists lists = { .changed = BUF_INIT,
						       .files = BUF_INIT };
	_cleanup_close_ int fd = open_dir(t->topfd, prefix, strlen(prefix));
	_cleanup_git_ignored_ struct git_ignored ignored = { 0 };
	char top[PATH_MAX];
	int r = fd;

	if (snprintf(top, sizeof(top), "%s%s%.*s", t->top, *prefix ? "/" : "",
		     (int)strlen(prefix) - (*prefix != '\0'),
		     prefix) >= PATH_MAX)
		r = -ENAMETOOLONG;
	if (r >= 0)
		r = git_ignored_init(&ignored, top, t->in->outputs,
				     t->in->noutputs);
	if (r < 0)
		return failed(t, prefix, r);
	index_look(t, prefix, fd, &note);
	plain = index_is_plain(t, &note);
	r = git_read(fd, *prefix != '\0', ignored.patterns, plain, &lists,
		     t->in->failure);
	if (r == 0)
		r = add_changes(t, prefix, &lists);
	t->special = false;
	if (r == 0)
		r = add_files(t, prefix, depth, &ignored, &lists);
	if (r == 0 && note.usable && !plain && !t->special)
		stat_cache_put(t->cache, note.name, &note.st, note.now_ns,
			       &note.plain);
	t->special = outer;
	return r;
}

/* ---- all of it */

int inputs_add_git(struct inputs *in)
{
	_cleanup_stat_cache_ struct stat_cache *cache = NULL;
	_cleanup_(tree_release) struct tree t = { .in = in,
						  .topfd = -1,
						  .dirfd = -1 };
	_cleanup_free_ char *top = NULL;
	int r = git_top(in->place.rootfd, &top, in->failure);

	if (r < 0)
		return r;
	t.top = top;
	t.topfd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t.topfd < 0)
		return failed(&t, "", -errno);
	cache = inputs_cache(top, t.topfd);
	t.cache = cache;
	r = key_content_new(cache, &t.content);
	if (r < 0)
		return failed(&t, "", r);
	r = add_repository(&t, "", 0);
	if (r == 0 && cache)
		stat_cache_save(cache);
	return r;
}
