/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening trees. A blob file whose stat data is what the index noted when it
 * was last checked is mapped as it is; any other is checked whole first, and
 * set aside when it is damaged. So opening costs the same for every tree but
 * the first time. A placement is no more than a copy of what the index knows
 * and is made again where it is missing.
 *
 * Trees are shared: the store remembers the open ones without a reference.
 * Any thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "lazy_internal.h"
#include "store_tree.h"

#define VERIFY_STEP_BYTES (256u << 10)
#define OPEN_TRIES 3 /* of a tree that a collection is changing */

static int blob_open(int rootfd, const struct digest *digest,
		     struct index_stamp *ret_stamp)
{
	_cleanup_close_ int fd = -1;
	char path[STORE_PATH_LEN + 1];
	struct stat st;

	store_path(digest, path);
	fd = openat(rootfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	store_stamp(&st, ret_stamp);
	return steal_fd(&fd);
}

/* Whether the file is the one that was checked. */
static bool blob_is_known(struct store *s, enum index_blob kind,
			  const struct digest *digest,
			  const struct index_stamp *now)
{
	struct index_stamp then;

	if (index_get_stamp(s->index, kind, digest, &then) < 0)
		return false;
	return then.bytes == now->bytes && then.ino == now->ino &&
	       then.mtime_ns == now->mtime_ns && then.ctime_ns == now->ctime_ns;
}

static int blob_verify(int fd, uint64_t bytes, const struct digest *digest)
{
	_cleanup_digest_ctx_ struct digest_ctx *ctx = NULL;
	_cleanup_free_ uint8_t *buf = malloc(VERIFY_STEP_BYTES);
	struct digest got;
	uint64_t off;
	int r;

	if (!buf)
		return -ENOMEM;
	r = digest_ctx_new(&ctx);
	for (off = 0; r == 0 && off < bytes;) {
		size_t n = bytes - off < VERIFY_STEP_BYTES ? bytes - off :
							     VERIFY_STEP_BYTES;

		r = io_pread(fd, buf, n, off);
		if (r == 0)
			r = digest_ctx_update(ctx, buf, n);
		off += n;
	}
	if (r == 0)
		r = digest_ctx_final(ctx, &got);
	if (r < 0)
		return r == -ENODATA ? -EBADMSG : r;
	return digest_equal(&got, digest) ? 0 : -EBADMSG;
}

static int catalog_load_fd(struct store *s, int fd, const struct digest *digest,
			   const struct index_stamp *stamp, bool full,
			   struct catalog **ret_catalog)
{
	int r;

	if (!full && blob_is_known(s, INDEX_BLOB_CATALOG, digest, stamp))
		return catalog_open_fd(fd, CATALOG_CHECK_HEADER, ret_catalog);
	r = blob_verify(fd, stamp->bytes, digest);
	if (r < 0)
		return r;
	r = catalog_open_fd(fd, CATALOG_CHECK_FULL, ret_catalog);
	if (r < 0)
		return r;
	store_put_stamp(s, INDEX_BLOB_CATALOG, digest, stamp);
	return 0;
}

static int catalog_load(struct store *s, const struct digest *digest, bool full,
			struct catalog **ret_catalog)
{
	_cleanup_close_ int fd = -1;
	struct index_stamp stamp;
	int r;

	fd = blob_open(s->catalogs_fd, digest, &stamp);
	if (fd < 0)
		return fd;
	r = catalog_load_fd(s, fd, digest, &stamp, full, ret_catalog);
	if (r == -EBADMSG)
		return store_quarantine(s, s->catalogs_fd, "catalog", digest);
	return r;
}

static int placement_load(struct store *s, const struct digest *digest,
			  const struct catalog *c, bool full,
			  struct placement **ret_placement)
{
	_cleanup_close_ int fd = -1;
	struct index_stamp stamp;
	bool known;
	int r;

