/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SquashFS images, through squashfs-tools-ng: its programs stand between an
 * image and the tar stream that the daemon reads or writes. Times in an image
 * are whole seconds, and symlinks with several names come back as several.
 * One thread.
 */
#ifndef LARDER_TOOLS_SQUASHFS_H
#define LARDER_TOOLS_SQUASHFS_H

#include <stdbool.h>
#include <sys/types.h>

#include "out.h"

struct squashfs {
	pid_t pid;	     /* 0: nothing runs */
	const char *program; /* for messages */
	char *partial;	     /* the image being written; owned */
};

#define SQUASHFS_INIT         \
	{                     \
		0, NULL, NULL \
	}

/* 0, or the failure says what is to be installed. */
int squashfs_check(struct failure *ret_failure);

/* Whether a regular file begins as an image does; its offset stays. */
bool squashfs_is_image(int fd);

/*
 * Starts turning the image into a tar, which is read from *ret_fd. A tar that
 * did not become whole ends in damage, so that nobody takes it for the tree.
 */
int squashfs_read(int image, struct squashfs *ret_s, int *ret_fd,
		  struct failure *ret_failure);

/* Starts making the image `path` of the tar that is written to *ret_fd.
 * `compressor` and `block_size` may be NULL: zstd, 128 KiB. */
int squashfs_write(const char *path, const char *compressor,
		   const char *block_size, struct squashfs *ret_s, int *ret_fd,
		   struct failure *ret_failure);

/* Waits, once the caller's end of the tar is closed; an image then gets its
 * name. Negative errno with the failure. */
int squashfs_finish(struct squashfs *s, const char *path,
		    struct failure *ret_failure);

/* Ends what still runs and removes an image that was not finished. */
void squashfs_release(struct squashfs *s);

#define _cleanup_squashfs_ __attribute__((cleanup(squashfs_release)))

#endif
