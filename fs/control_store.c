/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Methods of the control server that concern entries: import, list, show,
 * ls, cat, export, materialize.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/io.h"
#include "store/export.h"

#include "control_remote.h"
#include "control_trust.h"

#define CAT_BUFFER (1u << 20)

static int need_fd(struct control_call *call)
{
	if (call->nfds >= 1)
		return 0;
	return mounts_fail(&call->err, -EINVAL, 2,
			   "the request came without its descriptor");
}

static json_int_t elapsed_ms(int64_t since_ns)
{
	return (json_int_t)((clock_mono_ns() - since_ns) / 1000000);
}

static int method_import(struct control_call *call, json_t **ret_result)
{
	struct ingest_owner self = { call->uid, call->gid };
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	_cleanup_free_ char *label = NULL;
	int64_t start = clock_mono_ns();
	struct ingest_result result;
	const char *kind;
	int r;

	r = need_fd(call);
	if (r == 0)
		r = control_new_entry(call, &e);
	if (r == 0)
		r = control_bytes(call, "label", &label);
	if (r == 0)
		r = control_string(call, "kind", &kind);
	if (r < 0)
		return r;
	if (control_is_taken(call, &e, ret_result))
		return 0;
	if (strcmp(kind, "dir") != 0 && strcmp(kind, "tar") != 0)
		return mounts_fail(&call->err, -EINVAL, 2,
				   "the kind \"%.50s\" is neither dir nor tar",
				   kind);
	if (strcmp(kind, "dir") == 0)
		r = ingest_dir(call->config->store, call->fds[0], label, &self,
			       control_flag(call, "reread"),
			       control_progress(call), &e, &result);
	else
		r = ingest_tar(call->config->store, call->fds[0], label, &self,
			       control_progress(call), &e, &result);
	if (r == -EBADMSG)
		return mounts_fail(&call->err, r, 1,
				   "%s: no tar that can be read whole (the "
				   "daemon's log says where it breaks off)",
				   label);
	if (r < 0)
		return control_fail(call, r, label);
	*ret_result = json_pack("{s:o, s:o, s:I, s:b, s:b}", "entry",
				control_entry_json(&e, false), "result",
				control_result_json(&result), "elapsed_ms",
				elapsed_ms(start), "unchanged",
				!result.published, "published",
				result.published);
	control_upload(call, &e, *ret_result);
	return 0;
}

struct list {
	json_t *items;
	struct entry *all;
	size_t count, cap;
};

static int list_add(void *arg, const struct entry *e)
{
	struct list *list = arg;

	if (list->count == list->cap) {
		size_t cap = list->cap ? 2 * list->cap : 64;
		struct entry *grown = realloc(list->all, cap * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		list->all = grown;
		list->cap = cap;
	}
	list->all[list->count] = (struct entry)ENTRY_INIT;
	if (entry_copy(e, &list->all[list->count]) < 0)
		return -ENOMEM;
	list->count++;
	return 0;
}

static int newest_first(const void *a, const void *b)
{
	const struct entry *ea = a, *eb = b;

	return (ea->created_ns < eb->created_ns) -
	       (ea->created_ns > eb->created_ns);
}

static int method_list(struct control_call *call, json_t **ret_result)
{
	struct list list = { .all = NULL };
	const char *tenant, *ns, *name = NULL;
	json_t *items;
	int r;

	r = control_scope(call, &tenant, &ns);
	if (r == 0 && json_is_string(json_object_get(call->params, "name")))
		r = control_name(call, call->params, "name", &name);
	if (r < 0)
		return r;
	r = index_each_entry(store_index(call->config->store), tenant, ns, name,
			     list_add, &list);
	items = json_array();
	if (list.count)
		qsort(list.all, list.count, sizeof(list.all[0]), newest_first);
	for (size_t i = 0; i < list.count; i++) {
		json_t *item = control_entry_json(&list.all[i], false);

		control_add_times(call, &list.all[i], item);
		json_array_append_new(items, item);
		entry_release(&list.all[i]);
	}
	free(list.all);
	*ret_result = json_pack("{s:o}", "entries", items);
	return r < 0 ? control_fail(call, r, "listing the entries") : 0;
}

static int method_show(struct control_call *call, json_t **ret_result)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	json_t *entry;
	int r;

	r = control_find_entry(call, &e);
	if (r < 0)
		return r;
	entry = control_entry_json(&e, true);
	control_add_times(call, &e, entry);
	*ret_result = json_pack("{s:o}", "entry", entry);
	return control_add_trusted(call, &e, entry);
}

