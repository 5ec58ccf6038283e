/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of the view of all entries, private to view_all*.c: its trees, its
 * shared files, and the directories above the trees.
 */
#ifndef LARDER_FS_VIEW_ALL_INTERNAL_H
#define LARDER_FS_VIEW_ALL_INTERNAL_H

#include <pthread.h>

#include "store/base/cleanup.h"
#include "store/base/map.h"

#include "all_table.h"
#include "view_all.h"

#define ALL_NODE_DIR (UINT64_C(1) << 61)
#define ALL_NODE_FILE (UINT64_C(1) << 62)

/* An entry that was looked up once. Lives as long as the view. */
struct all_tree {
	struct all_record record; /* constant, but for `open`: lock */
	struct all_tree *same;	  /* of an equal hash of its names; constant */

	/* The lock guards the rest: */
	struct view *view;	 /* NULL: closed */
	struct store_tree *tree; /* with it */
	uint64_t lookups;	 /* kernel references of its root */
	unsigned pins;		 /* calls that use it */
	bool adopted; /* references of an earlier worker's are left */
	bool indexed; /* all of its files are in `files` */
};

struct all_file {
	uint64_t check; /* more of the hash */
	uint64_t lookups;
	uint32_t tree, ino; /* where it may be read */
};

/* A directory above the trees. */
struct all_dir {
	char *namespace, *name; /* owned; name NULL: the namespace's */
	uint64_t lookups;
};

/* What a listing that goes on gives: the names, as they were when it began. */
struct all_listing {
	uint64_t dir; /* 0: none */
	struct all_listed {
		uint64_t cookie;
		char name[KEY_MAX + 1];
	} * items;
	size_t count, cap;
};

struct view_all {
	struct view_all_options opt; /* constant, as the next three */
	char *tenant;
	int dirfd;
	uint8_t seed[ALL_SEED_LEN];

	pthread_mutex_t lock; /* guards all below; a leaf but for views' */
	int table_fd;
	uint32_t next;		  /* number */
	struct map trees;	  /* by number */
	struct map trees_by_name; /* by a hash, chained by `same` */
	struct map files;	  /* by node */
	struct map dirs;	  /* by node */
	struct all_listing listing;
};

/* Bits 0..60 of a hash that nobody else can compute, and 64 more. -ENOMEM,
 * -EIO */
struct all_hash {
	uint64_t id, check;
};
int all_hash_of(const struct view_all *a, const void *data, size_t len,
		struct all_hash *ret_hash);

/* --- view_all_trees.c --- */

static inline uint64_t all_tree_node(const struct all_tree *t, uint64_t ino)
{
	return (uint64_t)t->record.number << 32 | ino;
}

int all_trees_load(struct view_all *a);
void all_trees_release(struct view_all *a);

/* Tree of an entry or a number, open and pinned until _unpin(). -ENOENT,
 * -ESTALE, -EIO, -ENOMEM. */
int all_tree_get(struct view_all *a, const char *namespace, const char *name,
		 const char *key, struct all_tree **ret_tree);
int all_tree_pin(struct view_all *a, uint32_t number,
		 struct all_tree **ret_tree);
void all_tree_unpin(struct view_all *a, struct all_tree *t);

/* References of its root. The caller of _ref() has it pinned. */
void all_tree_ref(struct view_all *a, struct all_tree *t);
void all_tree_forget(struct view_all *a, uint32_t number, uint64_t count);

/* Numbers of the trees that are open or should be, and whose files are not all
 * in the table; the caller frees. */
int all_trees_unindexed(struct view_all *a, uint32_t **ret_numbers,
			size_t *ret_count);

/* --- view_all_files.c --- */

void all_files_release(struct view_all *a);

/* The node of a tree's inode, whatever it is; `t` is pinned. With `ref` a
 * reference is counted where the node is a file's. Under the lock of the
 * tree's view, too. */
int all_file_node(struct view_all *a, struct all_tree *t, uint32_t ino,
		  bool ref, uint64_t *ret_node);
void all_file_forget(struct view_all *a, uint64_t node, uint64_t count);

/* Where the file is: a tree, pinned, and its inode. -ESTALE, and errors of
 * all_tree_pin(). */
int all_file_find(struct view_all *a, uint64_t node, struct all_tree **ret_tree,
		  uint32_t *ret_ino);

/* With the lock, when tree `number` is closed: what nobody holds of it goes,
 * and what is left is looked for in others when it is needed. */
void all_files_leave(struct view_all *a, uint32_t number);

/* --- view_all_dirs.c --- */

void all_dirs_release(struct view_all *a);

static inline bool all_is_dir(uint64_t node)
{
	return node == VIEW_ROOT ||
	       (node & (ALL_NODE_FILE | ALL_NODE_DIR)) == ALL_NODE_DIR;
}

/* The directory's names, which the caller releases. -ESTALE */
struct all_place {
	char *namespace, *name; /* NULL: above */
};
void all_place_release(struct all_place *p);
int all_dir_find(struct view_all *a, uint64_t node,
		 struct all_place *ret_place);

/* A namespace or a name that has entries; counts a reference. -ENOENT */
int all_dir_lookup(struct view_all *a, const struct all_place *parent,
		   const char *name, uint64_t *ret_node);
void all_dir_forget(struct view_all *a, uint64_t node, uint64_t count);
void all_dir_attr(struct view_all *a, uint64_t node,
		  struct view_attr *ret_attr);
int all_dir_list(struct view_all *a, uint64_t node, uint64_t off,
		 view_dir_fn add, void *arg);

#endif
