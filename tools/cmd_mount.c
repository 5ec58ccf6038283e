/* SPDX-License-Identifier: Apache-2.0 */
/* larder mount: an entry, an empty tree, or what an earlier daemon left. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "cmd.h"
#include "format.h"
#include "fs/rpc.h"
#include "loss.h"
#include "out.h"
#include "place.h"
#include "store/base/cleanup.h"
#include "store/entry.h"

/* ---- -o */

static const struct {
	const char *name;  /* as it is written behind -o */
	const char *param; /* of the request; NULL: is the default */
	const char *mode;  /* set in place of a flag */
} mount_options[] = {
	{ "ro", "mode", "ro" },
	{ "rw", "mode", "rw" },
	{ "allow_other", "allow_other", NULL },
	{ "stateful-open", "stateful_open", NULL },
	{ "writeback", "writeback", NULL },
	{ "suid", "suid_dev", NULL },
	{ "dev", "suid_dev", NULL },
	{ "nosuid", NULL, NULL },
	{ "nodev", NULL, NULL },
	{ NULL, NULL, NULL },
};

static const char *mount_option_name(const void *arg, size_t index)
{
	(void)arg;
	return mount_options[index].name;
}

static int set_mount_option(json_t *params, const char *word)
{
	const char *nearest;
	size_t i = 0;

	while (mount_options[i].name && strcmp(mount_options[i].name, word))
		i++;
	if (!mount_options[i].name) {
		nearest = options_nearest(word, mount_option_name, NULL);
		return out_error(EXIT_USAGE,
				 "-o %s: there is no such option%s%s", word,
				 nearest ? "; did you mean " : "",
				 nearest ? nearest : "");
	}
	if (mount_options[i].mode)
		json_object_set_new(params, mount_options[i].param,
				    json_string(mount_options[i].mode));
	else if (mount_options[i].param)
		json_object_set_new(params, mount_options[i].param,
				    json_true());
	return 0;
}

static int set_mount_options(json_t *params, const char *text)
{
	_cleanup_free_ char *words = strdup(text);
	char *rest = words, *word;
	int r = 0;

	while (r == 0 && (word = strsep(&rest, ",")))
		if (*word)
			r = set_mount_option(params, word);
	return r;
}

/* ---- the three forms */

static void say_mounted(const json_t *mount)
{
	const char *entry = field_text(mount, "entry");
	char changes[FORMAT_MAX], text[FORMAT_MAX];
	_cleanup_free_ char *dir =
		rpc_bytes(json_object_get(mount, "dir"), NULL);

	format_bytes((uint64_t)field_number(mount, "upper_bytes"), changes);
	out_note("%s mounted at %s, %s%s%s%s",
		 *entry ? format_entry(entry, text) :
		 json_is_object(json_object_get(mount, "all")) ? "all entries" :
		 field_flag(mount, "over_files") ? "what was there" :
						   "empty tree",
		 dir ? dir : "?", field_text(mount, "mode"),
		 field_flag(mount, "dirty") ? ", with changes (" : "",
		 field_flag(mount, "dirty") ? changes : "",
		 field_flag(mount, "dirty") ? ")" : "");
	loss_warn(dir ? dir : "?", mount);
}

static int report(const struct args *args, json_t *result)
{
	json_t *mounts = json_object_get(result, "mounts"), *mount;
	size_t i;

	if (args->json)
		return out_json(json_incref(result));
	if (!mounts)
		say_mounted(json_object_get(result, "mount"));
	else if (json_array_size(mounts) == 0)
		out_note("no mount is there to be resumed");
	json_array_foreach(mounts, i, mount) say_mounted(mount);
	return 0;
}

static int mount_at(const struct args *args, const char *dir)
{
	_cleanup_json_ json_t *params = client_params(args);
	_cleanup_json_ json_t *result = NULL;
	_cleanup_free_ char *path = NULL;
	struct failure f;
	int r;

	if (place_absolute(dir, &path, &f) < 0)
		return out_failure(&f);
	json_object_set_new(params, "mode", json_string("rw"));
	if (args->fill)
		json_object_set_new(params, "fill", json_true());
	json_object_set_new(params, "dir", rpc_string(path, strlen(path)));
	if (args->empty || args->adopt || args->all)
		json_object_set_new(params,
				    args->empty ? "empty" :
				    args->adopt ? "adopt" :
						  "all",
				    json_true());
	else
		json_object_set_new(params, "entry",
				    json_string(args->operands[0]));
	r = args->mount_options ?
		    set_mount_options(params, args->mount_options) :
		    0;
	if (r == 0)
		r = client_request("mount", json_incref(params), NULL, 0,
				   &result);
	return r ? r : report(args, result);
}

/* The names of directories under <state>/mounts, 16 hex digits. */
static bool is_mount_id(const char *text)
{
	return strlen(text) == 16 && strspn(text, "0123456789abcdef") == 16 &&
	       access(text, F_OK) < 0;
}

static int resume(const struct args *args)
{
	const char *which = args->count > 0 ? args->operands[0] : NULL;
	_cleanup_json_ json_t *params = client_params(args);
	_cleanup_json_ json_t *result = NULL;
	_cleanup_free_ char *path = NULL;
	struct failure f;
	int r;

	if (which && is_mount_id(which)) {
		json_object_set_new(params, "id", json_string(which));
	} else if (which) {
		if (place_absolute(which, &path, &f) < 0)
			return out_failure(&f);
		json_object_set_new(params, "dir",
				    rpc_string(path, strlen(path)));
	}
	r = client_request("resume", json_incref(params), NULL, 0, &result);
	return r ? r : report(args, result);
}

