/* SPDX-License-Identifier: Apache-2.0 */
/*
 * larder key: the fingerprint of the inputs, or its parts; of those that the
 * options name, or of a cache of the project file. Asks no daemon.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "fingerprint.h"
#include "format.h"
#include "out.h"
#include "project_plan.h"
#include "store/base/cleanup.h"

static void print_parts(const struct wanted *w)
{
	_cleanup_json_ json_t *parts = wanted_parts(w);
	json_t *part;
	size_t i;

	json_array_foreach(parts, i, part)
	{
		printf("%-10s %.12s ", field_text(part, "kind"),
		       field_text(part, "digest"));
		format_name(stdout, json_object_get(part, "name"));
		putchar('\n');
	}
	printf("key %s\n", w->key);
}

/* ---- a cache */

static int check_command(const struct project_plans *p, struct failure *f)
{
	const struct project_cache *c = p->items[0].cache;

	if (p->args->count || c->command.count || c->always || c->key.key)
		return 0;
	return failure_set(f, -EINVAL, EXIT_USAGE,
			   "%s names no command for the cache %s, and that is "
			   "a part of its key: larder key %s -- COMMAND",
			   p->project->file, c->name, c->name);
}

static int compute_of_cache(const struct args *args, struct wanted *ret_wanted,
			    struct failure *f)
{
	_cleanup_(project_plans_release) struct project_plans p = { 0 };
	int r = project_plans_choose(args, &p, f);

	if (r == 0)
		r = check_command(&p, f);
	if (r == 0)
		r = project_plans_make(&p, f);
	return r < 0 ? r : wanted_compute(&p.items[0].plan.key, ret_wanted, f);
}

/* ---- the key */

static int compute(const struct args *args, struct wanted *ret_wanted,
		   struct failure *f)
{
	struct key_options key = args->key;

	key.outputs = args->paths;
	if (args->names.count == 0 && args->count == 0)
		return wanted_compute(&key, ret_wanted, f);
	if (args->names.count != 1)
		return failure_set(f, -EINVAL, EXIT_USAGE,
				   "key: name one cache of the project file, "
				   "or key options: larder key NAME");
	if (key.key || key_options_any_part(&key) || key.outputs.count)
		return failure_set(f, -EINVAL, EXIT_USAGE,
				   "key: the project file says what the key of "
				   "%s is made of; leave the options out",
				   args->names.items[0]);
	return compute_of_cache(args, ret_wanted, f);
}

static int run(const struct args *args)
{
	_cleanup_wanted_ struct wanted w = WANTED_INIT;
	struct failure f;
	json_t *o;

	if (compute(args, &w, &f) < 0)
		return out_failure(&f);
	if (args->json) {
		o = json_pack("{s:s}", "key", w.key);
		if (args->explain)
			json_object_set_new(o, "parts", wanted_parts(&w));
		return out_json(o);
	}
	if (args->explain)
		print_parts(&w);
	else
		puts(w.key);
	return 0;
}

static const struct option_def options[] = {
	{ "explain", 0, OPTION_FLAG, NULL, offsetof(struct args, explain),
	  "Print the parts: kind, digest, name." },
	{ "path", 0, OPTION_LIST, "DIR", offsetof(struct args, paths),
	  "An output, which is no input whatever is in it." },
	OPTION_END
};

const struct command cmd_key = {
	.name = "key",
	.summary = "print the fingerprint of a build's inputs, or its parts",
	.synopsis = "KEY OPTIONS [--explain] [--path DIR]...\n"
		    "[--explain] NAME [-- COMMAND [ARGUMENT]...]",
	.description =
		"Prints the key that run, commit and import would use with "
		"the same key options: the SHA-256 of the sorted parts and the "
		"platform. The same inputs give the same key on any machine "
		"of that platform and in any directory.\n"
		"\n"
		"NAME is a cache of larder.yml, and the key that of larder run "
		"NAME.",
	.options = options,
	.key_options = true,
	.takes_command = true,
	.takes_names = true,
	.operands_max = ~0u,
	.run = run,
};
