/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applying items to the tables: the only code that changes them, whether the
 * record is new or replayed. Memory comes in two ways: upper_reserve() makes
 * it before a new record is written, so that applying it cannot fail; in a
 * replay it is made on the way. What the log says is checked against the
 * tables here; anything that does not fit is -EBADMSG.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/log.h"
#include "store/lazy.h"

#include "upper.h"
#include "view.h"

/* What a change of extents frees. */
struct drop_ctx {
	struct upper *u;
	uint64_t ino;
	const struct extent *put; /* takes the place of what goes; or NULL */
	bool grew;		  /* ... and is the longer form of it */
};

static void drop(void *arg, struct log_pos pos, uint64_t len)
{
	struct drop_ctx *ctx = arg;
	struct upper *u = ctx->u;

	if (pos.segment == 0) {
		u->own_bytes -= len < u->own_bytes ? len : u->own_bytes;
		if (ctx->put && extent_kind(ctx->put) == EXTENT_OWN &&
		    ctx->put->src_off == pos.off) {
			ctx->grew = true;
			return;
		}
	}
	upper_note_dead(u, ctx->ino, pos, len);
}

void upper_drop_spares(struct upper *u)
{
	while (u->nfresh > 0)
		inode_free(u->fresh[--u->nfresh]);
	while (u->nblobs > 0)
		free(u->blobs[--u->nblobs]);
	names_drop_spares(&u->names);
}

/* --- inodes --- */

static struct inode **fresh_find(struct upper *u, uint64_t ino)
{
	unsigned k;

	for (k = 0; k < u->nfresh; k++)
		if (u->fresh[k]->m.ino == ino)
			return &u->fresh[k];
	return NULL;
}

/* The first record of a base inode begins with the base's content. */
static int base_content(const struct upper *u, struct inode *i)
{
	const struct extents_sink none = { 0 };
	struct catalog_inode ci;
	struct extent x;
	int r;

	if (!u->base || i->m.ino > u->base_inodes)
		return -EBADMSG;
	r = catalog_inode(u->base, (uint32_t)i->m.ino, &ci);
	if (r < 0)
		return r;
	if ((ci.mode ^ i->m.mode) & S_IFMT)
		return -EBADMSG;
	if (!S_ISREG(ci.mode) || ci.size == 0)
		return 0;
	r = extents_reserve(&i->extents, 0);
	if (r < 0)
		return r;
	x = (struct extent){ .len = ci.size,
			     .src = EXTENT_TREE,
			     .src_off = i->m.ino };
	extents_put(&i->extents, &x, &none);
	return 0;
}

/* A root that no base has is no base inode. */
static bool has_base(const struct upper *u, uint64_t ino)
{
	return ino < VIEW_INO_FIRST && !(ino == VIEW_ROOT && !u->base);
}

static int fresh_make(struct upper *u, const struct meta *m)
{
	struct inode *i;
	int r;

	if (u->nfresh == UPPER_FRESH)
		return -E2BIG;
	r = inodes_reserve(&u->inodes, u->nfresh + 1);
	if (r < 0)
		return r;
	i = inode_new(m->ino, m->mode);
	if (!i)
		return -ENOMEM;
	r = has_base(u, m->ino) ? base_content(u, i) : 0;
	if (r < 0) {
		inode_free(i);
		return r;
	}
	u->fresh[u->nfresh++] = i;
	return 0;
}

static int apply_inode(struct upper *u, const struct meta *m)
{
	struct inode *i = inodes_get(&u->inodes, m->ino);
	struct inode **at;
	int r;

	if (!i) {
		if (!fresh_find(u, m->ino)) {
			r = fresh_make(u, m);
			if (r < 0)
				return r;
		}
		at = fresh_find(u, m->ino);
		i = *at;
		*at = u->fresh[--u->nfresh];
		inodes_insert(&u->inodes, i);
	}
	if ((i->m.mode ^ m->mode) & S_IFMT)
		return -EBADMSG;
	i->m = *m;
	if (m->ino >= u->next_ino)
		u->next_ino = m->ino + 1;
	if (m->epoch > u->changed)
		u->changed = m->epoch;
	return 0;
}

static bool inode_known(const struct upper *u, uint64_t ino)
{
	return inodes_get(&u->inodes, ino) || ino <= u->base_inodes;
}

static bool dir_known(const struct upper *u, uint64_t ino)
{
	const struct inode *i = inodes_get(&u->inodes, ino);

	return i ? S_ISDIR(i->m.mode) : upper_is_base_dir(u, ino);
}

/* --- names --- */

