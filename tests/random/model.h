/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree in memory, as simple as a file system can be: what a local file
 * system does to names, link counts, modes, owners and times, and the errors
 * it gives, in the order in which Linux finds them. Files' bytes are a
 * struct content, which callers change themselves.
 *
 * What cannot be known is not claimed: a time is known, or was set between two
 * moments, or may have been. One thread. No memory: abort().
 */
#ifndef LARDER_TESTS_MODEL_H
#define LARDER_TESTS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "content.h"
#include "tree_ops.h"

#define MODEL_NAME_MAX 255

/* Nanoseconds. It was `at` when last seen or set, if `known`; and if it is
 * not, or `maybe`, it was set at `low` or later. */
struct model_time {
	int64_t at, low;
	bool known, maybe;
};

struct model_name {
	char *name;
	struct model_node *node;
};

struct model_xattr {
	char *name;
	void *value;
	size_t len;
};

struct model_node {
	uint32_t mode, nlink, uid, gid;
	unsigned opens; /* slots */
	bool linkable;	/* made without a name */
	bool floating;	/* bytes written to a mapping may be on their way */
	uint64_t ino;	/* 0: not seen yet */
	struct model_time atime, mtime, ctime;
	struct model_node *parent; /* directories */
	struct model_name *names;
	size_t n, cap;
	struct content content;
	char *target;
	struct model_xattr *xattrs;
	size_t n_xattrs;
};

struct model_slot {
	struct model_node *node; /* NULL: closed */
	bool append;
};

struct model {
	struct model_node *root;
	struct model_slot slots[TREE_SLOTS];
	uint32_t uid, gid; /* of what is made */
	int64_t now;	   /* not later than the step that is being done */
};

void model_init(struct model *m, uint32_t uid, uint32_t gid);
void model_release(struct model *m);

/* The slot that "@N" names, or NULL. */
struct model_slot *model_slot(struct model *m, const char *path);

/* -ENOENT, -ENOTDIR, -ELOOP, -ENAMETOOLONG; -EBADF for a closed slot. */
int model_find(struct model *m, const char *path, struct model_node **ret_node);

/* What can be opened for reading and writing: also -EISDIR, -ELOOP. */
int model_find_file(struct model *m, const char *path,
		    struct model_node **ret_node);

/* A name in a directory, or NULL. */
struct model_name *model_name(const struct model_node *dir, const char *name);

/* `mode` has the type; `target` for symlinks. */
int model_make(struct model *m, const char *path, uint32_t mode,
	       const char *target);
int model_link(struct model *m, const char *from, const char *to);
int model_remove(struct model *m, const char *path, bool rmdir);
int model_rename(struct model *m, const char *from, const char *to,
		 unsigned flags);

/* Open files. */
void model_hold(struct model *m, unsigned slot, struct model_node *n,
		bool append);
int model_tmpfile(struct model *m, unsigned slot, const char *dir,
		  uint32_t mode);
void model_drop(struct model *m, unsigned slot);

void model_chown(struct model *m, struct model_node *n, uint32_t uid,
		 uint32_t gid);

struct model_xattr *model_xattr(struct model_node *n, const char *name);
void model_set_xattr(struct model_node *n, const char *name, const void *value,
		     size_t len);
void model_remove_xattr(struct model_node *n, struct model_xattr *x);

/* For taking over a tree: gives `n` a name without what that would do to
 * times, and a node without a name. */
struct model_node *model_node_new(uint32_t mode);
void model_add(struct model_node *dir, const char *name, struct model_node *n);

/* --- times --- */
void model_time_set(struct model_time *t, int64_t at);
void model_time_changed(const struct model *m, struct model_time *t);
void model_time_may_change(const struct model *m, struct model_time *t);
void model_time_unknown(struct model_time *t);

/* Content, or the names of a directory, have changed; or metadata only. */
void model_modified(const struct model *m, struct model_node *n);
void model_changed(const struct model *m, struct model_node *n);

/* Calls `each` once for every node with a name. */
void model_each(struct model_node *dir,
		void (*each)(void *arg, struct model_node *n), void *arg);

#endif
