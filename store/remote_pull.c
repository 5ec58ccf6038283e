/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bringing a tree here. Of the packs that its placement names, those are
 * fetched that have a chunk which is not in the store yet. A pack is fetched
 * whole, into a file that has no name until its digest is right, and each chunk
 * in it is compared with its own digest before the index knows it. Where the
 * chunks lie is taken from the packs then, and not from the placement.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "base/publish.h"
#include "remote_internal.h"
#include "remote_tree.h"
#include "seen.h"
#include "store_internal.h"

#define TREE_TIMEOUT_NS INT64_C(300000000000)

static void cleanup_codec(struct codec_ctx **ctx)
{
	codec_ctx_free(*ctx);
}

/* --- the tree --- */

struct tree_want {
	const struct digest *digest;
	struct remote_tree *tree;
};

static int check_tree(void *arg, const void *data, size_t len)
{
	struct tree_want *w = arg;
	int r;

	remote_tree_release(w->tree);
	r = remote_tree_decode(data, len, w->digest, w->tree);
	/* Another tier may have it as it was. */
	return r == -ESTALE ? -EBADMSG : r;
}

int remote_get_tree(const struct remote *r, const struct digest *catalog,
		    struct remote_tree *ret_tree)
{
	struct tier_call call = remote_call(r, TREE_TIMEOUT_NS);
	struct tree_want w = { catalog, ret_tree };
	_cleanup_buf_ struct buf data = BUF_INIT;
	char path[TIER_PATH_MAX + 1];
	int err;

	remote_path(r->tenant, r->namespace, REMOTE_TREE, catalog, path);
	err = chain_read(r->chain, &call, path, REMOTE_TREE_MAX, check_tree, &w,
			 &data, NULL);
	if (err < 0)
		remote_tree_release(ret_tree);
	return err;
}

/* --- chunks that are here --- */

struct chunks {
	struct digest *digests;
	struct pack_loc *locs;
	bool *found;
	uint32_t count;
};

static void chunks_release(struct chunks *c)
{
	free(c->digests);
	free(c->locs);
	free(c->found);
}

static int chunks_load(struct chunks *c, struct store *s,
		       const struct catalog *catalog)
{
	struct catalog_info info;

	catalog_info(catalog, &info);
	c->count = info.chunks;
	c->digests = calloc(c->count + 1, sizeof(*c->digests));
	c->locs = calloc(c->count + 1, sizeof(*c->locs));
	c->found = calloc(c->count + 1, sizeof(*c->found));
	if (!c->digests || !c->locs || !c->found)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->count; i++) {
		const struct digest *digest;
		uint32_t size;
		int err = catalog_chunk(catalog, i, &digest, &size);

		if (err < 0)
			return err;
		c->digests[i] = *digest;
	}
	return index_get_chunks(s->index, c->digests, c->count, c->locs,
				c->found);
}

static int chunks_find(void *arg, uint32_t chunk, const struct digest *digest,
		       struct pack_loc *ret_loc)
{
	const struct chunks *c = arg;

	(void)digest;
	if (!c->found[chunk])
		return -ENOENT;
	*ret_loc = c->locs[chunk];
	return 0;
}

/* --- one pack --- */

struct pulling {
	const struct remote *remote;
	struct remote_result *result;
	struct codec_ctx *codec;
	struct digest_ctx *digest;
	struct store_holds holds;  /* what the tree needs and brings */
	const struct digest *name; /* of the pack that is being fetched */
	int fd;
	uint64_t bytes;
	uint32_t done, all; /* packs */
};

static int pack_begin(void *arg)
{
	struct pulling *p = arg;

	p->bytes = 0;
	if (ftruncate(p->fd, 0) < 0)
		return -errno;
	return digest_ctx_reset(p->digest);
}

static int pack_data(void *arg, const void *data, size_t len)
{
	struct pulling *p = arg;
	int r;

	if (len > PACK_MAX_BYTES - p->bytes)
		return -EBADMSG;
	r = io_pwrite(p->fd, data, len, p->bytes);
	if (r == 0)
		r = digest_ctx_update(p->digest, data, len);
	if (r < 0)
		return r;
	p->bytes += len;
	return progress_tick(p->remote->progress, "pull", p->done, p->all,
			     p->result->bytes_moved + p->bytes, 0);
}

