/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at mounts without touching them. STATFS is the question: the kernel
 * keeps no answer to it.
 */
#include "stuck.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd.h"
#include "fs/mountinfo.h"
#include "fs/supervisor_mount.h"
#include "fs/supervisor_msg.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"

#define LOOK_MS 3000

/* --- the list --- */

static bool is_ours(const char *options)
{
	const char *user = strstr(options, "user_id=");

	return user && strtoul(user + strlen("user_id="), NULL, 10) ==
			       (unsigned long)geteuid();
}

static int add(void *arg, const struct mountinfo *m)
{
	struct stuck_mounts *list = arg;
	struct stuck_mount *items, *item;

	if (strcmp(m->type, MOUNTINFO_LARDER) != 0)
		return 0;
	items = reallocarray(list->items, list->count + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	list->items = items;
	item = &items[list->count++];
	*item = (struct stuck_mount){ strdup(m->path), strdup(m->dev),
				      is_ours(m->options) };
	return item->path && item->dev ? 0 : -ENOMEM;
}

int stuck_list(struct stuck_mounts *ret_list)
{
	*ret_list = (struct stuck_mounts){ 0 };
	return mountinfo_each(add, ret_list);
}

void stuck_release(struct stuck_mounts *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->items[i].path);
		free(list->items[i].dev);
	}
	free(list->items);
}

struct top {
	const char *path;
	char dev[MOUNTINFO_DEV_MAX];
};

static int keep_last(void *arg, const struct mountinfo *m)
{
	struct top *top = arg;

	if (strcmp(m->path, top->path) == 0)
		snprintf(top->dev, sizeof(top->dev), "%s", m->dev);
	return 0;
}

const struct stuck_mount *stuck_find(const struct stuck_mounts *list,
				     const char *path)
{
	struct top top = { .path = path };

	if (mountinfo_each(keep_last, &top) < 0)
		return NULL;
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i].path, path) == 0 &&
		    strcmp(list->items[i].dev, top.dev) == 0)
			return &list->items[i];
	return NULL;
}

/* --- looking --- */

/* Holds no file open that somebody waits for the end of. */
_Noreturn static void child(const char *path)
{
	struct statfs st;

	close_range(0, UINT_MAX, 0);
	if (statfs(path, &st) == 0)
		_exit(STUCK_ANSWERS);
	_exit(errno == ENOTCONN || errno == ECONNABORTED ? STUCK_DEAD :
							   STUCK_ANSWERS);
}

enum stuck_state stuck_look(const struct stuck_mount *m)
{
	_cleanup_close_ int pidfd = -1;
	struct pollfd p = { .events = POLLIN };
	int status, n;
	pid_t pid = fork();

	if (pid == 0)
		child(m->path);
	if (pid < 0)
		return STUCK_ANSWERS;
	p.fd = pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	do
		n = poll(&p, 1, LOOK_MS);
	while (n < 0 && errno == EINTR);
	if (n == 0) {
		kill(pid, SIGKILL);
		return STUCK_HANGS;
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return STUCK_ANSWERS;
	return WIFEXITED(status) ? (enum stuck_state)WEXITSTATUS(status) :
				   STUCK_ANSWERS;
}

/* --- ending one --- */

int stuck_detach(const struct stuck_mount *m, struct failure *f)
{
	const struct mount_job job = { .dir = m->path,
				       .dev = m->dev,
				       .lazy = true };
	_cleanup_free_ char *error = NULL;
	_cleanup_close_ int sock = -1;
	_cleanup_msg_ json_t *msg = NULL;
	int fd = -1, status, r;
	pid_t pid;

	r = mount_job_start(&job, &pid, &sock);
	if (r == 0) {
		r = supervisor_msg_receive(sock, 0, &msg, &fd);
		cleanup_close(&fd);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		r = r > 0 ? (int)field_number(msg, "result") : r ? r : -EIO;
	}
	if (r == 0)
		return 0;
	error = msg ? supervisor_msg_get_bytes(msg, "error") : NULL;
	return failure_set(f, r, EXIT_ERROR, "unmounting %s: %s", m->path,
			   error ? error : strerror(-r));
}

/* The mount is looked for again, now that the file is open: if it is still
 * there, the file is its. */
int stuck_open_abort(const struct stuck_mount *m)
{
	const char *minor = strchr(m->dev, ':');
	_cleanup_free_ char *path =
		minor ? io_path(STUCK_CONNECTIONS "/%s/abort", minor + 1) :
			NULL;
	struct top top = { .path = m->path };
	_cleanup_close_ int fd = -1;
	int r;

	if (!path)
		return -ENOMEM;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == EPERM ? -EACCES : -errno;
	r = mountinfo_each(keep_last, &top);
	if (r < 0)
		return r;
	return strcmp(top.dev, m->dev) == 0 ? steal_fd(&fd) : -ENODEV;
}

int stuck_abort(int fd)
{
	return io_write(fd, "1", 1);
}
