/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What git knows of a work tree, asked of git itself, in a way that does not
 * depend on the user's locale or configuration and changes nothing, not even
 * the index. One thread.
 */
#ifndef LARDER_TOOLS_GIT_H
#define LARDER_TOOLS_GIT_H

#include "out.h"
#include "store/base/buf.h"
#include "store/digest.h"

/* The absolute top of the work tree that `dirfd` is in (caller frees). */
int git_top(int dirfd, char **ret_top, struct failure *ret_failure);

/*
 * Both lists as git prints them, for git_next_*(). `dirfd` is a top;
 * `nested`: it is known to be one by its own .git, and the repository around
 * it is not meant. `ignored` are patterns as in a .gitignore at the top,
 * ended by NULL; a file of the tree may take them back. `plain`: all tracked
 * files are known to be GIT_TRACKED, so they need not be listed.
 */
struct git_lists {
	struct buf changed; /* tracked files that differ from HEAD */
	struct buf files;   /* tracked and untracked files */
	size_t changed_pos, files_pos;
};

int git_read(int dirfd, bool nested, const char *const *ignored, bool plain,
	     struct git_lists *ret_lists, struct failure *ret_failure);
void git_lists_release(struct git_lists *lists);

/* Paths are relative to the top and borrowed from the lists. */
struct git_change {
	bool is_head;	    /* no file: `head` is the commit */
	struct digest head; /* its id and zeros; zero: no commit yet */
	unsigned mode;	    /* the file's in the work tree; 0: not there */
	const char *path;
};

enum git_state {
	GIT_TRACKED,
	GIT_UNTRACKED,
	GIT_UNWATCHED, /* git was told not to look: assume-unchanged */
	GIT_SPARSE,    /* not wanted in the work tree: skip-worktree */
	GIT_REPOSITORY /* a submodule, or a repository that is untracked */
};

struct git_file {
	enum git_state state;
	bool tracked;
	const char *path; /* a repository's may end in '/' */
};

/* 1, 0 at the end, or -EBADMSG for what git should not have printed. */
int git_next_change(struct git_lists *lists, struct git_change *ret_change);
int git_next_file(struct git_lists *lists, struct git_file *ret_file);

/* The paths that differ between two commits, NUL-terminated, one after the
 * other. -ENOENT where a commit is not in this clone. */
int git_between(int dirfd, bool nested, const char *was, const char *is,
		struct buf *ret_paths);

#define _cleanup_git_lists_ __attribute__((cleanup(git_lists_release)))

#endif
