/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls every accessor of a catalog for everything that is in it and reads
 * every byte that they lend, so that a sanitizer sees a stray one. For the
 * unit tests and for the fuzz target. No state; any thread.
 */
#ifndef LARDER_TESTS_CATALOG_WALK_H
#define LARDER_TESTS_CATALOG_WALK_H

#include <errno.h>
#include <stdint.h>
#include <sys/stat.h>

#include "store/catalog.h"

struct catalog_walk {
	const struct catalog *c;
	int err; /* the first error of an accessor that owed a value */
	volatile uint8_t sink; /* keeps the reads */
};

static inline void walk_note(struct catalog_walk *w, int err)
{
	if (err && !w->err)
		w->err = err;
}

static inline void walk_bytes(struct catalog_walk *w, const void *data,
			      size_t len)
{
	const uint8_t *p = data;
	size_t i;

	for (i = 0; i < len; i++)
		w->sink ^= p[i];
}

static inline void walk_dir(struct catalog_walk *w,
			    const struct catalog_inode *dir)
{
	struct catalog_info info;
	struct catalog_dirent d;
	uint32_t i, ino, index;
	int err;

	/* Damage can make `children` any number. */
	catalog_info(w->c, &info);
	for (i = 0; i < dir->children && i <= info.dirents; i++) {
		err = catalog_dirent(w->c, dir->ino, i, &d);
		walk_note(w, err);
		if (err == -ENOENT)
			return;
		if (err)
			continue;
		walk_bytes(w, d.name, d.name_len);
		err = catalog_lookup(w->c, dir->ino, d.name, d.name_len, &ino,
				     &index);
		if (!err && (ino != d.ino || index != i))
			err = -EBADMSG;
		walk_note(w, err);
	}
	if (catalog_dirent(w->c, dir->ino, dir->children, &d) != -ENOENT)
		walk_note(w, -EBADMSG);
	err = catalog_lookup(w->c, dir->ino, "no/name", 7, &ino, NULL);
	if (err != -ENOENT)
		walk_note(w, err ? err : -EBADMSG);
}

static inline void walk_piece(struct catalog_walk *w, uint32_t ino,
			      const struct catalog_piece *p)
{
	const struct digest *digest;
	struct catalog_piece at;
	uint32_t size;
	int err = 0;

	if (p->chunk != CATALOG_HOLE)
		err = catalog_chunk(w->c, p->chunk, &digest, &size);
	walk_note(w, err);
	if (!err && p->chunk != CATALOG_HOLE)
		walk_bytes(w, digest, sizeof(*digest));

	err = catalog_piece_at(w->c, ino, p->off, &at);
	if (!err && at.off != p->off)
		err = -EBADMSG;
	walk_note(w, err);
	err = catalog_piece_at(w->c, ino, p->off + p->len - 1, &at);
	if (!err && (at.off != p->off || at.len != p->len))
		err = -EBADMSG;
	walk_note(w, err);
}

static inline void walk_file(struct catalog_walk *w,
			     const struct catalog_inode *file)
{
	struct catalog_piece p;
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < file->pieces; i++) {
		int err = catalog_piece(w->c, file->ino, i, &p);

		walk_note(w, err);
		if (err)
			break;
		walk_piece(w, file->ino, &p);
		sum += p.len;
	}
	if (sum != file->size)
		walk_note(w, -EBADMSG);
	if (catalog_piece_at(w->c, file->ino, file->size, &p) != -ENOENT)
		walk_note(w, -EBADMSG);
}

static inline void walk_inode(struct catalog_walk *w, uint32_t ino)
{
	struct catalog_inode inode;
	const char *target;
	const void *xattrs;
	size_t len;
	int err;

	err = catalog_inode(w->c, ino, &inode);
	walk_note(w, err);
	if (err)
		return;
	err = catalog_xattrs(w->c, ino, &xattrs, &len);
	walk_note(w, err);
	if (!err)
		walk_bytes(w, xattrs, len);
	if (S_ISDIR(inode.mode))
		walk_dir(w, &inode);
	if (S_ISREG(inode.mode))
		walk_file(w, &inode);
	if (S_ISLNK(inode.mode)) {
		err = catalog_readlink(w->c, ino, &target, &len);
		walk_note(w, err);
		if (!err)
			walk_bytes(w, target, len);
	}
}

/* 0 when everything was there and agreed, else the first error. */
static inline int catalog_walk(const struct catalog *c)
{
	struct catalog_walk w = { .c = c };
	struct catalog_info info;
	uint32_t i, ino;

	catalog_info(c, &info);
	for (i = 1; i <= info.inodes; i++)
		walk_inode(&w, i);
	catalog_resolve(c, "a/b/c/d/e/f//./g/", &ino);
	return w.err;
}

#endif
