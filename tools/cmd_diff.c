/* SPDX-License-Identifier: Apache-2.0 */
/* larder diff: what a mount's upper changed, or what nobody read of its base. */
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "cmd.h"
#include "format.h"
#include "fs/rpc.h"
#include "out.h"
#include "place.h"
#include "store/base/cleanup.h"

static const struct {
	const char *change;
	char letter;
	enum out_colour colour;
} changes[] = {
	{ "added", 'A', OUT_GREEN },   { "modified", 'M', OUT_YELLOW },
	{ "metadata", 'P', OUT_BLUE }, { "removed", 'D', OUT_RED },
	{ "renamed", 'R', OUT_BLUE },
};

static void print_change(const json_t *item)
{
	const char *change = field_text(item, "change");
	const char *colour = "";
	char letter = '?';

	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++)
		if (strcmp(changes[i].change, change) == 0) {
			letter = changes[i].letter;
			colour = out_colour(changes[i].colour);
		}
	printf("%s%c%s ", colour, letter, *colour ? out_colour(OUT_PLAIN) : "");
	if (letter == 'R') {
		format_name(stdout, json_object_get(item, "from"));
		fputs(" -> ", stdout);
	}
	format_name(stdout, json_object_get(item, "path"));
	putchar('\n');
}

static void print_changes(const json_t *result)
{
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(result, "changes"), i, item)
		print_change(item);
}

/* ---- what nobody read */

static void print_unused(const json_t *result)
{
	char files[FORMAT_MAX], bytes[FORMAT_MAX];
	uint64_t sum = 0;
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(result, "unused"), i, item)
	{
		format_name(stdout, json_object_get(item, "path"));
		putchar('\n');
		sum += (uint64_t)field_number(item, "size");
	}
	if (field_flag(result, "known"))
		out_note("%s (%s) of the base were not read",
			 format_files((uint64_t)field_number(result, "files"),
				      files),
			 format_bytes(sum, bytes));
	else
		out_warning("what was read before the machine restarted is "
			    "not known, so all counts as used");
}

/* ---- both */

static int run(const struct args *args)
{
	_cleanup_json_ json_t *result = NULL;
	_cleanup_free_ char *dir = NULL;
	struct failure f;
	json_t *params;
	int r;

	if (place_absolute(args->operands[0], &dir, &f) < 0)
		return out_failure(&f);
	params = json_object();
	json_object_set_new(params, "dir", rpc_string(dir, strlen(dir)));
	r = client_request(args->unused ? "unused" : "diff", params, NULL, 0,
			   &result);
	if (r)
		return r;
	if (args->json)
		return out_json(json_incref(result));
	if (args->unused)
		print_unused(result);
	else
		print_changes(result);
	return 0;
}

static const struct option_def options[] = {
	{ "unused", 0, OPTION_FLAG, NULL, offsetof(struct args, unused),
	  "List the files of the base that nobody has read since it was "
	  "mounted, in place of the changes. Empty files and what was changed "
	  "count as used." },
	OPTION_END
};

const struct command cmd_diff = {
	.name = "diff",
	.summary = "show what was changed in a mount",
	.synopsis = "[--unused] DIR",
	.description = "Lists what differs in the mount at DIR from the entry "
		       "that it shows, a line each:\n"
		       "\n"
		       "  A path         added\n"
		       "  M path         content modified\n"
		       "  P path         mode, owner, time or attributes only\n"
		       "  D path         removed\n"
		       "  R old -> new   renamed",
	.manual =
		"Names with control characters, quotes or backslashes are "
		"quoted as in C.\n"
		"\n"
		"What --unused lists counts from when the base was mounted, "
		"or from when a larder run --only-used began that found the "
		"mount there. A file counts as read by whatever name, also by "
		"mmap(2) or running it; looking at names and attributes does "
		"not count. Files without content, and all but regular files, "
		"count as used. After a restart of the machine it is not "
		"known what was read before, and all of it counts as used.",
	.options = options,
	.operands_min = 1,
	.operands_max = 1,
	.run = run,
};
