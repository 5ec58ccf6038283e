/* SPDX-License-Identifier: Apache-2.0 */
/*
 * larder why: what makes the key of the inputs another than that of the
 * nearest entry, which is the one that `run` would begin with. Parts are
 * compared here; the daemon is asked for the entry.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "branch.h"
#include "client.h"
#include "cmd.h"
#include "compare.h"
#include "fingerprint.h"
#include "format.h"
#include "fs/rpc.h"
#include "out.h"
#include "place.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "why_commits.h"

struct why {
	const struct args *args;
	struct wanted wanted;
	char *name, *branch;
	json_t *found;		/* what resolve answers */
	json_t *entry;		/* the nearest, with its parts */
	struct key_parts parts; /* of its key */
	json_t *changes;
};

static void why_release(struct why *why)
{
	wanted_release(&why->wanted);
	free(why->name);
	free(why->branch);
	json_decref(why->found);
	json_decref(why->entry);
	key_parts_release(&why->parts);
	json_decref(why->changes);
}

/* ---- asking */

static int prepare(struct why *why, struct failure *f)
{
	const struct args *args = why->args;
	struct key_options key = args->key;
	_cleanup_free_ char *dir = NULL;

	if (!args->name && args->paths.count > 0) {
		if (place_absolute(args->paths.items[0], &dir, f) < 0)
			return f->code;
		why->name = place_default_name(dir);
	} else if (args->name) {
		why->name = strdup(args->name);
	}
	if (!why->name)
		return failure_set(f, -EINVAL, EXIT_USAGE,
				   "why: say with --name NAME which entries to "
				   "compare with");
	why->branch = args->branch ? strdup(args->branch) : branch_here();
	if (!why->branch)
		return failure_set(f, -ENOMEM, EXIT_ERROR, "out of memory");
	key.outputs = args->paths;
	return wanted_compute(&key, &why->wanted, f);
}

static int ask_nearest(struct why *why, struct client *c, struct failure *f)
{
	json_t *params = client_params(why->args);

	json_object_set_new(params, "name", json_string(why->name));
	json_object_set_new(params, "key", json_string(why->wanted.key));
	json_object_set_new(params, "branch",
			    rpc_string(why->branch, strlen(why->branch)));
	json_object_set_new(params, "prefixes",
			    client_strings(&why->args->restore_prefixes));
	return client_call(c, "resolve", params, NULL, 0, &why->found, f);
}

static int ask_entry(struct why *why, struct client *c, struct failure *f)
{
	const json_t *nearest = json_object_get(why->found, "entry");
	_cleanup_json_ json_t *result = NULL;
	json_t *params = client_params(why->args);
	int r;

	json_object_set_new(params, "entry",
			    json_sprintf("%s@%s", field_text(nearest, "name"),
					 field_text(nearest, "key")));
	r = client_call(c, "show", params, NULL, 0, &result, f);
	if (r == 0)
		why->entry = json_incref(json_object_get(result, "entry"));
	return r;
}

static int read_parts(struct why *why, struct failure *f)
{
	json_t *list = json_object_get(why->entry, "parts"), *item;
	int r = 0;
	size_t i;

	json_array_foreach(list, i, item)
	{
		_cleanup_free_ char *name =
			rpc_bytes(json_object_get(item, "name"), NULL);
		struct digest d;

		if (!name || digest_parse(field_text(item, "digest"), &d) < 0)
			r = -EBADMSG;
		if (r == 0)
			r = key_parts_add(&why->parts, field_text(item, "kind"),
					  name, &d);
		if (r < 0)
			return failure_set(f, r, EXIT_ERROR,
					   "the daemon's answer has a part "
					   "that is none");
	}
	return 0;
}

static int compare(struct why *why, struct failure *f)
{
	bool own = why->parts.count == 0 || why->wanted.parts.count == 0;

	why->changes = own ? json_array() :
			     compare_parts(&why->parts, &why->wanted.parts);
	if (!why->changes)
		return failure_set(f, -ENOMEM, EXIT_ERROR, "out of memory");
	why_commits(why->changes, why->args->key.dir);
	return 0;
}

static int ask(struct why *why, struct failure *f)
{
	_cleanup_client_ struct client *c = NULL;
	int r = client_open(true, &c, f);

	if (r == 0)
		r = ask_nearest(why, c, f);
	if (r < 0 || json_is_null(json_object_get(why->found, "entry")))
		return r;
	r = ask_entry(why, c, f);
	if (r == 0)
		r = read_parts(why, f);
	return r == 0 ? compare(why, f) : r;
}

/* ---- telling */

static bool is_exact(const struct why *why)
{
	return strcmp(field_text(why->found, "outcome"), "exact") == 0;
}

