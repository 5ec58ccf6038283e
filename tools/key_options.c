/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of KEY OPTIONS and what can be said of them before anything is
 * read. No state.
 */
#include "key_options.h"

#include <errno.h>
#include <stdlib.h>

#include "cmd.h"
#include "options.h"
#include "out.h"

#define KEY(field) offsetof(struct args, key.field)

const struct option_def options_key[] = {
	{ "key-file", 0, OPTION_LIST, "GLOB", KEY(files),
	  "Content of the files that match, relative to the current "
	  "directory; ** stands for any number of directories. It is an "
	  "error when none does, unless a ? is added at the end, as in "
	  "'.npmrc?'." },
	{ "key-git", 0, OPTION_FLAG, NULL, KEY(git),
	  "The git work tree: the commit that is checked out, what differs "
	  "from it, and untracked files that no .gitignore names, with "
	  "submodules." },
	{ "key-script", 0, OPTION_LIST, "CMD", KEY(scripts),
	  "What CMD prints on standard output; sh runs it. It is an error "
	  "when CMD fails." },
	{ "key-command", 0, OPTION_LIST, "PROBE", KEY(commands),
	  "The same for a tool that says which it is, such as 'node "
	  "--version'. It is an error when it prints nothing." },
	{ "key-timeout", 0, OPTION_SECONDS, "SECONDS", KEY(timeout_s),
	  "How long each script and probe may take (default: 60)." },
	{ "key-env", 0, OPTION_LIST, "VAR", KEY(envs),
	  "Value of an environment variable; unset and empty differ." },
	{ "salt", 0, OPTION_LIST, "STR", KEY(salts),
	  "Any text, for example a version to start anew with." },
	{ "any-platform", 0, OPTION_FLAG, NULL, KEY(any_platform),
	  "Leave the platform out, which is otherwise a part of the key." },
	{ "key", 0, OPTION_VALUE, "STR", KEY(key),
	  "This key instead of a fingerprint; alone." },
	OPTION_END
};

int strings_add(struct strings *s, const char *value)
{
	const char **items =
		reallocarray(s->items, s->count + 1, sizeof(*items));

	if (!items)
		return -ENOMEM;
	s->items = items;
	s->items[s->count++] = value;
	return 0;
}

void key_options_release(struct key_options *o)
{
	free(o->files.items);
	free(o->optional_files.items);
	free(o->scripts.items);
	free(o->commands.items);
	free(o->envs.items);
	free(o->salts.items);
	free(o->outputs.items);
	*o = (struct key_options){ 0 };
}

bool key_options_any_part(const struct key_options *o)
{
	return o->git || o->files.count + o->optional_files.count +
					 o->scripts.count + o->commands.count +
					 o->envs.count + o->salts.count >
				 0;
}

int key_options_check(const struct key_options *o)
{
	if (!o->key || !(key_options_any_part(o) || o->any_platform))
		return 0;
	return out_error(EXIT_USAGE,
			 "--key stands alone: it is the key, and the other "
			 "key options make a fingerprint");
}
