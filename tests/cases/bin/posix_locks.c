/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix locks: flock, record locks of processes and of open files (OFD), between
 * two processes. What the other one is told is in the transcript; it tries without
 * waiting, but where the title says so.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "posix.h"

struct range {
	int cmd;
	short type;
	off_t start, len;
};

static int open_f(int flags)
{
	return (int)must("open", open("f", flags | O_CLOEXEC));
}

static int lock(int fd, int cmd, short type, off_t start, off_t len)
{
	struct flock l = { .l_type = type,
			   .l_whence = SEEK_SET,
			   .l_start = start,
			   .l_len = len };

	return fcntl(fd, cmd, &l);
}

/* ---- what the other process does */

static long try_range(void *arg)
{
	const struct range *r = arg;

	return lock(open_f(O_RDWR), r->cmd, r->type, r->start, r->len);
}

static long try_flock(void *arg)
{
	return flock(open_f(O_RDWR), *(const int *)arg | LOCK_NB);
}

/* On the descriptor that it was born with. */
static long try_inherited(void *arg)
{
	return lock(*(const int *)arg, F_OFD_SETLK, F_WRLCK, 0, 10);
}

static long unlock_inherited(void *arg)
{
	return flock(*(const int *)arg, LOCK_UN);
}

static void other(const char *what, int cmd, short type, off_t start, off_t len)
{
	struct range r = { cmd, type, start, len };

	said_by_other(what, try_range, &r);
}

static void other_flock(const char *what, int how)
{
	said_by_other(what, try_flock, &how);
}

/* ---- areas */

static void flocks(void)
{
	int fd = open_f(O_RDONLY), second = open_f(O_RDWR), copy;

	puts("flock");
	said("  shared", flock(fd, LOCK_SH));
	other_flock("  other shared", LOCK_SH);
	other_flock("  other exclusive", LOCK_EX);
	said("  exclusive", flock(fd, LOCK_EX | LOCK_NB));
	other_flock("  other shared", LOCK_SH);
	said("  second descriptor", flock(second, LOCK_SH | LOCK_NB));
	other("  other record lock", F_SETLK, F_WRLCK, 0, 0);
	other("  other OFD lock", F_OFD_SETLK, F_WRLCK, 0, 0);
	copy = dup(fd);
	close(fd);
	other_flock("  other after close of a copy", LOCK_SH);
	said_by_other("  other unlocks what it inherited", unlock_inherited,
		      &copy);
	other_flock("  other", LOCK_EX);
	said("  again", flock(copy, LOCK_EX | LOCK_NB));
	close(copy);
	other_flock("  other after the last close", LOCK_EX);
	said("  unknown operation", flock(second, 77));
	close(second);
}

static void show_holder(const char *what, int fd, int cmd, short type)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_len = 0 };

	if (said(what, fcntl(fd, cmd, &l)) < 0)
		return;
	printf("    type %d from %jd length %jd, holder %s\n", l.l_type,
	       (intmax_t)l.l_start, (intmax_t)l.l_len,
	       l.l_pid == -1	    ? "a file" :
	       l.l_pid == getppid() ? "the parent" :
				      "unsaid");
}

static long show_holders(void *arg)
{
	int fd = open_f(O_RDWR);

	(void)arg;
	show_holder("  F_GETLK to read", fd, F_GETLK, F_RDLCK);
	show_holder("  F_GETLK to write", fd, F_GETLK, F_WRLCK);
	show_holder("  F_OFD_GETLK to read", fd, F_OFD_GETLK, F_RDLCK);
	show_holder("  F_OFD_GETLK to write", fd, F_OFD_GETLK, F_WRLCK);
	fflush(stdout);
	return 0;
}

static void ranges(const char *title, int set)
{
	int fd = open_f(O_RDWR), reader = open_f(O_RDONLY);
	int writer = open_f(O_WRONLY);

	puts(title);
	said("  write 10-19", lock(fd, set, F_WRLCK, 10, 10));
	other("  other write 0-9", F_SETLK, F_WRLCK, 0, 10);
	other("  other write 0-10", F_SETLK, F_WRLCK, 0, 11);
	other("  other read 19", F_SETLK, F_RDLCK, 19, 1);
	other("  other read 20-", F_SETLK, F_RDLCK, 20, 0);
	other("  other OFD read 19", F_OFD_SETLK, F_RDLCK, 19, 1);
	other("  other OFD all", F_OFD_SETLK, F_WRLCK, 0, 0);
	other_flock("  other flock", LOCK_EX);
	said_by_other("  holders", show_holders, NULL);
	said("  read 12-13", lock(fd, set, F_RDLCK, 12, 2));
	other("  other read 12-13", F_SETLK, F_RDLCK, 12, 2);
	other("  other write 12", F_SETLK, F_WRLCK, 12, 1);
	other("  other read 11", F_SETLK, F_RDLCK, 11, 1);
	said("  unlock 14-15", lock(fd, set, F_UNLCK, 14, 2));
	other("  other write 14-15", F_SETLK, F_WRLCK, 14, 2);
	said("  far behind the end", lock(fd, set, F_WRLCK, 1L << 40, 0));
	other("  other there", F_SETLK, F_RDLCK, 1L << 41, 1);
	said("  a length before", lock(fd, set, F_WRLCK, 100, -10));
	other("  other at 95", F_SETLK, F_RDLCK, 95, 1);
	said("  before the start", lock(fd, set, F_WRLCK, -1, 1));
	said("  write with a reader", lock(reader, set, F_WRLCK, 0, 1));
	said("  read with a writer", lock(writer, set, F_RDLCK, 0, 1));
	said("  unknown type", lock(fd, set, 9, 0, 1));
	close(reader);
	other("  other write 10 after a close of the file", F_SETLK, F_WRLCK,
	      10, 1);
	close(fd);
	other("  other write all", F_SETLK, F_WRLCK, 0, 0);
	close(writer);
}

