/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that the kernel was told to be missing below a key, which it
 * remembers: a directory stays in its caches as long as it knows of a name
 * that is not there, and only who can say the name can take it back. So they
 * are noted, up to a limit. What is beyond it, and what an earlier worker has
 * said, is not known: a directory with such a name goes when the kernel wants
 * the memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "view_all_internal.h"

struct missing {
	uint32_t dir;
	uint8_t len;
	char name[];
};

/* Of two names with one hash, which does not happen, the first is known. */
void all_missing_note(struct view_all *a, struct all_tree *t, uint32_t dir,
		      const char *name, size_t len)
{
	uint64_t hash = map_hash_bytes(name, len, dir);
	struct missing *m;
	LOCK_SCOPE(&a->lock);

	if (len > UINT8_MAX || map_get(&t->missing, hash) ||
	    t->missing.count >= ALL_MISSING_TREE_MAX ||
	    a->missing_count >= ALL_MISSING_MAX)
		return;
	m = malloc(sizeof(*m) + len);
	if (!m)
		return;
	m->dir = dir;
	m->len = (uint8_t)len;
	memcpy(m->name, name, len);
	if (map_put(&t->missing, hash, m) == 0)
		a->missing_count++;
	else
		free(m);
}

/* Only when the tree is closed is one taken out, and it is pinned: those that
 * are there stay, wherever the lock is let go. */
static struct missing **list(struct view_all *a, const struct all_tree *t,
			     size_t *ret_count)
{
	struct missing **all, *m;
	size_t pos = 0, n = 0;
	LOCK_SCOPE(&a->lock);

	all = calloc(t->missing.count + 1, sizeof(struct missing *));
	while (all && (m = map_next(&t->missing, &pos, NULL)))
		all[n++] = m;
	*ret_count = n;
	return all;
}

int all_missing_each(struct view_all *a, struct all_tree *t,
		     int (*each)(void *arg, uint32_t dir, const char *name,
				 size_t len),
		     void *arg)
{
	size_t n;
	_cleanup_free_ struct missing **all = list(a, t, &n);
	int r = all ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = each(arg, all[i]->dir, all[i]->name, all[i]->len);
	return r;
}

void all_missing_drop(struct view_all *a, struct all_tree *t)
{
	struct missing *m;
	size_t pos = 0;

	while ((m = map_next(&t->missing, &pos, NULL)))
		free(m);
	a->missing_count -= t->missing.count;
	map_release(&t->missing);
	t->missing = (struct map)MAP_INIT;
}
