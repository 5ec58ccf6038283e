/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folding what rests: the catalogs and placements of older versions become
 * folded blobs (fold.h), so that a version takes what it changed. Of the entries
 * of one name the newest stays as it is, as does the newest of each branch and
 * whatever somebody has open (the newest may go, too, where nobody has used it
 * for long: then its next mount waits for it to be unfolded); the others are folded against the oldest of them,
 * their anchor, and where one differs too much from that, it is folded by
 * itself and is the anchor of those that came after it.
 *
 * A folded blob takes the place of the plain one by rename, when it has been
 * unfolded again and compared; so this may be killed anywhere. Any thread; not
 * while a collection runs, since that must not lose an anchor.
 */
#ifndef LARDER_REST_H
#define LARDER_REST_H

#include <stdint.h>

#include "progress.h"
#include "store.h"

/* A newest catalog above this is not folded: unfolding it would be felt, some
 * 4 ms a MiB. */
#define REST_NEWEST_MAX (8u << 20)

struct rest_options {
	/* Newest entries that nobody has used since then (ns since 1970) are
	 * folded as the others are; 0: none. */
	int64_t unused_since_ns;
};

struct rest_result {
	uint64_t catalogs, placements; /* that were folded now */
	uint64_t before_bytes, after_bytes;
};

/* -EBUSY: a collection runs. -ESTALE (said): as gc_run(). What cannot be read
 * is left to those who read it. */
int rest_run(struct store *s, const struct rest_options *options,
	     struct progress *progress, struct rest_result *ret_result);

#endif
