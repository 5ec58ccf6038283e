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

/* How many entries are remembered that the kernel holds nothing of, so that
 * they have the same numbers when they are looked up again. */
#define ALL_CLOSED_MAX 1024u

/* How many missing names are noted, of a tree and of all. */
#define ALL_MISSING_TREE_MAX 65536u
#define ALL_MISSING_MAX (1u << 19)

/* An entry that was looked up. Lives while the kernel has references of its
 * root or a call uses it, and then until so many others were closed since. */
struct all_tree {
	struct all_record record; /* constant, but for `refs`: lock */

	/* The lock guards the rest: */
	struct all_tree *same;	 /* the next of an equal hash of its names */
	struct all_tree *before; /* closed before and after this one */
	struct all_tree *after;
	struct view *view;	 /* NULL: closed */
	struct store_tree *tree; /* with it */
	struct map missing;	 /* names that the kernel knows it has not */
	unsigned pins;		 /* calls that use it */
	bool unsure;		 /* `refs` may be more than the kernel has */
	bool indexed;		 /* all of its files are in `files` */
	bool asked;	   /* nothing came of its root since it was asked for */
	int64_t absent_ns; /* since when the kernel is known to have it not, and
			    * no reference came or went; 0: it may */
	int64_t used_ns;   /* last request, monotonic */
	int64_t tidy_ns;   /* when to look again whether it may go */
	int64_t tidy_wait_ns;
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

/* What a listing that goes on gives: the names, as they were when the entries
 * had changed last at `changed_ns`, or since. */
struct all_listing {
	uint64_t dir; /* 0: none */
	int64_t changed_ns;
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

	pthread_mutex_t lock;	  /* guards all below; a leaf but for views' */
	pthread_cond_t unused;	  /* a tree has no reference left */
	struct all_table table;	  /* its seed is constant */
	struct map trees;	  /* by number */
	struct map trees_by_name; /* by a hash, chained by `same` */
	struct all_tree *first_closed, *last_closed;
	size_t closed_count;
	size_t missing_count; /* of all trees */
	struct map files;     /* by node */
	struct map dirs;      /* by node */
	struct all_listing listing;

	pthread_mutex_t tidy_lock; /* one tidies up at a time; taken first */
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

/* The tree of an entry, open, pinned until _unpin(), and with a reference more,
 * which is given back by _forget(). -ENOENT, -EIO, -ENOMEM. */
int all_tree_get(struct view_all *a, const char *namespace, const char *name,
		 const char *key, struct all_tree **ret_tree);

/* That of a number which the kernel has named, open and pinned: that it did
 * says that it holds something of it. -ESTALE */
int all_tree_pin(struct view_all *a, uint32_t number,
		 struct all_tree **ret_tree);
/* The same, for who only looks: NULL where it is not open. */
struct all_tree *all_tree_pin_open(struct view_all *a, uint32_t number);
void all_tree_unpin(struct view_all *a, struct all_tree *t);

/* Opens the view of one that is pinned; `use`: this counts as a use of its
 * entry. As store_tree_open(). */
int all_tree_open(struct view_all *a, struct all_tree *t, bool use);

/* References of its root that the kernel gave back, or never got. */
void all_tree_forget(struct view_all *a, uint32_t number, uint64_t count);

/* With the lock: the same of all that are left. */
void all_tree_forget_all(struct view_all *a, struct all_tree *t);

/* Pins those that the kernel holds and `want` says (with the lock). The caller
 * unpins each and frees the array. -ENOMEM */
int all_trees_pin_held(struct view_all *a,
		       bool (*want)(void *arg, const struct all_tree *t),
		       void *arg, struct all_tree ***ret_trees,
		       size_t *ret_count);

/* Whether the store has an entry of its names with its tree. */
bool all_tree_is_entry(struct view_all *a, const struct all_tree *t,
		       struct entry *ret_entry);

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

/* --- view_all_missing.c --- */

/* Notes that the kernel is told that a directory of the tree, which is pinned,
 * has not the name. */
void all_missing_note(struct view_all *a, struct all_tree *t, uint32_t dir,
		      const char *name, size_t len);

/* Those of all directories: calls `each` until it returns something else than
 * 0, and returns that. */
int all_missing_each(struct view_all *a, struct all_tree *t,
		     int (*each)(void *arg, uint32_t dir, const char *name,
				 size_t len),
		     void *arg);

/* With the lock, when the tree is closed. */
void all_missing_drop(struct view_all *a, struct all_tree *t);

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

/* The node of a namespace (`name` NULL) or of a name in it. -ENOMEM, -EIO */
int all_dir_node(const struct view_all *a, const char *namespace,
		 const char *name, uint64_t *ret_node);

/* A namespace or a name that has entries; counts a reference. -ENOENT */
int all_dir_lookup(struct view_all *a, const struct all_place *parent,
		   const char *name, uint64_t *ret_node);
void all_dir_forget(struct view_all *a, uint64_t node, uint64_t count);
void all_dir_attr(struct view_all *a, uint64_t node,
		  struct view_attr *ret_attr);
int all_dir_list(struct view_all *a, uint64_t node, uint64_t off,
		 view_dir_fn add, void *arg);

#endif
