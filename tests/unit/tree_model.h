/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model of a tree in memory, and a tester that does the same random
 * operations to it and to a file system and compares results and trees. The
 * file system is reached through a table of calls by path, so the same tester
 * runs on a view in the process and on a mount.
 *
 * One thread. Paths are relative to the root, without a leading '/'; "" is
 * the root. No path leads through a symbolic link.
 */
#ifndef LARDER_TESTS_TREE_MODEL_H
#define LARDER_TESTS_TREE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct tree_stat {
	uint32_t mode, nlink;
	uint64_t size; /* of files and symlinks */
};

/* All return 0, a count, or a negative errno. */
struct tree_ops {
	int (*mkdir)(void *fs, const char *path, unsigned mode);
	int (*create)(void *fs, const char *path, unsigned mode);
	int (*symlink)(void *fs, const char *target, const char *path);
	int (*link)(void *fs, const char *from, const char *to);
	int (*unlink)(void *fs, const char *path);
	int (*rmdir)(void *fs, const char *path);
	int (*rename)(void *fs, const char *from, const char *to,
		      unsigned flags);
	ssize_t (*write)(void *fs, const char *path, const void *buf,
			 size_t len, uint64_t off);
	int (*truncate)(void *fs, const char *path, uint64_t size);
	int (*punch)(void *fs, const char *path, uint64_t off, uint64_t len);
	int (*zero)(void *fs, const char *path, uint64_t off, uint64_t len);
	ssize_t (*copy)(void *fs, const char *from, uint64_t from_off,
			const char *to, uint64_t to_off, uint64_t len);
	int (*chmod)(void *fs, const char *path, unsigned mode);
	int (*setxattr)(void *fs, const char *path, const char *name,
			const void *value, size_t len);
	int (*removexattr)(void *fs, const char *path, const char *name);

	int (*stat)(void *fs, const char *path, struct tree_stat *ret_stat);
	ssize_t (*read)(void *fs, const char *path, void *buf, size_t len,
			uint64_t off);
	ssize_t (*readlink)(void *fs, const char *path, char *buf, size_t size);
	ssize_t (*getxattr)(void *fs, const char *path, const char *name,
			    void *buf, size_t size);
	/* Every name once, without "." and "..". */
	int (*list)(void *fs, const char *path,
		    void (*each)(void *arg, const char *name, size_t len),
		    void *arg);
};

struct tree_model;

/* NULL: no memory. `max_file` bounds files' sizes. */
struct tree_model *tree_model_new(uint64_t seed, uint64_t max_file);
void tree_model_free(struct tree_model *m);

/* Takes over what the file system holds now. */
int tree_model_load(struct tree_model *m, const struct tree_ops *ops, void *fs);

/* One random operation on both. False, with the difference printed, when the
 * results differ. */
bool tree_model_step(struct tree_model *m, const struct tree_ops *ops,
		     void *fs);

/* The whole trees: names, types, modes, link counts, sizes, bytes, targets,
 * attributes. False, with the first difference printed. */
bool tree_model_compare(struct tree_model *m, const struct tree_ops *ops,
			void *fs);

#endif
