/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An intrusive-free open-addressing hash map from a 64-bit key to a pointer,
 * and a keyed hash for byte strings. Linear probing, at most 3/4 full, 16
 * bytes a slot. Key 0 is reserved. Not thread-safe: the owner's lock guards
 * it.
 */
#ifndef LARDER_BASE_MAP_H
#define LARDER_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

struct map_slot {
	uint64_t key; /* 0: free */
	void *value;
};

struct map {
	struct map_slot *slots;
	size_t count;
	size_t cap; /* 0 or a power of two */
};

#define MAP_INIT           \
	{                  \
		NULL, 0, 0 \
	}

void map_release(struct map *m);		  /* values are the caller's */
void *map_get(const struct map *m, uint64_t key); /* NULL: absent */

/* Inserts or replaces; 0 or -ENOMEM. `key` and `value` are not 0. */
int map_put(struct map *m, uint64_t key, void *value);
void *map_remove(struct map *m, uint64_t key); /* the value, or NULL */

/* Iteration in no order; start with *pos = 0; NULL at the end. The map must
 * not change meanwhile. */
void *map_next(const struct map *m, size_t *pos, uint64_t *ret_key);

/* A 64-bit mix and a byte-string hash (wyhash-style multiply-fold; seeded
 * once per process against crafted names, so never stored; never 0, so that
 * it can be a key). */
uint64_t map_hash_u64(uint64_t v);
uint64_t map_hash_bytes(const void *data, size_t len, uint64_t seed);

#endif
