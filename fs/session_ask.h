/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking the kernel what it holds of a session's nodes, by notifications that
 * the messenger writes (messenger.h). Any thread but service threads.
 */
#ifndef LARDER_FS_SESSION_ASK_H
#define LARDER_FS_SESSION_ASK_H

#include "view_all.h"

struct messenger;

struct session_ask {
	struct messenger *messenger; /* constant, as the next; NULL: none */
	int fd;			     /* borrowed */
};

void session_ask_kernel(struct session_ask *ask,
			struct view_all_kernel *ret_kernel);

#endif