static int apply_name(struct upper *u, const struct item_name *n)
{
	const struct name_value value = { .ino = n->ino,
					  .seq = n->seq,
					  .epoch = n->epoch };
	bool override;
	int r;

	if (!dir_known(u, n->parent) || (n->ino && !inode_known(u, n->ino)))
		return -EBADMSG;
	override = upper_base_child(u, n->parent, n->text, n->len) != 0;
	if (override != (n->seq == 0))
		return -EBADMSG;
	r = names_set(&u->names, n->parent, n->text, n->len, &value);
	if (r < 0)
		return r;
	if (n->seq >= u->next_seq)
		u->next_seq = n->seq + 1;
	if (n->epoch > u->changed)
		u->changed = n->epoch;
	return 0;
}

/* --- content --- */

static struct inode *file_find(struct upper *u, uint64_t ino)
{
	struct inode *i = inodes_get(&u->inodes, ino);
	struct inode **at;

	if (!i) {
		at = fresh_find(u, ino);
		i = at ? *at : NULL;
	}
	return i && S_ISREG(i->m.mode) ? i : NULL;
}

static int put_extent(struct upper *u, uint64_t ino, const struct extent *x)
{
	struct inode *i = file_find(u, ino);
	struct drop_ctx ctx = { u, ino, x, false };
	struct extents_sink sink = { drop, &ctx };
	bool had;
	int r;

	if (!i)
		return -EBADMSG;
	r = extents_reserve(&i->extents, x->off);
	if (r < 0)
		return r;
	had = extents_have_source(&i->extents, x);
	if (u->log && extent_kind(x) == EXTENT_LOG && !had)
		log_retain(u->log, extent_pos(x), x->src_len);
	extents_put(&i->extents, x, &sink);
	if (extent_kind(x) == EXTENT_OWN && (!had || ctx.grew))
		u->own_bytes += x->src_len;
	return 0;
}

static int put_source(struct upper *u, uint64_t ino, const struct extent *x,
		      struct log_pos record)
{
	int r = put_extent(u, ino, x);

	if (r == 0 && u->is_unsure)
		r = upper_unsure_add(u, ino, x, record);
	return r;
}

static int apply_data(struct upper *u, const struct item_range *d,
		      struct log_pos data, uint64_t data_len)
{
	const struct extent x = { .off = d->off,
				  .len = d->len,
				  .src = data.segment,
				  .src_off = data.off,
				  .src_len = (uint32_t)d->len,
				  .crc = d->crc };

	if (d->len != data_len || extent_kind(&x) != EXTENT_LOG)
		return -EBADMSG;
	return put_source(u, d->ino, &x, data);
}

static int apply_own(struct upper *u, const struct item_range *o,
		     struct log_pos record)
{
	const struct extent x = { .off = o->off,
				  .len = o->len,
				  .src_off = o->place,
				  .src_len = (uint32_t)o->len,
				  .crc = o->crc };

	return put_source(u, o->ino, &x, record);
}

static int apply_hole(struct upper *u, const struct item_range *h)
{
	struct inode *i = file_find(u, h->ino);
	struct drop_ctx ctx = { .u = u, .ino = h->ino };
	struct extents_sink sink = { drop, &ctx };
	int r;

	if (!i)
		return -EBADMSG;
	r = extents_reserve(&i->extents, h->off);
	if (r < 0)
		return r;
	extents_cut(&i->extents, h->off, h->len, &sink);
	return 0;
}

/* Whether `number` of `tree` is a file with bytes up to `end`. A tree that the
 * store has lost is known by its number only. */
static bool tree_has(const struct upper *u, uint32_t tree, uint64_t number,
		     uint64_t end)
{
	struct catalog_inode ci;

	if (tree >= u->ntrees || !u->trees[tree].used || number > UINT32_MAX)
		return false;
	if (!u->trees[tree].tree)
		return tree > 0;
	return catalog_inode(store_tree_catalog(u->trees[tree].tree),
			     (uint32_t)number, &ci) == 0 &&
	       S_ISREG(ci.mode) && end <= ci.size;
}

static int apply_extent(struct upper *u, const struct item_extent *e)
{
	const struct extent *x = &e->extent;

	if (extent_kind(x) == EXTENT_BASE &&
	    !tree_has(u, extent_tree(x), x->src_off, extent_end(x)))
		return -EBADMSG;
	return put_extent(u, e->ino, x);
}

