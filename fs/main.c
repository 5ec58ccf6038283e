/* SPDX-License-Identifier: Apache-2.0 */
/*
 * larderd: the daemon's two processes. main() is the supervisor: it binds the
 * control socket and forks the worker before a thread or RocksDB exists. The
 * worker opens the store, takes over what mounts there are, and serves until
 * it is stopped or idle.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/log.h"
#include "store/base/log_file.h"
#include "store/lazy.h"
#include "store/store.h"

#include "blame.h"
#include "control.h"
#include "fetch.h"
#include "keeper.h"
#include "messenger.h"
#include "mounts.h"
#include "notify.h"
#include "own_dir.h"
#include "rpc.h"
#include "sandbox.h"
#include "supervisor.h"

#define IDLE_SECONDS 60
#define FETCH_CACHE_BYTES (8u << 20)
#define EXIT_RESTART 75 /* any failure: the supervisor starts a new worker */

#define LOG_FILE_BYTES (1u << 20) /* and as much that is older */

#define IDLE_SECONDS_MAX (7 * 24 * 3600)
#define READ_SECONDS_MAX 3600

/* What the worker tells the supervisor beside its exit status, which is 0
 * where no other worker is to be started. In shared memory. */
struct verdict {
	bool idle;   /* it had nothing to do */
	bool failed; /* the store cannot be opened */
};

struct daemon {
	char *store_dir, *state_dir, *socket_name;
	int runtime_fd;
	int ready_fd;
	int idle_seconds;
	bool service; /* stays when idle, and its mounts come back */
	struct verdict *verdict;
	struct blame *blame;
};

struct worker {
	struct daemon *daemon;
	struct store *store;
	struct fetch *fetch;
	struct supervisor_link *link;
	struct mounts *mounts;
	struct keeper *keeper;
	struct tiers *tiers;
	struct uploads *uploads;
	struct messenger *messenger;
	struct control *control;
	struct sandbox sandbox;
	int wake_fd;	    /* eventfd: a stop, or nothing is left to do */
	bool stop, restart; /* atomic */
};

static void wake(struct worker *w)
{
	uint64_t one = 1;

	if (write(w->wake_fd, &one, sizeof(one)) < 0)
		log_warn(-errno, "waking the worker");
}

static void on_stop(void *arg, bool restart)
{
	struct worker *w = arg;

	__atomic_store_n(&w->restart, restart, __ATOMIC_RELAXED);
	__atomic_store_n(&w->stop, true, __ATOMIC_RELEASE);
	wake(w);
}

/* Whether the owner of secrets is a mount or an upload that is there. */
static bool needs_tiers(void *arg, const char *owner)
{
	const size_t mount = strlen(TIERS_OWNER_MOUNT);
	const size_t upload = strlen(TIERS_OWNER_UPLOAD);
	struct worker *w = arg;

	if (strncmp(owner, TIERS_OWNER_MOUNT, mount) == 0)
		return mounts_has_id(w->mounts, owner + mount);
	return strncmp(owner, TIERS_OWNER_UPLOAD, upload) == 0 &&
	       uploads_has(w->uploads, strtoull(owner + upload, NULL, 10));
}

static int worker_open(struct worker *w, int channel_fd, int listen_fd)
{
	struct daemon *d = w->daemon;
	struct keeper_limits limits;
	struct mounts_config mc = { .state_dir = d->state_dir,
				    .blame = d->blame,
				    .messenger = w->messenger,
				    .wake_fd = w->wake_fd };
	struct control_config cc = { .listen_fd = listen_fd,
				     .state_dir = d->state_dir,
				     .supervisor_pid = (int)getppid(),
				     .wake_fd = w->wake_fd,
				     .stop = on_stop,
				     .arg = w };
	int r;

	r = supervisor_link_new(channel_fd, &w->link);
	if (r == 0)
		r = store_open(d->store_dir, &w->store);
	if (r == 0)
		r = fetch_new(FETCH_CACHE_BYTES, &w->fetch);
	if (r < 0)
		return r;
	mc.store = w->store;
	mc.fetch = w->fetch;
	mc.link = w->link;
	r = tiers_new(w->link, &w->tiers);
	mc.tiers = w->tiers;
	if (r == 0)
		r = mounts_new(&mc, &w->mounts);
	if (r == 0)
		r = mounts_adopt(w->mounts);
	if (r == 0)
		r = uploads_new(w->store, w->tiers, d->state_dir, w->wake_fd,
				&w->uploads);
	if (r < 0)
		return r;
	tiers_sweep(w->tiers, needs_tiers, w);
	keeper_limits_read(&limits);
	r = keeper_start(w->store, w->mounts, &limits, &w->keeper);
	if (r < 0)
		return r;
	cc.store = w->store;
	cc.mounts = w->mounts;
	cc.keeper = w->keeper;
	cc.tiers = w->tiers;
	cc.uploads = w->uploads;
	cc.sandbox = &w->sandbox;
	return control_start(&cc, &w->control);
}

