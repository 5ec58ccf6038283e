/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mount helper: a forked child that does one mount or unmount and sends
 * the result. Root mounts with mount(2) on the descriptor of the directory, so
 * that no symbolic link can be slipped in between; others run fusermount3,
 * which does its own checks, with the path. Nothing here looks at a path on a
 * FUSE mount itself: what is mounted where is read from mountinfo.
 */
#include "supervisor_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "mountinfo.h"
#include "own_dir.h"
#include "supervisor.h"
#include "supervisor_msg.h"

#define FUSE_DEVICE "/dev/fuse"
#define TOOL_OUTPUT_MAX 4096

/* What the helper found out. */
struct answer {
	char *error; /* a sentence for the user; owned, as the next */
	char *path;
	char dev[MOUNTINFO_DEV_MAX];
	int fd; /* /dev/fuse */
};

/* Keeps a sentence and gives the code back. */
__attribute__((format(printf, 3, 4))) static int
answer_fail(struct answer *a, int r, const char *fmt, ...)
{
	va_list ap;

	free(a->error);
	va_start(ap, fmt);
	if (vasprintf(&a->error, fmt, ap) < 0)
		a->error = NULL;
	va_end(ap);
	return r;
}

/* --- mountinfo --- */

struct look {
	const char *path, *dev;
	char *top; /* MOUNTINFO_DEV_MAX bytes */
	bool anywhere;
};

static int look_at(void *arg, const struct mountinfo *m)
{
	struct look *l = arg;

	if (l->dev && strcmp(m->dev, l->dev) == 0)
		l->anywhere = true;
	if (strcmp(m->path, l->path) == 0)
		snprintf(l->top, MOUNTINFO_DEV_MAX, "%s", m->dev);
	return 0;
}

/* The device of the topmost mount at `path` ("" where there is none), and
 * whether `dev` (may be NULL) is mounted anywhere. */
static int mountinfo_look(const char *path, const char *dev,
			  char ret_top[MOUNTINFO_DEV_MAX], bool *ret_anywhere)
{
	struct look l = { .path = path, .dev = dev, .top = ret_top };
	int r;

	ret_top[0] = '\0';
	r = mountinfo_each(look_at, &l);
	*ret_anywhere = l.anywhere;
	return r;
}

/* --- fusermount3 --- */

/* What went wrong, by the words of fusermount3 (with LC_ALL=C). */
static const struct {
	const char *words;
	int err;
} tool_errors[] = {
	{ "Device or resource busy", -EBUSY },
	{ "user_allow_other", -EACCES },
	{ "not owned by user", -EACCES },
	{ "no write access", -EACCES },
	{ "Permission denied", -EACCES },
	{ "Operation not permitted", -EACCES },
	{ "is forbidden", -EACCES },
	{ "too many FUSE filesystems", -EACCES },
	{ "fuse device not found", -ENODEV },
	{ "No such device", -ENODEV },
	{ "No such file or directory", -ENOENT },
};

static int tool_error(const char *text)
{
	size_t i;

	for (i = 0; i < sizeof(tool_errors) / sizeof(tool_errors[0]); i++)
		if (strstr(text, tool_errors[i].words))
			return tool_errors[i].err;
	return -EIO;
}

/* In the child: `comm_fd` may be -1. */
static void tool_exec(char *const argv[], int comm_fd, int out_fd)
{
	char number[16];

	if (comm_fd >= 0) {
		snprintf(number, sizeof(number), "%d", comm_fd);
		setenv("_FUSE_COMMFD", number, 1);
		fcntl(comm_fd, F_SETFD, 0);
	}
	setenv("LC_ALL", "C", 1);
	dup2(out_fd, STDOUT_FILENO);
	dup2(out_fd, STDERR_FILENO);
	execvp(argv[0], argv);
	execv("/usr/bin/fusermount3", argv);
	execv("/bin/fusermount3", argv);
	_exit(127);
}

/* Its first line without the program's name. */
static void tool_sentence(char *text)
{
	char *colon;

	text[strcspn(text, "\n")] = '\0';
	colon = strncmp(text, "fusermount3: ", 13) == 0 ? text + 13 : NULL;
	if (colon)
		memmove(text, colon, strlen(colon) + 1);
}

static int tool_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* Runs fusermount3 to its end. 0, or its error with a sentence. */
static int tool_run(struct answer *a, char *const argv[], int comm_fd)
{
	_cleanup_close_ int out = -1, in = -1;
	char text[TOOL_OUTPUT_MAX + 1] = "";
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	out = fds[0];
	in = fds[1];
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		tool_exec(argv, comm_fd, in);
	cleanup_close(&in);
	in = -1;
	n = io_read_upto(out, text, TOOL_OUTPUT_MAX);
	text[n > 0 ? n : 0] = '\0';
	status = tool_wait(pid);
	if (status < 0)
		return status;
	if (status == 127)
		return answer_fail(a, -ENOENT,
				   "fusermount3 is missing: install the "
				   "package fuse3");
	if (status == 0)
		return 0;
	tool_sentence(text);
	return answer_fail(a, tool_error(text), "%s",
			   *text ? text : "fusermount3 failed");
}

