/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A map from digests to structs that begin with a struct dmap_node. Not
 * thread-safe: the owner's lock guards it. Header-only.
 */
#ifndef LARDER_DIGEST_MAP_H
#define LARDER_DIGEST_MAP_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "digest.h"

struct dmap_node {
	struct digest digest;
	struct dmap_node *next; /* same first 64 bits: rare, or crafted */
};

struct dmap {
	struct map heads;
};

static inline uint64_t dmap_key(const struct digest *d)
{
	uint64_t key;

	memcpy(&key, d->bytes, sizeof(key));
	return key ? key : 1;
}

/* NULL: absent. */
static inline struct dmap_node *dmap_find(const struct dmap *m,
					  const struct digest *d)
{
	struct dmap_node *n = map_get(&m->heads, dmap_key(d));

	while (n && !digest_equal(&n->digest, d))
		n = n->next;
	return n;
}

/* Adds `n`, whose digest is set and not in the map. 0 or -ENOMEM. */
static inline int dmap_add(struct dmap *m, struct dmap_node *n)
{
	uint64_t key = dmap_key(&n->digest);

	n->next = map_get(&m->heads, key);
	return map_put(&m->heads, key, n);
}

/* The member of that digest; where there is none, a new one of `bytes` zeros. 0
 * or -ENOMEM. */
static inline int dmap_get(struct dmap *m, const struct digest *d, size_t bytes,
			   struct dmap_node **ret_node)
{
	struct dmap_node *n = dmap_find(m, d);

	if (!n) {
		n = calloc(1, bytes);
		if (!n)
			return -ENOMEM;
		n->digest = *d;
		if (dmap_add(m, n) < 0) {
			free(n);
			return -ENOMEM;
		}
	}
	*ret_node = n;
	return 0;
}

/* Takes out `n`, which is in the map. */
static inline void dmap_remove(struct dmap *m, struct dmap_node *n)
{
	uint64_t key = dmap_key(&n->digest);
	struct dmap_node *head = map_get(&m->heads, key);

	if (head != n) {
		while (head->next != n)
			head = head->next;
		head->next = n->next;
	} else if (n->next) {
		/* The key is there, so this replaces and cannot fail. */
		map_put(&m->heads, key, n->next);
	} else {
		map_remove(&m->heads, key);
	}
}

/* Calls `each` for all members, in no order, until it returns anything but 0,
 * which is returned. The map must not change meanwhile. */
static inline int dmap_each(const struct dmap *m,
			    int (*each)(void *arg, struct dmap_node *n),
			    void *arg)
{
	struct dmap_node *n;
	size_t pos = 0;
	int r = 0;

	while (r == 0 && (n = map_next(&m->heads, &pos, NULL)))
		for (; r == 0 && n; n = n->next)
			r = each(arg, n);
	return r;
}

/* Empties the map; every node is given to `free_node`. */
static inline void dmap_release(struct dmap *m,
				void (*free_node)(struct dmap_node *))
{
	struct dmap_node *n, *next;
	size_t pos = 0;

	while ((n = map_next(&m->heads, &pos, NULL)))
		for (; n; n = next) {
			next = n->next;
			free_node(n);
		}
	map_release(&m->heads);
}

#endif
