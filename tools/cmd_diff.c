/* SPDX-License-Identifier: Apache-2.0 */
/* larder diff: what a mount's upper changed. */
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

static int run(const struct args *args)
{
	_cleanup_json_ json_t *result = NULL;
	_cleanup_free_ char *dir = NULL;
	json_t *params, *items, *item;
	struct failure f;
	size_t i;
	int r;

	if (place_absolute(args->operands[0], &dir, &f) < 0)
		return out_failure(&f);
	params = json_object();
	json_object_set_new(params, "dir", rpc_string(dir, strlen(dir)));
	r = client_request("diff", params, NULL, 0, &result);
	if (r)
		return r;
	if (args->json)
		return out_json(json_incref(result));
	items = json_object_get(result, "changes");
	json_array_foreach(items, i, item) print_change(item);
	return 0;
}

static const struct option_def options[] = { OPTION_END };

const struct command cmd_diff = {
	.name = "diff",
	.summary = "show what was changed in a mount",
	.synopsis = "DIR",
	.description = "Lists what differs in the mount at DIR from the entry "
		       "that it shows, a line each:\n"
		       "\n"
		       "  A path         added\n"
		       "  M path         content modified\n"
		       "  P path         mode, owner, time or attributes only\n"
		       "  D path         removed\n"
		       "  R old -> new   renamed",
	.options = options,
	.operands_min = 1,
	.operands_max = 1,
	.run = run,
};
