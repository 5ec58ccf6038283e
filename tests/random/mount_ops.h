/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory, of a mount or any, as a tree_ops: by system calls, never
 * following a symbolic link and never leaving the directory. One thread.
 */
#ifndef LARDER_TESTS_MOUNT_OPS_H
#define LARDER_TESTS_MOUNT_OPS_H

#include "tree_ops.h"

struct mount_fs {
	int root; /* -1: closed */
	int slots[TREE_SLOTS];
};

#define MOUNT_FS_INIT                                                   \
	{                                                               \
		.root = -1, .slots = { -1, -1, -1, -1, -1, -1, -1, -1 } \
	}

int mount_fs_open(struct mount_fs *fs, const char *dir);
void mount_fs_close(struct mount_fs *fs);

/* `fs` is a struct mount_fs. */
extern const struct tree_ops mount_ops;

#endif
