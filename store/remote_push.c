/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Putting an entry into a tier: packs, tree, entry, pointers to the newest.
 * Packs are streamed from their files, and their digest is compared on the way,
 * so that what is damaged here does not spread.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "record.h"
#include "remote_internal.h"
#include "remote_push.h"
#include "remote_tree.h"

/* For what is small; a pack takes as long as it moves. */
#define PUT_TIMEOUT_NS INT64_C(60000000000)

/* How often all is looked at again, where the machine slept meanwhile. */
#define TRIES 4

/* --- a pack --- */

struct pack_source {
	struct push *push;
	int fd;
	uint64_t size;
	const struct digest *name;
	struct digest_ctx *digest;
	uint64_t hashed;
};

/* A tier that begins again reads from 0 again. */
static int hash_step(struct pack_source *src, const void *data, size_t len,
		     uint64_t off)
{
	struct digest got;
	int r = 0;

	if (off == 0) {
		r = digest_ctx_reset(src->digest);
		src->hashed = 0;
	}
	if (r < 0 || off != src->hashed)
		return r;
	r = digest_ctx_update(src->digest, data, len);
	src->hashed += len;
	if (r < 0 || src->hashed < src->size)
		return r;
	r = digest_ctx_final(src->digest, &got);
	return r < 0 ? r : digest_equal(&got, src->name) ? 0 : -EBADMSG;
}

static ssize_t read_pack(void *arg, void *buf, size_t cap, uint64_t off)
{
	struct pack_source *src = arg;
	struct push *p = src->push;
	size_t n = src->size - off < cap ? src->size - off : cap;
	int r = io_pread(src->fd, buf, n, off);

	if (r == 0)
		r = hash_step(src, buf, n, off);
	if (r == 0)
		r = progress_tick(p->remote->progress, "push", p->done, p->all,
				  p->result->bytes_moved + off + n, 0);
	return r < 0 ? r : (ssize_t)n;
}

static int put_pack(struct push *p, const struct digest *name, int fd,
		    uint64_t size, const char *path)
{
	_cleanup_digest_ctx_ struct digest_ctx *digest = NULL;
	struct tier_call call = remote_call(p->remote, 0);
	struct pack_source src = { p, fd, size, name, NULL, 0 };
	int r = digest_ctx_new(&digest);

	if (r < 0)
		return r;
	src.digest = digest;
	r = chain_put_to(p->remote->chain, p->tier, &call, path, size,
			 read_pack, &src);
	if (r < 0)
		return r;
	p->result->packs_moved++;
	p->result->bytes_moved += size;
	return 0;
}

/* For those who fetch a part of it. */
static int note_end(struct push *p, const struct digest *name, int fd,
		    uint64_t size)
{
	struct remote_pack_end end = { .name = *name, .bytes = size };
	int r;

	if (size < PACK_TAIL_BYTES)
		return -EBADMSG;
	r = io_pread(fd, end.tail, sizeof(end.tail), size - sizeof(end.tail));
	if (r < 0)
		return r;
	buf_put(&p->ends, &end, sizeof(end));
	return buf_error(&p->ends);
}

/* --- a pack that is not here --- */

struct spool {
	int fd; /* of a file without a name */
	uint64_t bytes;
	struct digest_ctx *digest;
	const struct digest *name;
};

static int spool_begin(void *arg)
{
	struct spool *s = arg;

	s->bytes = 0;
	if (ftruncate(s->fd, 0) < 0)
		return -errno;
	return digest_ctx_reset(s->digest);
}

static int spool_data(void *arg, const void *data, size_t len)
{
	struct spool *s = arg;
	int r;

	if (len > PACK_MAX_BYTES - s->bytes)
		return -EBADMSG;
	r = io_pwrite(s->fd, data, len, s->bytes);
	s->bytes += len;
	return r < 0 ? r : digest_ctx_update(s->digest, data, len);
}

static int spool_check(void *arg)
{
	struct spool *s = arg;
	struct digest got;
	int r = digest_ctx_final(s->digest, &got);

	return r < 0 ? r : digest_equal(&got, s->name) ? 0 : -EBADMSG;
}

