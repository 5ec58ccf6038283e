/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon of this store, and sockets and locks that nobody holds any more.
 * It is asked with a time limit, and never started. No state.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doctor.h"
#include "fs/rpc.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"

#define ANSWER_S 5
#define ALIVE_S 1
#define OWNER_MAX 32

/* --- asking --- */

static void cleanup_rpc(struct rpc **r)
{
	rpc_free(*r);
}

/* Takes `fd` over. */
static int ask(int fd, json_t **ret_status)
{
	_cleanup_(cleanup_rpc) struct rpc *rpc = NULL;
	_cleanup_json_ json_t *request =
		json_pack("{s:s, s:i, s:s, s:{}}", "jsonrpc", "2.0", "id", 1,
			  "method", "status", "params");
	_cleanup_json_ json_t *answer = NULL;
	const struct timeval limit = { .tv_sec = ANSWER_S };
	int fds[RPC_FDS_MAX], r;
	unsigned nfds = 0;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	r = rpc_new(fd, &rpc);
	if (r == 0)
		r = rpc_send(rpc, request, NULL, 0);
	if (r == 0)
		r = rpc_receive(rpc, &answer, fds, &nfds);
	while (nfds > 0)
		close(fds[--nfds]);
	if (r <= 0)
		return r < 0 ? r : -EPIPE;
	*ret_status = json_incref(json_object_get(answer, "result"));
	return json_is_object(*ret_status) ? 0 : -EBADMSG;
}

/* Without making it. */
static int open_runtime(void)
{
	_cleanup_free_ char *dir = rpc_runtime_dir();
	int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	return fd < 0 ? -errno : fd;
}

static int ask_daemon(json_t **ret_status)
{
	_cleanup_free_ char *store = rpc_store_dir();
	_cleanup_free_ char *name = store ? rpc_socket_name(store) : NULL;
	_cleanup_close_ int dirfd = open_runtime();
	int fd;

	if (!name)
		return -ENOMEM;
	if (dirfd < 0)
		return dirfd;
	fd = rpc_connect(dirfd, name, ANSWER_S);
	return fd < 0 ? fd : ask(fd, ret_status);
}

/* --- the daemon --- */

/* The process that has the store open, by its lock; 0: none. */
static long owner(void)
{
	_cleanup_free_ char *store = rpc_store_dir();
	_cleanup_free_ char *path = store ? io_path("%s/v1/owner", store) :
					    NULL;
	_cleanup_close_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	char text[OWNER_MAX + 1];
	ssize_t n;

	if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0)
		return 0;
	n = pread(fd, text, OWNER_MAX, 0);
	text[n > 0 ? n : 0] = '\0';
	return strtol(text, NULL, 10);
}

static long parent_of(long pid)
{
	_cleanup_free_ char *path = io_path("/proc/%ld/status", pid);
	_cleanup_fclose_ FILE *f = path ? fopen(path, "re") : NULL;
	_cleanup_free_ char *line = NULL;
	size_t cap = 0;
	long parent = 0;

	while (f && getline(&line, &cap, f) > 0)
		if (sscanf(line, "PPid: %ld", &parent) == 1)
			break;
	return parent;
}

static void judge_answer(struct doctor *d)
{
	const char *version = field_text(d->status, "version");
	long pid = (long)field_number(d->status, "pid");
	long worker = (long)field_number(d->status, "worker_pid");

	if (strcmp(version, PACKAGE_VERSION) != 0)
		doctor_say(d, DOCTOR_WARNING, "daemon", "larder daemon restart",
			   "the daemon is version %.40s, and the command is "
			   "version " PACKAGE_VERSION,
			   version);
	else if (parent_of(worker) != pid)
		doctor_say(d, DOCTOR_PROBLEM, "daemon",
			   "larder daemon stop --force, then larder mount "
			   "--resume",
			   "the supervisor, process %ld, is gone: mounts end "
			   "with the worker, process %ld",
			   pid, worker);
	else
		doctor_say(d, DOCTOR_OK, "daemon", NULL,
			   "version %.40s answers, process %ld", version, pid);
}

/* What the kernel or the build lacks is worth a word only where all of it is
 * missing. */
