/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs whose output is read. One with a session of its own can be ended
 * with all that it started, unless that left the session; it has no terminal
 * to ask anything on, and Ctrl-C, which does not reach it, is passed on by
 * interrupt.h.
 */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd.h"
#include "interrupt.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"

#define READ_BYTES 65536
#define GRACE_NS INT64_C(500000000)

static void set_variables(const struct variable *v)
{
	for (; v && v->name; v++) {
		if (v->value)
			setenv(v->name, v->value, 1);
		else
			unsetenv(v->name);
	}
}

static void become(const struct process_setup *s, int out)
{
	int null = open("/dev/null", O_RDWR);

	if (s->own_session)
		setsid();
	interrupt_child();
	if (null < 0 || fchdir(s->dirfd) < 0)
		_exit(EXIT_NOT_EXECUTABLE);
	dup2(null, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	if (s->merge)
		dup2(out, STDERR_FILENO);
	if (s->mute)
		dup2(null, STDERR_FILENO);
	set_variables(s->variables);
	execvp(s->argv[0], (char *const *)s->argv);
	_exit(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

int process_start(const struct process_setup *setup, struct process *ret_p)
{
	struct process p = PROCESS_INIT;
	int ends[2], err;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	fflush(NULL);
	interrupt_hold();
	p.pid = fork();
	err = errno;
	if (p.pid == 0)
		become(setup, ends[1]);
	close(ends[1]);
	p.out = ends[0];
	p.own_session = setup->own_session && p.pid > 0;
	if (p.pid > 0)
		p.pidfd = pidfd_open(p.pid, 0);
	if (p.pid > 0 && p.pidfd < 0)
		err = errno;
	interrupt_guard(p.own_session ? p.pid : 0);
	if (p.pidfd >= 0) {
		*ret_p = p;
		return 0;
	}
	p.pid = p.pid > 0 ? p.pid : 0;
	process_release(&p);
	return -err;
}

/* Until `fd` has something to say. */
static int await(int fd, int64_t deadline_ns)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	for (;;) {
		int64_t left = deadline_ns - clock_mono_ns();
		int64_t ms = left > 0 ? (left + 999999) / 1000000 : 0;
		int n = poll(&pfd, 1,
			     deadline_ns == PROCESS_FOREVER ? -1 :
			     ms > 3600000		    ? 3600000 :
							      (int)ms);

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0 && ms == 0)
			return -ETIMEDOUT;
	}
}

ssize_t process_read(struct process *p, void *buf, size_t len,
		     int64_t deadline_ns)
{
	int r = await(p->out, deadline_ns);
	ssize_t n;

	if (r < 0)
		return r;
	while ((n = read(p->out, buf, len)) < 0 && errno == EINTR)
		;
	return n < 0 ? -errno : n;
}

static int read_some(struct process *p, struct buf *b, size_t max)
{
	void *room = buf_reserve(b, READ_BYTES);
	ssize_t n;

	if (!room)
		return buf_error(b);
	n = process_read(p, room, READ_BYTES, PROCESS_FOREVER);
	if (n > 0)
		buf_added(b, (size_t)n);
	if (b->len > max)
		return -EFBIG;
	return n > 0 ? 1 : (int)n;
}

int process_read_all(struct process *const ps[], struct buf *const ret_bufs[],
		     unsigned n, size_t max)
{
	struct pollfd fds[PROCESS_READ_MAX];
	unsigned open = n;
	int r;

	for (unsigned i = 0; i < n; i++)
		fds[i] = (struct pollfd){ .fd = ps[i]->out, .events = POLLIN };
	while (open > 0) {
		if (poll(fds, n, -1) < 0) {
			if (errno != EINTR)
				return -errno;
			continue;
		}
		for (unsigned i = 0; i < n; i++) {
			if (fds[i].fd < 0 || !fds[i].revents)
				continue;
			r = read_some(ps[i], ret_bufs[i], max);
			if (r < 0)
				return r;
			if (r == 0) {
				fds[i].fd = -1;
				open--;
			}
		}
	}
	return 0;
}

int process_wait(struct process *p, int64_t deadline_ns)
{
	int r = await(p->pidfd, deadline_ns);

	if (r == 0)
		r = child_wait(p->pid);
	if (r >= 0)
		p->pid = 0;
	return r;
}

void process_release(struct process *p)
{
	pid_t whom = p->own_session ? -p->pid : p->pid;

	if (p->pid > 0) {
		kill(whom, SIGTERM);
		if (p->pidfd >= 0)
			await(p->pidfd, clock_mono_ns() + GRACE_NS);
		kill(whom, SIGKILL);
		waitpid(p->pid, NULL, 0);
	}
	if (p->own_session)
		interrupt_unguard();
	cleanup_close(&p->pidfd);
	cleanup_close(&p->out);
	*p = (struct process)PROCESS_INIT;
}