static bool is_idle(struct worker *w)
{
	return !mounts_any(w->mounts) && !control_is_busy(w->control) &&
	       !uploads_are_busy(w->uploads);
}

/* Mounts are made by clients only, so none comes after the last client. */
static bool end_if_idle(struct worker *w)
{
	if (!is_idle(w) || !control_stop_if_idle(w->control))
		return false;
	w->daemon->verdict->idle = !mounts_any(w->mounts);
	return true;
}

/* Waits for a stop, a signal, the supervisor's end, or idleness. Returns the
 * worker's exit status. */
static int worker_wait(struct worker *w, int signal_fd, int channel_fd)
{
	for (;;) {
		struct pollfd fds[3] = {
			{ .fd = w->wake_fd, .events = POLLIN },
			{ .fd = signal_fd, .events = POLLIN },
			/* Replies are read by whoever asked; only the end
			 * of the channel is of interest here. */
			{ .fd = channel_fd, .events = 0 },
		};
		bool idle = !w->daemon->service && is_idle(w);
		uint64_t count;
		int n;

		if (__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE))
			return w->restart ? EXIT_RESTART : 0;
		n = poll(fds, 3, idle ? w->daemon->idle_seconds * 1000 : -1);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return log_error(1, "poll: %s", strerror(errno));
		}
		if (n == 0 && end_if_idle(w))
			return 0;
		if (fds[0].revents &&
		    read(w->wake_fd, &count, sizeof(count)) < 0 &&
		    errno != EAGAIN)
			return 1;
		if (fds[1].revents)
			return 0;
		if (fds[2].revents & (POLLHUP | POLLERR)) {
			log_error(-EPIPE, "the supervisor is gone");
			return 1;
		}
	}
}

static void notify(const char *text)
{
	int r = notify_send(text);

	if (r < 0)
		log_warn(r, "telling the service manager %s", text);
}

static void say_ready(struct daemon *d, const char *text)
{
	if (d->ready_fd < 0)
		return;
	if (io_write(d->ready_fd, text, strlen(text)) < 0)
		log_debug("nobody waits for the daemon to be ready");
	close(d->ready_fd);
	d->ready_fd = -1;
}

static const char *open_problem(int err)
{
	switch (err) {
	case -EBUSY:
		return "another daemon has the store open";
	case -ESTALE:
		return "the store was written by a newer version of Larder; "
		       "use that version, or another XDG_CACHE_HOME";
	case -ENOSPC:
	case -EDQUOT:
		return "no space left for the store";
	case -EBADMSG:
		return "the store's index is damaged; move the directory away "
		       "to start anew";
	default:
		return strerror(-err);
	}
}

static int worker_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
		return -EINVAL;
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static void worker_free(struct worker *w)
{
	control_free(w->control);
	keeper_stop(w->keeper);
	uploads_free(w->uploads);
	mounts_free(w->mounts);
	tiers_free(w->tiers);
	supervisor_link_free(w->link);
	fetch_free(w->fetch);
	store_close(w->store);
	keeper_free(w->keeper);
	messenger_free(w->messenger);
	close(w->wake_fd);
}

/* What is still in use by a command or a mount that does not end is left to
 * the end of the process: all that was answered is in the logs. */
static int worker_close(struct worker *w, int status)
{
	bool quiet, keep = w->daemon->service && !w->stop;

	if (status == 0)
		notify("STOPPING=1");
	quiet = control_stop(w->control);
	if (status != 0) {
		mounts_hand_over(w->mounts);
		_exit(status);
	}
	if (!mounts_end_all(w->mounts, keep) || !quiet)
		_exit(0);
	worker_free(w); /* what the keeper does is broken off */
	return 0;
}