	fd = blob_open(s->placements_fd, digest, &stamp);
	if (fd < 0)
		return fd;
	known = blob_is_known(s, INDEX_BLOB_PLACEMENT, digest, &stamp);
	r = placement_open_fd(fd, c, digest, full || !known, ret_placement);
	if (r == -EBADMSG)
		return store_quarantine(s, s->placements_fd, "placement",
					digest);
	if (r == 0 && !known)
		store_put_stamp(s, INDEX_BLOB_PLACEMENT, digest, &stamp);
	return r;
}

/* Locations of all chunks of a catalog, as the index has them. */
struct chunk_locs {
	struct digest *digests;
	struct pack_loc *locs;
	bool *found;
	uint32_t n;
};

static void chunk_locs_release(struct chunk_locs *l)
{
	free(l->digests);
	free(l->locs);
	free(l->found);
}

static int chunk_locs_load(struct store *s, const struct catalog *c,
			   struct chunk_locs *l)
{
	struct catalog_info info;
	const struct digest *digest;
	uint32_t i, size;
	int r;

	catalog_info(c, &info);
	l->n = info.chunks;
	l->digests = calloc(l->n + 1, sizeof(*l->digests));
	l->locs = calloc(l->n + 1, sizeof(*l->locs));
	l->found = calloc(l->n + 1, sizeof(*l->found));
	if (!l->digests || !l->locs || !l->found)
		return -ENOMEM;
	for (i = 0; i < l->n; i++) {
		r = catalog_chunk(c, i, &digest, &size);
		if (r < 0)
			return r;
		l->digests[i] = *digest;
	}
	return index_get_chunks(s->index, l->digests, l->n, l->locs, l->found);
}

static int chunk_locs_find(void *arg, uint32_t chunk,
			   const struct digest *digest,
			   struct pack_loc *ret_loc)
{
	const struct chunk_locs *l = arg;

	(void)digest;
	if (chunk >= l->n || !l->found[chunk])
		return -ENOENT;
	*ret_loc = l->locs[chunk];
	return 0;
}

/* -ENOENT when the index does not have all chunks. */
static int placement_remake(struct store *s, const struct digest *digest,
			    const struct catalog *c)
{
	_cleanup_(chunk_locs_release) struct chunk_locs l = { 0 };
	_cleanup_buf_ struct buf blob = BUF_INIT;
	struct index_stamp stamp;
	int r;

	r = chunk_locs_load(s, c, &l);
	if (r < 0)
		return r;
	r = placement_encode(c, digest, chunk_locs_find, &l, &blob);
	if (r < 0)
		return r;
	r = store_put_placement(s, digest, blob.data, blob.len, &stamp);
	if (r < 0)
		return r;
	store_put_stamp(s, INDEX_BLOB_PLACEMENT, digest, &stamp);
	return 0;
}

static int placement_get(struct store *s, const struct digest *digest,
			 const struct catalog *c, bool full,
			 struct placement **ret_placement)
{
	int r = placement_load(s, digest, c, full, ret_placement);

	if (r != -ENOENT && r != -EBADMSG)
		return r;
	r = placement_remake(s, digest, c);
	if (r < 0)
		return r;
	return placement_load(s, digest, c, full, ret_placement);
}

static void tree_free(struct store_tree *t)
{
	uint32_t i, n = t->packs ? placement_packs(t->placement) : 0;

	lazy_tree_free(atomic_load(&t->lazy));
	for (i = 0; i < n; i++) {
		struct pack *p = atomic_load(&t->packs[i]);

		if (p)
			pack_cache_put(t->store->packs, p);
	}
	free(t->packs);
	lazy_source_unref(t->source);
	placement_free(t->placement);
	catalog_unref(t->catalog);
	free(t);
}

static void cleanup_unshared(struct store_tree **t)
{
	if (*t)
		tree_free(*t);
}

enum tree_check {
	TREE_CHECK_KNOWN,     /* what is not known to be good */
	TREE_CHECK_PLACEMENT, /* and the placement's checksum */
	TREE_CHECK_ALL,	      /* and the catalog's digest */
};

static int tree_load(struct store *s, const struct digest *digest,
		     enum tree_check check, struct lazy_source *src,
		     struct store_tree **ret_tree)
{
	_cleanup_(cleanup_unshared) struct store_tree *t =
		calloc(1, sizeof(*t));
	struct index_stamp foreign;
	int r;

