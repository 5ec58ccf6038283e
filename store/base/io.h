/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole reads and writes, and small files. All functions retry EINTR and
 * short transfers and return 0 or a negative errno.
 */
#ifndef LARDER_BASE_IO_H
#define LARDER_BASE_IO_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Exactly `len` bytes; -ENODATA when the file ends before. */
int io_pread(int fd, void *buf, size_t len, uint64_t off);
int io_pwrite(int fd, const void *buf, size_t len, uint64_t off);

/* All of `iov`; the array is changed by partial writes. */
int io_pwritev(int fd, struct iovec *iov, int iovcnt, uint64_t off);
int io_write(int fd, const void *buf, size_t len);

/* Up to `len` bytes from the current position, fewer only at end of file. */
ssize_t io_read_upto(int fd, void *buf, size_t len);

/* A file's whole content, at most `max` bytes (-EFBIG above). The caller
 * frees *ret_data, which is NUL-terminated beyond *ret_len. `dirfd` may be
 * AT_FDCWD. */
int io_read_file(int dirfd, const char *path, size_t max, uint8_t **ret_data,
		 size_t *ret_len);

/* mkdir -p; directories that are missing get `mode`. */
int io_mkdir_p(const char *path, mode_t mode);

/* Removes `path` and all below it; an absent path is no error. Does not
 * cross into another file system and never follows a symbolic link. */
int io_remove_tree(int dirfd, const char *path);

/* The directory `name` in `dirfd` ("." is `dirfd` itself, read from its
 * start), for readdir(); the caller closes it. A symbolic link is not
 * followed. */
int io_opendir_at(int dirfd, const char *name, DIR **ret_dir);

/* "." and "..", which readdir() gives as well. */
bool io_is_dot(const char *name);

/* Whether the directory has no names: 1 or 0. */
int io_is_empty(int dirfd);

/* A name that nobody has, for what is renamed into place or out of it. */
#define IO_NAME_ASIDE_LEN 24
int io_name_aside(char ret_name[IO_NAME_ASIDE_LEN + 1]);

/* An allocated "a/b" (asprintf); NULL when memory is short. */
char *io_path(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
