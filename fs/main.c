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
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/log.h"
#include "store/store.h"

#include "control.h"
#include "fetch.h"
#include "mounts.h"
#include "rpc.h"
#include "supervisor.h"

#define IDLE_SECONDS 60
#define FETCH_CACHE_BYTES (16u << 20)
#define EXIT_RESTART 75 /* any failure: the supervisor starts a new worker */

struct daemon {
	char *store_dir, *state_dir, *socket_name;
	int runtime_fd;
	int ready_fd;
	unsigned idle_seconds;
};

struct worker {
	struct daemon *daemon;
	struct store *store;
	struct fetch *fetch;
	struct supervisor_link *link;
	struct mounts *mounts;
	struct control *control;
	int wake_fd; /* eventfd: something below changed */
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

static void on_idle(void *arg)
{
	wake(arg);
}

static int any_mount(void *arg, struct mount *mnt)
{
	(void)mnt;
	*(bool *)arg = true;
	return 1;
}

static bool has_mounts(struct worker *w)
{
	bool any = false;

	mounts_each(w->mounts, any_mount, &any);
	return any;
}

static int worker_open(struct worker *w, int channel_fd, int listen_fd)
{
	struct daemon *d = w->daemon;
	struct mounts_config mc = { .state_dir = d->state_dir,
				    .idle = on_idle,
				    .arg = w };
	struct control_config cc = { .listen_fd = listen_fd,
				     .state_dir = d->state_dir,
				     .supervisor_pid = (int)getppid(),
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
	r = mounts_new(&mc, &w->mounts);
	if (r == 0)
		r = mounts_adopt(w->mounts);
	if (r < 0)
		return r;
	cc.store = w->store;
	cc.mounts = w->mounts;
	return control_start(&cc, &w->control);
}

/* Waits for a stop, a signal, the supervisor's end, or idleness. Returns the
 * worker's exit status. */
static int worker_wait(struct worker *w, int signal_fd, int channel_fd)
{
	int idle_ms = (int)w->daemon->idle_seconds * 1000;

	for (;;) {
		bool idle = !has_mounts(w) && !control_is_busy(w->control);
		struct pollfd fds[3] = {
			{ .fd = w->wake_fd, .events = POLLIN },
			{ .fd = signal_fd, .events = POLLIN },
			/* Replies are read by whoever asked; only the end
			 * of the channel is of interest here. */
			{ .fd = channel_fd, .events = 0 },
		};
		uint64_t count;
		int n;

		if (__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE))
			return w->restart ? EXIT_RESTART : 0;
		n = poll(fds, 3, idle ? idle_ms : 1000);
		if (n == 0 && idle && !has_mounts(w) &&
		    !control_is_busy(w->control))
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

/* Unmounts everything at a clean end; what is busy goes lazily. */
static int umount_one(void *arg, struct mount *mnt)
{
	struct mounts_error err;
	bool kept;

	if (mounts_umount(arg, mount_dir(mnt), false, false, &kept, &err) < 0 &&
	    mounts_umount(arg, mount_dir(mnt), true, false, &kept, &err) < 0)
		log_warn(0, "%s", err.message);
	return 0;
}

static int worker_main(int channel_fd, int listen_fd, void *arg)
{
	struct daemon *d = arg;
	struct worker w = { .daemon = d };
	int signal_fd, status, r;

	signal(SIGPIPE, SIG_IGN);
	signal_fd = worker_signals();
	w.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (signal_fd < 0 || w.wake_fd < 0)
		return 1;
	r = worker_open(&w, channel_fd, listen_fd);
	if (r < 0) {
		_cleanup_free_ char *text =
			io_path("%s: %s\n", d->store_dir, open_problem(r));

		say_ready(d, text ? text : "out of memory\n");
		return 0; /* trying again would end the same way */
	}
	say_ready(d, "ok\n");
	status = worker_wait(&w, signal_fd, channel_fd);
	control_stop(w.control);
	if (status != 0)
		_exit(status); /* all that was answered is in the logs */
	mounts_each(w.mounts, umount_one, w.mounts);
	if (has_mounts(&w))
		_exit(0); /* lazily unmounted ones end with this process */
	mounts_free(w.mounts);
	control_free(w.control);
	supervisor_link_free(w.link);
	fetch_free(w.fetch);
	store_close(w.store);
	return 0;
}

static void raise_limits(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
}

static int daemon_init(struct daemon *d)
{
	const char *idle = getenv("LARDER_IDLE_SECONDS");
	int r;

	d->store_dir = rpc_store_dir();
	d->state_dir = rpc_state_dir();
	if (!d->store_dir || !d->state_dir)
		return -ENOMEM;
	d->socket_name = rpc_socket_name(d->store_dir);
	if (!d->socket_name)
		return -ENOMEM;
	if (idle && atoi(idle) > 0)
		d->idle_seconds = (unsigned)atoi(idle);
	r = io_mkdir_p(d->state_dir, 0700);
	if (r < 0)
		return r;
	r = rpc_runtime_open();
	if (r < 0)
		return r;
	d->runtime_fd = r;
	return 0;
}

static int parse_args(int argc, char **argv, struct daemon *d)
{
	static const struct option options[] = {
		{ "ready-fd", required_argument, NULL, 'r' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "vVh", options, NULL)) != -1) {
		switch (c) {
		case 'r':
			d->ready_fd = atoi(optarg);
			fcntl(d->ready_fd, F_SETFD, FD_CLOEXEC);
			break;
		case 'v':
			log_set_level(LOG_LEVEL_DEBUG);
			break;
		case 'V':
			puts("larderd " PACKAGE_VERSION);
			exit(0);
		default:
			fputs("usage: larderd [--verbose] [--ready-fd N]\n"
			      "Serves the store of $XDG_CACHE_HOME/larder; "
			      "larder starts it when it is needed.\n",
			      c == 'h' ? stdout : stderr);
			exit(c == 'h' ? 0 : 2);
		}
	}
	return 0;
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
	r = daemon_init(&d);
	if (r < 0) {
		say_ready(&d, "the state or runtime directory cannot be "
			      "used\n");
		return log_error(1, "start: %s", strerror(-r));
	}
	config.listen_fd = rpc_listen(d.runtime_fd, d.socket_name);
	if (config.listen_fd < 0) {
		say_ready(&d, config.listen_fd == -EADDRINUSE ?
				      "another daemon serves this store\n" :
				      "the control socket cannot be made\n");
		log_error(config.listen_fd, "control socket");
		return 1;
	}
	status = supervisor_run(&config);
	unlinkat(d.runtime_fd, d.socket_name, 0);
	return status;
}
