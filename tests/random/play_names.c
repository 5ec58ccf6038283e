/* SPDX-License-Identifier: Apache-2.0 */
/* Steps on names and open files; see play.h. */
#include "play.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "play_internal.h"

/* --- names --- */

bool play_step_make(struct play *p, const struct step *s)
{
	struct model *m = &p->model;

	switch (s->kind) {
	case STEP_MKDIR:
		return play_result(p, s->a,
				   model_make(m, s->a, S_IFDIR | s->mode, NULL),
				   p->ops->mkdir(p->fs, s->a, s->mode));
	case STEP_CREATE:
		return play_result(p, s->a,
				   model_make(m, s->a, S_IFREG | s->mode, NULL),
				   p->ops->create(p->fs, s->a, s->mode));
	case STEP_FIFO:
		return play_result(p, s->a,
				   model_make(m, s->a, S_IFIFO | s->mode, NULL),
				   p->ops->fifo(p->fs, s->a, s->mode));
	default:
		return play_result(p, s->a,
				   model_make(m, s->a, S_IFLNK | 0777, s->b),
				   p->ops->symlink(p->fs, s->b, s->a));
	}
}

static bool step_rename(struct play *p, const struct step *s, unsigned flags)
{
	return play_result(p, s->a, model_rename(&p->model, s->a, s->b, flags),
			   p->ops->rename(p->fs, s->a, s->b, flags));
}

bool play_step_names(struct play *p, const struct step *s)
{
	struct model *m = &p->model;

	switch (s->kind) {
	case STEP_LINK:
		return play_result(p, s->b, model_link(m, s->a, s->b),
				   p->ops->link(p->fs, s->a, s->b));
	case STEP_UNLINK:
		return play_result(p, s->a, model_remove(m, s->a, false),
				   p->ops->unlink(p->fs, s->a));
	case STEP_RMDIR:
		return play_result(p, s->a, model_remove(m, s->a, true),
				   p->ops->rmdir(p->fs, s->a));
	case STEP_NOREPLACE:
		return step_rename(p, s, RENAME_NOREPLACE);
	case STEP_EXCHANGE:
		return step_rename(p, s, RENAME_EXCHANGE);
	default:
		return step_rename(p, s, 0);
	}
}

/* --- open files --- */

bool play_step_open(struct play *p, const struct step *s)
{
	struct model_slot *slot = model_slot(&p->model, s->a);
	bool create = s->kind == STEP_OPEN_CREATE;
	bool append = s->kind == STEP_OPEN_APPEND;
	bool truncate = s->kind == STEP_OPEN_TRUNCATE;
	struct model_node *n = NULL;
	unsigned number;
	int want, flags = (create ? O_CREAT : 0) | (append ? O_APPEND : 0) |
			  (truncate ? O_TRUNC : 0);

	if (!slot || slot->node)
		return true; /* a shrunk script; nothing to do on both sides */
	number = (unsigned)(slot - p->model.slots);
	want = model_find_file(&p->model, s->b, &n);
	if (create && want == -ENOENT)
		want = model_make(&p->model, s->b, S_IFREG | s->mode, NULL);
	if (want == 0 && !n)
		model_find_file(&p->model, s->b, &n);
	if (want == 0) {
		model_hold(&p->model, number, n, append);
		if (truncate && S_ISREG(n->mode))
			play_resize(p, n, 0);
	}
	return play_result(p, s->b, want,
			   p->ops->open(p->fs, number, s->b, flags, s->mode));
}

bool play_step_tmpfile(struct play *p, const struct step *s)
{
	struct model_slot *slot = model_slot(&p->model, s->a);
	unsigned number;

	if (!slot || slot->node)
		return true;
	number = (unsigned)(slot - p->model.slots);
	return play_result(p, s->b,
			   model_tmpfile(&p->model, number, s->b, s->mode),
			   p->ops->tmpfile(p->fs, number, s->b, s->mode));
}

bool play_step_close(struct play *p, const struct step *s)
{
	struct model_slot *slot = model_slot(&p->model, s->a);

	if (!slot || !slot->node)
		return true;
	p->ops->close(p->fs, (unsigned)(slot - p->model.slots));
	model_drop(&p->model, (unsigned)(slot - p->model.slots));
	return true;
}