static int apply_content(struct upper *u, const struct item_content *c)
{
	struct inode *i = file_find(u, c->ino);
	struct drop_ctx ctx = { .u = u, .ino = c->ino };
	struct extents_sink sink = { drop, &ctx };
	struct extent x = { .src = EXTENT_TREE | c->tree,
			    .src_off = c->number };

	if (!i || !tree_has(u, c->tree, c->number, i->m.size))
		return -EBADMSG;
	/* All of it: nothing is cut in two, so no room is needed. */
	extents_cut(&i->extents, 0, UINT64_MAX, &sink);
	x.len = i->m.size;
	return x.len == 0 ? 0 : put_extent(u, c->ino, &x);
}

/* --- the rest --- */

static struct blob *blob_take(struct upper *u, const struct item_blob *b)
{
	struct blob *blob;

	if (u->nblobs == 0)
		return blob_new(b->data, b->len);
	blob = u->blobs[0];
	u->nblobs--;
	memmove(u->blobs, u->blobs + 1, u->nblobs * sizeof(*u->blobs));
	return blob;
}

static int apply_target(struct upper *u, const struct item_blob *b)
{
	struct inode *i = inodes_get(&u->inodes, b->ino);
	struct blob *blob;

	if (!i || !S_ISLNK(i->m.mode))
		return -EBADMSG;
	blob = blob_take(u, b);
	if (!blob)
		return -ENOMEM;
	free(i->target);
	i->target = blob;
	return 0;
}

static int apply_xattrs(struct upper *u, const struct item_blob *b)
{
	struct inode *i = inodes_get(&u->inodes, b->ino);
	struct blob *blob;

	if (!i)
		return -EBADMSG;
	blob = blob_take(u, b);
	if (!blob)
		return -ENOMEM;
	free(i->xattrs);
	i->xattrs = blob;
	return 0;
}

/* What a commit made on top of the base may have chunks where the base has
 * them. */
static int open_tree(struct upper *u, const struct digest *digest,
		     struct store_tree **ret_tree)
{
	const struct store_tree *base = u->ntrees > 0 ? u->trees[0].tree : NULL;
	struct lazy_source *src = base ? store_tree_source(base) : NULL;
	int r = src ? store_offer_source(u->store, digest, src) : 0;

	return r < 0 ? r : store_tree_open(u->store, digest, ret_tree);
}

static int apply_tree(struct upper *u, const struct item_tree *t)
{
	struct store_tree *tree = NULL;
	char hex[DIGEST_HEX_LEN + 1];
	int r;

	if (t->number == 0)
		return -EBADMSG;
	if (t->number < u->ntrees && u->trees[t->number].used)
		return digest_equal(&u->trees[t->number].digest, &t->digest) ?
			       0 :
			       -EBADMSG;
	r = u->store ? open_tree(u, &t->digest, &tree) : -ENOENT;
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		digest_hex(&t->digest, hex);
		log_error(r,
			  "upper: the tree %s of an earlier commit cannot "
			  "be read; files that have their content there "
			  "give errors",
			  hex);
		tree = NULL;
	}
	/* Numbers below that a checkpoint left out stay unused. */
	while (u->ntrees < t->number) {
		r = upper_tree_set(u, u->ntrees, &t->digest, NULL);
		if (r < 0)
			break;
		u->trees[u->ntrees - 1].used = false;
	}
	if (u->ntrees >= t->number)
		r = upper_tree_set(u, t->number, &t->digest, tree);
	if (r < 0)
		store_tree_unref(tree);
	return r;
}

static int apply_committed(struct upper *u, const struct item_committed *c)
{
	if (c->tree >= u->ntrees || !u->trees[c->tree].used)
		return -EBADMSG;
	u->committed = true;
	u->committed_tree = c->tree;
	u->committed_epoch = c->epoch;
	return 0;
}

static int apply_item(struct upper *u, const struct item *item,
		      struct log_pos data, uint64_t data_len)
{
	switch (item->type) {
	case ITEM_INODE:
		return apply_inode(u, &item->inode);
	case ITEM_NAME:
		return apply_name(u, &item->name);
	case ITEM_NO_NAME:
		names_remove(&u->names, item->name.parent, item->name.text,
			     item->name.len);
		return 0;
	case ITEM_DATA:
		return apply_data(u, &item->range, data, data_len);
	case ITEM_OWN:
		return apply_own(u, &item->range, data);
	case ITEM_HOLE:
		return apply_hole(u, &item->range);
	case ITEM_EXTENT:
		return apply_extent(u, &item->extent);
	case ITEM_TARGET:
		return apply_target(u, &item->blob);
	case ITEM_XATTRS:
		return apply_xattrs(u, &item->blob);
	case ITEM_CONTENT:
		return apply_content(u, &item->content);
	case ITEM_TREE:
		return apply_tree(u, &item->tree);
	case ITEM_EPOCH:
		u->epoch = item->epoch;
		return 0;
	case ITEM_COMMITTED:
		return apply_committed(u, &item->committed);
	case ITEM_STATE:
		u->next_ino = item->state.next_ino;
		u->next_seq = item->state.next_seq;
		u->epoch = item->state.epoch;
		u->changed = item->state.changed;
		return 0;
	case ITEM_REQUESTS:
		upper_requests_apply(u, &item->requests);
		return 0;
	case ITEM_PART:
		u->part = item->part;
		return 0;
	}
	return -EBADMSG;
}

