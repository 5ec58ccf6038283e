/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of several roots. The method `commit_roots`: several mounts and
 * files become one entry. Each is put into the store by itself; then they are
 * joined and the entry is published; and only then does each mount learn what
 * it was committed as, so that a failure leaves them all as they were.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/log.h"
#include "store/roots.h"

#include "control_files.h"
#include "control_remote.h"

/* --- joining --- */

void control_join_add(struct control_join *j, const char *root,
		      enum root_kind kind, const struct ingest_result *part)
{
	struct root *r = &j->roots[j->count++];

	*r = (struct root){ .name = root, .kind = kind };
	if (!part)
		return;
	r->catalog = part->catalog;
	j->added.read_bytes += part->read_bytes;
	j->added.new_chunks += part->new_chunks;
	j->added.new_bytes += part->new_bytes;
	j->added.stored_bytes += part->stored_bytes;
	j->added.new_files += part->new_files;
}

/* The entry that it was built on may be gone by now. */
static void find_parent(struct control_call *call, struct entry *e)
{
	_cleanup_entry_ struct entry parent = ENTRY_INIT;

	if (e->parent[0] &&
	    index_get_entry(store_index(call->config->store), e->tenant,
			    e->namespace, e->name, e->parent, &parent) == 0)
		e->parent_catalog = parent.catalog;
}

int control_join(struct control_call *call, struct control_join *j,
		 struct entry *e)
{
	int r;

	find_parent(call, e);
	r = roots_join(call->config->store, j->roots, j->count, &j->added, e,
		       &j->result);
	return r < 0 ? control_fail(call, r, e->name) : 0;
}

json_t *control_join_json(const struct control_join *j, const struct entry *e,
			  bool unchanged, int64_t start_ns)
{
	return json_pack("{s:o, s:o, s:I, s:b, s:b}", "entry",
			 control_entry_json(e, false), "result",
			 control_result_json(&j->result), "elapsed_ms",
			 (json_int_t)((clock_mono_ns() - start_ns) / 1000000),
			 "unchanged", unchanged, "published",
			 j->result.published);
}

/* --- the mounts --- */

struct part {
	char *dir;
	const char *name;
	enum root_kind kind;
	struct mount *mnt; /* acquired; of a directory */
	struct view_commit *commit;
	struct digest before; /* what it was before the commit, if known */
	bool had_before;
};

struct roots_commit {
	struct control_call *call;
	struct entry entry;
	struct part parts[ROOTS_MAX];
	size_t count;
	struct control_join join;
	struct control_left_out left_out;
	bool published; /* the entry is there */
};

static void roots_commit_release(struct roots_commit *c)
{
	for (size_t i = 0; i < c->count; i++) {
		struct part *p = &c->parts[i];

		if (p->commit)
			view_commit_end(p->commit, c->published);
		if (p->mnt)
			mount_release(p->mnt);
		mount_unref(p->mnt);
		free(p->dir);
	}
	entry_release(&c->entry);
}

int control_root(struct control_call *call, const json_t *root, char **ret_dir,
		 const char **ret_name)
{
	const json_t *name = json_object_get(root, "root");
	_cleanup_free_ char *dir =
		rpc_bytes(json_object_get(root, "dir"), NULL);

	if (!dir || dir[0] != '/')
		return mounts_fail(&call->err, -EINVAL, 2,
				   "the directory of a root must be absolute");
	if (name && (!json_is_string(name) ||
		     roots_check_name(json_string_value(name)) < 0))
		return mounts_fail(&call->err, -EINVAL, 2,
				   "%.500s cannot be a root of an entry", dir);
	*ret_name = json_string_value(name);
	*ret_dir = steal_ptr(&dir);
	return 0;
}

static int parse(struct roots_commit *c)
{
	const json_t *list = json_object_get(c->call->params, "roots"), *root;
	size_t i;

	if (json_array_size(list) == 0 || json_array_size(list) > ROOTS_MAX)
		return mounts_fail(&c->call->err, -EINVAL, 2,
				   "an entry has 1 to %d roots", ROOTS_MAX);
	json_array_foreach(list, i, root)
	{
		struct part *p = &c->parts[i];
		enum control_now now;
		int r = control_root(c->call, root, &p->dir, &p->name);

		if (r < 0)
			return r;
		c->count++;
		r = control_root_now(c->call, root, &now);
		if (r < 0)
			return r;
		p->kind = control_now_kind(now);
		if (!p->name)
			return mounts_fail(&c->call->err, -EINVAL, 2,
					   "a root of an entry has no name");
	}
	return 0;
}

