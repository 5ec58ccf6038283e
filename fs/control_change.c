/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Methods of the control server that concern what was changed in a mount:
 * diff, reset, commit. Each has the mount to itself (mount_acquire()).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/log.h"

#include "control_remote.h"

#define CHANGED_NAMED 100 /* changes during a commit that are listed */

int control_acquire(struct control_call *call, const char *dir,
		    const char *what, struct mount **ret_mount)
{
	_cleanup_mount_ struct mount *mnt = NULL;
	int r;

	r = mounts_find(call->config->mounts, dir, &mnt, &call->err);
	if (r == 0)
		r = mount_acquire(mnt, what, &call->err);
	if (r == 0)
		*ret_mount = steal_ptr(&mnt);
	return r;
}

/* The mount at the parameter `dir`. */
static int acquire(struct control_call *call, const char *what,
		   struct mount **ret_mount)
{
	_cleanup_free_ char *dir = NULL;
	int r = control_bytes(call, "dir", &dir);

	return r < 0 ? r : control_acquire(call, dir, what, ret_mount);
}

static const char *change_name(enum view_change change)
{
	switch (change) {
	case VIEW_ADDED:
		return "added";
	case VIEW_MODIFIED:
		return "modified";
	case VIEW_META:
		return "metadata";
	case VIEW_REMOVED:
		return "removed";
	default:
		return "renamed";
	}
}

static int append_change(json_t *list, const struct view_diff_item *item)
{
	json_t *j = json_pack("{s:s, s:o, s:I, s:i}", "change",
			      change_name(item->change), "path",
			      rpc_string(item->path, strlen(item->path)),
			      "size", (json_int_t)item->size, "mode",
			      (int)item->mode);

	if (j && item->change == VIEW_RENAMED)
		json_object_set_new(j, "from",
				    rpc_string(item->from, strlen(item->from)));
	return json_array_append_new(list, j) < 0 ? -ENOMEM : 0;
}

struct changes {
	struct control_call *call;
	json_t *list;
	json_int_t count;
};

static int add_change(void *arg, const struct view_diff_item *item)
{
	struct changes *c = arg;
	int r = append_change(c->list, item);

	return r < 0 ? r : control_send_part(c->call, "changes", c->list);
}

static int method_diff(struct control_call *call, json_t **ret_result)
{
	_cleanup_json_ json_t *list = json_array();
	struct changes changes = { .call = call, .list = list };
	_cleanup_mount_ struct mount *mnt = NULL;
	int r;

	r = acquire(call, "diff", &mnt);
	if (r < 0)
		return r;
	r = view_diff(mount_view(mnt), add_change, &changes);
	mount_release(mnt);
	if (r < 0)
		return control_fail(call, r, mount_dir(mnt));
	*ret_result = json_pack("{s:O}", "changes", list);
	return 0;
}

static void invalidate(void *arg, uint64_t ino, const char *name, size_t len)
{
	session_invalidate(arg, ino, name, len);
}

static int count_change(void *arg, const struct view_diff_item *item)
{
	json_int_t *count = arg;

	(void)item;
	(*count)++;
	return 0;
}

/* True where the mount was committed as another tree than it lies on. */
static bool is_committed(struct mount *mnt, struct entry *ret_entry)
{
	struct digest base;

	if (mount_entry(mnt, ret_entry) < 0)
		return false;
	return !mount_base(mnt, &base) ||
	       !digest_equal(&base, &ret_entry->catalog);
}

/*
 * Takes the mount away and mounts it anew. One that was committed since stands
 * for what was committed, and goes back to that: its upper still describes the way
 * there from the old base. And of files that the kernel writes back it keeps
 * sizes and times as its own, whatever is said of them. Takes the reference over,
 * since an unmount waits for the last one.
 */
static int reset_anew(struct control_call *call, struct mount *mnt,
		      const struct entry *e)
{
	_cleanup_free_ char *dir = strdup(mount_dir(mnt)), *tiers = NULL;
	_cleanup_json_ json_t *secrets = mount_secrets(mnt);
	_cleanup_mount_ struct mount *anew = NULL;
	struct mounts_options opt;
	struct digest base;
	bool kept, copied;
	int r;

	mount_get_options(mnt, &opt);
	tiers = opt.tiers ? strdup(opt.tiers) : NULL;
	copied = dir && (tiers || !opt.tiers);
	opt.tiers = tiers;
	opt.secrets = secrets;
	if (mount_base(mnt, &base))
		opt.base = &base;
	mount_unref(mnt);
	if (!copied)
		return control_fail(call, -ENOMEM, "reset");
	r = mounts_umount(call->config->mounts, dir, false, true, &kept,
			  &call->err);
	if (r == -EBUSY)
		return mounts_fail(
			&call->err, r, 8,
			"%.500s is in use, and is to be mounted "
			"anew: end the programs that have files open "
			"or stand in it (fuser -vm shows them)",
			dir);
	if (r < 0)
		return r;
	return mounts_mount(call->config->mounts, dir, e, &opt, &anew,
			    &call->err);
}