static int pack_check(void *arg)
{
	struct pulling *p = arg;
	struct digest got;
	int r = digest_ctx_final(p->digest, &got);

	if (r < 0)
		return r;
	return digest_equal(&got, p->name) ? 0 : -EBADMSG;
}

static int fetch_pack(struct pulling *p)
{
	struct tier_call call = remote_call(p->remote, 0);
	struct chain_want want = { pack_begin, pack_data, pack_check, p };
	_cleanup_publish_ struct publish pub = PUBLISH_INIT;
	struct store *s = p->remote->store;
	char path[TIER_PATH_MAX + 1];
	int r;

	r = publish_open(&pub, s->packs_fd, 0600);
	if (r < 0)
		return r;
	p->fd = pub.fd;
	remote_path(p->remote->tenant, p->remote->namespace, REMOTE_PACK,
		    p->name, path);
	r = chain_get(p->remote->chain, &call, path, 0, 0, &want, NULL);
	if (r == 0)
		r = store_put_pack(s, p->name, &pub);
	if (r < 0)
		return r;
	p->result->packs_moved++;
	p->result->bytes_moved += p->bytes;
	return 0;
}

#define ENTER_CHUNKS 512u /* that the index is asked for at once */

struct entering {
	struct pack_chunk chunks[ENTER_CHUNKS];
	struct digest digests[ENTER_CHUNKS];
	struct pack_loc locs[ENTER_CHUNKS];
	bool found[ENTER_CHUNKS];
};

/* `n` chunks from record `first` on. */
static int enter_chunks(struct store *s, struct pack *pack,
			struct index_batch *b, struct entering *en,
			uint32_t first, uint32_t n)
{
	uint32_t i;
	int r = 0;

	for (i = 0; r == 0 && i < n; i++) {
		r = pack_chunk_at(pack, first + i, &en->chunks[i]);
		en->digests[i] = en->chunks[i].digest;
	}
	if (r == 0)
		r = index_get_chunks(s->index, en->digests, n, en->locs,
				     en->found);
	for (i = 0; r == 0 && i < n; i++) {
		const struct pack_chunk *c = &en->chunks[i];
		struct pack_loc loc = { *pack_name(pack), c->off, c->len,
					c->has_dict };

		if (!en->found[i] || store_is_condemned(s, &en->locs[i].pack))
			r = index_put_chunk(b, &c->digest, &loc);
	}
	return r;
}

/* Enters the chunks of a pack that are in no other. */
static int index_chunks(struct store *s, struct pack *pack,
			struct index_batch *b)
{
	_cleanup_free_ struct entering *en = calloc(1, sizeof(*en));
	uint32_t first, n, all = pack_chunks(pack);
	int r = en ? 0 : -ENOMEM;

	for (first = 0; r == 0 && first < all; first += n) {
		n = all - first < ENTER_CHUNKS ? all - first : ENTER_CHUNKS;
		r = enter_chunks(s, pack, b, en, first, n);
	}
	return r;
}

int remote_index_pack(struct store *s, struct pack *pack)
{
	struct index_batch *b;
	int r = index_batch_begin(s->index, &b);

	if (r < 0)
		return r;
	r = index_put_pack(b, pack_name(pack), pack_bytes(pack),
			   pack_chunks(pack));
	if (r == 0)
		r = index_note_pack(b, INDEX_PACK_SENT, pack_name(pack));
	if (r == 0)
		r = index_chunks(s, pack, b);
	if (r < 0) {
		index_batch_abort(b);
		return r;
	}
	return index_batch_commit(b, false);
}

/* A pack may have its name rightly and yet hold something else than its index
 * says. */
static int adopt_pack(struct pulling *p)
{
	struct store *s = p->remote->store;
	struct pack *pack;
	int r = pack_open(s->packs_fd, p->name, &pack);

	if (r < 0)
		return r;
	r = pack_verify(pack, p->codec, NULL, NULL);
	if (r == 0)
		r = remote_index_pack(s, pack);
	pack_unref(pack);
	return r;
}

static int bring_pack(struct pulling *p, const struct digest *name)
{
	int r;

	p->name = name;
	r = store_holds_add(&p->holds, name);
	if (r < 0)
		return r;
	r = adopt_pack(p);
	if (r != -ENOENT && r != -EBADMSG)
		return r;
	r = fetch_pack(p);
	return r < 0 ? r : adopt_pack(p);
}

/* --- all of them --- */

