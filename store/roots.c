/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of an entry's roots, and one root taken out of the joined tree.
 * Joining is roots_join.c, what both do with nodes is roots_graft.c.
 */
#include "roots.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "roots_graft.h"
#include "xattr_codec.h"

/* --- names --- */

static bool is_plain(const char *part, size_t len)
{
	return len > 0 && len <= CATALOG_NAME_MAX &&
	       !(len == 1 && part[0] == '.') &&
	       !(len == 2 && part[0] == '.' && part[1] == '.');
}

int roots_check_name(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > ROOTS_NAME_MAX)
		return -EINVAL;
	for (const char *part = name;; part += len + 1) {
		len = strcspn(part, "/");
		if (!is_plain(part, len))
			return -EINVAL;
		if (!part[len])
			return 0;
	}
}

/* --- the attribute --- */

static int read_kind(const char *kind, enum root_kind *ret_kind)
{
	static const char kinds
		[] = { [ROOT_DIR] = 'd', [ROOT_FILE] = 'f', [ROOT_ABSENT] = '-' };

	for (unsigned i = 0; i < sizeof(kinds); i++)
		if (kind[0] == ' ' && kind[1] == kinds[i] && kind[2] == ' ') {
			*ret_kind = (enum root_kind)i;
			return 0;
		}
	return -EBADMSG;
}

/* One record at `c`. */
static int read_root(struct cursor *c, const char *before,
		     struct root *ret_root)
{
	char hex[DIGEST_HEX_LEN + 1];
	const char *digest = cursor_bytes(c, DIGEST_HEX_LEN);
	const char *kind = cursor_bytes(c, 3), *name, *end;

	if (!digest || !kind || read_kind(kind, &ret_root->kind) < 0)
		return -EBADMSG;
	memcpy(hex, digest, DIGEST_HEX_LEN);
	hex[DIGEST_HEX_LEN] = '\0';
	name = (const char *)c->data + c->pos;
	end = memchr(name, '\0', cursor_left(c));
	if (!end || !cursor_bytes(c, (size_t)(end - name) + 1) ||
	    roots_check_name(name) < 0 ||
	    (before && strcmp(before, name) >= 0) ||
	    digest_parse(hex, &ret_root->catalog) < 0)
		return -EBADMSG;
	ret_root->name = name;
	return 0;
}

static int read_value(const struct xattr_view *x, struct root *ret_roots,
		      size_t *ret_count)
{
	const char *before = NULL;
	struct cursor c;
	size_t n = 0;

	cursor_init(&c, x->value, x->value_len);
	while (cursor_left(&c) > 0) {
		int r = n == ROOTS_MAX ? -EBADMSG :
					 read_root(&c, before, &ret_roots[n]);

		if (r < 0)
			return log_error(r, "a tree's list of its roots is not "
					    "valid");
		before = ret_roots[n++].name;
	}
	*ret_count = n;
	return 0;
}

int roots_read(const struct catalog *c, struct root *ret_roots,
	       size_t *ret_count)
{
	struct xattr_view x;
	struct cursor cur;
	const void *data;
	size_t len;
	int r;

	*ret_count = 0;
	r = catalog_xattrs(c, CATALOG_ROOT, &data, &len);
	if (r < 0)
		return r;
	cursor_init(&cur, data, len);
	while ((r = xattr_next(&cur, &x)) > 0)
		if (strcmp(x.name, ROOTS_XATTR) == 0)
			return read_value(&x, ret_roots, ret_count);
	return r;
}

/* --- taking one out --- */

static bool has_tree(struct store *s, const struct digest *catalog)
{
	struct store_tree *t;

	if (store_tree_open(s, catalog, &t) < 0)
		return false;
	store_tree_unref(t);
	return true;
}

/* The graft that gives a root's own catalog. */
static int graft_root(struct graft *g, struct store *s, struct store_tree *t,
		      const struct root *root, uint32_t ino)
{
	const char *slash = strrchr(root->name, '/');
	const char *last = slash ? slash + 1 : root->name;
	struct catalog_meta meta = graft_plain_dir();
	struct catalog_inode inode;
	int r = catalog_inode(store_tree_catalog(t), ino, &inode);

	if (r < 0)
		return r;
	if (root->kind == ROOT_FILE ? !S_ISREG(inode.mode) :
				      !S_ISDIR(inode.mode))
		return -EBADMSG;
	if (root->kind == ROOT_DIR)
		r = graft_meta(store_tree_catalog(t), ino, &meta);
	if (r == 0)
		r = ingest_new(s, &meta, NULL, &g->ingest);
	if (r < 0)
		return r;
	return root->kind == ROOT_DIR ?
		       graft_add(g, t, ino, CATALOG_BUILD_ROOT) :
		       graft_add_file(g, t, ino, CATALOG_BUILD_ROOT, last);
}

/* Makes the own catalog of a root of the joined tree. */
static int make(struct store *s, struct store_tree *t, const struct root *root)
{
	_cleanup_(graft_release) struct graft g = { .ingest = NULL };
	struct ingest_result result;
	uint32_t ino;
	int r;

	r = catalog_resolve(store_tree_catalog(t), root->name, &ino);
	if (r == 0)
		r = graft_root(&g, s, t, root, ino);
	if (r == 0)
		r = graft_feed(&g);
	if (r == 0)
		r = ingest_commit(g.ingest, NULL, &result);
	if (r < 0)
		return r;
	return digest_equal(&result.catalog, &root->catalog) ?
		       0 :
		       log_error(-EBADMSG,
				 "the root %s of a tree is not what "
				 "the tree says",
				 root->name);
}

static const struct root *find(const struct root *roots, size_t count,
			       const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(roots[i].name, name) == 0)
			return &roots[i];
	return NULL;
}

static int extract(struct store *s, struct store_tree *t, const char *name,
		   bool alone, struct root *ret_root)
{
	const struct root *root;
	struct root roots[ROOTS_MAX];
	size_t count;
	int r;

	r = roots_read(store_tree_catalog(t), roots, &count);
	if (r < 0)
		return r;
	if (alone && count == 0) {
		*ret_root =
			(struct root){ name, *store_tree_digest(t), ROOT_DIR };
		return 0;
	}
	root = name && (!alone || count == 1) ? find(roots, count, name) : NULL;
	if (!root)
		return -ENOENT;
	if (root->kind != ROOT_ABSENT && !has_tree(s, &root->catalog))
		r = make(s, t, root);
	if (r == 0)
		*ret_root = (struct root){ name, root->catalog, root->kind };
	return r;
}

int roots_extract(struct store *s, const struct digest *tree, const char *name,
		  bool alone, struct root *ret_root)
{
	struct store_tree *t;
	int r;

	r = store_tree_open(s, tree, &t);
	if (r < 0)
		return r;
	r = extract(s, t, name, alone, ret_root);
	store_tree_unref(t);
	return r;
}
