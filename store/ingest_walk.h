/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking a plain directory tree into a catalog under construction, for
 * ingest_dir.c. Directories are read one after the other, breadth first, so
 * that depth costs neither stack nor descriptors. After the walk all of it is
 * constant and may be read by any thread.
 */
#ifndef LARDER_INGEST_WALK_H
#define LARDER_INGEST_WALK_H

#include "base/buf.h"
#include "base/map.h"
#include "ingest.h"

/* A regular file as it was found; what is compared again after reading. */
struct walk_file {
	uint32_t dir;
	uint32_t node;
	size_t name; /* in walk.names */
	uint64_t dev, ino, size;
	int64_t mtime_ns, ctime_ns;
	uint32_t known; /* ingest_dir's: inode number in the tree that the
			   directory was before, or 0 */
};

struct walk_dir {
	uint32_t parent;
	uint32_t node;
	size_t name;
};

struct walk {
	int rootfd;	   /* borrowed, as the next four */
	const char *label; /* for messages */
	const struct ingest_owner *self;
	struct progress *progress;
	struct catalog_build *build;
	bool privileged;
	uint64_t dev;

	struct buf names; /* NUL-terminated */
	struct walk_dir *dirs;
	uint32_t n_dirs, dirs_cap;
	struct walk_file *files;
	uint32_t n_files, files_cap;
	struct map links; /* inode number -> node, plus 1, of several names */
	uint64_t bytes;	  /* of all files */
};

/* The root as a node; `xattrs` is filled and must live as long as *ret_meta
 * is in use. */
int walk_root(int rootfd, const struct ingest_owner *self, bool privileged,
	      struct buf *xattrs, struct catalog_meta *ret_meta);

/* The same of any open file or directory. */
int walk_meta(int fd, const struct ingest_owner *self, bool privileged,
	      struct buf *xattrs, struct catalog_meta *ret_meta);

/* Walks; the struct's first group is filled in by the caller. */
int walk_run(struct walk *w);
void walk_release(struct walk *w);

/* Opens a file for reading. It may not be the one that was walked. */
int walk_open(const struct walk *w, const struct walk_file *f, int *ret_fd);

/* -ESTALE, said with the path, where `fd` is not the file as it was walked. */
int walk_check(const struct walk *w, const struct walk_file *f, int fd);

/* Logs an error about a file and returns it. */
int walk_error(const struct walk *w, const struct walk_file *f, int err,
	       const char *what);

#endif
