/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The merged view: opening and closing, inodes as their readers see them,
 * kernel references, and the upper as a whole (statistics, sync, reset). The
 * operations are in view_dir.c (names), view_file.c (content), view_attr.c
 * and view_xattr.c, view_readdir.c; view_diff.c and view_commit.c compare and
 * store the tree.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "store/base/clock.h"
#include "store/base/log.h"
#include "store/lazy.h"

#include "view_internal.h"

#define RECLAIM_BYTES (UINT64_C(32) << 20) /* dead, before it is given back */
#define JUST_NS INT64_C(1000000000) /* a reclaim may be what gave the room */
#define CLOSE_RECORDS 1000u /* replayed faster than a checkpoint is written */

/* --- locking --- */

void view_read_unlock(struct view **v)
{
	pthread_rwlock_unlock(&(*v)->lock);
}

void view_write_unlock(struct view **v)
{
	struct upper *u = &(*v)->upper;
	bool reclaim;

	upper_checkpoint_if_due(u);
	reclaim = u->dead_bytes > (u->full ? 0 : RECLAIM_BYTES) && u->pins == 0;
	pthread_rwlock_unlock(&(*v)->lock);
	if (reclaim)
		(void)view_reclaim(*v);
}

/* reclaim_lock is held. */
static bool reclaim(struct view *v)
{
	struct upper_reclaim job;
	int r;

	pthread_rwlock_wrlock(&v->lock);
	r = upper_reclaim_begin(&v->upper, &job);
	pthread_rwlock_unlock(&v->lock);
	if (r == 0)
		return false;
	r = log_sync(v->upper.log);
	pthread_rwlock_wrlock(&v->lock);
	upper_reclaim_end(&v->upper, &job, r == 0);
	/* What died may make one due, and no change may follow. */
	upper_checkpoint_if_due(&v->upper);
	pthread_rwlock_unlock(&v->lock);
	if (r == 0)
		v->reclaimed_ns = clock_mono_ns();
	return r == 0;
}

bool view_reclaim(struct view *v)
{
	fetch_may_block();
	LOCK_SCOPE(&v->reclaim_lock);
	return reclaim(v);
}

/* Whoever comes while another one gives room waits for it, and may come just
 * after. */
bool view_make_room(struct view *v, ssize_t r)
{
	if ((r != -ENOSPC && r != -EDQUOT) || !v->upper.log)
		return false;
	fetch_may_block();
	LOCK_SCOPE(&v->reclaim_lock);
	return reclaim(v) ||
	       (v->reclaimed_ns && clock_mono_ns() - v->reclaimed_ns < JUST_NS);
}

int view_writable(const struct view *v)
{
	if (v->read_only)
		return -EROFS;
	return v->upper.broken ? -EIO : 0;
}

/* --- requests --- */

void view_request_begin(uint64_t unique, bool resent)
{
	upper_request_begin(unique, resent);
}

void view_request_end(struct view *v)
{
	if (!upper_request_recorded())
		return;
	pthread_rwlock_wrlock(&v->lock);
	upper_request_end(&v->upper);
	pthread_rwlock_unlock(&v->lock);
}

bool view_request_done(struct view *v, uint64_t *ret_ino)
{
	return upper_request_done(&v->upper, ret_ino);
}

/* --- opening --- */

struct timespec view_now(void)
{
	struct timespec now;

	/* What local file systems use: times of files made here compare with
	 * those of sources made there. */
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return now;
}

/* An empty base has no root; it gets one that is no change. */
static int root_make(struct view *v)
{
	struct upper *u = &v->upper;
	struct timespec now = view_now();
	struct item item = { .type = ITEM_INODE };
	struct log_pos none = { 0 };
	int r = -EROFS;

	if (u->base || inodes_get(&u->inodes, VIEW_ROOT))
		return 0;
	item.inode = (struct meta){ .ino = VIEW_ROOT,
				    .parent = VIEW_ROOT,
				    .mode = S_IFDIR | 0755,
				    .uid = v->uid,
				    .gid = v->gid,
				    .nlink = 2 };
	view_touch(&item.inode, &now);
	item.inode.atime_sec = now.tv_sec;
	item.inode.atime_nsec = (uint32_t)now.tv_nsec;
	item_put(&u->items, &item);
	if (buf_error(&u->items))
		return -ENOMEM;
	if (!v->read_only && u->log)
		r = upper_append(u, NULL, 0);
	if (r == 0)
		return 0;
	/* Without the log it is made again at the next start. */
	buf_reset(&u->items);
	item_put(&u->items, &item);
	r = upper_apply(u, u->items.data, u->items.len, none, 0);
	buf_reset(&u->items);
	return r;
}

