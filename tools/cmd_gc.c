/* SPDX-License-Identifier: Apache-2.0 */
/* larder gc: brings the store within its limits, or says what that would do. */
#include <stdio.h>

#include "client.h"
#include "cmd.h"
#include "format.h"
#include "out.h"
#include "store/base/clock.h"

static void print_removed(const json_t *result)
{
	static const char *const heads[] = { "NAME", "KEY", "SIZE", "CREATED",
					     "WHY" };
	_cleanup_table_ struct table *t = table_new("llrll");
	int64_t now = clock_wall_ns();
	char text[FORMAT_MAX];
	json_t *e;
	size_t i;

	for (i = 0; i < sizeof(heads) / sizeof(*heads); i++)
		table_add(t, heads[i]);
	json_array_foreach(json_object_get(result, "removed"), i, e)
	{
		table_add(t, field_text(e, "name"));
		table_add(t, format_key(field_text(e, "key"), text));
		table_add(t, format_bytes((uint64_t)field_number(e, "bytes"),
					  text));
		table_add(t,
			  format_ago(field_number(e, "created_ns"), now, text));
		table_add(t, field_text(e, "reason"));
	}
	table_print(t, stdout);
}

static uint64_t bytes_of(const json_t *result, const char *when)
{
	return (uint64_t)field_number(json_object_get(result, when), "bytes");
}

static void say_totals(const json_t *result)
{
	uint64_t before = bytes_of(result, "before");
	uint64_t after = bytes_of(result, "after");
	const json_t *limit = json_object_get(result, "limit_bytes");
	char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX];

	out_note("%s%s of %s entries removed, %s given back; the store has %s",
		 field_flag(result, "dry_run") ? "would be: " : "",
		 format_count(
			 json_array_size(json_object_get(result, "removed")),
			 a),
		 format_count((uint64_t)field_number(result, "entries"), b),
		 format_bytes(before > after ? before - after : 0, c),
		 format_bytes(after, (char[FORMAT_MAX]){ "" }));
	if (field_number(result, "unreadable") > 0)
		out_note("%s trees cannot be read, so no pack was removed; "
			 "larder rm their entries, or build them again",
			 format_count((uint64_t)field_number(result,
							     "unreadable"),
				      a));
	if (field_flag(json_object_get(result, "after"), "over"))
		out_note("that is still over the limit%s%s: the rest is in "
			 "use, pinned or too young",
			 json_is_integer(limit) ? " of " : "",
			 json_is_integer(limit) ?
				 format_bytes(
					 (uint64_t)json_integer_value(limit),
					 a) :
				 "");
}

static int run(const struct args *args)
{
	_cleanup_json_ json_t *result = NULL;
	json_t *params = client_params(args);
	int r;

	json_object_set_new(params, "dry_run", json_boolean(args->dry_run));
	json_object_set_new(params, "progress", json_true());
	r = client_request("gc", params, NULL, 0, &result);
	if (r)
		return r;
	if (args->json)
		return out_json(json_incref(result));
	if (json_array_size(json_object_get(result, "removed")) > 0)
		print_removed(result);
	say_totals(result);
	return 0;
}

static const struct option_def options[] = {
	{ "dry-run", 'n', OPTION_FLAG, NULL, offsetof(struct args, dry_run),
	  "Only say what would be removed." },
	OPTION_END
};

const struct command cmd_gc = {
	.name = "gc",
	.summary = "bring the store within its limits",
	.synopsis = "[--dry-run]",
	.description =
		"Removes what no entry needs any more and, where the store is "
		"over its limits (store.max-size, store.max-objects and "
		"store.min-free of config.yml), the entries that were used "
		"least recently. Entries that are pinned, mounted, needed by "
		"changes that were kept, or younger than store.grace stay.\n"
		"\n"
		"Catalogs of entries that are not the newest of their name or "
		"branch are folded first: they take what they differ by.\n"
		"\n"
		"The daemon does the same by itself, when the store is over a "
		"limit and when nobody uses it. Limits that were changed in a "
		"file count for the next daemon.",
	.manual = "Mounting, committing, materializing, exporting and reading "
		  "is using. Packs of which more than half is needed no more "
		  "are written anew. With --dry-run, it only says what would "
		  "go.",
	.options = options,
	.run = run,
};
