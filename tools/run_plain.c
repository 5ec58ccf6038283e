/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run without a mount: the nearest entry is written into the directory, and
 * what the command left there is imported. For machines without FUSE, and for
 * those who ask for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"
#include "cmd.h"
#include "fs/rpc.h"
#include "run_internal.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"

#define FUSE_DEVICE "/dev/fuse"
#define FUSE_HELPER "fusermount3"

/* Whether execvp() would find a program. */
static bool is_in_path(const char *program)
{
	const char *path = getenv("PATH");

	while (path && *path) {
		size_t len = strcspn(path, ":");
		_cleanup_free_ char *file =
			io_path("%.*s/%s", (int)len, path, program);

		if (file && access(file, X_OK) == 0)
			return true;
		path += len + (path[len] == ':');
	}
	return false;
}

/* What a mount would need and is not there, or NULL. */
static const char *missing(void)
{
	struct stat st;

	if (stat(FUSE_DEVICE, &st) < 0 || !S_ISCHR(st.st_mode))
		return FUSE_DEVICE;
	return geteuid() == 0 || is_in_path(FUSE_HELPER) ? NULL : FUSE_HELPER;
}

void run_choose_plain(struct run *run)
{
	const char *what = missing();

	run->plain = run->plan->materialize || what;
	if (what && !run->plan->materialize)
		out_note("%s: there is no %s here, so the tree is written out "
			 "instead of mounted (--materialize)",
			 run->name, what);
	if (run->plain && run->plan->only_used)
		out_warning("%s: without a mount nobody can tell what was "
			    "read, so all of it is committed, in spite of "
			    "--only-used",
			    run->name);
}

/* The run's directories, which were made or seen to be there. */
static int open_roots(const struct run *run, int *fds, unsigned *ret_n,
		      struct failure *f)
{
	*ret_n = 0;
	for (size_t i = 0; i < run->count; i++) {
		const struct run_root *root = &run->roots[i];
		int fd;

		if (root->now == RUN_NOW_NONE || root->now == RUN_NOW_FILE)
			continue;
		fd = open(root->dir,
			  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return failure_set(f, -errno, EXIT_ERROR,
					   "cannot open directory %s: %s",
					   root->path, strerror(errno));
		fds[(*ret_n)++] = fd;
	}
	return 0;
}

/* Calls a method that wants the directories; `params` is taken. */
static int call(const struct run *run, const char *method, json_t *params,
		json_t **ret_result, struct failure *f)
{
	_cleanup_client_ struct client *c = NULL;
	int fds[RPC_FDS_MAX], r;
	unsigned n = 0;

	if (run->count > RPC_FDS_MAX)
		r = failure_set(f, -EINVAL, EXIT_USAGE,
				"run: at most %d --path make one entry",
				RPC_FDS_MAX);
	else
		r = open_roots(run, fds, &n, f);
	if (r == 0)
		r = client_open(true, &c, f);
	json_object_set_new(params, "progress", json_true());
	if (r == 0)
		r = client_call(c, method, params, fds, n, ret_result, f);
	else
		json_decref(params);
	while (n > 0)
		close(fds[--n]);
	return r;
}

int run_plain_prepare(struct run *run, json_t *params, struct failure *f)
{
	return call(run, "prepare_plain", params, &run->base, f);
}

int run_plain_commit(struct run *run, json_t *params, json_t **ret_result,
		     struct failure *f)
{
	const char *path = run->roots[0].path;

	if (run->count > 1 || run->roots[0].now == RUN_NOW_FILE)
		return call(run, "import_roots", params, ret_result, f);
	json_object_set_new(params, "label", rpc_string(path, strlen(path)));
	json_object_set_new(params, "kind", json_string("dir"));
	return call(run, "import", params, ret_result, f);
}
