/* SPDX-License-Identifier: Apache-2.0 */
/* larder reset: a mount is again what its entry is. */
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "cmd.h"
#include "format.h"
#include "fs/rpc.h"
#include "out.h"
#include "place.h"
#include "store/base/cleanup.h"

static int run(const struct args *args)
{
	_cleanup_json_ json_t *result = NULL;
	_cleanup_free_ char *dir = NULL;
	char count[FORMAT_MAX];
	struct failure f;
	json_int_t n;
	json_t *params;
	int r;

	if (place_absolute(args->operands[0], &dir, &f) < 0)
		return out_failure(&f);
	params = json_object();
	json_object_set_new(params, "dir", rpc_string(dir, strlen(dir)));
	r = client_request("reset", params, NULL, 0, &result);
	if (r)
		return r;
	if (args->json)
		return out_json(json_incref(result));
	n = field_number(result, "changes");
	out_note("%s: %s %s dropped", args->operands[0],
		 format_count((uint64_t)n, count),
		 n == 1 ? "change" : "changes");
	return 0;
}

static const struct option_def options[] = { OPTION_END };

const struct command cmd_reset = {
	.name = "reset",
	.summary = "drop what was changed in a mount",
	.synopsis = "DIR",
	.description = "Drops all changes in the mount at DIR, which cannot be "
		       "undone: it then shows its entry again.",
	.options = options,
	.operands_min = 1,
	.operands_max = 1,
	.run = run,
};
