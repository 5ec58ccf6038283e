/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening relative paths of any length: the kernel takes PATH_MAX bytes at
 * once, a tree may be deeper. Any thread.
 */
#ifndef LARDER_PATH_AT_H
#define LARDER_PATH_AT_H

/* openat(2); the descriptor or a negative errno. Not for O_CREAT. */
int path_open_at(int dirfd, const char *path, int flags);

#endif
