/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two halves of view_diff(): view_diff.c finds out which directories to
 * compare and knows old paths, view_diff_compare.c compares them and collects what is
 * different. All under the view's read lock, for one diff in one thread.
 */
#ifndef LARDER_FS_VIEW_DIFF_H
#define LARDER_FS_VIEW_DIFF_H

#include "view_internal.h"

struct change {
	enum view_change change;
	char *path, *from; /* owned */
	uint64_t size;
	uint32_t mode;
};

/* A directory to compare: 0 for a side that has none. */
struct pair {
	uint64_t dir;
	uint32_t old;
	char *path; /* owned; "" for the root */
};

struct diff {
	struct view *v;
	const struct catalog *old; /* NULL: nothing was there */
	uint32_t old_tree;
	uint32_t baseline;  /* epoch behind which changes count */
	bool by_number;	    /* old numbers are the view's */
	struct map touched; /* directories */
	struct map moved;   /* base inode -> its struct name */
	uint32_t *parents;  /* of base inodes; made when first needed */
	struct change *changes;
	size_t n, cap;
	struct pair *todo;
	size_t n_todo, cap_todo;
};

/* Where the base had an inode; the caller frees. */
int diff_old_path(struct diff *d, uint32_t ino, char **ret_path);

/* Compares the roots and puts what is below on the list. */
int diff_compare_root(struct diff *d);

/* Compares one directory, adding those below it that were touched. */
int diff_compare_dir(struct diff *d, const struct pair *p);

#endif
