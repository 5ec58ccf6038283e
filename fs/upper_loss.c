/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Naming what is lost with a damaged log. A lost record is not applied, but
 * its items say which names it makes or takes away, and of which inodes it changes
 * the content or metadata. A record with names is told by them alone, since the
 * directories that it touches would only hide what matters.
 *
 * One thread, which opens the upper.
 */
#include "upper_loss.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/log.h"

#include "upper.h"
#include "view.h"

#define NOTES_MAX 4096
#define DEPTH_MAX 64
#define SAID_MAX 10 /* paths in the daemon's log */

/* A name, or where `text` is NULL an inode. */
struct note {
	uint64_t parent, ino;
	char *text; /* owned */
};

struct upper_lost {
	struct note *notes;
	size_t count, cap;
	bool more;
};

/* --- gathering --- */

static int note_room(struct upper_lost *l)
{
	size_t cap = l->cap ? l->cap * 2 : 64;
	struct note *grown;

	if (l->count < l->cap)
		return 0;
	if (l->count >= NOTES_MAX)
		return -E2BIG;
	grown = reallocarray(l->notes, cap, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	l->notes = grown;
	l->cap = cap;
	return 0;
}

static void note_name(struct upper_lost *l, const struct item_name *n)
{
	char *text = note_room(l) < 0 ? NULL : strndup(n->text, n->len);

	if (text)
		l->notes[l->count++] = (struct note){ n->parent, n->ino, text };
	else
		l->more = true;
}

/* Several items of one inode come one after another. */
static void note_inode(struct upper_lost *l, uint64_t ino)
{
	const struct note *last = l->count ? &l->notes[l->count - 1] : NULL;

	if (last && !last->text && last->ino == ino)
		return;
	if (note_room(l) < 0)
		l->more = true;
	else
		l->notes[l->count++] = (struct note){ .ino = ino };
}

/* 0: the item is of no inode. */
static uint64_t item_ino(const struct item *item)
{
	switch (item->type) {
	case ITEM_INODE:
		return item->inode.ino;
	case ITEM_DATA:
	case ITEM_OWN:
	case ITEM_HOLE:
		return item->range.ino;
	case ITEM_EXTENT:
		return item->extent.ino;
	case ITEM_TARGET:
	case ITEM_XATTRS:
		return item->blob.ino;
	default:
		/* What a commit made of a file is no loss. */
		return 0;
	}
}

static void note_items(struct upper_lost *l, const void *items, size_t len,
		       bool names, bool *ret_names)
{
	struct cursor c;
	struct item item;

	cursor_init(&c, items, len);
	while (item_take(&c, &item) > 0) {
		if (item.type == ITEM_NAME || item.type == ITEM_NO_NAME) {
			*ret_names = true;
			if (names)
				note_name(l, &item.name);
		} else if (!names && item_ino(&item)) {
			note_inode(l, item_ino(&item));
		}
	}
}

void upper_loss_add(struct upper *u, const void *items, size_t items_len)
{
	bool names = false;

	if (!u->lost)
		u->lost = calloc(1, sizeof(*u->lost));
	if (!u->lost)
		return;
	note_items(u->lost, items, items_len, true, &names);
	if (!names)
		note_items(u->lost, items, items_len, false, &names);
}

/* --- paths --- */

static const struct note *note_of(const struct upper_lost *l, uint64_t ino)
{
	for (size_t k = l->count; k > 0; k--)
		if (l->notes[k - 1].text && l->notes[k - 1].ino == ino)
			return &l->notes[k - 1];
	return NULL;
}

/* NULL where memory is short. `depth` ends a ring, which damage may make. */
static char *path_of(const struct upper *u, uint64_t ino, unsigned depth)
{
	_cleanup_free_ char *up = NULL;
	const struct note *n;
	char *path;

	if (ino == VIEW_ROOT)
		return strdup("");
	path = upper_path(u, ino);
	if (path)
		return path;
	n = note_of(u->lost, ino);
	if (!n || depth == 0)
		return strdup("?");
	up = path_of(u, n->parent, depth - 1);
	if (!up || asprintf(&path, "%s%s%s", up, *up ? "/" : "", n->text) < 0)
		return NULL;
	return path;
}

static char *note_path(const struct upper *u, const struct note *n)
{
	_cleanup_free_ char *up = NULL;
	char *path;

	if (!n->text)
		return path_of(u, n->ino, DEPTH_MAX);
	up = path_of(u, n->parent, DEPTH_MAX);
	if (!up || asprintf(&path, "%s%s%s", up, *up ? "/" : "", n->text) < 0)
		return NULL;
	return path;
}

static int path_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Keeps the paths sorted; takes `path` over. */
static void path_add(struct upper_loss *loss, char *path)
{
	size_t k = 0;

	while (k < loss->npaths && path_compare(&loss->paths[k], &path) < 0)
		k++;
	if (k < loss->npaths && strcmp(loss->paths[k], path) == 0) {
		free(path);
		return;
	}
	memmove(&loss->paths[k + 1], &loss->paths[k],
		(loss->npaths - k) * sizeof(*loss->paths));
	loss->paths[k] = path;
	loss->npaths++;
}

/* An inode that cannot be named, the root and what the log says of itself
 * tell the user nothing. */
static int paths_make(struct upper *u, struct upper_loss *loss)
{
	const struct upper_lost *l = u->lost;
	char *path;

	loss->paths = calloc(UPPER_LOSS_PATHS + 1, sizeof(*loss->paths));
	if (!loss->paths)
		return -ENOMEM;
	loss->more = l && l->more;
	for (size_t k = 0; l && k < l->count; k++) {
		if (loss->npaths == UPPER_LOSS_PATHS) {
			loss->more = true;
			return 0;
		}
		path = note_path(u, &l->notes[k]);
		if (!path)
			return -ENOMEM;
		if (*path && strcmp(path, "?") != 0)
			path_add(loss, path);
		else
			free(path);
	}
	return 0;
}

static void say(const struct upper_loss *loss)
{
	size_t k;

	for (k = 0; k < loss->npaths && k < SAID_MAX; k++)
		log_error(0, "upper: a change of %s is lost", loss->paths[k]);
	if (k < loss->npaths || loss->more)
		log_error(0, "upper: changes of others are lost, too");
}

static void lost_free(struct upper_lost *l)
{
	if (!l)
		return;
	for (size_t k = 0; k < l->count; k++)
		free(l->notes[k].text);
	free(l->notes);
	free(l);
}

int upper_loss_settle(struct upper *u)
{
	struct upper_loss *loss = calloc(1, sizeof(*loss));
	int r;

	if (!loss)
		return -ENOMEM;
	u->loss = loss;
	loss->damage = *log_get_damage(u->log);
	r = paths_make(u, loss);
	lost_free(steal_ptr(&u->lost));
	if (r == 0)
		say(loss);
	return r;
}

void upper_loss_release(struct upper *u)
{
	lost_free(u->lost);
	for (size_t k = 0; u->loss && k < u->loss->npaths; k++)
		free(u->loss->paths[k]);
	if (u->loss)
		free(u->loss->paths);
	free(u->loss);
}
