/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a service says to systemd (sd_notify(3)): a datagram to the socket that
 * $NOTIFY_SOCKET names. No state; any thread. The worker says when it is
 * ready, so a unit needs NotifyAccess=all.
 */
#ifndef LARDER_FS_NOTIFY_H
#define LARDER_FS_NOTIFY_H

/* `text`: assignments, a line each ("READY=1"). 0 also where nobody listens,
 * which is so without the variable; else the errno of what failed. */
int notify_send(const char *text);

#endif
