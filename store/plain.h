/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain directories that stand in for mounts where there is no FUSE: what is
 * in one that was materialized or imported before, and making room in it.
 * Content comes by export_dir(), and goes back by ingest_dir(). Any thread.
 */
#ifndef LARDER_PLAIN_H
#define LARDER_PLAIN_H

#include <stdbool.h>

#include "ingest.h"

enum plain_state {
	PLAIN_EMPTY,
	PLAIN_FOREIGN,	 /* files of which nothing is known */
	PLAIN_UNCHANGED, /* the tree that *ret_catalog names, exactly */
	PLAIN_CHANGED,	 /* it was that tree */
	PLAIN_WANTED,	 /* it was the tree that was wanted */
};

/* Compares names and stat data; reads no content. An unchanged one is told by
 * its catalog's digest. Where it was `wanted` (NULL: none), nothing is
 * compared: the caller takes it as it is. Negative errno where the directory
 * cannot be walked. */
int plain_look(struct store *s, int dirfd, const char *label,
	       const struct ingest_owner *self, const struct digest *wanted,
	       enum plain_state *ret_state, struct digest *ret_catalog);

/* Removes what is in the directory. */
int plain_clear(int dirfd);

#endif
