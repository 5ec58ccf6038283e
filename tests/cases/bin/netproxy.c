/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netproxy: a line between machines, for the cases and for measurements. It
 * forwards TCP connections from a port of the loopback, which it chooses and
 * prints, to another one:
 *
 *	netproxy ROUND_TRIP_MS BYTES_PER_SECOND TARGET_PORT
 *
 * Whatever is sent arrives half a round trip later, a new connection carries
 * nothing for one round trip (its handshake), and each direction of the line
 * takes so many bytes a second, of all connections together and in turns. No
 * more than a round trip's worth of bytes waits before the line, so that one
 * connection does not stand in another's way for longer than that.
 *
 * Commands are lines on standard input, each answered by one line:
 *
 *	cut	ends all connections; new ones are closed at once
 *	stall	nothing is carried any more, new connections are taken
 *	resume	all as before
 *	count	"CONNECTIONS REQUEST_BYTES ANSWER_BYTES" so far
 *
 * It ends with its standard input. One thread; what was read waits in a queue
 * of its direction until its time has come. Linked with nothing of Larder.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 128
#define PIECE_BYTES 16384u
#define NS_PER_S INT64_C(1000000000)
#define BACKLOG_MIN_NS (5 * INT64_C(1000000))

struct piece {
	struct piece *next;
	int64_t due_ns;
	size_t len, sent; /* len 0: the end */
	char data[PIECE_BYTES];
};

/* One direction of the line. */
struct line {
	int64_t free_ns; /* when it has carried all that it was given */
	uint64_t bytes;
};

/* One direction of a connection. */
struct way {
	int from, to;
	struct line *line;
	struct piece *first, **last;
	bool ended, closed;
};

struct connection {
	bool used;
	int64_t open_ns;    /* when the handshake is over */
	struct way ways[2]; /* to the target, and back */
};

static struct connection connections[CONNECTIONS_MAX];
static struct line lines[2];
static uint64_t accepted;
static int64_t round_trip_ns, backlog_ns;
static double ns_per_byte;
static int listener, target_port;
static bool is_cut, is_stalled;

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* --- sockets --- */

static int make_socket(int port, struct sockaddr_in *ret_address)
{
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	*ret_address = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	return fd;
}

static int listen_anywhere(void)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int fd = make_socket(0, &a);

	if (fd < 0 || bind(fd, (void *)&a, sizeof(a)) < 0 ||
	    listen(fd, 64) < 0 || getsockname(fd, (void *)&a, &len) < 0 ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -1;
	printf("%d\n", ntohs(a.sin_port));
	fflush(stdout);
	return fd;
}

static int connect_target(void)
{
	struct sockaddr_in a;
	int fd = make_socket(target_port, &a);

	if (fd < 0)
		return -1;
	if (connect(fd, (void *)&a, sizeof(a)) < 0 ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* --- connections --- */

static void way_init(struct way *w, int from, int to, struct line *line)
{
	*w = (struct way){ .from = from, .to = to, .line = line };
	w->last = &w->first;
}

static void connection_init(struct connection *c, int client, int target)
{
	c->used = true;
	c->open_ns = now_ns() + round_trip_ns;
	way_init(&c->ways[0], client, target, &lines[0]);
	way_init(&c->ways[1], target, client, &lines[1]);
	accepted++;
}

static void connection_end(struct connection *c)
{
	for (int i = 0; i < 2; i++) {
		struct piece *p;

		while ((p = c->ways[i].first)) {
			c->ways[i].first = p->next;
			free(p);
		}
	}
	close(c->ways[0].from);
	close(c->ways[0].to);
	c->used = false;
}

static void accept_one(void)
{
	int client =
		accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct connection *c = connections, *end = c + CONNECTIONS_MAX;
	int one = 1, target;

	if (client < 0)
		return;
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	while (c < end && c->used)
		c++;
	target = is_cut || c == end ? -1 : connect_target();
	if (target < 0)
		close(client);
	else
		connection_init(c, client, target);
}

/* --- what is carried --- */

/* When the line has carried these bytes, and they are at the other end. */
static int64_t carry(const struct connection *c, struct line *line, size_t len)
{
	int64_t begin = now_ns();

	if (begin < c->open_ns)
		begin = c->open_ns;
	if (line->free_ns < begin)
		line->free_ns = begin;
	line->free_ns += (int64_t)((double)len * ns_per_byte);
	line->bytes += len;
	return line->free_ns + round_trip_ns / 2;
}

static void take_in(struct connection *c, struct way *w)
{
	struct piece *p = malloc(sizeof(*p));
	ssize_t n;

	if (!p)
		exit(1);
	n = read(w->from, p->data, sizeof(p->data));
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		free(p);
		return;
	}
	p->next = NULL;
	p->sent = 0;
	p->len = n > 0 ? (size_t)n : 0;
	p->due_ns = carry(c, w->line, p->len);
	w->ended = n <= 0;
	*w->last = p;
	w->last = &p->next;
}

/* False where the receiver takes no more at the moment. */
static bool deliver(struct way *w, struct piece *p)
{
	ssize_t n = 0;

	if (p->len > 0)
		n = write(w->to, p->data + p->sent, p->len - p->sent);
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n < 0 || p->len == 0) {
		shutdown(w->to, SHUT_WR);
		w->closed = true;
		return true;
	}
	p->sent += (size_t)n;
	return p->sent == p->len;
}

