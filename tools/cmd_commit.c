/* SPDX-License-Identifier: Apache-2.0 */
/* larder commit: the view of a mount becomes an entry. */
#include <string.h>

#include "client.h"
#include "cmd.h"
#include "commit.h"
#include "fingerprint.h"
#include "fs/rpc.h"
#include "mode.h"
#include "out.h"
#include "place.h"
#include "store/base/cleanup.h"

static int run(const struct args *args)
{
	_cleanup_wanted_ struct wanted wanted = WANTED_INIT;
	struct key_options key = args->key;
	_cleanup_free_ char *dir = NULL;
	struct failure f;
	json_t *params;

	if (!args->name)
		return out_error(EXIT_USAGE, "commit: --name NAME is missing");
	/* What becomes an entry is no input of its key. */
	key.outputs = (struct strings){ args->operands, 1 };
	if (mode_check_commit("commit", args->mode_setting, &f) < 0 ||
	    wanted_compute(&key, &wanted, &f) < 0)
		return out_failure(&f);
	if (place_absolute(args->operands[0], &dir, &f) < 0 ||
	    commit_flush(dir, &f) < 0)
		return out_failure(&f);
	params = client_params(args);
	json_object_set_new(params, "dir", rpc_string(dir, strlen(dir)));
	json_object_set_new(params, "only_used", json_boolean(args->only_used));
	return commit_request(args, "commit", params, NULL, 0, &wanted);
}

static const struct option_def options[] = {
	{ "name", 0, OPTION_VALUE, "NAME", offsetof(struct args, name),
	  "The entry's name (required)." },
	{ "branch", 0, OPTION_VALUE, "BRANCH", offsetof(struct args, branch),
	  "The branch that it is of (default: none)." },
	{ "only-used", 0, OPTION_FLAG, NULL, offsetof(struct args, only_used),
	  "Leave out the files of the base that nobody has read since it was "
	  "mounted (larder diff --unused lists them), in the mount too." },
	{ "wait", 0, OPTION_FLAG, NULL, offsetof(struct args, wait),
	  "Wait until the entry is in the remote tiers, too; exit code 6 if one "
	  "cannot be reached or refuses it." },
	OPTION_END
};

const struct command cmd_commit = {
	.name = "commit",
	.summary = "make an entry of what a mount shows",
	.synopsis = "DIR --name NAME (--key KEY | KEY OPTIONS) [--branch "
		    "BRANCH] [--only-used]",
	.description = "Stores what the mount at DIR shows, stores only what "
		       "is new of it, and prints the new entry as NAME@KEY. "
		       "The mount goes on, with the new entry as its base.",
	.manual =
		"With --only-used, directories that hold nothing else are "
		"left out too, so that entries that are built on entries do "
		"not grow by what nobody needs any more. What is left out "
		"goes from the mount as well, which shows what the entry "
		"holds; the entry that it was mounted from keeps it.\n"
		"\n"
		"It is refused where LARDER_MODE or ACTIONS_CACHE_MODE do not "
		"allow a commit (larder-run(1)). An upload that fails is exit "
		"code 6 with --wait, though the entry is in the store here "
		"and the upload is tried again.",
	.options = options,
	.key_options = true,
	.operands_min = 1,
	.operands_max = 1,
	.run = run,
};
