/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns of what is no input; see git_ignored.h. No state. */
#include "git_ignored.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fingerprint_internal.h"
#include "fs/mountinfo.h"
#include "store/base/cleanup.h"

void git_ignored_release(struct git_ignored *p)
{
	for (size_t i = 0; i < p->count; i++) {
		free((char *)p->patterns[i]);
		free(p->paths[i]);
	}
	free(p->patterns);
	free(p->paths);
}

bool git_ignored_covers(const struct git_ignored *p, const char *path)
{
	for (size_t i = 0; i < p->count; i++) {
		size_t len = strlen(p->paths[i]);

		if (strncmp(path, p->paths[i], len) == 0 &&
		    (!path[len] || path[len] == '/'))
			return true;
	}
	return false;
}

/* As .gitignore has it, anchored, with nothing in it a wildcard. */
static int ignore(struct git_ignored *p, const char *path)
{
	const char **items =
		reallocarray(p->patterns, p->count + 2, sizeof(*items));
	char **paths = reallocarray(p->paths, p->count + 1, sizeof(*paths));
	char *pattern = malloc(2 * strlen(path) + 2), *to = pattern;
	char *copy = strdup(path);

	if (items)
		p->patterns = items;
	if (paths)
		p->paths = paths;
	if (!items || !paths || !pattern || !copy) {
		free(pattern);
		free(copy);
		return -ENOMEM;
	}
	*to++ = '/';
	for (; *path; path++) {
		if (strchr("*?[]\\ \t!#", *path))
			*to++ = '\\';
		*to++ = *path;
	}
	*to = '\0';
	p->paths[p->count] = copy;
	p->patterns[p->count++] = pattern;
	p->patterns[p->count] = NULL;
	return 0;
}

struct ignoring {
	struct git_ignored *p;
	const char *top;
};

static int ignore_mount(void *arg, const struct mountinfo *m)
{
	struct ignoring *i = arg;
	const char *below = inputs_below(m->path, i->top);

	return below ? ignore(i->p, below) : 0;
}

/* Where it cannot be told what is mounted, nothing is. */
static int ignore_mounts(struct git_ignored *p, const char *top)
{
	struct ignoring i = { p, top };

	return mountinfo_each(ignore_mount, &i) == -ENOMEM ? -ENOMEM : 0;
}

int git_ignored_init(struct git_ignored *p, const char *top,
		     char *const outputs[], size_t noutputs)
{
	int r;

	p->patterns = calloc(1, sizeof(*p->patterns));
	if (!p->patterns)
		return -ENOMEM;
	r = ignore_mounts(p, top);
	for (size_t i = 0; r == 0 && i < noutputs; i++) {
		const char *below = inputs_below(outputs[i], top);

		if (below)
			r = ignore(p, below);
	}
	return r;
}
