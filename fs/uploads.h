/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upload queue: entries on their way into remote tiers. Each is a file
 * <state>/uploads/<id>.json from when it is added until it is done, so that the
 * queue survives the daemon; an upload that was interrupted begins again, and
 * packs that have arrived are not sent again. One thread uploads, one entry to
 * one tier at a time, at background priority; what fails is tried again after a
 * pause that doubles. No secret is in a file: what came with an upload outlives
 * the worker (vault.h), and not the daemon, after which a tier's credentials
 * come from its file, its helper or the daemon's environment, or with the next upload
 * of the same tenant and namespace to the same tiers. That one lends its own to
 * those that have failed, for one attempt each, which is not counted where it
 * fails, too.
 *
 * Any thread.
 */
#ifndef LARDER_FS_UPLOADS_H
#define LARDER_FS_UPLOADS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/remote.h"

#include "tiers.h"

struct uploads;

/* Reads the queue; borrows `s` and `t`. What cannot be read is said and left
 * alone. `wake_fd`: an eventfd that gets 1 whenever an upload has ended. */
int uploads_new(struct store *s, struct tiers *t, const char *state_dir,
		int wake_fd, struct uploads **ret_uploads);

/* Ends what is going on; the queue stays. NULL is fine. */
void uploads_free(struct uploads *u);

/* Puts an entry in line for tier `i` of a chain, which was made from `tiers`:
 * what of the entry is not here comes from the others of them. One that waits
 * there already is not put there twice: it goes on with this list and what that
 * has of secrets. It is durable then. */
int uploads_add(struct uploads *u, const struct entry *e, struct chain *c,
		unsigned i, const json_t *tiers, bool force, uint64_t *ret_id);

/* What became of an upload: what was sent, and where it failed, why, and
 * whether it is not tried again. */
struct upload_outcome {
	struct remote_result result;
	char why[TIER_WHY_MAX];
	bool given_up;
};

/* Waits until an upload is done or has failed once; `each` is called now and
 * then, and ends the waiting (not the upload) with a negative errno. What it
 * failed with. */
int uploads_wait(struct uploads *u, uint64_t id,
		 int (*each)(void *arg, uint64_t packs, uint64_t all_packs,
			     uint64_t bytes),
		 void *arg, struct upload_outcome *ret_outcome);

/* Whether the upload is in line. */
bool uploads_has(struct uploads *u, uint64_t id);

/* What waits, oldest first, as `status` shows it. NULL: out of memory. */
json_t *uploads_json(struct uploads *u);

/* Whether something is to be uploaded now, for which a daemon that is idle
 * stays: what has failed a few times waits for the next one. */
bool uploads_are_busy(struct uploads *u);

#endif
