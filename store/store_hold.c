/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who needs what of the store while it is being collected (gc.h), so that
 * nothing goes that is needed though no entry names it:
 *
 * - Objects are held, by their digests: what an ingest is about to publish,
 *   from before it has its name, and the packs whose chunks it found there.
 * - Trees are open.
 * - While a collection runs, what is given back stays needed until its end, so
 *   that what it has looked at cannot change behind it.
 *
 * Of what nobody needs, the collection takes possession with one look under
 * the lock: it condemns it. Condemned objects are not opened, found or used by
 * anybody from then on; they are saved again only by one who publishes the
 * same bytes. So an object is either needed or gone, whatever the timing.
 *
 * Publications are what changes the records of the index that a collection
 * removes; each keeps the other waiting, for one write of the index. Any
 * thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/publish.h"
#include "sparse.h"
#include "store_tree.h"

struct hold {
	struct dmap_node node;	/* first */
	unsigned users;		/* 0: needed until the collection's end */
	struct dmap_node *link; /* of a list that is being dropped */
};

void store_hold_free(struct dmap_node *n)
{
	free(n);
}

static int node_add(struct dmap *m, const struct digest *digest, unsigned users)
{
	struct hold *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	h->node.digest = *digest;
	h->users = users;
	r = dmap_add(m, &h->node);
	if (r < 0)
		free(h);
	return r;
}

static void node_drop(struct dmap *m, struct dmap_node *n)
{
	dmap_remove(m, n);
	free(n);
}

/* ---- holding */

static int hold_locked(struct store *s, const struct digest *object)
{
	struct hold *h = (struct hold *)dmap_find(&s->held, object);

	if (!h)
		return node_add(&s->held, object, 1);
	h->users++;
	return 0;
}

int store_hold(struct store *s, const struct digest *object)
{
	LOCK_SCOPE(&s->lock);
	int r = hold_locked(s, object);
	struct dmap_node *n;

	if (r < 0)
		return r;
	n = dmap_find(&s->condemned, object);
	if (n)
		node_drop(&s->condemned, n);
	return 0;
}

int store_use(struct store *s, const struct digest *object)
{
	LOCK_SCOPE(&s->lock);

	if (dmap_find(&s->condemned, object))
		return -ENOENT;
	return hold_locked(s, object);
}

/* Under the lock; true where nobody holds it any more. */
static bool release_locked(struct store *s, const struct digest *object)
{
	struct hold *h = (struct hold *)dmap_find(&s->held, object);

	if (!h || h->users == 0 || --h->users > 0)
		return false;
	if (!s->collecting)
		node_drop(&s->held, &h->node);
	return true;
}

void store_release(struct store *s, const struct digest *object)
{
	LOCK_SCOPE(&s->lock);

	release_locked(s, object);
}

/* ---- what one holds */

static int holds_note(struct store_holds *h, const struct digest *object,
		      int (*hold)(struct store *s, const struct digest *object))
{
	int r;

	if (dmap_find(&h->set, object))
		return 0;
	r = hold(h->store, object);
	if (r < 0)
		return r;
	r = node_add(&h->set, object, 1);
	if (r < 0)
		store_release(h->store, object);
	return r;
}

int store_holds_add(struct store_holds *h, const struct digest *object)
{
	return holds_note(h, object, store_hold);
}

int store_holds_use(struct store_holds *h, const struct digest *object)
{
	return holds_note(h, object, store_use);
}

void store_holds_release(struct store_holds *h)
{
	struct dmap_node *n;
	size_t pos = 0;

	while ((n = map_next(&h->set.heads, &pos, NULL)))
		for (; n; n = n->next)
			store_release(h->store, &n->digest);
	dmap_release(&h->set, store_hold_free);
	h->set = (struct dmap){ 0 };
}

/* ---- packs */

static bool pack_indexed(struct store *s, const struct digest *pack,
			 const struct digest *chunk)
{
	struct pack_loc loc;
	bool found;

	/* When it cannot be told, the file stays. */
	if (index_get_chunks(s->index, chunk, 1, &loc, &found) < 0)
		return true;
	return found && digest_equal(&loc.pack, pack);
}

void store_pack_settle(struct store *s, const struct digest *pack,
		       const struct digest *chunk, bool keep)
{
	char path[STORE_PATH_LEN + 1];
	LOCK_SCOPE(&s->lock);

	/* Asked under the lock: an ingest that indexes the pack does so before
	 * it settles its claim. */
	if (!release_locked(s, pack) || keep || pack_indexed(s, pack, chunk))
		return;
	store_path(pack, path);
	unlinkat(s->packs_fd, path, 0);
}

/* ---- collecting */

int store_collect_begin(struct store *s)
{
	LOCK_SCOPE(&s->lock);

	if (s->collecting)
		return -EBUSY;
	s->collecting = true;
	s->unsure = false;
	return 0;
}

static void drop_given_back(struct store *s)
{
	struct dmap_node *n, *next, *given = NULL;
	size_t pos = 0;

	/* The map must not change during the walk. */
	while ((n = map_next(&s->held.heads, &pos, NULL)))
		for (; n; n = n->next) {
			struct hold *h = (struct hold *)n;

			if (h->users == 0) {
				h->link = given;
				given = n;
			}
		}
	for (; given; given = next) {
		next = ((struct hold *)given)->link;
		node_drop(&s->held, given);
	}
}

