/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The method `trace`: tells a client which files of a mount are read, until
 * it goes away, its time is over, the mount ends or another worker takes over.
 * The reads come from the mount's ring (trace.h), in notifications of a few
 * each. A client that does not read what it is sent is sent nothing more until
 * it does: the ring goes on, and what is overwritten there is counted.
 *
 * Holds a reference to the mount, but waits for nobody with it for longer than
 * SEND_S. The connection's thread.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"

#include "control_internal.h"
#include "trace.h"
#include "view_paths.h"

#define BATCH 64 /* reads of a notification: less than a socket takes */
#define BATCHES (TRACE_READS / BATCH) /* in one tick: as many as the ring has */
#define TICK_MS 50		      /* between two looks at the ring */
#define SEND_S 2    /* for a client that stops in the middle of a line */
#define ANSWER_S 60 /* the same at the end, when it may have much to read */
#define NS_PER_MS INT64_C(1000000)
#define FOR_MS_MAX (INT64_C(1000) * 86400 * 365)

struct tracing {
	struct control_call *call;
	struct mount *mnt;
	struct trace *trace;
	struct view_paths *paths; /* one of the two */
	struct view_all_paths *all_paths;
	uint64_t pos;
	uint64_t reads, lost; /* that were told */
	int64_t until_ns;     /* monotonic; 0: no end */
};

/* --- one read --- */

static json_t *from_json(const struct trace_read *rd)
{
	static const char *const names[TRACE_SOURCES] = {
		[TRACE_UPPER] = "upper",
		[TRACE_MEMORY] = "memory",
		[TRACE_LOCAL] = "local",
		[TRACE_REMOTE] = "remote",
	};
	json_t *from = json_object();

	for (unsigned i = 0; i < TRACE_SOURCES; i++)
		if (rd->bytes[i] > 0)
			json_object_set_new(from, names[i],
					    json_integer(rd->bytes[i]));
	return from;
}

static json_t *read_json(const struct trace_read *rd, const char *path)
{
	json_t *j = json_pack(
		"{s:o, s:o, s:I, s:I, s:i, s:o, s:s?, s:I, s:I}", "time",
		control_time(rd->begun_ns), "path",
		path ? rpc_string(path, strlen(path)) : json_null(), "inode",
		(json_int_t)rd->node, "offset", (json_int_t)rd->off, "bytes",
		rd->result > 0 ? rd->result : 0, "from", from_json(rd), "tier",
		rd->tier, "took_us", (json_int_t)rd->took_us, "waited_us",
		(json_int_t)rd->waited_us);

	if (j && rd->result < 0)
		json_object_set_new(j, "error", json_integer(rd->result));
	return j;
}

/* --- a notification --- */

static int send_note(struct tracing *t, json_t *params)
{
	_cleanup_json_ json_t *note = json_pack("{s:s, s:s, s:o}", "jsonrpc",
						"2.0", "method", "trace",
						"params", params);

	return note ? rpc_send(t->call->rpc, note, NULL, 0) : -ENOMEM;
}

static int find_paths(struct tracing *t, const struct trace_read *reads,
		      size_t n, char **ret_paths)
{
	uint64_t nodes[BATCH];

	for (size_t i = 0; i < n; i++)
		nodes[i] = reads[i].node;
	return t->all_paths ?
		       view_all_paths_find(t->all_paths, nodes, n, ret_paths) :
		       view_paths_find(t->paths, nodes, n, ret_paths);
}

static int send_reads(struct tracing *t, const struct trace_read *reads,
		      size_t n, uint64_t lost)
{
	json_t *list = json_array();
	char *paths[BATCH] = { NULL };
	int r = find_paths(t, reads, n, paths);

	for (size_t i = 0; i < n; i++) {
		json_array_append_new(list, read_json(&reads[i], paths[i]));
		free(paths[i]);
	}
	t->reads += n;
	t->lost += lost;
	if (r < 0 || json_array_size(list) != n) {
		json_decref(list);
		return -ENOMEM;
	}
	return send_note(t, json_pack("{s:o, s:I}", "reads", list, "lost",
				      (json_int_t)lost));
}