static int worker_main(int channel_fd, int listen_fd, void *arg)
{
	struct daemon *d = arg;
	struct worker w = { .daemon = d };
	int signal_fd, r;

	d->verdict->idle = false;
	signal(SIGPIPE, SIG_IGN);
	r = messenger_start(&w.messenger);
	if (r < 0)
		log_warn(r, "what the kernel only has in its caches stays "
			    "open");
	blame_watch();
	sandbox_enter(&w.sandbox);
	/* An arena for each of many short-lived threads would keep what its
	 * thread once needed. */
	mallopt(M_ARENA_MAX, 2);
	signal_fd = worker_signals();
	w.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (signal_fd < 0 || w.wake_fd < 0)
		return 1;
	r = worker_open(&w, channel_fd, listen_fd);
	if (r < 0) {
		_cleanup_free_ char *text =
			io_path("%s: %s\n", d->store_dir, open_problem(r));

		say_ready(d, text ? text : "out of memory\n");
		d->verdict->failed = true;
		if (w.mounts && !mounts_end_all(w.mounts, d->service))
			_exit(0);
		worker_free(&w);
		return 0; /* trying again would end the same way */
	}
	say_ready(d, "ok\n");
	notify("READY=1");
	return worker_close(&w, worker_wait(&w, signal_fd, channel_fd));
}

static void raise_limits(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
}

/* Standard error is the log where larder has started the daemon. */
static int bound_log(const char *state_dir)
{
	_cleanup_free_ char *path = io_path("%s/" RPC_LOG_FILE, state_dir);

	return path ? log_file_bound(path, LOG_FILE_BYTES) : -ENOMEM;
}

/* What is there is believed: mounts, and with which rights they were made. */
static int check_state(struct daemon *d)
{
	char why[OWN_DIR_WHY_MAX];
	int r = own_dir_open(d->state_dir, false, why);

	if (r >= 0) {
		close(r);
		return 0;
	}
	say_ready(d, why);
	return log_error(r, "%s", why);
}

