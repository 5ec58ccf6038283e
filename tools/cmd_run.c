/* SPDX-License-Identifier: Apache-2.0 */
/* larder run: its options, as a plan for run.c. */
#include <stdlib.h>

#include "cmd.h"
#include "out.h"
#include "run.h"
#include "run_project.h"

/* Those of --path, and then those of --file. */
static int all_paths(const struct args *args, struct strings *paths)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < args->paths.count; i++)
		r = strings_add(paths, args->paths.items[i]);
	for (size_t i = 0; r == 0 && i < args->files.count; i++)
		r = strings_add(paths, args->files.items[i]);
	return r;
}

/* What the options themselves describe. */
static int run_options(const struct args *args)
{
	struct strings paths = { NULL, 0 };
	struct run_plan plan;
	struct failure f;
	int code;

	run_plan_init(&plan, args);
	plan.name = args->name;
	plan.nfiles = args->files.count;
	plan.key = args->key;
	if (all_paths(args, &paths) < 0)
		code = out_error(EXIT_ERROR, "out of memory");
	else if (mode_choose(args->mode, args->mode_setting, &plan.mode, &f) <
		 0)
		code = out_failure(&f);
	else {
		plan.paths = paths;
		code = run_plan(&plan);
	}
	free(paths.items);
	return code;
}

static int run(const struct args *args)
{
	bool described = args->paths.count > 0 || args->files.count > 0 ||
			 args->key.key || key_options_any_part(&args->key);

	if (!described)
		return run_project(args);
	if (args->names.count > 0 || args->preset)
		return out_error(EXIT_USAGE,
				 "run: --path and key options describe a run; "
				 "%s does too",
				 args->names.count ? args->names.items[0] :
						     "--preset");
	if (args->count == 0)
		return out_error(EXIT_USAGE,
				 "run: the command is missing: larder run "
				 "--path DIR KEY OPTIONS -- COMMAND "
				 "[ARGUMENT]...");
	return run_options(args);
}

static const struct option_def options[] = {
	{ "path", 0, OPTION_LIST, "DIR", offsetof(struct args, paths),
	  "The directory that the command fills. It is created "
	  "where it is missing, and must be empty or a mount of Larder. "
	  "Several make one entry, and each is mounted in its place. A file "
	  "that is there is kept as with --file." },
	{ "file", 0, OPTION_LIST, "FILE", offsetof(struct args, files),
	  "A file that the command makes. It is written to its place, and is "
	  "a part of the same entry; where there is none when the command has "
	  "ended, none is kept." },
	{ "preset", 0, OPTION_VALUE, "PRESET", offsetof(struct args, preset),
	  "What is known of a tool instead of --path, key options and, where "
	  "none is given, the command: npm, yarn, pnpm, bun, cargo, go, pip, "
	  "ccache, or auto for the one whose lock file is here. With :output "
	  "behind it, its output is kept (node_modules), with :store its own "
	  "store, such as npm's cache." },
	{ "name", 0, OPTION_VALUE, "NAME", offsetof(struct args, name),
	  "The entry's name. Default: DIR relative to the top of the git work "
	  "tree, or else to the current directory, with - for / and without "
	  "leading dots, such as web-node_modules." },
	{ "branch", 0, OPTION_VALUE, "BRANCH", offsetof(struct args, branch),
	  "The branch whose entries are looked at first, and that the new "
	  "entry is of. Default: the one that git has checked out, or that "
	  "the environment of a CI system names." },
	{ "mode", 0, OPTION_VALUE, "MODE", offsetof(struct args, mode),
	  "default; read-only: never commits; force: an exact hit or exit "
	  "code 3; refresh: looks nothing up, replaces the entry; write-only: "
	  "looks nothing up, commits where there is no entry; off: no cache "
	  "at all. Default: LARDER_MODE." },
	{ "restore-prefix", 0, OPTION_LIST, "PREFIX",
	  offsetof(struct args, restore_prefixes),
	  "Where the key has no entry, begin with the newest whose key begins "
	  "with PREFIX. The first PREFIX that has one wins, and comes before "
	  "the branch." },
	{ "no-restore", 0, OPTION_FLAG, NULL, offsetof(struct args, no_restore),
	  "Begin with no entry of the branch or the name." },
	{ "always", 0, OPTION_FLAG, NULL, offsetof(struct args, always),
	  "Run the command also on an exact hit." },
	{ "commit-on-failure", 0, OPTION_FLAG, NULL,
	  offsetof(struct args, commit_on_failure),
	  "Commit also what a command left that failed (not one that a signal "
	  "ended)." },
	{ "no-wait", 0, OPTION_FLAG, NULL, offsetof(struct args, no_wait),
	  "Build also what another run is just building. A directory in which "
	  "another run is at work is refused, exit code 8." },
	{ "wait", 0, OPTION_FLAG, NULL, offsetof(struct args, wait),
	  "Wait until what was committed is in the remote tiers, too. An upload "
	  "that fails is told and goes on in the background." },
	{ "ephemeral", 0, OPTION_FLAG, NULL, offsetof(struct args, ephemeral),
	  "Unmount at the end what was mounted, and drop what was not "
	  "committed." },
	{ "only-used", 0, OPTION_FLAG, NULL, offsetof(struct args, only_used),
	  "Commit nothing of the base that nobody has read during the run "
	  "(larder diff --unused lists it); it goes from the mount, too." },
	{ "materialize", 0, OPTION_FLAG, NULL,
	  offsetof(struct args, materialize),
	  "Write the tree into DIR instead of mounting it, as is done by "
	  "itself where there is no FUSE." },
	{ "adopt", 0, OPTION_FLAG, NULL, offsetof(struct args, adopt),
	  "Begin with the files that DIR holds already, which are refused "
	  "otherwise. Beneath a mount they stay as they are." },
	{ "writeback", 0, OPTION_FLAG, NULL, offsetof(struct args, writeback),
	  "Mount, where nothing is mounted yet, with -o writeback: faster for "
	  "tools that write little at a time; larder(1) says what it gives "
	  "up." },
	OPTION_END
};

const struct command cmd_run = {
	.name = "run",
	.summary = "mount a build's output, or run the build and keep it",
	.synopsis = "--path DIR KEY OPTIONS [OPTION]... -- COMMAND "
		    "[ARGUMENT]...\n"
		    "[OPTION]... [NAME]... [-- COMMAND [ARGUMENT]...]\n"
		    "--preset PRESET [OPTION]... [-- COMMAND [ARGUMENT]...]",
	.description =
		"Computes the key of the inputs and looks for its entry. An "
		"exact hit is mounted at DIR and the command is skipped. Else "
		"the nearest entry is mounted (by --restore-prefix, then the "
		"newest of the name and branch, then the newest of the name), "
		"or an empty tree; the "
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
		"Without --path, key options and a preset, larder.yml says "
		"what is to be done: each NAME is one of its caches, none "
		"means all. A command that is given runs once, with all of "
		"them set up, and LARDER_OUTCOME_NAME for each.\n"
		"\n"
		"  larder run --path node_modules --key-file package-lock.json "
		"\\\n"
		"      -- npm ci",
	.options = options,
	.key_options = true,
	.takes_command = true,
	.takes_names = true,
	.operands_max = ~0u,
	.run = run,
};
