/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets of tiers that came with requests, for as long as somebody goes on
 * needing them: a mount, an upload. Each owner has its own, since what one
 * request brought is not another's to use. They are never on disk: the worker
 * has them in memory, and for the worker after it they are in a sealed file
 * without a name (memfd_create(2)) whose descriptor the supervisor holds and does not
 * read. What cannot be handed over that way is lost with the worker, and said.
 *
 * The file: one JSON object {"lists": [tiers with their secrets (tiers.h), each
 * once], "owners": {OWNER: number of the list}}.
 *
 * Any thread.
 */
#ifndef LARDER_FS_VAULT_H
#define LARDER_FS_VAULT_H

#include <jansson.h>
#include <stdbool.h>

#define VAULT_OWNER_MAX 64
#define VAULT_BYTES_MAX (16u << 20)

struct vault;
struct supervisor_link;

/* With what an earlier worker left. `link` is borrowed; NULL: there is no other
 * worker. */
int vault_new(struct supervisor_link *link, struct vault **ret_vault);
void vault_free(struct vault *v); /* NULL is fine */

/* Keeps a copy of a list of tiers, in place of what the owner had. */
int vault_put(struct vault *v, const char *owner, const json_t *tiers);

/* A copy of what the owner has; NULL where it has nothing. */
json_t *vault_get(struct vault *v, const char *owner);
void vault_remove(struct vault *v, const char *owner);

/* Removes what owners have that are gone, as a worker that died could not;
 * lives() may take locks, and use the vault. Short of memory, all stays. */
void vault_sweep(struct vault *v, bool (*lives)(void *arg, const char *owner),
		 void *arg);

#endif
