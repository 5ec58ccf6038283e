/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repacking: the packs of an import, which was in a hurry, are compressed anew
 * at a high level, with a better dictionary, into fewer and larger packs. The
 * trees that need them are placed again; the old packs are garbage for the
 * next collection.
 *
 * What an open tree needs of an import keeps all of it as it is until that is
 * closed. Packs that were sent to a remote tier or came from one stay as they
 * are, since the tier would be sent everything again. So do small ones, and
 * those that a sample says would give little; this is noted, as it is of packs
 * that were made here (index.h), and not tried again.
 *
 * May be killed or broken off anywhere: packs that were finished serve the next
 * one, unless a collection removes them before. Any thread; not while a
 * collection runs. Fault points: those of pack_copy.h, gc.place, repack.note.
 */
#ifndef LARDER_REPACK_H
#define LARDER_REPACK_H

#include <stdint.h>

#include "gc.h"

/* Less in a pack is not looked at. */
#define REPACK_MIN_BYTES (64u << 10)

struct repack_options {
	int level; /* 0: CODEC_LEVEL_HIGH */
	/* As of struct gc_options; may be NULL. */
	int (*holds)(void *arg,
		     int (*each)(void *each_arg, const struct digest *catalog),
		     void *each_arg);
	void *arg;
};

struct repack_result {
	uint64_t packs, new_packs; /* that were compressed anew, and became */
	uint64_t before_bytes,
		after_bytes; /* of both; before: what is needed */
	uint64_t in_use;     /* packs that wait until they are closed */
	uint64_t sent;	     /* that stay as they are */
	uint64_t no_gain;    /* looked at now, for the last time */
	uint64_t unreadable; /* trees, as of struct gc_result: nothing is done */
};

/* -EBUSY: a collection runs. -ESTALE (said): as gc_run(). -ENOSPC, -ECANCELED:
 * broken off; *ret_result says what was done then, too. */
int repack_run(struct store *s, const struct repack_options *options,
	       struct progress *progress, struct repack_result *ret_result);

#endif
