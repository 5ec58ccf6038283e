/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor process: one thread and one poll loop over signals, the
 * channel to the worker and the mount helper. One job (mount or unmount) runs
 * at a time, in a helper (supervisor_mount.h); the channel is not read
 * meanwhile, so the worker's next call waits. The worker may die during a job;
 * the job's result then counts all the same, and only its answer is dropped.
 *
 * Owns the mounts' descriptors and descriptions. Nothing here touches a path,
 * so a mount without a worker cannot make it wait.
 */
#include "supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blame.h"
#include "sandbox.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/io.h"
#include "store/base/log.h"
#include "supervisor_mount.h"
#include "supervisor_msg.h"
#include "supervisor_table.h"

#define RESTARTS_NS (INT64_C(10) * 1000000000)

struct supervisor {
	const struct supervisor_config *config;
	struct kept_mounts mounts;
	sigset_t saved_mask;
	int signal_fd;
	int ready_fd; /* -1 once it was used */

	pid_t worker; /* 0: none */
	int channel_fd;
	bool stopping; /* a signal was passed on */
	int64_t restarts_ns[SUPERVISOR_RESTARTS_MAX]; /* ring of times */
	unsigned restarts;

	pid_t helper; /* 0: no job */
	int helper_fd;
	int secrets_fd;	 /* of the worker; -1: none */
	json_t *job;	 /* the call it works for */
	bool job_orphan; /* who called is dead */
};

/* --- the worker process --- */

/* What is the supervisor's alone must not live on in the worker: a connection
 * would survive its mount. */
static int worker_run(struct supervisor *s, int channel_fd)
{
	const struct supervisor_config *config = s->config;

	close(s->signal_fd);
	cleanup_close(&s->ready_fd);
	cleanup_close(&s->channel_fd);
	cleanup_close(&s->helper_fd);
	cleanup_close(&s->secrets_fd);
	kept_mounts_release(&s->mounts);
	json_decref(s->job);
	signal(SIGHUP, SIG_DFL);
	sigprocmask(SIG_SETMASK, &s->saved_mask, NULL);
	return config->worker(channel_fd, config->listen_fd, config->arg);
}

static int worker_start(struct supervisor *s)
{
	_cleanup_close_ int ours = -1, theirs = -1;
	int fds[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	ours = fds[0];
	theirs = fds[1];
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		cleanup_close(&ours);
		exit(worker_run(s, theirs));
	}
	s->worker = pid;
	s->channel_fd = steal_fd(&ours);
	return 0;
}

/* --- jobs --- */

static void answer_result(struct supervisor *s, int result, const char *error);

/* Each call gets one answer, or its caller waits for ever: where this one
 * cannot be sent, the reason is. */
static void answer(struct supervisor *s, const json_t *msg, int fd)
{
	int r = msg ? supervisor_msg_send(s->channel_fd, msg, fd) : -ENOMEM;

	/* The worker that is gone is reaped in its turn. */
	if (r == -EPIPE)
		return;
	if (r == -EMSGSIZE)
		answer_result(s, r, NULL);
	else if (r < 0)
		(void)log_error(r, "answering the worker");
}

static void answer_result(struct supervisor *s, int result, const char *error)
{
	_cleanup_msg_ json_t *msg = json_pack("{si}", "result", result);

	if (msg && error)
		(void)supervisor_msg_set_bytes(msg, "error", error);
	answer(s, msg, -1);
}

static void job_start(struct supervisor *s, const struct mount_job *job,
		      json_t *call)
{
	int r = mount_job_start(job, &s->helper, &s->helper_fd);

	if (r < 0) {
		answer_result(s, r, NULL);
		return;
	}
	s->job = json_incref(call);
	s->job_orphan = false;
}

static bool call_is(const json_t *call, const char *name)
{
	const char *text = json_string_value(json_object_get(call, "call"));

	return text && strcmp(text, name) == 0;
}

/* The id, which must be there, and of a mount that is kept. */
static struct kept_mount *call_mount(struct supervisor *s, const json_t *call)
{
	const char *id = json_string_value(json_object_get(call, "id"));