static const char *type_name(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "dir";
	case S_IFLNK:
		return "symlink";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "socket";
	case S_IFCHR:
		return "char";
	default:
		return "block";
	}
}

static json_t *owner_json(uint32_t id)
{
	return id == CATALOG_OWNER_SELF ? json_null() : json_integer(id);
}

static int ls_item(const struct catalog *c, uint32_t ino, const char *name,
		   size_t name_len, json_t *items)
{
	struct catalog_inode node;
	const char *target;
	size_t len;
	json_t *j;
	int r;

	r = catalog_inode(c, ino, &node);
	if (r < 0)
		return r;
	j = json_pack(
		"{s:o, s:s, s:i, s:i, s:o, s:o, s:I, s:o}", "name",
		rpc_string(name, name_len), "type", type_name(node.mode),
		"mode", (int)(node.mode & 07777), "nlink", (int)node.nlink,
		"uid", owner_json(node.uid), "gid", owner_json(node.gid),
		"size", (json_int_t)node.size, "mtime",
		control_time(node.mtime_sec * 1000000000 + node.mtime_nsec));
	if (S_ISLNK(node.mode)) {
		r = catalog_readlink(c, ino, &target, &len);
		if (r == 0)
			json_object_set_new(j, "target",
					    rpc_string(target, len));
	}
	json_array_append_new(items, j);
	return r;
}

static int ls_dir(struct control_call *call, const struct catalog *c,
		  uint32_t ino, const char *path, json_t *items)
{
	struct catalog_dirent de;
	struct catalog_inode node;
	int r;

	r = catalog_inode(c, ino, &node);
	if (r < 0)
		return r;
	if (!S_ISDIR(node.mode)) {
		const char *slash = strrchr(path, '/');
		const char *name = slash ? slash + 1 : path;

		return ls_item(c, ino, name, strlen(name), items);
	}
	for (uint32_t i = 0; r == 0; i++) {
		r = catalog_dirent(c, ino, i, &de);
		if (r == 0)
			r = ls_item(c, de.ino, de.name, de.name_len, items);
		if (r == 0)
			r = control_send_part(call, "items", items);
	}
	return r == -ENOENT ? 0 : r;
}

/* The tree of `entry`, and the inode of `path` in it. */
static int open_path(struct control_call *call, struct store_tree **ret_tree,
		     uint32_t *ret_ino, char **ret_path)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	_cleanup_tree_ struct store_tree *t = NULL;
	_cleanup_free_ char *path = NULL;
	int r;

	r = control_find_entry(call, &e);
	if (r == 0)
		r = control_open_tree(call, &e, &t);
	if (r == 0)
		r = control_bytes(call, "path", &path);
	if (r < 0)
		return r;
	r = catalog_resolve(store_tree_catalog(t), path, ret_ino);
	if (r == -ENOENT || r == -ENOTDIR)
		return mounts_fail(&call->err, r, 1, "%s@%.12s has no %.500s",
				   e.name, e.key, path);
	if (r < 0)
		return control_fail(call, r, path);
	gc_entry_used(call->config->store, &e);
	*ret_tree = steal_ptr(&t);
	*ret_path = steal_ptr(&path);
	return 0;
}

static int method_ls(struct control_call *call, json_t **ret_result)
{
	_cleanup_tree_ struct store_tree *t = NULL;
	_cleanup_json_ json_t *items = json_array();
	_cleanup_free_ char *path = NULL;
	uint32_t ino;
	int r;

	r = open_path(call, &t, &ino, &path);
	if (r < 0)
		return r;
	r = ls_dir(call, store_tree_catalog(t), ino, path, items);
	if (r < 0)
		return control_fail(call, r, path);
	*ret_result = json_pack("{s:O}", "items", items);
	return 0;
}

