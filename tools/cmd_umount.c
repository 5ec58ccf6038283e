/* SPDX-License-Identifier: Apache-2.0 */
/*
 * larder umount: ends a mount; changes in it are kept unless discarded. With
 * --force, without the daemon, which may be what hangs: what ends its connection
 * is opened, it is taken from its directory, and then the connection is ended, so
 * that whoever waits in it goes on with an error. The daemon sees the end, and
 * keeps the changes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "cmd.h"
#include "fs/rpc.h"
#include "out.h"
#include "place.h"
#include "stuck.h"
#include "store/base/cleanup.h"

/* That it is detached only means that programs may go on waiting in it. */
static void say_detached(const char *dir, int err)
{
	out_warning("%s: it is no mount any more, but programs that wait in it "
		    "go on waiting: /sys/fs/fuse/connections: %s",
		    dir, strerror(-err));
}

static int force(const struct args *args, const char *dir)
{
	_cleanup_stuck_ struct stuck_mounts list;
	_cleanup_close_ int fd = -1;
	const struct stuck_mount *m;
	struct failure f;
	int r = stuck_list(&list);

	if (r < 0)
		return out_error(EXIT_ERROR,
				 "what is mounted cannot be told: "
				 "%s",
				 strerror(-r));
	m = stuck_find(&list, dir);
	if (!m)
		return out_error(EXIT_ERROR, "%s is no mount of Larder",
				 args->operands[0]);
	fd = stuck_open_abort(m);
	if (stuck_detach(m, &f) < 0)
		return out_failure(&f);
	r = fd < 0 ? fd : stuck_abort(fd);
	if (r == -ENODEV)
		r = 0;
	if (r < 0)
		say_detached(args->operands[0], r);
	if (args->json)
		return out_json(json_pack("{s:b}", "aborted", r == 0));
	out_note("%s: it is freed; larder mount --resume %s brings its changes "
		 "back, if there are any",
		 args->operands[0], args->operands[0]);
	return 0;
}

static int run(const struct args *args)
{
	_cleanup_json_ json_t *result = NULL;
	_cleanup_free_ char *dir = NULL;
	struct failure f;
	json_t *params;
	int r;

	if (place_absolute(args->operands[0], &dir, &f) < 0)
		return out_failure(&f);
	if (args->force && args->discard)
		return out_error(EXIT_USAGE, "--force keeps the changes; it "
					     "does not go with --discard");
	if (args->force)
		return force(args, dir);
	if (!args->lazy && place_contains_us(dir))
		return out_error(EXIT_BUSY,
				 "%s: the current directory is in it; leave it "
				 "first",
				 args->operands[0]);
	params = json_pack("{s:o, s:b, s:b}", "dir",
			   rpc_string(dir, strlen(dir)), "lazy", args->lazy,
			   "discard", args->discard);
	r = client_request("umount", params, NULL, 0, &result);
	if (r)
		return r;
	if (args->json)
		return out_json(json_incref(result));
	if (field_flag(result, "kept"))
		out_note("%s: its changes are kept; larder mount --resume %s "
			 "mounts it with them again",
			 args->operands[0], args->operands[0]);
	if (field_flag(result, "over_files"))
		out_note("%s: it shows its own files again, as they were "
			 "beneath the mount",
			 args->operands[0]);
	return 0;
}

static const struct option_def options[] = {
	{ "lazy", 'l', OPTION_FLAG, NULL, offsetof(struct args, lazy),
	  "Also when it is in use: it goes when the last user does." },
	{ "discard", 0, OPTION_FLAG, NULL, offsetof(struct args, discard),
	  "Drop the changes; this cannot be undone." },
	{ "force", 0, OPTION_FLAG, NULL, offsetof(struct args, force),
	  "Free a mount that hangs, or is dead: programs that wait in it get an "
	  "error." },
	OPTION_END
};

const struct command cmd_umount = {
	.name = "umount",
	.summary = "end a mount",
	.synopsis = "[--lazy] [--discard] DIR\n--force DIR",
	.description = "Ends the mount at DIR. Changes that were not committed "
		       "are kept, and larder mount --resume DIR brings them "
		       "back.",
	.manual = "--force asks no daemon: the mount is taken from its "
		  "directory, and its connection is ended through "
		  "/sys/fs/fuse/connections. Its changes are kept.",
	.options = options,
	.operands_min = 1,
	.operands_max = 1,
	.run = run,
};
