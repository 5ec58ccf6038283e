/* SPDX-License-Identifier: Apache-2.0 */
/* What a mount lost with a damaged log. See loss.h; one thread. */
#include "loss.h"

#include <stdio.h>
#include <stdlib.h>

#include "format.h"
#include "out.h"
#include "store/base/cleanup.h"

#define WARN_PATHS 5
#define PRINT_PATHS 10

/* "a, b and others"; NULL where memory is short or no path is known. */
static char *paths_text(const json_t *loss)
{
	const json_t *paths = json_object_get(loss, "paths"), *path;
	size_t i, n = json_array_size(paths), len;
	char *text = NULL;
	FILE *f;

	if (n == 0)
		return NULL;
	f = open_memstream(&text, &len);
	if (!f)
		return NULL;
	json_array_foreach(paths, i, path)
	{
		if (i == WARN_PATHS)
			break;
		fputs(i > 0 ? ", " : "", f);
		format_name(f, path);
	}
	if (n > WARN_PATHS || field_flag(loss, "more"))
		fputs(" and others", f);
	fclose(f);
	return text;
}

void loss_warn(const char *dir, const json_t *mount)
{
	const json_t *loss = json_object_get(mount, "loss");
	_cleanup_free_ char *paths = NULL;

	if (!json_is_object(loss))
		return;
	paths = paths_text(loss);
	out_warning("%s: what is kept of its changes is damaged at byte %lld "
		    "of %s; it has what came before, and is read-only, and "
		    "later changes%s%s are lost: copy what you need, then "
		    "larder umount --discard it",
		    dir, (long long)field_number(loss, "byte"),
		    field_text(loss, "file"), paths ? " of " : "",
		    paths ? paths : "");
}

void loss_print(const json_t *mount, bool verbose)
{
	const json_t *loss = json_object_get(mount, "loss"), *path;
	const json_t *paths = json_object_get(loss, "paths");
	char count[FORMAT_MAX];
	size_t i, rest = 0;

	if (!json_is_object(loss))
		return;
	printf("         damaged at byte %lld of %s; lost is what was there, "
	       "and of later changes %s\n",
	       (long long)field_number(loss, "byte"), field_text(loss, "file"),
	       format_count((uint64_t)field_number(loss, "changes"), count));
	json_array_foreach(paths, i, path)
	{
		if (!verbose && i >= PRINT_PATHS) {
			rest++;
			continue;
		}
		fputs("         lost a change of ", stdout);
		format_name(stdout, path);
		putchar('\n');
	}
	if (rest > 0)
		printf("         and of %s others (-v shows them)\n",
		       format_count(rest, count));
	if (field_flag(loss, "more"))
		puts("         and of more than these");
}
