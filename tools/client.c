/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reaching the daemon and calling it. Two commands that find no daemon at the
 * same time agree through a lock which of them starts it.
 *
 * A connection that ends before anything was answered is tried once more
 * where no descriptor went with the request: a daemon that had nothing to do
 * may have ended at that very moment, and requests can be repeated.
 */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "fs/rpc.h"
#include "interrupt.h"
#include "keys.h"
#include "progress.h"
#include "tiers.h"
#include "spawn.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"

struct client {
	struct rpc *rpc;
	json_int_t id; /* of the latest request */
	json_t *parts; /* of its answer: arrays by name; may be NULL */
	void (*listener)(void *arg, const char *method, const json_t *params);
	void *arg; /* the listener's */
	bool start;
};

/* ---- connecting */

/* Only one starts the daemon; the lock's file stays. */
static int lock_start(int dirfd, const char *socket_name)
{
	_cleanup_free_ char *name = io_path("%.16s.lock", socket_name);
	_cleanup_close_ int fd = -1;

	if (!name)
		return -ENOMEM;
	fd = openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
		    0600);
	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return -errno;
	return steal_fd(&fd);
}

static bool nobody_answers(int r)
{
	return r == -ENOENT || r == -ECONNREFUSED;
}

static int start_and_connect(int dirfd, const char *name, struct failure *f)
{
	_cleanup_close_ int lock = lock_start(dirfd, name);
	int fd, r;

	if (lock < 0)
		return failure_set(f, lock, EXIT_ERROR,
				   "cannot lock the daemon's start: %s",
				   strerror(-lock));
	fd = rpc_connect(dirfd, name, 0); /* someone else may have */
	if (!nobody_answers(fd))
		return fd;
	r = spawn_daemon(f);
	if (r < 0)
		return r;
	return rpc_connect(dirfd, name, 0);
}

/* A connected socket. Where the result is negative, the failure may have
 * been set already. */
static int reach(bool start, struct failure *f)
{
	_cleanup_free_ char *store = rpc_store_dir();
	_cleanup_free_ char *name = store ? rpc_socket_name(store) : NULL;
	_cleanup_close_ int dirfd = -1;
	int fd;

	if (!name)
		return -ENOMEM;
	dirfd = rpc_runtime_open();
	if (dirfd < 0)
		return dirfd;
	fd = rpc_connect(dirfd, name, 0);
	if (start && nobody_answers(fd))
		return start_and_connect(dirfd, name, f);
	return fd;
}

static int connect_rpc(struct client *c, struct failure *f)
{
	int fd, r;

	f->message[0] = '\0';
	fd = reach(c->start, f);
	if (fd < 0) {
		if (f->message[0])
			return fd;
		return failure_set(f, fd, EXIT_ERROR,
				   nobody_answers(fd) ?
					   "no daemon is running: %s" :
					   "cannot reach the daemon: %s",
				   strerror(-fd));
	}
	rpc_free(c->rpc);
	c->rpc = NULL;
	r = rpc_new(fd, &c->rpc);
	if (r < 0)
		return failure_set(f, r, EXIT_ERROR, "out of memory");
	return 0;
}

int client_open(bool start, struct client **ret_client,
		struct failure *ret_failure)
{
	struct client *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return failure_set(ret_failure, -ENOMEM, EXIT_ERROR,
				   "out of memory");
	c->start = start;
	r = connect_rpc(c, ret_failure);
	if (r < 0) {
		client_free(c);
		return r;
	}
	*ret_client = c;
	return 0;
}

void client_free(struct client *c)
{
	if (!c)
		return;
	rpc_free(c->rpc);
	json_decref(c->parts);
	free(c);
}

void client_listen(struct client *c,
		   void (*each)(void *arg, const char *method,
				const json_t *params),
		   void *arg)
{
	c->listener = each;
	c->arg = arg;
}

/* ---- calling */

static int set_error(const json_t *error, struct failure *f)
{
	json_int_t code = field_number(error, "code");
	json_int_t exit_code =
		field_number(json_object_get(error, "data"), "exit");

	if (code >= 0 || code < -4095)
		code = -EIO;
	if (exit_code < 1 || exit_code > 255)
		exit_code = EXIT_ERROR;
	return failure_set(f, (int)code, (int)exit_code, "%s",
			   field_text(error, "message"));
}

static int set_lost(int r, const char *method, struct failure *f)
{
	int signo = interrupt_signal();

	if (signo)
		return failure_set(f, -ECANCELED, EXIT_SIGNAL + signo,
				   "%s: interrupted (%s)", method,
				   strsignal(signo));
	if (r == 0 || r == -EPIPE)
		return failure_set(f, -EPIPE, EXIT_ERROR,
				   "%s: the daemon ended before it answered; "
				   "its log is larderd.log in the state "
				   "directory",
				   method);
	return failure_set(f, r, EXIT_ERROR, "%s: the daemon's answer: %s",
			   method, strerror(-r));
}

/* Keeps arrays that came ahead of the answer. */
static int parts_add(struct client *c, json_t *arrays)
{
	const char *name;
	json_t *more, *all;

	if (!c->parts)
		c->parts = json_object();
	json_object_foreach(arrays, name, more)
	{
		all = json_object_get(c->parts, name);
		if (all ? json_array_extend(all, more) < 0 :
			  json_object_set(c->parts, name, more) < 0)
			return -ENOMEM;
	}
	return c->parts ? 0 : -ENOMEM;
}

static void parts_drop(struct client *c)
{
	json_decref(c->parts);
	c->parts = NULL;
}

