/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of a tree of one, written to its place, and what is remembered of
 * it there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "export_node.h"
#include "lone_file.h"
#include "lone_file_note.h"

/* ---- what is remembered */

int64_t lone_file_settle(const struct stat *st)
{
	const struct timespec wait = { 0, MANIFEST_RACY_NS };
	int64_t now = clock_wall_ns();

	if (clock_timespec_ns(&st->st_ctim) <= now - MANIFEST_RACY_NS)
		return now;
	nanosleep(&wait, NULL);
	return clock_wall_ns();
}

void lone_file_note(struct store *s, int fd, const struct digest *catalog,
		    int64_t as_of_ns, const char *label)
{
	struct manifest_list l = { 0 };
	struct manifest_root root;
	struct stat st;
	int r = fstat(fd, &st) < 0 ? -errno : manifest_root_of(fd, &root);

	if (r == 0)
		r = manifest_add_stat(&l, &st, CATALOG_ROOT + 1);
	if (r == 0)
		r = manifest_publish(s, &root, catalog, as_of_ns, &l);
	if (r < 0)
		log_warn(r, "%s: cannot note what it is", label);
	manifest_list_release(&l);
}

/* ---- writing */

static int write_aside(struct store_tree *t, int dirfd, const char *aside,
		       const struct ingest_owner *self)
{
	struct export_target target;
	struct export_thread *thread;
	struct catalog_inode inode;
	uint32_t ino;
	int r = lone_file_find(store_tree_catalog(t), NULL, &ino);

	if (r == 0)
		r = catalog_inode(store_tree_catalog(t), ino, &inode);
	if (r == 0)
		r = export_target_init(&target, t, dirfd, self);
	if (r < 0)
		return r;
	thread = export_thread_new();
	if (!thread)
		return -ENOMEM;
	r = export_node(&target, thread, dirfd, aside, &inode);
	export_thread_free(thread);
	return r;
}

/* Renaming it is a change too, so it is noted last. */
static void note(struct store_tree *t, int dirfd, const char *name)
{
	_cleanup_close_ int fd = openat(
		dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0)
		lone_file_note(store_tree_store(t), fd, store_tree_digest(t),
			       lone_file_settle(&st), name);
}

int lone_file_write(struct store_tree *t, int dirfd, const char *name,
		    const struct ingest_owner *self)
{
	char aside[IO_NAME_ASIDE_LEN + 1];
	int r = io_name_aside(aside);

	if (r == 0)
		r = write_aside(t, dirfd, aside, self);
	if (r == 0 && renameat(dirfd, aside, dirfd, name) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(dirfd, aside, 0);
		return log_error(r, "cannot write %s", name);
	}
	note(t, dirfd, name);
	return 0;
}
