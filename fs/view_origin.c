/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes that tell where content comes from (view_origin.h). What the view
 * knows is taken under its lock; catalogs are immutable, so the value is made
 * without it. No state.
 */
#include "view_origin.h"

#include <errno.h>
#include <string.h>

#include "store/base/buf.h"
#include "store/base/le.h"
#include "store/lazy.h"

#include "view_internal.h"

#define PIECES_QUICK 1024u /* hashed faster than another thread wakes up */

enum origin_kind { ORIGIN_NONE, ORIGIN_DIGEST, ORIGIN_KEY, ORIGIN_TIER };

/* A file of a tree. */
struct origin_file {
	struct store_tree *tree; /* referenced */
	uint32_t number;
};

static void origin_file_release(struct origin_file *f)
{
	store_tree_unref(f->tree);
}

static enum origin_kind kind_of(const char *name)
{
	const char *rest = name + strlen(ORIGIN_PREFIX);

	if (!origin_is_reserved(name, strlen(name)))
		return ORIGIN_NONE;
	if (strcmp(rest, "digest") == 0)
		return ORIGIN_DIGEST;
	if (strcmp(rest, "key") == 0)
		return ORIGIN_KEY;
	return strcmp(rest, "tier") == 0 ? ORIGIN_TIER : ORIGIN_NONE;
}

bool origin_is_reserved(const char *name, size_t len)
{
	size_t n = strlen(ORIGIN_PREFIX);

	return len >= n && memcmp(name, ORIGIN_PREFIX, n) == 0;
}

bool origin_is_name(const char *name)
{
	return kind_of(name) != ORIGIN_NONE;
}

/* --- what the view knows --- */

/* An empty file has no extents that say where they are from. */
static bool is_empty_of_base(const struct view *v, const struct meta *m)
{
	struct catalog_inode ci;

	return m->size == 0 && v->upper.base &&
	       m->ino <= v->upper.base_inodes &&
	       catalog_inode(v->upper.base, (uint32_t)m->ino, &ci) == 0 &&
	       S_ISREG(ci.mode) && ci.size == 0;
}

/* -ENODATA where the content is not that of a stored file. Read lock. */
static int find_file(const struct view *v, uint64_t ino,
		     struct origin_file *ret_file)
{
	struct view_extents tmp;
	uint32_t tree = 0, number = (uint32_t)ino;
	struct meta m;
	int r = view_load(v, ino, &m);

	if (r < 0)
		return r;
	if (!S_ISREG(m.mode) ||
	    (!is_empty_of_base(v, &m) &&
	     !view_in_tree(v, &m, view_extents(v, ino, &tmp), &tree, &number)))
		return -ENODATA;
	ret_file->tree = store_tree_ref(v->upper.trees[tree].tree);
	ret_file->number = number;
	return 0;
}

static int get_file(struct view *v, uint64_t ino, struct origin_file *ret_file)
{
	READ_SCOPE(v);
	return find_file(v, ino, ret_file);
}

/* --- digest --- */

static void put_digest(struct buf *out, const char *what,
		       const struct digest *d)
{
	char hex[DIGEST_HEX_LEN + 1];

	digest_hex(d, hex);
	buf_printf(out, "%s:%s", what, hex);
}

static int add_piece(const struct catalog *c, const struct catalog_piece *p,
		     struct digest_ctx *ctx)
{
	static const struct digest hole;
	const struct digest *d = &hole;
	uint32_t size;
	uint8_t len[8];
	int r = 0;

	if (p->chunk != CATALOG_HOLE)
		r = catalog_chunk(c, p->chunk, &d, &size);
	le64_put(len, p->len);
	if (r == 0)
		r = digest_ctx_update(ctx, len, sizeof(len));
	return r < 0 ? r : digest_ctx_update(ctx, d->bytes, DIGEST_LEN);
}

static int digest_pieces(const struct catalog *c, uint32_t ino, uint32_t count,
			 struct digest *ret_digest)
{
	_cleanup_digest_ctx_ struct digest_ctx *ctx = NULL;
	struct catalog_piece p;
	int r;

