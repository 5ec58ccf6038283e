/* SPDX-License-Identifier: Apache-2.0 */
/* larder key: the fingerprint of the inputs, or its parts. Asks no daemon. */
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "fingerprint.h"
#include "format.h"
#include "out.h"

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

static int run(const struct args *args)
{
	_cleanup_wanted_ struct wanted w = WANTED_INIT;
	struct key_options key = args->key;
	struct failure f;
	json_t *o;

	key.outputs = args->paths;
	if (wanted_compute(&key, &w, &f) < 0)
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
	.synopsis = "KEY OPTIONS [--explain] [--path DIR]...",
	.description =
		"Prints the key that run, commit and import would use with "
		"the same key options: the SHA-256 of the sorted parts and the "
		"platform. The same inputs give the same key on any machine "
		"of that platform and in any directory.",
	.options = options,
	.key_options = true,
	.run = run,
};
