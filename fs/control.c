/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of the control server: accept, check the peer, receive one
 * request after another (control_request.c answers them). A connection's thread runs long work
 * itself, so a client that goes away stops what it asked for and nothing
 * else.
 *
 * Owns the connections. control.lock guards the list of them; each is in it
 * until its socket is about to be closed, so that the socket may be shut down
 * by whoever finds it there.
 */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/log.h"

#include "control_internal.h"

/* More wait in the socket's queue. */
#define CONNECTIONS_MAX 64

#define SECOND_NS INT64_C(1000000000)
#define GRACE_NS (5 * SECOND_NS)    /* for what is being answered, at the end */
#define GIVE_UP_NS (10 * SECOND_NS) /* for what was told to be given up */
#define RETRY_MS 100		    /* when there are no descriptors */

struct control {
	struct control_config config; /* constant, as the next two */
	int stop_fd;
	pthread_t acceptor;

	pthread_mutex_t lock;	/* guards all below */
	pthread_cond_t changed; /* `count` went down, or `stopping`; monotonic */
	struct connection *list;
	unsigned count; /* connections; some may have left the list */
	bool stopping;
};

struct connection {
	struct control *control; /* constant, as the next two */
	struct rpc *rpc;
	struct ucred peer;

	/* control.lock: */
	struct connection *next;
	bool busy; /* with a request that is worth waiting for */
};

/* --- connections --- */

/* Says whether the connection works on a request; true where it is to end. */
static bool set_busy(struct connection *conn, bool busy)
{
	LOCK_SCOPE(&conn->control->lock);
	conn->busy = busy;
	return conn->control->stopping;
}

bool control_set_watching(struct connection *conn, bool watching)
{
	return set_busy(conn, !watching);
}

static void connection_run(struct connection *conn)
{
	bool end = false;

	while (!end) {
		_cleanup_json_ json_t *request = NULL;
		int fds[RPC_FDS_MAX];
		unsigned nfds = 0;
		int r;

		r = rpc_receive(conn->rpc, &request, fds, &nfds);
		if (r < 0)
			control_refuse(conn->rpc, r);
		if (r <= 0)
			return;
		set_busy(conn, true);
		r = control_serve(&conn->control->config, conn->rpc, conn,
				  &conn->peer, request, fds, nfds);
		for (unsigned i = 0; i < nfds; i++)
			close(fds[i]);
		rpc_limit_send(conn->rpc, 0); /* it was that request's */
		end = set_busy(conn, false) || r < 0;
	}
}

static void list_remove(struct connection *conn)
{
	struct control *c = conn->control;

	LOCK_SCOPE(&c->lock);
	for (struct connection **p = &c->list; *p; p = &(*p)->next) {
		if (*p == conn) {
			*p = conn->next;
			return;
		}
	}
}

/* The eventfd never blocks; under the lock, since the server may be freed as
 * soon as nothing is left. */
static void count_down(struct control *c)
{
	uint64_t one = 1;

	LOCK_SCOPE(&c->lock);
	c->count--;
	pthread_cond_broadcast(&c->changed);
	if (c->count == 0 && !c->stopping &&
	    write(c->config.wake_fd, &one, sizeof(one)) < 0)
		log_warn(-errno, "control: saying that no client is left");
}

static void connection_free(struct connection *conn)
{
	list_remove(conn);
	rpc_free(conn->rpc);
	free(conn);
}

static void *connection_main(void *arg)
{
	struct connection *conn = arg;
	struct control *c = conn->control;

	connection_run(conn);
	connection_free(conn);
	count_down(c);
	return NULL;
}

/* The daemon's user and root may talk to it. */
static bool peer_is_allowed(int fd, struct ucred *ret_peer)
{
	socklen_t len = sizeof(*ret_peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, ret_peer, &len) < 0)
		return false;
	return ret_peer->uid == geteuid() || ret_peer->uid == 0;
}

static int connection_new(struct control *c, int fd,
			  struct connection **ret_conn)
{
	_cleanup_close_ int owned = fd;
	_cleanup_free_ struct connection *conn = calloc(1, sizeof(*conn));
	int r;

	if (!conn)
		return -ENOMEM;
	conn->control = c;
	if (!peer_is_allowed(fd, &conn->peer))
		return -EACCES;
	r = rpc_new(steal_fd(&owned), &conn->rpc);
	if (r < 0)
		return r;
	*ret_conn = steal_ptr(&conn);
	return 0;
}