/* --- mounting --- */

/* As the kernel will name it: without what "//" and a '/' at the end are. */
static char *clean_path(const char *dir)
{
	char *clean = strdup(dir), *to = clean;

	if (!clean)
		return NULL;
	for (const char *from = dir; *from; from++)
		if (*from != '/' || (from[1] && from[1] != '/'))
			*to++ = *from;
	*to = '\0';
	return clean;
}

static int open_real_dir(const char *path, int *ret_fd)
{
	const char *name;
	_cleanup_close_ int parent = own_dir_walk(path, &name);

	if (parent < 0)
		return parent;
	*ret_fd = openat(parent, name,
			 O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? -errno : 0;
}

/* Commands name real paths, so a symbolic link on the way was put there since,
 * maybe by somebody who wants a mount elsewhere. */
static int open_dir(struct answer *a, const char *dir, int *ret_fd)
{
	int r;

	a->path = clean_path(dir);
	r = a->path ? open_real_dir(a->path, ret_fd) : -ENOMEM;
	switch (r) {
	case -EINVAL:
		return answer_fail(a, r, "%s cannot be a mount point", dir);
	case -ELOOP:
		return answer_fail(a, r,
				   "%s leads through a symbolic link; mount at "
				   "the real path",
				   dir);
	case -ENOTDIR:
		return answer_fail(a, r, "%s is not a directory", dir);
	case -ENOENT:
		return answer_fail(a, r, "%s does not exist", dir);
	case -EACCES:
		return answer_fail(a, r, "%s may not be entered", dir);
	default:
		return r;
	}
}

static int open_device(struct answer *a)
{
	a->fd = open(FUSE_DEVICE, O_RDWR | O_CLOEXEC);
	if (a->fd >= 0)
		return 0;
	switch (errno) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return answer_fail(a, -ENODEV,
				   "FUSE is not available here (" FUSE_DEVICE
				   " is missing): load the kernel's module "
				   "fuse, or give the container the device");
	case EACCES:
	case EPERM:
		return answer_fail(a, -EACCES,
				   FUSE_DEVICE
				   " may not be opened: its "
				   "permissions, or the container's, forbid "
				   "it");
	default:
		return -errno;
	}
}

static int mount_as_root(struct answer *a, const struct mount_job *job,
			 int dirfd)
{
	unsigned long flags = 0;
	char options[128], target[64];
	int r = open_device(a);

	if (r < 0)
		return r;
	if (!job->suid_dev)
		flags |= MS_NOSUID | MS_NODEV;
	if (job->read_only)
		flags |= MS_RDONLY;
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=%u,group_id=%u,"
		 "default_permissions%s",
		 a->fd, getuid(), getgid(),
		 job->allow_other ? ",allow_other" : "");
	snprintf(target, sizeof(target), "/proc/self/fd/%d", dirfd);
	if (mount(job->fsname, target, MOUNTINFO_LARDER, flags, options) == 0)
		return 0;
	if (errno == EPERM)
		return answer_fail(a, -EACCES,
				   "this process may not mount (no "
				   "CAP_SYS_ADMIN)");
	if (errno == ENODEV)
		return answer_fail(a, -ENODEV,
				   "the kernel has no FUSE: load its module "
				   "fuse");
	return -errno;
}

/* Appends `text` with the characters that separate options escaped. */
static char *escape_option(const char *text)
{
	_cleanup_free_ char *out = malloc(strlen(text) * 2 + 1);
	char *p = out;

	if (!out)
		return NULL;
	for (; *text; text++) {
		if (*text == ',' || *text == '\\')
			*p++ = '\\';
		*p++ = *text;
	}
	*p = '\0';
	return steal_ptr(&out);
}

static int receive_fd(int sock, int *ret_fd)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr mh = { .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	ssize_t n;

	do
		n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	c = n > 0 ? CMSG_FIRSTHDR(&mh) : NULL;
	if (!c || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(sizeof(int)))
		return -EIO;
	memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	return 0;
}

/* fusermount3 walks the path again by itself. */
static int same_dir(int dirfd, const char *path)
{
	struct stat a, b;

	if (fstat(dirfd, &a) < 0 || lstat(path, &b) < 0)
		return -errno;
	return a.st_dev == b.st_dev && a.st_ino == b.st_ino ? 0 : -ESTALE;
}

static int mount_as_user(struct answer *a, const struct mount_job *job,
			 int dirfd)
{
	_cleanup_free_ char *fsname = escape_option(job->fsname);
	_cleanup_free_ char *options = NULL;
	_cleanup_close_ int ours = -1, theirs = -1;
	char tool[] = "fusermount3", o[] = "-o", end[] = "--";
	int fds[2], r = same_dir(dirfd, a->path);

	if (r < 0)
		return r;
	options = fsname ? io_path("fsname=%s,subtype=larder,"
				   "default_permissions%s%s",
				   fsname, job->read_only ? ",ro" : "",
				   job->allow_other ? ",allow_other" : "") :
			   NULL;
	if (!options)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	ours = fds[0];
	theirs = fds[1];
	{
		char *argv[] = { tool, o, options, end, a->path, NULL };

		r = tool_run(a, argv, theirs);
	}
	if (r < 0)
		return r;
	cleanup_close(&theirs);
	theirs = -1;
	return receive_fd(ours, &a->fd);
}

