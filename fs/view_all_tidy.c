/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Closing what the kernel does not use. Two kinds of trees stay open, and keep
 * their entries from being collected, although nobody is there:
 *
 * Those that are only in the kernel's caches. It keeps names until it wants
 * the memory, also of what it cannot look up any more. Told to prune a node it
 * drops the names of it that nobody uses, which are those that no open file,
 * working directory or bind mount has, and no name below. So all nodes are
 * said from the leaves up, after the names that are known to be missing, and a
 * tree that is in use loses nothing but what is cached of its unused parts.
 * (To invalidate a name is something else: it goes also for who uses it, with
 * the mounts below.)
 *
 * Those of which a worker that was killed has noted more references than the
 * kernel has (view_all_trees.c). Whether the kernel has a root at all it says
 * when it is told that the root's attributes have changed. That it has none
 * is no proof: an answer of the worker before may have reached somebody who
 * has not run since, and makes the inode when he does. So it must say so twice
 * with VIEW_ALL_SURE_NS between the one answer and the next question, while no
 * reference comes or goes.
 *
 * A thread that is no service thread, one at a time.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "store/base/clock.h"

#include "view_all_internal.h"

#define SECOND_NS INT64_C(1000000000)
#define AGAIN_MIN_NS (30 * SECOND_NS) /* for what was in use */
#define AGAIN_MAX_NS (3600 * SECOND_NS)
#define FORGET_NS (2 * SECOND_NS) /* for its FORGET to arrive */
#define BATCH 128u

struct tidy {
	struct view_all *a;
	const struct view_all_tidying *how;
	size_t closed;
	bool stopped;
};

static int64_t now_ns(const struct tidy *tidy)
{
	return tidy->how->now ? tidy->how->now(tidy->how->arg) :
				clock_mono_ns();
}

/* Once it is to end it is not asked again. */
static bool is_stopped(struct tidy *tidy)
{
	const struct view_all_tidying *how = tidy->how;

	tidy->stopped = tidy->stopped || (how->stop && how->stop(how->arg));
	return tidy->stopped;
}

/* --- saying what may go --- */

struct going {
	struct tidy *tidy;
	struct all_tree *tree;
	const struct view_all_kernel *kernel;
	struct view_all_name names[BATCH];
	uint64_t nodes[BATCH];
	size_t count; /* of either */
};

static int flush_names(struct going *g)
{
	size_t count = g->count;

	g->count = 0;
	if (is_stopped(g->tidy))
		return -ECANCELED;
	return count ? g->kernel->drop(g->kernel->arg, g->names, count) : 0;
}

static int say_missing(void *arg, uint32_t dir, const char *name, size_t len)
{
	struct going *g = arg;

	g->names[g->count++] =
		(struct view_all_name){ all_tree_node(g->tree, dir), name,
					len };
	return g->count == BATCH ? flush_names(g) : 0;
}

static int flush_nodes(struct going *g)
{
	size_t count = g->count;

	g->count = 0;
	if (is_stopped(g->tidy))
		return -ECANCELED;
	return count ? g->kernel->prune(g->kernel->arg, g->nodes, count) : 0;
}

/* Those that are directories, or those that are not. */
static int say_nodes(struct going *g, bool dirs)
{
	const struct catalog *c = store_tree_catalog(g->tree->tree);
	struct catalog_info info;
	struct catalog_inode ci;
	int r = 0;

	catalog_info(c, &info);
	for (uint32_t ino = info.inodes; r == 0 && ino > 0; ino--) {
		r = catalog_inode(c, ino, &ci);
		if (r < 0 || !S_ISDIR(ci.mode) == dirs)
			continue;
		r = all_file_node(g->tidy->a, g->tree, ino, false,
				  &g->nodes[g->count]);
		if (r == 0 && ++g->count == BATCH)
			r = flush_nodes(g);
	}
	return r < 0 ? r : flush_nodes(g);
}

/* All that the kernel may know of the tree. A directory comes before those
 * below it, so the last one is a leaf; a file of several names comes before
 * the directory of the second. */
static int prune(struct tidy *tidy, struct all_tree *t)
{
	struct going g = { .tidy = tidy,
			   .tree = t,
			   .kernel = tidy->how->kernel };
	int r = all_tree_open(tidy->a, t, false);

	if (r == 0)
		r = all_missing_each(tidy->a, t, say_missing, &g);
	if (r == 0)
		r = flush_names(&g);
	if (r == 0)
		r = say_nodes(&g, false);
	return r < 0 ? r : say_nodes(&g, true);
}

/* --- what the kernel has --- */

