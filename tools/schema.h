/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a map of a configuration file may hold: a table of keys, each with the
 * kinds of value that it takes. schema_read() puts the nodes where the table
 * says, so that what is wrong with a value later can still be told with its
 * line. Anything that is not in the table is an error that names the nearest
 * key. No state.
 */
#ifndef LARDER_TOOLS_SCHEMA_H
#define LARDER_TOOLS_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

#include "options.h"
#include "out.h"
#include "yaml_tree.h"

enum schema_kind {
	SCHEMA_TEXT = 1 << 0,
	SCHEMA_TEXTS = 1 << 1, /* a list of texts, or one text */
	SCHEMA_FLAG = 1 << 2,  /* true or false, yes or no, on or off */
	SCHEMA_MAP = 1 << 3,
	SCHEMA_MAPS = 1 << 4, /* a list of maps; with texts, of both */
};

struct schema_key {
	const char *name;
	unsigned kinds; /* of enum schema_kind, or'ed */
	size_t offset;	/* of a `const struct yaml_node *` */
};

#define SCHEMA_END         \
	{                  \
		NULL, 0, 0 \
	}

/*
 * Fills the fields of `ret_nodes` whose keys are there; the others stay. All
 * are borrowed from `map`. `what` says in messages what the map is. -EINVAL
 * with the sentence.
 */
int schema_read(const char *file, const struct yaml_node *map, const char *what,
		const struct schema_key *keys, void *ret_nodes,
		struct failure *ret_failure);

/* For a value that is wrong: "FILE:LINE: " and what `fmt` says; -EINVAL,
 * EXIT_USAGE. A line of 0 is left out. */
int schema_refuse(const char *file, const struct yaml_node *node,
		  struct failure *ret_failure, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* The value of a SCHEMA_FLAG. */
bool schema_flag(const struct yaml_node *node);

/* Iterates over SCHEMA_TEXTS (and _MAPS): the first text, and the one behind `text`. */
const struct yaml_node *schema_first(const struct yaml_node *texts);
const struct yaml_node *schema_next(const struct yaml_node *texts,
				    const struct yaml_node *text);

#define schema_each(text, texts)                                   \
	(const struct yaml_node *text = schema_first(texts); text; \
	 text = schema_next(texts, text))

#endif
