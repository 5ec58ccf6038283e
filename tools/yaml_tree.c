/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From libyaml's events to a tree. libyaml's own document functions would
 * follow aliases and build without a bound. The reader keeps the chain of open
 * lists and maps in an array, so neither reading nor freeing is deeper than
 * YAML_MAX_DEPTH.
 */
#include "yaml_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "cmd.h"
#include "store/base/cleanup.h"

struct reader {
	const char *file;
	struct failure *failure;
	yaml_parser_t parser;
	yaml_event_t event;

	struct yaml_node *root;
	struct level {
		struct yaml_node *node;	 /* the open list or map */
		struct yaml_node **tail; /* where its next child goes */
		char *key;		 /* read, its value is not */
		unsigned key_line;
	} levels[YAML_MAX_DEPTH];
	unsigned depth, nodes;
	bool ended; /* the first document has */
};

static int refuse(struct reader *r, size_t line, const char *what)
{
	return failure_set(r->failure, -EBADMSG, EXIT_USAGE, "%s:%zu: %s",
			   r->file, line + 1, what);
}

static int no_memory(struct reader *r)
{
	return failure_set(r->failure, -ENOMEM, EXIT_ERROR, "%s: out of memory",
			   r->file);
}

static size_t event_line(const struct reader *r)
{
	return r->event.start_mark.line;
}

void yaml_tree_free(struct yaml_node *node)
{
	while (node) {
		struct yaml_node *next = node->next;

		yaml_tree_free(node->first);
		free(node->key);
		free(node->text);
		free(node);
		node = next;
	}
}

bool yaml_node_is_null(const struct yaml_node *node)
{
	return node->kind == YAML_TEXT && node->plain &&
	       (!*node->text || strcmp(node->text, "~") == 0 ||
		strcasecmp(node->text, "null") == 0);
}

/* ---- the tree */

static bool has_key(const struct yaml_node *map, const char *key)
{
	for (const struct yaml_node *n = map->first; n; n = n->next)
		if (strcmp(n->key, key) == 0)
			return true;
	return false;
}

/* The event's text; libyaml has checked that it is UTF-8. */
static int take_text(struct reader *r, char **ret_text)
{
	size_t len = r->event.data.scalar.length;
	const char *value = (const char *)r->event.data.scalar.value;

	if (memchr(value, '\0', len))
		return refuse(r, event_line(r), "a text with a NUL in it");
	*ret_text = strndup(value, len);
	return *ret_text ? 0 : no_memory(r);
}

static int take_key(struct reader *r, struct level *level)
{
	int err;

	if (r->event.type != YAML_SCALAR_EVENT)
		return refuse(r, event_line(r), "a key must be a text");
	err = take_text(r, &level->key);
	if (err < 0)
		return err;
	level->key_line = (unsigned)event_line(r) + 1;
	if (has_key(level->node, level->key))
		return failure_set(r->failure, -EBADMSG, EXIT_USAGE,
				   "%s:%u: the key %.200s stands twice in the "
				   "same place",
				   r->file, level->key_line, level->key);
	return 0;
}

/* A node of the event's kind at the place that is next. */
static int add_node(struct reader *r, enum yaml_kind kind,
		    struct yaml_node **ret_node)
{
	struct level *level = r->depth ? &r->levels[r->depth - 1] : NULL;
	struct yaml_node *node;

	if (++r->nodes > YAML_MAX_NODES)
		return failure_set(r->failure, -EFBIG, EXIT_USAGE,
				   "%s:%zu: more than %d values", r->file,
				   event_line(r) + 1, YAML_MAX_NODES);
	node = calloc(1, sizeof(*node));
	if (!node)
		return no_memory(r);
	node->kind = kind;
	node->line = (unsigned)event_line(r) + 1;
	if (!level) {
		r->root = node;
	} else {
		if (level->key)
			node->line = level->key_line;
		node->key = steal_ptr(&level->key);
		*level->tail = node;
		level->tail = &node->next;
	}
	*ret_node = node;
	return 0;
}

static int add_text(struct reader *r)
{
	struct yaml_node *node;
	int err = add_node(r, YAML_TEXT, &node);

	if (err < 0)
		return err;
	node->plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	return take_text(r, &node->text);
}

static int open_level(struct reader *r, enum yaml_kind kind)
{
	struct yaml_node *node;
	int err;

	if (r->depth == YAML_MAX_DEPTH)
		return failure_set(r->failure, -EFBIG, EXIT_USAGE,
				   "%s:%zu: nested more than %d deep", r->file,
				   event_line(r) + 1, YAML_MAX_DEPTH);
	err = add_node(r, kind, &node);
	if (err < 0)
		return err;
	r->levels[r->depth++] =
		(struct level){ .node = node, .tail = &node->first };
	return 0;
}

