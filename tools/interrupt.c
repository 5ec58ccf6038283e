/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signal handlers. They use only a signal's number, a descriptor and a
 * process id, and call only shutdown(), alarm(), kill(), sigaction() and
 * raise(). Owns the dispositions that were there before.
 */
#include "interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

#define CANCEL_WAIT_S 5 /* for a daemon that does not answer */
#define NSIGNALS (sizeof(signals) / sizeof(*signals))

static volatile sig_atomic_t came, watched_fd = -1, child;
static struct sigaction before[NSIGNALS], alarm_before;
static sigset_t mask_before;

/* The first one tells the daemon, whose answer is when the work has ended. */
static void cancel(int signo)
{
	if (watched_fd >= 0)
		shutdown((int)watched_fd, came ? SHUT_RDWR : SHUT_WR);
	if (!came)
		alarm(CANCEL_WAIT_S);
	came = came ? came : signo;
}

/* The terminal has sent SIGINT and SIGQUIT to the child as well. */
static void pass_on(int signo)
{
	if (child > 0 && signo != SIGINT && signo != SIGQUIT)
		kill((pid_t)child, signo);
}

static void end_group(int signo)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };

	if (child > 0)
		kill(-(pid_t)child, SIGKILL);
	sigaction(signo, &sa, NULL);
	raise(signo);
}

/* A signal that was ignored stays ignored (nohup). */
static void install(void (*handler)(int), size_t count)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_RESTART };

	sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < count; i++) {
		sigaction(signals[i], NULL, &before[i]);
		if (before[i].sa_handler != SIG_IGN)
			sigaction(signals[i], &sa, NULL);
	}
}

static void uninstall(size_t count)
{
	for (size_t i = 0; i < count; i++)
		sigaction(signals[i], &before[i], NULL);
}

void interrupt_watch(int fd)
{
	struct sigaction sa = { .sa_handler = cancel, .sa_flags = SA_RESTART };

	came = 0;
	watched_fd = fd;
	install(cancel, NSIGNALS - 1); /* SIGQUIT ends, as it should */
	sigaction(SIGALRM, &sa, &alarm_before);
}

void interrupt_unwatch(void)
{
	watched_fd = -1;
	alarm(0);
	sigaction(SIGALRM, &alarm_before, NULL);
	uninstall(NSIGNALS - 1);
}

int interrupt_signal(void)
{
	return (int)came;
}

void interrupt_hold(void)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < NSIGNALS; i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, &mask_before);
}

void interrupt_child(void)
{
	sigprocmask(SIG_SETMASK, &mask_before, NULL);
}

void interrupt_forward(pid_t pid)
{
	child = (sig_atomic_t)pid;
	install(pass_on, NSIGNALS);
	sigprocmask(SIG_SETMASK, &mask_before, NULL);
}

void interrupt_restore(void)
{
	child = 0;
	uninstall(NSIGNALS);
}

void interrupt_guard(pid_t group)
{
	child = (sig_atomic_t)group;
	if (group > 0)
		install(end_group, NSIGNALS);
	sigprocmask(SIG_SETMASK, &mask_before, NULL);
}

void interrupt_unguard(void)
{
	child = 0;
	uninstall(NSIGNALS);
}