static void judge_sandbox(struct doctor *d)
{
	const json_t *sandbox = json_object_get(d->status, "sandbox");
	bool seccomp = field_flag(sandbox, "seccomp");
	bool landlock = field_flag(sandbox, "landlock");

	if (!json_is_object(sandbox))
		doctor_say(d, DOCTOR_WARNING, "sandbox",
			   "larder daemon stop, and no setting sandbox: off "
			   "(larder config sandbox)",
			   "the daemon's worker keeps all of its user's "
			   "privileges");
	else
		doctor_say(d, DOCTOR_OK, "sandbox", NULL,
			   "the worker gains no privileges%s%s",
			   seccomp ? ", seccomp" : "",
			   landlock ? ", Landlock" : "");
}

static void judge_silence(struct doctor *d, int err)
{
	long pid = owner();
	bool absent = err == -ENOENT || err == -ECONNREFUSED;

	if (absent && pid == 0) {
		doctor_say(d, DOCTOR_OK, "daemon", NULL,
			   "none is running; it is started when it is needed");
		return;
	}
	d->silent = true;
	if (absent)
		doctor_say(
			d, DOCTOR_PROBLEM, "daemon",
			"was it started with another XDG_RUNTIME_DIR? end it, "
			"or use that",
			"process %ld has the store open, and cannot be "
			"reached",
			pid);
	else
		doctor_say(
			d, DOCTOR_PROBLEM, "daemon",
			"kill -9 that worker: its supervisor starts another, "
			"and the mounts go on",
			"it does not answer (%s); process %ld has the store "
			"open",
			err == -EAGAIN ? "5 seconds" : strerror(-err), pid);
}

void doctor_daemon(struct doctor *d)
{
	int r = ask_daemon(&d->status);

	if (r < 0) {
		judge_silence(d, r);
		return;
	}
	judge_answer(d);
	judge_sandbox(d);
}

/* --- what is left in the runtime directory --- */

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), len = strlen(end);

	return n >= len && strcmp(text + n - len, end) == 0;
}

static void say_left(struct doctor *d, const char *name, const char *what,
		     bool removed)
{
	if (removed)
		doctor_say(d, DOCTOR_FIXED, "left", NULL, "%s %s is removed",
			   what, name);
	else
		doctor_say(d, DOCTOR_WARNING, "left",
			   "larder doctor --fix removes it",
			   "%s %s is left from a process that is dead", what,
			   name);
}

/* A daemon binds its socket under the directory's lock, so what is dead under
 * it is dead. */
static bool check_socket(struct doctor *d, int dirfd, const char *name)
{
	_cleanup_close_ int fd = -1;
	bool removed;

	if (flock(dirfd, LOCK_EX | LOCK_NB) < 0)
		return false;
	fd = rpc_connect(dirfd, name, ALIVE_S);
	if (fd != -ECONNREFUSED) {
		flock(dirfd, LOCK_UN);
		return false;
	}
	removed = d->fix && unlinkat(dirfd, name, 0) == 0;
	flock(dirfd, LOCK_UN);
	say_left(d, name, "the socket", removed);
	return true;
}

/* A run removes its lock before it lets go, so one that nobody holds is left
 * over; it is removed as a run does it. */
static bool check_lock(struct doctor *d, int dirfd, const char *name)
{
	_cleanup_close_ int fd =
		openat(dirfd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct stat mine, there;

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 ||
	    fstat(fd, &mine) < 0 ||
	    fstatat(dirfd, name, &there, AT_SYMLINK_NOFOLLOW) < 0 ||
	    mine.st_ino != there.st_ino)
		return false;
	say_left(d, name, "the lock", d->fix && unlinkat(dirfd, name, 0) == 0);
	return true;
}

static bool check_name(struct doctor *d, int dirfd, const char *name)
{
	if (ends_with(name, ".sock"))
		return check_socket(d, dirfd, name);
	if (strncmp(name, "run-", 4) == 0 && ends_with(name, ".lock"))
		return check_lock(d, dirfd, name);
	return false;
}

void doctor_sockets(struct doctor *d)
{
	_cleanup_close_ int dirfd = open_runtime();
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *de;
	unsigned left = 0;

	if (dirfd < 0 || io_opendir_at(dirfd, ".", &dir) < 0)
		return;
	while ((de = readdir(dir)) != NULL)
		left += check_name(d, dirfd, de->d_name);
	if (left == 0)
		doctor_say(d, DOCTOR_OK, "left", NULL,
			   "no socket and no lock of a dead process");
}
