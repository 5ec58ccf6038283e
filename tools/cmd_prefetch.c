/* SPDX-License-Identifier: Apache-2.0 */
/* larder prefetch: the files of an entry, before somebody reads them. */
#include "client.h"
#include "cmd.h"
#include "format.h"
#include "out.h"

static int run(const struct args *args)
{
	_cleanup_json_ json_t *result = NULL;
	json_t *params = client_params(args);
	char text[FORMAT_MAX], bytes[FORMAT_MAX], time[FORMAT_MAX];
	const json_t *entry;
	int r;

	json_object_set_new(params, "entry", json_string(args->operands[0]));
	json_object_set_new(params, "progress", json_true());
	r = client_request("prefetch", params, NULL, 0, &result);
	if (r)
		return r;
	if (args->json)
		return out_json(json_incref(result));
	entry = json_object_get(result, "entry");
	out_note("%s: %s is here; %s fetched in %s", field_text(entry, "name"),
		 format_key(field_text(entry, "key"), text),
		 format_bytes((uint64_t)field_number(result, "fetched_bytes"),
			      bytes),
		 format_ms((uint64_t)field_number(result, "elapsed_ms"), time));
	return 0;
}

static const struct option_def options[] = { OPTION_END };

const struct command cmd_prefetch = {
	.name = "prefetch",
	.summary = "fetch what is missing of an entry's files",
	.synopsis = "ENTRY",
	.description =
		"Fetches the content of an entry's files that is not on this "
		"machine from the remote tiers, also while the entry is "
		"mounted; its readers come first. Needed only to have all of "
		"it before the network goes, since files of a mount are "
		"fetched when they are read. See also larder mount --fill.",
	.manual =
		"What earlier runs read first is fetched ahead of the reader: "
		"the daemon notes it, and larder push takes it along.",
	.options = options,
	.operands_min = 1,
	.operands_max = 1,
	.run = run,
};