/* Whether a chunk is here, and stays. */
static bool is_kept(struct pulling *p, const struct chunks *c, uint32_t i)
{
	return c->found[i] && store_holds_use(&p->holds, &c->locs[i].pack) == 0;
}

static int bring_packs(struct pulling *p, const struct remote_tree *t)
{
	_cleanup_(chunks_release) struct chunks c = { 0 };
	int r = chunks_load(&c, p->remote->store, t->catalog);
	struct placement_loc loc;

	p->all = placement_packs(t->placement);
	p->result->packs = p->all;
	_cleanup_free_ bool *wanted = calloc(p->all + 1, sizeof(*wanted));

	if (!wanted)
		return -ENOMEM;
	for (uint32_t i = 0; r == 0 && i < c.count; i++) {
		r = placement_find(t->placement, i, &loc);
		if (r == 0 && !is_kept(p, &c, i))
			wanted[loc.pack] = true;
	}
	for (uint32_t n = 0; r == 0 && n < p->all; n++) {
		if (wanted[n])
			r = bring_pack(p, placement_pack(t->placement, n));
		p->done++;
	}
	return r;
}

/* Catalog and placement become files, the placement from the index. */
static int put_tree(struct pulling *p, const struct digest *digest,
		    const struct remote_tree *t)
{
	_cleanup_(chunks_release) struct chunks c = { 0 };
	_cleanup_buf_ struct buf blob = BUF_INIT;
	struct store *s = p->remote->store;
	struct index_stamp stamp;
	int r = chunks_load(&c, s, t->catalog);

	for (uint32_t i = 0; r == 0 && i < c.count; i++)
		c.found[i] = is_kept(p, &c, i);
	if (r == 0)
		r = store_holds_add(&p->holds, digest);
	if (r == 0)
		r = placement_encode(t->catalog, digest, chunks_find, &c,
				     &blob);
	if (r < 0)
		return r == -ENOENT ? -EBADMSG : r;
	r = store_put_catalog(s, digest, t->catalog_blob.data,
			      t->catalog_blob.len, &stamp);
	return r < 0 ? r :
		       store_put_placement(s, digest, blob.data, blob.len,
					   &stamp);
}

static int bring_tree(struct pulling *p, const struct digest *catalog)
{
	_cleanup_(remote_tree_release) struct remote_tree t = { 0 };
	int r = remote_get_tree(p->remote, catalog, &t);

	if (r == 0)
		r = bring_packs(p, &t);
	return r < 0 ? r : put_tree(p, catalog, &t);
}

static bool is_here(struct store *s, const struct digest *catalog)
{
	_cleanup_tree_ struct store_tree *t = NULL;

	return store_tree_open(s, catalog, &t) == 0 && store_tree_is_whole(t);
}

static int note_seen(const struct remote *r, struct index_batch *b,
		     const struct entry *e)
{
	const struct sign_public *signer;

	if (!r->trust || trust_check(r->trust, e, &signer) < 0)
		return 0;
	return seen_note(b, e, signer);
}

int remote_put_entry(const struct remote *r, const struct entry *e)
{
	struct index_batch *b;
	int err = index_batch_begin(r->store->index, &b);

	if (err < 0)
		return err;
	err = index_put_entry(b, e);
	if (err == 0)
		err = note_seen(r, b, e);
	if (err < 0) {
		index_batch_abort(b);
		return err;
	}
	store_publish_begin(r->store);
	err = index_batch_commit(b, true);
	store_publish_end(r->store);
	return err;
}

int remote_pull(const struct remote *r, const struct entry *e,
		struct remote_result *ret_result)
{
	_cleanup_(cleanup_codec) struct codec_ctx *codec = NULL;
	_cleanup_digest_ctx_ struct digest_ctx *digest = NULL;
	struct remote_result result = { 0 };
	struct pulling p = { .remote = r, .result = &result };
	int err = codec_ctx_new(&codec);

	if (err == 0)
		err = digest_ctx_new(&digest);
	p.codec = codec;
	p.digest = digest;
	p.holds.store = r->store;
	if (err == 0)
		err = store_holds_use(&p.holds, &e->catalog);
	if (err == -ENOENT) /* it is about to go, and so are its packs */
		err = 0;
	if (err == 0 && !is_here(r->store, &e->catalog))
		err = bring_tree(&p, &e->catalog);
	if (err == 0)
		err = remote_put_entry(r, e);
	store_holds_release(&p.holds);
	if (err == 0)
		*ret_result = result;
	return err;
}