static void view_free(struct view *v)
{
	upper_close(&v->upper);
	pthread_rwlock_destroy(&v->lock);
	pthread_mutex_destroy(&v->commit_lock);
	pthread_mutex_destroy(&v->reclaim_lock);
	cleanup_close(&v->dirfd);
	used_close(v->used);
	free(v->key);
	free(v->lookups);
	free(v);
}

static int view_init(struct view *v, struct store_tree *tree,
		     const struct view_options *opt)
{
	const struct upper_options uo = { .tree = tree,
					  .store = opt->store,
					  .dirfd = opt->dirfd,
					  .adopt = opt->adopt };
	int r;

	if (opt->dirfd < 0 && !opt->read_only)
		return -EINVAL;
	r = upper_open(&v->upper, &uo, &v->damaged);
	if (r < 0)
		return r;
	if (v->damaged)
		v->read_only = true;
	v->adopted = opt->adopt;
	v->lazy = tree && store_tree_source(tree);
	v->key = opt->key ? strdup(opt->key) : NULL;
	if (opt->key && !v->key)
		return -ENOMEM;
	v->lookups =
		calloc((size_t)v->upper.base_inodes + 1, sizeof(*v->lookups));
	if (!v->lookups)
		return -ENOMEM;
	if (opt->dirfd >= 0) {
		v->dirfd = fcntl(opt->dirfd, F_DUPFD_CLOEXEC, 3);
		if (v->dirfd < 0)
			return -errno;
	}
	return root_make(v);
}

int view_open(struct store_tree *tree, struct fetch *fetch,
	      const struct view_options *opt, struct view **ret_view,
	      bool *ret_damaged)
{
	struct view *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return -ENOMEM;
	pthread_rwlock_init(&v->lock, NULL);
	pthread_mutex_init(&v->commit_lock, NULL);
	pthread_mutex_init(&v->reclaim_lock, NULL);
	v->fetch = fetch;
	v->uid = opt->uid;
	v->gid = opt->gid;
	v->read_only = opt->read_only;
	v->dirfd = -1;
	r = view_init(v, tree, opt);
	if (r < 0) {
		view_free(v);
		return r;
	}
	v->used = opt->used;
	*ret_damaged = v->damaged;
	*ret_view = v;
	return 0;
}

void view_close(struct view *v)
{
	struct upper *u = &v->upper;

	if (u->log && !v->read_only && !u->broken) {
		if (log_records_since_checkpoint(u->log) > CLOSE_RECORDS)
			(void)upper_checkpoint(u);
		view_reclaim(v);
	}
	view_free(v);
}

bool view_is_lazy(const struct view *v)
{
	return v->lazy;
}

/* --- inodes --- */

static uint32_t owner(uint32_t id, uint32_t self)
{
	return id == CATALOG_OWNER_SELF ? self : id;
}

static int base_load(const struct view *v, uint64_t ino, struct meta *ret_meta)
{
	struct catalog_inode ci;

	if (!v->upper.base || ino == 0 || ino > v->upper.base_inodes)
		return -ESTALE;
	if (catalog_inode(v->upper.base, (uint32_t)ino, &ci) < 0)
		return -EIO;
	*ret_meta = (struct meta){
		.ino = ino,
		.parent = ci.parent,
		.size = ci.size,
		.atime_sec = ci.mtime_sec,
		.mtime_sec = ci.mtime_sec,
		.ctime_sec = ci.mtime_sec,
		.atime_nsec = ci.mtime_nsec,
		.mtime_nsec = ci.mtime_nsec,
		.ctime_nsec = ci.mtime_nsec,
		.mode = ci.mode,
		.uid = owner(ci.uid, v->uid),
		.gid = owner(ci.gid, v->gid),
		.nlink = ci.nlink,
		.rdev = ci.rdev,
	};
	return 0;
}

int view_load(const struct view *v, uint64_t ino, struct meta *ret_meta)
{
	const struct inode *i = inodes_get(&v->upper.inodes, ino);

	if (!i)
		return base_load(v, ino, ret_meta);
	*ret_meta = i->m;
	return 0;
}

/* Bytes of a catalog's file that are not holes. */
static uint64_t base_bytes(const struct catalog *c, uint32_t ino, uint64_t from,
			   uint64_t end)
{
	struct catalog_piece p;
	uint64_t bytes = 0, stop;

	while (from < end && catalog_piece_at(c, ino, from, &p) == 0) {
		stop = p.off + p.len < end ? p.off + p.len : end;
		if (p.chunk != CATALOG_HOLE)
			bytes += stop - from;
		from = stop;
	}
	return bytes;
}

