/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `larder doctor` looks at. Each doctor_<noun>() makes a few checks and
 * says for each one sentence, and where it is not all right one more, of what
 * to do. Nothing here starts a daemon, waits for a mount that hangs, or touches
 * a user's data; with `fix`, what a dead process left behind is cleaned up
 * where it is found. One thread.
 */
#ifndef LARDER_TOOLS_DOCTOR_H
#define LARDER_TOOLS_DOCTOR_H

#include <jansson.h>
#include <stdbool.h>

#include "out.h"

enum doctor_level {
	DOCTOR_OK,
	DOCTOR_FIXED,
	DOCTOR_WARNING, /* works, but not as well or as surely as it could */
	DOCTOR_PROBLEM, /* does not work */
};

struct doctor {
	const struct args *args;
	bool fix;
	json_t *checks; /* an array */
	unsigned counts[DOCTOR_PROBLEM + 1];
	json_t *status; /* of the daemon; NULL: none answers */
	bool silent;	/* ... though there is one */
};

/* Notes and prints one result. `advice`: what to do, or NULL. */
void doctor_say(struct doctor *d, enum doctor_level level, const char *check,
		const char *advice, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

void doctor_system(struct doctor *d);
void doctor_limits(struct doctor *d);
void doctor_places(struct doctor *d);

/* Fills d->status, which the next two want. */
void doctor_daemon(struct doctor *d);
void doctor_sockets(struct doctor *d);
void doctor_mounts(struct doctor *d);
void doctor_uppers(struct doctor *d);
void doctor_tiers(struct doctor *d);

#endif
