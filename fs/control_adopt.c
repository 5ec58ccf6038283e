/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory's own files as the base of a mount over it. They are stored as a
 * tree without an entry; where they are they stay, untouched, beneath the
 * mount, so nothing is lost whatever happens meanwhile or later. Or, where a
 * run's command made the directory, they move into the mount: it is renamed
 * aside, seen to be the tree that was stored, and removed once the mount is
 * there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/log.h"
#include "store/plain.h"

#include "control_internal.h"

int control_adopt(struct control_call *call, const char *dir,
		  struct digest *ret_catalog)
{
	const struct ingest_owner self = { call->uid, call->gid };
	_cleanup_close_ int fd = -1;
	struct ingest_result result;
	int r = mount_check_dir(dir, true, &call->err);

	if (r <= 0)
		return r;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return control_fail(call, -errno, dir);
	r = ingest_dir(call->config->store, fd, dir, &self, false,
		       control_progress(call), NULL, &result);
	if (r < 0)
		return control_fail(call, r, dir);
	*ret_catalog = result.catalog;
	return 1;
}

static char *path_aside(const char *dir)
{
	char name[IO_NAME_ASIDE_LEN + 1];
	const char *slash = strrchr(dir, '/');

	return io_name_aside(name) < 0 ?
		       NULL :
		       io_path("%.*s/%s", (int)(slash - dir), dir, name);
}

/* Whether the directory is what was stored of it. */
static int is_stored(struct control_call *call, const char *dir,
		     const struct digest *catalog)
{
	const struct ingest_owner self = { call->uid, call->gid };
	_cleanup_close_ int fd =
		open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	enum plain_state state;
	struct digest found;
	int r;

	if (fd < 0)
		return -errno;
	r = plain_look(call->config->store, fd, dir, &self, NULL, &state,
		       &found);
	if (r < 0)
		return r;
	return state == PLAIN_UNCHANGED && digest_equal(&found, catalog) ?
		       0 :
		       -ESTALE;
}

static int move_aside(struct control_call *call, const char *dir,
		      const char *aside, const struct digest *catalog)
{
	int r;

	if (rename(dir, aside) < 0)
		return -errno;
	r = is_stored(call, aside, catalog);
	if (r == 0 && mkdir(dir, 0777) < 0)
		r = -errno;
	if (r < 0 && rename(aside, dir) < 0)
		log_warn(-errno, "%s is left as %s", dir, aside);
	return r;
}

int control_move_in(struct control_call *call, const char *dir,
		    struct digest *ret_catalog, char **ret_aside)
{
	_cleanup_free_ char *aside = path_aside(dir);
	int r = control_adopt(call, dir, ret_catalog);

	if (r <= 0)
		return r;
	r = aside ? move_aside(call, dir, aside, ret_catalog) : -ENOMEM;
	if (r < 0)
		return control_fail(call, r, dir);
	*ret_aside = steal_ptr(&aside);
	return 1;
}

void control_move_end(const char *dir, const char *aside, bool mounted)
{
	int r = 0;

	if (mounted)
		r = io_remove_tree(AT_FDCWD, aside);
	else if (rmdir(dir) < 0 || rename(aside, dir) < 0)
		r = -errno;
	if (r < 0)
		log_warn(r, "%s, what %s was, is left", aside, dir);
}
