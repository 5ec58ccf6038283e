/* SPDX-License-Identifier: Apache-2.0 */
/* larder status: the daemon, its mounts, kept changes, the store's size. */
#include <stdio.h>
#include <stdlib.h>

#include "client.h"
#include "cmd.h"
#include "format.h"
#include "fs/rpc.h"
#include "loss.h"
#include "out.h"
#include "status.h"
#include "store/base/clock.h"

static void print_path(const char *label, const json_t *status,
		       const char *name)
{
	printf("%-8s ", label);
	format_name(stdout, json_object_get(status, name));
	putchar('\n');
}

/* That it is off is said in any case. */
static void print_sandbox(const json_t *status, bool verbose)
{
	static const struct {
		const char *name, *text;
	} parts[] = { { "no_new_privileges", "no new privileges" },
		      { "no_dumps", "no dumps" },
		      { "seccomp", "seccomp" },
		      { "landlock", "landlock" } };
	const json_t *sandbox = json_object_get(status, "sandbox");
	const char *between = "";

	if (json_is_null(sandbox)) {
		printf("sandbox  %soff%s (setting sandbox)\n",
		       out_colour(OUT_RED), out_colour(OUT_PLAIN));
		return;
	}
	if (!verbose)
		return;
	fputs("sandbox  ", stdout);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		printf("%s%s%s", between,
		       field_flag(sandbox, parts[i].name) ? "" : "not: ",
		       parts[i].text);
		between = ", ";
	}
	putchar('\n');
}

static void print_store(const json_t *status)
{
	char entries[FORMAT_MAX], packs[FORMAT_MAX], bytes[FORMAT_MAX];

	printf("daemon   %s, process %lld, worker %lld, %s of memory\n",
	       field_text(status, "version"),
	       (long long)field_number(status, "pid"),
	       (long long)field_number(status, "worker_pid"),
	       format_bytes((uint64_t)field_number(status, "memory_bytes"),
			    bytes));
	print_path("store", status, "store");
	printf("         %s entries, %s in %s packs\n",
	       format_count((uint64_t)field_number(status, "entries"), entries),
	       format_bytes((uint64_t)field_number(status, "pack_bytes"),
			    bytes),
	       format_count((uint64_t)field_number(status, "packs"), packs));
	print_path("state", status, "state");
}

static void print_requests(const json_t *mount)
{
	json_t *requests = json_object_get(mount, "requests"), *count;
	const char *opcode;
	char text[FORMAT_MAX];

	printf("         %s requests",
	       format_count((uint64_t)field_number(mount, "requests_total"),
			    text));
	json_object_foreach(requests, opcode, count)
		printf(", %s %s", opcode,
		       format_count((uint64_t)json_integer_value(count), text));
	putchar('\n');
}

static void print_mount(const json_t *mount, bool verbose)
{
	const char *entry = field_text(mount, "entry");
	char bytes[FORMAT_MAX], text[FORMAT_MAX];

	fputs("mount    ", stdout);
	format_name(stdout, json_object_get(mount, "dir"));
	printf("\n         %s, %s",
	       *entry ? format_entry(entry, text) :
	       json_is_object(json_object_get(mount, "all")) ? "all entries" :
	       field_flag(mount, "over_files") ? "what was there" :
						 "empty tree",
	       field_text(mount, "mode"));
	if (field_flag(mount, "dirty"))
		printf(", with changes (%s)",
		       format_bytes((uint64_t)field_number(mount,
							   "upper_bytes"),
				    bytes));
	if (field_flag(mount, "damaged"))
		printf(", %sdamaged%s", out_colour(OUT_RED),
		       out_colour(OUT_PLAIN));
	putchar('\n');
	loss_print(mount, verbose);
	if (verbose)
		print_requests(mount);
}

static void print_kept(const json_t *kept)
{
	const char *entry = field_text(kept, "entry");
	char bytes[FORMAT_MAX], text[FORMAT_MAX];

	printf("kept     %s, of ", field_text(kept, "id"));
	format_name(stdout, json_object_get(kept, "dir"));
	printf("\n         %s, changes of %s since %.19s; larder mount "
	       "--resume %s\n",
	       *entry ? format_entry(entry, text) : "empty tree",
	       format_bytes((uint64_t)field_number(kept, "upper_bytes"), bytes),
	       field_text(kept, "kept"), field_text(kept, "id"));
}

static void print_upload(const json_t *upload)
{
	char key[FORMAT_MAX], bytes[FORMAT_MAX];

	printf("upload   %s@%s to %s", field_text(upload, "name"),
	       format_key(field_text(upload, "key"), key),
	       field_text(upload, "tier"));
	if (field_flag(upload, "running"))
		printf(", %s sent",
		       format_bytes((uint64_t)field_number(upload, "bytes"),
				    bytes));
	if (*field_text(upload, "error"))
		printf("\n         failed %lld times, last: %s",
		       (long long)field_number(upload, "attempts"),
		       field_text(upload, "error"));
	putchar('\n');
}

void status_print(const struct args *args, const json_t *status)
{
	json_t *item;
	size_t i;

	print_store(status);
	print_sandbox(status, args->verbose);
	json_array_foreach(json_object_get(status, "mounts"), i, item)
		print_mount(item, args->verbose);
	json_array_foreach(json_object_get(status, "kept"), i, item)
		print_kept(item);
	json_array_foreach(json_object_get(status, "uploads"), i, item)
		print_upload(item);
}

static int run(const struct args *args)
{
	_cleanup_json_ json_t *result = NULL;
	int r = client_request("status", client_params(args), NULL, 0, &result);

	if (r)
		return r;
	if (args->json)
		return out_json(json_incref(result));
	status_print(args, result);
	return 0;
}

static const struct option_def options[] = { OPTION_END };

const struct command cmd_status = {
	.name = "status",
	.summary = "show the daemon, its mounts and the store's size",
	.synopsis = "[-v]",
	.description = "Shows the daemon, the store, each mount and each set "
		       "of changes that was kept; with -v also the daemon's "
		       "sandbox, and the requests that each mount's kernel "
		       "side has sent.",
	.options = options,
	.run = run,
};
