/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The set of interned ids. A slot keeps 32 bits of the hash, so that growing
 * and most probes touch no memory of the caller's. Does not remove.
 */
#include "intern.h"

#include <errno.h>
#include <stdlib.h>

#define CAP_MIN 64u

void intern_release(struct intern *t)
{
	free(t->slots);
	*t = (struct intern)INTERN_INIT;
}

static uint32_t slot_hash(uint64_t hash)
{
	uint32_t h = (uint32_t)(hash ^ (hash >> 32));

	return h ? h : 1;
}

int intern_find(const struct intern *t, uint64_t hash, intern_same_fn *same,
		const void *arg, const void *data, size_t len, uint32_t *ret_id)
{
	uint32_t h = slot_hash(hash);
	uint32_t i;

	if (t->cap == 0)
		return -ENOENT;
	for (i = h & (t->cap - 1); t->slots[i].hash; i = (i + 1) & (t->cap - 1))
		if (t->slots[i].hash == h &&
		    same(arg, t->slots[i].id, data, len)) {
			*ret_id = t->slots[i].id;
			return 0;
		}
	return -ENOENT;
}

static void slot_put(struct intern_slot *slots, uint32_t cap,
		     struct intern_slot slot)
{
	uint32_t i = slot.hash & (cap - 1);

	while (slots[i].hash)
		i = (i + 1) & (cap - 1);
	slots[i] = slot;
}

static int intern_grow(struct intern *t)
{
	uint32_t cap = t->cap ? t->cap * 2 : CAP_MIN;
	struct intern_slot *slots;
	uint32_t i;

	if (t->cap > UINT32_MAX / 2)
		return -ENOMEM;
	slots = calloc(cap, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (i = 0; i < t->cap; i++)
		if (t->slots[i].hash)
			slot_put(slots, cap, t->slots[i]);
	free(t->slots);
	t->slots = slots;
	t->cap = cap;
	return 0;
}

int intern_add(struct intern *t, uint64_t hash, uint32_t id)
{
	struct intern_slot slot = { .hash = slot_hash(hash), .id = id };

	if (t->count >= t->cap / 4 * 3) {
		int err = intern_grow(t);

		if (err)
			return err;
	}
	slot_put(t->slots, t->cap, slot);
	t->count++;
	return 0;
}
