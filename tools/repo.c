/* SPDX-License-Identifier: Apache-2.0 */
/* Repositories, from the directories above. */
#include "repo.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"

bool repo_has(const char *dir, const char *name)
{
	_cleanup_free_ char *path = io_path("%s/%s", dir, name);

	return path &&
	       faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

bool repo_go_up(char *dir)
{
	char *slash = strrchr(dir, '/');

	if (slash)
		*slash = '\0';
	return slash;
}

bool repo_find_top(char *dir)
{
	do {
		if (repo_has(dir, ".git"))
			return true;
	} while (repo_go_up(dir));
	return false;
}
