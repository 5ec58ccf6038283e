/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messenger: a small process of the worker's that writes notifications to
 * /dev/fuse. The kernel may let such a write wait until a request of somebody
 * else is answered, and nothing ends that wait. Were it a thread of the worker
 * that waits, a worker that is killed could not die before the next one
 * answers, which waits for its death. The messenger has nothing that anybody
 * waits for: a duplicate of the descriptor while it writes, and its socket.
 *
 * It is forked before there are threads, gives up what the worker gives up, and
 * ends when the worker's end of the socket is closed. A messenger that does
 * not answer is left alone until it does. Any thread; calls are serialised.
 */
#ifndef LARDER_FS_MESSENGER_H
#define LARDER_FS_MESSENGER_H

#include <stddef.h>
#include <stdint.h>

struct messenger;

#define MESSENGER_BYTES_MAX (48u << 10) /* in one call */
#define MESSENGER_COUNT_MAX 256u

int messenger_start(struct messenger **ret_messenger);
void messenger_free(struct messenger *m); /* NULL is fine */

/* Writes `count` notifications to `fd`, which lie in `buf` one behind the other,
 * each as long as its header says; ret_results gets 0 or a negative errno for
 * each. -ETIMEDOUT: the messenger waits; some were written. -EPIPE: it is gone,
 * which is said once; the next worker has another. -EINVAL. */
int messenger_tell(struct messenger *m, int fd, const void *buf, size_t len,
		   int *ret_results, size_t count);

#endif
