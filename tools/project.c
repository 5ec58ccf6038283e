/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The project file as a whole: where it is, its two forms, what it owns.
 */
#include "project.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "project_internal.h"
#include "repo.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/key.h"

/* ---- what a project owns */

static void cache_release(struct project_cache *c)
{
	free(c->paths.items);
	key_options_release(&c->key);
	free(c->command.items);
	free(c->restore.items);
	free(c->environment.items);
}

void project_free(struct project *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->count; i++)
		cache_release(&p->caches[i]);
	for (size_t i = 0; i < p->nowned; i++)
		free(p->owned[i]);
	free(p->caches);
	free(p->owned);
	yaml_tree_free(p->tree);
	free(p->file);
	free(p->repo);
	free(p);
}

int project_no_memory(struct project_reader *r)
{
	return failure_set(r->failure, -ENOMEM, EXIT_ERROR, "%s: out of memory",
			   r->project->file);
}

int project_keep(struct project_reader *r, char *text, const char **ret_text)
{
	struct project *p = r->project;
	char **owned =
		text ? reallocarray(p->owned, p->nowned + 1, sizeof(*owned)) :
		       NULL;

	if (!owned) {
		free(text);
		return project_no_memory(r);
	}
	p->owned = owned;
	p->owned[p->nowned++] = text;
	*ret_text = text;
	return 0;
}

int project_add(struct project_reader *r, struct strings *list,
		const char *text)
{
	/* One more for the NULL that ends a command's words. */
	const char **items =
		reallocarray(list->items, list->count + 2, sizeof(*items));

	if (!items)
		return project_no_memory(r);
	list->items = items;
	list->items[list->count++] = text;
	list->items[list->count] = NULL;
	return 0;
}

/* ---- caches by name */

const struct project_cache *project_find(const struct project *p,
					 const char *name)
{
	for (size_t i = 0; i < p->count; i++)
		if (strcmp(p->caches[i].name, name) == 0)
			return &p->caches[i];
	return NULL;
}

static const char *cache_name(const void *arg, size_t index)
{
	const struct project *p = arg;

	return index < p->count ? p->caches[index].name : NULL;
}

const char *project_nearest(const struct project *p, const char *name)
{
	return options_nearest(name, cache_name, p);
}

int project_add_cache(struct project_reader *r, const struct yaml_node *node,
		      const char *name, struct project_cache **ret_cache)
{
	struct project *p = r->project;
	struct project_cache *caches;

	if (!key_is_valid(name))
		return project_refuse(r, node,
				      "the name \"%.200s\" needs at most %d of "
				      "the characters A-Z a-z 0-9 . _ -, the "
				      "first of them a letter or a digit",
				      name, KEY_MAX);
	if (project_find(p, name))
		return project_refuse(
			r, node, "there are two caches with the name %s", name);
	if (p->count == PROJECT_MAX_CACHES)
		return project_refuse(r, node, "more than %d caches",
				      PROJECT_MAX_CACHES);
	caches = reallocarray(p->caches, p->count + 1, sizeof(*caches));
	if (!caches)
		return project_no_memory(r);
	p->caches = caches;
	*ret_cache = &caches[p->count++];
	**ret_cache = (struct project_cache){ .name = name,
					      .line = node->line,
					      .key.dir = p->repo };
	return 0;
}

/* ---- the file */

struct forms {
	const struct yaml_node *solano, *larder;
};

static const struct schema_key form_keys[] = {
	{ "caches", SCHEMA_MAPS, offsetof(struct forms, larder) },
	{ "cache", SCHEMA_MAP, offsetof(struct forms, solano) },
	SCHEMA_END
};

static int read_forms(struct project_reader *r)
{
	const struct project *p = r->project;
	struct forms forms = { NULL, NULL };
	int err = 0;

	if (p->tree)
		err = schema_read(p->file, p->tree, "a project file", form_keys,
				  &forms, r->failure);
	if (err == 0 && forms.solano)
		err = project_read_solano(r, forms.solano);
	if (err == 0 && forms.larder)
		err = project_read_caches(r, forms.larder);
	return err < 0 ? err : project_check_overlap(r);
}

