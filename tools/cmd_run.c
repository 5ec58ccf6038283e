/* SPDX-License-Identifier: Apache-2.0 */
/* larder run: its options, as a plan for run.c. */
#include "cmd.h"
#include "run.h"

static int run(const struct args *args)
{
	const struct run_plan plan = {
		.tenant = args->tenant,
		.namespace = args->namespace,
		.name = args->name,
		.paths = args->paths,
		.key = args->key,
		.branch = args->branch,
		.command = args->operands,
		.always = args->always,
		.json = args->json,
	};

	return run_plan(&plan);
}

static const struct option_def options[] = {
	{ "path", 0, OPTION_LIST, "DIR", offsetof(struct args, paths),
	  "The directory that the command fills (required). It is created "
	  "where it is missing, and must be empty or a mount of Larder." },
	{ "name", 0, OPTION_VALUE, "NAME", offsetof(struct args, name),
	  "The entry's name. Default: DIR relative to the top of the git work "
	  "tree, or else to the current directory, with - for / and without "
	  "leading dots, such as web-node_modules." },
	{ "branch", 0, OPTION_VALUE, "BRANCH", offsetof(struct args, branch),
	  "The branch whose entries are looked at first. Default: the one "
	  "that git has checked out." },
	{ "always", 0, OPTION_FLAG, NULL, offsetof(struct args, always),
	  "Run the command also on an exact hit." },
	OPTION_END
};

const struct command cmd_run = {
	.name = "run",
	.summary = "mount a build's output, or run the build and keep it",
	.synopsis = "--path DIR KEY OPTIONS [OPTION]... -- COMMAND "
		    "[ARGUMENT]...",
	.description =
		"Computes the key of the inputs and looks for its entry. An "
		"exact hit is mounted at DIR and the command is skipped. Else "
		"the nearest entry is mounted (the newest of the name and "
		"branch, then the newest of the name), or an empty tree; the "
		"command runs, and if it succeeds the tree is committed under "
		"the key. The mount stays.\n"
		"\n"
		"The command finds LARDER_OUTCOME (exact, partial or miss), "
		"LARDER_MATCHED (the entry that is the base) and LARDER_KEY in "
		"its environment. Its exit code is passed on; where it fails, "
		"nothing is committed. Inputs that changed meanwhile mean no "
		"commit and exit code 9. Where there is no FUSE or no daemon, "
		"the command runs on the plain directory. With --json its "
		"standard output goes to standard error.\n"
		"\n"
		"  larder run --path node_modules --key-file package-lock.json "
		"\\\n"
		"      -- npm ci",
	.options = options,
	.key_options = true,
	.takes_command = true,
	.operands_min = 1,
	.operands_max = ~0u,
	.run = run,
};
