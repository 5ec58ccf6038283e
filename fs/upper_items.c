/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoding and decoding of log items. Decoding goes through the bounded
 * cursor alone, and an item is checked before it is handed out.
 */
#include "upper_items.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "store/catalog.h"

/* Numbers are used again, so they stay far below. */
#define TREES_MAX (1u << 20)
#define INO_MAX (UINT64_C(1) << 62)

static void put_inode(struct buf *b, const struct meta *m)
{
	buf_put_u64(b, m->ino);
	buf_put_u64(b, m->parent);
	buf_put_u64(b, m->size);
	buf_put_u64(b, (uint64_t)m->atime_sec);
	buf_put_u32(b, m->atime_nsec);
	buf_put_u64(b, (uint64_t)m->mtime_sec);
	buf_put_u32(b, m->mtime_nsec);
	buf_put_u64(b, (uint64_t)m->ctime_sec);
	buf_put_u32(b, m->ctime_nsec);
	buf_put_u32(b, m->mode);
	buf_put_u32(b, m->uid);
	buf_put_u32(b, m->gid);
	buf_put_u32(b, m->nlink);
	buf_put_u32(b, m->rdev);
	buf_put_u32(b, m->epoch);
}

static void put_range(struct buf *b, const struct item_range *r)
{
	buf_put_u64(b, r->ino);
	buf_put_u64(b, r->off);
	buf_put_u64(b, r->len);
}

static void put_text(struct buf *b, const struct item_name *n)
{
	buf_put_u8(b, n->len);
	buf_put(b, n->text, n->len);
}

static void put_extent(struct buf *b, const struct item_extent *e)
{
	buf_put_u64(b, e->ino);
	buf_put_u64(b, e->extent.off);
	buf_put_u64(b, e->extent.len);
	buf_put_u64(b, e->extent.src_off);
	buf_put_u32(b, e->extent.src);
	buf_put_u32(b, e->extent.src_len);
	buf_put_u32(b, e->extent.slice);
	buf_put_u32(b, e->extent.crc);
}

static void put_state(struct buf *b, const struct item_state *s)
{
	buf_put_u64(b, s->next_ino);
	buf_put_u64(b, s->next_seq);
	buf_put_u32(b, s->epoch);
	buf_put_u32(b, s->changed);
}

void item_put(struct buf *b, const struct item *item)
{
	buf_put_u8(b, (uint8_t)item->type);
	switch (item->type) {
	case ITEM_INODE:
		put_inode(b, &item->inode);
		break;
	case ITEM_NAME:
		buf_put_u64(b, item->name.parent);
		buf_put_u64(b, item->name.ino);
		buf_put_u64(b, item->name.seq);
		buf_put_u32(b, item->name.epoch);
		put_text(b, &item->name);
		break;
	case ITEM_NO_NAME:
		buf_put_u64(b, item->name.parent);
		put_text(b, &item->name);
		break;
	case ITEM_DATA:
		put_range(b, &item->range);
		buf_put_u32(b, item->range.crc);
		break;
	case ITEM_OWN:
		put_range(b, &item->range);
		buf_put_u32(b, item->range.crc);
		buf_put_u64(b, item->range.place);
		break;
	case ITEM_HOLE:
		put_range(b, &item->range);
		break;
	case ITEM_EXTENT:
		put_extent(b, &item->extent);
		break;
	case ITEM_TARGET:
		buf_put_u64(b, item->blob.ino);
		buf_put_u16(b, (uint16_t)item->blob.len);
		buf_put(b, item->blob.data, item->blob.len);
		break;
	case ITEM_XATTRS:
		buf_put_u64(b, item->blob.ino);
		buf_put_u32(b, item->blob.len);
		buf_put(b, item->blob.data, item->blob.len);
		break;
	case ITEM_CONTENT:
		buf_put_u64(b, item->content.ino);
		buf_put_u32(b, item->content.tree);
		buf_put_u32(b, item->content.number);
		break;
	case ITEM_TREE:
		buf_put_u32(b, item->tree.number);
		buf_put(b, item->tree.digest.bytes, DIGEST_LEN);
		break;
	case ITEM_EPOCH:
		buf_put_u32(b, item->epoch);
		break;
	case ITEM_COMMITTED:
		buf_put_u32(b, item->committed.tree);
		buf_put_u32(b, item->committed.epoch);
		break;
	case ITEM_STATE:
		put_state(b, &item->state);
		break;
	case ITEM_REQUESTS:
		buf_put_u8(b, item->requests.count);
		buf_put(b, item->requests.list,
			item->requests.count * ITEM_REQUEST_BYTES);
		break;
	case ITEM_PART:
		buf_put_u64(b, item->part);
		break;
	}
}

