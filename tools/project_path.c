/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths in a project file: relative to the repository, or with HOME/ or REPO/
 * in front; never with `..`. How they are written is checked when the file is
 * read, where they lead when they are used: a checkout can hold a symbolic
 * link that leads out of it.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "project_internal.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"

static bool has_component(const char *path, const char *name)
{
	size_t len = strlen(name);

	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == len && memcmp(path, name, n) == 0)
			return true;
		path += n + strspn(path + n, "/");
	}
	return false;
}

/* `rest` without empty and `.` components; "" where nothing is left. */
static char *tidy(const char *rest)
{
	char *tidied = calloc(1, strlen(rest) + 1), *end = tidied;

	while (tidied && *rest) {
		size_t n = strcspn(rest, "/");

		if (n > 0 && !(n == 1 && *rest == '.')) {
			if (end > tidied)
				*end++ = '/';
			memcpy(end, rest, n);
			end += n;
		}
		rest += n + strspn(rest + n, "/");
	}
	return tidied;
}

/* Divides a path into the directory that it is relative to and the rest. */
static int divide(struct project_reader *r, const struct yaml_node *node,
		  const char **ret_dir, const char **ret_rest)
{
	const char *text = node->text;

	if (strncmp(text, "HOME/", 5) == 0) {
		if (!r->home)
			return project_refuse(r, node,
					      "%.200s: there is no home "
					      "directory; set HOME",
					      text);
		*ret_dir = r->home;
		*ret_rest = text + 5;
		return 0;
	}
	*ret_dir = r->project->repo;
	*ret_rest = strncmp(text, "REPO/", 5) == 0 ? text + 5 : text;
	return 0;
}

static int read_path(struct project_reader *r, const struct yaml_node *node,
		     const char **ret_path)
{
	_cleanup_free_ char *tidied = NULL;
	const char *dir = NULL, *rest = NULL;
	int err;

	if (*node->text == '/' || *node->text == '~')
		return project_refuse(r, node,
				      "%.200s: a path is relative to the "
				      "repository; HOME/ in front makes it "
				      "relative to the home directory",
				      node->text);
	err = divide(r, node, &dir, &rest);
	if (err < 0)
		return err;
	if (has_component(rest, ".."))
		return project_refuse(r, node,
				      "%.200s: a path cannot contain ..",
				      node->text);
	tidied = tidy(rest);
	if (!tidied)
		return project_no_memory(r);
	if (!*tidied || strcmp(rest, "HOME") == 0 || strcmp(rest, "REPO") == 0)
		return project_refuse(r, node,
				      "\"%.200s\" is no path of a cache: name "
				      "a directory in the repository or, with "
				      "HOME/, in the home directory",
				      node->text);
	if (has_component(tidied, ".git"))
		return project_refuse(r, node,
				      "%.200s: what is git's cannot be a cache",
				      node->text);
	if (strlen(dir) + strlen(tidied) >= PATH_MAX - 2)
		return project_refuse(r, node,
				      "%.200s...: the path is too "
				      "long",
				      node->text);
	return project_keep(r, io_path("%s/%s", dir, tidied), ret_path);
}

int project_expand(struct project_reader *r, const struct yaml_node *node,
		   const char **ret_text)
{
	if (strcmp(node->text, "REPO/") == 0)
		*ret_text = r->project->repo;
	else if (strncmp(node->text, "HOME/", 5) == 0 ||
		 strncmp(node->text, "REPO/", 5) == 0)
		return read_path(r, node, ret_text);
	else
		*ret_text = node->text;
	return 0;
}

int project_read_paths(struct project_reader *r, const struct yaml_node *texts,
		       struct strings *list)
{
	int err = 0;

	for
		schema_each(text, texts)
		{
			const char *path;

			err = read_path(r, text, &path);
			if (err == 0)
				err = project_add(r, list, path);
			if (err < 0)
				return err;
		}
	return err;
}

