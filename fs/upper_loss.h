/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What damage of an upper's log took, by name: gathered while the log is
 * opened, from the records behind the damage that are still whole, and constant
 * from then on. What is in the damaged bytes themselves nobody can say.
 */
#ifndef LARDER_FS_UPPER_LOSS_H
#define LARDER_FS_UPPER_LOSS_H

#include <stdbool.h>
#include <stddef.h>

#include "log.h"

#define UPPER_LOSS_PATHS 100

struct upper;

struct upper_loss {
	struct log_damage damage;

	/* Below the root, sorted, each once; "?" stands for a directory whose
	 * own name is lost. At most UPPER_LOSS_PATHS. */
	char **paths;
	size_t npaths;
	bool more; /* there are others */
};

struct upper_lost; /* what is gathered */

/* Notes what a lost record changes. Where memory is short, it is not noted. */
void upper_loss_add(struct upper *u, const void *items, size_t items_len);

/* When all is applied that is there: makes u->loss, and says it. -ENOMEM. */
int upper_loss_settle(struct upper *u);
void upper_loss_release(struct upper *u);

#endif
