/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a run. They are named by their paths, as mount points are; one
 * inside of a mount of this daemon's is refused by the mount itself.
 */
#include "control_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/log.h"
#include "store/gc.h"
#include "store/lone_file.h"

/* The directory that an absolute path is in, and its name there. */
static int open_parent(const char *path, int *ret_fd, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *parent =
		strndup(path, slash == path ? 1 : (size_t)(slash - path));
	int fd = parent ? open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (!parent || !slash[1])
		return parent ? -EISDIR : -ENOMEM;
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	*ret_name = slash + 1;
	return 0;
}

/* ---- what becomes of it */

static bool is_exact(const struct control_found *found)
{
	return strcmp(found->outcome, "exact") == 0;
}

/* Whether the file, of which nothing is known, has the base's content. */
static int has_content(struct store *s, const struct control_place *place,
		       int dirfd, const char *name)
{
	struct store_tree *t;
	int r;

	if (!place->has_base)
		return 0;
	r = store_tree_open(s, &place->base, &t);
	if (r < 0)
		return r;
	r = lone_file_equals(t, dirfd, name);
	store_tree_unref(t);
	return r;
}

static int refuse(struct control_call *call, const struct control_place *place,
		  struct control_found *found, enum control_file_step *ret_step)
{
	if (control_flag(call, "adopt")) {
		found->outcome = "partial";
		found->rule = "directory";
		snprintf(found->reason, sizeof(found->reason),
			 "a file that was there before is the base");
		*ret_step = FILE_STAYS;
		return 0;
	}
	return mounts_fail(&call->err, -ENOTEMPTY, 1,
			   "%.500s is a file that is not from larder, or was "
			   "changed since, and %s; move it away, or keep it "
			   "as the base with --adopt",
			   place->dir,
			   is_exact(found) ? "another one belongs there" :
					     "this run begins with nothing");
}

/* A file stands where an exact one belongs, or none. */
static int judge_file(struct control_call *call,
		      const struct control_place *place, int dirfd,
		      const char *name, const struct digest *known,
		      struct control_found *found,
		      enum control_file_step *ret_step)
{
	int r;

	*ret_step = place->has_base ? FILE_WRITTEN : FILE_REMOVED;
	if (known) {
		if (place->has_base && digest_equal(known, &place->base))
			*ret_step = FILE_STAYS;
		return 0;
	}
	r = has_content(call->config->store, place, dirfd, name);
	if (r < 0)
		return control_fail(call, r, place->dir);
	return r > 0 ? 0 : refuse(call, place, found, ret_step);
}

static int judge(struct control_files *f, size_t i, bool fresh,
		 struct control_found *found)
{
	const struct control_place *place = &f->at->items[i];
	struct control_call *call = f->at->call;
	enum control_file_step *step = &f->items[i].step;
	_cleanup_close_ int dirfd = -1;
	enum lone_file_state state;
	struct digest known;
	const char *name;
	int r = open_parent(place->dir, &dirfd, &name);

	if (r == 0)
		r = lone_file_look(call->config->store, dirfd, name, &state,
				   &known);
	if (r < 0)
		return control_fail(call, r, place->dir);
	f->items[i].there = state >= LONE_FILE_KNOWN;
	if (!f->items[i].there) {
		*step = place->has_base ? FILE_WRITTEN : FILE_STAYS;
		return 0;
	}
	*step = FILE_STAYS;
	/* An exact entry may say that nothing was there. */
	if (fresh || (is_exact(found) && place->has_base))
		return judge_file(call, place, dirfd, name,
				  state == LONE_FILE_KNOWN ? &known : NULL,
				  found, step);
	return 0;
}

int control_files_judge(struct control_places *at,
			const struct control_lookup *l,
			struct control_found *found,
			struct control_files *ret_files)
{
	bool fresh = !l->exact && !l->restore;
	int r = 0;

	ret_files->at = at;
	for (size_t i = 0; r == 0 && i < at->count; i++)
		if (control_place_form(&at->items[i]) == FORM_FILE)
			r = judge(ret_files, i, fresh, found);
	return r;
}

/* ---- doing it */

static int write_base(struct control_call *call,
		      const struct control_place *place, int dirfd,
		      const char *name)
{
	const struct ingest_owner self = { call->uid, call->gid };
	struct store_tree *t;
	int r = store_tree_open(call->config->store, &place->base, &t);

	if (r < 0)
		return r;
	if (place->now == NOW_EMPTY &&
	    unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		r = -errno;
	if (r == 0)
		r = lone_file_write(t, dirfd, name, &self);
	store_tree_unref(t);
	return r;
}

static int put(const struct control_files *f, size_t i)
{
	const struct control_place *place = &f->at->items[i];
	_cleanup_close_ int dirfd = -1;
	const char *name;
	int r;

	if (f->items[i].step == FILE_STAYS)
		return 0;
	r = open_parent(place->dir, &dirfd, &name);
	if (r == 0 && f->items[i].step == FILE_WRITTEN)
		return write_base(f->at->call, place, dirfd, name);
	if (r == 0 && unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
		r = -errno;
	return r;
}

static void forget(const struct control_files *f, size_t i, int err,
		   struct control_found *found)
{
	const char *path = f->at->items[i].dir;

	log_warn(err, "%s: cannot write %s@%s", path, found->entry.name,
		 found->entry.key);
	if (f->at->count == 1)
		found->has_entry = false;
	found->outcome = found->has_entry ? "partial" : "miss";
	if (!found->has_entry)
		found->rule = "none";
	snprintf(found->reason, sizeof(found->reason),
		 "the stored file cannot be written to %.200s", path);
}

int control_files_put(const struct control_files *f,
		      struct control_found *found)
{
	for (size_t i = 0; i < f->at->count; i++) {
		int r = control_place_form(&f->at->items[i]) == FORM_FILE ?
				put(f, i) :
				0;

		if (r < 0 && f->items[i].step == FILE_REMOVED)
			return control_fail(f->at->call, r,
					    f->at->items[i].dir);
		if (r < 0)
			forget(f, i, r, found);
	}
	return 0;
}

bool control_file_reused(const struct control_files *f, size_t i)
{
	return f->items[i].there && f->items[i].step == FILE_STAYS;
}

json_t *control_file_json(const struct control_files *f, size_t i)
{
	bool file = control_place_form(&f->at->items[i]) == FORM_FILE;

	return json_pack("{s:s, s:b}", "kind", file ? "file" : "absent",
			 "reused", file && control_file_reused(f, i));
}

/* ---- storing it */

int control_file_ingest(struct control_call *call, const char *path,
			struct ingest_result *ret_result)
{
	const struct ingest_owner self = { call->uid, call->gid };
	_cleanup_close_ int dirfd = -1;
	const char *name;
	int r = open_parent(path, &dirfd, &name);

	if (r == 0)
		r = lone_file_ingest(call->config->store, dirfd, name, path,
				     &self, control_progress(call), ret_result);
	return r < 0 ? control_fail(call, r, path) : 0;
}
