/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directories of a run. Where there are several, each has a name in the
 * entry that is the same in every clone and home: REPO/ and the path below the
 * top of the work tree, HOME/ and the path below the home directory, or ROOT/
 * and the absolute path.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "fs/rpc.h"
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

static bool is_file(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && !S_ISDIR(st.st_mode) &&
	       !S_ISLNK(st.st_mode);
}

static int prepare_root(struct run *run, const char *path, struct failure *f)
{
	struct run_root *root = &run->roots[run->count++];
	int r;

	root->path = path;
	root->lock = (struct run_lock)RUN_LOCK_INIT;
	if (!*path)
		return failure_set(f, -EINVAL, EXIT_USAGE,
				   "run: --path is empty; name a directory");
	if (run->plan->mode != MODE_OFF && is_file(path))
		return failure_set(f, -ENOTDIR, EXIT_ERROR,
				   "%s is a file, and only directories can be "
				   "kept; name the one that it is in",
				   path);
	r = place_make(path, &root->dir, f);
	if (r < 0)
		return r;
	if (run->plan->mode != MODE_OFF && place_contains_us(root->dir))
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
		r = prepare_root(run, paths->items[i], ret_failure);
	if (r == 0)
		r = check_apart(run, ret_failure);
	if (r == 0 && run->count > 1)
		r = name_roots(run, ret_failure);
	return r;
}

json_t *run_roots_json(const struct run *run)
{
	json_t *roots = json_array();

	for (size_t i = 0; i < run->count; i++) {
		const struct run_root *root = &run->roots[i];
		json_t *j = json_object();

		json_object_set_new(j, "dir",
				    rpc_string(root->dir, strlen(root->dir)));
		if (root->name)
			json_object_set_new(j, "root",
					    rpc_string(root->name,
						       strlen(root->name)));
		json_array_append_new(roots, j);
	}
	return roots;
}
