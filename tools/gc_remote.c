/* SPDX-License-Identifier: Apache-2.0 */
/* Collecting a remote tier: parameters, and what came of it. */
#include "gc_remote.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "client.h"
#include "cmd.h"
#include "format.h"
#include "out.h"
#include "store/base/clock.h"

#define NUMBER_MAX 1000000000UL

const char *gc_remote_option(const struct args *args)
{
	return args->keep_days ? "keep-days" :
	       args->keep_last ? "keep-last" :
	       args->max_size  ? "max-size" :
	       args->grace     ? "grace" :
	       args->count > 0 ? "remote" :
				 NULL;
}

/* 0, or EXIT_USAGE after a sentence. */
static int add_number(json_t *params, const char *option, const char *field,
		      const char *text, unsigned long least)
{
	unsigned long n;
	char *end;

	if (!text)
		return 0;
	errno = 0;
	n = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || n < least ||
	    n > NUMBER_MAX)
		return out_error(EXIT_USAGE,
				 "--%s takes a number from %lu on, and not "
				 "%.100s",
				 option, least, text);
	json_object_set_new(params, field, json_integer((json_int_t)n));
	return 0;
}

static int add_params(const struct args *args, json_t *params)
{
	int r = add_number(params, "keep-days", "keep_days", args->keep_days,
			   1);

	if (r == 0)
		r = add_number(params, "keep-last", "keep_last",
			       args->keep_last, 1);
	if (r == 0)
		r = add_number(params, "grace", "grace", args->grace, 0);
	if (args->max_size)
		json_object_set_new(params, "max_size",
				    json_string(args->max_size));
	if (args->count > 0)
		json_object_set_new(params, "tier",
				    json_string(args->operands[0]));
	json_object_set_new(params, "dry_run", json_boolean(args->dry_run));
	json_object_set_new(params, "progress", json_true());
	return r;
}

/* ---- telling */

static void print_removed(const json_t *result)
{
	static const char *const heads[] = { "NAME", "KEY", "BRANCH",
					     "SIZE", "PUT", "WHY" };
	_cleanup_table_ struct table *t = table_new("lllrll");
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
		table_add(t, field_text(e, "branch"));
		table_add(t, format_bytes((uint64_t)field_number(e, "bytes"),
					  text));
		table_add(t, format_ago(field_number(e, "put_ns"), now, text));
		table_add(t, field_text(e, "reason"));
	}
	table_print(t, stdout);
}

static uint64_t number(const json_t *result, const char *name)
{
	return (uint64_t)field_number(result, name);
}

static void say_rest(const json_t *result)
{
	char a[FORMAT_MAX], b[FORMAT_MAX];

	if (number(result, "waiting") > 0)
		out_note("%s objects (%s) that nothing needs are too young to "
			 "go",
			 format_count(number(result, "waiting"), a),
			 format_bytes(number(result, "waiting_bytes"), b));
	if (number(result, "unreadable") > 0)
		out_note("%s entries cannot be read and are too young to go; "
			 "until then no object goes, since they may need it",
			 format_count(number(result, "unreadable"), a));
	if (field_flag(result, "over"))
		out_note("that is still more than --max-size: the rest is "
			 "pinned here, too young or kept by the other rules");
}

static void say_totals(const json_t *result)
{
	size_t removed = json_array_size(json_object_get(result, "removed"));
	uint64_t objects = number(result, "removed_packs") +
			   number(result, "removed_trees") +
			   number(result, "removed_records");
	char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX], d[FORMAT_MAX];

	out_note("%s: %s%s of %s entries and %s objects removed, %s given back",
		 field_text(result, "tier"),
		 field_flag(result, "dry_run") ? "would be: " : "",
		 format_count(removed, a),
		 format_count(number(result, "entries"), b),
		 format_count(objects, c),
		 format_bytes(number(result, "removed_bytes"), d));
	say_rest(result);
}

int gc_remote(const struct args *args)
{
	_cleanup_json_ json_t *result = NULL;
	json_t *params = client_params(args);
	int r = add_params(args, params);

	if (r) {
		json_decref(params);
		return r;
	}
	r = client_request("gc_remote", params, NULL, 0, &result);
	if (r)
		return r;
	if (args->json)
		return out_json(json_incref(result));
	if (json_array_size(json_object_get(result, "removed")) > 0)
		print_removed(result);
	say_totals(result);
	return 0;
}
