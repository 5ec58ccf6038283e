/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which locks a run takes: those of its directories first, in the order of
 * their names, and then the key's, so that no two runs wait for each other.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "run_internal.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/entry.h"

static int lock_dir(const struct run *run, struct run_root *root,
		    struct failure *f)
{
	_cleanup_free_ char *subject = io_path("dir\n%s", root->dir);

	if (!subject)
		return failure_set(f, -ENOMEM, EXIT_ERROR, "out of memory");
	switch (run_lock_take(subject, root->path, !run->plan->no_wait,
			      &root->lock)) {
	case RUN_LOCK_HELD:
		return 0;
	case RUN_LOCK_BUSY:
		return failure_set(f, -EBUSY, EXIT_BUSY,
				   "%s: another run is at work there; wait "
				   "for it, or leave --no-wait out",
				   root->path);
	default:
		return failure_set(f, -EBUSY, EXIT_BUSY,
				   "%s: this is the command of a run there; "
				   "a run inside of it needs another "
				   "directory",
				   root->path);
	}
}

static int by_dir(const void *a, const void *b)
{
	return strcmp((*(struct run_root *const *)a)->dir,
		      (*(struct run_root *const *)b)->dir);
}

int run_lock_dirs(struct run *run, struct failure *ret_failure)
{
	_cleanup_free_ struct run_root **sorted =
		calloc(run->count, sizeof(struct run_root *));
	int r = 0;

	if (!sorted)
		return failure_set(ret_failure, -ENOMEM, EXIT_ERROR,
				   "out of memory");
	for (size_t i = 0; i < run->count; i++)
		sorted[i] = &run->roots[i];
	qsort(sorted, run->count, sizeof(struct run_root *), by_dir);
	for (size_t i = 0; r == 0 && i < run->count; i++)
		r = lock_dir(run, sorted[i], ret_failure);
	return r;
}

void run_lock_key(struct run *run, bool wait)
{
	const struct run_plan *plan = run->plan;
	_cleanup_free_ char *subject = io_path(
		"key\n%s\n%s\n%s\n%s",
		plan->tenant ? plan->tenant : ENTRY_TENANT_LOCAL,
		plan->namespace ? plan->namespace : ENTRY_NAMESPACE_DEFAULT,
		run->name, run->wanted.key);

	if (subject)
		(void)run_lock_take(subject, run->name, wait && !plan->no_wait,
				    &run->lock);
}

void run_unlock(struct run *run)
{
	run_lock_release(&run->lock);
	for (size_t i = 0; i < run->count; i++)
		run_lock_release(&run->roots[i].lock);
}

/* One more word behind `text`, which is taken and may be NULL. */
static char *append(char *text, const char *word)
{
	char *longer = text ? io_path("%s %s", text, word) : NULL;

	free(text);
	return longer;
}

char *run_locks_text(const struct run *runs, size_t count)
{
	const char *outer = getenv(RUN_LOCKS_VARIABLE);
	char *text = strdup(outer ? outer : "");

	for (size_t i = 0; i < count; i++) {
		text = append(text, runs[i].lock.name);
		for (size_t j = 0; j < runs[i].count; j++)
			text = append(text, runs[i].roots[j].lock.name);
	}
	return text;
}
