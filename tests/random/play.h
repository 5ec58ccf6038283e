/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does a step to the model and to a file system, and compares what came of it;
 * compares the whole trees; takes a tree over into the model. One thread.
 */
#ifndef LARDER_TESTS_PLAY_H
#define LARDER_TESTS_PLAY_H

#include <stdbool.h>

#include "model.h"
#include "step.h"
#include "tree_ops.h"

#define PLAY_IO_MAX (1u << 20) /* of one read or write */

struct play {
	struct model model;
	const struct tree_ops *ops;
	void *fs;
	uint8_t *buf, *want; /* of PLAY_IO_MAX bytes */
	const char *failed;  /* which property differed; NULL: none */
	int64_t got;	     /* of a result */
	char failure[1024];  /* the difference in words */
};

/* An empty tree whose new files belong to uid and gid. */
void play_init(struct play *p, const struct tree_ops *ops, void *fs,
	       uint32_t uid, uint32_t gid);
void play_release(struct play *p);

/* Takes over the tree of a file system into an empty model, from the play's
 * own or from one with the same tree; inode numbers and ctimes then count as
 * unknown. -ENOMEM, or the error of the call that failed. */
int play_load(struct play *p, const struct tree_ops *ops, void *fs);

/* All steps but REMOUNT, REOPEN and DISTURB, which are the caller's. False: p->failed
 * and p->failure say what differed. */
bool play_step(struct play *p, const struct step *s);

/* The whole trees: names, numbers, modes, owners, link counts, times, sizes,
 * bytes, holes, targets, attributes. */
bool play_compare(struct play *p);

/* The same without the open files. */
bool play_compare_tree(struct play *p);

/* Closes all open files on both sides. */
void play_close_all(struct play *p);

/* What a new mount of a commit does not keep is not known any more: inode
 * numbers, ctimes and atimes. */
void play_new_mount(struct play *p);

/* The same for another tree to which the same steps were done: mtimes, too. */
void play_new_tree(struct play *p);

#endif
