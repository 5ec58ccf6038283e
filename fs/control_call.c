/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters, errors and progress that the control server's methods share. */
#include <errno.h>
#include <string.h>

#include "store/base/cleanup.h"

#include "control_internal.h"

#define PART_ITEMS 4096u

int control_string(struct control_call *call, const char *name,
		   const char **ret_value)
{
	const char *value =
		json_string_value(json_object_get(call->params, name));

	if (!value)
		return mounts_fail(&call->err, -EINVAL, 2,
				   "the request lacks \"%s\"", name);
	*ret_value = value;
	return 0;
}

int control_bytes(struct control_call *call, const char *name, char **ret_value)
{
	json_t *value = json_object_get(call->params, name);
	char *bytes = json_is_string(value) ? rpc_bytes(value, NULL) : NULL;

	if (!bytes)
		return mounts_fail(&call->err, -EINVAL, 2,
				   "the request lacks \"%s\"", name);
	*ret_value = bytes;
	return 0;
}

bool control_flag(const struct control_call *call, const char *name)
{
	return json_is_true(json_object_get(call->params, name));
}

int control_name(struct control_call *call, const json_t *object,
		 const char *field, const char **ret_value)
{
	const char *value = json_string_value(json_object_get(object, field));

	if (!value || !key_is_valid(value))
		return mounts_fail(
			&call->err, -EINVAL, 2,
			"the %s \"%.200s\" is not valid; it takes 1 "
			"to %d letters, digits, '.', '_' and '-', and "
			"begins with a letter or digit",
			field, value ? value : "", KEY_MAX);
	*ret_value = value;
	return 0;
}

int control_scope(struct control_call *call, const char **ret_tenant,
		  const char **ret_namespace)
{
	int r = 0;

	*ret_tenant = ENTRY_TENANT_LOCAL;
	*ret_namespace = ENTRY_NAMESPACE_DEFAULT;
	if (json_object_get(call->params, "tenant"))
		r = control_name(call, call->params, "tenant", ret_tenant);
	if (r == 0 && json_object_get(call->params, "namespace"))
		r = control_name(call, call->params, "namespace",
				 ret_namespace);
	return r;
}

static int report(void *arg, const char *phase, uint64_t done_files,
		  uint64_t all_files, uint64_t done_bytes, uint64_t all_bytes)
{
	struct control_call *call = arg;
	_cleanup_json_ json_t *note = NULL;

	if (rpc_peer_gone(call->rpc))
		return -ECANCELED;
	if (!call->wants_progress)
		return 0;
	note = json_pack("{s:s, s:s, s:{s:s, s:I, s:I, s:I, s:I}}", "jsonrpc",
			 "2.0", "method", "progress", "params", "phase", phase,
			 "files", (json_int_t)done_files, "all_files",
			 (json_int_t)all_files, "bytes", (json_int_t)done_bytes,
			 "all_bytes", (json_int_t)all_bytes);
	return rpc_send(call->rpc, note, NULL, 0) < 0 ? -ECANCELED : 0;
}

struct progress *control_progress(struct control_call *call)
{
	call->progress.report = report;
	call->progress.arg = call;
	return &call->progress;
}

/* Items [from, to). Halved where they are too long for one line. */
static int send_items(struct control_call *call, const char *name,
		      const json_t *list, size_t from, size_t to)
{
	_cleanup_json_ json_t *items = json_array();
	_cleanup_json_ json_t *note = json_pack("{s:s, s:s, s:{s:O}}",
						"jsonrpc", "2.0", "method",
						"part", "params", name, items);
	size_t middle = from + (to - from) / 2;
	int r;

	for (size_t i = from; i < to; i++)
		json_array_append(items, json_array_get(list, i));
	if (!note || json_array_size(items) != to - from)
		return -ENOMEM;
	r = rpc_send(call->rpc, note, NULL, 0);
	if (r != -EMSGSIZE || to - from == 1)
		return r;
	r = send_items(call, name, list, from, middle);
	return r < 0 ? r : send_items(call, name, list, middle, to);
}

int control_send_part(struct control_call *call, const char *name, json_t *list)
{
	size_t n = json_array_size(list);
	int r;

	if (n < PART_ITEMS || !control_flag(call, "in_parts"))
		return 0;
	r = send_items(call, name, list, 0, n);
	return r < 0 ? r : json_array_clear(list);
}

int control_fail(struct control_call *call, int err, const char *what)
{
	switch (err) {
	case -ECANCELED:
		return mounts_fail(&call->err, err, 1,
				   "%s: given up, nothing was changed", what);
	case -ENOSPC:
	case -EDQUOT:
		return mounts_fail(&call->err, err, 1,
				   "%s: no space left under %s or %s; free "
				   "some and try again",
				   what, store_dir(call->config->store),
				   call->config->state_dir);
	case -EDEADLK:
		return mounts_fail(&call->err, err, 1,
				   "%s: this is inside a mount of Larder, "
				   "which the daemon cannot read by itself; "
				   "larder commit stores what is mounted",
				   what);
	case -EBADMSG:
		return mounts_fail(&call->err, err, 7,
				   "%s: the stored data are damaged (the "
				   "daemon's log names them)",
				   what);
	default:
		return mounts_fail(&call->err, err, 1, "%s: %s", what,
				   strerror(-err));
	}
}
