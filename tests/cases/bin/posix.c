/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix AREA: writes the transcript of one area in the working directory, which
 * is empty but for what the area says. Exit code 0 when it was written whole.
 */
#include "posix.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void die(const char *what)
{
	fprintf(stderr, "posix: %s: %s\n", what, strerror(errno));
	exit(1);
}

long said(const char *what, long r)
{
	printf("%s: %s\n", what, r < 0 ? strerrorname_np(errno) : "ok");
	return r;
}

long told(const char *what, long r)
{
	if (r < 0)
		return said(what, r);
	printf("%s: %ld\n", what, r);
	return r;
}

void said_by_other(const char *what, long (*call)(void *arg), void *arg)
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = (pid_t)must("fork", fork());
	if (pid == 0)
		_exit(call(arg) < 0 ? errno : 0);
	must("waitpid", waitpid(pid, &status, 0));
	if (!WIFEXITED(status)) {
		printf("%s: signal %d\n", what, WTERMSIG(status));
		return;
	}
	errno = WEXITSTATUS(status);
	said(what, errno ? -1 : 0);
}

long must(const char *what, long r)
{
	if (r < 0)
		die(what);
	return r;
}

void next_tick(void)
{
	struct timespec start, now;

	clock_gettime(CLOCK_REALTIME_COARSE, &start);
	do
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
	while (now.tv_sec == start.tv_sec && now.tv_nsec == start.tv_nsec);
}

void put_file(const char *path, const char *text, mode_t mode)
{
	size_t len = strlen(text);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len ||
	    fchmod(fd, mode) < 0 || close(fd) < 0)
		die(path);
}

static uint8_t *put_entry(uint8_t *at, uint16_t tag, unsigned perm, uint32_t id)
{
	const uint16_t head[] = { htole16(tag), htole16((uint16_t)perm) };

	id = htole32(id);
	memcpy(at, head, sizeof(head));
	memcpy(at + 4, &id, sizeof(id));
	return at + 8;
}

size_t make_acl(const struct acl_bits *b, uint8_t *buf)
{
	const uint32_t version = htole32(2);
	uint8_t *at = buf + 4;

	memcpy(buf, &version, sizeof(version));
	at = put_entry(at, 0x01, b->owner, UINT32_MAX);
	if (b->uid != UINT32_MAX)
		at = put_entry(at, 0x02, b->user, b->uid);
	at = put_entry(at, 0x04, b->group, UINT32_MAX);
	if (b->uid != UINT32_MAX)
		at = put_entry(at, 0x10, b->mask, UINT32_MAX);
	at = put_entry(at, 0x20, b->other, UINT32_MAX);
	return (size_t)(at - buf);
}

static const struct {
	const char *name;
	int (*run)(void);
} areas[] = {
	{ "data", data_main },	   { "dir", dir_main },
	{ "errors", errors_main }, { "events", events_main },
	{ "locks", locks_main },   { "setid", setid_main },
	{ "times", times_main },   { "unlinked", unlinked_main },
	{ "xattrs", xattrs_main },
};

int main(int argc, char **argv)
{
	size_t k;

	umask(022);
	for (k = 0; k < sizeof(areas) / sizeof(*areas); k++)
		if (argc == 2 && strcmp(argv[1], areas[k].name) == 0)
			return areas[k].run();
	fputs("usage: posix AREA\n", stderr);
	return 2;
}
