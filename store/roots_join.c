/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several trees as one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "lone_file.h"
#include "roots.h"
#include "roots_graft.h"
#include "xattr_codec.h"

/* A directory above roots, by its path. */
struct above {
	char *path;
	uint32_t node;
};

struct join {
	struct graft graft;
	struct store *store;
	struct root roots[ROOTS_MAX]; /* in order */
	size_t count;
	struct store_tree *trees[ROOTS_MAX]; /* NULL: absent */
	struct above *above;
	size_t above_count;
	struct buf xattrs;
};

static void join_release(struct join *j)
{
	graft_release(&j->graft);
	for (size_t i = 0; i < j->count; i++)
		store_tree_unref(j->trees[i]);
	for (size_t i = 0; i < j->above_count; i++)
		free(j->above[i].path);
	free(j->above);
	buf_release(&j->xattrs);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct root *)a)->name,
		      ((const struct root *)b)->name);
}

static bool is_within(const char *name, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(name, dir, len) == 0 && (!name[len] || name[len] == '/');
}

static int take_roots(struct join *j, const struct root *roots, size_t count)
{
	if (count == 0 || count > ROOTS_MAX)
		return -EINVAL;
	memcpy(j->roots, roots, count * sizeof(*roots));
	qsort(j->roots, count, sizeof(*roots), by_name);
	for (size_t i = 0; i < count; i++) {
		if (roots_check_name(j->roots[i].name) < 0)
			return -EINVAL;
		for (size_t k = 0; k < count; k++)
			if (k != i &&
			    is_within(j->roots[k].name, j->roots[i].name))
				return -EINVAL;
	}
	return 0;
}

/* All of them absent is no entry. */
static int open_trees(struct join *j, size_t count)
{
	size_t opened = 0;

	for (; j->count < count; j->count++) {
		const struct root *root = &j->roots[j->count];
		int r = root->kind == ROOT_ABSENT ?
				0 :
				store_tree_open(j->store, &root->catalog,
						&j->trees[j->count]);

		if (r < 0)
			return r;
		opened += root->kind != ROOT_ABSENT;
	}
	return opened ? 0 : -EINVAL;
}

/* The attribute that names the roots. */
static int put_list(struct join *j)
{
	struct xattr_set set = XATTR_SET_INIT;
	_cleanup_buf_ struct buf list = BUF_INIT;
	int r;

	for (size_t i = 0; i < j->count; i++) {
		static const char kinds[] = { [ROOT_DIR] = 'd',
					      [ROOT_FILE] = 'f',
					      [ROOT_ABSENT] = '-' };
		const struct root *root = &j->roots[i];
		char hex[DIGEST_HEX_LEN + 1];

		digest_hex(&root->catalog, hex);
		buf_printf(&list, "%s %c %s", hex, kinds[root->kind],
			   root->name);
		buf_put_u8(&list, 0);
	}
	r = buf_error(&list);
	if (r == 0)
		r = xattr_set_add(&set, ROOTS_XATTR, strlen(ROOTS_XATTR),
				  list.data, list.len);
	if (r == 0)
		r = xattr_set_encode(&set, &j->xattrs);
	xattr_set_release(&set);
	return r;
}

static const struct above *find_above(const struct join *j, const char *path,
				      size_t len)
{
	for (size_t i = 0; i < j->above_count; i++)
		if (strlen(j->above[i].path) == len &&
		    memcmp(j->above[i].path, path, len) == 0)
			return &j->above[i];
	return NULL;
}

static int remember_above(struct join *j, const char *path, size_t len,
			  uint32_t node)
{
	struct above *grown =
		reallocarray(j->above, j->above_count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	j->above = grown;
	grown[j->above_count].path = strndup(path, len);
	if (!grown[j->above_count].path)
		return -ENOMEM;
	grown[j->above_count++].node = node;
	return 0;
}

static int make_dir(struct join *j, uint32_t parent, const char *name,
		    size_t len, const struct catalog_meta *meta,
		    uint32_t *ret_node)
{
	struct catalog_build *b = ingest_build(j->graft.ingest);
	int r = catalog_build_node(b, meta, ret_node);

	return r < 0 ? r : catalog_build_link(b, parent, name, len, *ret_node);
}

/* The node of the directory that root `name` is in. */
static int make_parents(struct join *j, const char *name, uint32_t *ret_node,
			const char **ret_last)
{
	struct catalog_meta meta = graft_plain_dir();
	uint32_t node = CATALOG_BUILD_ROOT;
	const char *part = name, *slash;

	for (; (slash = strchr(part, '/')); part = slash + 1) {
		size_t len = (size_t)(slash - name);
		const struct above *a = find_above(j, name, len);
		uint32_t parent = node;
		int r;

		if (a) {
			node = a->node;
			continue;
		}
		r = make_dir(j, parent, part, (size_t)(slash - part), &meta,
			     &node);
		if (r == 0)
			r = remember_above(j, name, len, node);
		if (r < 0)
			return r;
	}
	*ret_node = node;
	*ret_last = part;
	return 0;
}

static int add_file(struct join *j, struct store_tree *t, uint32_t parent,
		    const char *last)
{
	uint32_t ino;
	int r = lone_file_find(store_tree_catalog(t), last, &ino);

	return r < 0 ? r : graft_add_file(&j->graft, t, ino, parent, last);
}

static int add_root(struct join *j, size_t i)
{
	struct store_tree *t = j->trees[i];
	struct catalog_meta meta;
	uint32_t parent, node;
	const char *last;
	int r;

	if (j->roots[i].kind == ROOT_ABSENT)
		return 0;
	r = make_parents(j, j->roots[i].name, &parent, &last);
	if (r == 0 && j->roots[i].kind == ROOT_FILE)
		return add_file(j, t, parent, last);
	if (r == 0)
		r = graft_meta(store_tree_catalog(t), CATALOG_ROOT, &meta);
	if (r == 0)
		r = make_dir(j, parent, last, strlen(last), &meta, &node);
	return r < 0 ? r : graft_add(&j->graft, t, CATALOG_ROOT, node);
}

static int build(struct join *j)
{
	struct catalog_meta root = graft_plain_dir();
	int r = put_list(j);

	if (r < 0)
		return r;
	root.xattrs = j->xattrs.data;
	root.xattrs_len = j->xattrs.len;
	r = ingest_new(j->store, &root, NULL, &j->graft.ingest);
	for (size_t i = 0; r == 0 && i < j->count; i++)
		r = add_root(j, i);
	return r < 0 ? r : graft_feed(&j->graft);
}

int roots_join(struct store *s, const struct root *roots, size_t count,
	       const struct ingest_result *added, struct entry *e,
	       struct ingest_result *ret_result)
{
	_cleanup_(join_release) struct join j = { .store = s };
	int r;

	r = take_roots(&j, roots, count);
	if (r == 0)
		r = open_trees(&j, count);
	if (r == 0)
		r = build(&j);
	if (r < 0)
		return r;
	ingest_added(j.graft.ingest, added);
	return ingest_commit(j.graft.ingest, e, ret_result);
}