	return id ? kept_mounts_find(&s->mounts, id) : NULL;
}

/* Applies the result of the job; gives the result to answer. */
static int job_apply(struct supervisor *s, const json_t *result, int *fd)
{
	int r = json_integer_value(json_object_get(result, "result"));

	if (r < 0)
		return r;
	if (call_is(s->job, "mount"))
		return kept_mounts_add(&s->mounts, s->job, result,
				       steal_fd(fd));
	kept_mounts_remove(&s->mounts,
			   json_string_value(json_object_get(s->job, "id")));
	return 0;
}

static void job_answer(struct supervisor *s, int r, const json_t *result)
{
	_cleanup_free_ char *error = supervisor_msg_get_bytes(result, "error");
	_cleanup_msg_ json_t *msg = NULL;
	struct kept_mount *m;

	if (r < 0 || !call_is(s->job, "mount")) {
		answer_result(s, r, error);
		return;
	}
	m = call_mount(s, s->job);
	msg = json_pack("{si}", "result", 0);
	answer(s, msg, m->fd);
}

static void helper_reap(struct supervisor *s)
{
	while (waitpid(s->helper, NULL, 0) < 0 && errno == EINTR)
		;
	s->helper = 0;
	close(s->helper_fd);
	s->helper_fd = -1;
}

static void job_finish(struct supervisor *s)
{
	_cleanup_msg_ json_t *result = NULL;
	_cleanup_close_ int fd = -1;
	int r = supervisor_msg_receive(s->helper_fd, 0, &result, &fd);

	helper_reap(s);
	if (r <= 0)
		r = log_error(-EIO, "the mount helper failed");
	else
		r = job_apply(s, result, &fd);
	if (!s->job_orphan)
		job_answer(s, r, result);
	json_decref(s->job);
	s->job = NULL;
}

/* --- calls --- */

static void call_mount_new(struct supervisor *s, json_t *call)
{
	_cleanup_free_ char *dir = supervisor_msg_get_bytes(call, "dir");
	_cleanup_free_ char *fsname = supervisor_msg_get_bytes(call, "fsname");
	struct mount_job job = {
		.dir = dir,
		.fsname = fsname,
		.read_only = json_is_true(json_object_get(call, "read_only")),
		.allow_other =
			json_is_true(json_object_get(call, "allow_other")),
		.suid_dev = json_is_true(json_object_get(call, "suid_dev")),
	};

	if (!dir || !fsname)
		answer_result(s, -EBADMSG, NULL);
	else if (call_mount(s, call))
		answer_result(s, -EEXIST, NULL);
	else
		job_start(s, &job, call);
}

static void call_umount(struct supervisor *s, json_t *call)
{
	struct kept_mount *m = call_mount(s, call);
	struct mount_job job = {
		.lazy = json_is_true(json_object_get(call, "lazy")),
	};

	if (!m) {
		answer_result(s, -ENOENT, NULL);
		return;
	}
	job.dir = m->path;
	job.dev = m->dev;
	job_start(s, &job, call);
}

static void call_adopt(struct supervisor *s, json_t *call)
{
	const char *after = json_string_value(json_object_get(call, "after"));
	struct kept_mount *m = kept_mounts_after(&s->mounts, after ?: "");
	_cleanup_msg_ json_t *msg = NULL;

	if (!m) {
		answer_result(s, -ENOENT, NULL);
		return;
	}
	msg = json_pack("{si ss ss}", "result", 0, "id", m->id, "init",
			m->init ?: "");
	if (!msg || supervisor_msg_set_bytes(msg, "dir", m->dir) < 0 ||
	    supervisor_msg_set_bytes(msg, "desc", m->desc) < 0)
		answer_result(s, -ENOMEM, NULL);
	else
		answer(s, msg, m->fd);
}

static void call_secrets(struct supervisor *s, json_t *call)
{
	_cleanup_msg_ json_t *msg = NULL;

	(void)call;
	if (s->secrets_fd < 0) {
		answer_result(s, -ENOENT, NULL);
		return;
	}
	msg = json_pack("{si}", "result", 0);
	answer(s, msg, s->secrets_fd);
}

