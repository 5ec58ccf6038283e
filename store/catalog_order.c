/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalog builder's ordering: gathers the names of each directory, sorts
 * them, and walks the tree once, depth first. What the walk does not reach is
 * outside the tree (a circle of directories is, too). One thread; works on the
 * build's own arrays.
 *
 * Nothing recurses and there is no stack: a directory has one name, so the
 * way up and the place to go on are found from that name. Trees may be as deep
 * as they have directories.
 */
#include "catalog_build.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "catalog_nodes.h"

/* A name while its directory is sorted. Most comparisons end in the prefix,
 * without a look at the names themselves. */
struct sort_name {
	uint64_t prefix; /* first eight bytes, the first one highest */
	uint32_t name;
	uint32_t node;
};

/* Moves the links of each directory together, in place of the array in order
 * of arrival. */
static int links_gather(struct catalog_build *b)
{
	_cleanup_buf_ struct buf gathered = BUF_INIT;
	struct build_link *to;
	uint32_t i, at = 0;

	if (b->n_links == 0)
		return 0;
	to = buf_reserve(&gathered, b->n_links * sizeof(*to));
	if (!to)
		return -ENOMEM;
	for (i = 0; i < b->n_nodes; i++) {
		struct build_node *n = build_node(b, i);

		if (build_type(n) != S_IFDIR)
			continue;
		at += n->dir.count;
		n->dir.first = at; /* its end, until it is filled */
	}
	for (i = b->n_links; i-- > 0;) {
		const struct build_link *l = build_link(b, i);

		to[--build_node(b, l->parent)->dir.first] = *l;
	}
	buf_added(&gathered, b->n_links * sizeof(*to));
	buf_release(&b->links);
	b->links = gathered;
	gathered = (struct buf)BUF_INIT;
	return 0;
}

static uint64_t name_prefix(const struct build_name *n)
{
	uint8_t bytes[8] = { 0 };
	uint64_t v;

	memcpy(bytes, n->bytes, n->len < 8 ? n->len : 8);
	memcpy(&v, bytes, sizeof(v));
	return be64toh(v);
}

/* Equal names have the same offset, since they were interned. */
static int sort_cmp(const void *pa, const void *pb, void *arg)
{
	const struct sort_name *sa = pa, *sb = pb;
	const struct build_name *a, *b;

	if (sa->prefix != sb->prefix)
		return sa->prefix < sb->prefix ? -1 : 1;
	if (sa->name == sb->name)
		return 0;
	a = build_name(arg, sa->name);
	b = build_name(arg, sb->name);
	return catalog_name_cmp(a->bytes, a->len, b->bytes, b->len);
}

static int name_twice(const struct catalog_build *b, uint32_t dir,
		      uint32_t name)
{
	const struct build_name *n = build_name(b, name);
	_cleanup_free_ char *path = catalog_build_path(b, dir);

	return log_error(-EEXIST, "catalog: the name %.*s twice in /%s",
			 (int)n->len, n->bytes, path ? path : "");
}

/* `scratch` has room for the directory's names. */
static int dir_sort(struct catalog_build *b, uint32_t dir,
		    struct sort_name *scratch)
{
	uint32_t count = build_node(b, dir)->dir.count;
	struct build_link *links = build_link(b, build_node(b, dir)->dir.first);
	uint32_t i;

	for (i = 0; i < count; i++) {
		scratch[i].prefix = name_prefix(build_name(b, links[i].name));
		scratch[i].name = links[i].name;
		scratch[i].node = links[i].node;
	}
	qsort_r(scratch, count, sizeof(*scratch), sort_cmp, b);
	for (i = 0; i < count; i++) {
		if (i > 0 && scratch[i].name == scratch[i - 1].name)
			return name_twice(b, dir, scratch[i].name);
		links[i].name = scratch[i].name;
		links[i].node = scratch[i].node;
	}
	return 0;
}

/* A directory's only name, for the walk and for messages. */
static void links_note_dirs(struct catalog_build *b)
{
	uint32_t i;

	for (i = 0; i < b->n_links; i++) {
		struct build_node *n = build_node(b, build_link(b, i)->node);

		if (build_type(n) == S_IFDIR)
			n->name = i;
	}
}