/* The kernel has 128 KiB; only root may ask for more, and some containers have
 * a sysfs that cannot be written to. INIT, which can make it less, is not answered yet: the
 * descriptor is still here. */
static void raise_read_ahead(const struct answer *a)
{
	_cleanup_close_ int fd = -1;
	char path[64 + sizeof(a->dev)], kib[16];

	snprintf(path, sizeof(path), "/sys/class/bdi/%s/read_ahead_kb", a->dev);
	snprintf(kib, sizeof(kib), "%u", SUPERVISOR_READ_AHEAD >> 10);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		(void)io_write(fd, kib, strlen(kib));
}

static int do_mount(struct answer *a, const struct mount_job *job)
{
	_cleanup_close_ int dirfd = -1;
	bool anywhere;
	int r = open_dir(a, job->dir, &dirfd);

	if (r < 0)
		return r;
	r = geteuid() == 0 ? mount_as_root(a, job, dirfd) :
			     mount_as_user(a, job, dirfd);
	if (r < 0)
		return r;
	r = mountinfo_look(a->path, NULL, a->dev, &anywhere);
	if (r < 0 || a->dev[0] == '\0')
		return answer_fail(a, -ESTALE,
				   "%s was moved while it was being mounted",
				   job->dir);
	if (geteuid() == 0)
		raise_read_ahead(a);
	return 0;
}

/* --- unmounting --- */

static int umount_as_user(struct answer *a, const struct mount_job *job)
{
	char tool[] = "fusermount3", u[] = "-u", z[] = "-z", end[] = "--";
	char *dir = (char *)job->dir; /* execv() does not write to it */
	char *argv[] = { tool, u, end, dir, NULL };
	char *lazy_argv[] = { tool, u, z, end, dir, NULL };

	return tool_run(a, job->lazy ? lazy_argv : argv, -1);
}

/* From its parent, so that nobody can lead to another mount of that name. */
static int umount_as_root(const struct mount_job *job)
{
	int flags = UMOUNT_NOFOLLOW | (job->lazy ? MNT_DETACH : 0);
	const char *name;
	_cleanup_close_ int parent = own_dir_walk(job->dir, &name);

	if (parent < 0)
		return parent;
	if (fchdir(parent) < 0 || umount2(name, flags) < 0)
		return -errno;
	return 0;
}

static int do_umount(struct answer *a, const struct mount_job *job)
{
	char top[MOUNTINFO_DEV_MAX];
	bool anywhere;
	int r = mountinfo_look(job->dir, job->dev, top, &anywhere);

	if (r < 0)
		return r;
	if (!anywhere)
		return 0;
	if (strcmp(top, job->dev) != 0)
		return answer_fail(a, -EBUSY,
				   "%s has another mount on top of it, or was "
				   "moved",
				   job->dir);
	r = geteuid() == 0 ? umount_as_root(job) : umount_as_user(a, job);
	if (r == -EBUSY)
		return answer_fail(a, r, "%s is in use", job->dir);
	return r;
}

/* --- the helper --- */

static json_t *answer_json(const struct answer *a, int r)
{
	json_t *msg = json_pack("{si}", "result", r);

	if (!msg)
		return NULL;
	if (a->error)
		(void)supervisor_msg_set_bytes(msg, "error", a->error);
	if (r == 0 && a->path &&
	    (supervisor_msg_set_bytes(msg, "path", a->path) < 0 ||
	     supervisor_msg_set_bytes(msg, "dev", a->dev) < 0)) {
		json_decref(msg);
		return NULL;
	}
	return msg;
}

/* Descriptors of other mounts must not live on here. */
static int keep_only(int sock)
{
	if (sock != 3 && dup3(sock, 3, O_CLOEXEC) < 0)
		return -errno;
	close_range(4, UINT_MAX, 0);
	return 3;
}

static void helper_run(const struct mount_job *job, int sock)
{
	struct answer a = { .fd = -1 };
	json_t *msg;
	sigset_t none;
	int r;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	sock = keep_only(sock);
	if (sock < 0)
		_exit(1);
	r = job->fsname ? do_mount(&a, job) : do_umount(&a, job);
	msg = answer_json(&a, r);
	if (!msg || supervisor_msg_send(sock, msg, r == 0 ? a.fd : -1) < 0)
		_exit(1);
	_exit(0);
}

int mount_job_start(const struct mount_job *job, pid_t *ret_pid, int *ret_sock)
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
	if (pid == 0)
		helper_run(job, theirs);
	*ret_pid = pid;
	*ret_sock = steal_fd(&ours);
	return 0;
}
