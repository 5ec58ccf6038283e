/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML as configuration needs it: one document of maps, lists and texts, read
 * into a tree that knows its lines. Bounded before anything is allocated for
 * it: YAML_MAX_BYTES, YAML_MAX_DEPTH, YAML_MAX_NODES. What could make a short
 * file a large tree, or the same file mean two things, is refused: aliases and
 * anchors, tags, several documents, keys that are no text, a key that stands
 * twice in a map. What a text means (a number, a flag) is the caller's matter.
 * The only user of libyaml. One thread for each tree.
 */
#ifndef LARDER_TOOLS_YAML_TREE_H
#define LARDER_TOOLS_YAML_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "out.h"

#define YAML_MAX_BYTES (256u << 10)
#define YAML_MAX_DEPTH 16
#define YAML_MAX_NODES 4096

enum yaml_kind { YAML_TEXT, YAML_LIST, YAML_MAP };

struct yaml_node {
	enum yaml_kind kind;
	unsigned line;		 /* from 1; of the key where there is one */
	char *key;		 /* of a member of a map */
	char *text;		 /* of a text: UTF-8 without NUL */
	bool plain;		 /* of a text: not in quotes */
	struct yaml_node *first; /* of a list or map */
	struct yaml_node *next;
};

/*
 * Reads `data`, which messages call `file`. *ret_root is NULL for a document
 * without content. -EBADMSG with the sentence for what is no such YAML,
 * -EFBIG for what is over a limit; both give EXIT_USAGE.
 */
int yaml_tree_parse(const char *file, const void *data, size_t len,
		    struct yaml_node **ret_root, struct failure *ret_failure);
void yaml_tree_free(struct yaml_node *root);

/* Whether the node is an empty value or the plain text null or ~. */
bool yaml_node_is_null(const struct yaml_node *node);

static inline void cleanup_yaml_tree(struct yaml_node **root)
{
	yaml_tree_free(*root);
}

#define _cleanup_yaml_tree_ __attribute__((cleanup(cleanup_yaml_tree)))

#endif
