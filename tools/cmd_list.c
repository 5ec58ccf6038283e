/* SPDX-License-Identifier: Apache-2.0 */
/* larder list: the entries of a namespace, newest first. */
#include <stdio.h>

#include "client.h"
#include "cmd.h"
#include "format.h"
#include "out.h"
#include "store/base/clock.h"

static void add_row(struct table *t, const json_t *entry, int64_t now,
		    bool remote)
{
	char text[FORMAT_MAX];

	if (remote)
		table_add(t, field_text(entry, "tier"));

	table_add(t, field_text(entry, "name"));
	table_add(t, format_key(field_text(entry, "key"), text));
	table_add(t, field_text(entry, "branch"));
	table_add(t,
		  format_count((uint64_t)field_number(entry, "files"), text));
	table_add(t,
		  format_bytes((uint64_t)field_number(entry, "bytes"), text));
	table_add(t, format_ago(field_number(entry, "created_ns"), now, text));
}

static void print_table(const json_t *entries, bool remote)
{
	static const char *const heads[] = { "TIER",   "NAME",	"KEY",
					     "BRANCH", "FILES", "SIZE",
					     "CREATED" };
	_cleanup_table_ struct table *t =
		table_new(remote ? "llllrrl" : "lllrrl");
	int64_t now = clock_wall_ns();
	json_t *entry;
	size_t i;

	for (i = remote ? 0 : 1; i < sizeof(heads) / sizeof(*heads); i++)
		table_add(t, heads[i]);
	json_array_foreach(entries, i, entry) add_row(t, entry, now, remote);
	table_print(t, stdout);
}

/* Tiers that could not be listed. */
static int report_failed(const json_t *failed)
{
	json_t *tier;
	size_t i;

	json_array_foreach(failed, i, tier) out_warning(
		"%s: %s", field_text(tier, "tier"), field_text(tier, "error"));
	return json_array_size(failed) ? EXIT_REMOTE : 0;
}

static void report_untrusted(const json_t *entries)
{
	json_t *entry;
	unsigned n = 0;
	size_t i;

	json_array_foreach(entries, i, entry)
		n += json_is_false(json_object_get(entry, "trusted"));
	if (n > 0)
		out_warning("%u of these entries have no signature of a key of "
			    "trusted-keys, and are not used (larder list "
			    "--remote --json tells which)",
			    n);
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
	r = client_request(args->remote ? "list_remote" : "list", params, NULL,
			   0, &result);
	if (r)
		return r;
	if (args->json)
		return out_json(json_incref(result));
	entries = json_object_get(result, "entries");
	report_untrusted(entries);
	r = report_failed(json_object_get(result, "failed"));
	if (json_array_size(entries) > 0)
		print_table(entries, args->remote);
	else
		out_note("no entries%s%s", name ? " of the name " : "",
			 name ? name : "");
	return r;
}

static const struct option_def options[] = {
	{ "name", 0, OPTION_VALUE, "NAME", offsetof(struct args, name),
	  "Only entries of this name." },
	{ "remote", 0, OPTION_FLAG, NULL, offsetof(struct args, remote),
	  "Those of the remote tiers that can be listed." },
	OPTION_END
};

const struct command cmd_list = {
	.name = "list",
	.summary = "list entries, newest first",
	.synopsis = "[--remote] [NAME]",
	.description = "Lists the entries of the namespace, or those of NAME; "
		       "with --remote those of each remote tier. Web servers "
		       "cannot list.",
	.options = options,
	.operands_max = 1,
	.run = run,
};