int project_parse(const char *file, const void *text, size_t len,
		  const char *repo, const char *home,
		  struct project **ret_project, struct failure *ret_failure)
{
	_cleanup_project_ struct project *p = calloc(1, sizeof(*p));
	struct project_reader r = { p, home, ret_failure };
	int err;

	if (p) {
		p->file = strdup(file);
		p->repo = strdup(repo);
	}
	if (!p || !p->file || !p->repo)
		return failure_set(ret_failure, -ENOMEM, EXIT_ERROR,
				   "%s: out of memory", file);
	err = yaml_tree_parse(file, text, len, &p->tree, ret_failure);
	if (err == 0)
		err = read_forms(&r);
	if (err < 0)
		return err;
	*ret_project = steal_ptr(&p);
	return 0;
}

/* ---- finding it */

/* The nearest directory with a project file: `here` is shortened to it. */
static bool find_repo(char *here)
{
	char top[PATH_MAX];

	strcpy(top, here);
	if (repo_has(here, PROJECT_FILE))
		return true;
	if (!repo_find_top(top))
		return false;
	while (strlen(here) > strlen(top) && repo_go_up(here))
		if (repo_has(here, PROJECT_FILE))
			return true;
	return false;
}

static int check_file(const char *path, bool above, struct failure *f)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return failure_set(f, -errno, EXIT_ERROR, "%s: %s", path,
				   strerror(errno));
	if (!S_ISREG(st.st_mode))
		return failure_set(f, -EINVAL, EXIT_USAGE,
				   "%s is not a regular file", path);
	if (above && st.st_uid != 0 && st.st_uid != geteuid())
		return failure_set(f, -EACCES, EXIT_USAGE,
				   "%s belongs to another user (%u) and is "
				   "above the current directory, so it is not "
				   "used: go to its directory to use it",
				   path, (unsigned)st.st_uid);
	return 0;
}

static int load(const char *repo, bool above, struct project **ret_project,
		struct failure *f)
{
	_cleanup_free_ char *path = io_path("%s/%s", repo, PROJECT_FILE);
	_cleanup_free_ uint8_t *text = NULL;
	const char *home = getenv("HOME");
	size_t len;
	int err;

	if (!path)
		return failure_set(f, -ENOMEM, EXIT_ERROR, "out of memory");
	err = check_file(path, above, f);
	if (err < 0)
		return err;
	err = io_read_file(AT_FDCWD, path, YAML_MAX_BYTES, &text, &len);
	if (err == -EFBIG)
		return failure_set(f, err, EXIT_USAGE,
				   "%s is larger than %u KiB, which no project "
				   "file needs to be",
				   path, YAML_MAX_BYTES >> 10);
	if (err < 0)
		return failure_set(f, err, EXIT_ERROR, "%s: %s", path,
				   strerror(-err));
	if (home && (*home != '/' || strlen(home) >= PATH_MAX))
		home = NULL;
	if (home && strcmp(home, "/") == 0)
		home = "";
	return project_parse(above ? path : PROJECT_FILE, text, len, repo, home,
			     ret_project, f);
}

int project_open(struct project **ret_project, struct failure *ret_failure)
{
	char here[PATH_MAX], repo[PATH_MAX];

	*ret_project = NULL;
	if (!getcwd(here, sizeof(here)))
		return failure_set(ret_failure, -errno, EXIT_ERROR,
				   "cannot name the current directory: %s",
				   strerror(errno));
	if (strcmp(here, "/") == 0)
		*here = '\0';
	strcpy(repo, here);
	if (!find_repo(repo))
		return 0;
	return load(repo, strcmp(here, repo) != 0, ret_project, ret_failure);
}