static bool valid_mode(uint32_t mode)
{
	if (mode & ~(uint32_t)(S_IFMT | 07777))
		return false;
	switch (mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFIFO:
	case S_IFSOCK:
	case S_IFCHR:
	case S_IFBLK:
		return true;
	default:
		return false;
	}
}

static bool take_inode(struct cursor *c, struct meta *m)
{
	m->ino = cursor_u64(c);
	m->parent = cursor_u64(c);
	m->size = cursor_u64(c);
	m->atime_sec = (int64_t)cursor_u64(c);
	m->atime_nsec = cursor_u32(c);
	m->mtime_sec = (int64_t)cursor_u64(c);
	m->mtime_nsec = cursor_u32(c);
	m->ctime_sec = (int64_t)cursor_u64(c);
	m->ctime_nsec = cursor_u32(c);
	m->mode = cursor_u32(c);
	m->uid = cursor_u32(c);
	m->gid = cursor_u32(c);
	m->nlink = cursor_u32(c);
	m->rdev = cursor_u32(c);
	m->epoch = cursor_u32(c);
	return m->ino != 0 && m->ino < INO_MAX && m->size <= INT64_MAX &&
	       valid_mode(m->mode) && m->atime_nsec < 1000000000 &&
	       m->mtime_nsec < 1000000000 && m->ctime_nsec < 1000000000;
}

static bool take_text(struct cursor *c, struct item_name *n)
{
	n->len = cursor_u8(c);
	n->text = cursor_bytes(c, n->len);
	if (!n->text || n->len == 0)
		return false;
	if (memchr(n->text, '/', n->len) || memchr(n->text, '\0', n->len))
		return false;
	return n->text[0] != '.' ||
	       (n->len != 1 && !(n->len == 2 && n->text[1] == '.'));
}

static bool take_name(struct cursor *c, struct item_name *n)
{
	n->parent = cursor_u64(c);
	n->ino = cursor_u64(c);
	n->seq = cursor_u64(c);
	n->epoch = cursor_u32(c);
	/* Half of the number space is readdir's tag. */
	return take_text(c, n) && n->parent != 0 &&
	       n->seq < UINT64_C(1) << 62 && (n->seq == 0 || n->ino != 0);
}

/* What can hold bytes: not empty, and inside of what an offset can name. */
static bool valid_range(uint64_t off, uint64_t len)
{
	return len > 0 && off <= INT64_MAX && len <= INT64_MAX - off;
}

static bool take_range(struct cursor *c, enum item_type type,
		       struct item_range *r)
{
	r->ino = cursor_u64(c);
	r->off = cursor_u64(c);
	r->len = cursor_u64(c);
	if (type == ITEM_HOLE)
		return r->off <= INT64_MAX;
	r->crc = cursor_u32(c);
	if (type == ITEM_OWN)
		r->place = cursor_u64(c);
	return r->len <= EXTENT_SOURCE_MAX && r->place <= INT64_MAX &&
	       valid_range(r->off, r->len);
}

static bool take_extent(struct cursor *c, struct item_extent *e)
{
	struct extent *x = &e->extent;

	e->ino = cursor_u64(c);
	x->off = cursor_u64(c);
	x->len = cursor_u64(c);
	x->src_off = cursor_u64(c);
	x->src = cursor_u32(c);
	x->src_len = cursor_u32(c);
	x->slice = cursor_u32(c);
	x->crc = cursor_u32(c);
	if (!valid_range(x->off, x->len))
		return false;
	if (extent_kind(x) == EXTENT_BASE)
		return true;
	return x->src_len <= EXTENT_SOURCE_MAX && x->src_off <= INT64_MAX &&
	       x->slice < x->src_len && x->len <= x->src_len - x->slice;
}