static void inherited(void)
{
	int fd = open_f(O_RDWR);

	puts("inherited");
	said("  record lock", lock(fd, F_SETLK, F_WRLCK, 0, 10));
	said_by_other("  a child has none", try_inherited, &fd);
	said("  unlock", lock(fd, F_SETLK, F_UNLCK, 0, 10));
	said("  OFD lock", lock(fd, F_OFD_SETLK, F_WRLCK, 0, 10));
	said_by_other("  a child has it, too", try_inherited, &fd);
	other("  other", F_SETLK, F_WRLCK, 0, 10);
	close(fd);
}

/* A child that holds a lock until it is killed, or until it read from `in`. */
static pid_t holder(int set, int *ret_in)
{
	int to[2], from[2];
	pid_t pid;
	char c = 0;

	must("pipe", pipe(to) | pipe(from));
	fflush(stdout);
	pid = (pid_t)must("fork", fork());
	if (pid == 0) {
		close(to[1]);
		if (lock(open_f(O_RDWR), set, F_WRLCK, 0, 0) < 0)
			_exit(1);
		must("write", write(from[1], "l", 1));
		_exit(read(to[0], &c, 1) < 0);
	}
	close(from[1]);
	close(to[0]);
	told("  held", read(from[0], &c, 1));
	close(from[0]);
	*ret_in = to[1];
	return pid;
}

static void waits(const char *title, int set, int wait)
{
	int fd = open_f(O_RDWR), in, status = 0;
	pid_t pid;

	puts(title);
	pid = holder(set, &in);
	said("  taken", lock(fd, set, F_WRLCK, 0, 0));
	close(in);
	said("  waited for", lock(fd, wait, F_WRLCK, 0, 0));
	must("waitpid", waitpid(pid, &status, 0));
	told("  it ended with", status);
	must("unlock", lock(fd, set, F_UNLCK, 0, 0));
	pid = holder(set, &in);
	said("  taken", lock(fd, set, F_WRLCK, 0, 0));
	must("kill", kill(pid, 9));
	said("  waited for the killed", lock(fd, wait, F_WRLCK, 0, 0));
	must("waitpid", waitpid(pid, &status, 0));
	close(in);
	close(fd);
}

/* The two wait for each other: one of them is told. */
static void deadlock(void)
{
	int fd = open_f(O_RDWR), status = 0, told_here, told_there, go[2];
	pid_t pid;
	char c;

	puts("two wait for each other");
	must("pipe", pipe(go));
	must("lock", lock(fd, F_SETLK, F_WRLCK, 0, 1));
	fflush(stdout);
	pid = (pid_t)must("fork", fork());
	if (pid == 0) {
		int mine = open_f(O_RDWR);

		must("lock", lock(mine, F_SETLK, F_WRLCK, 1, 1));
		must("write", write(go[1], "g", 1));
		_exit(lock(mine, F_SETLKW, F_WRLCK, 0, 1) < 0 ? errno : 0);
	}
	must("read", read(go[0], &c, 1));
	told_here = lock(fd, F_SETLKW, F_WRLCK, 1, 1) < 0 && errno == EDEADLK;
	close(fd);
	must("waitpid", waitpid(pid, &status, 0));
	told_there = WIFEXITED(status) && WEXITSTATUS(status) == EDEADLK;
	told("  told", told_here + told_there);
	close(go[0]);
	close(go[1]);
}

int locks_main(void)
{
	put_file("f", "0123456789", 0644);
	flocks();
	ranges("record locks of the process", F_SETLK);
	ranges("of the open file", F_OFD_SETLK);
	inherited();
	waits("waiting for a process's", F_SETLK, F_SETLKW);
	waits("waiting for an open file's", F_OFD_SETLK, F_OFD_SETLKW);
	deadlock();
	return 0;
}
