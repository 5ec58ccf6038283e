/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The name table of an upper: (parent, name) -> inode, or gone where it hides
 * a name of the base; and for each directory the names that only the upper
 * has, in the order in which they were made, which is readdir's order.
 *
 * A name that the base's directory has too is an override: it keeps the base's
 * place in readdir and is in no order here. Guarded by the view's lock.
 */
#ifndef LARDER_FS_NAMES_H
#define LARDER_FS_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/map.h"

#define NAMES_SPARES 4 /* names one change may add */

struct name {
	uint64_t parent;
	uint64_t ino;	/* 0: gone; overrides only */
	uint64_t seq;	/* place in the directory; 0: override */
	uint32_t epoch; /* when it changed last (see upper.h) */
	uint32_t hash;
	uint8_t len;
	char text[];
};

struct names {
	struct name **slots;
	size_t count, cap;
	struct map dirs;		   /* directory -> struct name_dir */
	struct name *spares[NAMES_SPARES]; /* made by names_reserve() */
	unsigned nspares;
};

void names_release(struct names *t);
struct name *names_find(const struct names *t, uint64_t parent,
			const char *text, size_t len);

/* All the memory that names_set() of the same name needs; `seq` as there. -ENOMEM.
 * _drop_spares gives back what was not used. */
int names_reserve(struct names *t, uint64_t parent, const char *text,
		  size_t len, uint64_t seq);
void names_drop_spares(struct names *t);

/* What names_set() is told. */
struct name_value {
	uint64_t ino; /* 0: gone */
	uint64_t seq; /* 0: an override of a base name */
	uint32_t epoch;
};

/* Adds or changes; a name that is there keeps its place. Cannot fail after names_reserve(). */
int names_set(struct names *t, uint64_t parent, const char *text, size_t len,
	      const struct name_value *value);
void names_remove(struct names *t, uint64_t parent, const char *text,
		  size_t len);

/* Forgets the order of a directory that has no names left. */
void names_drop_dir(struct names *t, uint64_t dir);

/* The first name of `dir` in order behind `seq`; NULL: none. */
struct name *names_after(const struct names *t, uint64_t dir, uint64_t seq);

/* How many names of the base `dir` overrides. */
uint32_t names_overrides(const struct names *t, uint64_t dir);

/* Iteration in no order; start with *pos = 0; NULL at the end. */
struct name *names_next(const struct names *t, size_t *pos);

#endif