static bool take_target(struct cursor *c, struct item_blob *b)
{
	b->ino = cursor_u64(c);
	b->len = cursor_u16(c);
	b->data = cursor_bytes(c, b->len);
	return b->data && b->len > 0 && b->len <= CATALOG_SYMLINK_MAX &&
	       !memchr(b->data, '\0', b->len);
}

/* Whether the set can be walked; that is all its users rely on. */
static bool valid_xattrs(const void *data, size_t len)
{
	struct cursor c;

	cursor_init(&c, data, len);
	while (cursor_left(&c) > 0) {
		uint16_t name_len = cursor_u16(&c);
		uint32_t value_len = cursor_u32(&c);
		const char *name = cursor_bytes(&c, name_len);

		if (!name || name_len == 0 || name_len > CATALOG_NAME_MAX ||
		    memchr(name, '\0', name_len))
			return false;
		cursor_bytes(&c, value_len);
	}
	return cursor_error(&c) == 0;
}

static bool take_xattrs(struct cursor *c, struct item_blob *b)
{
	b->ino = cursor_u64(c);
	b->len = cursor_u32(c);
	b->data = cursor_bytes(c, b->len);
	return b->data && b->len <= CATALOG_XATTR_MAX &&
	       valid_xattrs(b->data, b->len);
}

static bool take_content(struct cursor *c, struct item_content *content)
{
	content->ino = cursor_u64(c);
	content->tree = cursor_u32(c);
	content->number = cursor_u32(c);
	return content->tree < EXTENT_TREE && content->number > 0;
}

static bool take_tree(struct cursor *c, struct item_tree *t)
{
	const void *digest;

	t->number = cursor_u32(c);
	digest = cursor_bytes(c, DIGEST_LEN);
	if (!digest)
		return false;
	memcpy(t->digest.bytes, digest, DIGEST_LEN);
	return t->number < TREES_MAX;
}

static bool take_state(struct cursor *c, struct item_state *s)
{
	s->next_ino = cursor_u64(c);
	s->next_seq = cursor_u64(c);
	s->epoch = cursor_u32(c);
	s->changed = cursor_u32(c);
	return s->next_ino > 0 && s->next_seq < UINT64_C(1) << 62;
}

static bool take_requests(struct cursor *c, struct item_requests *r)
{
	r->count = cursor_u8(c);
	if (r->count > ITEM_REQUESTS_MAX)
		return false;
	r->list = cursor_bytes(c, (size_t)r->count * ITEM_REQUEST_BYTES);
	return r->list || r->count == 0;
}

static bool take_fields(struct cursor *c, struct item *item)
{
	switch (item->type) {
	case ITEM_INODE:
		return take_inode(c, &item->inode);
	case ITEM_NAME:
		return take_name(c, &item->name);
	case ITEM_NO_NAME:
		item->name.parent = cursor_u64(c);
		return take_text(c, &item->name);
	case ITEM_DATA:
	case ITEM_OWN:
	case ITEM_HOLE:
		return take_range(c, item->type, &item->range);
	case ITEM_EXTENT:
		return take_extent(c, &item->extent);
	case ITEM_TARGET:
		return take_target(c, &item->blob);
	case ITEM_XATTRS:
		return take_xattrs(c, &item->blob);
	case ITEM_CONTENT:
		return take_content(c, &item->content);
	case ITEM_TREE:
		return take_tree(c, &item->tree);
	case ITEM_EPOCH:
		item->epoch = cursor_u32(c);
		return true;
	case ITEM_COMMITTED:
		item->committed.tree = cursor_u32(c);
		item->committed.epoch = cursor_u32(c);
		return true;
	case ITEM_STATE:
		return take_state(c, &item->state);
	case ITEM_REQUESTS:
		return take_requests(c, &item->requests);
	case ITEM_PART:
		item->part = cursor_u64(c);
		return true;
	}
	return false;
}

int item_take(struct cursor *c, struct item *ret_item)
{
	struct item item = { 0 };

	if (cursor_left(c) == 0)
		return cursor_error(c);
	item.type = cursor_u8(c);
	if (!take_fields(c, &item) || cursor_error(c))
		return -EBADMSG;
	*ret_item = item;
	return 1;
}
