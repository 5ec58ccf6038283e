/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories that others could use against their user: what is in the state
 * directory says what is mounted where and with which rights, and what is in
 * the runtime directory is talked to. Those of another user, or that others
 * may write to, are refused; and paths are walked without following a
 * symbolic link that somebody may have put there since the path was looked at.
 * No state; any thread.
 */
#ifndef LARDER_FS_OWN_DIR_H
#define LARDER_FS_OWN_DIR_H

#include <stdbool.h>

#define OWN_DIR_WHY_MAX 640

/*
 * Opens a directory of this user's that nobody else may write to; its last
 * name must be no symbolic link. With `shared`, for directories that hold one:
 * also one of root's, and one that all may write to where only owners remove
 * (sticky). A descriptor, or a negative errno with one sentence in ret_why;
 * -EACCES: it is another's, or open to others.
 */
int own_dir_open(const char *path, bool shared, char ret_why[OWN_DIR_WHY_MAX]);

/*
 * Opens the parent of an absolute path in which there is no symbolic link, "."
 * or "..", and gives the last name, which is in `path` and may have slashes
 * behind it where `path` has. A descriptor (O_PATH), -EINVAL, -ELOOP for a
 * symbolic link, or what open(2) says.
 */
int own_dir_walk(const char *path, const char **ret_name);

#endif
