/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service loop of one mount. One thread at a time reads requests and
 * answers them from memory itself; when a request may block (it calls
 * fetch_may_block()), the thread hands the reading to another one and goes on
 * with its request alone. The reader polls for a moment before it sleeps,
 * because waking an idle processor costs more than the request.
 *
 * libfuse's own loop is not used: it wakes a sleeping thread for each request.
 * This module knows no libfuse: it calls `ops`.
 */
#ifndef LARDER_FS_LOOP_H
#define LARDER_FS_LOOP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct loop;

struct loop_ops {
	/* Reads one request into `buf` without waiting: its length, -EAGAIN
	 * where there is none, -ENODEV when unmounted. */
	ssize_t (*receive)(void *arg, void *buf, size_t size);
	void (*process)(void *arg, void *buf, size_t len);
};

/* More than the kernel has requests in the background (readahead), so that who
 * waits for a remote tier keeps nobody else from being served. */
#define LOOP_THREADS_MAX 192

/* `fd` is polled for readability; `buf_size` holds any request. Starts the
 * first thread. */
int loop_start(int fd, size_t buf_size, const struct loop_ops *ops, void *arg,
	       struct loop **ret_loop);

/* Waits until receive said -ENODEV and all requests are answered. */
void loop_join(struct loop *l);

/* Asks the threads to end after their current request (for a hand-over). */
void loop_stop(struct loop *l);
void loop_free(struct loop *l); /* after loop_join() */

#endif
