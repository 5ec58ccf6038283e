/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a store: what they take on disk, and which objects they are. A
 * file that comes or goes during the walk may be seen or not. Any thread for
 * gc_usage(), the collection's for the rest.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "gc_internal.h"
#include "object_files.h"

#define DISK_BLOCK 512u /* the unit of st_blocks */
#define FILE_BLOCK 4096u

/* Less than its length where it has holes; what is set aside for a file that
 * is being written, as RocksDB does for its logs, does not count. */
static uint64_t disk_bytes(const struct stat *st)
{
	uint64_t blocks = (uint64_t)st->st_blocks * DISK_BLOCK;
	uint64_t len = ((uint64_t)st->st_size + FILE_BLOCK - 1) &
		       ~(uint64_t)(FILE_BLOCK - 1);

	return blocks < len ? blocks : len;
}

static int add_bytes(void *arg, const struct digest *name,
		     const struct stat *st)
{
	uint64_t *sum = arg;

	(void)name;
	*sum += disk_bytes(st);
	return 0;
}

/* What is no object: the index, manifests, what was set aside, what is being
 * written. */
static int other_bytes(struct store *s, uint64_t *ret_bytes)
{
	static const char *const dirs[] = { ".",	  "db",	   "plain",
					    "quarantine", "packs", "catalogs",
					    "placements" };
	uint64_t sum = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(dirs) / sizeof(*dirs); i++)
		r = object_files_beside(s->fd, dirs[i], add_bytes, &sum);
	if (r == 0)
		*ret_bytes = sum;
	return r;
}

/* ---- usage */

static int add_object(void *arg, const struct digest *name,
		      const struct stat *st)
{
	struct gc_usage *u = arg;

	(void)name;
	u->bytes += disk_bytes(st);
	u->objects++;
	return 0;
}

static uint64_t limit_of(const struct gc_limits *l, const struct gc_usage *u)
{
	uint64_t limit = l->max_bytes ? l->max_bytes : UINT64_MAX;
	uint64_t room = u->bytes + u->free_bytes;

	if (l->min_free_bytes == 0)
		return limit;
	room = room > l->min_free_bytes ? room - l->min_free_bytes : 0;
	return room < limit ? room : limit;
}

int gc_usage(struct store *s, const struct gc_limits *limits,
	     struct gc_usage *ret_usage)
{
	struct gc_usage u = { 0 };
	struct statvfs vfs;
	int r = other_bytes(s, &u.bytes);

	if (r == 0)
		r = object_files_each(s->packs_fd, add_object, &u);
	if (r == 0)
		r = object_files_each(s->catalogs_fd, add_object, &u);
	if (r == 0)
		r = object_files_each(s->placements_fd, add_object, &u);
	if (r == 0)
		r = object_files_each(s->sparse_fd, add_bytes, &u.bytes);
	if (r == 0)
		r = object_files_each(s->records_fd, add_bytes, &u.bytes);
	if (r == 0 && fstatvfs(s->fd, &vfs) < 0)
		r = -errno;
	if (r < 0)
		return log_error(r, "store %s: cannot be measured", s->dir);
	u.free_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	u.disk_bytes = (uint64_t)vfs.f_blocks * vfs.f_frsize;
	u.limit_bytes = limit_of(limits, &u);
	u.over = u.bytes > u.limit_bytes ||
		 (limits->max_objects && u.objects > limits->max_objects);
	*ret_usage = u;
	return 0;
}

/* ---- the maps */

int gc_find_pack(struct gc *g, const struct digest *name,
		 struct gc_pack **ret_pack)
{
	return dmap_get(&g->packs, name, sizeof(struct gc_pack),
			(struct dmap_node **)ret_pack);
}

int gc_find_blob(struct gc *g, const struct digest *name,
		 struct gc_blob **ret_blob)
{
	return dmap_get(&g->blobs, name, sizeof(struct gc_blob),
			(struct dmap_node **)ret_blob);
}

static void pack_free(struct dmap_node *n)
{
	free(((struct gc_pack *)n)->offs);
	free(n);
}

static void node_free(struct dmap_node *n)
{
	free(n);
}

void gc_files_release(struct gc *g)
{
	dmap_release(&g->packs, pack_free);
	dmap_release(&g->blobs, node_free);
	dmap_release(&g->holds, node_free);
}

/* ---- scanning */

static int note_pack(void *arg, const struct digest *name,
		     const struct stat *st)
{
	struct gc_pack *p;
	int r = gc_find_pack(arg, name, &p);

	if (r < 0)
		return r;
	p->on_disk = true;
	p->disk_bytes = disk_bytes(st);
	p->bytes = (uint64_t)st->st_size;
	p->mtime_ns = clock_timespec_ns(&st->st_mtim);
	return 0;
}

/* The map's disk space is counted with it, in whatever order they come. */
static int note_sparse(void *arg, const struct digest *name,
		       const struct stat *st)
{
	struct gc_pack *p;
	int r = gc_find_pack(arg, name, &p);

	if (r < 0)
		return r;
	p->sparse = true;
	p->sparse_bytes += disk_bytes(st);
	return 0;
}

static int forget_sparse(void *arg, struct dmap_node *n)
{
	(void)arg;
	((struct gc_pack *)n)->sparse_bytes = 0;
	return 0;
}

static int note_record(void *arg, const struct digest *name,
		       const struct stat *st)
{
	struct gc_blob *b;
	int r = gc_find_blob(arg, name, &b);

	if (r < 0)
		return r;
	if (!b->record)
		b->disk_bytes += disk_bytes(st);
	b->record = true;
	return 0;
}

static int note_catalog(void *arg, const struct digest *name,
			const struct stat *st)
{
	struct gc_blob *b;
	int r = gc_find_blob(arg, name, &b);

	if (r < 0)
		return r;
	if (!b->catalog)
		b->disk_bytes += disk_bytes(st);
	b->catalog = true;
	return 0;
}

static int note_placement(void *arg, const struct digest *name,
			  const struct stat *st)
{
	struct gc_blob *b;
	int r = gc_find_blob(arg, name, &b);

	if (r < 0)
		return r;
	if (!b->placement)
		b->disk_bytes += disk_bytes(st);
	b->placement = true;
	return 0;
}

int gc_scan(struct gc *g)
{
	struct store *s = g->store;
	int r = other_bytes(s, &g->other_bytes);

	dmap_each(&g->packs, forget_sparse, g);
	if (r == 0)
		r = object_files_each(s->packs_fd, note_pack, g);
	if (r == 0)
		r = object_files_each(s->sparse_fd, note_sparse, g);
	if (r == 0)
		r = object_files_each(s->records_fd, note_record, g);
	if (r == 0)
		r = object_files_each(s->catalogs_fd, note_catalog, g);
	if (r == 0)
		r = object_files_each(s->placements_fd, note_placement, g);
	return r < 0 ? log_error(r, "store %s: cannot be walked", s->dir) : 0;
}
