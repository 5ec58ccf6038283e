/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nobody read in a mount: the method `unused`, and leaving that out of a
 * commit.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"

#include "control_internal.h"

struct listing {
	struct control_call *call;
	json_t *list;
	json_int_t files;
};

static int add_file(void *arg, const char *path, uint64_t size)
{
	struct listing *l = arg;
	json_t *j = json_pack("{s:o, s:I}", "path",
			      rpc_string(path, strlen(path)), "size",
			      (json_int_t)size);

	l->files++;
	if (json_array_append_new(l->list, j) < 0)
		return -ENOMEM;
	return control_send_part(l->call, "unused", l->list);
}

static int method_unused(struct control_call *call, json_t **ret_result)
{
	_cleanup_json_ json_t *list = json_array();
	struct listing listing = { .call = call, .list = list };
	_cleanup_mount_ struct mount *mnt = NULL;
	_cleanup_free_ char *dir = NULL;
	int r = control_bytes(call, "dir", &dir);

	if (r == 0)
		r = control_acquire(call, dir, "diff", &mnt);
	if (r < 0)
		return r;
	r = view_unused(mount_view(mnt), add_file, &listing);
	mount_release(mnt);
	if (r < 0 && r != -ENODATA)
		return control_fail(call, r, mount_dir(mnt));
	*ret_result = json_pack("{s:b, s:I, s:O}", "known", r == 0, "files",
				listing.files, "unused", list);
	return 0;
}

static void invalidate(void *arg, uint64_t ino, const char *name, size_t len)
{
	session_invalidate(arg, ino, name, len);
}

void control_count_anew(struct mount *mnt)
{
	struct mounts_error ignored;

	if (mount_acquire(mnt, "count", &ignored) < 0)
		return;
	view_used_restart(mount_view(mnt), invalidate, mount_session(mnt));
	mount_release(mnt);
}

int control_leave_out(struct control_call *call, struct mount *mnt,
		      struct control_left_out *out)
{
	struct view_left_out part;
	int r;

	if (!control_flag(call, "only_used"))
		return 0;
	r = view_leave_out(mount_view(mnt), invalidate, mount_session(mnt),
			   &part);
	if (r == -EROFS)
		return mounts_fail(&call->err, r, 1,
				   "%.500s is read-only, so nothing can be "
				   "left out of it; commit all of it, without "
				   "--only-used",
				   mount_dir(mnt));
	if (r == -ENODATA)
		out->unknown = true;
	else if (r < 0)
		return control_fail(call, r, mount_dir(mnt));
	if (r == 0) {
		out->sum.files += part.files;
		out->sum.bytes += part.bytes;
	}
	return 0;
}

void control_put_left_out(const struct control_call *call,
			  const struct control_left_out *out, json_t *result)
{
	if (control_flag(call, "only_used"))
		json_object_set_new(
			result, "left_out",
			json_pack("{s:b, s:I, s:I}", "known", !out->unknown,
				  "files", (json_int_t)out->sum.files, "bytes",
				  (json_int_t)out->sum.bytes));
}

const struct control_method control_unused_methods[] = {
	{ "unused", method_unused, false },
	{ NULL, NULL, false },
};
