/* SPDX-License-Identifier: Apache-2.0 */
/* Absolute names and default names. What git knows is asked of git. */
#include "place.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "spawn.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/entry.h"

/* Divides "a/b//" into its parent "a" and its name "b", both in `ret_parent`.
 * NULL where the last component is no name of its own: "/", "." or "..". */
static const char *divide(const char *dir, char ret_parent[PATH_MAX + 2])
{
	size_t len = strlen(dir);
	char *slash, *name;

	while (len > 1 && dir[len - 1] == '/')
		len--;
	/* A "./" in front spares the case without a slash. */
	snprintf(ret_parent, PATH_MAX + 2, "%s%.*s", *dir == '/' ? "" : "./",
		 (int)len, dir);
	slash = strrchr(ret_parent, '/');
	name = slash + 1;
	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return NULL;
	if (slash == ret_parent) { /* "/b": the parent keeps its slash */
		memmove(name + 1, name, strlen(name) + 1);
		*name++ = '\0';
		return name;
	}
	*slash = '\0';
	return name;
}

static int no_directory(const char *dir, int err, struct failure *f)
{
	return failure_set(f, -err, EXIT_ERROR, "%s: %s", dir, strerror(err));
}

int place_absolute(const char *dir, char **ret_dir, struct failure *ret_failure)
{
	char parent[PATH_MAX + 2], real[PATH_MAX];
	const char *name;
	char *path;

	if (!*dir || strlen(dir) >= PATH_MAX - 2)
		return no_directory(dir, *dir ? ENAMETOOLONG : ENOENT,
				    ret_failure);
	name = divide(dir, parent);
	if (!realpath(name ? parent : dir, real))
		return no_directory(dir, errno, ret_failure);
	path = name ? io_path("%s/%s", strcmp(real, "/") ? real : "", name) :
		      strdup(real);
	if (!path)
		return no_directory(dir, ENOMEM, ret_failure);
	*ret_dir = path;
	return 0;
}

int place_make_parent(const char *dir, char **ret_dir,
		      struct failure *ret_failure)
{
	char parent[PATH_MAX + 2];
	int r;

	if (*dir && strlen(dir) < PATH_MAX - 2 && divide(dir, parent)) {
		r = io_mkdir_p(parent, 0777);
		if (r < 0)
			return failure_set(ret_failure, r, EXIT_ERROR,
					   "cannot make directory %s: %s",
					   parent, strerror(-r));
	}
	return place_absolute(dir, ret_dir, ret_failure);
}

int place_make(const char *dir, char **ret_dir, struct failure *ret_failure)
{
	int r = place_make_parent(dir, ret_dir, ret_failure);

	if (r < 0)
		return r;
	if (mkdir(*ret_dir, 0777) < 0 && errno != EEXIST) {
		r = -errno;
		free(steal_ptr(ret_dir));
		return failure_set(ret_failure, r, EXIT_ERROR,
				   "cannot make directory %s: %s", dir,
				   strerror(-r));
	}
	return 0;
}

const char *place_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	if (strcmp(dir, "/") == 0)
		return path + 1;
	if (strncmp(path, dir, len) != 0)
		return NULL;
	if (path[len] == '/')
		return path + len + 1;
	return path[len] ? NULL : path + len;
}

bool place_contains_us(const char *dir)
{
	char here[PATH_MAX];

	return getcwd(here, sizeof(here)) && place_below(here, dir);
}

char *place_top(void)
{
	static const char *const argv[] = { "git", "rev-parse",
					    "--show-toplevel", NULL };
	static char *top;

	if (!top)
		top = spawn_output(argv);
	return top ? strdup(top) : getcwd(NULL, 0);
}

char *place_default_name(const char *dir)
{
	_cleanup_free_ char *top = place_top();
	const char *relative = top ? place_below(dir, top) : NULL;
	char here[PATH_MAX], *name;

	if (!relative && getcwd(here, sizeof(here)))
		relative = place_below(dir, here);
	if (!relative || !*relative)
		relative = strrchr(dir, '/') + 1;
	name = strdup(relative + strspn(relative, "."));
	for (char *c = name; c && *c; c++)
		if (*c == '/')
			*c = '-';
	if (name && key_is_valid(name))
		return name;
	free(name);
	return NULL;
}
