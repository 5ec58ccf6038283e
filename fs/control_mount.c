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

#include "control_internal.h"

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

json_t *control_mount_json(struct mount *mnt)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	char hex[DIGEST_HEX_LEN + 1];
	bool has_entry = mount_entry(mnt, &e) == 0;
	struct view_stats stats;
	struct digest base;
	json_int_t total;
	json_t *j;

	view_stats(mount_view(mnt), &stats);
	j = json_pack("{s:s, s:o, s:s, s:b, s:b, s:I, s:I, s:o}", "id",
		      mount_id(mnt), "dir",
		      rpc_string(mount_dir(mnt), strlen(mount_dir(mnt))),
		      "mode", mount_read_only(mnt) ? "ro" : "rw", "dirty",
		      stats.dirty, "damaged", stats.damaged, "upper_bytes",
		      (json_int_t)stats.upper_bytes, "upper_inodes",
		      (json_int_t)stats.upper_inodes, "mounted",
		      control_time(mount_time_ns(mnt)));
	if (!j)
		return NULL;
	json_object_set_new(j, "entry",
			    has_entry ? json_sprintf("%s@%s", e.name, e.key) :
					json_null());
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
	json_object_set_new(j, "requests", requests_json(mnt, &total));
	json_object_set_new(j, "requests_total", json_integer(total));
	return j;
}

static int mount_options(struct control_call *call, struct mounts_options *opt)
{
	const char *mode;
	int r;

	r = control_string(call, "mode", &mode);
	if (r < 0)
		return r;
	*opt = (struct mounts_options){
		.read_only = strcmp(mode, "ro") == 0,
		/* Root's mounts are for everybody, as a local file system
		 * is; the kernel checks permissions. */
		.allow_other = control_flag(call, "allow_other") ||
			       call->uid == 0,
		.suid_dev = control_flag(call, "suid_dev"),
		.stateful_open = control_flag(call, "stateful_open"),
		.uid = call->uid,
		.gid = call->gid,
	};
	if (!opt->read_only && strcmp(mode, "rw") != 0)
		return mounts_fail(&call->err, -EINVAL, 2,
				   "the mode \"%.50s\" is neither ro nor rw",
				   mode);
	if (opt->suid_dev && call->uid != 0)
		return mounts_fail(&call->err, -EPERM, 1,
				   "suid and dev are for root only");
	return 0;
}

/* What `mount` found and did, for its answer. */
struct mount_answer {
	const char *outcome;
	char reason[ENTRY_BRANCH_MAX + KEY_MAX + 128];
	bool has_entry;
	struct entry entry;
	bool reused;
	char kept_id[MOUNT_ID_LEN + 1]; /* empty: nothing was set aside */
	json_int_t kept_changes;
};

static int count_change(void *arg, const struct view_diff_item *item)
{
	json_int_t *count = arg;

	(void)item;
	(*count)++;
	return 0;
}

/* For the user's information only: what goes wrong here keeps nothing from
 * going on. */
static json_int_t count_changes(struct mount *mnt)
{
	struct mounts_error ignored;
	json_int_t count = 0;
	int r;

	if (mount_acquire(mnt, "diff", &ignored) < 0)
		return 0;
	r = view_diff(mount_view(mnt), count_change, &count);
	mount_release(mnt);
	if (r < 0)
		log_warn(r, "counting the changes of %s", mount_dir(mnt));
	return count;
}

/* Takes the mount at `dir` away so that another entry may be mounted there; its
 * changes are kept. */
static int make_room(struct control_call *call, const char *dir,
		     struct mount **old, struct mount_answer *a)
{
	char id[MOUNT_ID_LEN + 1];
	bool kept = false;
	int r;

	snprintf(id, sizeof(id), "%s", mount_id(*old));
	a->kept_changes = count_changes(*old);
	/* It goes with its last reference. */
	mount_unref(steal_ptr(old));
	r = mounts_umount(call->config->mounts, dir, false, false, &kept,
			  &call->err);
	if (r == -ENOENT) { /* another command has, meanwhile */
		call->err.message[0] = '\0';
		return 0;
	}
	if (r == 0 && kept)
		memcpy(a->kept_id, id, sizeof(id));
	return r;
}

/*
 * A run's directory is mounted already. 1: the mount serves as it is (the
 * tree that was looked up, or the base to build on). 0: it made room, and
 * its reference was given back.
 */
static int reuse_mount(struct control_call *call, const char *dir,
		       struct mount **old, struct mount_answer *a)
{
	_cleanup_entry_ struct entry current = ENTRY_INIT;
	struct digest catalog;
	bool exact = strcmp(a->outcome, "exact") == 0;

	if (mount_read_only(*old))
		return make_room(call, dir, old, a);
	if (exact && view_catalog(mount_view(*old), &catalog) &&
	    digest_equal(&catalog, &a->entry.catalog))
		return 1;
	if (mount_entry(*old, &current) == 0) {
		/* Changes made since do not make it another entry's mount. */
		if (exact && strcmp(current.key, a->entry.key) == 0 &&
		    strcmp(current.name, a->entry.name) == 0 &&
		    strcmp(current.namespace, a->entry.namespace) == 0 &&
		    strcmp(current.tenant, a->entry.tenant) == 0 &&
		    digest_equal(&current.catalog, &a->entry.catalog))
			return 1;
	}
	if (exact)
		return make_room(call, dir, old, a);
	/* What is there is nearer than anything in the store. */
	entry_release(&a->entry);
	a->entry = current;
	current = (struct entry)ENTRY_INIT;
	a->has_entry = a->entry.name != NULL;
	a->outcome = a->has_entry ? "partial" : "miss";
	snprintf(a->reason, sizeof(a->reason),
		 "no entry has this key; the tree that is mounted there is the "
		 "base");
	return 1;
}

