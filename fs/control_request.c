/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request of the control protocol: its method, and the answer or the error
 * that goes back. No state; the connection's thread.
 */
#include <errno.h>
#include <malloc.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/fault.h"
#include "store/base/log.h"

#include "control_internal.h"

static const struct control_method *find_method(const char *name)
{
	static const struct control_method *const tables[] = {
		control_store_methods,	   control_lookup_methods,
		control_mount_methods,	   control_roots_methods,
		control_run_methods,	   control_plain_methods,
		control_change_methods,	   control_unused_methods,
		control_daemon_methods,	   control_gc_methods,
		control_verify_methods,	   control_remote_methods,
		control_lazy_methods,	   control_trace_methods,
		control_gc_remote_methods,
	};

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (const struct control_method *m = tables[i]; m->name; m++)
			if (strcmp(m->name, name) == 0)
				return m;
	return NULL;
}

static json_t *error_json(const struct mounts_error *err)
{
	return json_pack("{s:i, s:o, s:{s:i}}", "code", err->code, "message",
			 rpc_string(err->message, strlen(err->message)), "data",
			 "exit", err->exit);
}

static int send_error(struct rpc *rpc, json_t *id,
		      const struct mounts_error *err)
{
	_cleanup_json_ json_t *reply = json_pack("{s:s, s:O, s:o}", "jsonrpc",
						 "2.0", "id", id, "error",
						 error_json(err));

	return reply ? rpc_send(rpc, reply, NULL, 0) : -ENOMEM;
}

static int send_result(struct rpc *rpc, json_t *id, json_t *result)
{
	_cleanup_json_ json_t *reply = json_pack("{s:s, s:O, s:O}", "jsonrpc",
						 "2.0", "id", id, "result",
						 result);

	return reply ? rpc_send(rpc, reply, NULL, 0) : -ENOMEM;
}

void control_refuse(struct rpc *rpc, int r)
{
	_cleanup_json_ json_t *id = json_null();
	struct mounts_error err;

	if (r == -EMSGSIZE)
		mounts_fail(&err, r, 2, "the request is longer than %u MiB",
			    RPC_LINE_MAX >> 20);
	else if (r == -EBADMSG)
		mounts_fail(&err, r, 2, "the request is no JSON object");
	else
		mounts_fail(&err, r, 1, "receiving the request: %s",
			    strerror(-r));
	log_debug("control: %s", err.message);
	(void)send_error(rpc, id, &err); /* perhaps nobody is there */
}

static int call_method(struct control_call *call, const char *name,
		       json_t **ret_result)
{
	const struct control_method *method = name ? find_method(name) : NULL;
	struct keeper *keeper = call->config->keeper;
	int r;

	keeper_note_request(keeper);
	if (!method)
		return mounts_fail(&call->err, -ENOSYS, 2,
				   "the daemon has no method %.64s; restart it "
				   "with larder daemon restart if it is older "
				   "than this command",
				   name ? name : "(none)");
	r = method->fn(call, ret_result);
	keeper_note_request(keeper);
	if (r == 0 && method->grows)
		keeper_note_growth(keeper);
	/* Long work leaves the heap of its threads behind; a daemon that
	 * lives for days gives it back. */
	if (call->progress.report)
		malloc_trim(0);
	if (r < 0 && !call->err.message[0])
		return control_fail(call, r, name);
	if (r == 0 && !*ret_result)
		return control_fail(call, -ENOMEM, name);
	return r;
}

int control_serve(const struct control_config *config, struct rpc *rpc,
		  struct connection *conn, const struct ucred *peer,
		  json_t *request, const int *fds, unsigned nfds)
{
	_cleanup_json_ json_t *none = json_object();
	_cleanup_json_ json_t *null = json_null();
	_cleanup_json_ json_t *result = NULL;
	struct control_call call = {
		.config = config,
		.rpc = rpc,
		.conn = conn,
		.nfds = nfds,
		.uid = peer->uid,
		.gid = peer->gid,
	};
	json_t *params = json_object_get(request, "params");
	json_t *id = json_object_get(request, "id");
	int r;

	if (!id)
		id = null;
	call.params = json_is_object(params) ? params : none;
	call.wants_progress = control_flag(&call, "progress");
	memcpy(call.fds, fds, nfds * sizeof(fds[0]));
	r = call_method(&call,
			json_string_value(json_object_get(request, "method")),
			&result);
	(void)fault_check("control.answer");
	if (r < 0)
		return send_error(rpc, id, &call.err);
	r = send_result(rpc, id, result);
	if (r != -EMSGSIZE)
		return r;
	mounts_fail(&call.err, r, 1,
		    "the answer is longer than %u MiB; ask for a part of it",
		    RPC_LINE_MAX >> 20);
	return send_error(rpc, id, &call.err);
}
