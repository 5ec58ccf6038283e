/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saved blocks lie in the file in the order in which they were saved; each
 * frozen file has a map from its block to the place. A file of which a block
 * was lost is of no use to the commit any more, so nothing else of it is
 * saved.
 */
#include "frozen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/log.h"
#include "store/base/map.h"
#include "store/base/publish.h"

#define BLOCK (UINT64_C(64) << 10)

struct frozen_file {
	uint64_t size;
	struct map blocks; /* number + 1 -> place + 1 */
	int err;	   /* a block was lost */
};

struct frozen {
	struct log *log;
	int dirfd;
	int fd;		  /* -1: nothing was saved yet */
	uint64_t places;  /* blocks in it */
	struct map files; /* inode -> struct frozen_file, owned */
	uint8_t *block;	  /* BLOCK bytes, the saver's */
};

int frozen_new(struct log *log, int dirfd, struct frozen **ret_frozen)
{
	struct frozen *fz = calloc(1, sizeof(*fz));

	if (!fz)
		return -ENOMEM;
	fz->log = log;
	fz->dirfd = dirfd;
	fz->fd = -1;
	*ret_frozen = fz;
	return 0;
}

void frozen_free(struct frozen *fz)
{
	struct frozen_file *f;
	size_t pos = 0;
	uint64_t ino;

	if (!fz)
		return;
	while ((f = map_next(&fz->files, &pos, &ino))) {
		map_release(&f->blocks);
		free(f);
	}
	map_release(&fz->files);
	cleanup_close(&fz->fd);
	free(fz->block);
	free(fz);
}

int frozen_add(struct frozen *fz, uint64_t ino, uint64_t size)
{
	struct frozen_file *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->size = size;
	if (map_put(&fz->files, ino, f) == 0)
		return 0;
	free(f);
	return -ENOMEM;
}

/* The file, with the room to copy through. Its name goes at once, and by the
 * sweep of such names should the process die in between. */
static int file_open(struct frozen *fz)
{
	_cleanup_publish_ struct publish p = PUBLISH_INIT;
	int r;

	if (!fz->block)
		fz->block = malloc(BLOCK);
	if (!fz->block)
		return -ENOMEM;
	if (fz->fd >= 0)
		return 0;
	r = publish_open(&p, fz->dirfd, 0600);
	if (r == 0)
		fz->fd = steal_fd(&p.fd);
	return r;
}

static int block_save(struct frozen *fz, struct frozen_file *f, uint64_t ino,
		      uint64_t number)
{
	int r = file_open(fz);

	if (r < 0)
		return r;
	r = log_own_read(fz->log, ino, fz->block, BLOCK, number * BLOCK);
	if (r == -ENOENT)
		return 0; /* all that is visible of it is elsewhere */
	if (r == 0)
		r = io_pwrite(fz->fd, fz->block, BLOCK, fz->places * BLOCK);
	if (r == 0)
		r = map_put(&f->blocks, number + 1,
			    (void *)(uintptr_t)(fz->places + 1));
	if (r == 0)
		fz->places++;
	return r;
}

void frozen_save(struct frozen *fz, uint64_t ino, uint64_t off, uint64_t len)
{
	struct frozen_file *f = map_get(&fz->files, ino);
	uint64_t k, last;

	if (!f || f->err < 0 || off >= f->size || len == 0)
		return;
	last = (len < f->size - off ? off + len - 1 : f->size - 1) / BLOCK;
	for (k = off / BLOCK; f->err == 0 && k <= last; k++)
		if (!map_get(&f->blocks, k + 1))
			f->err = block_save(fz, f, ino, k);
	if (f->err < 0)
		log_error(f->err, "commit: keeping what is being overwritten");
}

int frozen_read(const struct frozen *fz, uint64_t ino, void *buf, size_t len,
		uint64_t off)
{
	const struct frozen_file *f = map_get(&fz->files, ino);
	uint8_t *to = buf;
	size_t n;
	int r = f ? f->err : 0;

	for (; f && r == 0 && len > 0; to += n, off += n, len -= n) {
		uint64_t place =
			(uintptr_t)map_get(&f->blocks, off / BLOCK + 1);
		uint64_t skip = off % BLOCK;

		n = len < BLOCK - skip ? len : BLOCK - skip;
		if (place)
			r = io_pread(fz->fd, to, n, (place - 1) * BLOCK + skip);
	}
	return r;
}
