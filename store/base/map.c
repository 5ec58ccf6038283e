/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash map from 64-bit keys to pointers, and the hashes. A removed slot
 * is closed by moving later members of its run back, so there are no
 * tombstones and a table that only churns never grows.
 *
 * The byte hash multiplies two words that depend on data and secret to 128
 * bits and folds the halves together, 16 bytes a step (the idea of wyhash).
 * The secret comes from the kernel once per process.
 */
#include "map.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "clock.h"
#include "le.h"

#define MAP_CAP_MIN 16

static size_t slot_home(size_t cap, uint64_t key)
{
	return map_hash_u64(key) & (cap - 1);
}

/* The slot that holds `key`, or the free one where it would go. */
static size_t slot_find(const struct map_slot *slots, size_t cap, uint64_t key)
{
	size_t i = slot_home(cap, key);

	while (slots[i].key && slots[i].key != key)
		i = (i + 1) & (cap - 1);
	return i;
}

void map_release(struct map *m)
{
	free(m->slots);
	*m = (struct map)MAP_INIT;
}

void *map_get(const struct map *m, uint64_t key)
{
	if (m->cap == 0)
		return NULL;
	return m->slots[slot_find(m->slots, m->cap, key)].value;
}

static int map_grow(struct map *m)
{
	size_t cap = m->cap ? m->cap * 2 : MAP_CAP_MIN;
	struct map_slot *slots = calloc(cap, sizeof(*slots));
	size_t i;

	if (!slots)
		return -ENOMEM;
	for (i = 0; i < m->cap; i++)
		if (m->slots[i].key)
			slots[slot_find(slots, cap, m->slots[i].key)] =
				m->slots[i];
	free(m->slots);
	m->slots = slots;
	m->cap = cap;
	return 0;
}

int map_put(struct map *m, uint64_t key, void *value)
{
	size_t i;
	int r;

	if (m->cap > 0) {
		i = slot_find(m->slots, m->cap, key);
		if (m->slots[i].key) {
			m->slots[i].value = value;
			return 0;
		}
	}
	if (m->count >= m->cap - m->cap / 4) {
		r = map_grow(m);
		if (r < 0)
			return r;
	}
	i = slot_find(m->slots, m->cap, key);
	m->slots[i] = (struct map_slot){ .key = key, .value = value };
	m->count++;
	return 0;
}

/* Closes the free slot `gap`: a later member of the run may move into it
 * when its home does not lie (cyclically) behind the gap. */
static void run_close(struct map *m, size_t gap)
{
	size_t mask = m->cap - 1;
	size_t i;

	for (i = (gap + 1) & mask; m->slots[i].key; i = (i + 1) & mask) {
		size_t home = slot_home(m->cap, m->slots[i].key);

		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		m->slots[gap] = m->slots[i];
		gap = i;
	}
	m->slots[gap] = (struct map_slot){ 0 };
}

void *map_remove(struct map *m, uint64_t key)
{
	void *value;
	size_t i;

	if (m->cap == 0)
		return NULL;
	i = slot_find(m->slots, m->cap, key);
	if (!m->slots[i].key)
		return NULL;
	value = m->slots[i].value;
	m->count--;
	run_close(m, i);
	return value;
}

void *map_next(const struct map *m, size_t *pos, uint64_t *ret_key)
{
	while (*pos < m->cap) {
		const struct map_slot *s = &m->slots[(*pos)++];

		if (!s->key)
			continue;
		if (ret_key)
			*ret_key = s->key;
		return s->value;
	}
	return NULL;
}

uint64_t map_hash_u64(uint64_t v)
{
	/* Multiply and shift, twice; the constants are splitmix64's. */
	v = (v ^ (v >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	v = (v ^ (v >> 27)) * UINT64_C(0x94d049bb133111eb);
	return v ^ (v >> 31);
}

static pthread_once_t secret_once = PTHREAD_ONCE_INIT;
static uint64_t secret[4]; /* constant after secret_once */

static void secret_load(void)
{
	size_t i;

	if (getrandom(secret, sizeof(secret), 0) != (ssize_t)sizeof(secret))
		/* Unpredictable enough for a table; there is no other source
		 * where the system call is blocked. */
		for (i = 0; i < 4; i++)
			secret[i] = map_hash_u64(clock_wall_ns() + i +
						 ((uint64_t)getpid() << 32));
	for (i = 0; i < 4; i++)
		secret[i] |= 1;
}

static uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t map_hash_bytes(const void *data, size_t len, uint64_t seed)
{
	const uint8_t *p = data;
	uint8_t tail[16] = { 0 };
	size_t left = len;
	uint64_t h;

	pthread_once(&secret_once, secret_load);
	h = seed ^ secret[0];
	for (; left > sizeof(tail); left -= sizeof(tail)) {
		h = fold(le64_get(p) ^ secret[1],
			 le64_get(p + 8) ^ secret[2] ^ h);
		p += sizeof(tail);
	}
	if (left > 0)
		memcpy(tail, p, left);
	h = fold(le64_get(tail) ^ secret[1],
		 le64_get(tail + 8) ^ secret[2] ^ h);
	h = fold(h ^ secret[3], len ^ secret[1]);
	return h ? h : 1;
}
