/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view of all entries of a store's tenant, read-only: <namespace>/<name>/
 * <key>/ and below each key the entry's tree. What view.h is to an ordinary
 * mount; the operations in ops_all.c translate between it and libfuse. It
 * opens an ordinary view of an entry when the kernel first looks it up, and
 * closes it when the kernel has given back all references of the tree's root,
 * which it does last (view_all_trees.c says why the count is right).
 *
 * Node ids say where something is, so that another worker finds it too:
 *
 *	1				the root
 *	number << 32 | inode		of the tree that all_table.h numbers
 *	bit 61 and a keyed hash		a namespace, or a name in it
 *	bit 62 and a keyed hash		a file that other trees may have, too
 *
 * Regular files with one name share their node, and so their pages in memory,
 * with all others of the same content, mode, owner, time and extended
 * attributes. Files with several names do not: their nodes say which belong
 * together. A hash that the kernel has from an earlier worker is found by
 * looking through the trees that the table has as open (view_all_files.c).
 *
 * Any thread. No call holds the lock while it reads the store or a view.
 */
#ifndef LARDER_FS_VIEW_ALL_H
#define LARDER_FS_VIEW_ALL_H

#include "store/entry.h"
#include "view.h"

struct view_all;

struct view_all_options {
	const char *tenant; /* borrowed during the call */
	struct store *store;
	struct fetch *fetch;
	uint32_t uid, gid;
	int dirfd;  /* the mount's state directory; duplicated */
	bool adopt; /* the kernel holds nodes of an earlier worker */
	/* Called before an entry's tree is opened: says where its chunks may
	 * be had. May be NULL. */
	void (*offer)(void *arg, const struct entry *e);
	void *arg;
};

int view_all_open(const struct view_all_options *opt,
		  struct view_all **ret_all);
void view_all_close(struct view_all *a); /* NULL is fine */

/* For how long the kernel may believe what it was told. */
enum view_all_term {
	VIEW_ALL_FIXED, /* nothing of it changes */
	VIEW_ALL_ENTRY, /* its name may go, or mean another tree */
	VIEW_ALL_DIR,	/* nor do its attributes stay */
};

/* As those of view.h; what is said to be missing may come at any time where
 * ret_term is VIEW_ALL_DIR. Errors of a tree that cannot be opened: -EIO,
 * -ENOMEM. */
int view_all_lookup(struct view_all *a, uint64_t parent, const char *name,
		    size_t len, struct view_attr *ret_attr,
		    enum view_all_term *ret_term);
void view_all_forget(struct view_all *a, uint64_t node, uint64_t count);
int view_all_getattr(struct view_all *a, uint64_t node,
		     struct view_attr *ret_attr, enum view_all_term *ret_term);
ssize_t view_all_readlink(struct view_all *a, uint64_t node, char *buf,
			  size_t size);

/* Names of namespaces, names and keys come without attributes: attr->ino is 0
 * then, and no reference is taken. */
int view_all_readdir(struct view_all *a, uint64_t dir, uint64_t off, bool plus,
		     view_dir_fn add, void *arg);
ssize_t view_all_read(struct view_all *a, uint64_t node, void *buf, size_t len,
		      uint64_t off);
int view_all_lseek(struct view_all *a, uint64_t node, uint64_t off, int whence,
		   uint64_t *ret_off);
ssize_t view_all_getxattr(struct view_all *a, uint64_t node, const char *name,
			  void *buf, size_t size);
ssize_t view_all_listxattr(struct view_all *a, uint64_t node, bool trusted,
			   char *buf, size_t size);

/* What the kernel can be asked from outside of its requests. Not from a
 * service thread; each may wait until a request of somebody else is done. */
struct view_all_name {
	uint64_t parent; /* node */
	const char *name;
	size_t len;
};
struct view_all_kernel {
	/* Has it forget that names are missing. Negative: it cannot be asked,
	 * as the next. */
	int (*drop)(void *arg, const struct view_all_name *names, size_t count);
	/* Has it drop nodes, one after the other, that nobody uses and that
	 * have nothing below them. */
	int (*prune)(void *arg, const uint64_t *nodes, size_t count);
	/* Whether it has the node: 1 or 0; negative: it cannot be asked. */
	int (*has)(void *arg, uint64_t node);
	void *arg;
};

#define VIEW_ALL_SURE_NS (INT64_C(60) * 1000000000)

struct view_all_tidying {
	const struct view_all_kernel *kernel;
	int64_t idle_ns; /* not asked for anything for so long: may go */
	bool urgent;	 /* also what was tried in vain a while ago */
	/* Whether to end before all is done; asked between any two questions to
	 * the kernel. NULL: never. */
	bool (*stop)(void *arg);
	int64_t (*now)(void *arg); /* monotonic ns; NULL: the clock */
	void *arg;
};

/* Closes trees that the kernel only has in its caches: of entries that are no
 * more, and idle ones; and those that only a worker that was killed had noted
 * as used (view_all_tidy.c). How many. */
size_t view_all_tidy(struct view_all *a,
		     const struct view_all_tidying *tidying);

struct view_all_stats {
	uint64_t entries; /* open, as the kernel holds something of them */
	uint64_t files;	  /* nodes of files that may be shared */
};
void view_all_stats(struct view_all *a, struct view_all_stats *ret_stats);

#endif
