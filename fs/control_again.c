/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that are made a second time (control_again.h). No state. */
#include "control_again.h"

#include <errno.h>
#include <string.h>

#include "store/base/cleanup.h"

static bool is_again(const struct control_call *call)
{
	return control_flag(call, "again");
}

/* --- mounts --- */

struct wanted {
	const char *dir_or_id;
	json_t *list;
	bool found;
};

static int match_kept(void *arg, const char *id, const char *dir,
		      const char *entry, uint64_t upper_bytes, int64_t kept_ns)
{
	struct wanted *w = arg;

	(void)id;
	(void)entry;
	(void)upper_bytes;
	(void)kept_ns;
	w->found = w->found || strcmp(dir, w->dir_or_id) == 0;
	return 0;
}

bool control_again_umount(struct control_call *call, const char *dir,
			  bool *ret_kept)
{
	struct wanted w = { .dir_or_id = dir };

	if (!is_again(call) ||
	    mounts_each_kept(call->config->mounts, match_kept, &w) < 0)
		return false;
	*ret_kept = w.found;
	return true;
}

static bool is_changed(struct mount *mnt)
{
	struct view_stats stats;

	view_stats(mount_view(mnt), &stats);
	return stats.dirty;
}

bool control_again_mount(struct control_call *call, const char *dir,
			 const struct mounts_options *opt,
			 struct mount **ret_mount)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	_cleanup_mount_ struct mount *mnt = NULL;
	struct mounts_error ignored;

	if (!is_again(call) ||
	    mounts_find(call->config->mounts, dir, &mnt, &ignored) < 0 ||
	    mount_entry(mnt, &e) != -ENOENT || mount_all(mnt) ||
	    is_changed(mnt) || mount_read_only(mnt) != opt->read_only)
		return false;
	*ret_mount = steal_ptr(&mnt);
	return true;
}

static int match_mount(void *arg, struct mount *mnt)
{
	struct wanted *w = arg;

	if (strcmp(mount_dir(mnt), w->dir_or_id) != 0 &&
	    strcmp(mount_id(mnt), w->dir_or_id) != 0)
		return 0;
	w->found = true;
	return control_add_mount(w->list, mnt);
}

bool control_again_resume(struct control_call *call, const char *dir_or_id,
			  json_t *list)
{
	struct wanted w = { .dir_or_id = dir_or_id, .list = list };

	return is_again(call) && dir_or_id &&
	       mounts_each(call->config->mounts, match_mount, &w) == 0 &&
	       w.found;
}

/* --- entries --- */

int control_again_rm(struct control_call *call, const struct entry *found)
{
	struct entry_ref ref;
	const char *text;
	int r;

	if (!is_again(call))
		return 0;
	r = control_entry_ref(call, &ref, &text);
	if (r < 0 ||
	    (ref.kind == ENTRY_REF_KEY && strcmp(ref.arg, found->key) == 0))
		return r;
	return mounts_fail(&call->err, -EPIPE, 1,
			   "the daemon ended before it answered, and %.200s "
			   "may name another entry now; larder list shows what "
			   "there is",
			   text);
}

bool control_again_removed(struct control_call *call, json_t **ret_entry)
{
	struct mounts_error missed = call->err;
	struct entry_ref ref;
	const char *text;

	if (!is_again(call) || control_entry_ref(call, &ref, &text) < 0 ||
	    ref.kind != ENTRY_REF_KEY) {
		call->err = missed;
		return false;
	}
	*ret_entry = json_pack("{s:s, s:s}", "name", ref.name, "key", ref.arg);
	return true;
}
