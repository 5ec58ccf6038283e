/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FUSE requests as the kernel wrote them: what has to be known before libfuse sees
 * them, and what libfuse 3.14 does not pass on. No state but a cache for each
 * thread. Service threads, and the thread that starts a session.
 */
#ifndef LARDER_FS_SESSION_REQUEST_H
#define LARDER_FS_SESSION_REQUEST_H

#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>

#include "ops.h"

/* Whole, and with the arguments that libfuse takes for granted. */
bool request_ok(const void *buf, size_t len);

/* Whether a thread of this process asks: a lock it holds would wait for the
 * answer for ever. The kernel's own requests have no process. */
bool request_is_own(const struct fuse_in_header *in);

/* What is owed to the kernel even then, and what waits for no answer. */
bool request_is_clean_up(const struct fuse_in_header *in);

/* Whether it is to change what is there. */
bool request_changes(const struct fuse_in_header *in);

/* Finds what libfuse will not say. A TMPFILE becomes a CREATE, which has the same
 * arguments and reply, and is told apart by ret_extra->tmpfile. */
void request_prepare(struct fuse_in_header *in, struct ops_extra *ret_extra);

#endif
