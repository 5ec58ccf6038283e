/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control server: answers the requests of fs/PROTOCOL.md, each connection
 * on a thread of its own. The methods are in control_store.c (entries),
 * control_gc.c (what of them stays),
 * control_mount.c (mounts), control_remote.c (tiers), control_change.c (what was changed in one) and
 * control_daemon.c; what they share is in control_internal.h.
 */
#ifndef LARDER_FS_CONTROL_H
#define LARDER_FS_CONTROL_H

#include <stdbool.h>

#include "store/store.h"

#include "keeper.h"
#include "mounts.h"
#include "sandbox.h"
#include "tiers.h"
#include "uploads.h"

struct control;

struct control_config {
	int listen_fd;	     /* borrowed */
	struct store *store; /* borrowed, as the next two */
	struct mounts *mounts;
	struct keeper *keeper;
	struct tiers *tiers; /* borrowed, as the next */
	struct uploads *uploads;
	const struct sandbox *sandbox; /* borrowed */
	const char *state_dir;
	int supervisor_pid;
	int wake_fd; /* eventfd; gets 1 when the last connection closes */
	/* `stop` was asked for: with `restart`, a new worker takes over. On
	 * the connection's thread. */
	void (*stop)(void *arg, bool restart);
	void *arg;
};

int control_start(const struct control_config *config,
		  struct control **ret_control);

/* True while a connection is open. */
bool control_is_busy(struct control *c);

/* Accepts nothing more, unless a connection is open (then false). What
 * connects from now on waits in the socket's queue for another worker. */
bool control_stop_if_idle(struct control *c);

/*
 * Accepts nothing more and waits for what is being answered; clients that ask
 * for nothing are disconnected. Work that goes on for too long is given up as
 * if its client had gone away. False where some did not end even so: then
 * nothing that the methods use may be freed.
 */
bool control_stop(struct control *c);
void control_free(struct control *c); /* control_stop() was true */

#endif
