/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths of many files of a mount at once, of a view and of a view of all
 * entries. A file's record does not say where it is named: for the base there
 * is a table (store/catalog_places.h), which is made when it is first needed;
 * the names of the upper are looked through once a call, not once a file.
 *
 * One thread at a time; the view is borrowed.
 */
#ifndef LARDER_FS_VIEW_PATHS_H
#define LARDER_FS_VIEW_PATHS_H

#include <stddef.h>
#include <stdint.h>

struct view;
struct view_all;
struct view_paths;
struct view_all_paths;

int view_paths_new(struct view *v, struct view_paths **ret_paths);
void view_paths_free(struct view_paths *p); /* NULL is fine */

/* Gives for each number a path from the root of the mount, which the caller
 * frees; NULL where the file has no name any more. -ENOMEM with none. */
int view_paths_find(struct view_paths *p, const uint64_t *numbers, size_t n,
		    char **ret_paths);

/* The same for the nodes of regular files. Of those that several entries have,
 * the path in one of them. */
int view_all_paths_new(struct view_all *a, struct view_all_paths **ret_paths);
void view_all_paths_free(struct view_all_paths *p); /* NULL is fine */
int view_all_paths_find(struct view_all_paths *p, const uint64_t *nodes,
			size_t n, char **ret_paths);

#endif
