/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open packs by name. Idle ones are in a list, least recently used first.
 * Files are opened and closed outside the lock, so two threads may open the
 * same pack at once; the second then takes the first one's.
 */
#include "pack_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "digest_map.h"
#include "store_internal.h"

struct slot {
	struct dmap_node node; /* first: the map's */
	struct pack *pack;     /* constant, as the node's digest */
	unsigned users;	       /* the cache's lock, as the next */
	TAILQ_ENTRY(slot) idle;
};

TAILQ_HEAD(slot_list, slot);

/* A damaged pack, by the file that it was: another one in its place is
 * looked at again. */
struct bad_pack {
	struct dmap_node node; /* first */
	struct index_stamp stamp;
};

struct pack_cache {
	int packs_dirfd; /* constant */

	pthread_mutex_t lock; /* guards all below */
	struct dmap packs;
	struct dmap bad;
	struct slot_list idle;
	unsigned idle_count;
};

int pack_cache_new(int packs_dirfd, struct pack_cache **ret_cache)
{
	struct pack_cache *pc = calloc(1, sizeof(*pc));

	if (!pc)
		return -ENOMEM;
	pc->packs_dirfd = packs_dirfd;
	pthread_mutex_init(&pc->lock, NULL);
	TAILQ_INIT(&pc->idle);
	*ret_cache = pc;
	return 0;
}

static void slot_free(struct slot *s)
{
	if (!s)
		return;
	pack_unref(s->pack);
	free(s);
}

static void slot_free_node(struct dmap_node *n)
{
	slot_free((struct slot *)n);
}

static void bad_free_node(struct dmap_node *n)
{
	free(n);
}

void pack_cache_free(struct pack_cache *pc)
{
	if (!pc)
		return;
	dmap_release(&pc->packs, slot_free_node);
	dmap_release(&pc->bad, bad_free_node);
	pthread_mutex_destroy(&pc->lock);
	free(pc);
}

/* Under the lock. */
static struct slot *cache_use(struct pack_cache *pc, const struct digest *name)
{
	struct slot *s = (struct slot *)dmap_find(&pc->packs, name);

	if (!s)
		return NULL;
	if (s->users++ == 0) {
		TAILQ_REMOVE(&pc->idle, s, idle);
		pc->idle_count--;
	}
	return s;
}

static struct slot *cache_find(struct pack_cache *pc, const struct digest *name)
{
	LOCK_SCOPE(&pc->lock);

	return cache_use(pc, name);
}

/* Adds `s` unless another thread was faster; *ret_winner is what the map
 * has. */
static int cache_add(struct pack_cache *pc, struct slot *s,
		     struct slot **ret_winner)
{
	LOCK_SCOPE(&pc->lock);
	struct slot *other = cache_use(pc, &s->node.digest);
	int r;

	if (!other) {
		r = dmap_add(&pc->packs, &s->node);
		if (r < 0)
			return r;
	}
	*ret_winner = other ? other : s;
	return 0;
}

static int pack_stamp(struct pack_cache *pc, const struct digest *name,
		      struct index_stamp *ret_stamp)
{
	char path[STORE_PATH_LEN + 1];
	struct stat st;

	store_path(name, path);
	if (fstatat(pc->packs_dirfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	store_stamp(&st, ret_stamp);
	return 0;
}

static bool bad_is_known(struct pack_cache *pc, const struct digest *name,
			 const struct index_stamp *now)
{
	LOCK_SCOPE(&pc->lock);
	struct bad_pack *b = (struct bad_pack *)dmap_find(&pc->bad, name);

	return b && memcmp(&b->stamp, now, sizeof(*now)) == 0;
}

/* Without memory it will be said again. */
static void bad_add(struct pack_cache *pc, const struct digest *name,
		    const struct index_stamp *stamp)
{
	LOCK_SCOPE(&pc->lock);
	struct bad_pack *b = (struct bad_pack *)dmap_find(&pc->bad, name);

	if (!b) {
		b = calloc(1, sizeof(*b));
		if (!b)
			return;
		b->node.digest = *name;
		if (dmap_add(&pc->bad, &b->node) < 0) {
			free(b);
			return;
		}
	}
	b->stamp = *stamp;
}

int pack_cache_open_now(struct pack_cache *pc, const struct digest *name,
			struct pack **ret_pack)
{
	struct index_stamp stamp;
	int r = pack_stamp(pc, name, &stamp);

	if (r < 0)
		return r;
	if (bad_is_known(pc, name, &stamp))
		return -EBADMSG;
	r = pack_open(pc->packs_dirfd, name, ret_pack);
	if (r == -EBADMSG)
		bad_add(pc, name, &stamp);
	return r;
}

static int cache_open(struct pack_cache *pc, const struct digest *name,
		      struct pack **ret_pack)
{
	struct slot *s = calloc(1, sizeof(*s));
	struct slot *winner;
	int r;

	if (!s)
		return -ENOMEM;
	s->node.digest = *name;
	s->users = 1;
	r = pack_cache_open_now(pc, name, &s->pack);
	if (r < 0) {
		free(s);
		return r;
	}
	r = cache_add(pc, s, &winner);
	if (r < 0 || winner != s)
		slot_free(s);
	if (r < 0)
		return r;
	*ret_pack = winner->pack;
	return 0;
}

int pack_cache_get(struct pack_cache *pc, const struct digest *name,
		   struct pack **ret_pack)
{
	struct slot *s = cache_find(pc, name);

	if (!s)
		return cache_open(pc, name, ret_pack);
	*ret_pack = s->pack;
	return 0;
}

/* Gives one use back; what fell out of the cache is the caller's to free. */
static struct slot *cache_release(struct pack_cache *pc, struct pack *p)
{
	LOCK_SCOPE(&pc->lock);
	struct slot *s = (struct slot *)dmap_find(&pc->packs, pack_name(p));

	if (--s->users > 0)
		return NULL;
	TAILQ_INSERT_TAIL(&pc->idle, s, idle);
	if (++pc->idle_count <= PACK_CACHE_IDLE_MAX)
		return NULL;
	s = TAILQ_FIRST(&pc->idle);
	TAILQ_REMOVE(&pc->idle, s, idle);
	pc->idle_count--;
	dmap_remove(&pc->packs, &s->node);
	return s;
}

void pack_cache_put(struct pack_cache *pc, struct pack *p)
{
	slot_free(cache_release(pc, p));
}

static struct slot *cache_take_idle(struct pack_cache *pc,
				    const struct digest *name)
{
	LOCK_SCOPE(&pc->lock);
	struct slot *s = (struct slot *)dmap_find(&pc->packs, name);

	if (!s || s->users > 0)
		return NULL;
	TAILQ_REMOVE(&pc->idle, s, idle);
	pc->idle_count--;
	dmap_remove(&pc->packs, &s->node);
	return s;
}

void pack_cache_forget(struct pack_cache *pc, const struct digest *name)
{
	slot_free(cache_take_idle(pc, name));
}