	if (!t)
		return -ENOMEM;
	t->store = s;
	t->refs = 1;
	t->node.digest = *digest;
	t->source = src ? lazy_source_ref(src) : NULL;
	r = catalog_load(s, digest, check == TREE_CHECK_ALL, &t->catalog);
	if (r < 0)
		return r;
	r = placement_get(s, digest, t->catalog, check != TREE_CHECK_KNOWN,
			  &t->placement);
	if (r < 0)
		return r;
	t->foreign = index_get_stamp(s->index, INDEX_BLOB_FOREIGN, digest,
				     &foreign) == 0;
	t->packs = calloc(placement_packs(t->placement) + 1, sizeof(*t->packs));
	if (!t->packs)
		return -ENOMEM;
	*ret_tree = steal_ptr(&t);
	return 0;
}

int store_tree_load(struct store *s, const struct digest *catalog,
		    struct store_tree **ret_tree)
{
	return tree_load(s, catalog, TREE_CHECK_PLACEMENT, NULL, ret_tree);
}

int store_tree_load_checked(struct store *s, const struct digest *catalog,
			    struct store_tree **ret_tree)
{
	return tree_load(s, catalog, TREE_CHECK_ALL, NULL, ret_tree);
}

int store_tree_place_again(struct store *s, const struct digest *catalog)
{
	struct catalog *c;
	int r = catalog_load(s, catalog, false, &c);

	if (r < 0)
		return r;
	r = placement_remake(s, catalog, c);
	catalog_unref(c);
	return r;
}

void store_tree_discard(struct store_tree *t)
{
	tree_free(t);
}

static bool same_source(const struct store_tree *t,
			const struct lazy_source *src)
{
	if (!t->source || !src)
		return t->source == src;
	return t->source == src ||
	       (t->source->ops == src->ops && src->ops->same(t->source, src));
}

/* With the lock held. One catalog is open once for each source. */
static struct store_tree *tree_use(struct store *s, const struct digest *digest,
				   const struct lazy_source *src)
{
	struct dmap_node *n = dmap_find(&s->trees, digest);

	for (; n; n = n->next) {
		struct store_tree *t = (struct store_tree *)n;

		if (!digest_equal(&n->digest, digest) || !same_source(t, src))
			continue;
		t->refs++;
		return t;
	}
	return NULL;
}

static struct store_tree *tree_find(struct store *s,
				    const struct digest *digest,
				    const struct lazy_source *src)
{
	LOCK_SCOPE(&s->lock);

	return tree_use(s, digest, src);
}

int store_tree_find(struct store *s, const struct digest *catalog,
		    struct store_tree **ret_tree)
{
	LOCK_SCOPE(&s->lock);
	struct dmap_node *n = dmap_find(&s->trees, catalog);

	for (; n; n = n->next) {
		struct store_tree *t = (struct store_tree *)n;

		if (!digest_equal(&n->digest, catalog) || !t->source)
			continue;
		t->refs++;
		*ret_tree = t;
		return 0;
	}
	return -ENOENT;
}

/* Makes `t` known unless another thread was faster. -EAGAIN: its placement
 * has been made anew. */
static int tree_add(struct store *s, struct store_tree *t,
		    struct store_tree **ret_winner)
{
	LOCK_SCOPE(&s->lock);
	struct store_tree *other = tree_use(s, &t->node.digest, t->source);
	int r;

