/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of several directories. Their tree has a directory for each, its
 * root, at the path that is the root's name; and the tree's own root says so
 * in the attribute user.larder.roots, for each root in the order of names:
 *
 *	<hex digest of the root's own catalog> <name> NUL
 *
 * A root's own catalog is what is mounted in the root's place. It is no part
 * of the entry and may be made again from the joined tree at any time: the
 * same tree always gives the same catalog. Any thread.
 */
#ifndef LARDER_ROOTS_H
#define LARDER_ROOTS_H

#include "ingest.h"
#include "store.h"

#define ROOTS_MAX 64
#define ROOTS_NAME_MAX 512

struct root {
	const char *name; /* borrowed */
	struct digest catalog;
};

/* -EINVAL where it is no relative path of plain names. */
int roots_check_name(const char *name);

/* The roots of a tree, in order, their names borrowed from the catalog:
 * *ret_count 0 for one that is of one directory. -EBADMSG. */
int roots_read(const struct catalog *c, struct root *ret_roots,
	       size_t *ret_count);

/*
 * The catalog of root `name` (NULL: of a tree that is of one directory, that
 * is itself), ready to be mounted: made from the joined tree where the store
 * has it no more. -ENOENT where the tree has no such root.
 */
int roots_extract(struct store *s, const struct digest *tree, const char *name,
		  struct digest *ret_catalog);

/*
 * Joins roots, whose catalogs are in the store, and publishes the entry, as
 * ingest_commit() does. `added`: what their own ingests have added, which the
 * entry then has as its own. -EINVAL for names that are in one another.
 */
int roots_join(struct store *s, const struct root *roots, size_t count,
	       const struct ingest_result *added, struct entry *e,
	       struct ingest_result *ret_result);

#endif
