/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Half-dead packs: which ones are worth it that what is still needed of them
 * moves to new packs (gc_reshape.c). Packs of one import, which have one
 * dictionary, follow one another. A pack that an open tree needs stays as it
 * is, since that tree goes on looking there. The collection's thread.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "gc_internal.h"
#include "pack_copy.h"
#include "pack_format.h"

/* Packs of which less is dead stay even where the store is too large. */
#define WORTH_PART 8

/* ---- choosing */

struct candidates {
	struct gc_pack **packs;
	size_t n, cap;
};

static uint64_t dead_bytes(const struct gc_pack *p)
{
	return p->bytes > p->live_bytes ? p->bytes - p->live_bytes : 0;
}

/* What its dictionary takes is of use to what is left. */
static int subtract_dict(struct gc *g, const struct gc_pack *p,
			 uint64_t *ret_dead)
{
	uint64_t dead = dead_bytes(p), own;
	struct pack *pack;
	int r = pack_open(g->store->packs_fd, &p->node.digest, &pack);

	if (r < 0)
		return r;
	own = sizeof(struct pack_header) + sizeof(struct pack_footer) +
	      pack_dict_bytes(pack);
	pack_unref(pack);
	*ret_dead = dead > own ? dead - own : 0;
	return 0;
}

static bool is_worth_a_look(struct gc *g, const struct gc_pack *p)
{
	return p->on_disk && p->count > 0 &&
	       dead_bytes(p) > p->bytes / WORTH_PART &&
	       !store_pack_is_needed(g->store, &p->node.digest);
}

static int add_candidate(struct candidates *c, struct gc_pack *p)
{
	if (c->n == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 64;
		struct gc_pack **grown =
			reallocarray(c->packs, cap, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		c->packs = grown;
		c->cap = cap;
	}
	c->packs[c->n++] = p;
	return 0;
}

static int most_dead_first(const void *a, const void *b)
{
	const struct gc_pack *x = *(struct gc_pack *const *)a;
	const struct gc_pack *y = *(struct gc_pack *const *)b;
	double px = (double)dead_bytes(x) / (double)x->bytes;
	double py = (double)dead_bytes(y) / (double)y->bytes;

	return px > py ? -1 : px < py;
}

/* Packs of one import were made one after another. */
static int oldest_first(const void *a, const void *b)
{
	const struct gc_pack *x = *(struct gc_pack *const *)a;
	const struct gc_pack *y = *(struct gc_pack *const *)b;

	return x->mtime_ns < y->mtime_ns ? -1 : x->mtime_ns > y->mtime_ns;
}

static int find_candidates(struct gc *g, struct candidates *c)
{
	struct dmap_node *n;
	size_t pos = 0;
	int r = 0;

	while (r == 0 && (n = map_next(&g->packs.heads, &pos, NULL)))
		for (; r == 0 && n; n = n->next)
			if (is_worth_a_look(g, (struct gc_pack *)n))
				r = add_candidate(c, (struct gc_pack *)n);
	if (c->n > 0)
		qsort(c->packs, c->n, sizeof(*c->packs), most_dead_first);
	return r;
}

/* What the store will take once the dead packs have gone. */
static uint64_t bytes_then(struct gc *g)
{
	uint64_t sum = g->other_bytes;
	struct dmap_node *n;
	size_t pos = 0;

	while ((n = map_next(&g->packs.heads, &pos, NULL)))
		for (; n; n = n->next)
			if (((struct gc_pack *)n)->count > 0)
				sum += ((struct gc_pack *)n)->disk_bytes;
	pos = 0;
	while ((n = map_next(&g->blobs.heads, &pos, NULL)))
		for (; n; n = n->next)
			if (((struct gc_blob *)n)->live)
				sum += ((struct gc_blob *)n)->disk_bytes;
	return sum;
}

/* Those that are more than half dead, and others as long as the store is over
 * its limit. *ret_gain: bytes. */
static int choose(struct gc *g, struct candidates *c, uint64_t *ret_gain)
{
	uint64_t then = bytes_then(g), gain = 0, dead;
	size_t i, n = 0;
	int r = find_candidates(g, c);

	for (i = 0; r == 0 && i < c->n; i++) {
		struct gc_pack *p = c->packs[i];

		if (subtract_dict(g, p, &dead) < 0)
			continue; /* said */
		if (dead <= p->bytes / 2 &&
		    (then - gain <= g->result.before.limit_bytes ||
		     dead <= p->bytes / WORTH_PART))
			continue;
		p->rewrite = true;
		c->packs[n++] = p;
		gain += dead;
	}
	c->n = n;
	*ret_gain = gain;
	return r;
}

uint64_t gc_rewrite_gain(struct gc *g)
{
	struct candidates c = { NULL, 0, 0 };
	uint64_t gain = 0;
	int r = g->blocked ? 0 : choose(g, &c, &gain);

	g->result.rewritten_packs = r == 0 ? c.n : 0;
	free(c.packs);
	return r == 0 ? gain : 0;
}

/* ---- all */

static int rewrite_run(struct gc *g, struct candidates *c)
{
	_cleanup_pack_copy_ struct pack_copy *copy = NULL;
	int r = pack_copy_new(g->store, &copy);

	if (r < 0)
		return r;
	if (c->n > 0)
		qsort(c->packs, c->n, sizeof(*c->packs), oldest_first);
	r = gc_reshape(g, copy, "rewrite", c->packs, c->n);
	if (r == 0)
		g->result.rewritten_packs = c->n;
	/* On a full disk, what was removed has to do. */
	if (r == -ENOSPC || r == -EDQUOT) {
		log_warn(r, "half-dead packs are left as they are");
		return 0;
	}
	return r;
}

int gc_rewrite(struct gc *g, bool *ret_any)
{
	struct candidates c = { NULL, 0, 0 };
	uint64_t gain;
	int r = g->blocked ? 0 : choose(g, &c, &gain);

	*ret_any = c.n > 0;
	if (r == 0 && c.n > 0)
		r = rewrite_run(g, &c);
	free(c.packs);
	return r;
}
