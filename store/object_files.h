/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a store: those of objects, <root>/<hh>/<hex>, and others. A
 * file that comes or goes during a walk may be seen or not. Any thread.
 */
#ifndef LARDER_OBJECT_FILES_H
#define LARDER_OBJECT_FILES_H

#include "digest.h"

struct stat;

/* An error ends the walk and is returned. */
typedef int (*object_file_fn)(void *arg, const struct digest *name,
			      const struct stat *st);

/* The regular files of all objects of a root; that of a sparse pack's map,
 * <hex>.map, has the pack's name. */
int object_files_each(int rootfd, object_file_fn fn, void *arg);

/* The regular files of one directory; `name` is NULL. A directory that is not
 * there is empty. */
int object_files_beside(int atfd, const char *path, object_file_fn fn,
			void *arg);

#endif
