/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of the control server that concern the daemon: status, stop. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"

#include "control_internal.h"

static int add_kept(void *arg, const char *id, const char *dir,
		    const char *entry, uint64_t upper_bytes, int64_t kept_ns)
{
	json_t *j = json_pack("{s:s, s:o, s:I, s:o}", "id", id, "dir",
			      rpc_string(dir, strlen(dir)), "upper_bytes",
			      (json_int_t)upper_bytes, "kept",
			      control_time(kept_ns));

	if (j)
		json_object_set_new(j, "entry",
				    entry ? json_string(entry) : json_null());
	return json_array_append_new(arg, j) < 0 ? -ENOMEM : 0;
}

static json_int_t memory_bytes(void)
{
	_cleanup_free_ uint8_t *text = NULL;
	unsigned long size, resident;
	size_t len;

	if (io_read_file(AT_FDCWD, "/proc/self/statm", 4096, &text, &len) < 0 ||
	    sscanf((char *)text, "%lu %lu", &size, &resident) != 2)
		return 0;
	return (json_int_t)resident * sysconf(_SC_PAGESIZE);
}

/* What of the sandbox is in force; null where it was turned off. */
static json_t *sandbox_json(const struct sandbox *s)
{
	if (!s->wanted)
		return json_null();
	return json_pack("{s:b, s:b, s:b, s:b}", "no_new_privileges",
			 s->no_new_privs, "no_dumps", s->no_dumps, "seccomp",
			 s->seccomp, "landlock", s->landlock);
}

static int method_status(struct control_call *call, json_t **ret_result)
{
	const struct control_config *config = call->config;
	struct index_stats stats = { 0 };
	struct gc_usage usage = { 0 };
	_cleanup_json_ json_t *mounts = json_array(), *kept = json_array();
	int r;

	r = mounts_each(config->mounts, control_add_mount, mounts);
	if (r == 0)
		r = mounts_each_kept(config->mounts, add_kept, kept);
	if (r < 0)
		return control_fail(call, r, "listing the mounts");
	index_stats(store_index(config->store), &stats);
	r = keeper_usage(config->keeper, &usage);
	if (r < 0)
		return control_fail(call, r, "measuring the store");
	*ret_result = json_pack(
		"{s:s, s:i, s:i, s:o, s:o, s:O, s:O, s:I, s:I, s:I, s:I, s:I, "
		"s:I, s:o, s:o, s:o}",
		"version", PACKAGE_VERSION, "pid", config->supervisor_pid,
		"worker_pid", (int)getpid(), "store",
		rpc_string(store_dir(config->store),
			   strlen(store_dir(config->store))),
		"state",
		rpc_string(config->state_dir, strlen(config->state_dir)),
		"mounts", mounts, "kept", kept, "entries",
		(json_int_t)stats.entries, "packs", (json_int_t)stats.packs,
		"pack_bytes", (json_int_t)stats.pack_bytes, "memory_bytes",
		memory_bytes(), "bytes", (json_int_t)usage.bytes, "objects",
		(json_int_t)usage.objects, "limit_bytes",
		control_limit_json(&usage), "uploads",
		uploads_json(config->uploads), "sandbox",
		sandbox_json(config->sandbox));
	return 0;
}

struct names {
	char text[512];
};

static int add_name(void *arg, struct mount *mnt)
{
	struct names *names = arg;
	size_t used = strlen(names->text);

	snprintf(names->text + used, sizeof(names->text) - used, "%s%s",
		 used ? ", " : "", mount_dir(mnt));
	return 0;
}

/* Only says so: who runs the worker takes the mounts away, or hands them
 * over, when this has been answered. */
static int method_stop(struct control_call *call, json_t **ret_result)
{
	bool restart = control_flag(call, "restart");
	struct names names = { "" };

	if (!restart && !control_flag(call, "force")) {
		mounts_each(call->config->mounts, add_name, &names);
		if (names.text[0])
			return mounts_fail(&call->err, -EBUSY, 8,
					   "the daemon still serves %s; larder "
					   "umount them first, or use --force",
					   names.text);
	}
	*ret_result = json_object();
	call->config->stop(call->config->arg, restart);
	return 0;
}

const struct control_method control_daemon_methods[] = {
	{ "status", method_status, false },
	{ "stop", method_stop, false },
	{ NULL, NULL, false },
};