	if (count > PIECES_QUICK)
		fetch_may_block();
	r = digest_ctx_new(&ctx);
	for (uint32_t n = 0; r == 0 && n < count; n++) {
		r = catalog_piece(c, ino, n, &p);
		if (r == 0)
			r = add_piece(c, &p, ctx);
	}
	return r < 0 ? r : digest_ctx_final(ctx, ret_digest);
}

static int put_file_digest(const struct origin_file *f, struct buf *out)
{
	const struct catalog *c = store_tree_catalog(f->tree);
	const struct digest *whole;
	struct catalog_piece p;
	struct catalog_inode ci;
	struct digest d;
	uint32_t size;
	int r = catalog_inode(c, f->number, &ci);

	if (r == 0 && ci.pieces == 1)
		r = catalog_piece(c, f->number, 0, &p);
	if (r < 0)
		return -EIO;
	if (ci.pieces == 0) {
		r = digest_of(NULL, 0, &d);
		put_digest(out, "sha256", &d);
	} else if (ci.pieces == 1 && p.chunk != CATALOG_HOLE) {
		r = catalog_chunk(c, p.chunk, &whole, &size);
		if (r == 0)
			put_digest(out, "sha256", whole);
	} else {
		r = digest_pieces(c, f->number, ci.pieces, &d);
		if (r == 0)
			put_digest(out, "sha256-pieces", &d);
	}
	return r < 0 ? -EIO : 0;
}

static int put_tree_digest(struct view *v, struct buf *out)
{
	struct digest d;

	if (!view_catalog(v, &d))
		return -ENODATA;
	put_digest(out, "sha256-catalog", &d);
	return 0;
}

/* --- key, tier --- */

static int put_key(struct view *v, uint64_t ino, struct buf *out)
{
	_cleanup_(origin_file_release) struct origin_file f = { 0 };
	int r = 0;

	READ_SCOPE(v);
	if (ino != VIEW_ROOT)
		r = find_file(v, ino, &f);
	if (r < 0)
		return r;
	if (!v->key)
		return -ENODATA;
	buf_put(out, v->key, strlen(v->key));
	return 0;
}

static int put_tier(const struct origin_file *f, struct buf *out)
{
	struct lazy_source *src = store_tree_source(f->tree);
	int r = 1;

	if (src) {
		fetch_may_block();
		r = lazy_has_file(f->tree, f->number);
	}
	if (r < 0)
		return -EIO;
	if (r == 0)
		return src->ops->names(src, out);
	buf_printf(out, "local");
	return 0;
}

/* --- the calls --- */

int view_set_key(struct view *v, const char *key)
{
	char *copy = key ? strdup(key) : NULL;

	if (key && !copy)
		return -ENOMEM;
	WRITE_SCOPE(v);
	free(v->key);
	v->key = copy;
	return 0;
}

static int put_value(struct view *v, uint64_t ino, enum origin_kind kind,
		     struct buf *out)
{
	_cleanup_(origin_file_release) struct origin_file f = { 0 };
	int r;

	if (kind == ORIGIN_KEY)
		return put_key(v, ino, out);
	if (kind == ORIGIN_DIGEST && ino == VIEW_ROOT)
		return put_tree_digest(v, out);
	r = get_file(v, ino, &f);
	if (r < 0)
		return r;
	return kind == ORIGIN_DIGEST ? put_file_digest(&f, out) :
				       put_tier(&f, out);
}

ssize_t origin_get(struct view *v, uint64_t ino, const char *name, void *buf,
		   size_t size)
{
	_cleanup_buf_ struct buf value = BUF_INIT;
	int r = put_value(v, ino, kind_of(name), &value);

	if (r == 0)
		r = buf_error(&value);
	if (r < 0)
		return r;
	if (size > 0 && value.len > size)
		return -ERANGE;
	if (size > 0)
		memcpy(buf, value.data, value.len);
	return (ssize_t)value.len;
}
