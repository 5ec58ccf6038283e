/* SPDX-License-Identifier: Apache-2.0 */
/* larder rm, pin and unpin: what becomes of an entry. */
#include "client.h"
#include "cmd.h"
#include "format.h"
#include "out.h"

/* Calls a method that takes an entry and gives its object. */
static int change(const struct args *args, const char *method, const char *done)
{
	_cleanup_json_ json_t *result = NULL;
	json_t *params = client_params(args);
	const json_t *entry;
	char key[FORMAT_MAX];
	int r;

	json_object_set_new(params, "entry", json_string(args->operands[0]));
	r = client_request(method, params, NULL, 0, &result);
	if (r)
		return r;
	if (args->json)
		return out_json(json_incref(result));
	entry = json_object_get(result, "entry");
	out_note("%s@%s %s", field_text(entry, "name"),
		 format_key(field_text(entry, "key"), key), done);
	return 0;
}

static int run_rm_remote(const struct args *args)
{
	_cleanup_json_ json_t *result = NULL;
	json_t *params = client_params(args), *tier;
	const json_t *entry;
	char key[FORMAT_MAX];
	size_t i;
	int r;

	json_object_set_new(params, "entry", json_string(args->operands[0]));
	r = client_request("rm_remote", params, NULL, 0, &result);
	if (r)
		return r;
	if (args->json)
		return out_json(json_incref(result));
	entry = json_object_get(result, "entry");
	json_array_foreach(json_object_get(result, "tiers"), i, tier)
		out_note("%s@%s removed from %s", field_text(entry, "name"),
			 format_key(field_text(entry, "key"), key),
			 json_string_value(tier));
	return 0;
}

static int run_rm(const struct args *args)
{
	return args->remote ? run_rm_remote(args) :
			      change(args, "rm", "removed");
}

static int run_pin(const struct args *args)
{
	return change(args, "pin", "pinned");
}

static int run_unpin(const struct args *args)
{
	return change(args, "unpin", "unpinned");
}

static const struct option_def options[] = { OPTION_END };

static const struct option_def rm_options[] = {
	{ "remote", 0, OPTION_FLAG, NULL, offsetof(struct args, remote),
	  "Remove it from the remote tiers that may be written to, and not "
	  "from this machine." },
	OPTION_END
};

const struct command cmd_rm = {
	.name = "rm",
	.summary = "remove an entry",
	.synopsis = "[--remote] ENTRY",
	.description = "Removes the entry, unless it is pinned. Mounts of it "
		       "and changes that were kept go on as they are; what "
		       "nobody needs is given back a little later, or by "
		       "larder gc at once. With --remote, the entry goes from "
		       "the remote tiers; its packs may be others' too, and "
		       "stay.",
	.options = rm_options,
	.operands_min = 1,
	.operands_max = 1,
	.run = run_rm,
};

const struct command cmd_pin = {
	.name = "pin",
	.summary = "keep an entry, however large the store is",
	.synopsis = "ENTRY",
	.description = "Keeps the entry from being removed, by larder gc, by "
		       "the daemon and by larder rm, until larder unpin. The "
		       "pin belongs to the key: an entry that replaces this "
		       "one has it too.",
	.options = options,
	.operands_min = 1,
	.operands_max = 1,
	.run = run_pin,
};

const struct command cmd_unpin = {
	.name = "unpin",
	.summary = "let an entry go again",
	.synopsis = "ENTRY",
	.description = "Takes back what larder pin did.",
	.options = options,
	.operands_min = 1,
	.operands_max = 1,
	.run = run_unpin,
};