static int run(const struct args *args)
{
	unsigned wanted = args->empty || args->adopt || args->all ? 1 : 2;

	if (args->empty + args->adopt + args->all + args->resume > 1)
		return out_error(EXIT_USAGE,
				 "mount: either --empty, --adopt, --all or "
				 "--resume");
	if (args->resume && args->count > 1)
		return out_error(EXIT_USAGE,
				 "mount --resume takes one DIR, or none for "
				 "all");
	if (args->resume && args->mount_options)
		return out_error(EXIT_USAGE,
				 "mount --resume: a mount comes back with the "
				 "options that it had; leave -o out");
	if (args->resume)
		return resume(args);
	if (args->count != wanted)
		return out_error(
			EXIT_USAGE,
			args->empty ? "mount --empty takes one DIR" :
			args->adopt ? "mount --adopt takes one DIR, "
				      "whose files are the base" :
			args->all   ? "mount --all takes one DIR" :
				      "mount takes ENTRY and DIR: larder "
				      "mount ENTRY DIR");
	return mount_at(args, args->operands[wanted - 1]);
}

static const struct option_def options[] = {
	{ "options", 'o', OPTION_VALUE, "OPTIONS",
	  offsetof(struct args, mount_options),
	  "Divided by commas: ro, rw (default), allow_other, stateful-open, "
	  "writeback, and for root suid, dev." },
	{ "from", 0, OPTION_VALUE, "URL", offsetof(struct args, from),
	  "A remote tier to take an entry from that is not here, in place of "
	  "those of the configuration." },
	{ "empty", 0, OPTION_FLAG, NULL, offsetof(struct args, empty),
	  "Mount an empty tree to build in." },
	{ "adopt", 0, OPTION_FLAG, NULL, offsetof(struct args, adopt),
	  "Mount what DIR holds, over it: its own files stay beneath as they "
	  "are, and what is written goes to the mount." },
	{ "all", 0, OPTION_FLAG, NULL, offsetof(struct args, all),
	  "Mount every entry of the store, read-only, as "
	  "DIR/NAMESPACE/NAME/KEY: one mount for all jobs of a host." },
	{ "fill", 0, OPTION_FLAG, NULL, offsetof(struct args, fill),
	  "Fetch all of the entry's files from the remote tiers, in the "
	  "background, while the mount is used." },
	{ "resume", 0, OPTION_FLAG, NULL, offsetof(struct args, resume),
	  "Mount again, with its changes, what a dead daemon, a reboot or "
	  "umount left at DIR; or all." },
	OPTION_END
};

const struct command cmd_mount = {
	.name = "mount",
	.summary = "mount an entry at a directory",
	.synopsis = "[-o OPTIONS] ENTRY DIR\n[-o OPTIONS] --empty DIR\n"
		    "[-o OPTIONS] --adopt DIR\n"
		    "[-o OPTIONS] --all DIR\n"
		    "--resume [DIR]",
	.description =
		"Mounts an entry at DIR, which must exist and be empty. What "
		"is written there goes to a layer of the mount's own; the "
		"entry stays as it is. larder diff shows the changes, larder "
		"commit makes a new entry of them.",
	.manual =
		"DIR must exist and be empty, unless it is a mount of this "
		"very entry already, or --adopt is given. Where only a remote "
		"tier has the entry, the mount costs two requests; files are "
		"fetched when they are read, with their neighbours.\n"
		"\n"
		"With -o writeback the kernel gathers what is written and "
		"passes it on when a file is closed or synced, or after some "
		"seconds. That makes many small writes several times as fast, "
		"as linkers, archivers and databases do them. It gives up one "
		"promise: without it, whatever write(2) has returned survives "
		"the death of any process of Larder; with it, what was "
		"written to a file that is still open is lost if all of "
		"larderd dies at once, the supervising process too. What was "
		"closed or synced is as safe as ever, and the death of the "
		"serving process alone loses nothing. An error such as a full "
		"disk may show at close(2) or fsync(2) only, SEEK_HOLE finds "
		"no holes, and larder reset needs a mount that is not in use. "
		"larder commit has the kernel pass on first what other "
		"programs of the same user, and for root of all, have written "
		"to files that they still have open; larder diff does not see "
		"it before.\n"
		"\n"
		"With -o stateful-open the kernel tells of every open and "
		"close. suid and dev are off unless root asks for them.\n"
		"\n"
		"--all is for all jobs of a host: equal files of different "
		"entries are in memory once, new entries are there without "
		"mounting again, and containers get all of it, or an entry, "
		"by a bind mount. An entry that is removed stays for those "
		"who use it, and counts as mounted as long as the kernel has "
		"something of it.\n"
		"\n"
		"--resume also takes the identifier that larder status shows "
		"for kept changes, in place of DIR. A mount comes back with "
		"the options that it had.\n"
		"\n"
		"mount(8) calls mount.larder(8), so that a mount can be a "
		"line of fstab(5).",
	.options = options,
	.operands_max = 2,
	.run = run,
};