static uint64_t file_bytes(const struct view *v, const struct meta *m)
{
	struct view_extents tmp;
	const struct extents *e = view_extents(v, m->ino, &tmp);
	uint64_t bytes = 0;
	uint32_t k;

	for (k = 0; k < e->count; k++) {
		const struct extent *x = &e->list[k];
		struct store_tree *tree;

		if (extent_kind(x) != EXTENT_BASE) {
			bytes += x->len;
			continue;
		}
		tree = v->upper.trees[extent_tree(x)].tree;
		if (tree)
			bytes += base_bytes(store_tree_catalog(tree),
					    (uint32_t)x->src_off, x->off,
					    extent_end(x));
	}
	return bytes;
}

void view_fill_attr(const struct view *v, const struct meta *m,
		    struct view_attr *ret_attr)
{
	struct view_attr a = {
		.ino = m->ino,
		.mode = m->mode,
		.nlink = m->nlink,
		.uid = m->uid,
		.gid = m->gid,
		.rdev = m->rdev,
		.size = m->size,
		.atime = { m->atime_sec, m->atime_nsec },
		.mtime = { m->mtime_sec, m->mtime_nsec },
		.ctime = { m->ctime_sec, m->ctime_nsec },
	};

	if (S_ISREG(m->mode))
		a.blocks = (file_bytes(v, m) + 511) / 512;
	if (S_ISDIR(m->mode)) {
		a.size = 4096;
		a.blocks = 8;
	}
	*ret_attr = a;
}

void view_touch_ctime(struct meta *m, const struct timespec *now)
{
	m->ctime_sec = now->tv_sec;
	m->ctime_nsec = (uint32_t)now->tv_nsec;
}

void view_touch(struct meta *m, const struct timespec *now)
{
	m->mtime_sec = now->tv_sec;
	m->mtime_nsec = (uint32_t)now->tv_nsec;
	view_touch_ctime(m, now);
}

void view_kill_priv(struct meta *m, enum view_kill kill)
{
	if (S_ISDIR(m->mode) || kill == VIEW_KILL_NONE)
		return;
	m->mode &= ~(uint32_t)S_ISUID;
	if (kill == VIEW_KILL_SGID || (m->mode & S_IXGRP))
		m->mode &= ~(uint32_t)S_ISGID;
}

void view_put_inode(struct view *v, struct meta *m)
{
	struct item item = { .type = ITEM_INODE };

	m->epoch = v->upper.epoch;
	item.inode = *m;
	item_put(&v->upper.items, &item);
}

int view_getattr(struct view *v, uint64_t ino, struct view_attr *ret_attr)
{
	struct meta m;
	int r;

	READ_SCOPE(v);
	r = view_load(v, ino, &m);
	if (r == 0)
		view_fill_attr(v, &m, ret_attr);
	return r;
}

int view_get_mode(struct view *v, uint64_t ino, uint32_t *ret_mode,
		  uint32_t *ret_gid)
{
	struct meta m;
	int r;

	READ_SCOPE(v);
	r = view_load(v, ino, &m);
	if (r < 0)
		return r;
	*ret_mode = m.mode;
	*ret_gid = m.gid;
	return 0;
}

int view_target(const struct view *v, uint64_t ino, const char **ret_target,
		size_t *ret_len)
{
	const struct inode *i = inodes_get(&v->upper.inodes, ino);
	int r;

	if (i && !S_ISLNK(i->m.mode))
		return -EINVAL;
	if (i && i->target) {
		*ret_target = (const char *)i->target->data;
		*ret_len = i->target->len;
		return 0;
	}
	if (!v->upper.base || ino > v->upper.base_inodes)
		return -ESTALE;
	r = catalog_readlink(v->upper.base, (uint32_t)ino, ret_target, ret_len);
	return r == -EBADMSG ? -EIO : r;
}

ssize_t view_readlink(struct view *v, uint64_t ino, char *buf, size_t size)
{
	const char *target;
	size_t len;
	int r;

	READ_SCOPE(v);
	r = view_target(v, ino, &target, &len);
	if (r < 0)
		return r;
	memcpy(buf, target, len < size ? len : size);
	return (ssize_t)len;
}

/* --- kernel references --- */

_Atomic uint64_t *view_refs(const struct view *v, uint64_t ino)
{
	struct inode *i;

	if (v->upper.base && ino <= v->upper.base_inodes)
		return &v->lookups[ino];
	i = inodes_get(&v->upper.inodes, ino);
	return i ? &i->lookups : NULL;
}

void view_ref(const struct view *v, uint64_t ino)
{
	_Atomic uint64_t *refs = view_refs(v, ino);

	if (refs)
		atomic_fetch_add(refs, 1);
}

void view_drop_if_unused(struct view *v, uint64_t ino)
{
	struct inode *i = inodes_get(&v->upper.inodes, ino);
	_Atomic uint64_t *refs;

	if (!i || i->m.nlink > 0)
		return;
	refs = view_refs(v, ino);
	if (atomic_load(refs) == 0)
		upper_drop(&v->upper, i);
}

/* Who takes a name off through the kernel makes it hold the inode, be it by a
 * reference that an earlier worker counted: the file may be open. */