int upper_apply(struct upper *u, const void *items, size_t items_len,
		struct log_pos data, uint64_t data_len)
{
	struct cursor c;
	struct item item;
	int r;

	cursor_init(&c, items, items_len);
	while ((r = item_take(&c, &item)) > 0) {
		r = apply_item(u, &item, data, data_len);
		if (r < 0)
			break;
	}
	if (r == -EBADMSG)
		log_error(r, "upper: an item of type %d does not fit",
			  (int)item.type);
	return r;
}

/* --- memory ahead of a record --- */

static int reserve_blob(struct upper *u, const struct item_blob *b)
{
	if (u->nblobs == UPPER_BLOBS)
		return -E2BIG;
	u->blobs[u->nblobs] = blob_new(b->data, b->len);
	if (!u->blobs[u->nblobs])
		return -ENOMEM;
	u->nblobs++;
	return 0;
}

/* `n`: how many the record has had, this one included. All that a record says
 * of extents is about one file. */
static int reserve_extent(struct upper *u, uint64_t ino, uint64_t off,
			  uint32_t n)
{
	struct inode *i = file_find(u, ino);

	if (!i)
		return -EBADMSG;
	return n == 1 ? extents_reserve(&i->extents, off) :
			extents_reserve_many(&i->extents, n);
}

static int reserve_item(struct upper *u, const struct item *item,
			uint32_t *extents)
{
	struct inode *i;

	switch (item->type) {
	case ITEM_INODE:
		if (inodes_get(&u->inodes, item->inode.ino) ||
		    fresh_find(u, item->inode.ino))
			return 0;
		return fresh_make(u, &item->inode);
	case ITEM_NAME:
		return names_reserve(&u->names, item->name.parent,
				     item->name.text, item->name.len,
				     item->name.seq);
	case ITEM_DATA:
	case ITEM_OWN:
	case ITEM_HOLE:
		return reserve_extent(u, item->range.ino, item->range.off,
				      ++*extents);
	case ITEM_EXTENT:
		return reserve_extent(u, item->extent.ino,
				      item->extent.extent.off, ++*extents);
	case ITEM_CONTENT: /* takes the place of what is there */
		i = inodes_get(&u->inodes, item->content.ino);
		if (!i || !S_ISREG(i->m.mode))
			return -EBADMSG;
		return i->extents.cap > 0 ? 0 : extents_reserve(&i->extents, 0);
	case ITEM_TARGET:
	case ITEM_XATTRS:
		return reserve_blob(u, &item->blob);
	case ITEM_NO_NAME:
	case ITEM_TREE:
	case ITEM_EPOCH:
	case ITEM_COMMITTED:
	case ITEM_STATE:
	case ITEM_REQUESTS:
	case ITEM_PART:
		return 0;
	}
	return -EBADMSG;
}

int upper_reserve(struct upper *u, const void *items, size_t items_len)
{
	uint32_t extents = 0;
	struct cursor c;
	struct item item;
	int r;

	cursor_init(&c, items, items_len);
	while ((r = item_take(&c, &item)) > 0) {
		r = reserve_item(u, &item, &extents);
		if (r < 0)
			return r;
	}
	return r;
}

/* --- the end of an inode --- */

/* Whiteouts below a directory that is gone hide nothing any more. */
static void drop_overrides(struct upper *u, uint64_t dir)
{
	struct catalog_dirent d;
	uint32_t k;

	if (names_overrides(&u->names, dir) > 0)
		for (k = 0; catalog_dirent(u->base, (uint32_t)dir, k, &d) == 0;
		     k++)
			names_remove(&u->names, dir, d.name, d.name_len);
	names_drop_dir(&u->names, dir);
}

void upper_drop(struct upper *u, struct inode *i)
{
	struct drop_ctx ctx = { .u = u, .ino = i->m.ino };
	struct extents_sink sink = { drop, &ctx };

	if (S_ISREG(i->m.mode))
		extents_cut(&i->extents, 0, UINT64_MAX, &sink);
	if (S_ISDIR(i->m.mode))
		drop_overrides(u, i->m.ino);
	inodes_remove(&u->inodes, i->m.ino);
	inode_free(i);
}
