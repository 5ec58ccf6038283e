/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Methods of the control server that make mounts and take them away: mount,
 * umount, resume; and the mount object of their answers.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/log.h"
#include "store/lazy.h"

#include "control_again.h"
#include "control_remote.h"
#include "session_counts.h"
#include "upper_loss.h"
#include "view_all.h"

static void add_requests(void *arg, const char *opcode, uint64_t count)
{
	json_t *requests = arg;

	json_object_set_new(requests, opcode, json_integer((json_int_t)count));
}

static json_t *requests_json(struct mount *mnt, json_int_t *ret_total)
{
	json_t *requests = json_object(), *value;
	const char *opcode;

	session_requests(mount_session(mnt), add_requests, requests);
	*ret_total = 0;
	json_object_foreach(requests, opcode, value) *ret_total +=
		json_integer_value(value);
	return requests;
}

static json_t *loss_json(const struct upper_loss *loss)
{
	_cleanup_json_ json_t *paths = json_array();
	char file[16];

	if (!loss)
		return json_null();
	for (size_t i = 0; i < loss->npaths; i++)
		json_array_append_new(paths,
				      rpc_string(loss->paths[i],
						 strlen(loss->paths[i])));
	log_damage_file(&loss->damage, file);
	return json_pack("{s:s, s:I, s:I, s:O, s:b}", "file", file, "byte",
			 (json_int_t)loss->damage.off, "changes",
			 (json_int_t)loss->damage.changes, "paths", paths,
			 "more", loss->more);
}

/* Of a mount of all entries: how much of them the kernel has. */
static json_t *all_json(struct view_all *all)
{
	struct view_all_stats stats;

	if (!all)
		return json_null();
	view_all_stats(all, &stats);
	return json_pack("{s:I, s:I}", "entries", (json_int_t)stats.entries,
			 "files", (json_int_t)stats.files);
}

json_t *control_mount_json(struct mount *mnt)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	char hex[DIGEST_HEX_LEN + 1];
	bool has_entry = mount_entry(mnt, &e) == 0;
	struct mounts_options opt;
	struct session_bytes bytes;
	struct view_stats stats;
	struct digest base;
	json_int_t total;
	json_t *j;

	view_stats(mount_view(mnt), &stats);
	mount_get_options(mnt, &opt);
	j = json_pack("{s:s, s:o, s:s, s:b, s:b, s:b, s:I, s:I, s:o}", "id",
		      mount_id(mnt), "dir",
		      rpc_string(mount_dir(mnt), strlen(mount_dir(mnt))),
		      "mode", mount_read_only(mnt) ? "ro" : "rw", "over_files",
		      opt.over_files, "dirty", stats.dirty, "damaged",
		      stats.damaged, "upper_bytes",
		      (json_int_t)stats.upper_bytes, "upper_inodes",
		      (json_int_t)stats.upper_inodes, "mounted",
		      control_time(mount_time_ns(mnt)));
	if (!j)
		return NULL;
	json_object_set_new(j, "entry",
			    has_entry ? json_sprintf("%s@%s", e.name, e.key) :
					json_null());
	json_object_set_new(j, "all", all_json(mount_all(mnt)));
	json_object_set_new(j, "namespace",
			    has_entry ? json_string(e.namespace) : json_null());
	json_object_set_new(j, "tenant",
			    has_entry ? json_string(e.tenant) : json_null());
	if (mount_base(mnt, &base)) {
		digest_hex(&base, hex);
		json_object_set_new(j, "catalog", json_string(hex));
	} else {
		json_object_set_new(j, "catalog", json_null());
	}
	json_object_set_new(j, "loss", loss_json(view_loss(mount_view(mnt))));
	json_object_set_new(j, "requests", requests_json(mnt, &total));
	json_object_set_new(j, "requests_total", json_integer(total));
	session_bytes(mount_session(mnt), &bytes);
	json_object_set_new(j, "read_bytes",
			    json_integer((json_int_t)bytes.read));
	json_object_set_new(j, "written_bytes",
			    json_integer((json_int_t)bytes.written));
	return j;
}

int control_mount_options(struct control_call *call,
			  struct mounts_options *ret_options)
{
	const char *mode;
	int r;

