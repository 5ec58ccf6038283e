/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interning: a set of 32-bit ids of things that the caller keeps (names,
 * digests, xattr sets), found again by their bytes. Open addressing, linear
 * probing, at most 3/4 full, 8 bytes a slot. The caller hashes (map_hash_bytes
 * in base/map.h) and compares, so the set itself owns no bytes. One owner at a
 * time.
 */
#ifndef LARDER_INTERN_H
#define LARDER_INTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct intern_slot {
	uint32_t hash; /* 0: free */
	uint32_t id;
};

struct intern {
	struct intern_slot *slots;
	uint32_t count;
	uint32_t cap; /* 0 or a power of two */
};

#define INTERN_INIT        \
	{                  \
		NULL, 0, 0 \
	}

/* Are the bytes behind `id` these? */
typedef bool intern_same_fn(const void *arg, uint32_t id, const void *data,
			    size_t len);

void intern_release(struct intern *t);

/* The id that was added with the same bytes; -ENOENT. */
int intern_find(const struct intern *t, uint64_t hash, intern_same_fn *same,
		const void *arg, const void *data, size_t len,
		uint32_t *ret_id);

/* Adds an id whose bytes are not in the set yet. -ENOMEM. */
int intern_add(struct intern *t, uint64_t hash, uint32_t id);

#endif
