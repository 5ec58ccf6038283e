/* SPDX-License-Identifier: Apache-2.0 */
/* larder gc: brings the store within its limits, or says what that would do; and
 * collects a remote tier. */
#include <stdio.h>

#include "client.h"
#include "cmd.h"
#include "format.h"
#include "gc_remote.h"
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

static void say_repacked(const json_t *repacked)
{
	uint64_t in_use = (uint64_t)field_number(repacked, "in_use");
	char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX];

	out_note("%s packs compressed better: %s are %s now",
		 format_count((uint64_t)field_number(repacked, "packs"), a),
		 format_bytes((uint64_t)field_number(repacked, "before_bytes"),
			      b),
		 format_bytes((uint64_t)field_number(repacked, "after_bytes"),
			      c));
	if (in_use > 0)
		out_note("%s packs stay as they are while trees that need "
			 "them are mounted",
			 format_count(in_use, a));
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
	const char *remote = gc_remote_option(args);
	json_t *params;
	int r;

	if (args->remote && args->repack)
		return out_error(EXIT_USAGE,
				 "--repack is for the store here, whose packs "
				 "a tier has no part in");
	if (args->remote)
		return gc_remote(args);
	if (remote)
		return out_error(
			EXIT_USAGE,
			args->count > 0 ?
				"a tier is collected with --%s" :
				"--%s is for remote tiers; the store's "
				"own limits are in config.yml "
				"(larder-config(5))",
			remote);
	params = client_params(args);
	json_object_set_new(params, "dry_run", json_boolean(args->dry_run));
	json_object_set_new(params, "repack", json_boolean(args->repack));
	json_object_set_new(params, "progress", json_true());
	r = client_request("gc", params, NULL, 0, &result);
	if (r)
		return r;
	if (args->json)
		return out_json(json_incref(result));
	if (json_array_size(json_object_get(result, "removed")) > 0)
		print_removed(result);
	if (args->repack)
		say_repacked(json_object_get(result, "repacked"));
	say_totals(result);
	return 0;
}

static const struct option_def options[] = {
	{ "dry-run", 'n', OPTION_FLAG, NULL, offsetof(struct args, dry_run),
	  "Only say what would be removed." },
	{ "repack", 0, OPTION_FLAG, NULL, offsetof(struct args, repack),
	  "Compress packs better first, which takes a processor for minutes a "
	  "gigabyte." },
	{ "remote", 0, OPTION_FLAG, NULL, offsetof(struct args, remote),
	  "Collect a remote tier, and not the store." },
	{ "keep-days", 0, OPTION_VALUE, "N", offsetof(struct args, keep_days),
	  "Of a tier: keep the entries of the last N days." },
	{ "keep-last", 0, OPTION_VALUE, "N", offsetof(struct args, keep_last),
	  "Of a tier: keep the newest N entries of each name and branch." },
	{ "max-size", 0, OPTION_VALUE, "SIZE", offsetof(struct args, max_size),
	  "Of a tier: keep the newest other entries as long as all takes no "
	  "more: bytes, or 500M, 20G, 1T." },
	{ "grace", 0, OPTION_VALUE, "SECONDS", offsetof(struct args, grace),
	  "Of a tier: what is younger stays in any case. A day, unless given." },
	OPTION_END
};

const struct command cmd_gc = {
	.name = "gc",
	.summary = "bring the store within its limits",
	.synopsis =
		"[--dry-run | --repack]\n--remote [TIER] [--dry-run] [--keep-days N] "
		"[--keep-last N] [--max-size SIZE] [--grace SECONDS]",
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
		"With --repack, the packs of imports are compressed anew "
		"before, at a high level and with a better dictionary; those "
		"that were sent to a remote tier or came from one, and those "
		"of mounted trees, stay as they are. The newest catalogs are "
		"folded, too: mounting one waits some milliseconds more.\n"
		"\n"
		"The daemon does the same by itself, when the store is over a "
		"limit and when nobody uses it; it repacks when nobody has "
		"asked for anything for a minute (store.repack). Limits that "
		"were changed in a file count for the next daemon.\n"
		"\n"
		"With --remote, removes from the namespace in TIER (or in the "
		"only remote tier that may be written to) what no entry there "
		"needs any more. Which entries stay there is told by the "
		"options: without any, all do; with --keep-days or --keep-last, "
		"those, and those that are pinned on this machine or younger "
		"than the grace time. Others may push to the tier meanwhile. A "
		"web server cannot be collected, since it cannot list: collect "
		"the directory behind it.",
	.manual = "Mounting, committing, materializing, exporting and reading "
		  "is using. Packs of which more than half is needed no more "
		  "are written anew. With --dry-run, it only says what would "
		  "go.\n"
		  "\n"
		  "How old something is in a tier, is told by the tier's "
		  "clock. A mount elsewhere that has not fetched all of an "
		  "entry that goes cannot read the rest any more. Older "
		  "versions of Larder that push to the tier are protected by "
		  "the grace time only.",
	.options = options,
	.operands_max = 1,
	.run = run,
};
