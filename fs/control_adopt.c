/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory's own files as the base of a mount over it. They are stored as a
 * tree without an entry; where they are they stay, untouched, beneath the
 * mount, so nothing is lost whatever happens meanwhile or later.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "store/base/cleanup.h"

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
