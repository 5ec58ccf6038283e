/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tiers that a command works with: those of the configuration, or of
 * --tiers, --to and --from, with what the environment has of credentials. Chosen
 * once, when a command begins, and then part of every request. One thread.
 */
#ifndef LARDER_TOOLS_TIERS_H
#define LARDER_TOOLS_TIERS_H

#include <jansson.h>
#include <stdbool.h>

#include "config.h"
#include "out.h"

/*
 * `list`: what stands behind --tiers, TIER:ACCESS,..., or NULL for the
 * configuration's. `to` and `from`: URLs of one tier that is to be used in their
 * place, or NULL. EXIT_USAGE for what is no tier.
 */
int tiers_choose(const struct config *config, const char *list, const char *to,
		 const char *from, struct failure *ret_failure);
void tiers_release(void);

/* Adds "tiers" to the parameters of a request, and "no_local" where the store
 * itself is not to be read. */
void tiers_add(json_t *params);

/* Whether entries may be written to the local store. */
bool tiers_local_writable(void);

#endif
