/* SPDX-License-Identifier: Apache-2.0 */
/* Runs and hooks; see run.h. */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void run_init(struct run *r, const struct run_options *opt)
{
	*r = (struct run){ .opt = opt, .fs = MOUNT_FS_INIT };
}

static void end_play(struct run *r)
{
	if (r->playing)
		play_release(&r->play);
	r->playing = false;
	mount_fs_close(&r->fs);
}

void run_release(struct run *r)
{
	end_play(r);
	script_release(&r->script);
}

/* --- hooks --- */

static bool hook(const struct run *r, const char *command)
{
	char *argv[] = { (char *)"sh",	   (char *)"-c",	(char *)command,
			 (char *)"random", (char *)r->opt->dir, NULL };
	int status, err;
	pid_t pid;

	err = posix_spawnp(&pid, "sh", NULL, NULL, argv, environ);
	if (err || waitpid(pid, &status, 0) != pid) {
		fprintf(stderr, "random: sh: %s\n",
			strerror(err ? err : errno));
		return false;
	}
	if (status == 0)
		return true;
	fprintf(stderr, "random: the hook failed (status %d): %s\n", status,
		command);
	return false;
}

static bool open_dir(struct run *r)
{
	int err = mount_fs_open(&r->fs, r->opt->dir);

	if (err == 0)
		return true;
	fprintf(stderr, "random: %s: %s\n", r->opt->dir, strerror(-err));
	return false;
}

static const struct run_hooks *hooks_of(const struct run *r,
					enum step_kind kind)
{
	return kind == STEP_REMOUNT ? &r->opt->remount :
	       kind == STEP_REOPEN  ? &r->opt->reopen :
	       kind == STEP_DISTURB ? &r->opt->disturb :
				      NULL;
}

static enum run_found run_hook(struct run *r, const struct step *s)
{
	const struct run_hooks *hooks = hooks_of(r, s->kind);
	const bool stays = s->kind == STEP_DISTURB;

	if (hooks->n == 0)
		return RUN_SAME; /* replayed without hooks */
	if (!stays) {
		play_close_all(&r->play);
		mount_fs_close(&r->fs);
	}
	if (!hook(r, hooks->commands[s->off % hooks->n]))
		return RUN_BROKEN;
	if (!stays && !open_dir(r))
		return RUN_BROKEN;
	if (s->kind == STEP_REMOUNT)
		play_new_mount(&r->play);
	if (stays)
		return RUN_SAME; /* the steps and comparisons that follow see */
	return play_compare(&r->play) ? RUN_SAME : RUN_DIFFERENT;
}

/* --- trees --- */

static int load(struct run *r)
{
	struct mount_fs base = MOUNT_FS_INIT;
	int err;

	if (!r->opt->base)
		return play_load(&r->play, r->opt->ops, &r->fs);
	err = mount_fs_open(&base, r->opt->base);
	if (err == 0)
		err = play_load(&r->play, &mount_ops, &base);
	mount_fs_close(&base);
	return err;
}

/* A fresh tree and its model. */
static enum run_found start(struct run *r)
{
	int err;

	end_play(r);
	if (r->opt->fresh && !hook(r, r->opt->fresh))
		return RUN_BROKEN;
	if (!open_dir(r))
		return RUN_BROKEN;
	play_init(&r->play, r->opt->ops, &r->fs, geteuid(), getegid());
	r->playing = true;
	err = load(r);
	if (err < 0) {
		fprintf(stderr, "random: cannot read the tree: %s\n",
			strerror(-err));
		return RUN_BROKEN;
	}
	return play_compare(&r->play) ? RUN_SAME : RUN_DIFFERENT;
}

static enum run_found run_step(struct run *r, const struct step *s)
{
	if (hooks_of(r, s->kind))
		return run_hook(r, s);
	return play_step(&r->play, s) ? RUN_SAME : RUN_DIFFERENT;
}

enum run_found run_replay(struct run *r, const struct script *script,
			  size_t *ret_at)
{
	enum run_found found = start(r);
	size_t i;

	for (i = 0; i < script->n && found == RUN_SAME; i++) {
		*ret_at = i;
		found = run_step(r, &script->steps[i]);
	}
	return found;
}

/* --- random steps --- */

static enum run_found record(struct run *r, struct step *s)
{
	script_add(&r->script, s);
	return run_step(r, &r->script.steps[r->script.n - 1]);
}

/* Not all hooks at the same step: reopening follows random steps, since a
 * mount without changes need not be kept. */
static enum run_found hook_if_due(struct run *r, struct choose *c,
				  enum step_kind kind, uint64_t n)
{
	const struct run_hooks *hooks = hooks_of(r, kind);
	struct step s = { .kind = kind };

	if (kind == STEP_REOPEN)
		n += hooks->every / 2;
	if (hooks->n == 0 || hooks->every == 0 || n % hooks->every)
		return RUN_SAME;
	s.off = choose_number(c, hooks->n);
	return record(r, &s);
}

static bool was_compared(const struct run *r)
{
	enum step_kind last = r->script.steps[r->script.n - 1].kind;

	return last == STEP_REOPEN || last == STEP_REMOUNT;
}

static enum run_found between(struct run *r, struct choose *c, uint64_t n)
{
	struct step compare = { .kind = STEP_COMPARE };
	enum run_found found = hook_if_due(r, c, STEP_DISTURB, n);

	if (found == RUN_SAME)
		found = hook_if_due(r, c, STEP_REOPEN, n);
	if (found == RUN_SAME)
		found = hook_if_due(r, c, STEP_REMOUNT, n);
	if (found == RUN_SAME && r->opt->compare_every &&
	    n % r->opt->compare_every == 0 && !was_compared(r))
		found = record(r, &compare);
	return found;
}

/* Whether the mount has O_TMPFILE. */
static bool has_tmpfile(const struct run *r)
{
	int fd = openat(r->fs.root, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static enum run_found run_tree(struct run *r, uint64_t seed, uint64_t steps)
{
	enum run_found found = start(r);
	struct choose c;
	struct step s;
	uint64_t n;

	script_release(&r->script);
	choose_init(&c, r->opt->kind, seed, r->opt->ops);
	c.root = geteuid() == 0;
	c.tmpfile = found == RUN_SAME && has_tmpfile(r);
	if (r->opt->max_file)
		c.max_file = r->opt->max_file;
	for (n = 1; n <= steps && found == RUN_SAME; n++) {
		choose_step(&c, &r->play.model, &s);
		found = record(r, &s);
		if (found == RUN_SAME)
			found = between(r, &c, n);
	}
	s = (struct step){ .kind = STEP_COMPARE };
	return found == RUN_SAME ? record(r, &s) : found;
}

enum run_found run_random(struct run *r, uint64_t *ret_seed)
{
	enum run_found found = RUN_SAME;
	uint64_t left = r->opt->steps, seed = r->opt->seed, n;

	while (left > 0 && found == RUN_SAME) {
		n = r->opt->fresh && left > r->opt->tree_steps ?
			    r->opt->tree_steps :
			    left;
		*ret_seed = seed;
		printf("random: seed %" PRIu64 ", %" PRIu64 " of %" PRIu64
		       " steps to do\n",
		       seed, left, r->opt->steps);
		fflush(stdout);
		found = run_tree(r, seed++, n);
		left -= n;
	}
	return found;
}