/* `fd` is taken over; the connection was counted. */
static void connection_start(struct control *c, int fd)
{
	struct connection *conn;
	pthread_t thread;
	int r;

	r = connection_new(c, fd, &conn);
	if (r == 0) {
		pthread_mutex_lock(&c->lock);
		conn->next = c->list;
		c->list = conn;
		pthread_mutex_unlock(&c->lock);
		r = -pthread_create(&thread, NULL, connection_main, conn);
		if (r == 0) {
			pthread_detach(thread);
			return;
		}
		connection_free(conn);
	}
	log_warn(r, "control: a client was turned away");
	count_down(c);
}

/* --- accepting --- */

/* Waits until there is room for a connection. False at the end. */
static bool wait_for_room(struct control *c)
{
	LOCK_SCOPE(&c->lock);
	while (c->count >= CONNECTIONS_MAX && !c->stopping)
		pthread_cond_wait(&c->changed, &c->lock);
	return !c->stopping;
}

/* Counts the connection it takes from the queue. Under the lock, so that none
 * is taken once the server stops; a client is waiting, so it does not block. */
static int accept_counted(struct control *c)
{
	int fd;

	LOCK_SCOPE(&c->lock);
	if (c->stopping)
		return -ECANCELED;
	fd = accept4(c->config.listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return -errno;
	c->count++;
	return fd;
}

/* Without descriptors the client goes on waiting in the queue. */
static void wait_for_descriptors(struct control *c, int r)
{
	struct pollfd p = { .fd = c->stop_fd, .events = POLLIN };

	log_warn(r, "control: accepting a client");
	(void)!poll(&p, 1, RETRY_MS);
}

static void *acceptor_main(void *arg)
{
	struct control *c = arg;

	while (wait_for_room(c)) {
		struct pollfd fds[2] = {
			{ .fd = c->config.listen_fd, .events = POLLIN },
			{ .fd = c->stop_fd, .events = POLLIN },
		};
		int fd;

		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents)
			break;
		fd = accept_counted(c);
		if (fd >= 0)
			connection_start(c, fd);
		else if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM ||
			 fd == -ENOBUFS)
			wait_for_descriptors(c, fd);
	}
	return NULL;
}

/* --- the server --- */

static void init_locks(struct control *c)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->changed, &attr);
	pthread_condattr_destroy(&attr);
}

int control_start(const struct control_config *config,
		  struct control **ret_control)
{
	struct control *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->config = *config;
	init_locks(c);
	c->stop_fd = eventfd(0, EFD_CLOEXEC);
	r = c->stop_fd < 0 ?
		    -errno :
		    -pthread_create(&c->acceptor, NULL, acceptor_main, c);
	if (r < 0) {
		control_free(c);
		return r;
	}
	*ret_control = c;
	return 0;
}

bool control_is_busy(struct control *c)
{
	LOCK_SCOPE(&c->lock);
	return c->count > 0;
}

bool control_stop_if_idle(struct control *c)
{
	LOCK_SCOPE(&c->lock);
	if (c->count == 0)
		c->stopping = true;
	return c->count == 0;
}

static void join_acceptor(struct control *c)
{
	uint64_t one = 1;

	if (write(c->stop_fd, &one, sizeof(one)) < 0)
		log_warn(-errno, "control: stop");
	pthread_join(c->acceptor, NULL);
}

static void stop_accepting(struct control *c)
{
	pthread_mutex_lock(&c->lock);
	c->stopping = true;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	join_acceptor(c);
}

/* Ends the reading of those that wait for a request; what a client sent
 * before is still served. */
static void disconnect_idle(struct control *c)
{
	LOCK_SCOPE(&c->lock);
	for (struct connection *conn = c->list; conn; conn = conn->next)
		if (!conn->busy)
			shutdown(rpc_fd(conn->rpc), SHUT_RD);
}

/* Long work looks whether its client is there (control_progress()). */
static void disconnect_all(struct control *c)
{
	LOCK_SCOPE(&c->lock);
	for (struct connection *conn = c->list; conn; conn = conn->next)
		shutdown(rpc_fd(conn->rpc), SHUT_RDWR);
}

static bool wait_closed(struct control *c, int64_t within_ns)
{
	int64_t deadline = clock_mono_ns() + within_ns;
	struct timespec ts = { deadline / SECOND_NS, deadline % SECOND_NS };

	LOCK_SCOPE(&c->lock);
	while (c->count > 0)
		if (pthread_cond_timedwait(&c->changed, &c->lock, &ts) ==
		    ETIMEDOUT)
			break;
	return c->count == 0;
}

bool control_stop(struct control *c)
{
	stop_accepting(c);
	disconnect_idle(c); /* the acceptor has listed all there are */
	if (wait_closed(c, GRACE_NS))
		return true;
	disconnect_all(c);
	if (wait_closed(c, GIVE_UP_NS))
		return true;
	log_warn(-EBUSY, "control: a command did not end");
	return false;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	if (c->stop_fd >= 0)
		close(c->stop_fd);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->changed);
	free(c);
}