/* Mounts what a run looks up. */
static int mount_lookup(struct control_call *call, const char *dir,
			const json_t *lookup, const struct mounts_options *opt,
			struct mount_answer *a, struct mount **ret_mount)
{
	_cleanup_mount_ struct mount *old = NULL;
	const char *tenant, *ns, *name, *key;
	json_t *b = json_object_get(lookup, "branch");
	_cleanup_free_ char *branch = NULL;
	struct mounts_error ignored;
	int r;

	r = control_scope(call, &tenant, &ns);
	if (r == 0)
		r = control_name(call, lookup, "name", &name);
	if (r == 0)
		r = control_name(call, lookup, "key", &key);
	if (r < 0)
		return r;
	branch = json_is_string(b) ? rpc_bytes(b, NULL) : strdup("");
	if (!branch)
		return control_fail(call, -ENOMEM, "the branch");
	r = control_resolve(call, tenant, ns, name, key, branch,
			    json_is_true(json_object_get(lookup, "restore")),
			    &a->entry, &a->outcome, a->reason,
			    sizeof(a->reason));
	if (r < 0 && r != -ENOENT) {
		/* A cache fault is a miss, said once. */
		log_warn(r, "looking up %s@%s", name, key);
		a->outcome = "miss";
		snprintf(a->reason, sizeof(a->reason),
			 "the store's index cannot be read");
	}
	a->has_entry = r == 0;
	if (mounts_find(call->config->mounts, dir, &old, &ignored) == 0) {
		r = reuse_mount(call, dir, &old, a);
		if (r < 0)
			return r;
		a->reused = r > 0;
		if (a->reused) {
			*ret_mount = steal_ptr(&old);
			return 0;
		}
	}
	r = mounts_mount(call->config->mounts, dir,
			 a->has_entry ? &a->entry : NULL, opt, ret_mount,
			 &call->err);
	if (r != -EBADMSG && !(r == -ENOENT && call->err.exit != 1))
		return r;
	/* The entry's tree is damaged: build it again, on nothing. */
	log_warn(r, "%s@%s cannot be mounted: %s", name, key,
		 call->err.message);
	entry_release(&a->entry);
	a->has_entry = false;
	a->outcome = "miss";
	snprintf(a->reason, sizeof(a->reason),
		 "the stored tree is damaged or gone");
	call->err.message[0] = '\0';
	return mounts_mount(call->config->mounts, dir, NULL, opt, ret_mount,
			    &call->err);
}

static json_t *mount_answer_json(struct mount *mnt, struct mount_answer *a)
{
	json_t *j = json_pack(
		"{s:o, s:s, s:o, s:o, s:b}", "mount", control_mount_json(mnt),
		"outcome", a->outcome, "entry",
		a->has_entry ? control_entry_json(&a->entry, false) :
			       json_null(),
		"reason", rpc_string(a->reason, strlen(a->reason)), "reused",
		a->reused);

	if (j && a->kept_id[0])
		json_object_set_new(j, "kept",
				    json_pack("{s:s, s:I}", "id", a->kept_id,
					      "changes", a->kept_changes));
	return j;
}

static int method_mount(struct control_call *call, json_t **ret_result)
{
	json_t *lookup = json_object_get(call->params, "lookup");
	struct mount_answer a = { .outcome = "exact", .entry = ENTRY_INIT };
	_cleanup_mount_ struct mount *mnt = NULL;
	_cleanup_free_ char *dir = NULL;
	struct mounts_options opt;
	int r;

	r = control_bytes(call, "dir", &dir);
	if (r == 0)
		r = mount_options(call, &opt);
	if (r < 0)
		return r;
	if (dir[0] != '/')
		return mounts_fail(&call->err, -EINVAL, 2,
				   "the directory must be absolute");
	if (json_is_object(lookup)) {
		r = mount_lookup(call, dir, lookup, &opt, &a, &mnt);
	} else {
		if (control_flag(call, "empty"))
			a.outcome = "miss";
		else
			r = control_find_entry(call, &a.entry);
		a.has_entry = r == 0 && !control_flag(call, "empty");
		if (r == 0)
			r = mounts_mount(call->config->mounts, dir,
					 a.has_entry ? &a.entry : NULL, &opt,
					 &mnt, &call->err);
	}
	if (r == 0)
		*ret_result = mount_answer_json(mnt, &a);
	entry_release(&a.entry);
	return r;
}

static int method_umount(struct control_call *call, json_t **ret_result)
{
	_cleanup_free_ char *dir = NULL;
	bool kept = false;
	int r;

	r = control_bytes(call, "dir", &dir);
	if (r == 0)
		r = mounts_umount(call->config->mounts, dir,
				  control_flag(call, "lazy"),
				  control_flag(call, "discard"), &kept,
				  &call->err);
	if (r == 0)
		*ret_result = json_pack("{s:b}", "kept", kept);
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
	if (r == 0)
		*ret_result = json_pack("{s:O}", "mounts", list);
	return r;
}

const struct control_method control_mount_methods[] = {
	{ "mount", method_mount },
	{ "umount", method_umount },
	{ "resume", method_resume },
	{ NULL, NULL },
};