static int acquire_all(struct roots_commit *c)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->count; i++)
		if (c->parts[i].kind == ROOT_DIR)
			r = control_acquire(c->call, c->parts[i].dir, "commit",
					    &c->parts[i].mnt);
	return r;
}

static int store_file(struct roots_commit *c, struct part *p)
{
	struct ingest_result res;
	int r = control_file_ingest(c->call, p->dir, &res);

	if (r == 0)
		control_join_add(&c->join, p->name, ROOT_FILE, &res);
	return r;
}

static int store_part(struct roots_commit *c, size_t i)
{
	struct part *p = &c->parts[i];
	struct ingest_result res;
	int r;

	if (p->kind == ROOT_FILE)
		return store_file(c, p);
	if (p->kind == ROOT_ABSENT) {
		control_join_add(&c->join, p->name, ROOT_ABSENT, NULL);
		return 0;
	}
	p->had_before = view_catalog(mount_view(p->mnt), &p->before);
	r = control_leave_out(c->call, p->mnt, &c->left_out);
	if (r < 0)
		return r;
	r = view_commit_begin(mount_view(p->mnt), c->call->config->store,
			      control_progress(c->call), &p->commit, &res);
	if (r < 0)
		return control_fail(c->call, r, p->dir);
	control_join_add(&c->join, p->name, ROOT_DIR, &res);
	return 0;
}

static int publish(struct roots_commit *c)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->count; i++)
		r = store_part(c, i);
	if (r == 0)
		r = control_join(c->call, &c->join, &c->entry);
	c->published = r == 0;
	return r;
}

/* Each mount stands for its part of the entry from now on. */
static void tell_mounts(struct roots_commit *c)
{
	for (size_t i = 0; i < c->count; i++) {
		struct entry part = c->entry; /* borrowed strings */
		int r;

		if (!c->parts[i].mnt)
			continue;
		part.catalog = c->join.roots[i].catalog;
		r = mount_set_entry(c->parts[i].mnt, &part);
		if (r < 0)
			log_warn(r, "remembering what %s was committed as",
				 c->parts[i].dir);
	}
}

/* What is no mount was before what the entry has of it that it was built on,
 * or that the key has already. */
static void find_before(struct roots_commit *c)
{
	const struct entry *e = &c->entry;

	for (size_t i = 0; i < c->count; i++) {
		struct part *p = &c->parts[i];
		struct root root;

		if (!p->mnt && !c->join.result.published) {
			p->had_before = true;
			p->before = c->join.roots[i].catalog;
		}
		if (p->mnt || p->had_before ||
		    digest_is_zero(&e->parent_catalog))
			continue;
		p->had_before = roots_extract(c->call->config->store,
					      &e->parent_catalog, p->name,
					      false, &root) == 0 &&
				root.kind == p->kind;
		p->before = root.catalog;
	}
}

static bool is_unchanged(const struct roots_commit *c)
{
	for (size_t i = 0; i < c->count; i++)
		if (!c->parts[i].had_before ||
		    !digest_equal(&c->parts[i].before,
				  &c->join.roots[i].catalog))
			return false;
	return true;
}

/* No mount is held any more when this returns. *ret_entry stays as it is where
 * nothing was published. */
static int commit_all(struct control_call *call, struct entry *ret_entry,
		      json_t **ret_result)
{
	_cleanup_(
		roots_commit_release) struct roots_commit c = { .call = call };
	int64_t start = clock_mono_ns();
	int r;

	r = control_new_entry(call, &c.entry);
	if (r == 0 && control_is_taken(call, &c.entry, ret_result))
		return 0;
	if (r == 0)
		r = parse(&c);
	if (r == 0)
		r = acquire_all(&c);
	if (r == 0)
		r = publish(&c);
	if (r < 0)
		return r;
	tell_mounts(&c);
	find_before(&c);
	*ret_result =
		control_join_json(&c.join, &c.entry, is_unchanged(&c), start);
	control_put_left_out(call, &c.left_out, *ret_result);
	*ret_entry = c.entry;
	c.entry = (struct entry)ENTRY_INIT;
	return 0;
}

static int method_commit_roots(struct control_call *call, json_t **ret_result)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	int r = commit_all(call, &e, ret_result);

	if (r == 0 && e.name)
		control_upload(call, &e, *ret_result);
	return r;
}

const struct control_method control_roots_methods[] = {
	{ "commit_roots", method_commit_roots, true },
	{ NULL, NULL, false },
};
