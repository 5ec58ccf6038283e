/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts of Larder as the kernel has them, also those whose daemon is dead or
 * does not answer. Nothing here waits for one: who touches a path on it is a
 * child that is left behind where it does not come back. One thread.
 */
#ifndef LARDER_TOOLS_STUCK_H
#define LARDER_TOOLS_STUCK_H

#include <stdbool.h>

#include "out.h"

#define STUCK_CONNECTIONS "/sys/fs/fuse/connections"

struct stuck_mount {
	char *path;
	char *dev; /* "major:minor"; the minor is the connection's number */
	bool ours; /* of this user */
};

struct stuck_mounts {
	struct stuck_mount *items;
	size_t count;
};

/* All of this mount namespace. To be released in either case. -ENOMEM, -EIO */
int stuck_list(struct stuck_mounts *ret_list);
void stuck_release(struct stuck_mounts *list);

/* The topmost one at `path` (absolute); NULL where that is none of Larder's. */
const struct stuck_mount *stuck_find(const struct stuck_mounts *list,
				     const char *path);

enum stuck_state {
	STUCK_ANSWERS,
	STUCK_DEAD,  /* its connection has ended, every call gives ENOTCONN */
	STUCK_HANGS, /* no answer within a few seconds */
};
enum stuck_state stuck_look(const struct stuck_mount *m);

/* Takes it from its directory, also while it is in use. */
int stuck_detach(const struct stuck_mount *m, struct failure *ret_failure);

/*
 * What ends the connection, to be opened before the mount is detached: numbers
 * of connections are used again. A descriptor, or -ENOENT where
 * /sys/fs/fuse/connections is not mounted, -EACCES; and what the descriptor does:
 * every call that waits in it fails. -ENODEV: it has ended already.
 */
int stuck_open_abort(const struct stuck_mount *m);
int stuck_abort(int fd);

#define _cleanup_stuck_ __attribute__((cleanup(stuck_release)))

#endif