/* What asks for no answer, with the descriptor that came with it (taken over
 * where it is wanted). A mount that is gone meanwhile needs nothing. */
static int notice(struct supervisor *s, const json_t *call, int *fd)
{
	struct kept_mount *m = call_mount(s, call);
	_cleanup_free_ char *value = NULL;

	if (call_is(call, "save_secrets")) {
		cleanup_close(&s->secrets_fd);
		s->secrets_fd = steal_fd(fd);
		return 0;
	}
	if (!m)
		return 0;
	if (call_is(call, "forget")) {
		kept_mounts_remove(&s->mounts, m->id);
		return 0;
	}
	if (call_is(call, "save_init")) {
		value = supervisor_msg_get_bytes(call, "init");
		return value ? kept_mount_set(&m->init, value) : -EBADMSG;
	}
	value = supervisor_msg_get_bytes(call, "desc");
	return value ? kept_mount_set(&m->desc, value) : -EBADMSG;
}

static const struct {
	const char *name;
	void (*serve)(struct supervisor *s, json_t *call); /* NULL: notice */
} calls[] = {
	{ "mount", call_mount_new }, { "umount", call_umount },
	{ "adopt", call_adopt },     { "secrets", call_secrets },
	{ "save_init", NULL },	     { "save_desc", NULL },
	{ "save_secrets", NULL },    { "forget", NULL },
};

static int call_serve(struct supervisor *s, json_t *call, bool orphan, int *fd)
{
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (!call_is(call, calls[i].name))
			continue;
		if (!calls[i].serve)
			return notice(s, call, fd);
		if (!orphan)
			calls[i].serve(s, call);
		return 0;
	}
	return log_error(-EBADMSG, "the worker asks for nothing known");
}

/* One message of the worker. 1, 0 at the end, or an errno. */
static int channel_read(struct supervisor *s, bool orphan)
{
	_cleanup_msg_ json_t *call = NULL;
	_cleanup_close_ int fd = -1;
	int r = supervisor_msg_receive(s->channel_fd, MSG_DONTWAIT, &call, &fd);

	if (r <= 0)
		return r;
	r = call_serve(s, call, orphan, &fd);
	return r < 0 ? r : 1;
}

/* --- the worker's life --- */

/* What it said before it died is heard to the end. */
static void channel_close(struct supervisor *s)
{
	int r;

	if (s->channel_fd < 0)
		return;
	do
		r = channel_read(s, true);
	while (r > 0);
	close(s->channel_fd);
	s->channel_fd = -1;
	s->job_orphan = true;
}

static bool restart_allowed(struct supervisor *s)
{
	int64_t now = clock_mono_ns();
	int64_t *oldest =
		&s->restarts_ns[s->restarts % SUPERVISOR_RESTARTS_MAX];

	if (s->restarts >= SUPERVISOR_RESTARTS_MAX &&
	    now - *oldest < RESTARTS_NS)
		return false;
	*oldest = now;
	s->restarts++;
	return true;
}

/* What the status of the dead worker means: -1 that another one runs, else
 * the supervisor's own exit status. */
static int worker_died(struct supervisor *s, int status)
{
	int r;

	s->worker = 0;
	channel_close(s);
	blame_collect(s->config->blame, WIFSIGNALED(status));
	if (WIFEXITED(status) && (WEXITSTATUS(status) == 0 || s->stopping))
		return WEXITSTATUS(status);
	if (s->stopping)
		return 1;
	if (WIFSIGNALED(status))
		(void)log_error(0, "the worker was killed by signal %d",
				WTERMSIG(status));
	else
		(void)log_error(0, "the worker ended with status %d",
				WEXITSTATUS(status));
	if (!restart_allowed(s)) {
		(void)log_error(0, "it ended %d times in %d seconds: giving up",
				SUPERVISOR_RESTARTS_MAX + 1,
				(int)(RESTARTS_NS / 1000000000));
		return 1;
	}
	r = worker_start(s);
	if (r < 0) {
		(void)log_error(r, "starting a worker");
		return 1;
	}
	return -1;
}

