/* SPDX-License-Identifier: Apache-2.0 */
/* What git calls the repository. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "repo.h"
#include "spawn.h"
#include "store/base/cleanup.h"

#define NAME_MAX_LEN 64

/* The last part of a path or URL, without .git. */
static char *last_part(const char *text)
{
	size_t len = strlen(text), start;

	while (len > 0 && text[len - 1] == '/')
		len--;
	if (len > 4 && strncmp(text + len - 4, ".git", 4) == 0)
		len -= 4;
	while (len > 0 && text[len - 1] == '/')
		len--;
	for (start = len; start > 0 && !strchr("/:", text[start - 1]); start--)
		;
	return strndup(text + start, len - start);
}

/* In the alphabet of names, in place. */
static bool make_name(char *text)
{
	size_t skip = 0, len;

	for (char *c = text; *c; c++)
		if (!isascii((unsigned char)*c) ||
		    (!isalnum((unsigned char)*c) && !strchr("._-", *c)))
			*c = '-';
	while (text[skip] && !isalnum((unsigned char)text[skip]))
		skip++;
	len = strlen(text + skip);
	if (len > NAME_MAX_LEN)
		len = NAME_MAX_LEN;
	memmove(text, text + skip, len);
	text[len] = '\0';
	return len > 0;
}

char *repo_name(const char *dir)
{
	const char *const argv[] = { "git",    "-C",	*dir ? dir : "/",
				     "config", "--get", "remote.origin.url",
				     NULL };
	_cleanup_free_ char *origin = spawn_output(argv);
	char *name = origin ? last_part(origin) : NULL;

	if (name && make_name(name))
		return name;
	free(name);
	name = last_part(dir);
	if (name && make_name(name))
		return name;
	free(name);
	return strdup("project");
}
