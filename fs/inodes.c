/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inode table: open addressing with linear probing over pointers to
 * records, which hold their key. Removal closes the run behind the gap, so there
 * are no tombstones.
 */
#include "inodes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/map.h"

#define INODES_CAP_MIN 64

struct blob *blob_new(const void *data, uint32_t len)
{
	struct blob *b = malloc(sizeof(*b) + len);

	if (!b)
		return NULL;
	b->len = len;
	if (len > 0)
		memcpy(b->data, data, len);
	return b;
}

struct inode *inode_new(uint64_t ino, uint32_t mode)
{
	struct inode *i = calloc(1, sizeof(*i));

	if (!i)
		return NULL;
	i->m.ino = ino;
	i->m.mode = mode;
	return i;
}

void inode_free(struct inode *i)
{
	if (!i)
		return;
	if (S_ISREG(i->m.mode))
		extents_release(&i->extents);
	else if (S_ISLNK(i->m.mode))
		free(i->target);
	free(i->xattrs);
	free(i);
}

void inodes_release(struct inodes *t)
{
	size_t i;

	for (i = 0; i < t->cap; i++)
		inode_free(t->slots[i]);
	free(t->slots);
	*t = (struct inodes){ 0 };
}

static size_t slot_of(struct inode *const *slots, size_t cap, uint64_t ino)
{
	size_t i = map_hash_u64(ino) & (cap - 1);

	while (slots[i] && slots[i]->m.ino != ino)
		i = (i + 1) & (cap - 1);
	return i;
}

struct inode *inodes_get(const struct inodes *t, uint64_t ino)
{
	return t->cap ? t->slots[slot_of(t->slots, t->cap, ino)] : NULL;
}

int inodes_reserve(struct inodes *t, size_t more)
{
	size_t cap = t->cap ? t->cap : INODES_CAP_MIN;
	struct inode **slots;
	size_t i;

	while (t->count + more > cap - cap / 4)
		cap *= 2;
	if (cap == t->cap)
		return 0;
	slots = calloc(cap, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (i = 0; i < t->cap; i++)
		if (t->slots[i])
			slots[slot_of(slots, cap, t->slots[i]->m.ino)] =
				t->slots[i];
	free(t->slots);
	t->slots = slots;
	t->cap = cap;
	return 0;
}

void inodes_insert(struct inodes *t, struct inode *i)
{
	t->slots[slot_of(t->slots, t->cap, i->m.ino)] = i;
	t->count++;
}

void inodes_remove(struct inodes *t, uint64_t ino)
{
	size_t mask = t->cap - 1;
	size_t gap, i;

	if (t->cap == 0)
		return;
	gap = slot_of(t->slots, t->cap, ino);
	if (!t->slots[gap])
		return;
	t->slots[gap] = NULL;
	t->count--;
	for (i = (gap + 1) & mask; t->slots[i]; i = (i + 1) & mask) {
		size_t home = map_hash_u64(t->slots[i]->m.ino) & mask;

		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		t->slots[gap] = t->slots[i];
		t->slots[i] = NULL;
		gap = i;
	}
}

struct inode *inodes_next(const struct inodes *t, size_t *pos)
{
	while (*pos < t->cap) {
		struct inode *i = t->slots[(*pos)++];

		if (i)
			return i;
	}
	return NULL;
}
