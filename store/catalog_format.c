/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalog's header and the rules for single fields: what the reader, the
 * checker and the builder must see alike. No state; any thread. Does not look
 * into the sections; that is catalog_check.c.
 */
#include "catalog_format.h"

#include <errno.h>
#include <linux/limits.h>

#include "base/cursor.h"
#include "base/log.h"

#define HEAD sizeof(struct catalog_header_rec)

_Static_assert(sizeof(CATALOG_MAGIC) ==
		       sizeof(((struct catalog_header_rec *)0)->magic),
	       "the magic fills its field");

static uint64_t section(uint64_t *pos, uint64_t len)
{
	uint64_t at = *pos;

	*pos = (at + len + 7) & ~UINT64_C(7);
	return at;
}

void catalog_layout_of(const struct catalog_header *h,
		       struct catalog_layout *ret_layout)
{
	struct catalog_layout l;
	uint64_t pos = CATALOG_HEADER_BYTES;

	l.inodes = section(&pos, (uint64_t)h->inodes *
					 sizeof(struct catalog_inode_rec));
	l.dirents = section(&pos, (uint64_t)h->dirents *
					  sizeof(struct catalog_dirent_rec));
	l.pieces = section(&pos, (uint64_t)h->pieces *
					 sizeof(struct catalog_piece_rec));
	l.chunks = section(&pos, (uint64_t)h->chunks *
					 sizeof(struct catalog_chunk_rec));
	l.xattrs = section(&pos, (uint64_t)h->xattrs *
					 sizeof(struct catalog_xattr_rec));
	l.names = section(&pos, h->names_bytes);
	l.targets = section(&pos, h->targets_bytes);
	l.xattr_bytes = section(&pos, h->xattrs_bytes);
	l.total = pos;
	*ret_layout = l;
}

void catalog_header_encode(const struct catalog_header *h,
			   struct catalog_header_rec *ret_rec)
{
	struct catalog_header_rec r = { .magic = CATALOG_MAGIC };

	le32_put(r.version, CATALOG_VERSION);
	le32_put(r.inodes, h->inodes);
	le32_put(r.dirents, h->dirents);
	le32_put(r.pieces, h->pieces);
	le32_put(r.chunks, h->chunks);
	le32_put(r.xattrs, h->xattrs);
	le32_put(r.names_bytes, h->names_bytes);
	le32_put(r.targets_bytes, h->targets_bytes);
	le32_put(r.xattrs_bytes, h->xattrs_bytes);
	le32_put(r.files, h->files);
	le32_put(r.dirs, h->dirs);
	le32_put(r.symlinks, h->symlinks);
	le32_put(r.others, h->others);
	le64_put(r.bytes, h->bytes);
	le64_put(r.total, h->total);
	*ret_rec = r;
}

/* What the fields say of each other; the length comes separately. */
static bool header_consistent(const struct catalog_header *h)
{
	uint64_t kinds = (uint64_t)h->files + h->dirs + h->symlinks + h->others;

	return h->inodes >= 1 && h->inodes < UINT32_MAX && h->dirs >= 1 &&
	       kinds == h->inodes && h->dirents >= h->inodes - 1 &&
	       h->bytes <= INT64_MAX && h->total <= CATALOG_BYTES_MAX;
}

static int header_decode(const void *data, size_t len,
			 struct catalog_header *ret_header)
{
	const struct catalog_header_rec *r;
	struct catalog_header h;
	struct cursor cur;

	cursor_init(&cur, data, len);
	r = cursor_bytes(&cur, HEAD);
	if (!r || memcmp(r->magic, CATALOG_MAGIC, sizeof(r->magic)))
		return log_error(-EBADMSG, "catalog: not one");
	if (le32_get(r->version) > CATALOG_VERSION)
		return log_error(-ESTALE, "catalog: format %u is newer than %u",
				 le32_get(r->version), CATALOG_VERSION);

	h.inodes = le32_get(r->inodes);
	h.dirents = le32_get(r->dirents);
	h.pieces = le32_get(r->pieces);
	h.chunks = le32_get(r->chunks);
	h.xattrs = le32_get(r->xattrs);
	h.names_bytes = le32_get(r->names_bytes);
	h.targets_bytes = le32_get(r->targets_bytes);
	h.xattrs_bytes = le32_get(r->xattrs_bytes);
	h.files = le32_get(r->files);
	h.dirs = le32_get(r->dirs);
	h.symlinks = le32_get(r->symlinks);
	h.others = le32_get(r->others);
	h.bytes = le64_get(r->bytes);
	h.total = le64_get(r->total);
	*ret_header = h;
	return 0;
}

int catalog_blob_init(const void *data, size_t len,
		      struct catalog_blob *ret_blob)
{
	struct catalog_blob b = { .data = data };
	struct catalog_header_rec again;
	struct catalog_layout l;
	int err = header_decode(data, len, &b.h);

	if (err)
		return err;

	/* Also finds version 0 and bytes that should be zero. */
	catalog_header_encode(&b.h, &again);
	if (memcmp(data, &again, HEAD) || !header_consistent(&b.h))
		return log_error(-EBADMSG, "catalog: bad header");

	catalog_layout_of(&b.h, &l);
	if (l.total != b.h.total || l.total != len)
		return log_error(-EBADMSG,
				 "catalog: %zu bytes where its header has %llu",
				 len, (unsigned long long)l.total);

	b.inodes = (const void *)(b.data + l.inodes);
	b.dirents = (const void *)(b.data + l.dirents);
	b.pieces = (const void *)(b.data + l.pieces);
	b.chunks = (const void *)(b.data + l.chunks);
	b.xattrs = (const void *)(b.data + l.xattrs);
	b.names = (const char *)(b.data + l.names);
	b.targets = (const char *)(b.data + l.targets);
	b.xattr_bytes = b.data + l.xattr_bytes;
	*ret_blob = b;
	return 0;
}

bool catalog_valid_mode(uint32_t mode)
{
	if (mode & ~(uint32_t)(S_IFMT | 07777))
		return false;
	switch (mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return true;
	}
	return false;
}

bool catalog_valid_name(const char *name, size_t len)
{
	if (len == 0 || len > CATALOG_NAME_MAX)
		return false;
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return false;
	return !memchr(name, '/', len) && !memchr(name, '\0', len);
}

bool catalog_valid_target(const char *target, size_t len)
{
	return len >= 1 && len <= CATALOG_SYMLINK_MAX &&
	       !memchr(target, '\0', len);
}

bool catalog_valid_xattrs(const void *data, size_t len)
{
	const char *prev = NULL;
	size_t prev_len = 0;
	struct cursor cur;

	if (len == 0 || len > CATALOG_XATTR_MAX)
		return false;
	cursor_init(&cur, data, len);
	while (cursor_left(&cur) > 0) {
		size_t name_len = cursor_u16(&cur);
		size_t value_len = cursor_u32(&cur);
		const char *name = cursor_bytes(&cur, name_len);

		cursor_bytes(&cur, value_len);
		if (cursor_error(&cur))
			return false;
		if (name_len == 0 || name_len > XATTR_NAME_MAX ||
		    memchr(name, '\0', name_len))
			return false;
		if (prev &&
		    catalog_name_cmp(prev, prev_len, name, name_len) >= 0)
			return false;
		prev = name;
		prev_len = name_len;
	}
	return true;
}
