/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which own files are to be synced, and syncing them; any thread. A file is
 * known by the number of its last write, and is clean only when it was synced
 * and that number is still the same, so a write that runs beside a sync, and
 * two syncs at once, are both right.
 */
#include <errno.h>
#include <stdlib.h>

#include "store/base/cleanup.h"
#include "store/base/log.h"

#include "log_format.h"

int log_own_mark(struct log *l, uint64_t ino)
{
	int r;

	if (map_get(&l->own_dirty, ino) == LOG_OWN_LOST)
		return 0;
	r = map_put(&l->own_dirty, ino, (void *)++l->own_writes);
	if (r < 0)
		l->own_unknown = true;
	return r;
}

static int own_dir_sync(struct log *l)
{
	uint64_t changes;
	bool dirty;

	pthread_mutex_lock(&l->own_lock);
	changes = l->own_dir_changes;
	dirty = changes > l->own_dir_synced;
	pthread_mutex_unlock(&l->own_lock);
	if (!dirty)
		return 0;
	if (fsync(l->datafd) < 0)
		return -errno;
	LOCK_SCOPE(&l->own_lock);
	if (changes > l->own_dir_synced)
		l->own_dir_synced = changes;
	return 0;
}

/* What is known about the file after a sync of what `mark` said. The kernel
 * reports a failure once and calls the pages clean, so it is kept. */
static void own_synced(struct log *l, uint64_t ino, void *mark, int r)
{
	LOCK_SCOPE(&l->own_lock);
	if (r < 0) {
		if (map_put(&l->own_dirty, ino, LOG_OWN_LOST) < 0)
			l->own_unknown = true;
	} else if (mark && map_get(&l->own_dirty, ino) == mark) {
		map_remove(&l->own_dirty, ino);
	}
}

static int own_sync_one(struct log *l, uint64_t ino)
{
	struct log_own *o;
	void *mark;
	bool dirty;
	int r;

	LOCK_SCOPE(&l->sync_lock);
	pthread_mutex_lock(&l->own_lock);
	mark = map_get(&l->own_dirty, ino);
	dirty = mark || l->own_unknown;
	pthread_mutex_unlock(&l->own_lock);
	if (mark == LOG_OWN_LOST)
		return -EIO;
	if (!dirty)
		return 0;
	r = log_own_get(l, ino, false, &o);
	if (r == -ENOENT)
		return 0; /* removed meanwhile, or it has none */
	if (r < 0)
		return r;
	r = fdatasync(o->fd) < 0 ? -errno : 0;
	own_synced(l, ino, mark, r);
	log_own_put(l, o, false);
	return r;
}

static int sync_found(void *arg, uint64_t ino)
{
	return own_sync_one(arg, ino);
}

static int own_sync_all(struct log *l)
{
	_cleanup_free_ uint64_t *all = NULL;
	size_t n = 0, pos = 0;
	bool unknown;
	uint64_t ino;
	int r = 0;

	pthread_mutex_lock(&l->own_lock);
	unknown = l->own_unknown;
	all = malloc((l->own_dirty.count + 1) * sizeof(*all));
	while (all && map_next(&l->own_dirty, &pos, &ino))
		all[n++] = ino;
	pthread_mutex_unlock(&l->own_lock);
	if (!all)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = own_sync_one(l, all[i]);
	if (r == 0 && unknown)
		r = log_own_each(l, sync_found, l);
	return r;
}

int log_own_sync(struct log *l, uint64_t ino)
{
	int r;

	r = ino ? own_sync_one(l, ino) : own_sync_all(l);
	if (r == 0)
		r = own_dir_sync(l);
	return r < 0 ? log_error(r, "upper log: sync of a large file") : 0;
}