/* ---- events */

static int check_decoration(struct reader *r)
{
	const yaml_event_t *e = &r->event;
	const yaml_char_t *anchor = NULL, *tag = NULL;

	if (e->type == YAML_ALIAS_EVENT) {
		anchor = e->data.alias.anchor;
	} else if (e->type == YAML_SCALAR_EVENT) {
		anchor = e->data.scalar.anchor;
		tag = e->data.scalar.tag;
	} else if (e->type == YAML_SEQUENCE_START_EVENT) {
		anchor = e->data.sequence_start.anchor;
		tag = e->data.sequence_start.tag;
	} else if (e->type == YAML_MAPPING_START_EVENT) {
		anchor = e->data.mapping_start.anchor;
		tag = e->data.mapping_start.tag;
	}
	if (anchor)
		return refuse(r, event_line(r),
			      "anchors and aliases (& and *) are not taken; "
			      "put a text that begins with one into quotes");
	if (tag)
		return refuse(r, event_line(r),
			      "tags (!) are not taken; put a text that begins "
			      "with ! into quotes");
	return 0;
}

static int take_value(struct reader *r)
{
	switch (r->event.type) {
	case YAML_SCALAR_EVENT:
		return add_text(r);
	case YAML_SEQUENCE_START_EVENT:
		return open_level(r, YAML_LIST);
	case YAML_MAPPING_START_EVENT:
		return open_level(r, YAML_MAP);
	default:
		return 0;
	}
}

static int take_event(struct reader *r)
{
	struct level *level = r->depth ? &r->levels[r->depth - 1] : NULL;
	int err = check_decoration(r);

	if (err < 0)
		return err;
	switch (r->event.type) {
	case YAML_DOCUMENT_START_EVENT:
		return r->ended ? refuse(r, event_line(r),
					 "a second document begins here") :
				  0;
	case YAML_DOCUMENT_END_EVENT:
		r->ended = true;
		return 0;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		r->depth--;
		return 0;
	case YAML_SCALAR_EVENT:
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		if (level && level->node->kind == YAML_MAP && !level->key)
			return take_key(r, level);
		return take_value(r);
	default:
		return 0;
	}
}

/* libyaml's sentence, which is of several words without a capital. */
static int bad_yaml(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	const char *problem = p->problem ? p->problem : "not YAML";
	size_t line = p->problem_mark.line;

	if (p->error == YAML_MEMORY_ERROR)
		return no_memory(r);
	if (p->error != YAML_READER_ERROR)
		return failure_set(r->failure, -EBADMSG, EXIT_USAGE,
				   "%s:%zu: %s%s%s", r->file, line + 1, problem,
				   p->context ? " " : "",
				   p->context ? p->context : "");
	/* No mark is set then, but it has read as far as the mistake. */
	return failure_set(r->failure, -EBADMSG, EXIT_USAGE,
			   "%s: %s at byte %zu", r->file, problem,
			   p->problem_offset);
}

static int read_events(struct reader *r)
{
	bool more = true;
	int err = 0;

	while (err == 0 && more) {
		if (!yaml_parser_parse(&r->parser, &r->event))
			return bad_yaml(r);
		more = r->event.type != YAML_STREAM_END_EVENT;
		err = take_event(r);
		yaml_event_delete(&r->event);
	}
	return err;
}

int yaml_tree_parse(const char *file, const void *data, size_t len,
		    struct yaml_node **ret_root, struct failure *ret_failure)
{
	struct reader r = { .file = file, .failure = ret_failure };
	int err;

	if (len > YAML_MAX_BYTES)
		return failure_set(ret_failure, -EFBIG, EXIT_USAGE,
				   "%s: larger than %u KiB", file,
				   YAML_MAX_BYTES >> 10);
	if (!yaml_parser_initialize(&r.parser))
		return no_memory(&r);
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, data, len);
	err = read_events(&r);
	yaml_parser_delete(&r.parser);
	for (unsigned i = 0; i < r.depth; i++)
		free(r.levels[i].key);
	if (err < 0) {
		yaml_tree_free(r.root);
		return err;
	}
	if (r.root && yaml_node_is_null(r.root)) {
		yaml_tree_free(r.root);
		r.root = NULL;
	}
	*ret_root = r.root;
	return 0;
}
