/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting other programs. The daemon gets a session of its own, no
 * descriptor of ours but a pipe, on which it says "ok" or why not, and is
 * nobody's child, so that it outlives us and is no zombie before that. One
 * thread.
 */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd.h"
#include "fs/own_dir.h"
#include "fs/rpc.h"
#include "keys.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"

#define READY_FD 3
#define ANSWER_MAX 4096

/* ---- where larderd is */

static char *beside_us(const char *name)
{
	char exe[PATH_MAX], *slash;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (n <= 0)
		return NULL;
	exe[n] = '\0';
	slash = strrchr(exe, '/');
	return slash ? io_path("%.*s/%s", (int)(slash - exe), exe, name) : NULL;
}

static char *usable(char *path)
{
	if (path && access(path, X_OK) == 0)
		return path;
	free(path);
	return NULL;
}

static char *find_daemon(void)
{
	const char *named = getenv("LARDERD");
	char *path;

	if (named && *named)
		return strdup(named);
	path = usable(beside_us("larderd"));
	if (!path) /* not installed: built in a folder of its own */
		path = usable(beside_us("../fs/larderd"));
#ifdef LARDERD_PATH
	if (!path)
		path = usable(strdup(LARDERD_PATH));
#endif
	return path;
}

/* ---- starting it */

/* What its environment has beside ours; borrowed strings. */
static struct {
	const char *variable, *value;
} settings[SPAWN_SETTINGS_MAX];
static unsigned n_settings;

void spawn_set(const char *variable, const char *value)
{
	if (n_settings == SPAWN_SETTINGS_MAX)
		return;
	settings[n_settings].variable = variable;
	settings[n_settings++].value = value;
}

static void say_and_exit(const char *what, const char *path)
{
	dprintf(READY_FD, "%s %s: %s\n", what, path, strerror(errno));
	_exit(EXIT_ERROR);
}

static void default_signals(void)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		sigaction(s, &sa, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the child. `ready` and `log` are above the standard descriptors. */
static void become_daemon(const char *path, int ready, int log)
{
	char *argv[] = { (char *)path, (char *)"--ready-fd", (char *)"3",
			 NULL };
	int null = open("/dev/null", O_RDWR);

	setsid();
	if (fork() > 0)
		_exit(0);
	default_signals();
	if (null < 0 || chdir("/") < 0)
		_exit(EXIT_ERROR);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	if (ready != READY_FD)
		dup2(ready, READY_FD);
	else
		fcntl(ready, F_SETFD, 0);
	close_range(READY_FD + 1, ~0u, 0);
	unsetenv(KEYS_SIGN_VARIABLE);
	unsetenv("NOTIFY_SOCKET"); /* of the service that runs the command */
	for (unsigned i = 0; i < n_settings; i++)
		setenv(settings[i].variable, settings[i].value, 1);
	execv(path, argv);
	say_and_exit("cannot run", path);
}

/* A descriptor that dup2() onto 0 to 3 does not overwrite. */
static int moved_up(int fd)
{
	int up = fcntl(fd, F_DUPFD_CLOEXEC, READY_FD + 1);

	close(fd);
	return up;
}

static int open_log(char **ret_path, struct failure *f)
{
	_cleanup_free_ char *dir = rpc_state_dir();
	_cleanup_free_ char *path = dir ? io_path("%s/" RPC_LOG_FILE, dir) :
					  NULL;
	_cleanup_close_ int own = -1;
	char why[OWN_DIR_WHY_MAX];
	int r, fd;

	if (!path)
		return failure_set(f, -ENOMEM, EXIT_ERROR, "out of memory");
	r = io_mkdir_p(dir, 0700);
	if (r < 0)
		return failure_set(f, r, EXIT_ERROR,
				   "cannot make the state directory %s: %s",
				   dir, strerror(-r));
	own = own_dir_open(dir, false, why);
	if (own < 0)
		return failure_set(f, own, EXIT_ERROR, "%s", why);
	fd = openat(own, RPC_LOG_FILE,
		    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return failure_set(f, -errno, EXIT_ERROR,
				   "cannot open the daemon's log %s: %s", path,
				   strerror(errno));
	*ret_path = steal_ptr(&path);
	return moved_up(fd);
}

/* Reads the daemon's word. It has no time limit: a store that was not closed
 * is recovered first. */
static int await_ready(int fd, const char *log, struct failure *f)
{
	char answer[1024];
	size_t len = 0;

	while (len < sizeof(answer) - 1 && !memchr(answer, '\n', len)) {
		ssize_t n = read(fd, answer + len, sizeof(answer) - 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	answer[len] = '\0';
	answer[strcspn(answer, "\n")] = '\0';
	if (strcmp(answer, "ok") == 0)
		return 0;
	if (!*answer)
		return failure_set(f, -EIO, EXIT_ERROR,
				   "the daemon ended while it started; its log "
				   "is %s",
				   log);
	return failure_set(f, -EIO, EXIT_ERROR, "the daemon does not start: %s",
			   answer);
}

int spawn_daemon(struct failure *ret_failure)
{
	_cleanup_free_ char *path = find_daemon();
	_cleanup_free_ char *log_path = NULL;
	_cleanup_close_ int log = -1, ready = -1, wake = -1;
	int ends[2];
	pid_t pid;

	if (!path)
		return failure_set(ret_failure, -ENOENT, EXIT_ERROR,
				   "larderd is not beside larder: install it "
				   "there, or name it in LARDERD");
	log = open_log(&log_path, ret_failure);
	if (log < 0)
		return log;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return failure_set(ret_failure, -errno, EXIT_ERROR,
				   "cannot make a pipe: %s", strerror(errno));
	ready = moved_up(ends[0]);
	wake = moved_up(ends[1]);
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return failure_set(ret_failure, -errno, EXIT_ERROR,
				   "cannot start a process: %s",
				   strerror(errno));
	if (pid == 0)
		become_daemon(path, wake, log);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	close(steal_fd(&wake));
	return await_ready(ready, log_path, ret_failure);
}

/* ---- output of tools */

static void become_tool(const char *const argv[], int out)
{
	int null = open("/dev/null", O_RDWR);

	if (null < 0)
		_exit(EXIT_NOT_FOUND);
	dup2(null, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	execvp(argv[0], (char *const *)argv);
	_exit(EXIT_NOT_FOUND);
}

char *spawn_output(const char *const argv[])
{
	_cleanup_close_ int in = -1;
	char answer[ANSWER_MAX];
	int ends[2], status = 1;
	ssize_t n;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return NULL;
	in = ends[0];
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		become_tool(argv, ends[1]);
	close(ends[1]);
	n = pid < 0 ? -1 : io_read_upto(in, answer, sizeof(answer) - 1);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (n <= 0 || status != 0)
		return NULL;
	answer[n] = '\0';
	answer[strcspn(answer, "\n")] = '\0';
	return *answer ? strdup(answer) : NULL;
}