void view_drop_unlinked(struct view *v, uint64_t ino)
{
	if (!v->adopted)
		view_drop_if_unused(v, ino);
}

/* Whether the last reference of an inode without a name went. References
 * that an earlier worker counted are not known here, so more may come back than
 * were given. */
static bool unref(struct view *v, uint64_t ino, uint64_t count)
{
	const struct inode *i;
	_Atomic uint64_t *refs;
	uint64_t have;

	READ_SCOPE(v);
	refs = view_refs(v, ino);
	if (!refs)
		return false;
	have = atomic_load(refs);
	while (!atomic_compare_exchange_weak(refs, &have,
					     have > count ? have - count : 0))
		;
	if (have > count)
		return false;
	i = inodes_get(&v->upper.inodes, ino);
	return i && i->m.nlink == 0;
}

void view_forget(struct view *v, uint64_t ino, uint64_t count)
{
	if (!unref(v, ino, count))
		return;
	WRITE_SCOPE(v);
	view_drop_if_unused(v, ino);
}

/* --- the whole --- */

int view_statfs(struct view *v, struct statvfs *ret_st)
{
	struct statvfs st;
	int fd = v->dirfd;
	int r;

	if (fd < 0 && v->upper.store)
		fd = store_packs_dirfd(v->upper.store);
	r = fd >= 0 ? fstatvfs(fd, &st) : statvfs("/", &st);
	if (r < 0)
		return -errno;
	st.f_namemax = 255;
	*ret_st = st;
	return 0;
}

/* The log is one: what makes one inode durable makes all that precedes. */
int view_fsync(struct view *v, uint64_t ino)
{
	(void)ino;
	if (!v->upper.log || v->read_only)
		return 0;
	{
		READ_SCOPE(v);
		if (v->upper.broken)
			return -EIO;
	}
	fetch_may_block();
	return log_sync(v->upper.log);
}

void view_stats(struct view *v, struct view_stats *ret_stats)
{
	struct upper *u = &v->upper;

	READ_SCOPE(v);
	*ret_stats = (struct view_stats){
		.upper_bytes = u->own_bytes,
		.upper_inodes = u->inodes.count,
		.upper_names = u->names.count,
		.dirty = upper_dirty(u),
		.damaged = v->damaged,
		.read_only = v->read_only,
	};
	if (u->log)
		ret_stats->upper_bytes += log_disk_bytes(u->log);
}

const struct upper_loss *view_loss(const struct view *v)
{
	return v->upper.loss;
}

bool view_catalog(struct view *v, struct digest *ret_catalog)
{
	struct upper *u = &v->upper;
	uint32_t tree;

	READ_SCOPE(v);
	tree = u->committed ? u->committed_tree : 0;
	if (upper_dirty(u) || (tree == 0 && !u->base))
		return false;
	*ret_catalog = u->trees[tree].digest;
	return true;
}

bool view_committed(struct view *v, struct digest *ret_catalog)
{
	const struct upper *u = &v->upper;

	READ_SCOPE(v);
	if (!u->committed)
		return false;
	*ret_catalog = u->trees[u->committed_tree].digest;
	return true;
}

/* --- reset --- */

/* What the kernel must forget: for each name, parent and text; for each
 * inode a name of length 0. */
static int collect(const struct upper *u, struct buf *out)
{
	const struct inode *i;
	const struct name *n;
	size_t pos = 0;

	while ((n = names_next(&u->names, &pos))) {
		buf_put_u64(out, n->parent);
		buf_put_u8(out, n->len);
		buf_put(out, n->text, n->len);
	}
	for (pos = 0; (i = inodes_next(&u->inodes, &pos));) {
		buf_put_u64(out, i->m.ino);
		buf_put_u8(out, 0);
	}
	return buf_error(out);
}

static int reset(struct view *v, struct buf *changed)
{
	int r;

	WRITE_SCOPE(v);
	r = view_writable(v);
	if (r == 0)
		r = collect(&v->upper, changed);
	if (r == 0)
		r = upper_clear(&v->upper);
	return r < 0 ? r : root_make(v);
}

int view_reset(struct view *v, view_invalidate_fn invalidate, void *arg)
{
	_cleanup_buf_ struct buf changed = BUF_INIT;
	struct cursor c;
	int r;

	pthread_mutex_lock(&v->commit_lock);
	r = reset(v, &changed);
	pthread_mutex_unlock(&v->commit_lock);
	if (r < 0)
		return r;
	cursor_init(&c, changed.data, changed.len);
	while (invalidate && cursor_left(&c) > 0) {
		uint64_t ino = cursor_u64(&c);
		uint8_t len = cursor_u8(&c);
		const char *name = len ? cursor_bytes(&c, len) : NULL;

		invalidate(arg, ino, name, len);
	}
	return 0;
}
