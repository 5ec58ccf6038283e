/* SPDX-License-Identifier: Apache-2.0 */
/* larder list: the entries of a namespace, newest first. */
#include <stdio.h>

#include "client.h"
#include "cmd.h"
#include "format.h"
#include "out.h"
#include "store/base/clock.h"

static void add_row(struct table *t, const json_t *entry, int64_t now)
{
	char text[FORMAT_MAX];

	table_add(t, field_text(entry, "name"));
	table_add(t, format_key(field_text(entry, "key"), text));
	table_add(t, field_text(entry, "branch"));
	table_add(t,
		  format_count((uint64_t)field_number(entry, "files"), text));
	table_add(t,
		  format_bytes((uint64_t)field_number(entry, "bytes"), text));
	table_add(t, format_ago(field_number(entry, "created_ns"), now, text));
}

static void print_table(const json_t *entries)
{
	static const char *const heads[] = { "NAME",  "KEY",  "BRANCH",
					     "FILES", "SIZE", "CREATED" };
	_cleanup_table_ struct table *t = table_new("lllrrl");
	int64_t now = clock_wall_ns();
	json_t *entry;
	size_t i;

	for (i = 0; i < sizeof(heads) / sizeof(*heads); i++)
		table_add(t, heads[i]);
	json_array_foreach(entries, i, entry) add_row(t, entry, now);
	table_print(t, stdout);
}

static int run(const struct args *args)
{
	_cleanup_json_ json_t *result = NULL;
	json_t *params = client_params(args);
	const char *name = args->count > 0 ? args->operands[0] : args->name;
	json_t *entries;
	int r;

	if (name)
		json_object_set_new(params, "name", json_string(name));
	r = client_request("list", params, NULL, 0, &result);
	if (r)
		return r;
	if (args->json)
		return out_json(json_incref(result));
	entries = json_object_get(result, "entries");
	if (json_array_size(entries) > 0)
		print_table(entries);
	else
		out_note("no entries%s%s", name ? " of the name " : "",
			 name ? name : "");
	return 0;
}

static const struct option_def options[] = { { "name", 0, OPTION_VALUE, "NAME",
					       offsetof(struct args, name),
					       "Only entries of this name." },
					     OPTION_END };

const struct command cmd_list = {
	.name = "list",
	.summary = "list entries, newest first",
	.synopsis = "[NAME]",
	.description = "Lists the entries of the namespace, or those of NAME.",
	.options = options,
	.operands_max = 1,
	.run = run,
};