static void give_out(struct way *w)
{
	struct piece *p;

	while ((p = w->first) && p->due_ns <= now_ns()) {
		if (!deliver(w, p))
			return;
		w->first = p->next;
		if (!w->first)
			w->last = &w->first;
		free(p);
	}
}

static void serve(struct connection *c)
{
	give_out(&c->ways[0]);
	give_out(&c->ways[1]);
	if (c->ways[1].closed ||
	    (c->ways[0].closed && c->ways[1].ended && !c->ways[1].first))
		connection_end(c);
}

/* --- waiting --- */

struct waiting {
	struct pollfd fds[2 + 2 * CONNECTIONS_MAX];
	struct way *readers[2 + 2 * CONNECTIONS_MAX]; /* NULL: not to be read */
	nfds_t n;
	int64_t until_ns;
};

static void wait_until(struct waiting *wt, int64_t ns)
{
	if (ns < wt->until_ns)
		wt->until_ns = ns;
}

static void wait_for(struct waiting *wt, int fd, short events,
		     struct way *reader)
{
	wt->fds[wt->n] = (struct pollfd){ fd, events, 0 };
	wt->readers[wt->n++] = reader;
}

/* Either what it has is due, or more may be read, or a time is waited for. */
static void wait_way(struct waiting *wt, struct way *w, int64_t now)
{
	bool is_free = w->line->free_ns - now <= backlog_ns;

	if (w->first && w->first->due_ns > now)
		wait_until(wt, w->first->due_ns);
	if (!w->ended && !is_free)
		wait_until(wt, w->line->free_ns - backlog_ns);
	if (!w->ended && is_free)
		wait_for(wt, w->from, POLLIN, w);
	else if (w->first && w->first->due_ns <= now)
		wait_for(wt, w->to, POLLOUT, NULL);
}

static void wait_all(struct waiting *wt)
{
	int64_t now = now_ns();
	struct timespec ts;

	*wt = (struct waiting){ .until_ns = now + NS_PER_S };
	wait_for(wt, STDIN_FILENO, POLLIN, NULL);
	wait_for(wt, listener, POLLIN, NULL);
	for (int i = 0; i < 2 * CONNECTIONS_MAX && !is_stalled; i++)
		if (connections[i / 2].used)
			wait_way(wt, &connections[i / 2].ways[i % 2], now);
	now = wt->until_ns - now;
	ts.tv_sec = now / NS_PER_S;
	ts.tv_nsec = now % NS_PER_S;
	if (ppoll(wt->fds, wt->n, &ts, NULL) < 0)
		wt->n = 0;
}

/* --- commands --- */

static void cut_all(void)
{
	for (int i = 0; i < CONNECTIONS_MAX; i++)
		if (connections[i].used)
			connection_end(&connections[i]);
}

static void command(const char *line)
{
	if (strcmp(line, "cut") == 0) {
		is_cut = true;
		cut_all();
	} else if (strcmp(line, "stall") == 0) {
		is_stalled = true;
	} else if (strcmp(line, "resume") == 0) {
		is_cut = is_stalled = false;
	} else if (strcmp(line, "count") == 0) {
		printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", accepted,
		       lines[0].bytes, lines[1].bytes);
		fflush(stdout);
		return;
	} else {
		fprintf(stderr, "netproxy: %s is no command\n", line);
		exit(2);
	}
	puts("done");
	fflush(stdout);
}

/* Commands come whole, one a write. */
static void read_commands(void)
{
	char text[256], *line, *rest = text;
	ssize_t n = read(STDIN_FILENO, text, sizeof(text) - 1);

	if (n <= 0)
		exit(0);
	text[n] = '\0';
	while ((line = strsep(&rest, "\n")))
		if (*line)
			command(line);
}

/* The order in which they are read is the order in which the line takes them:
 * each gets one piece in its turn. */
static void step(void)
{
	static struct waiting wt;

	wait_all(&wt);
	for (nfds_t k = 2; k < wt.n; k++)
		if (wt.readers[k] && wt.fds[k].revents) {
			struct connection *c = connections;

			while (wt.readers[k] != &c->ways[0] &&
			       wt.readers[k] != &c->ways[1])
				c++;
			take_in(c, wt.readers[k]);
		}
	for (int i = 0; i < CONNECTIONS_MAX && !is_stalled; i++)
		if (connections[i].used)
			serve(&connections[i]);
	if (wt.n > 0 && wt.fds[1].revents)
		accept_one();
	if (wt.n > 0 && wt.fds[0].revents)
		read_commands();
}

int main(int argc, char **argv)
{
	if (argc != 4 || atof(argv[2]) <= 0) {
		fprintf(stderr, "netproxy ROUND_TRIP_MS BYTES_PER_SECOND "
				"TARGET_PORT\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	round_trip_ns = (int64_t)(atof(argv[1]) * 1e6);
	backlog_ns = round_trip_ns > BACKLOG_MIN_NS ? round_trip_ns :
						      BACKLOG_MIN_NS;
	ns_per_byte = (double)NS_PER_S / atof(argv[2]);
	target_port = atoi(argv[3]);
	listener = listen_anywhere();
	if (listener < 0) {
		perror("netproxy");
		return 1;
	}
	for (;;)
		step();
}
