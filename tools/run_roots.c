/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The paths of a run, directories and files. Each has a name in the
 * entry that is the same in every clone and home: REPO/ and the path below the
 * top of the work tree, HOME/ and the path below the home directory, or ROOT/
 * and the absolute path. Only an entry of one directory does without.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "fs/rpc.h"
#include "out.h"
#include "place.h"
#include "run_internal.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"

void run_release_roots(struct run *run)
{
	for (size_t i = 0; i < run->count; i++) {
		free(run->roots[i].dir);
		free(run->roots[i].name);
	}
	free(run->roots);
}

/* ---- what is there */

/* A directory that holds nothing and is no mount point. What cannot be known
 * counts as one that is in use. */
static bool is_free(const char *dir, const struct stat *st)
{
	_cleanup_free_ char *up = io_path("%s/..", dir);
	_cleanup_closedir_ DIR *d = NULL;
	struct stat parent;

	return up && stat(up, &parent) == 0 && parent.st_dev == st->st_dev &&
	       io_opendir_at(AT_FDCWD, dir, &d) == 0 &&
	       io_is_empty(dirfd(d)) > 0;
}

/* -EINVAL for what is neither a file nor a directory; a mount that is dead is
 * a directory, and so is a symbolic link, which the daemon refuses. */
static int look(const char *path, enum run_now *ret_now)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		*ret_now = errno == ENOENT || errno == ENOTDIR ? RUN_NOW_NONE :
								 RUN_NOW_DIR;
	else if (S_ISREG(st.st_mode))
		*ret_now = RUN_NOW_FILE;
	else if (!S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode))
		return -EINVAL;
	else
		*ret_now = S_ISDIR(st.st_mode) && is_free(path, &st) ?
				   RUN_NOW_EMPTY :
				   RUN_NOW_DIR;
	return 0;
}

void run_look_again(const struct run *run, struct run_root *root)
{
	struct stat st;

	if (look(root->dir, &root->now) == 0 &&
	    (lstat(root->dir, &st) < 0 || !S_ISLNK(st.st_mode)))
		return;
	root->now = RUN_NOW_NONE;
	out_warning("%s: %s is neither a file nor a directory; nothing is kept "
		    "of it",
		    run->name, root->path);
}

/* ---- all of them */

/* `own`: the command makes it. */
static int prepare_root(struct run *run, const char *path, bool own,
			struct failure *f)
{
	struct run_root *root = &run->roots[run->count++];
	bool off = run->plan->mode == MODE_OFF;
	int r;

	root->path = path;
	root->lock = (struct run_lock)RUN_LOCK_INIT;
	if (!*path)
		return failure_set(f, -EINVAL, EXIT_USAGE,
				   "run: --path is empty; name a directory");
	if (look(path, &root->now) < 0 && !off)
		return failure_set(f, -ENOTDIR, EXIT_ERROR,
				   "%s is neither a file nor a directory, so "
				   "it cannot be kept; name the directory that "
				   "it is in",
				   path);
	root->was_file = root->now == RUN_NOW_FILE;
	if (root->was_file || (own && root->now == RUN_NOW_NONE))
		return place_make_parent(path, &root->dir, f);
	r = place_make(path, &root->dir, f);
	if (r < 0)
		return r;
	if (root->now == RUN_NOW_NONE)
		root->now = RUN_NOW_EMPTY;
	if (!off && place_contains_us(root->dir))
		return failure_set(f, -EBUSY, EXIT_BUSY,
				   "%s: the current directory is in it; run "
				   "from outside of it",
				   path);
	return 0;
}

/* No directory may be another one, or in it. */
static int check_apart(const struct run *run, struct failure *f)
{
	for (size_t i = 0; i < run->count; i++) {
		const struct run_root *a = &run->roots[i];

		for (size_t k = 0; k < run->count; k++) {
			const struct run_root *b = &run->roots[k];

			if (k != i && place_below(b->dir, a->dir))
				return failure_set(f, -EINVAL, EXIT_USAGE,
						   "--path %s is in --path %s; "
						   "leave one of them out",
						   b->path, a->path);
		}
	}
	return 0;
}

/* "WORD/below", or WORD where nothing is below; NULL where it is not there. */
static char *name_below(const char *word, const char *dir, const char *top)
{
	const char *below = top ? place_below(dir, top) : NULL;

	if (!below)
		return NULL;
	return *below ? io_path("%s/%s", word, below) : strdup(word);
}

static int name_root(struct run_root *root, const char *top, const char *home,
		     struct failure *f)
{
	root->name = name_below("REPO", root->dir, top);
	if (!root->name)
		root->name = name_below("HOME", root->dir, home);
	if (!root->name)
		root->name = io_path("ROOT%s", root->dir);
	return root->name ?
		       0 :
		       failure_set(f, -ENOMEM, EXIT_ERROR, "out of memory");
}

static int name_roots(struct run *run, struct failure *f)
{
	_cleanup_free_ char *top = place_top();
	const char *set = getenv("HOME");
	_cleanup_free_ char *home = set && *set ? realpath(set, NULL) : NULL;
	int r = 0;

	if (!top)
		return failure_set(f, -ENOMEM, EXIT_ERROR, "out of memory");
	for (size_t i = 0; r == 0 && i < run->count; i++)
		r = name_root(&run->roots[i], top, home, f);
	return r;
}

int run_prepare_roots(struct run *run, struct failure *ret_failure)
{
	const struct strings *paths = &run->plan->paths;
	int r = 0;

	run->roots = calloc(paths->count, sizeof(*run->roots));
	if (!run->roots)
		return failure_set(ret_failure, -ENOMEM, EXIT_ERROR,
				   "out of memory");
	for (size_t i = 0; r == 0 && i < paths->count; i++)
		r = prepare_root(run, paths->items[i],
				 i + run->plan->nfiles >= paths->count,
				 ret_failure);
	if (r == 0)
		r = check_apart(run, ret_failure);
	if (r == 0 && run->plan->mode != MODE_OFF)
		r = name_roots(run, ret_failure);
	return r;
}

json_t *run_root_json(const struct run_root *root)
{
	static const char *const words[] = { [RUN_NOW_DIR] = "dir",
					     [RUN_NOW_EMPTY] = "empty",
					     [RUN_NOW_NONE] = "none",
					     [RUN_NOW_FILE] = "file" };

	return json_pack("{s:o, s:o, s:s}", "dir",
			 rpc_string(root->dir, strlen(root->dir)), "root",
			 rpc_string(root->name, strlen(root->name)), "now",
			 words[root->now]);
}

json_t *run_roots_json(const struct run *run)
{
	json_t *roots = json_array();

	for (size_t i = 0; i < run->count; i++)
		json_array_append_new(roots, run_root_json(&run->roots[i]));
	return roots;
}
