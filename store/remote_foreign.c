/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs of a store that several tenants or namespaces share. A chunk is stored
 * once, whoever brought it, so a pack may hold what another namespace owns; a
 * tier keeps namespaces apart, so such a pack is never put. What the tree needs
 * of it is compressed anew into packs of its own, without the dictionary, which
 * was trained on others' files.
 *
 * A pack is ours where each of its chunks belongs to an entry of this
 * namespace, and, if it has a dictionary, to none of another.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "chunker.h"
#include "remote_internal.h"
#include "remote_push.h"

/* --- who owns what --- */

struct owned {
	struct dmap_node node; /* first */
	bool ours, others;
};

struct owner_tree {
	struct digest catalog;
	bool ours;
};

struct owners {
	struct push *push;
	struct dmap chunks;
	bool is_shared;	  /* there are entries of others */
	bool unsure;	  /* ... not all of which could be read */
	struct buf trees; /* struct owner_tree */
};

static void owned_free(struct dmap_node *n)
{
	free(n);
}

static void owners_release(struct owners *o)
{
	dmap_release(&o->chunks, owned_free);
	buf_release(&o->trees);
}

static bool is_ours(const struct owners *o, const struct entry *e)
{
	return strcmp(e->tenant, o->push->remote->tenant) == 0 &&
	       strcmp(e->namespace, o->push->remote->namespace) == 0;
}

static int look_for_others(void *arg, const struct entry *e)
{
	struct owners *o = arg;

	o->is_shared = !is_ours(o, e);
	return o->is_shared;
}

static int own(struct owners *o, const struct digest *digest, bool ours)
{
	struct owned *c = (struct owned *)dmap_find(&o->chunks, digest);

	if (!c) {
		c = calloc(1, sizeof(*c));
		if (!c)
			return -ENOMEM;
		c->node.digest = *digest;
		if (dmap_add(&o->chunks, &c->node) < 0) {
			free(c);
			return -ENOMEM;
		}
	}
	c->ours |= ours;
	c->others |= !ours;
	return 0;
}

static int own_catalog(struct owners *o, const struct catalog *c, bool ours)
{
	struct catalog_info info;
	int r = 0;

	catalog_info(c, &info);
	for (uint32_t i = 0; r == 0 && i < info.chunks; i++) {
		const struct digest *digest;
		uint32_t size;

		r = catalog_chunk(c, i, &digest, &size);
		if (r == 0)
			r = own(o, digest, ours);
	}
	return r;
}

/* The walk over the index does not open anything, which may write to it. */
static int note_tree(void *arg, const struct entry *e)
{
	struct owners *o = arg;
	struct owner_tree t = { e->catalog, is_ours(o, e) };

	buf_put(&o->trees, &t, sizeof(t));
	return buf_error(&o->trees);
}

/* What an entry of others owns whose tree cannot be read is not known. */
static int own_tree(struct owners *o, const struct owner_tree *owner)
{
	_cleanup_tree_ struct store_tree *t = NULL;
	int r = store_tree_open(o->push->remote->store, &owner->catalog, &t);

	if (r < 0) {
		o->unsure |= !owner->ours;
		return r == -ENOMEM ? r : 0;
	}
	return own_catalog(o, store_tree_catalog(t), owner->ours);
}

static int own_trees(struct owners *o)
{
	struct index *ix = o->push->remote->store->index;
	int r = index_each_entry(ix, NULL, NULL, NULL, note_tree, o);
	struct owner_tree t;

	for (size_t at = 0; r == 0 && at < o->trees.len; at += sizeof(t)) {
		memcpy(&t, o->trees.data + at, sizeof(t));
		r = own_tree(o, &t);
	}
	return r;
}

static int judge_pack(const struct owners *o, const struct digest *name,
		      bool *ret_foreign)
{
	bool foreign = false, dict = false, others = false;
	struct pack *pack;
	int r = pack_open(o->push->remote->store->packs_fd, name, &pack);

	/* What is not here can only have come from this namespace's tiers. */
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (uint32_t n = 0; r == 0 && n < pack_chunks(pack); n++) {
		struct pack_chunk chunk;
		const struct owned *c;

		r = pack_chunk_at(pack, n, &chunk);
		if (r < 0)
			break;
		c = (const struct owned *)dmap_find(&o->chunks, &chunk.digest);
		foreign |= !c || !c->ours;
		others |= c && c->others;
		dict |= chunk.has_dict;
	}
	pack_unref(pack);
	*ret_foreign = foreign || (dict && (others || o->unsure));
	return r;
}

int push_find_foreign(struct push *p)
{
	_cleanup_(owners_release) struct owners o = { .push = p };
	struct index *ix = p->remote->store->index;
	int r = index_each_entry(ix, NULL, NULL, NULL, look_for_others, &o);

	if (r < 0 || !o.is_shared)
		return r < 0 ? r : 0;
	p->foreign = calloc(p->all + 1, sizeof(*p->foreign));
	if (!p->foreign)
		return -ENOMEM;
	r = own_catalog(&o, store_tree_catalog(p->tree), true);
	if (r == 0)
		r = own_trees(&o);
	for (uint32_t n = 0; r == 0 && n < p->all; n++)
		r = judge_pack(&o, placement_pack(p->tree->placement, n),
			       &p->foreign[n]);
	return r;
}