/* From whichever tier has it, by way of a file. */
static int copy_pack(struct push *p, const struct digest *name,
		     const char *path)
{
	struct tier_call call = remote_call(p->remote, 0);
	_cleanup_digest_ctx_ struct digest_ctx *digest = NULL;
	_cleanup_close_ int fd = openat(p->remote->store->packs_fd, ".",
					O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct spool s = { .fd = fd, .name = name };
	struct chain_want want = { spool_begin, spool_data, spool_check, &s };
	int r = fd < 0 ? -errno : digest_ctx_new(&digest);

	s.digest = digest;
	if (r == 0)
		r = chain_get(p->remote->chain, &call, path, 0, 0, &want, NULL);
	return r < 0 ? r : put_pack(p, name, fd, s.bytes, path);
}

int push_pack(struct push *p, int packs_dirfd, const struct digest *name)
{
	struct tier_call call = remote_call(p->remote, PUT_TIMEOUT_NS);
	char path[TIER_PATH_MAX + 1], local[STORE_PATH_LEN + 1];
	_cleanup_close_ int fd = -1;
	uint64_t there = 0;
	struct stat st;
	int r, err;

	remote_path(p->remote->tenant, p->remote->namespace, REMOTE_PACK, name,
		    path);
	store_path(name, local);
	r = chain_head_at(p->remote->chain, p->tier, &call, path, &there);
	/* S3 says so also of what is absent, to who may not list. */
	if (r == -EACCES)
		r = -ENOENT;
	if (r < 0 && r != -ENOENT)
		return r;
	fd = openat(packs_dirfd, local, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return r == 0 ? 0 : copy_pack(p, name, path);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	err = note_end(p, name, fd, st.st_size);
	if (err < 0)
		return err;
	if (r == 0 && there == (uint64_t)st.st_size && !p->force)
		return 0;
	return put_pack(p, name, fd, st.st_size, path);
}

static bool is_foreign(const struct push *p, uint32_t pack)
{
	return p->foreign && p->foreign[pack];
}

static bool is_here(const struct push *p, uint32_t pack)
{
	char path[STORE_PATH_LEN + 1];

	store_path(placement_pack(p->tree->placement, pack), path);
	return faccessat(p->remote->store->packs_fd, path, F_OK,
			 AT_SYMLINK_NOFOLLOW) == 0;
}

/* What a tier has stays as it is (repack.h). The tree is open, so nothing can
 * have changed before. */
static int note_sent(struct push *p)
{
	const struct placement *pl = p->tree->placement;
	struct index_batch *b;
	int r = index_batch_begin(p->remote->store->index, &b);

	if (r < 0)
		return r;
	for (uint32_t n = 0; r == 0 && n < p->all; n++)
		if (!is_foreign(p, n) && is_here(p, n))
			r = index_note_pack(b, INDEX_PACK_SENT,
					    placement_pack(pl, n));
	if (r < 0) {
		index_batch_abort(b);
		return r;
	}
	return index_batch_commit(b, false);
}

static int push_packs(struct push *p)
{
	struct store *s = p->remote->store;
	int r = note_sent(p);

	for (uint32_t n = 0; r == 0 && n < p->all; n++) {
		if (!is_foreign(p, n))
			r = push_pack(p, s->packs_fd,
				      placement_pack(p->tree->placement, n));
		if (r == 0)
			r = hold_keep(&p->hold);
		p->done++;
	}
	return r;
}

/* --- tree, entry, pointers --- */

static int find_chunk(void *arg, uint32_t chunk, const struct digest *digest,
		      struct pack_loc *ret_loc)
{
	const struct push *p = arg;

	(void)digest;
	if (p->moved && p->moved[chunk].len > 0) {
		*ret_loc = p->moved[chunk];
		return 0;
	}
	return store_tree_locate(p->tree, chunk, ret_loc);
}

static int put_small(struct push *p, const char *path, const void *data,
		     size_t len)
{
	struct tier_call call = remote_call(p->remote, PUT_TIMEOUT_NS);
	int r = chain_put_data_to(p->remote->chain, p->tier, &call, path, data,
				  len);

	if (r == 0)
		p->result->bytes_moved += len;
	return r;
}

static int push_tree(struct push *p)
{
	const struct digest *digest = store_tree_digest(p->tree);
	_cleanup_buf_ struct buf placement = BUF_INIT, data = BUF_INIT;
	struct tier_call call = remote_call(p->remote, 0);
	const struct catalog *c = store_tree_catalog(p->tree);
	char path[TIER_PATH_MAX + 1];
	const void *catalog;
	size_t len;
	int r;

	catalog = catalog_bytes(c, &len);
	r = len > REMOTE_TREE_PART_MAX ?
		    -EFBIG :
		    placement_encode(c, digest, find_chunk, p, &placement);
	if (r == 0)
		r = remote_tree_encode(
			catalog, len, placement.data, placement.len,
			(const struct remote_pack_end *)p->ends.data,
			p->ends.len / sizeof(struct remote_pack_end), &data);
	if (r < 0)
		return r;
	remote_path(p->remote->tenant, p->remote->namespace, REMOTE_TREE,
		    digest, path);
	r = chain_put_data_to(p->remote->chain, p->tier, &call, path, data.data,
			      data.len);
	if (r == 0)
		p->result->bytes_moved += data.len;
	return r;
}

static int push_entry(struct push *p, const struct entry *e)
{
	_cleanup_buf_ struct buf data = BUF_INIT;
	char path[TIER_PATH_MAX + 1];
	int r = entry_encode(e, &data);

	if (r < 0)
		return r;
	remote_entry_path(e->tenant, e->namespace, e->name, e->key, path);
	return put_small(p, path, data.data, data.len);
}

/* What runs on this machine have read of the tree, if anything. A tier that does
 * not take it has the entry all the same. */
static void push_record(struct push *p, const struct digest *catalog)
{
	const struct remote *r = p->remote;
	_cleanup_buf_ struct buf data = BUF_INIT;
	char path[TIER_PATH_MAX + 1];

	store_record_flush(r->store, catalog);
	if (store_record_get(r->store, catalog, &data) < 0)
		return;
	remote_path(r->tenant, r->namespace, REMOTE_RECORD, catalog, path);
	(void)put_small(p, path, data.data, data.len);
}

static int push_latest(struct push *p, const struct entry *e,
		       const char *branch)
{
	char path[TIER_PATH_MAX + 1];
	int r = remote_latest_path(e->tenant, e->namespace, e->name, branch,
				   path);

	return r < 0 ? r : put_small(p, path, e->key, strlen(e->key));
}

/* ---- under a hold */

/* What is known before anything is put; packs of our own come later. */
static int name_needs(struct push *p, const struct entry *e)
{
	char path[TIER_PATH_MAX + 1];
	int r = hold_add(&p->hold, &e->catalog);

	remote_entry_path(e->tenant, e->namespace, e->name, e->key, path);
	if (r == 0)
		r = hold_add_path(&p->hold, path);
	for (uint32_t n = 0; r == 0 && n < p->all; n++)
		if (!p->foreign || !p->foreign[n])
			r = hold_add(&p->hold,
				     placement_pack(p->tree->placement, n));
	return r;
}

/* *ret_sure: what the entry needs was there when the entry was. */
static int push_held(struct push *p, const struct entry *e, bool *ret_sure)
{
	int r = hold_take(&p->hold);

	p->done = 0;
	buf_reset(&p->ends);
	free(steal_ptr(&p->moved));
	if (r == 0)
		r = push_packs(p);
	if (r == 0)
		r = push_foreign(p);
	if (r == 0)
		r = push_tree(p);
	if (r == 0)
		push_record(p, &e->catalog);
	if (r == 0)
		r = hold_keep(&p->hold);
	if (r == 0)
		r = push_entry(p, e);
	if (r == 0)
		r = hold_keep(&p->hold);
	*ret_sure = r != -ESTALE;
	return r;
}

static int push_objects(struct push *p, const struct entry *e)
{
	bool sure = false;
	int r = name_needs(p, e);

	for (unsigned n = 0; r == 0 && !sure; n++) {
		r = push_held(p, e, &sure);
		if (!sure && n + 1 < TRIES)
			r = 0;
	}
	return r;
}

static void push_release(struct push *p)
{
	hold_drop(&p->hold);
	store_tree_unref(p->tree);
	buf_release(&p->ends);
	free(p->foreign);
	free(p->moved);
}

int remote_push(const struct remote *r, unsigned i, const struct entry *e,
		bool force, struct remote_result *ret_result)
{
	struct remote_result result = { 0 };
	_cleanup_(push_release) struct push p = { .remote = r,
						  .tier = i,
						  .force = force,
						  .result = &result,
						  .hold = { .remote = r,
							    .tier = i } };
	int err = store_tree_open(r->store, &e->catalog, &p.tree);

	if (err < 0)
		return err;
	p.all = result.packs = placement_packs(p.tree->placement);
	err = push_find_foreign(&p);
	if (err == 0)
		err = push_objects(&p, e);
	if (err == 0)
		err = push_latest(&p, e, "");
	if (err == 0 && *e->branch)
		err = push_latest(&p, e, e->branch);
	if (err == 0)
		*ret_result = result;
	return err;
}