/* What a digest of zeros says, and what another kind does. */
static const char *remark(const json_t *change)
{
	static const char zeros[] = "0000000000000000000000000000000000000000"
				    "000000000000000000000000";
	const char *kind = field_text(change, "kind");
	const char *how = field_text(change, "change");
	const char *is = field_text(change, "is");

	if (strcmp(kind, "env") == 0 && strcmp(how, "removed") != 0)
		return strcmp(is, zeros) == 0 ? " (not set now)" :
		       strcmp(field_text(change, "was"), zeros) == 0 ?
						" (not set then)" :
						"";
	if (strncmp(kind, "git-", 4) != 0 || strcmp(kind, "git-head") == 0 ||
	    strcmp(kind, "git-sparse") == 0)
		return "";
	if (strcmp(how, "removed") == 0)
		return " (now as in HEAD, or not there)";
	if (strcmp(kind, "git-gone") == 0)
		return " (not there now)";
	return strcmp(how, "added") == 0 ?
		       " (now not as in HEAD, or untracked)" :
		       "";
}

static void print_commits(const json_t *change)
{
	const json_t *files = json_object_get(change, "files"), *file;
	json_int_t more = field_number(change, "more_files");
	char text[FORMAT_MAX];
	size_t i;

	json_array_foreach(files, i, file)
	{
		fputs("                      ", stdout);
		format_name(stdout, file);
		putchar('\n');
	}
	if (more > 0)
		printf("                      and %s more\n",
		       format_files((uint64_t)more, text));
}

static void print_change(const json_t *change)
{
	const char *kind = field_text(change, "kind");
	bool head = strcmp(kind, "git-head") == 0;

	printf("  %-8s %-10s ", field_text(change, "change"), kind);
	format_name(stdout, json_object_get(change, "name"));
	if (head && strcmp(field_text(change, "change"), "changed") == 0)
		printf("%s%.12s then, %.12s now",
		       *field_text(change, "name") ? " " : "",
		       field_text(change, "was"), field_text(change, "is"));
	puts(remark(change));
	print_commits(change);
}

static void print_changes(const struct why *why)
{
	json_t *change;
	size_t i;

	if (why->parts.count == 0 || why->wanted.parts.count == 0) {
		printf("  %s key is its user's own: there are no parts to "
		       "compare\n",
		       why->parts.count == 0 ? "that entry's" : "this");
		return;
	}
	if (json_array_size(why->changes) == 0)
		puts("  all parts are the same: the keys were made in "
		     "different ways");
	json_array_foreach(why->changes, i, change) print_change(change);
}

static void print_text(const struct why *why)
{
	char key[FORMAT_MAX], nearest[FORMAT_MAX], ago[FORMAT_MAX];
	const char *branch = field_text(why->entry, "branch");

	format_key(why->wanted.key, key);
	if (is_exact(why)) {
		printf("%s: there is an entry with the key %s\n", why->name,
		       key);
		return;
	}
	format_key(field_text(why->entry, "key"), nearest);
	format_ago(field_number(why->entry, "created_ns"), clock_wall_ns(),
		   ago);
	printf("%s: no entry has the key %s; nearest is %s (%s%s%s)\n",
	       why->name, key, nearest, branch, *branch ? ", " : "", ago);
	print_changes(why);
}

static int print_json(struct why *why)
{
	json_t *o = json_pack("{s:s, s:s, s:o, s:O?}", "name", why->name, "key",
			      why->wanted.key, "parts",
			      wanted_parts(&why->wanted), "changes",
			      why->changes);

	json_object_update(o, why->found);
	return out_json(o);
}

static int miss(struct why *why)
{
	if (why->args->json)
		print_json(why);
	else
		out_note("%s: there is no entry of this name to compare with",
			 why->name);
	return EXIT_MISS;
}

static int run(const struct args *args)
{
	_cleanup_(why_release) struct why why = { .args = args,
						  .wanted = WANTED_INIT,
						  .parts = KEY_PARTS_INIT };
	struct failure f;

	if (prepare(&why, &f) < 0 || ask(&why, &f) < 0)
		return out_failure(&f);
	if (!why.entry)
		return miss(&why);
	if (args->json)
		return print_json(&why);
	print_text(&why);
	return 0;
}

static const struct option_def options[] = {
	{ "name", 0, OPTION_VALUE, "NAME", offsetof(struct args, name),
	  "The entries' name (required, unless --path gives it as for "
	  "run)." },
	{ "branch", 0, OPTION_VALUE, "BRANCH", offsetof(struct args, branch),
	  "The branch whose entries are looked at first. Default: as for "
	  "run." },
	{ "restore-prefix", 0, OPTION_LIST, "PREFIX",
	  offsetof(struct args, restore_prefixes),
	  "As for run: look at entries whose key begins so before any "
	  "other." },
	{ "path", 0, OPTION_LIST, "DIR", offsetof(struct args, paths),
	  "An output, which is no input whatever is in it." },
	OPTION_END
};

const struct command cmd_why = {
	.name = "why",
	.summary = "say what makes a miss: the parts of the key that differ",
	.synopsis = "KEY OPTIONS --name NAME [--branch BRANCH] [--path DIR]...",
	.description =
		"Computes the key of the inputs and compares its parts with "
		"those of the nearest entry, which is the one that run would "
		"begin with. Files are named one by one; where the commit is "
		"another, so are the files that differ between the two, if "
		"the clone has both. The exit code is 3 if there is no entry "
		"of that name.",
	.options = options,
	.key_options = true,
	.run = run,
};
