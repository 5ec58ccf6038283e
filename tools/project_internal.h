/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the project file's parser share. Private to project*.c. */
#ifndef LARDER_TOOLS_PROJECT_INTERNAL_H
#define LARDER_TOOLS_PROJECT_INTERNAL_H

#include "project.h"
#include "schema.h"

/* A file that is being parsed. */
struct project_reader {
	struct project *project;
	const char *home; /* or NULL */
	struct failure *failure;
};

#define project_refuse(r, node, ...) \
	schema_refuse((r)->project->file, node, (r)->failure, __VA_ARGS__)

int project_no_memory(struct project_reader *r);

/* Makes `text` (taken; NULL: no memory) the project's to free. */
int project_keep(struct project_reader *r, char *text, const char **ret_text);

int project_add(struct project_reader *r, struct strings *list,
		const char *text);

/* A new cache at the end, where `name` is a name and not taken. */
int project_add_cache(struct project_reader *r, const struct yaml_node *node,
		      const char *name, struct project_cache **ret_cache);

/* ---- project_larder.c, project_solano.c: the two forms */

int project_read_caches(struct project_reader *r, const struct yaml_node *list);
int project_read_solano(struct project_reader *r, const struct yaml_node *map);

/* A text is for the shell, a list is the words themselves; NULL is nothing. */
int project_read_command(struct project_reader *r, const struct yaml_node *node,
			 struct project_cache *c);

/* ---- project_path.c: lists of paths, of globs and of plain texts */

int project_read_paths(struct project_reader *r, const struct yaml_node *texts,
		       struct strings *list);
int project_read_globs(struct project_reader *r, const struct yaml_node *texts,
		       struct strings *list);
int project_read_texts(struct project_reader *r, const struct yaml_node *texts,
		       struct strings *list);

/* The directory that a text beginning with HOME/ or REPO/ means (REPO/ alone:
 * the repository), and others as they are. */
int project_expand(struct project_reader *r, const struct yaml_node *node,
		   const char **ret_text);

/* Refuses paths of which one is in the other, in the same cache or not. */
int project_check_overlap(struct project_reader *r);

#endif
