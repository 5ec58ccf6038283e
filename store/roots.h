/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of several directories and files. Their tree has each of them, a
 * root, at the path that is the root's name; and the tree's own root says so
 * in the attribute user.larder.roots, for each root in the order of names:
 *
 *	<hex digest of the root's own catalog> <kind> <name> NUL
 *
 * The kind is `d`, a directory; `f`, a file; or `-`: nothing was there when
 * the entry was made, which is a part of what it says (the digest is zero).
 *
 * A root's own catalog is what is mounted in a directory's place; a file's is
 * a tree that holds only it (lone_file.h). It is no part
 * of the entry and may be made again from the joined tree at any time: the
 * same tree always gives the same catalog. Any thread.
 */
#ifndef LARDER_ROOTS_H
#define LARDER_ROOTS_H

#include "ingest.h"
#include "store.h"

#define ROOTS_MAX 64
#define ROOTS_NAME_MAX 512

enum root_kind {
	ROOT_DIR,
	ROOT_FILE,
	ROOT_ABSENT, /* no catalog */
};

struct root {
	const char *name; /* borrowed */
	struct digest catalog;
	enum root_kind kind;
};

/* -EINVAL where it is no relative path of plain names. */
int roots_check_name(const char *name);

/* The roots of a tree, in order, their names borrowed from the catalog:
 * *ret_count 0 for one that is of one directory. -EBADMSG. */
int roots_read(const struct catalog *c, struct root *ret_roots,
	       size_t *ret_count);

/*
 * Root `name` of a tree, its catalog ready to be mounted: made from the joined
 * tree where the store has it no more. `alone`: the root that is all of the
 * tree; one that is of one directory has no names, and is that. -ENOENT where
 * the tree has no such root.
 */
int roots_extract(struct store *s, const struct digest *tree, const char *name,
		  bool alone, struct root *ret_root);

/*
 * Joins roots, whose catalogs are in the store, and publishes the entry, as
 * ingest_commit() does. `added`: what their own ingests have added, which the
 * entry then has as its own. -EINVAL for names that are in one another, and
 * where all of the roots are absent.
 */
int roots_join(struct store *s, const struct root *roots, size_t count,
	       const struct ingest_result *added, struct entry *e,
	       struct ingest_result *ret_result);

#endif
