/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One blob of a store that is being folded (fold.h): its bytes, what becomes
 * of them, and the step that puts this in the place of the plain file. For
 * rest.c, one thread; which blob, and against what, is decided there.
 */
#ifndef LARDER_FOLDING_H
#define LARDER_FOLDING_H

#include "fold.h"
#include "store_internal.h"

struct folding {
	struct store *store;
	struct fold_header header; /* all but `anchor` is the caller's */
	const void *data;	   /* borrowed */
	const void *prefix;
	size_t prefix_len;
	struct buf file;
};

/* Folds it, against a catalog or (NULL, NULL) by itself, in memory. `prefix` is
 * borrowed until it is published. Errors of fold_encode(). */
int folding_encode(struct folding *f, const struct digest *anchor,
		   const struct catalog *prefix);

/* Unfolds it again, compares, and replaces the file: 1; 0 where it is no
 * smaller, or somebody needs the object. */
int folding_publish(const struct folding *f);
void folding_release(struct folding *f);

#endif