static int dirs_sort(struct catalog_build *b)
{
	_cleanup_free_ struct sort_name *scratch = NULL;
	uint32_t i, most = 0;

	for (i = 0; i < b->n_nodes; i++) {
		const struct build_node *n = build_node(b, i);

		if (build_type(n) == S_IFDIR && n->dir.count > most)
			most = n->dir.count;
	}
	if (most == 0)
		return 0;
	scratch = malloc(most * sizeof(*scratch));
	if (!scratch)
		return -ENOMEM;
	for (i = 0; i < b->n_nodes; i++) {
		int err = 0;

		if (build_type(build_node(b, i)) == S_IFDIR &&
		    build_node(b, i)->dir.count > 0)
			err = dir_sort(b, i, scratch);
		if (err)
			return err;
	}
	return 0;
}

static uint32_t dir_end(const struct catalog_build *b, uint32_t dir)
{
	const struct build_node *n = build_node(b, dir);

	return n->dir.first + n->dir.count;
}

/* Notes the first name of every node that can be reached, and the files in
 * that order. Counts what it reached. */
static int tree_walk(struct catalog_build *b, uint32_t *ret_reached)
{
	uint32_t *files = buf_reserve(&b->files, b->n_files * sizeof(*files));
	uint32_t dir = CATALOG_BUILD_ROOT;
	uint32_t i = build_node(b, dir)->dir.first;
	uint32_t reached = 1, n_files = 0;

	if (!files)
		return -ENOMEM;
	for (;;) {
		struct build_node *n;
		uint32_t node;

		if (i == dir_end(b, dir)) {
			if (dir == CATALOG_BUILD_ROOT)
				break;
			i = build_node(b, dir)->name;
			dir = build_link(b, i)->parent;
			i++;
			continue;
		}
		node = build_link(b, i)->node;
		n = build_node(b, node);
		if (build_type(n) == S_IFDIR || n->name == NONE)
			reached++;
		if (build_type(n) == S_IFDIR) {
			n->name = i;
			dir = node;
			i = n->dir.first;
			continue;
		}
		if (n->name == NONE) {
			n->name = i;
			if (build_type(n) == S_IFREG)
				files[n_files++] = node;
		}
		i++;
	}
	buf_added(&b->files, n_files * sizeof(*files));
	*ret_reached = reached;
	return 0;
}

static int tree_order(struct catalog_build *b)
{
	uint32_t reached = 0;
	int err = links_gather(b);

	if (err)
		return err;
	links_note_dirs(b);
	err = dirs_sort(b);
	if (!err)
		err = tree_walk(b, &reached);
	if (err)
		return err;
	if (reached != b->n_nodes)
		return log_error(-EINVAL, "catalog: %u nodes outside the tree",
				 b->n_nodes - reached);
	return 0;
}

int catalog_build_order(struct catalog_build *b, const uint32_t **ret_files,
			size_t *ret_count)
{
	int err;

	if (b->state == BUILD_OPEN) {
		b->state = BUILD_SEALED;
		intern_release(&b->name_ids);
		intern_release(&b->xattr_ids);
		err = tree_order(b);
		if (err)
			return err;
		b->state = BUILD_ORDERED;
	}
	if (b->state == BUILD_SEALED)
		return -EINVAL;
	*ret_files = (const uint32_t *)(const void *)b->files.data;
	*ret_count = b->n_files;
	return 0;
}

/* The length of the path, or NONE: no name, or a circle. */
static uint32_t path_len(const struct catalog_build *b, uint32_t node)
{
	uint32_t steps = 0, len = 0;

	while (node != CATALOG_BUILD_ROOT) {
		uint32_t name = build_node(b, node)->name;

		if (name == NONE || ++steps > b->n_dirs ||
		    len > NONE - 2 * CATALOG_NAME_MAX)
			return NONE;
		len += build_name(b, build_link(b, name)->name)->len + 1;
		node = build_link(b, name)->parent;
	}
	return len ? len - 1 : 0;
}

char *catalog_build_path(const struct catalog_build *b, uint32_t node)
{
	uint32_t at;
	char *path;

	at = node < b->n_nodes ? path_len(b, node) : NONE;
	if (at == NONE)
		return NULL;
	path = malloc((size_t)at + 1);
	if (!path)
		return NULL;
	path[at] = '\0';
	while (node != CATALOG_BUILD_ROOT) {
		const struct build_link *l =
			build_link(b, build_node(b, node)->name);
		const struct build_name *n = build_name(b, l->name);

		at -= n->len;
		memcpy(path + at, n->bytes, n->len);
		if (at > 0)
			path[--at] = '/';
		node = l->parent;
	}
	return path;
}
