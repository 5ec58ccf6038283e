/* SPDX-License-Identifier: Apache-2.0 */
/* Walking the files of objects. */
#include "object_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/io.h"

/* "<hex>", or "<hex>.map" beside a sparse pack. */
static int parse_name(const char *text, struct digest *ret_name)
{
	char hex[DIGEST_HEX_LEN + 1];

	if (strlen(text) != DIGEST_HEX_LEN &&
	    (strlen(text) != DIGEST_HEX_LEN + 4 ||
	     strcmp(text + DIGEST_HEX_LEN, ".map") != 0))
		return -EINVAL;
	memcpy(hex, text, DIGEST_HEX_LEN);
	hex[DIGEST_HEX_LEN] = '\0';
	return digest_parse(hex, ret_name);
}

/* The regular files of a directory; `name` is that of an object, or NULL. A
 * directory that is not there is empty. */
static int walk_dir(int atfd, const char *path, bool objects, object_file_fn fn,
		    void *arg)
{
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *de;
	struct digest name;
	struct stat st;
	int r = io_opendir_at(atfd, path, &dir);

	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	while (r == 0 && (errno = 0, de = readdir(dir))) {
		if (objects && parse_name(de->d_name, &name) < 0)
			continue;
		if (fstatat(dirfd(dir), de->d_name, &st, AT_SYMLINK_NOFOLLOW) <
		    0)
			r = errno == ENOENT ? 0 : -errno;
		else if (S_ISREG(st.st_mode))
			r = fn(arg, objects ? &name : NULL, &st);
	}
	return r < 0 ? r : -errno;
}

static bool is_object_dir(const char *name)
{
	return strlen(name) == 2 && strspn(name, "0123456789abcdef") == 2;
}

int object_files_each(int rootfd, object_file_fn fn, void *arg)
{
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *de;
	int r = io_opendir_at(rootfd, ".", &dir);

	while (r == 0 && (errno = 0, de = readdir(dir)))
		if (is_object_dir(de->d_name))
			r = walk_dir(rootfd, de->d_name, true, fn, arg);
	return r < 0 ? r : -errno;
}

int object_files_beside(int atfd, const char *path, object_file_fn fn,
			void *arg)
{
	return walk_dir(atfd, path, false, fn, arg);
}
