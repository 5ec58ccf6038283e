/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Items of a log: of its checkpoint, and of all its segments, those before the
 * checkpoint too. Reads only; any thread.
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

struct scan {
	int (*item)(void *arg, const struct item *item);
	void *arg;
	bool bad; /* some file ends in a bad record */
};

static int scan_record(const struct scan *s, const struct log_record *rec)
{
	struct cursor c;
	struct item item;
	int r;

	cursor_init(&c, rec->items, rec->items_len);
	while ((r = item_take(&c, &item)) > 0) {
		r = s->item(s->arg, &item);
		if (r < 0)
			return r;
	}
	return r;
}

static int scan_reader(const struct scan *s, struct log_reader *rd)
{
	uint64_t off = LOG_SEGMENT_HEADER;
	struct log_header header;
	struct log_record rec;
	const uint8_t *h;
	int r = log_reader_get(rd, 0, LOG_SEGMENT_HEADER, &h);

	if (r == 0)
		r = log_segment_header_check(h, &header);
	if (r < 0)
		return r;
	rd->seed = header.seed;
	for (;;) {
		r = log_reader_record(rd, off, &rec);
		if (r == 0 && rec.items_len > 0)
			r = scan_record(s, &rec);
		if (r < 0)
			return r;
		off += rec.bytes;
	}
}

static int scan_file(struct scan *s, int dirfd, const char *name)
{
	_cleanup_(log_reader_release) struct log_reader rd = { 0 };
	_cleanup_close_ int fd = openat(
		dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	int r;

	/* A log in use drops segments. */
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = log_reader_init(&rd, fd);
	if (r == 0)
		r = scan_reader(s, &rd);
	s->bad |= r == -EBADMSG;
	return r == -ENODATA || r == -EBADMSG ? 0 : r;
}

static bool is_log_file(const char *name)
{
	return strncmp(name, "log-", 4) == 0 ||
	       strcmp(name, LOG_CHECKPOINT_NAME) == 0;
}

static int scan_all(struct scan *s, int dirfd)
{
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *de;
	int r = io_opendir_at(dirfd, ".", &dir);

	while (r == 0 && (errno = 0, de = readdir(dir)))
		if (is_log_file(de->d_name))
			r = scan_file(s, dirfd, de->d_name);
	return r < 0 ? r : -errno;
}

/* --- trees --- */

struct trees {
	int (*each)(void *arg, const struct digest *catalog);
	void *arg;
};

static int trees_item(void *arg, const struct item *item)
{
	const struct trees *t = arg;

	return item->type == ITEM_TREE ? t->each(t->arg, &item->tree.digest) :
					 0;
}

int upper_trees(int dirfd, int (*each)(void *arg, const struct digest *catalog),
		void *arg)
{
	struct trees t = { each, arg };
	struct scan s = { .item = trees_item, .arg = &t };

	return scan_all(&s, dirfd);
}

/* --- changes --- */

/* Epochs only grow, so in which order the files are read does not matter. */
struct epochs {
	uint32_t changed, committed;
};

static int epochs_item(void *arg, const struct item *item)
{
	struct epochs *e = arg;
	uint32_t changed = 0;

	if (item->type == ITEM_INODE)
		changed = item->inode.epoch;
	else if (item->type == ITEM_NAME)
		changed = item->name.epoch;
	else if (item->type == ITEM_STATE)
		changed = item->state.changed;
	if (changed > e->changed)
		e->changed = changed;
	if (item->type == ITEM_COMMITTED &&
	    item->committed.epoch > e->committed)
		e->committed = item->committed.epoch;
	return 0;
}

bool upper_is_clean(int dirfd)
{
	struct epochs e = { 0 };
	struct scan s = { .item = epochs_item, .arg = &e };

	return scan_all(&s, dirfd) == 0 && !s.bad && e.changed <= e.committed;
}