/* Returns as worker_died(); -1 also where it lives. */
static int worker_check(struct supervisor *s)
{
	int status;

	if (waitpid(s->worker, &status, WNOHANG) != s->worker)
		return -1;
	return worker_died(s, status);
}

static void stop_worker(struct supervisor *s)
{
	s->stopping = true;
	if (s->worker > 0)
		kill(s->worker, SIGTERM);
}

static int handle_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;
	int status = -1;

	while (read(s->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGCHLD)
			stop_worker(s);
		else if (status < 0)
			status = worker_check(s);
	}
	return status;
}

/* --- the process --- */

/* The channel's end and errors are followed by the worker's death; until
 * then it is not asked again. */
static void handle_channel(struct supervisor *s)
{
	int r = channel_read(s, false);

	if (r > 0 || r == -EAGAIN)
		return;
	if (r < 0 && s->worker > 0) {
		(void)log_error(r, "the worker sends nonsense: killing it");
		kill(s->worker, SIGKILL);
	}
	channel_close(s);
}

/* Runs until there is an exit status. */
static int supervise(struct supervisor *s)
{
	int status = -1;

	while (status < 0) {
		struct pollfd fds[] = {
			{ .fd = s->signal_fd, .events = POLLIN },
			{ .fd = s->helper_fd, .events = POLLIN },
			{ .fd = s->job ? -1 : s->channel_fd, .events = POLLIN },
		};

		if (poll(fds, 3, -1) < 0) {
			if (errno == EINTR)
				continue;
			return log_error(1, "poll: %s", strerror(errno));
		}
		if (fds[1].revents)
			job_finish(s);
		if (fds[2].revents)
			handle_channel(s);
		if (fds[0].revents)
			status = handle_signals(s);
	}
	return status;
}

/* Mounts that no worker will serve again are taken away, newest first, since
 * it may lie in an older one. Closing the descriptors first ends whatever
 * waits for them. */
static void umount_all(struct supervisor *s)
{
	struct kept_mount *m;

	if (s->job) {
		s->job_orphan = true;
		kept_mounts_close_fds(&s->mounts);
		job_finish(s);
	}
	kept_mounts_close_fds(&s->mounts);
	for (m = s->mounts.newest; m; m = m->next) {
		struct mount_job job = { .dir = m->path,
					 .dev = m->dev,
					 .lazy = true };
		_cleanup_msg_ json_t *result = NULL;
		_cleanup_close_ int fd = -1;

		if (mount_job_start(&job, &s->helper, &s->helper_fd) < 0)
			continue;
		if (supervisor_msg_receive(s->helper_fd, 0, &result, &fd) == 1)
			log_info("took %s away", m->dir);
		helper_reap(s);
	}
	kept_mounts_release(&s->mounts);
}

static int supervisor_signals(struct supervisor *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, &s->saved_mask);
	signal(SIGHUP, SIG_IGN);
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signal_fd < 0 ? -errno : 0;
}

static int supervisor_start(struct supervisor *s)
{
	static const char ok[] = "ok\n";
	static const char failed[] = "the daemon's worker cannot be started\n";
	int r = supervisor_signals(s);

	if (r == 0)
		r = worker_start(s);
	if (s->ready_fd < 0)
		return r;
	(void)io_write(s->ready_fd, r < 0 ? failed : ok,
		       strlen(r < 0 ? failed : ok));
	cleanup_close(&s->ready_fd);
	s->ready_fd = -1;
	return r;
}

int supervisor_run(const struct supervisor_config *config)
{
	struct supervisor s = {
		.config = config,
		.ready_fd = config->ready_fd,
		.signal_fd = -1,
		.channel_fd = -1,
		.helper_fd = -1,
		.secrets_fd = -1,
	};
	int status = 1, r;

	sandbox_hide(); /* before there is anything to be seen */
	r = supervisor_start(&s);
	if (r < 0)
		(void)log_error(r, "starting a worker");
	else
		status = supervise(&s);
	umount_all(&s);
	cleanup_close(&s.channel_fd);
	cleanup_close(&s.signal_fd);
	cleanup_close(&s.secrets_fd);
	sigprocmask(SIG_SETMASK, &s.saved_mask, NULL);
	return status;
}
