/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of mountinfo: "id parent major:minor root path options optional... -
 * type source options", with \ooo in place of white space and backslashes.
 */
#include "mountinfo.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"

#define FIELD_DEV 2
#define FIELD_PATH 4

/* In place. */
static void unescape(char *text)
{
	char *to = text;

	while (*text) {
		if (text[0] == '\\' && strspn(text + 1, "01234567") >= 3) {
			*to++ = (char)((text[1] - '0') << 6 |
				       (text[2] - '0') << 3 | (text[3] - '0'));
			text += 4;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
}

static char *next_field(char **rest)
{
	char *field = strsep(rest, " ");

	if (field)
		unescape(field);
	return field;
}

static bool split(char *line, struct mountinfo *ret_m)
{
	char *rest = line, *field = NULL;

	line[strcspn(line, "\n")] = '\0';
	for (int i = 0; i <= FIELD_PATH; i++) {
		field = next_field(&rest);
		if (i == FIELD_DEV)
			ret_m->dev = field;
	}
	ret_m->path = field;
	while (rest && (field = next_field(&rest)) && strcmp(field, "-") != 0)
		;
	ret_m->type = next_field(&rest);
	ret_m->source = next_field(&rest);
	ret_m->options = next_field(&rest);
	return ret_m->options;
}

int mountinfo_each(int (*each)(void *arg, const struct mountinfo *m), void *arg)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	struct mountinfo m;
	size_t cap = 0;
	int r = 0;

	if (!f)
		return -errno;
	while (r == 0 && getline(&line, &cap, f) > 0)
		if (split(line, &m))
			r = each(arg, &m);
	return r == 0 && ferror(f) ? -EIO : r;
}
