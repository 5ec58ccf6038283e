/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TREE items of a log: of its checkpoint, and of all its segments, those
 * before the checkpoint too. Reads only; any thread.
 */
#include "upper_trees.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"

#include "log_reader.h"
#include "upper_items.h"

struct trees {
	int (*each)(void *arg, const struct digest *catalog);
	void *arg;
};

static int record_trees(const struct trees *t, const struct log_record *rec)
{
	struct cursor c;
	struct item item;
	int r;

	cursor_init(&c, rec->items, rec->items_len);
	while ((r = item_take(&c, &item)) > 0) {
		if (item.type != ITEM_TREE)
			continue;
		r = t->each(t->arg, &item.tree.digest);
		if (r < 0)
			return r;
	}
	return r;
}

/* 0 also where it ends in a bad record. */
static int reader_trees(const struct trees *t, struct log_reader *rd)
{
	uint64_t off = LOG_SEGMENT_HEADER;
	struct log_header header;
	struct log_record rec;
	const uint8_t *h;
	int r = log_reader_get(rd, 0, LOG_SEGMENT_HEADER, &h);

	if (r == 0)
		r = log_segment_header_check(h, &header);
	if (r < 0)
		return r == -ENODATA || r == -EBADMSG ? 0 : r;
	rd->seed = header.seed;
	for (;;) {
		r = log_reader_record(rd, off, &rec);
		if (r == 0 && rec.items_len > 0)
			r = record_trees(t, &rec);
		if (r < 0)
			return r == -ENODATA || r == -EBADMSG ? 0 : r;
		off += rec.bytes;
	}
}

static int file_trees(const struct trees *t, int dirfd, const char *name)
{
	_cleanup_(log_reader_release) struct log_reader rd = { 0 };
	_cleanup_close_ int fd = openat(
		dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	int r;

	/* A log in use drops segments. */
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = log_reader_init(&rd, fd);
	return r < 0 ? r : reader_trees(t, &rd);
}

static bool is_log_file(const char *name)
{
	return strncmp(name, "log-", 4) == 0 ||
	       strcmp(name, LOG_CHECKPOINT_NAME) == 0;
}

int upper_trees(int fd, int (*each)(void *arg, const struct digest *catalog),
		void *arg)
{
	const struct trees t = { each, arg };
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *de;
	int r = io_opendir_at(fd, ".", &dir);

	while (r == 0 && (errno = 0, de = readdir(dir)))
		if (is_log_file(de->d_name))
			r = file_trees(&t, fd, de->d_name);
	return r < 0 ? r : -errno;
}
