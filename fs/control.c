/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of the control server: accept, check the peer, one request
 * after another, an answer to each. A connection's thread runs long work
 * itself, so a client that goes away stops what it asked for and nothing
 * else.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "store/base/cleanup.h"
#include "store/base/log.h"

#include "control_internal.h"

#define CONNECTIONS_MAX 64

struct control {
	struct control_config config;
	int stop_fd;
	pthread_t acceptor;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	unsigned connections; /* lock */
	bool stopping;	      /* lock */
};

struct connection {
	struct control *control;
	struct rpc *rpc;
	uid_t uid;
	gid_t gid;
};

static control_fn find_method(const char *name)
{
	for (const struct control_method *m = control_store_methods; m->name;
	     m++)
		if (strcmp(m->name, name) == 0)
			return m->fn;
	for (const struct control_method *m = control_mount_methods; m->name;
	     m++)
		if (strcmp(m->name, name) == 0)
			return m->fn;
	return NULL;
}

static json_t *error_json(const struct mounts_error *err)
{
	_cleanup_json_ json_t *message =
		rpc_string(err->message, strlen(err->message));

	return json_pack("{s:i, s:O, s:{s:i}}", "code", err->code, "message",
			 message, "data", "exit", err->exit);
}

static int answer(struct connection *conn, json_t *id, json_t *result,
		  const struct mounts_error *err)
{
	_cleanup_json_ json_t *reply = json_pack("{s:s}", "jsonrpc", "2.0");

	json_object_set(reply, "id", id ? id : json_null());
	if (result)
		json_object_set(reply, "result", result);
	else
		json_object_set_new(reply, "error", error_json(err));
	return rpc_send(conn->rpc, reply, NULL, 0);
}

/* One request; an error ends the connection. */
static int serve(struct connection *conn, json_t *request, int *fds,
		 unsigned nfds)
{
	_cleanup_json_ json_t *none = json_object();
	_cleanup_json_ json_t *result = NULL;
	struct control_call call = {
		.config = &conn->control->config,
		.rpc = conn->rpc,
		.nfds = nfds,
		.uid = conn->uid,
		.gid = conn->gid,
	};
	const char *name = json_string_value(json_object_get(request,
							     "method"));
	json_t *params = json_object_get(request, "params");
	control_fn fn = name ? find_method(name) : NULL;
	int r;

	call.params = json_is_object(params) ? params : none;
	call.wants_progress = control_flag(&call, "progress");
	memcpy(call.fds, fds, nfds * sizeof(fds[0]));
	if (!fn)
		r = mounts_fail(&call.err, -ENOSYS, 2,
				"the daemon has no method %.64s; restart it "
				"with larder daemon restart if it is older "
				"than this command", name ? name : "(none)");
	else
		r = fn(&call, &result);
	if (r < 0 && !call.err.message[0])
		control_fail(&call, r, name);
	return answer(conn, json_object_get(request, "id"),
		      r < 0 ? NULL : result, &call.err);
}

static void connection_run(struct connection *conn)
{
	for (;;) {
		_cleanup_json_ json_t *request = NULL;
		int fds[RPC_FDS_MAX] = { -1, -1 };
		unsigned nfds = 0;
		int r;

		r = rpc_receive(conn->rpc, &request, fds, &nfds);
		if (r <= 0) {
			if (r < 0 && r != -ECONNRESET)
				log_warn(r, "control: a client sent no request");
			return;
		}
		r = serve(conn, request, fds, nfds);
		for (unsigned i = 0; i < nfds; i++)
			close(fds[i]);
		if (r < 0)
			return;
	}
}

static void *connection_main(void *arg)
{
	struct connection *conn = arg;
	struct control *c = conn->control;

	connection_run(conn);
	rpc_free(conn->rpc);
	free(conn);
	LOCK_SCOPE(&c->lock);
	c->connections--;
	pthread_cond_broadcast(&c->idle);
	return NULL;
}

/* The daemon's user and root may talk to it. */
static bool peer_is_allowed(int fd, struct connection *conn)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return false;
	conn->uid = cred.uid;
	conn->gid = cred.gid;
	return cred.uid == geteuid() || cred.uid == 0;
}

static void connection_start(struct control *c, int fd)
{
	_cleanup_close_ int owned = fd;
	struct connection *conn;
	pthread_t thread;
	bool full;

	conn = calloc(1, sizeof(*conn));
	if (!conn || !peer_is_allowed(fd, conn)) {
		free(conn);
		return;
	}
	conn->control = c;
	pthread_mutex_lock(&c->lock);
	full = c->connections >= CONNECTIONS_MAX || c->stopping;
	c->connections += !full;
	pthread_mutex_unlock(&c->lock);
	if (full) {
		free(conn);
		return;
	}
	if (rpc_new(fd, &conn->rpc) == 0) {
		steal_fd(&owned);
		if (pthread_create(&thread, NULL, connection_main, conn) == 0) {
			pthread_detach(thread);
			return;
		}
		rpc_free(conn->rpc);
	}
	free(conn);
	LOCK_SCOPE(&c->lock);
	c->connections--;
}

static void *acceptor_main(void *arg)
{
	struct control *c = arg;

	for (;;) {
		struct pollfd fds[2] = {
			{ .fd = c->config.listen_fd, .events = POLLIN },
			{ .fd = c->stop_fd, .events = POLLIN },
		};
		int fd;

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (fds[1].revents)
			return NULL;
		fd = accept4(c->config.listen_fd, NULL, NULL,
			     SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		connection_start(c, fd);
	}
}

int control_start(const struct control_config *config,
		  struct control **ret_control)
{
	struct control *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->config = *config;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->idle, NULL);
	c->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (c->stop_fd < 0) {
		r = -errno;
		free(c);
		return r;
	}
	r = -pthread_create(&c->acceptor, NULL, acceptor_main, c);
	if (r < 0) {
		close(c->stop_fd);
		free(c);
		return r;
	}
	*ret_control = c;
	return 0;
}

bool control_is_busy(struct control *c)
{
	LOCK_SCOPE(&c->lock);
	return c->connections > 0;
}

void control_stop(struct control *c)
{
	uint64_t one = 1;

	pthread_mutex_lock(&c->lock);
	c->stopping = true;
	pthread_mutex_unlock(&c->lock);
	if (write(c->stop_fd, &one, sizeof(one)) < 0)
		log_warn(-errno, "control: stop");
	pthread_join(c->acceptor, NULL);
}

void control_free(struct control *c)
{
	if (!c)
		return;
	close(c->stop_fd);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->idle);
	free(c);
}
