/* SPDX-License-Identifier: Apache-2.0 */
/*
 * larder init: looks at the files of the current directory and writes a
 * project file with a cache for each tool that is known from them. What it
 * writes has been parsed before anyone else does. Asks no daemon.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "out.h"
#include "preset.h"
#include "project.h"
#include "repo.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"

/* A project that was moved from one package manager to another may have the
 * lock files of both. */
static int check_paths(const struct preset_choice *choices, unsigned count,
		       struct failure *f)
{
	for (unsigned i = 0; i < count; i++)
		for (unsigned j = 0; j < i; j++)
			if (strcmp(preset_path(&choices[i]),
				   preset_path(&choices[j])) == 0)
				return failure_set(
					f, -EINVAL, EXIT_USAGE,
					"init: %s and %s both fill %s: choose "
					"with --preset which of them the "
					"project uses",
					preset_name(choices[j].preset),
					preset_name(choices[i].preset),
					preset_path(&choices[i]));
	return 0;
}

static int choose(const struct args *args, struct preset_choice *ret_choices,
		  unsigned *ret_count, struct failure *f)
{
	int r = 0;

	if (args->presets.count > PRESET_MAX)
		return failure_set(f, -EINVAL, EXIT_USAGE,
				   "init: more than %d presets", PRESET_MAX);
	for (size_t i = 0; r == 0 && i < args->presets.count; i++)
		r = preset_parse(args->presets.items[i], ".", &ret_choices[i],
				 f);
	*ret_count = args->presets.count ? (unsigned)args->presets.count :
					   preset_detect(".", ret_choices);
	if (r == 0 && *ret_count == 0)
		return failure_set(f, -ENOENT, EXIT_ERROR,
				   "init: no file here tells which tool builds "
				   "the project (a package-lock.json, "
				   "Cargo.toml, go.mod, ...); name one with "
				   "--preset");
	return r < 0 ? r : check_paths(ret_choices, *ret_count, f);
}

static char *write_text(const char *here, const struct preset_choice *choices,
			unsigned count)
{
	_cleanup_free_ char *project = repo_name(here);
	char top[PATH_MAX], *text = NULL;
	bool in_git;
	size_t len;
	FILE *f = project ? open_memstream(&text, &len) : NULL;

	if (!f)
		return NULL;
	strcpy(top, here);
	in_git = repo_find_top(top);
	fputs("# `larder run` mounts each of these caches, or runs its "
	      "command and keeps what it\n# made. Written by larder init; "
	      "larder.yml(5) explains it.\ncaches:\n",
	      f);
	for (unsigned i = 0; i < count; i++)
		preset_write(f, &choices[i], project, in_git);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

/* Never over a file that is there. */
static int write_file(const char *file, const char *text, struct failure *f)
{
	_cleanup_close_ int fd =
		open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	int r;

	if (fd < 0 && errno == EEXIST)
		return failure_set(f, -EEXIST, EXIT_ERROR,
				   "%s is there already; remove it first, or "
				   "see what would be written with -o -",
				   file);
	if (fd < 0)
		return failure_set(f, -errno, EXIT_ERROR, "%s: %s", file,
				   strerror(errno));
	r = io_write(fd, text, strlen(text));
	if (r == 0)
		return 0;
	unlink(file);
	return failure_set(f, r, EXIT_ERROR, "%s: %s", file, strerror(-r));
}

static int report(const struct args *args, const char *file,
		  const struct project *p, const char *text)
{
	json_t *names;

	if (!args->json) {
		if (!file)
			fputs(text, stdout);
		for (size_t i = 0; file && i < p->count; i++)
			out_note("%s: %s%s%s", file, p->caches[i].name,
				 p->caches[i].command.count ?
					 ", filled by " :
					 "; its command is yours: larder run "
					 "-- COMMAND",
				 p->caches[i].command.count ?
					 p->caches[i].command.items[2] :
					 "");
		return 0;
	}
	names = json_array();
	for (size_t i = 0; i < p->count; i++)
		json_array_append_new(names, json_string(p->caches[i].name));
	return out_json(json_pack("{s:s?, s:o, s:s}", "file", file, "caches",
				  names, "text", text));
}

static int init(const struct args *args, struct failure *f)
{
	const char *file = args->output ? args->output : PROJECT_FILE;
	struct preset_choice choices[PRESET_MAX];
	_cleanup_project_ struct project *p = NULL;
	_cleanup_free_ char *text = NULL;
	char here[PATH_MAX];
	unsigned count = 0;
	int r;

	if (!getcwd(here, sizeof(here)))
		return failure_set(f, -errno, EXIT_ERROR,
				   "cannot name the current directory: %s",
				   strerror(errno));
	r = choose(args, choices, &count, f);
	if (r < 0)
		return r;
	text = write_text(strcmp(here, "/") ? here : "", choices, count);
	if (!text)
		return failure_set(f, -ENOMEM, EXIT_ERROR, "out of memory");
	r = project_parse(file, text, strlen(text), here, here, &p, f);
	if (strcmp(file, "-") == 0)
		file = NULL;
	else if (r == 0)
		r = write_file(file, text, f);
	return r < 0 ? r : report(args, file, p, text);
}

static int run(const struct args *args)
{
	struct failure f;
	int r = init(args, &f);

	return r < 0 ? out_failure(&f) : r;
}

static const struct option_def options[] = {
	{ "preset", 0, OPTION_LIST, "PRESET", offsetof(struct args, presets),
	  "Write a cache for this tool instead of those that are found: npm, "
	  "yarn, pnpm, bun, cargo, go, pip or ccache; with :output or :store "
	  "behind it, for this form. Can be repeated." },
	{ "output", 'o', OPTION_VALUE, "FILE", offsetof(struct args, output),
	  "Write to FILE instead of larder.yml; - is standard output." },
	OPTION_END
};

const struct command cmd_init = {
	.name = "init",
	.summary = "write a larder.yml after looking at the project",
	.synopsis = "[--preset PRESET]... [-o FILE]",
	.description =
		"Looks at the current directory for the files of npm, yarn, "
		"pnpm, bun, cargo, go, pip and of C and C++ builds, and "
		"writes larder.yml with a cache for each that is there: what "
		"its key is made of, what is kept, and the command. `larder "
		"run` then does what the file says. A file that is there "
		"already is not touched.",
	.options = options,
	.operands_max = 0,
	.run = run,
};