void store_collect_end(struct store *s)
{
	LOCK_SCOPE(&s->lock);

	drop_given_back(s);
	dmap_release(&s->condemned, store_hold_free);
	s->condemned = (struct dmap){ 0 };
	s->collecting = false;
}

void store_tree_was_open(struct store *s, const struct digest *catalog)
{
	if (!s->collecting || dmap_find(&s->held, catalog))
		return;
	/* Without memory to note it, nothing is condemned any more. */
	if (node_add(&s->held, catalog, 0) < 0)
		s->unsure = true;
}

bool store_is_needed(struct store *s, const struct digest *catalog)
{
	LOCK_SCOPE(&s->lock);

	return s->unsure || dmap_find(&s->held, catalog) ||
	       dmap_find(&s->trees, catalog);
}

/* Under the lock: whether the object is condemned now. */
static bool condemn_locked(struct store *s, const struct digest *object)
{
	if (s->unsure || dmap_find(&s->held, object))
		return false;
	return dmap_find(&s->condemned, object) ||
	       node_add(&s->condemned, object, 0) == 0;
}

bool store_condemn_catalog(struct store *s, const struct digest *catalog)
{
	LOCK_SCOPE(&s->lock);

	return !dmap_find(&s->trees, catalog) && condemn_locked(s, catalog);
}

static bool tree_needs(const struct store_tree *t, const struct digest *pack)
{
	uint32_t n;

	for (n = 0; n < placement_packs(t->placement); n++)
		if (digest_equal(placement_pack(t->placement, n), pack))
			return true;
	return false;
}

/* Under the lock. */
static bool open_tree_needs(struct store *s, const struct digest *pack)
{
	struct dmap_node *n;
	size_t pos = 0;

	while ((n = map_next(&s->trees.heads, &pos, NULL)))
		for (; n; n = n->next)
			if (tree_needs((struct store_tree *)n, pack))
				return true;
	return false;
}

bool store_condemn_pack(struct store *s, const struct digest *pack)
{
	LOCK_SCOPE(&s->lock);

	return !open_tree_needs(s, pack) && condemn_locked(s, pack);
}

bool store_pack_is_needed(struct store *s, const struct digest *pack)
{
	LOCK_SCOPE(&s->lock);

	return s->unsure || dmap_find(&s->held, pack) ||
	       open_tree_needs(s, pack);
}

int store_tree_check_condemned(struct store *s, const struct store_tree *t)
{
	uint32_t n;

	if (s->condemned.heads.count == 0)
		return 0;
	if (dmap_find(&s->condemned, &t->node.digest) ||
	    dmap_find(&s->condemned, &t->anchor))
		return -ENOENT;
	for (n = 0; n < placement_packs(t->placement); n++)
		if (dmap_find(&s->condemned, placement_pack(t->placement, n)))
			return -EAGAIN;
	return 0;
}

bool store_is_condemned_locked(struct store *s, const struct digest *object)
{
	return dmap_find(&s->condemned, object) != NULL;
}

bool store_is_condemned(struct store *s, const struct digest *object)
{
	LOCK_SCOPE(&s->lock);

	return store_is_condemned_locked(s, object);
}

int store_unlink_condemned(struct store *s, int rootfd,
			   const struct digest *object)
{
	char path[STORE_PATH_LEN + 1];
	LOCK_SCOPE(&s->lock);

	if (!dmap_find(&s->condemned, object))
		return 0;
	store_path(object, path);
	return unlinkat(rootfd, path, 0) < 0 && errno != ENOENT ? -errno : 1;
}

int store_replace_resting(struct store *s, int dirfd,
			  const struct digest *object, struct publish *p)
{
	char hex[DIGEST_HEX_LEN + 1];
	LOCK_SCOPE(&s->lock);
	int r;

	if (s->unsure || dmap_find(&s->held, object) ||
	    dmap_find(&s->trees, object))
		return 0;
	digest_hex(object, hex);
	r = publish_rename_at(p, dirfd, hex);
	return r < 0 ? r : 1;
}

int store_remove_sparse(struct store *s, const struct digest *pack)
{
	LOCK_SCOPE(&s->lock);

	return open_tree_needs(s, pack) ? 0 : sparse_remove(s->sparse_fd, pack);
}

/* ---- publications */

void store_publish_begin(struct store *s)
{
	LOCK_SCOPE(&s->lock);

	while (s->excluding)
		pthread_cond_wait(&s->published, &s->lock);
	s->publishing++;
}

void store_publish_end(struct store *s)
{
	LOCK_SCOPE(&s->lock);

	if (--s->publishing == 0)
		pthread_cond_broadcast(&s->published);
}

int store_exclude(struct store *s, int (*change)(void *arg), void *arg)
{
	LOCK_SCOPE(&s->lock);
	int r;

	while (s->excluding)
		pthread_cond_wait(&s->published, &s->lock);
	s->excluding = true;
	while (s->publishing > 0)
		pthread_cond_wait(&s->published, &s->lock);
	r = change(arg);
	s->excluding = false;
	pthread_cond_broadcast(&s->published);
	return r;
}