/* --- packs of our own --- */

struct repack {
	struct push *push;
	char dir[64]; /* below v1/, removed at the end */
	int dirfd;
	struct codec_ctx *codec;
	struct pack_writer *writer;
	uint8_t *chunk; /* CHUNK_MAX bytes */
	struct buf frame;
	uint32_t first, next; /* chunks of the current pack begin at `first` */
};

static void repack_release(struct repack *rp)
{
	pack_writer_free(rp->writer);
	codec_ctx_free(rp->codec);
	cleanup_close(&rp->dirfd);
	if (rp->dir[0])
		(void)io_remove_tree(rp->push->remote->store->fd, rp->dir);
	free(rp->chunk);
	buf_release(&rp->frame);
}

static int repack_begin(struct repack *rp)
{
	static atomic_uint counter;
	int fd = rp->push->remote->store->fd;

	snprintf(rp->dir, sizeof(rp->dir), "push-%ld-%u", (long)getpid(),
		 atomic_fetch_add(&counter, 1));
	if (mkdirat(fd, rp->dir, 0700) < 0) {
		rp->dir[0] = '\0';
		return -errno;
	}
	rp->dirfd = openat(fd, rp->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rp->dirfd < 0)
		return -errno;
	rp->chunk = malloc(CHUNK_MAX);
	return rp->chunk ? codec_ctx_new(&rp->codec) : -ENOMEM;
}

/* Ends the pack, puts it, and notes its name with its chunks. */
static int repack_flush(struct repack *rp)
{
	struct push *p = rp->push;
	struct digest name;
	uint64_t bytes;
	int r;

	if (!rp->writer)
		return 0;
	r = pack_writer_commit(rp->writer, &name, &bytes);
	pack_writer_free(steal_ptr(&rp->writer));
	if (r == 0)
		r = hold_add(&p->hold, &name);
	if (r == 0)
		r = hold_extend(&p->hold);
	if (r == 0)
		r = push_pack(p, rp->dirfd, &name);
	for (uint32_t i = rp->first; r == 0 && i < rp->next; i++)
		if (p->moved[i].len > 0)
			p->moved[i].pack = name;
	rp->first = rp->next;
	return r;
}

static int repack_chunk(struct repack *rp, uint32_t i)
{
	struct push *p = rp->push;
	const struct digest *digest;
	struct digest got;
	uint32_t size;
	int r = catalog_chunk(store_tree_catalog(p->tree), i, &digest, &size);

	if (r == 0)
		r = store_chunk_read(p->tree, rp->codec, i, 0, rp->chunk);
	if (r == 0)
		r = digest_of(rp->chunk, size, &got);
	if (r == 0 && !digest_equal(&got, digest))
		r = -EBADMSG;
	if (r == 0 && !rp->writer)
		r = pack_writer_new(rp->dirfd, NULL, 0, &rp->writer);
	if (r < 0)
		return r;
	buf_reset(&rp->frame);
	r = codec_compress(rp->codec, NULL, CODEC_LEVEL_DEFAULT, rp->chunk,
			   size, &rp->frame);
	if (r < 0)
		return r;
	p->moved[i] = (struct pack_loc){ .len = rp->frame.len };
	return pack_writer_add(rp->writer, digest, size, false, rp->frame.data,
			       rp->frame.len, &p->moved[i].off);
}

static int repack_all(struct repack *rp)
{
	struct push *p = rp->push;
	struct catalog_info info;
	int r = repack_begin(rp);

	catalog_info(store_tree_catalog(p->tree), &info);
	for (; r == 0 && rp->next < info.chunks; rp->next++) {
		struct placement_loc loc;

		r = placement_find(p->tree->placement, rp->next, &loc);
		if (r == 0 && p->foreign[loc.pack])
			r = repack_chunk(rp, rp->next);
		if (r == 0 && rp->writer &&
		    pack_writer_bytes(rp->writer) >= PACK_TARGET_BYTES) {
			rp->next++;
			r = repack_flush(rp);
			rp->next--;
		}
	}
	return r < 0 ? r : repack_flush(rp);
}

int push_foreign(struct push *p)
{
	_cleanup_(repack_release) struct repack rp = { .push = p, .dirfd = -1 };
	struct catalog_info info;
	uint32_t n = 0;

	while (p->foreign && n < p->all && !p->foreign[n])
		n++;
	if (!p->foreign || n == p->all)
		return 0;
	catalog_info(store_tree_catalog(p->tree), &info);
	p->moved = calloc(info.chunks + 1, sizeof(*p->moved));
	return p->moved ? repack_all(&rp) : -ENOMEM;
}