static bool can_send(const struct tracing *t)
{
	struct pollfd p = { .fd = rpc_fd(t->call->rpc), .events = POLLOUT };

	return poll(&p, 1, 0) > 0 && p.revents == POLLOUT;
}

/* What has come, and not what comes meanwhile: that may go on for ever. */
static int send_all(struct tracing *t)
{
	struct trace_read reads[BATCH];
	uint64_t lost;
	size_t n;
	int r = 0;

	for (unsigned i = 0; i < BATCHES && r == 0 && can_send(t); i++) {
		n = trace_take(t->trace, &t->pos, reads, BATCH, &lost);
		if (n == 0 && lost == 0)
			return 0;
		r = send_reads(t, reads, n, lost);
	}
	return r;
}

/* --- until the end --- */

/* Why it is over; NULL: it is not. */
static const char *is_over(struct tracing *t, bool served)
{
	if (!served)
		return "unmounted";
	if (rpc_peer_gone(t->call->rpc))
		return "asked";
	if (t->until_ns && clock_mono_ns() >= t->until_ns)
		return "time";
	return NULL;
}

static int follow(struct tracing *t, const char **ret_end)
{
	bool stopping = control_set_watching(t->call->conn, true);
	const char *end = NULL;
	int r = send_note(t, json_pack("{s:b}", "begun", 1));

	while (r == 0 && !end && !stopping) {
		end = is_over(t, trace_wait(t->trace, TICK_MS));
		r = send_all(t);
	}
	t->lost += trace_left(t->trace, t->pos);
	if (control_set_watching(t->call->conn, false) || stopping)
		end = "replaced";
	else if (r == 0)
		rpc_limit_send(t->call->rpc, ANSWER_S);
	*ret_end = end;
	return r;
}

static int new_paths(struct tracing *t)
{
	struct view_all *all = mount_all(t->mnt);

	return all ? view_all_paths_new(all, &t->all_paths) :
		     view_paths_new(mount_view(t->mnt), &t->paths);
}

static int trace_mount(struct tracing *t, const char **ret_end)
{
	int r = new_paths(t);

	if (r == 0)
		r = trace_attach(t->trace, &t->pos);
	if (r == 0) {
		rpc_limit_send(t->call->rpc, SEND_S);
		r = follow(t, ret_end);
		trace_detach(t->trace);
	}
	view_paths_free(t->paths);
	view_all_paths_free(t->all_paths);
	return r;
}

static int get_time(struct control_call *call, int64_t *ret_until_ns)
{
	json_t *j = json_object_get(call->params, "for_ms");

	*ret_until_ns = 0;
	if (!j)
		return 0;
	if (!json_is_integer(j) || json_integer_value(j) < 0 ||
	    json_integer_value(j) > FOR_MS_MAX)
		return mounts_fail(&call->err, -EINVAL, 2,
				   "\"for_ms\" is no number of milliseconds");
	*ret_until_ns = clock_mono_ns() + json_integer_value(j) * NS_PER_MS;
	return 0;
}

static int method_trace(struct control_call *call, json_t **ret_result)
{
	_cleanup_mount_ struct mount *mnt = NULL;
	_cleanup_free_ char *dir = NULL;
	struct tracing t = { .call = call };
	const char *end = NULL;
	int r = control_bytes(call, "dir", &dir);

	if (r == 0)
		r = get_time(call, &t.until_ns);
	if (r == 0)
		r = mounts_find(call->config->mounts, dir, &mnt, &call->err);
	if (r < 0)
		return r;
	t.mnt = mnt;
	t.trace = session_trace(mount_session(mnt));
	r = trace_mount(&t, &end);
	if (r < 0)
		return control_fail(call, r, "the trace");
	*ret_result = json_pack("{s:I, s:I, s:s}", "reads", (json_int_t)t.reads,
				"lost", (json_int_t)t.lost, "end", end);
	return 0;
}

const struct control_method control_trace_methods[] = {
	{ "trace", method_trace, false },
	{ NULL, NULL, false },
};