static void begin_asking(struct view_all *a, struct all_tree *t)
{
	LOCK_SCOPE(&a->lock);
	t->asked = true;
}

/* The kernel was asked and has said that it has it not. */
static void note_absent(struct view_all *a, struct all_tree *t,
			int64_t asked_ns, int64_t said_ns)
{
	LOCK_SCOPE(&a->lock);

	if (!t->asked || !t->unsure || t->record.refs == 0)
		return;
	if (t->absent_ns == 0)
		t->absent_ns = said_ns;
	else if (asked_ns - t->absent_ns >= VIEW_ALL_SURE_NS)
		all_tree_forget_all(a, t);
}

static void note_present(struct view_all *a, struct all_tree *t)
{
	LOCK_SCOPE(&a->lock);
	t->absent_ns = 0;
}

/* It was dropped just now: that is said on the way of all requests. */
static void wait_forgotten(struct view_all *a, struct all_tree *t)
{
	int64_t end = clock_mono_ns() + FORGET_NS;
	struct timespec ts = { end / SECOND_NS, end % SECOND_NS };
	LOCK_SCOPE(&a->lock);

	while (t->record.refs > 0 &&
	       pthread_cond_timedwait(&a->unused, &a->lock, &ts) == 0)
		;
}

static bool is_unsure(struct tidy *tidy, const struct all_tree *t)
{
	LOCK_SCOPE(&tidy->a->lock);
	return t->unsure;
}

/* `pruned`: it was just told that it may drop it. */
static void ask(struct tidy *tidy, struct all_tree *t, bool pruned)
{
	const struct view_all_kernel *k = tidy->how->kernel;
	int64_t asked_ns, said_ns;
	int has;

	begin_asking(tidy->a, t);
	asked_ns = now_ns(tidy);
	has = k->has(k->arg, all_tree_node(t, VIEW_ROOT));
	said_ns = now_ns(tidy);
	if (has > 0)
		note_present(tidy->a, t);
	if (has != 0)
		return;
	if (pruned && !is_unsure(tidy, t))
		wait_forgotten(tidy->a, t);
	note_absent(tidy->a, t, asked_ns, said_ns);
}

/* --- which --- */

static bool is_any(void *arg, const struct all_tree *t)
{
	(void)arg;
	(void)t;
	return true;
}

/* What was in use the last time is asked for less and less often. */
static bool is_due(struct tidy *tidy, struct all_tree *t)
{
	int64_t now = now_ns(tidy), wait;
	LOCK_SCOPE(&tidy->a->lock);

	if (!tidy->how->urgent && now < t->tidy_ns)
		return false;
	wait = t->tidy_wait_ns ? t->tidy_wait_ns * 2 : AGAIN_MIN_NS;
	t->tidy_wait_ns = wait < AGAIN_MAX_NS ? wait : AGAIN_MAX_NS;
	t->tidy_ns = now + t->tidy_wait_ns;
	return true;
}

static bool is_idle(struct tidy *tidy, const struct all_tree *t)
{
	int64_t now = now_ns(tidy);
	LOCK_SCOPE(&tidy->a->lock);

	return now - t->used_ns >= tidy->how->idle_ns;
}

/* Of an entry that is no more, nobody can look up what he has not. */
static bool is_to_go(struct tidy *tidy, const struct all_tree *t)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;

	return is_idle(tidy, t) || !all_tree_is_entry(tidy->a, t, &e);
}

static bool has_refs(struct tidy *tidy, const struct all_tree *t)
{
	LOCK_SCOPE(&tidy->a->lock);
	return t->record.refs > 0;
}

static void tidy_one(struct tidy *tidy, struct all_tree *t)
{
	bool pruned = is_to_go(tidy, t) && is_due(tidy, t) &&
		      prune(tidy, t) == 0;

	if (is_stopped(tidy))
		return;
	if (pruned || is_unsure(tidy, t))
		ask(tidy, t, pruned);
	tidy->closed += !has_refs(tidy, t);
}

size_t view_all_tidy(struct view_all *a, const struct view_all_tidying *tidying)
{
	_cleanup_free_ struct all_tree **trees = NULL;
	struct tidy tidy = { a, tidying, 0, false };
	size_t n = 0, i;
	LOCK_SCOPE(&a->tidy_lock);

	if (all_trees_pin_held(a, is_any, NULL, &trees, &n) < 0)
		return 0;
	for (i = 0; i < n; i++) {
		if (!is_stopped(&tidy))
			tidy_one(&tidy, trees[i]);
		all_tree_unpin(a, trees[i]);
	}
	return tidy.closed;
}
