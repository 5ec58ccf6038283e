/* SPDX-License-Identifier: Apache-2.0 */
/* larder push: an entry into the remote tiers. */
#include "client.h"
#include "cmd.h"
#include "format.h"
#include "keys.h"
#include "out.h"
#include "uploads.h"

static int run(const struct args *args)
{
	_cleanup_json_ json_t *result = NULL;
	json_t *params = client_params(args);
	struct failure f;
	int r;

	if (keys_add_signer(params, &f) < 0) {
		json_decref(params);
		return out_failure(&f);
	}

	json_object_set_new(params, "entry", json_string(args->operands[0]));
	json_object_set_new(params, "force", json_boolean(args->force));
	json_object_set_new(params, "wait", json_boolean(!args->no_wait));
	json_object_set_new(params, "progress", json_true());
	r = client_request("push", params, NULL, 0, &result);
	if (r)
		return r;
	r = uploads_report(args->operands[0], result);
	return args->json && out_json(json_incref(result)) ? EXIT_ERROR : r;
}

static const struct option_def options[] = {
	{ "to", 0, OPTION_VALUE, "URL", offsetof(struct args, to),
	  "The tier to put it into, in place of those of the configuration." },
	{ "force", 0, OPTION_FLAG, NULL, offsetof(struct args, force),
	  "Put all packs again, also those that are there." },
	{ "no-wait", 0, OPTION_FLAG, NULL, offsetof(struct args, no_wait),
	  "Do not wait: the daemon uploads it in the background." },
	OPTION_END
};

const struct command cmd_push = {
	.name = "push",
	.summary = "upload an entry to the remote tiers",
	.synopsis = "[--to URL] ENTRY",
	.description =
		"Puts an entry into every remote tier that may be written to. "
		"What a tier has already is not sent again. The upload is in "
		"a queue that survives the daemon; one that fails is tried "
		"again, and larder status shows it.",
	.manual = "commit, import and run do the same in the background. An "
		  "upload that fails is said, and is exit code 6, though the "
		  "entry is in the store here and the upload is tried again.",
	.options = options,
	.operands_min = 1,
	.operands_max = 1,
	.run = run,
};
