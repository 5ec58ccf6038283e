/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chooses random steps, from what the model's tree holds at that moment. The
 * same seed, options and results give the same steps. One thread.
 */
#ifndef LARDER_TESTS_CHOOSE_H
#define LARDER_TESTS_CHOOSE_H

#include <stdbool.h>
#include <stdint.h>

#include "model.h"
#include "step.h"
#include "tree_ops.h"

enum choose_kind {
	CHOOSE_TREE,  /* names and attributes, and some content */
	CHOOSE_FILES, /* the content of few files, most of them open */
};

struct choose {
	uint64_t rng;
	enum choose_kind kind;
	uint64_t max_file; /* files' size; above 4 GiB they are sparse */
	unsigned names;	   /* how many new names a directory may get */
	bool root;	   /* owners and privileges may be changed */
	bool mapped;	   /* there are mappings */
	bool opens;	   /* files can be held open */
	bool tmpfile;	   /* there are files without a name */
	size_t nodes;	   /* in the tree, when last counted */
	unsigned count_in; /* steps until it is counted again */
};

/* The limits are taken from the seed: small and large trees and files. */
void choose_init(struct choose *c, enum choose_kind kind, uint64_t seed,
		 const struct tree_ops *ops);

/* Below `below`, which is not 0. */
uint64_t choose_number(struct choose *c, uint64_t below);

void choose_step(struct choose *c, struct model *m, struct step *ret_step);

#endif
