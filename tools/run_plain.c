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

/* The run's directory, which check() has seen to be one. */
static int open_root(const struct run *run, struct failure *f)
{
	int fd = open(run->roots[0].dir,
		      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd >= 0 ? fd :
			 failure_set(f, -errno, EXIT_ERROR,
				     "cannot open directory %s: %s",
				     run->roots[0].path, strerror(errno));
}

static void add_label(const struct run *run, json_t *params)
{
	const char *path = run->roots[0].path;

	json_object_set_new(params, "label", rpc_string(path, strlen(path)));
	json_object_set_new(params, "progress", json_true());
}

/* Calls a method that wants the directory; `params` is taken. */
static int call(const struct run *run, const char *method, json_t *params,
		json_t **ret_result, struct failure *f)
{
	_cleanup_client_ struct client *c = NULL;
	_cleanup_close_ int fd = open_root(run, f);
	int r = fd < 0 ? fd : client_open(true, &c, f);

	if (r < 0) {
		json_decref(params);
		return r;
	}
	add_label(run, params);
	return client_call(c, method, params, &fd, 1, ret_result, f);
}

int run_plain_prepare(struct run *run, json_t *params, struct failure *f)
{
	if (run->count > 1) {
		json_decref(params);
		return failure_set(f, -EOPNOTSUPP, EXIT_ERROR,
				   "several directories of one entry can only "
				   "be mounted");
	}
	json_object_set_new(params, "adopt", json_boolean(run->plan->adopt));
	return call(run, "prepare_plain", params, &run->base, f);
}

int run_plain_commit(struct run *run, json_t *params, json_t **ret_result,
		     struct failure *f)
{
	json_object_set_new(params, "kind", json_string("dir"));
	return call(run, "import", params, ret_result, f);
}
