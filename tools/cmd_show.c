/* SPDX-License-Identifier: Apache-2.0 */
/* larder show: an entry with the parts of its key. */
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "cmd.h"
#include "format.h"
#include "out.h"
#include "store/base/clock.h"

static void print_text(const json_t *entry, const char *label, const char *name)
{
	const char *text = field_text(entry, name);

	if (*text)
		printf("%-10s %s\n", label, text);
}

static void print_sizes(const json_t *e)
{
	char files[FORMAT_MAX], bytes[FORMAT_MAX], stored[FORMAT_MAX];

	printf("%-10s %s in %s directories, %s\n", "tree",
	       format_files((uint64_t)field_number(e, "files"), files),
	       format_count((uint64_t)field_number(e, "dirs"), stored),
	       format_bytes((uint64_t)field_number(e, "bytes"), bytes));
	printf("%-10s %s, %s, %s stored\n", "new",
	       format_files((uint64_t)field_number(e, "new_files"), files),
	       format_bytes((uint64_t)field_number(e, "new_bytes"), bytes),
	       format_bytes((uint64_t)field_number(e, "stored_bytes"), stored));
}

static void print_parts(const json_t *parts)
{
	json_t *part;
	size_t i;

	if (json_array_size(parts) > 0)
		puts("parts");
	json_array_foreach(parts, i, part)
	{
		printf("  %-10s %.12s ", field_text(part, "kind"),
		       field_text(part, "digest"));
		format_name(stdout, json_object_get(part, "name"));
		putchar('\n');
	}
}

/* Whether one of them is trusted shows only where somebody has to be. */
static void print_signers(const json_t *e)
{
	const json_t *trusted = json_object_get(e, "trusted");
	const json_t *names = json_object_get(e, "signed_by");
	json_t *name;
	size_t i;

	printf("%-10s", "signed by");
	json_array_foreach(names, i, name)
		printf(" %s", json_string_value(name));
	if (json_array_size(names) == 0)
		fputs(" nobody", stdout);
	if (json_is_boolean(trusted))
		fputs(json_is_true(trusted) ? " (trusted)" : " (not trusted)",
		      stdout);
	putchar('\n');
}

static void print_entry(const json_t *e)
{
	char ago[FORMAT_MAX];

	print_text(e, "name", "name");
	print_text(e, "key", "key");
	print_text(e, "branch", "branch");
	print_text(e, "parent", "parent");
	print_text(e, "catalog", "catalog");
	print_text(e, "creator", "creator");
	print_signers(e);
	printf("%-10s %s (%s)\n", "created", field_text(e, "created"),
	       format_ago(field_number(e, "created_ns"), clock_wall_ns(), ago));
	if (strcmp(field_text(e, "tenant"), "local") != 0)
		print_text(e, "tenant", "tenant");
	if (strcmp(field_text(e, "namespace"), "default") != 0)
		print_text(e, "namespace", "namespace");
	print_sizes(e);
	print_parts(json_object_get(e, "parts"));
}

static int run(const struct args *args)
{
	_cleanup_json_ json_t *result = NULL;
	json_t *params = client_params(args);
	int r;

	json_object_set_new(params, "entry", json_string(args->operands[0]));
	r = client_request("show", params, NULL, 0, &result);
	if (r)
		return r;
	if (args->json)
		return out_json(json_incref(result));
	print_entry(json_object_get(result, "entry"));
	return 0;
}

static const struct option_def options[] = { OPTION_END };

const struct command cmd_show = {
	.name = "show",
	.summary = "show an entry and the parts of its key",
	.synopsis = "ENTRY",
	.description = "Prints what is known of an entry: key, branch, the "
		       "entry it was built on, sizes, what it added, and the "
		       "parts of its key.",
	.options = options,
	.operands_min = 1,
	.operands_max = 1,
	.run = run,
};
