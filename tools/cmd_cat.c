/* SPDX-License-Identifier: Apache-2.0 */
/* larder cat: a file of an entry on standard output. */
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "cmd.h"
#include "fs/rpc.h"
#include "out.h"

static int run(const struct args *args)
{
	const char *path = args->operands[1];
	_cleanup_json_ json_t *result = NULL;
	json_t *params = client_params(args);
	int out = STDOUT_FILENO;

	if (args->json) {
		json_decref(params);
		return out_error(EXIT_USAGE,
				 "cat prints the file itself, so there is no "
				 "--json; see larder ls --json");
	}
	json_object_set_new(params, "entry", json_string(args->operands[0]));
	json_object_set_new(params, "path", rpc_string(path, strlen(path)));
	return client_request("cat", params, &out, 1, &result);
}

static const struct option_def options[] = { OPTION_END };

const struct command cmd_cat = {
	.name = "cat",
	.summary = "print a file of an entry",
	.synopsis = "ENTRY PATH",
	.description = "Writes the file PATH of an entry to standard output. "
		       "Nothing is mounted.",
	.options = options,
	.operands_min = 2,
	.operands_max = 2,
	.run = run,
};