	r = control_string(call, "mode", &mode);
	if (r < 0)
		return r;
	*ret_options = (struct mounts_options){
		.read_only = strcmp(mode, "ro") == 0,
		/* Root's mounts are for everybody, as a local file system
		 * is; the kernel checks permissions. */
		.allow_other = control_flag(call, "allow_other") ||
			       call->uid == 0,
		.suid_dev = control_flag(call, "suid_dev"),
		.stateful_open = control_flag(call, "stateful_open"),
		.writeback = control_flag(call, "writeback"),
		.uid = call->uid,
		.gid = call->gid,
	};
	if (!ret_options->read_only && strcmp(mode, "rw") != 0)
		return mounts_fail(&call->err, -EINVAL, 2,
				   "the mode \"%.50s\" is neither ro nor rw",
				   mode);
	if (ret_options->suid_dev && call->uid != 0)
		return mounts_fail(&call->err, -EPERM, 1,
				   "suid and dev are for root only");
	return 0;
}

/* Whether what is mounted at `dir` is just what is asked for. */
static bool is_there(struct control_call *call, const char *dir,
		     const struct entry *e, const struct mounts_options *opt,
		     struct mount **ret_mount)
{
	_cleanup_entry_ struct entry current = ENTRY_INIT;
	_cleanup_mount_ struct mount *mnt = NULL;
	struct mounts_error ignored;

	if (mounts_find(call->config->mounts, dir, &mnt, &ignored) < 0 ||
	    mount_entry(mnt, &current) < 0)
		return false;
	if (strcmp(current.key, e->key) != 0 ||
	    strcmp(current.name, e->name) != 0 ||
	    strcmp(current.namespace, e->namespace) != 0 ||
	    strcmp(current.tenant, e->tenant) != 0 ||
	    !digest_equal(&current.catalog, &e->catalog) ||
	    mount_read_only(mnt) != opt->read_only)
		return false;
	*ret_mount = steal_ptr(&mnt);
	return true;
}

static int mount_entry_at(struct control_call *call, const char *dir,
			  const struct mounts_options *opt, bool *ret_reused,
			  struct mount **ret_mount)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	int r = control_find_entry(call, &e);

	if (r < 0)
		return r;
	*ret_reused = is_there(call, dir, &e, opt, ret_mount);
	if (!*ret_reused)
		return mounts_mount(call->config->mounts, dir, &e, opt,
				    ret_mount, &call->err);
	mount_keep_secrets(*ret_mount, opt->secrets);
	return 0;
}

static bool is_same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* 1: it is there; 0: it is not, and something else may be. What a mount is
 * mounted with stays, for those who use it. */
static int find_all(struct control_call *call, const char *dir,
		    const struct mounts_options *want, struct mount **ret_mount)
{
	_cleanup_mount_ struct mount *mnt = NULL;
	struct mounts_options opt;
	struct mounts_error ignored;

	if (mounts_find(call->config->mounts, dir, &mnt, &ignored) < 0)
		return 0;
	mount_get_options(mnt, &opt);
	if (!is_same(opt.all, want->all))
		return 0;
	if (opt.allow_other != want->allow_other ||
	    opt.suid_dev != want->suid_dev ||
	    opt.stateful_open != want->stateful_open ||
	    !is_same(opt.tiers, want->tiers))
		return mounts_fail(&call->err, -EBUSY, 8,
				   "%s shows all entries already, with other "
				   "options or tiers; larder umount it first",
				   dir);
	*ret_mount = steal_ptr(&mnt);
	return 1;
}

/* Every entry of the call's tenant, whatever the mode says: read-only. */
static int mount_all_at(struct control_call *call, const char *dir,
			struct mounts_options *opt, bool *ret_reused,
			struct mount **ret_mount)
{
	const char *namespace;
	int r = control_scope(call, &opt->all, &namespace);

	if (r < 0)
		return r;
	opt->read_only = true;
	r = find_all(call, dir, opt, ret_mount);
	if (r < 0)
		return r;
	*ret_reused = r > 0;
	if (!*ret_reused)
		return mounts_mount(call->config->mounts, dir, NULL, opt,
				    ret_mount, &call->err);
	mount_keep_secrets(*ret_mount, opt->secrets);
	return 0;
}

static int mount_files_of(struct control_call *call, const char *dir,
			  struct mounts_options *opt, struct mount **ret_mount)
{
	struct digest base;
	int r = control_adopt(call, dir, &base);