static int method_reset(struct control_call *call, json_t **ret_result)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	_cleanup_mount_ struct mount *mnt = NULL;
	json_int_t changes = 0;
	struct mounts_options opt;
	bool anew;
	int r;

	r = acquire(call, "reset", &mnt);
	if (r < 0)
		return r;
	r = view_diff(mount_view(mnt), count_change, &changes);
	mount_get_options(mnt, &opt);
	anew = is_committed(mnt, &e) || opt.writeback;
	if (r == 0 && !anew)
		r = view_reset(mount_view(mnt), invalidate, mount_session(mnt));
	mount_release(mnt);
	if (r < 0)
		return control_fail(call, r, mount_dir(mnt));
	if (anew) {
		r = reset_anew(call, steal_ptr(&mnt), e.name ? &e : NULL);
		if (r < 0)
			return r;
	}
	*ret_result = json_pack("{s:I}", "changes", changes);
	return 0;
}

/* Fills in what the new entry was built on. */
static int commit_parent(struct mount *mnt, struct entry *e)
{
	_cleanup_entry_ struct entry parent = ENTRY_INIT;

	if (mount_entry(mnt, &parent) < 0)
		return 0; /* built on nothing */
	e->parent_catalog = parent.catalog;
	if (!e->parent[0]) {
		free(e->parent);
		e->parent = strdup(parent.key);
	}
	return e->parent ? 0 : -ENOMEM;
}

/* A change that is named among the first. */
static int add_changed(void *arg, const struct view_diff_item *item)
{
	struct changes *c = arg;

	return c->count++ < CHANGED_NAMED ? append_change(c->list, item) : 0;
}

/* What is not in the entry, because it was changed since the snapshot. Nobody
 * knows where the mount could not note the commit. */
static int put_changed(struct mount *mnt, const struct digest *catalog,
		       json_t *result)
{
	struct changes changed = { .list = json_array() };
	struct digest committed;
	int r = 0;

	if (view_committed(mount_view(mnt), &committed) &&
	    digest_equal(&committed, catalog))
		r = view_diff(mount_view(mnt), add_changed, &changed);
	json_object_set_new(result, "changed", changed.list);
	json_object_set_new(result, "changed_total",
			    json_integer(changed.count));
	return r;
}

static int commit_acquired(struct control_call *call, struct mount *mnt,
			   struct entry *e, json_t **ret_result)
{
	int64_t start = clock_mono_ns();
	struct control_left_out out = { .unknown = false };
	struct ingest_result result;
	struct digest before;
	bool unchanged;
	int r;

	r = commit_parent(mnt, e);
	if (r < 0)
		return control_fail(call, r, "the entry");
	unchanged = view_catalog(mount_view(mnt), &before);
	r = control_leave_out(call, mnt, &out);
	if (r < 0)
		return r;
	r = view_commit(mount_view(mnt), call->config->store,
			control_progress(call), e, &result);
	if (r < 0)
		return control_fail(call, r, mount_dir(mnt));
	r = mount_set_entry(mnt, e);
	if (r < 0)
		log_warn(r, "remembering what %s was committed as",
			 mount_dir(mnt));
	unchanged = unchanged && digest_equal(&before, &result.catalog);
	*ret_result = json_pack(
		"{s:o, s:o, s:I, s:b, s:b}", "entry",
		control_entry_json(e, false), "result",
		control_result_json(&result), "elapsed_ms",
		(json_int_t)((clock_mono_ns() - start) / 1000000), "unchanged",
		unchanged, "published", result.published);
	control_put_left_out(call, &out, *ret_result);
	r = put_changed(mnt, &result.catalog, *ret_result);
	if (r < 0)
		log_warn(r, "finding what changed in %s during the commit",
			 mount_dir(mnt));
	return 0;
}

static int method_commit(struct control_call *call, json_t **ret_result)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	_cleanup_mount_ struct mount *mnt = NULL;
	int r;

	r = control_new_entry(call, &e);
	if (r == 0 && control_is_taken(call, &e, ret_result))
		return 0;
	if (r == 0)
		r = acquire(call, "commit", &mnt);
	if (r < 0)
		return r;
	r = commit_acquired(call, mnt, &e, ret_result);
	mount_release(mnt);
	if (r == 0)
		control_upload(call, &e, *ret_result);
	return r;
}

const struct control_method control_change_methods[] = {
	{ "diff", method_diff, false },
	{ "reset", method_reset, false },
	{ "commit", method_commit, true },
	{ NULL, NULL, false },
};