int project_read_globs(struct project_reader *r, const struct yaml_node *texts,
		       struct strings *list)
{
	int err = 0;

	for
		schema_each(text, texts)
		{
			const char *glob = text->text;

			if (strncmp(glob, "REPO/", 5) == 0)
				glob += 5;
			if (!*glob || *glob == '/' ||
			    has_component(glob, "..") ||
			    strncmp(glob, "HOME/", 5) == 0)
				return project_refuse(
					r, text,
					"\"%.200s\": a key's file is in "
					"the repository, relative to it "
					"and without ..",
					text->text);
			err = project_add(r, list, glob);
			if (err < 0)
				return err;
		}
	return err;
}

int project_read_texts(struct project_reader *r, const struct yaml_node *texts,
		       struct strings *list)
{
	int err = 0;

	for
		schema_each(text, texts)
		{
			if (!*text->text)
				return project_refuse(r, text, "an empty text");
			err = project_add(r, list, text->text);
			if (err < 0)
				return err;
		}
	return err;
}

/* ---- paths among each other */

static bool contains(const char *outer, const char *inner)
{
	size_t len = strlen(outer);

	if (strcmp(outer, "/") == 0)
		return true;
	return strncmp(outer, inner, len) == 0 &&
	       (inner[len] == '\0' || inner[len] == '/');
}

/* The first path of the caches from `from` on, beginning behind path `skip`
 * of the first of them, of which one is in the other. */
static const char *find_overlap(const struct project *p, const char *path,
				size_t from, size_t skip, size_t *ret_cache)
{
	for (size_t c = from; c < p->count; c++) {
		const struct strings *paths = &p->caches[c].paths;

		for (size_t i = c == from ? skip : 0; i < paths->count; i++)
			if (contains(paths->items[i], path) ||
			    contains(path, paths->items[i])) {
				*ret_cache = c;
				return paths->items[i];
			}
	}
	return NULL;
}

int project_check_overlap(struct project_reader *r)
{
	const struct project *p = r->project;

	for (size_t c = 0; c < p->count; c++)
		for (size_t i = 0; i < p->caches[c].paths.count; i++) {
			const char *path = p->caches[c].paths.items[i], *other;
			size_t with;

			other = find_overlap(p, path, c, i + 1, &with);
			if (other)
				return failure_set(
					r->failure, -EINVAL, EXIT_USAGE,
					"%s:%u: %s and %s (%s, %s) are in one "
					"another: each path is a mount of its "
					"own",
					p->file, p->caches[with].line, path,
					other, p->caches[c].name,
					p->caches[with].name);
		}
	return 0;
}

/* ---- where paths lead */

/* The real name of the part of `path` that is there. */
static int real_prefix(const char *path, char ret_real[PATH_MAX])
{
	_cleanup_free_ char *part = strdup(path);

	while (part) {
		char *slash;

		if (realpath(part, ret_real))
			return 0;
		if (errno != ENOENT)
			return -errno;
		slash = strrchr(part, '/');
		if (!slash || slash == part)
			return -ENOENT;
		*slash = '\0';
	}
	return -ENOMEM;
}

static bool is_below(const char *real, const char *dir)
{
	char top[PATH_MAX];

	return dir && realpath(dir, top) && contains(top, real);
}

int project_confine(const struct project *p, const char *path,
		    struct failure *ret_failure)
{
	char real[PATH_MAX];
	int err = real_prefix(path, real);

	if (err < 0)
		return failure_set(ret_failure, err, EXIT_ERROR, "%s: %s", path,
				   strerror(-err));
	if (is_below(real, p->repo) || is_below(real, getenv("HOME")))
		return 0;
	return failure_set(ret_failure, -EACCES, EXIT_USAGE,
			   "%s: %s leads to %s, which is neither in the "
			   "repository nor in the home directory",
			   p->file, path, real);
}
