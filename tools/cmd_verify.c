/* SPDX-License-Identifier: Apache-2.0 */
/* larder verify: looks at every byte of the store, and mends what it can. */
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "cmd.h"
#include "format.h"
#include "out.h"

static const char *outcome_text(const char *outcome)
{
	static const char *const words[][2] = {
		{ "left", "still damaged" },
		{ "mended", "mended" },
		{ "set_aside", "set aside" },
		{ "removed", "removed" },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(words[i][0], outcome) == 0)
			return words[i][1];
	return outcome;
}

static void print_damaged(const json_t *result)
{
	bool repair = field_flag(result, "repair");
	json_t *d;
	size_t i;

	json_array_foreach(json_object_get(result, "damaged"), i, d)
	{
		printf("%s %s: %s", field_text(d, "kind"),
		       field_text(d, "name"), field_text(d, "what"));
		if (repair)
			printf("; %s", outcome_text(field_text(d, "outcome")));
		putchar('\n');
	}
}

static void say_totals(const json_t *result)
{
	uint64_t records = (uint64_t)field_number(result, "bad_records");
	uint64_t left = (uint64_t)field_number(result, "left");
	bool repair = field_flag(result, "repair");
	char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX], d[FORMAT_MAX];

	out_note("%s chunks in %s packs, %s, and %s entries looked at",
		 format_count((uint64_t)field_number(result, "chunks"), a),
		 format_count((uint64_t)field_number(result, "packs"), b),
		 format_bytes((uint64_t)field_number(result, "bytes"), c),
		 format_count((uint64_t)field_number(result, "entries"), d));
	if (records > 0)
		out_note("%s records of the index are wrong%s",
			 format_count(records, a),
			 repair ? ", and were removed" : "");
	if (left == 0)
		out_note(json_array_size(json_object_get(result, "damaged")) >
					 0 ?
				 "nothing is damaged any more" :
				 "nothing is damaged");
	else if (!repair)
		out_note("larder verify --repair mends what can be mended, "
			 "fetches again what remote tiers have, and removes "
			 "the entries of which something is lost");
}

static int run(const struct args *args)
{
	_cleanup_json_ json_t *result = NULL;
	json_t *params = client_params(args);
	bool left;
	int r;

	json_object_set_new(params, "repair", json_boolean(args->repair));
	json_object_set_new(params, "progress", json_true());
	r = client_request("verify", params, NULL, 0, &result);
	if (r)
		return r;
	left = field_number(result, "left") > 0;
	if (args->json) {
		r = out_json(json_incref(result));
	} else {
		print_damaged(result);
		say_totals(result);
	}
	return r ? r : left ? EXIT_VERIFY : 0;
}

static const struct option_def options[] = { { "repair", 0, OPTION_FLAG, NULL,
					       offsetof(struct args, repair),
					       "Mend what is damaged." },
					     OPTION_END };

const struct command cmd_verify = {
	.name = "verify",
	.summary = "look for damage in the store",
	.synopsis = "[--repair]",
	.description =
		"Reads every pack, and compares every chunk and catalog with "
		"its digest; then looks whether each entry has all that it "
		"needs, and whether the index tells the truth. What is damaged "
		"is named; the exit code is 7 where something is. Mounts, "
		"builds and commits can go on meanwhile.\n"
		"\n"
		"With --repair, what is good in damaged packs is stored anew "
		"and the packs are set aside, to the directory quarantine of "
		"the store; what is lost is fetched again where a remote tier "
		"has it; and the entries that still miss something are removed, "
		"unless they are pinned, so that the next build makes them "
		"again.",
	.options = options,
	.run = run,
};