static int copy_out(struct control_call *call, struct store_tree *t,
		    uint32_t ino, uint64_t *ret_bytes)
{
	_cleanup_free_ uint8_t *buf = malloc(CAT_BUFFER);
	struct codec_ctx *ctx = NULL;
	uint64_t off = 0;
	ssize_t n = 0;
	int r;

	r = buf ? codec_ctx_new(&ctx) : -ENOMEM;
	while (r == 0) {
		n = store_file_read(t, ctx, ino, buf, CAT_BUFFER, off);
		if (n <= 0)
			break;
		r = io_write(call->fds[0], buf, (size_t)n);
		off += (uint64_t)n;
	}
	codec_ctx_free(ctx);
	*ret_bytes = off;
	return r < 0 ? r : n < 0 ? (int)n : 0;
}

static int method_cat(struct control_call *call, json_t **ret_result)
{
	_cleanup_tree_ struct store_tree *t = NULL;
	_cleanup_free_ char *path = NULL;
	struct catalog_inode node;
	uint64_t bytes = 0;
	uint32_t ino;
	int r;

	r = need_fd(call);
	if (r == 0)
		r = open_path(call, &t, &ino, &path);
	if (r < 0)
		return r;
	r = catalog_inode(store_tree_catalog(t), ino, &node);
	if (r == 0 && !S_ISREG(node.mode))
		return mounts_fail(&call->err, -EISDIR, 1,
				   "%.500s is no regular file", path);
	if (r == 0)
		r = copy_out(call, t, ino, &bytes);
	if (r < 0)
		return control_fail(call, r, path);
	*ret_result = json_pack("{s:I}", "bytes", (json_int_t)bytes);
	return 0;
}

static int open_entry(struct control_call *call, struct entry *e,
		      struct store_tree **ret_tree)
{
	int r = need_fd(call);

	if (r == 0)
		r = control_find_entry(call, e);
	if (r == 0)
		r = control_open_tree(call, e, ret_tree);
	if (r == 0)
		gc_entry_used(call->config->store, e);
	return r;
}

static int method_export(struct control_call *call, json_t **ret_result)
{
	struct ingest_owner self = { call->uid, call->gid };
	_cleanup_tree_ struct store_tree *t = NULL;
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	int r;

	r = open_entry(call, &e, &t);
	if (r < 0)
		return r;
	r = export_tar(t, call->fds[0], &self, control_progress(call));
	if (r < 0)
		return control_fail(call, r, "writing the tar");
	*ret_result = json_pack("{s:I, s:I}", "files", (json_int_t)e.files,
				"bytes", (json_int_t)e.bytes);
	return 0;
}

static int method_materialize(struct control_call *call, json_t **ret_result)
{
	struct ingest_owner self = { call->uid, call->gid };
	_cleanup_tree_ struct store_tree *t = NULL;
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	_cleanup_free_ char *label = NULL;
	int64_t start = clock_mono_ns();
	int r;

	r = open_entry(call, &e, &t);
	if (r == 0)
		r = control_bytes(call, "label", &label);
	if (r < 0)
		return r;
	r = export_dir(t, call->fds[0], &self, control_progress(call));
	if (r == -ENOTEMPTY)
		return mounts_fail(&call->err, r, 1,
				   "%s is not empty; materialize into an empty "
				   "directory",
				   label);
	if (r < 0)
		return control_fail(call, r, label);
	*ret_result = json_pack("{s:I, s:I, s:I, s:I}", "files",
				(json_int_t)e.files, "dirs", (json_int_t)e.dirs,
				"bytes", (json_int_t)e.bytes, "elapsed_ms",
				elapsed_ms(start));
	return 0;
}

const struct control_method control_store_methods[] = {
	{ "import", method_import, true },
	{ "list", method_list, false },
	{ "show", method_show, false },
	{ "ls", method_ls, false },
	{ "cat", method_cat, false },
	{ "export", method_export, false },
	{ "materialize", method_materialize, false },
	{ NULL, NULL, false },
};