/* Puts them before the rest of their array, which the result has. */
static int parts_join(struct client *c, json_t *result)
{
	const char *name;
	json_t *rest, *all;

	json_object_foreach(c->parts, name, all)
	{
		rest = json_object_get(result, name);
		if ((rest && json_array_extend(all, rest) < 0) ||
		    json_object_set(result, name, all) < 0)
			return -ENOMEM;
	}
	parts_drop(c);
	return 0;
}

static int answer(struct client *c, json_t *message, json_t **ret_result,
		  struct failure *f)
{
	json_t *error = json_object_get(message, "error");
	json_t *result = json_object_get(message, "result");

	if (json_is_object(error))
		return set_error(error, f);
	if (!json_is_object(result))
		return failure_set(f, -EBADMSG, EXIT_ERROR,
				   "the daemon's answer is of another "
				   "version: restart it with `larder daemon "
				   "restart`");
	if (parts_join(c, result) < 0)
		return failure_set(f, -ENOMEM, EXIT_ERROR, "out of memory");
	*ret_result = json_incref(result);
	return 0;
}

/* 1: it is the answer to the latest request. Takes what comes ahead of it:
 * shows progress, keeps parts, passes on what is for the listener. */
static int take_message(struct client *c, const json_t *message)
{
	const json_t *id = json_object_get(message, "id");
	const char *method = field_text(message, "method");
	json_t *params = json_object_get(message, "params");

	if (strcmp(method, "progress") == 0) {
		progress_show(params);
		return 0;
	}
	if (strcmp(method, "part") == 0)
		return parts_add(c, params);
	if (*method && c->listener) {
		c->listener(c->arg, method, params);
		return 0;
	}
	/* An error without an id answers a line that was not understood. */
	return (json_is_integer(id) && json_integer_value(id) == c->id) ||
	       (!json_is_integer(id) && json_object_get(message, "error"));
}

static int await_answer(struct client *c, json_t **ret_message)
{
	for (;;) {
		int fds[RPC_FDS_MAX];
		_cleanup_json_ json_t *message = NULL;
		unsigned nfds = 0;
		int r = rpc_receive(c->rpc, &message, fds, &nfds);

		if (r <= 0)
			return r;
		while (nfds > 0)
			close(fds[--nfds]);
		r = take_message(c, message);
		if (r == 1)
			*ret_message = steal_ptr(&message);
		if (r)
			return r;
	}
}

/* 1 with the answer, 0 or a negative errno when the connection is lost. */
static int exchange(struct client *c, json_t *request, const int *fds,
		    unsigned nfds, json_t **ret_message)
{
	int r;

	parts_drop(c); /* of an answer that was cut off */
	interrupt_watch(rpc_fd(c->rpc));
	r = rpc_send(c->rpc, request, fds, nfds);
	if (r == 0)
		r = await_answer(c, ret_message);
	interrupt_unwatch();
	progress_clear();
	return r;
}

/* Whether a request that was lost can be made again with the same files: what
 * has been read of a pipe is gone, a directory is read anew. */
static bool can_resend(const int *fds, unsigned nfds)
{
	struct stat st;
	unsigned i;

	for (i = 0; i < nfds; i++)
		if (fstat(fds[i], &st) < 0 || !S_ISDIR(st.st_mode))
			return false;
	return true;
}

int client_call(struct client *c, const char *method, json_t *params,
		const int *fds, unsigned nfds, json_t **ret_result,
		struct failure *ret_failure)
{
	_cleanup_json_ json_t *message = NULL;
	_cleanup_json_ json_t *request =
		json_pack("{s:s, s:I, s:s, s:o}", "jsonrpc", "2.0", "id",
			  ++c->id, "method", method, "params", params);
	int r;

	if (!request ||
	    json_object_set_new(params, "in_parts", json_true()) < 0)
		return failure_set(ret_failure, -ENOMEM, EXIT_ERROR,
				   "%s: out of memory", method);
	progress_begin();
	r = exchange(c, request, fds, nfds, &message);
	if ((r == 0 || r == -EPIPE) && !interrupt_signal() &&
	    can_resend(fds, nfds) && c->start) {
		r = connect_rpc(c, ret_failure);
		if (r < 0)
			return r;
		json_object_set_new(params, "again", json_true());
		r = exchange(c, request, fds, nfds, &message);
	}
	if (r == -EMSGSIZE)
		return failure_set(ret_failure, r, EXIT_ERROR,
				   "%s: too many key parts for one request",
				   method);
	if (r <= 0 || (interrupt_signal() && json_object_get(message, "error")))
		return set_lost(r, method, ret_failure);
	return answer(c, message, ret_result, ret_failure);
}

json_t *client_scope(const char *tenant, const char *namespace)
{
	json_t *params = json_object();

	if (namespace)
		json_object_set_new(params, "namespace",
				    json_string(namespace));
	if (tenant)
		json_object_set_new(params, "tenant", json_string(tenant));
	tiers_add(params);
	keys_add_trusted(params);
	return params;
}

json_t *client_params(const struct args *args)
{
	return client_scope(args->tenant, args->namespace);
}

json_t *client_strings(const struct strings *list)
{
	json_t *array = json_array();

	for (size_t i = 0; i < list->count; i++)
		json_array_append_new(array, json_string(list->items[i]));
	return array;
}

int client_request(const char *method, json_t *params, const int *fds,
		   unsigned nfds, json_t **ret_result)
{
	_cleanup_client_ struct client *c = NULL;
	struct failure f;

	if (client_open(true, &c, &f) < 0) {
		json_decref(params);
		return out_failure(&f);
	}
	if (client_call(c, method, params, fds, nfds, ret_result, &f) < 0)
		return out_failure(&f);
	return 0;
}