	if (r < 0)
		return r;
	opt->over_files = r > 0;
	opt->base = r > 0 ? &base : NULL;
	return mounts_mount(call->config->mounts, dir, NULL, opt, ret_mount,
			    &call->err);
}

/* Until the mount is taken away, which keeps the tree open. */
static void fill(struct control_call *call, struct mount *mnt)
{
	_cleanup_tree_ struct store_tree *t = NULL;
	struct digest base;

	if (mount_base(mnt, &base) &&
	    store_tree_open(call->config->store, &base, &t) == 0)
		lazy_fill(t);
}

static int method_mount(struct control_call *call, json_t **ret_result)
{
	_cleanup_mount_ struct mount *mnt = NULL;
	_cleanup_free_ char *dir = NULL, *tiers = control_tiers_text(call);
	struct mounts_options opt;
	bool reused = false;
	int r;

	r = control_bytes(call, "dir", &dir);
	if (r == 0)
		r = control_mount_options(call, &opt);
	if (r < 0)
		return r;
	opt.tiers = tiers;
	opt.secrets = json_object_get(call->params, "tiers");
	if (dir[0] != '/')
		return mounts_fail(&call->err, -EINVAL, 2,
				   "the directory must be absolute");
	if (control_flag(call, "all"))
		r = mount_all_at(call, dir, &opt, &reused, &mnt);
	else if ((control_flag(call, "empty") || control_flag(call, "adopt")) &&
		 control_again_mount(call, dir, &opt, &mnt))
		r = 0;
	else if (control_flag(call, "empty"))
		r = mounts_mount(call->config->mounts, dir, NULL, &opt, &mnt,
				 &call->err);
	else if (control_flag(call, "adopt"))
		r = mount_files_of(call, dir, &opt, &mnt);
	else
		r = mount_entry_at(call, dir, &opt, &reused, &mnt);
	if (r == 0 && control_flag(call, "fill"))
		fill(call, mnt);
	if (r == 0)
		*ret_result = json_pack("{s:o, s:b}", "mount",
					control_mount_json(mnt), "reused",
					reused);
	return r;
}

/* Whether the directory shows files of its own without its mount. */
static bool is_over_files(struct control_call *call, const char *dir)
{
	_cleanup_mount_ struct mount *mnt = NULL;
	struct mounts_options opt;
	struct mounts_error ignored;

	if (mounts_find(call->config->mounts, dir, &mnt, &ignored) < 0)
		return false;
	mount_get_options(mnt, &opt);
	return opt.over_files;
}

static int method_umount(struct control_call *call, json_t **ret_result)
{
	bool kept = false, over_files = false;
	_cleanup_free_ char *dir = NULL;
	int r;

	r = control_bytes(call, "dir", &dir);
	if (r == 0) {
		over_files = is_over_files(call, dir);
		r = mounts_umount(call->config->mounts, dir,
				  control_flag(call, "lazy"),
				  control_flag(call, "discard"), &kept,
				  &call->err);
	}
	if (r == -ENOENT && control_again_umount(call, dir, &kept))
		r = 0;
	if (r == 0)
		*ret_result = json_pack("{s:b, s:b}", "kept", kept,
					"over_files", over_files);
	return r;
}

int control_add_mount(void *arg, struct mount *mnt)
{
	return json_array_append_new(arg, control_mount_json(mnt)) < 0 ?
		       -ENOMEM :
		       0;
}

static int method_resume(struct control_call *call, json_t **ret_result)
{
	_cleanup_json_ json_t *list = json_array();
	json_t *dir = json_object_get(call->params, "dir");
	json_t *id = json_object_get(call->params, "id");
	_cleanup_free_ char *which = NULL;
	int r;

	if (json_is_string(dir) || json_is_string(id)) {
		which = rpc_bytes(json_is_string(dir) ? dir : id, NULL);
		if (!which)
			return control_fail(call, -EINVAL, "resume");
	}
	r = mounts_resume(call->config->mounts, which, control_add_mount, list,
			  &call->err);
	if (r == -ENOENT && control_again_resume(call, which, list))
		r = 0;
	if (r == 0)
		*ret_result = json_pack("{s:O}", "mounts", list);
	return r;
}

const struct control_method control_mount_methods[] = {
	{ "mount", method_mount, false },
	{ "umount", method_umount, false },
	{ "resume", method_resume, false },
	{ NULL, NULL, false },
};