static int daemon_init(struct daemon *d)
{
	const char *idle = getenv("LARDER_IDLE_SECONDS");
	const char *wait = getenv("LARDER_READ_DEADLINE");
	int r;

	d->store_dir = rpc_store_dir();
	d->state_dir = rpc_state_dir();
	if (!d->store_dir || !d->state_dir)
		return -ENOMEM;
	d->socket_name = rpc_socket_name(d->store_dir);
	if (!d->socket_name)
		return -ENOMEM;
	if (idle && atoi(idle) > 0)
		d->idle_seconds = atoi(idle) < IDLE_SECONDS_MAX ?
					  atoi(idle) :
					  IDLE_SECONDS_MAX;
	if (wait && atoi(wait) > 0 && atoi(wait) <= READ_SECONDS_MAX)
		lazy_set_default_deadline((unsigned)atoi(wait) * 1000);
	d->verdict = mmap(NULL, sizeof(*d->verdict), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (d->verdict == MAP_FAILED)
		return -errno;
	r = blame_new(&d->blame);
	if (r == 0)
		r = io_mkdir_p(d->state_dir, 0700);
	if (r == 0)
		r = check_state(d);
	if (r == 0)
		r = bound_log(d->state_dir);
	if (r < 0)
		return r;
	r = rpc_runtime_open();
	if (r < 0)
		return r;
	d->runtime_fd = r;
	return 0;
}

/* A level that is none is said, and changes nothing. */
static void set_level(const char *name, const char *where)
{
	enum log_level level;

	if (log_level_parse(name, &level) == 0)
		log_set_level(level);
	else
		log_warn(-EINVAL, "%s: \"%.40s\" is no level", where, name);
}

static int parse_args(int argc, char **argv, struct daemon *d)
{
	static const struct option options[] = {
		{ "ready-fd", required_argument, NULL, 'r' },
		{ "service", no_argument, NULL, 's' },
		{ "log-level", required_argument, NULL, 'l' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *level = getenv(LOG_LEVEL_VARIABLE);
	int c;

	if (level && *level)
		set_level(level, LOG_LEVEL_VARIABLE);
	while ((c = getopt_long(argc, argv, "vVh", options, NULL)) != -1) {
		switch (c) {
		case 'r':
			d->ready_fd = atoi(optarg);
			fcntl(d->ready_fd, F_SETFD, FD_CLOEXEC);
			break;
		case 's':
			d->service = true;
			break;
		case 'l':
			set_level(optarg, "--log-level");
			break;
		case 'v':
			log_set_level(LOG_LEVEL_DEBUG);
			break;
		case 'V':
			puts("larderd " PACKAGE_VERSION);
			exit(0);
		default:
			fputs("usage: larderd [--service] [--log-level LEVEL] "
			      "[--ready-fd N]\n"
			      "LEVEL is error, warning, info or debug "
			      "(--verbose).\n"
			      "Serves the store of $XDG_CACHE_HOME/larder; "
			      "larder starts it when it is needed.\n"
			      "With --service it stays when it is idle, and a "
			      "signal that ends it leaves its mounts to larder "
			      "mount --resume.\n",
			      c == 'h' ? stdout : stderr);
			exit(c == 'h' ? 0 : 2);
		}
	}
	return 0;
}

static void daemon_release(struct daemon *d)
{
	free(d->store_dir);
	free(d->state_dir);
	free(d->socket_name);
	blame_free(d->blame);
}

static bool somebody_waits(int listen_fd)
{
	struct pollfd p = { .fd = listen_fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

/* Takes the socket's name away, unless a client has connected since the worker
 * ended: false. With the directory's lock, on which a daemon that starts
 * meanwhile waits (rpc_listen()). */
static bool close_socket(struct daemon *d, int listen_fd)
{
	_cleanup_free_ char *aside = io_path("%s.end", d->socket_name);

	if (somebody_waits(listen_fd))
		return false;
	if (!aside ||
	    renameat(d->runtime_fd, d->socket_name, d->runtime_fd, aside) < 0)
		return true; /* nobody can connect to it any more */
	if (somebody_waits(listen_fd) &&
	    renameat(d->runtime_fd, aside, d->runtime_fd, d->socket_name) == 0)
		return false;
	unlinkat(d->runtime_fd, aside, 0);
	return true;
}

static bool close_socket_locked(struct daemon *d, int listen_fd)
{
	bool closed;

	while (flock(d->runtime_fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return true;
	closed = close_socket(d, listen_fd);
	flock(d->runtime_fd, LOCK_UN);
	return closed;
}

/* A worker that ended because it was idle has left those who connected
 * meanwhile in the socket's queue: another one serves them. */
static int supervise(struct daemon *d, const struct supervisor_config *config)
{
	int status;

	do
		status = supervisor_run(config);
	while (status == 0 && d->verdict->idle &&
	       !close_socket_locked(d, config->listen_fd));
	if (status == 0 && d->verdict->failed)
		status = 1;
	if (status != 0 || !d->verdict->idle)
		unlinkat(d->runtime_fd, d->socket_name, 0);
	return status;
}

int main(int argc, char **argv)
{
	struct daemon d = { .ready_fd = -1, .idle_seconds = IDLE_SECONDS };
	struct supervisor_config config = { .ready_fd = -1,
					    .worker = worker_main,
					    .arg = &d };
	int r, status;

	umask(077);
	parse_args(argc, argv, &d);
	raise_limits();
	signal(SIGPIPE, SIG_IGN);
	json_object_seed(0); /* before there are threads */
	r = daemon_init(&d);
	if (r < 0) {
		say_ready(&d, "the state or runtime directory cannot be "
			      "used\n");
		daemon_release(&d);
		return log_error(1, "start: %s", strerror(-r));
	}
	config.blame = d.blame;
	config.listen_fd = rpc_listen(d.runtime_fd, d.socket_name);
	if (config.listen_fd < 0) {
		say_ready(&d, config.listen_fd == -EADDRINUSE ?
				      "another daemon serves this store\n" :
				      "the control socket cannot be made\n");
		log_error(config.listen_fd, "control socket");
		daemon_release(&d);
		return 1;
	}
	status = supervise(&d, &config);
	daemon_release(&d);
	return status;
}
