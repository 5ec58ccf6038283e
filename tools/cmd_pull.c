/* SPDX-License-Identifier: Apache-2.0 */
/* larder pull: an entry from the remote tiers. */
#include "client.h"
#include "cmd.h"
#include "format.h"
#include "out.h"

static void report(const json_t *result)
{
	const json_t *entry = json_object_get(result, "entry");
	char key[FORMAT_MAX], bytes[FORMAT_MAX], time[FORMAT_MAX];

	out_note("%s: %s is here; %lld of %lld packs fetched, %s in %s",
		 field_text(entry, "name"),
		 format_key(field_text(entry, "key"), key),
		 (long long)field_number(result, "packs_moved"),
		 (long long)field_number(result, "packs"),
		 format_bytes((uint64_t)field_number(result, "bytes_moved"),
			      bytes),
		 format_ms((uint64_t)field_number(result, "elapsed_ms"), time));
}

static int run(const struct args *args)
{
	_cleanup_json_ json_t *result = NULL;
	json_t *params = client_params(args);
	int r;

	json_object_set_new(params, "entry", json_string(args->operands[0]));
	json_object_set_new(params, "progress", json_true());
	r = client_request("pull", params, NULL, 0, &result);
	if (r)
		return r;
	if (args->json)
		return out_json(json_incref(result));
	report(result);
	return 0;
}

static const struct option_def options[] = {
	{ "from", 0, OPTION_VALUE, "URL", offsetof(struct args, from),
	  "The tier to take it from, in place of those of the "
	  "configuration." },
	OPTION_END
};

const struct command cmd_pull = {
	.name = "pull",
	.summary = "fetch an entry from the remote tiers, with all its files",
	.synopsis = "[--from URL] ENTRY",
	.description =
		"Brings an entry and all that belongs to its tree here, from "
		"the first remote tier that has it. What is here already is "
		"not fetched again, and everything is compared with its "
		"digest before it is used. larder mount does not need this.",
	.manual = "mount, run and all that read an entry find it in the tiers, "
		  "too. A tier that is down, full or gives wrong bytes is told "
		  "of once, in the daemon's log, and fails no build; after "
		  "three failures it is left alone until it answers again.",
	.options = options,
	.operands_min = 1,
	.operands_max = 1,
	.run = run,
};
