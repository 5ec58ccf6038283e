/* SPDX-License-Identifier: Apache-2.0 */
/* larder completion: what a shell needs to complete larder's words. */
#include <stdio.h>

#include "cmd.h"
#include "completion.h"
#include "out.h"

static int run(const struct args *args)
{
	const char *shell = args->operands[0];

	if (args->json)
		return out_error(EXIT_USAGE, "completion prints a script, and "
					     "no JSON");
	if (completion_print(stdout, shell, larder_commands) < 0)
		return out_error(EXIT_USAGE,
				 "completion %s: there are bash, zsh and fish",
				 shell);
	return 0;
}

static const struct option_def options[] = { OPTION_END };

const struct command cmd_completion = {
	.name = "completion",
	.summary = "print completions for a shell",
	.synopsis = "bash|zsh|fish",
	.description =
		"Prints the script that completes commands and options in "
		"that shell. An installation has them where the shells look; "
		"else, for bash:\n"
		"\n"
		"  source <(larder completion bash)",
	.options = options,
	.words = completion_shells,
	.operands_min = 1,
	.operands_max = 1,
	.run = run,
};
