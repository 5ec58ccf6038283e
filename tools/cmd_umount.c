/* SPDX-License-Identifier: Apache-2.0 */
/* larder umount: ends a mount; changes in it are kept unless discarded. */
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "cmd.h"
#include "fs/rpc.h"
#include "out.h"
#include "place.h"
#include "store/base/cleanup.h"

static int run(const struct args *args)
{
	_cleanup_json_ json_t *result = NULL;
	_cleanup_free_ char *dir = NULL;
	struct failure f;
	json_t *params;
	int r;

	if (place_absolute(args->operands[0], &dir, &f) < 0)
		return out_failure(&f);
	if (!args->lazy && place_contains_us(dir))
		return out_error(EXIT_BUSY,
				 "%s: the current directory is in it; leave it "
				 "first",
				 args->operands[0]);
	params = json_pack("{s:o, s:b, s:b}", "dir",
			   rpc_string(dir, strlen(dir)), "lazy", args->lazy,
			   "discard", args->discard);
	r = client_request("umount", params, NULL, 0, &result);
	if (r)
		return r;
	if (args->json)
		return out_json(json_incref(result));
	if (field_flag(result, "kept"))
		out_note("%s: its changes are kept; larder mount --resume %s "
			 "mounts it with them again",
			 args->operands[0], args->operands[0]);
	if (field_flag(result, "over_files"))
		out_note("%s: it shows its own files again, as they were "
			 "beneath the mount",
			 args->operands[0]);
	return 0;
}

static const struct option_def options[] = {
	{ "lazy", 'l', OPTION_FLAG, NULL, offsetof(struct args, lazy),
	  "Also when it is in use: it goes when the last user does." },
	{ "discard", 0, OPTION_FLAG, NULL, offsetof(struct args, discard),
	  "Drop the changes; this cannot be undone." },
	OPTION_END
};

const struct command cmd_umount = {
	.name = "umount",
	.summary = "end a mount",
	.synopsis = "[--lazy] [--discard] DIR",
	.description = "Ends the mount at DIR. Changes that were not committed "
		       "are kept, and larder mount --resume DIR brings them "
		       "back.",
	.options = options,
	.operands_min = 1,
	.operands_max = 1,
	.run = run,
};