	if (!other) {
		r = store_tree_check_condemned(s, t);
		if (r == 0)
			r = dmap_add(&s->trees, &t->node);
		if (r < 0)
			return r;
	}
	*ret_winner = other ? other : t;
	return 0;
}

static int tree_open_once(struct store *s, const struct digest *catalog,
			  struct lazy_source *src, struct store_tree **ret_tree)
{
	_cleanup_(cleanup_unshared) struct store_tree *t = NULL;
	struct store_tree *winner = tree_find(s, catalog, src);
	int r;

	if (!winner) {
		r = tree_load(s, catalog, TREE_CHECK_KNOWN, src, &t);
		if (r < 0)
			return r;
		r = tree_add(s, t, &winner);
		if (r < 0)
			return r;
		if (winner == t)
			t = NULL;
	}
	*ret_tree = winner;
	return 0;
}

static int tree_open(struct store *s, const struct digest *catalog,
		     struct lazy_source *src, struct store_tree **ret_tree)
{
	int tries, r = -EAGAIN;

	for (tries = 0; r == -EAGAIN && tries < OPEN_TRIES; tries++)
		r = tree_open_once(s, catalog, src, ret_tree);
	return r == -EAGAIN ? -ENOENT : r;
}

int store_tree_make_lazy(struct store_tree *t, struct lazy_tree **ret_lazy)
{
	struct lazy_tree *lt = NULL, *other = NULL;
	int r;

	if (!t->source)
		return -EOPNOTSUPP;
	if (!(other = atomic_load(&t->lazy))) {
		r = lazy_tree_new(t, t->source, &lt);
		if (r < 0)
			return r;
		if (!atomic_compare_exchange_strong(&t->lazy, &other, lt))
			lazy_tree_free(lt);
		else
			other = lt;
	}
	*ret_lazy = other;
	return 0;
}

static void cleanup_source(struct lazy_source **src)
{
	lazy_source_unref(*src);
}

int store_tree_open(struct store *s, const struct digest *catalog,
		    struct store_tree **ret_tree)
{
	_cleanup_(cleanup_source) struct lazy_source *src =
		store_find_source(s, catalog);
	struct lazy_tree *lt;
	struct store_tree *t;
	int r = tree_open(s, catalog, src, &t);

	if (r < 0)
		return r;
	if (src && (t->foreign || !store_tree_is_whole(t)))
		r = store_tree_make_lazy(t, &lt);
	if (r < 0) {
		store_tree_unref(t);
		return r;
	}
	*ret_tree = t;
	return 0;
}

bool store_tree_is_foreign(const struct store_tree *t)
{
	return t->foreign;
}

struct lazy_source *store_tree_source(const struct store_tree *t)
{
	return t->source;
}

struct store_tree *store_tree_ref(struct store_tree *t)
{
	LOCK_SCOPE(&t->store->lock);

	t->refs++;
	return t;
}

static bool tree_drop(struct store_tree *t)
{
	LOCK_SCOPE(&t->store->lock);

	if (--t->refs > 0)
		return false;
	dmap_remove(&t->store->trees, &t->node);
	store_tree_was_open(t->store, &t->node.digest);
	return true;
}

void store_tree_unref(struct store_tree *t)
{
	if (t && tree_drop(t))
		tree_free(t);
}

const struct catalog *store_tree_catalog(const struct store_tree *t)
{
	return t->catalog;
}

const struct digest *store_tree_digest(const struct store_tree *t)
{
	return &t->node.digest;
}

struct store *store_tree_store(const struct store_tree *t)
{
	return t->store;
}

bool store_tree_is_whole(struct store_tree *t)
{
	struct pack *p;
	uint32_t n;

	for (n = 0; n < placement_packs(t->placement); n++) {
		if (pack_cache_get(t->store->packs,
				   placement_pack(t->placement, n), &p) < 0)
			return false;
		pack_cache_put(t->store->packs, p);
	}
	return true;
}
